"""Silence in four coded formats, built by hand: no encoder is needed to answer with a sound file.

Each function takes a number of samples at 24 kHz, at least one, and returns a whole mono file that
strict decoders read without a complaint; formats made of frames round up to whole frames. Nothing
but silence can be said here, and the bytes may depend on nothing but the number of samples.
"""

import hashlib
import struct
from collections.abc import Iterator
from functools import cache

SAMPLE_RATE = 24_000
"""Samples per second of every format."""

_MP3_FRAME_SAMPLES = 576
_AAC_FRAME_SAMPLES = 1024
_FLAC_BLOCK_SAMPLES = 4096
_OPUS_RATE = 48_000  # Ogg counts Opus in samples of 48 kHz, whatever the rate of the input
_OPUS_PACKET_SAMPLES = 960  # 20 ms
_OPUS_PRE_SKIP = 312  # what libopus announces
_OPUS_PACKETS_PER_PAGE = 50  # a page per second
_OGG_FIRST, _OGG_LAST = 0x02, 0x04  # header type flags
_OGG_SERIAL = int.from_bytes(b"fake", "big")  # any number: one logical stream per file


def mp3(samples: int) -> bytes:
    """Return frames of MPEG-2 layer III (ISO/IEC 13818-3), 16 kbit/s, 48 bytes and 24 ms each.

    The first frame is an `Info` tag with the number of frames, from which players know the
    duration; it makes no sound.
    """
    frames = -(-samples // _MP3_FRAME_SAMPLES)
    # Sync, MPEG-2, layer III, no CRC; 16 kbit/s, 24 kHz; mono, original.
    header = b"\xff\xf3\x24\xc4"
    # Side information of zeros: no main data at all, so every coefficient is zero.
    blank = header + bytes(44)
    side_information = bytes(9)
    tag = b"Info" + struct.pack(">III", 0b11, frames, 48 * (frames + 1))  # flags: frames, bytes
    return (header + side_information + tag).ljust(48, b"\0") + blank * frames


def aac(samples: int) -> bytes:
    """Return frames of AAC-LC in ADTS (ISO/IEC 14496-3), 11 bytes and 1024 samples each."""
    # One single channel element whose max_sfb is 0 (so no section, scale factor or coefficient
    # follows), then ID_END.
    raw_data_block = b"\x00\x00\x00\x07"
    size = 7 + len(raw_data_block)
    # Sync, MPEG-4, no CRC; AAC-LC, 24 kHz, one channel; the frame's size in 13 bits; buffer
    # fullness "variable rate"; one block.
    header = struct.pack(">IHB", 0xFFF15840, (size << 5) & 0xFFFF | 0x1F, 0xFC)
    return (header + raw_data_block) * -(-samples // _AAC_FRAME_SAMPLES)


def flac(samples: int) -> bytes:
    """Return a FLAC file (RFC 9639) of 16-bit samples, each block a constant subframe of zero."""
    blocks = list(_flac_frames(samples))
    sizes = [len(block) for block in blocks]
    format_bits = SAMPLE_RATE << 44 | 0 << 41 | 15 << 36 | samples  # channels - 1, bits - 1
    stream_info = (
        struct.pack(">HH", _FLAC_BLOCK_SAMPLES, _FLAC_BLOCK_SAMPLES)
        + min(sizes).to_bytes(3, "big")
        + max(sizes).to_bytes(3, "big")
        + format_bits.to_bytes(8, "big")
        + hashlib.md5(bytes(2 * samples), usedforsecurity=False).digest()
    )
    last_block_header = struct.pack(">I", 0x80000000 | len(stream_info))
    return b"fLaC" + last_block_header + stream_info + b"".join(blocks)


def _flac_frames(samples: int) -> Iterator[bytes]:
    for number, start in enumerate(range(0, samples, _FLAC_BLOCK_SAMPLES)):
        size = min(_FLAC_BLOCK_SAMPLES, samples - start)
        # Sync, fixed block size; size in 16 bits at the header's end, 24 kHz; mono, 16 bits. The
        # number is coded as UTF-8 codes a code point.
        header = b"\xff\xf8\x77\x08" + chr(number).encode("utf-8", "surrogatepass")
        header += struct.pack(">H", size - 1)
        header += crc(header, 8, 0x07).to_bytes(1, "big")
        frame = header + b"\x00" + b"\x00\x00"  # a constant subframe, and its value
        yield frame + crc(frame, 16, 0x8005).to_bytes(2, "big")


def opus(samples: int) -> bytes:
    """Return Opus in Ogg (RFC 7845): 20 ms packets of silence, the end trimmed to the sample."""
    length = samples * _OPUS_RATE // SAMPLE_RATE + _OPUS_PRE_SKIP
    packets = -(-length // _OPUS_PACKET_SAMPLES)
    # TOC: CELT only, full band, 20 ms, mono, one frame; then the range coder's "silence" flag.
    silence = b"\xf8\xff\xfe"
    head = b"OpusHead" + struct.pack("<BBHIhB", 1, 1, _OPUS_PRE_SKIP, SAMPLE_RATE, 0, 0)
    vendor = b"fakellm"
    tags = b"OpusTags" + struct.pack("<I", len(vendor)) + vendor + struct.pack("<I", 0)
    pages = [_ogg_page(0, _OGG_FIRST, 0, [head]), _ogg_page(1, 0, 0, [tags])]
    for start in range(0, packets, _OPUS_PACKETS_PER_PAGE):
        end = min(start + _OPUS_PACKETS_PER_PAGE, packets)
        granule = min(end * _OPUS_PACKET_SAMPLES, length)
        flags = _OGG_LAST if end == packets else 0
        pages.append(_ogg_page(len(pages), flags, granule, [silence] * (end - start)))
    return b"".join(pages)


def _ogg_page(number: int, flags: int, granule: int, packets: list[bytes]) -> bytes:
    """Return one page (RFC 3533) of whole packets, each shorter than 255 bytes."""
    lacing = bytes(len(packet) for packet in packets)
    before = b"OggS" + struct.pack("<BBqII", 0, flags, granule, _OGG_SERIAL, number)
    after = bytes([len(packets)]) + lacing + b"".join(packets)
    checksum = crc(before + bytes(4) + after, 32, 0x04C11DB7)
    return before + struct.pack("<I", checksum) + after


def crc(data: bytes, width: int, polynomial: int) -> int:
    """Return a cyclic redundancy check, highest bit first, that starts at 0 and is not inverted.

    That is what FLAC (widths 8 and 16) and Ogg (32) ask for; `zlib.crc32` goes the other way round.
    """
    table, value, mask = _crc_table(width, polynomial), 0, (1 << width) - 1
    for byte in data:
        value = (value << 8 & mask) ^ table[value >> width - 8 ^ byte]
    return value


@cache
def _crc_table(width: int, polynomial: int) -> tuple[int, ...]:
    table = []
    for index in range(256):
        value = index << width - 8
        for _ in range(8):
            value = value << 1 ^ (polynomial if value >> width - 1 else 0)
            value &= (1 << width) - 1
        table.append(value)
    return tuple(table)
