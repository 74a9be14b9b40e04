"""Tests of veneer.upstream."""
