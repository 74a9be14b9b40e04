"""Tests of veneer.layers."""
