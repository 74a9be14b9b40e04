"""Tests of `veneer.quotas`."""
