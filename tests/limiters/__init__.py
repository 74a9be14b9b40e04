"""Tests of veneer.limiters."""
