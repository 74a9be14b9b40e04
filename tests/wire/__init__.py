"""Tests of veneer.wire."""
