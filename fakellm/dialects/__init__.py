"""Pure codecs: request bytes to a neutral prompt, neutral events to bytes; no I/O, no clock, no global."""
