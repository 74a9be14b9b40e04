"""Quotas: how much a caller may use in a time, in which unit, counted for whom."""
