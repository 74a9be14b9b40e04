"""Tests of veneer.prices."""
