"""What goes wrong, on purpose: rewriting events before they are encoded, and cues after."""
