"""Sound files for spoken answers: their structure, byte by byte, without a decoder."""

import hashlib
import io
import shutil
import struct
import subprocess
import tempfile
import wave
from itertools import pairwise
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from fakellm.dialects import silence
from fakellm.dialects.speech import (
    CHUNK_SECONDS,
    FORMATS,
    MAX_SECONDS,
    MIN_SECONDS,
    SAMPLE_RATE,
    SECONDS_PER_CHARACTER,
    speak,
    speak_pcm16,
)

SENTENCE = "It will be sunny in Lyon."  # 25 characters
SECONDS = 1.5
TRANSCRIPTS = {"": MIN_SECONDS, "Hi": MIN_SECONDS, SENTENCE: SECONDS, "long " * 99: MAX_SECONDS}


class SpeakTests(SynchronousTestCase):
    """What all formats share."""

    def test_the_formats_are_those_of_the_chat_completions_api(self) -> None:
        self.assertEqual(sorted(FORMATS), ["aac", "flac", "mp3", "opus", "pcm16", "wav"])

    def test_an_unknown_format_is_answered_with_the_known_ones(self) -> None:
        error = self.assertRaises(ValueError, speak, "Hi", "midi")
        self.assertEqual(
            str(error),
            "unknown audio format 'midi': it is one of wav, aac, mp3, flac, opus, pcm16",
        )

    def test_the_same_transcript_always_sounds_the_same(self) -> None:
        for name in FORMATS:
            self.assertEqual(speak(SENTENCE, name), speak(SENTENCE, name))

    def test_every_format_starts_with_its_signature(self) -> None:
        signatures = {
            "wav": b"RIFF",
            "aac": b"\xff\xf1",
            "mp3": b"\xff\xf3",
            "flac": b"fLaC",
            "opus": b"OggS",
        }
        for name, signature in signatures.items():
            self.assertEqual(speak(SENTENCE, name)[: len(signature)], signature)

    def test_ffprobe_reads_every_file_to_the_expected_duration(self) -> None:
        """A real demuxer's word, where there is one."""
        program = shutil.which("ffprobe")
        if program is None:
            raise SkipTest("ffprobe is not installed (Debian: apt-get install ffmpeg)")
        codecs = {"wav": "pcm_s16le", "aac": "aac", "mp3": "mp3", "flac": "flac", "opus": "opus"}
        for name, codec in codecs.items():
            with tempfile.NamedTemporaryFile(suffix="." + name) as file:
                Path(file.name).write_bytes(speak(SENTENCE, name))
                command = [program, "-v", "error", "-count_frames", "-of", "csv=p=0"]
                command += ["-show_entries", "stream=codec_name,channels:format=duration"]
                run = subprocess.run(
                    [*command, file.name], capture_output=True, check=True, text=True, timeout=60
                )
            self.assertEqual(run.stderr, "")
            stream, duration = run.stdout.split()
            self.assertEqual(stream, f"{codec},1")
            # ADTS holds no duration, ffprobe estimates it; MP3 and AAC end at a whole frame.
            self.assertApproximates(float(duration), SECONDS, 0.1)


class BeepTests(SynchronousTestCase):
    """The formats that can be heard: pcm16 and wav."""

    def samples(self, transcript: str) -> tuple[int, ...]:
        """Return the samples of a transcript."""
        sound = speak(transcript, "pcm16")
        return struct.unpack(f"<{len(sound) // 2}h", sound)

    def test_the_length_follows_the_transcript_between_two_limits(self) -> None:
        for transcript, seconds in TRANSCRIPTS.items():
            self.assertEqual(len(self.samples(transcript)), round(seconds * SAMPLE_RATE))

    def test_words_sound_and_white_space_is_silent(self) -> None:
        character = round(SECONDS_PER_CHARACTER * SAMPLE_RATE)
        samples = self.samples("one  three")
        self.assertTrue(any(samples[: 3 * character]))
        self.assertFalse(any(samples[3 * character : 5 * character]))
        self.assertTrue(any(samples[5 * character :]))
        self.assertFalse(any(self.samples("")))

    def test_a_short_sound_is_filled_up_with_silence(self) -> None:
        samples = self.samples("Hi")
        spoken = round(2 * SECONDS_PER_CHARACTER * SAMPLE_RATE)
        self.assertTrue(any(samples[:spoken]))
        self.assertFalse(any(samples[spoken:]))

    def test_it_is_quiet_and_does_not_click(self) -> None:
        """No jump between two samples is larger than the steepest of the beeps."""
        samples = (0, *self.samples(SENTENCE), 0)
        self.assertLessEqual(max(map(abs, samples)), 2_000)
        jumps = [abs(b - a) for a, b in pairwise(samples)]
        self.assertLess(max(jumps), 400)

    def test_two_words_can_differ_in_pitch(self) -> None:
        words = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
        self.assertGreater(len({self.samples(word)[:20] for word in words}), 3)

    def test_a_lone_surrogate_sounds_too(self) -> None:
        self.assertTrue(any(self.samples("\ud800")))

    def test_the_api_streams_it_in_chunks_of_a_tenth_of_a_second(self) -> None:
        for transcript, seconds in TRANSCRIPTS.items():
            chunks = speak_pcm16(transcript)
            self.assertEqual(b"".join(chunks), speak(transcript, "pcm16"))
            self.assertEqual(len(chunks), round(seconds / CHUNK_SECONDS))
            self.assertEqual({len(chunk) for chunk in chunks[:-1]}, {4800})
        self.assertEqual(len(speak_pcm16("seven c")[-1]), 960)  # 0.42 s: the last holds 20 ms

    def test_a_wav_file_holds_the_same_samples(self) -> None:
        with wave.open(io.BytesIO(speak(SENTENCE, "wav"))) as file:
            self.assertEqual(
                (file.getnchannels(), file.getsampwidth(), file.getframerate()),
                (1, 2, SAMPLE_RATE),
            )
            self.assertEqual(file.readframes(file.getnframes()), speak(SENTENCE, "pcm16"))


class Mp3Tests(SynchronousTestCase):
    """MPEG-2 layer III."""

    def test_it_is_an_info_tag_and_frames_without_main_data(self) -> None:
        for transcript, seconds in TRANSCRIPTS.items():
            sound = speak(transcript, "mp3")
            frames = [sound[start : start + 48] for start in range(0, len(sound), 48)]
            # ISO/IEC 13818-3: 72 bytes for each bit/s per sample/s.
            self.assertEqual(len(frames[-1]), 72 * 16_000 // SAMPLE_RATE)
            for frame in frames:
                self.assertEqual(frame[:13], b"\xff\xf3\x24\xc4" + bytes(9))
            self.assertEqual(set(b"".join(frame[4:] for frame in frames[1:])), {0})
            self.assertApproximates((len(frames) - 1) * 576 / SAMPLE_RATE, seconds + 0.012, 0.0121)
            tag, flags, count, size = struct.unpack(">4sIII", frames[0][13:29])
            self.assertEqual((tag, flags), (b"Info", 3))
            self.assertEqual((count, size), (len(frames) - 1, len(sound)))


class AacTests(SynchronousTestCase):
    """AAC-LC in ADTS."""

    def test_it_is_adts_frames_whose_sizes_lead_from_one_to_the_next(self) -> None:
        for transcript, seconds in TRANSCRIPTS.items():
            sound, position, frames = speak(transcript, "aac"), 0, 0
            while position < len(sound):
                header = int.from_bytes(sound[position : position + 7], "big")
                # sync 12, id 1, layer 2, no CRC 1 | profile 2, rate 4, private 1, channels 3,
                # original 1, home 1, copyright 2 | size 13, fullness 11, blocks 2
                self.assertEqual(header >> 40, 0xFFF1)
                self.assertEqual(header >> 38 & 0b11, 1)  # low complexity
                self.assertEqual(header >> 34 & 0b1111, 6)  # 24 kHz
                self.assertEqual(header >> 30 & 0b111, 1)  # one channel
                self.assertEqual(header & 0x1FFF, 0x7FF << 2)
                size = header >> 13 & 0x1FFF
                self.assertEqual(sound[position + 7 : position + size], b"\0\0\0\x07")
                position += size
                frames += 1
            self.assertEqual(position, len(sound))
            self.assertEqual(frames, -(-round(seconds * SAMPLE_RATE) // 1024))


class FlacTests(SynchronousTestCase):
    """FLAC."""

    def test_the_stream_info_describes_the_samples(self) -> None:
        for transcript, seconds in TRANSCRIPTS.items():
            sound, samples = speak(transcript, "flac"), round(seconds * SAMPLE_RATE)
            self.assertEqual(sound[:8], b"fLaC\x80\x00\x00\x22")
            block_sizes, bits = sound[8:12], int.from_bytes(sound[18:26], "big")
            self.assertEqual(block_sizes, b"\x10\x00\x10\x00")
            self.assertEqual(bits >> 44, SAMPLE_RATE)
            self.assertEqual(bits >> 41 & 0b111, 0)  # one channel
            self.assertEqual(bits >> 36 & 0b11111, 15)  # 16 bits
            self.assertEqual(bits & (1 << 36) - 1, samples)
            md5 = hashlib.md5(bytes(2 * samples), usedforsecurity=False).digest()
            self.assertEqual(sound[26:42], md5)

    def test_frames_are_numbered_checked_and_add_up_to_the_samples(self) -> None:
        """Each is sync, codes, number, size - 1, CRC-8, a constant subframe of 0, CRC-16."""
        sound = speak("long " * 99, "flac")[42:]
        frames = [sound[start : start + 13] for start in range(0, len(sound), 13)]
        total = 0
        for number, frame in enumerate(frames):
            self.assertEqual(frame[:5], b"\xff\xf8\x77\x08" + bytes([number]))
            self.assertEqual(silence.crc(frame[:8], 8, 0x07), 0)
            self.assertEqual(frame[8:11], bytes(3))
            self.assertEqual(silence.crc(frame, 16, 0x8005), 0)
            total += int.from_bytes(frame[5:7], "big") + 1
        self.assertEqual(total, round(MAX_SECONDS * SAMPLE_RATE))

    def test_a_frame_number_beyond_127_takes_more_bytes_as_in_utf8(self) -> None:
        """The sizes in the stream info then differ."""
        sound = silence.flac(4096 * 129)
        self.assertEqual(sound[12:18], b"\0\0\x0d\0\0\x0e")
        self.assertEqual(len(sound), 42 + 128 * 13 + 14)
        self.assertEqual(sound[-14:-8], b"\xff\xf8\x77\x08\xc2\x80")


class OpusTests(SynchronousTestCase):
    """Opus in Ogg."""

    def pages(self, sound: bytes) -> list[tuple[int, int, list[bytes]]]:
        """Return the flags, granule position and packets of each page, its checksum checked."""
        pages: list[tuple[int, int, list[bytes]]] = []
        while sound:
            magic, version, flags, granule, _, number, checksum, count = struct.unpack(
                "<4sBBqIIIB", sound[:27]
            )
            self.assertEqual((magic, version, number), (b"OggS", 0, len(pages)))
            sizes = sound[27 : 27 + count]
            end = 27 + count + sum(sizes)
            blank = sound[:22] + bytes(4) + sound[26:end]
            self.assertEqual(checksum, silence.crc(blank, 32, 0x04C11DB7))
            body = io.BytesIO(sound[27 + count : end])
            pages.append((flags, granule, [body.read(size) for size in sizes]))
            sound = sound[end:]
        return pages

    def test_it_starts_with_the_two_headers(self) -> None:
        head, tags, *_ = self.pages(speak(SENTENCE, "opus"))
        packet = struct.pack("<8sBBHIhB", b"OpusHead", 1, 1, 312, SAMPLE_RATE, 0, 0)
        self.assertEqual(head, (2, 0, [packet]))
        self.assertEqual(tags, (0, 0, [b"OpusTags\x07\0\0\0fakellm\0\0\0\0"]))

    def test_the_last_page_trims_the_sound_to_its_length(self) -> None:
        """Granule positions count 48 kHz samples, the 312 of the pre-skip among them."""
        for transcript, seconds in TRANSCRIPTS.items():
            pages = self.pages(speak(transcript, "opus"))[2:]
            self.assertEqual([flags for flags, _, _ in pages], [0] * (len(pages) - 1) + [4])
            packets = [packet for _, _, page in pages for packet in page]
            self.assertEqual(set(packets), {b"\xf8\xff\xfe"})
            _, end, _ = pages[-1]
            self.assertEqual(end - 312, round(seconds * 48_000))
            self.assertEqual(len(packets), -(-end // 960))

    def test_every_page_but_the_last_counts_what_it_completes(self) -> None:
        pages = self.pages(speak("long " * 99, "opus"))[2:]
        self.assertEqual([g for _, g, _ in pages[:-1]], [48_000 * i for i in range(1, len(pages))])


class CrcTests(SynchronousTestCase):
    """The checksums themselves, against the catalogue's check values for `123456789`."""

    def test_check_values(self) -> None:
        self.assertEqual(silence.crc(b"123456789", 8, 0x07), 0xF4)  # CRC-8/SMBUS
        self.assertEqual(silence.crc(b"123456789", 16, 0x8005), 0xFEE8)  # CRC-16/UMTS
        # CRC-32/CKSUM without the final inversion, which Ogg leaves out
        self.assertEqual(silence.crc(b"123456789", 32, 0x04C11DB7) ^ 0xFFFFFFFF, 0x765E7680)
