"""Deterministic sound for answers with the modality `audio`: something to play, save and measure.

The formats are those of `audio.format` in the chat completions API (openai-python,
`ChatCompletionAudioParam`). `wav` and `pcm16` are beeps, one per word, so that words can be told
apart by ear; the coded formats are silence of the same length (see `fakellm.dialects.silence`).
The same transcript always makes the same bytes. This is not a voice and must never try to be one.
"""

import io
import math
import re
import struct
import wave
import zlib
from functools import cache
from types import MappingProxyType

from fakellm.dialects import silence

SAMPLE_RATE = 24_000
"""Samples per second: the rate of `pcm16` in OpenAI's API, and of every other format here."""

SECONDS_PER_CHARACTER = 0.06
"""How long a character of the transcript sounds, white space included: about 16 a second."""

MIN_SECONDS = 0.3
"""A shorter sound is filled up with silence: players cannot tell what one or two frames are."""

MAX_SECONDS = 10.0
"""No sound is longer, however long the transcript."""

CHUNK_SECONDS = 0.1
"""The length of a chunk of `speak_pcm16`; the last one may be shorter."""

_CODERS = MappingProxyType(
    {
        "aac": silence.aac,
        "flac": silence.flac,
        "mp3": silence.mp3,
        "opus": silence.opus,
    }
)

FORMATS: tuple[str, ...] = ("wav", "aac", "mp3", "flac", "opus", "pcm16")
"""The values of `audio.format`."""

_CHARACTER_SAMPLES = round(SECONDS_PER_CHARACTER * SAMPLE_RATE)
_MIN_SAMPLES = round(MIN_SECONDS * SAMPLE_RATE)
_MAX_SAMPLES = round(MAX_SECONDS * SAMPLE_RATE)
_SAMPLE_BYTES = 2  # 16 bits, mono
_AMPLITUDE = 2_000  # of 32,767: quiet
# In samples. Each divides a character's length, so a beep begins and ends at zero, without a click.
_PERIODS = (36, 40, 45, 48, 60, 72, 80, 90)


def speak(transcript: str, format: str) -> bytes:  # noqa: A002 -- the API's name
    """Return a whole sound file, mono, 24 kHz, decodable by any player.

    It lasts `SECONDS_PER_CHARACTER` per character, but not less than `MIN_SECONDS` nor more than
    `MAX_SECONDS`. Formats made of frames are rounded up to whole frames: `mp3` to 24 ms, `aac` to
    43 ms.

    Args:
        transcript: what is said.
        format: one of `FORMATS`: `wav` (16 bits), `aac` (AAC-LC in ADTS), `mp3`, `flac` (16 bits),
            `opus` (in Ogg), `pcm16` (samples only, 16 bits, little-endian).

    Raises:
        ValueError: for an unknown format.
    """
    if format not in FORMATS:
        raise ValueError(f"unknown audio format {format!r}: it is one of {', '.join(FORMATS)}")
    if format in _CODERS:
        return _CODERS[format](_sample_count(transcript))
    samples = _beeps(transcript)
    return samples if format == "pcm16" else _wav(samples)


def speak_pcm16(transcript: str) -> tuple[bytes, ...]:
    """Return `speak(transcript, "pcm16")` in chunks of `CHUNK_SECONDS`, as the API streams it."""
    samples = _beeps(transcript)
    size = round(CHUNK_SECONDS * SAMPLE_RATE) * _SAMPLE_BYTES
    return tuple(samples[start : start + size] for start in range(0, len(samples), size))


def _sample_count(transcript: str) -> int:
    return min(max(len(transcript) * _CHARACTER_SAMPLES, _MIN_SAMPLES), _MAX_SAMPLES)


def _beeps(transcript: str) -> bytes:
    """Return one beep per word, its pitch drawn from the word, and silence for white space."""
    heard = transcript[: math.ceil(_MAX_SAMPLES / _CHARACTER_SAMPLES)]
    sound = bytearray()
    for piece in re.findall(r"\s+|\S+", heard):
        samples = len(piece) * _CHARACTER_SAMPLES
        if piece.isspace():
            sound += bytes(samples * _SAMPLE_BYTES)
        else:
            pitch = zlib.crc32(piece.encode("utf-8", "surrogatepass")) % len(_PERIODS)
            sound += _wave_of(_PERIODS[pitch]) * (samples // _PERIODS[pitch])
    size = _sample_count(transcript) * _SAMPLE_BYTES
    return bytes(sound[:size].ljust(size, b"\0"))


@cache
def _wave_of(period: int) -> bytes:
    """Return one period of a sine, 16 bits little-endian."""
    turn = 2 * math.pi / period
    return struct.pack(
        f"<{period}h", *(round(_AMPLITUDE * math.sin(turn * i)) for i in range(period))
    )


def _wav(samples: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(_SAMPLE_BYTES)
        writer.setframerate(SAMPLE_RATE)
        writer.writeframes(samples)
    return file.getvalue()
