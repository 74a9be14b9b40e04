"""Tests of veneer.quotas."""
