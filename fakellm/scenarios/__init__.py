"""Deciding what the model says."""
