"""Routing: which of several targets gets a call, and who is asked next where one fails; no IO."""
