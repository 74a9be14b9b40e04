"""Tests of completions that are kept."""
