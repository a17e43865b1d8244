"""Measurements, for people to run; no test depends on what they print."""
