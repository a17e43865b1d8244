"""What OpenAI's streams of chunks have in common."""

from fakellm.dialects.framing import sse_event

STREAM_HEADERS = (
    ("Content-Type", "text/event-stream"),
    ("Cache-Control", "no-cache"),
    # nginx and its like buffer a stream unless they are told not to
    ("X-Accel-Buffering", "no"),
)
DONE = sse_event(b"[DONE]")
