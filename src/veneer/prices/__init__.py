"""Prices: what tokens and other things cost, and what a call cost by its usage."""
