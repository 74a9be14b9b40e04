"""Tests of veneer.auth."""
