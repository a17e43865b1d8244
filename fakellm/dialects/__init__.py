"""Pure codecs: request bytes to a prompt, events to bytes; no I/O, no clock, no global state."""
