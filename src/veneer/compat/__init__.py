"""Compatibility: calls and answers said in the words of a target that does not know all; pure."""
