"""Tokens and the time they take."""
