"""Tests of `veneer.limiters`."""
