"""Decide, admit, pace, play: the server without HTTP, and the only code that schedules."""
