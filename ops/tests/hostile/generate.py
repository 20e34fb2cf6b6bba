#!/usr/bin/env python3
"""Writes the files of this folder: small ones that cost a decoder much. Needs nothing but Python."""

import struct
import zlib
from pathlib import Path

FOLDER = Path(__file__).parent


class LowFirst:
    """Bits of WebP's lossless streams, the lowest of a byte first."""

    def __init__(self):
        self.bits = []

    def put(self, value, count):
        self.bits.extend(value >> bit & 1 for bit in range(count))

    def bytes(self):
        bits = self.bits + [0] * (-len(self.bits) % 8)
        return bytes(sum(bit << at for at, bit in enumerate(bits[first : first + 8])) for first in range(0, len(bits), 8))

    def flat_code(self, length):
        """2 ** length symbols of that length."""
        order = [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]
        at = order.index(length)
        count = max(4, at + 1)
        self.put(0, 1)
        self.put(count - 4, 4)
        for place in range(count):
            self.put(place == at, 3)
        most = (1 << length) - 2
        half = next(half for half in range(8) if 1 << (2 + 2 * half) > most)
        self.put(1, 1)
        self.put(half, 3)
        self.put(most, 2 + 2 * half)

    def single_code(self):
        """The symbol 0, which takes no bit."""
        self.put(1, 1)
        self.put(0, 3)

    def double_code(self):
        """The symbols 0 and 255, of a bit each."""
        self.put(0b0011, 4)
        self.put(255, 8)

    def flat_symbol(self, symbol, length):
        self.put(int(format(symbol, f"0{length}b")[::-1], 2), length)

    def groups(self, blocks, groups, whole):
        """An image without transforms: a group for each block in turn, and the codes of all where it is whole."""
        self.put(0, 1)
        self.put(1, 1)
        self.put(11, 4)  # a color cache of 11 bits, which makes for the largest tables
        self.put(1, 1)
        self.put(0, 3)  # blocks of 4 x 4 pixels
        self.put(0, 1)
        self.flat_code(8)
        self.flat_code(8)
        for _ in range(3):
            self.single_code()
        for block in range(blocks):
            group = groups - 1 if block == blocks - 1 else min(block, groups - 1)
            self.flat_symbol(group & 255, 8)
            self.flat_symbol(group >> 8, 8)
        if whole:
            for _ in range(groups):
                self.flat_code(11)
                for _ in range(3):
                    self.double_code()
                self.single_code()


def webp(*chunks):
    body = b"WEBP"
    for kind, data in chunks:
        body += kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_groups(side, groups, whole):
    bits = LowFirst()
    bits.put(0x2F, 8)
    bits.put(side - 1, 14)
    bits.put(side - 1, 14)
    bits.put(0, 4)
    bits.groups((side + 3) // 4 * ((side + 3) // 4), groups, whole)
    if whole:
        bits.put(0, 14 * side * side)
    return webp((b"VP8L", bits.bytes() + b"\0" * 8))


def webp_blocks(side):
    """A predictor for each 4 x 4 pixels."""
    bits = LowFirst()
    bits.put(0x2F, 8)
    bits.put(side - 1, 14)
    bits.put(side - 1, 14)
    bits.put(0, 4)
    bits.put(1, 1)
    bits.put(0, 5)
    bits.put(0, 1)
    for _ in range(5):
        bits.single_code()
    return webp((b"VP8L", bits.bytes() + b"\0" * 8))


def webp_alpha(groups):
    lossy = (FOLDER / "../corpus/lossy.webp").read_bytes()[20:]
    bits = LowFirst()
    bits.groups(12 * 8, groups, False)
    size = struct.pack("<I", 47)[:3] + struct.pack("<I", 31)[:3]
    return webp((b"VP8X", b"\x10\0\0\0" + size), (b"ALPH", b"\x01" + bits.bytes() + b"\0" * 8), (b"VP8 ", lossy))


def segment(marker, data):
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def jpeg_scans(width, height, scans):
    """Three components without any detail, each in so many scans."""
    blocks = (width + 7) // 8 * ((height + 7) // 8)
    file = b"\xff\xd8" + segment(0xDB, b"\0" + b"\x01" * 64)
    components = b"".join(bytes([number, 0x11, 0]) for number in (1, 2, 3))
    file += segment(0xC2, struct.pack(">BHHB", 8, height, width, 3) + components)
    file += segment(0xC4, b"\0" + bytes([1, 1] + [0] * 14) + b"\0\1")
    file += segment(0xC4, b"\x10" + bytes([1, 1] + [0] * 14) + b"\xe0\1")
    file += segment(0xDA, bytes([3, 1, 0, 2, 0, 3, 0, 0, 0, 0])) + b"\0" * (blocks * 3 // 8 + 1)
    # A bit for runs of blocks, and 14 for their number, 32,767 each.
    runs = "0" + "1" * 14
    codes = runs * -(-blocks // 32_767)
    codes += "1" * (-len(codes) % 8)
    codes = bytes(int(codes[at : at + 8], 2) for at in range(0, len(codes), 8)).replace(b"\xff", b"\xff\0")
    for _ in range(scans - 1):
        for number in (1, 2, 3):
            file += segment(0xDA, bytes([1, number, 0, 1, 63, 0])) + codes
    return file + b"\xff\xd9"


def jpeg_markers(count):
    file = (FOLDER / "../corpus/gray.jpg").read_bytes()
    return file[:2] + b"\xff\xe1\0\x02" * count + file[2:]


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(before, pixels):
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 48, 32, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + before + pixels + png_chunk(b"IEND", b"")


def png_texts(length, texts):
    """A profile of so many bytes, whose name is all of it, so many times."""
    place = 144
    header = struct.pack(">I4x", length) + b"\4\0\0\0mntrRGB XYZ " + b"\0" * 12 + b"acsp" + b"\0" * 88
    tags = struct.pack(">I4sII", 1, b"desc", place, length - place)
    first = 16 + 12 * texts
    record = b"enGB" + struct.pack(">II", length - place - first, first)
    profile = header + tags + b"mluc\0\0\0\0" + struct.pack(">II", texts, 12) + record * texts
    profile += b"a" * (length - len(profile))
    pixels = png_chunk(b"IDAT", zlib.compress((b"\0" + b"\x40" * 144) * 32))
    return png(png_chunk(b"iCCP", b"a\0\0" + zlib.compress(profile, 9)), pixels)


def png_runs(count):
    empty = png_chunk(b"IDAT", b"") + png_chunk(b"abCd", b"")
    return png(b"", empty * count + png_chunk(b"IDAT", zlib.compress((b"\0" + b"\x40" * 144) * 32)))


def gif(screen, frame, before=b""):
    """A frame of zeros, as runs that grow by one each."""
    codes, bits, width, length, left = [], 0, 3, 0, frame[0] * frame[1]

    def put(code):
        nonlocal bits
        codes.append((code, bits, width))
        bits += width

    put(4)
    while left > 0:
        length += 1
        run = min(length, left)
        put(0 if run == 1 else 4 + run)
        left -= run
        if 5 + length >= 1 << width and width < 12:
            width += 1
        if 5 + length >= 4094:
            put(4)
            width, length = 3, 0
    put(5)
    data = sum_of(codes, bits)
    blocks = b"".join(bytes([len(data[at : at + 255])]) + data[at : at + 255] for at in range(0, len(data), 255))
    file = b"GIF89a" + struct.pack("<HHBBB", *screen, 0x80, 0, 0) + b"\x28\x50\x78\xff\xff\xff" + before
    return file + b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\2" + blocks + b"\0;"


def sum_of(codes, bits):
    data = bytearray(bits // 8 + 4)
    for code, at, _ in codes:
        value = int.from_bytes(data[at // 8 : at // 8 + 4], "little") | code << at % 8
        data[at // 8 : at // 8 + 4] = value.to_bytes(4, "little")
    return bytes(data[: bits // 8 + 1])


for name, file in {
    "webp-groups-2600.webp": webp_groups(204, 2600, True),
    "webp-groups-2601.webp": webp_groups(204, 2601, False),
    "webp-blocks-16383.webp": webp_blocks(16_383),
    "webp-alpha-groups-65536.webp": webp_alpha(65_536),
    "jpeg-scans-16.jpg": jpeg_scans(4000, 3000, 16),
    "jpeg-scans-17.jpg": jpeg_scans(4000, 3000, 17),
    "jpeg-scans-103.jpg": jpeg_scans(16, 16, 35),
    "jpeg-markers-9000.jpg": jpeg_markers(9000),
    "jpeg-markers-20000.jpg": jpeg_markers(20_000),
    "png-icc-texts.png": png_texts(2 << 20, 300),
    "png-runs-1000.png": png_runs(999),
    "png-runs-2000.png": png_runs(1999),
    "gif-frame-4000x3000.gif": gif((1, 1), (4000, 3000)),
    "gif-strays-2000.gif": gif((48, 32), (48, 32), b"\x21\xfe\0\0" * 2000),
    "gif-blocks-50000.gif": gif((48, 32), (48, 32), b"\x21\xfe\0" * 50_000),
}.items():
    (FOLDER / name).write_bytes(file)
