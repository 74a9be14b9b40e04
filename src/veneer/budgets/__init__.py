"""Budgets: how much may be spent, on whose account, in which period."""
