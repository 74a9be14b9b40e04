"""Tests of what targets do not know by themselves."""
