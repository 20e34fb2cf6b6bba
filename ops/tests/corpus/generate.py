#!/usr/bin/env python3
"""Makes the pictures in this folder. Needs Pillow, and cjpeg and jpegtran of libjpeg-turbo.

All show the same four quarters of 48 x 32 pixels (red, green; blue, yellow) unless their line in
README.md says otherwise. Run it in this folder; it overwrites what is there.
"""
import io
import struct
import subprocess
import zlib
from pathlib import Path

from PIL import Image, ImageCms

W, H = 48, 32
RED, GREEN, BLUE, YELLOW = (200, 40, 40), (40, 160, 60), (40, 60, 200), (230, 220, 60)
HERE = Path(__file__).parent


def quarter(x, y, w=W, h=H):
    return (0 if x < w // 2 else 1) + (0 if y < h // 2 else 2)


def quarters(colors=(RED, GREEN, BLUE, YELLOW), mode="RGB"):
    image = Image.new(mode, (W, H))
    image.putdata([colors[quarter(x, y)] for y in range(H) for x in range(W)])
    return image


def gray(color):
    r, g, b = color
    return round(0.299 * r + 0.587 * g + 0.114 * b)


GRAYS = tuple(gray(c) for c in (RED, GREEN, BLUE, YELLOW))


def save(name, data):
    (HERE / name).write_bytes(data)


def encoded(image, form, **options):
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def run(command, data):
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


# --- ICC profiles, written by hand so that their values are known -------------------------------

def icc(device, pcs, space, tags):
    """A version 2 profile of class `device` with the given tags."""
    table, body, offset = b"", b"", 128 + 4 + 12 * len(tags)
    for name, data in tags:
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", offset + len(body), len(data))
        body += data
    size = offset + len(body)
    header = struct.pack(">I4sI4s4s4s12s4s", size, bytes(4), 0x02400000, device, space, pcs,
                         struct.pack(">6H", 2024, 1, 1, 0, 0, 0), b"acsp")
    header += bytes(24) + struct.pack(">I", 0) + struct.pack(">iii", 0xF6D6, 0x10000, 0xD32D)
    header += bytes(128 - len(header))
    return header + struct.pack(">I", len(tags)) + table + body


def s15(value):
    return struct.pack(">i", round(value * 65536))


def xyz(x, y, z):
    return b"XYZ \0\0\0\0" + s15(x) + s15(y) + s15(z)


def curve(gamma):
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def parametric_srgb():
    return (b"para\0\0\0\0" + struct.pack(">HH", 3, 0)
            + b"".join(s15(v) for v in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)))


def text(value):
    return b"text\0\0\0\0" + value + b"\0"


WHITE = (b"wtpt", xyz(0.9642, 1.0, 0.8249))
COPYRIGHT = (b"cprt", text(b"public domain"))


def display_p3():
    """Display P3, with the colorants of Apple's profile."""
    trc = parametric_srgb()
    return icc(b"mntr", b"XYZ ", b"RGB ", [
        (b"rXYZ", xyz(0.51512, 0.2412, -0.00105)), (b"gXYZ", xyz(0.29198, 0.69225, 0.04189)),
        (b"bXYZ", xyz(0.1571, 0.06657, 0.78407)), (b"rTRC", trc), (b"gTRC", trc), (b"bTRC", trc),
        WHITE, COPYRIGHT])


def gray_gamma(gamma):
    return icc(b"mntr", b"XYZ ", b"GRAY", [(b"kTRC", curve(gamma)), WHITE, COPYRIGHT])


def lut8(corners, inputs):
    """A lut8 tag with two grid points per input; `corners` are Lab, the first input outermost."""
    ramp = bytes(range(256))
    lab = b"".join(bytes((round(l * 2.55), round(a + 128), round(b + 128))) for l, a, b in corners)
    matrix = b"".join(s15(v) for v in (1, 0, 0, 0, 1, 0, 0, 0, 1))
    return b"mft1\0\0\0\0" + bytes((inputs, 3, 2, 0)) + matrix + ramp * inputs + lab + ramp * 3


def cmyk_profile():
    """Paper is Lab 100; C, M, Y take away lightness and add a cast; K makes black."""
    corners = []
    for c in (0, 1):
        for m in (0, 1):
            for y in (0, 1):
                for k in (0, 1):
                    light = 100 - 30 * c - 40 * m - 10 * y
                    lab = (light, -30 * c + 60 * m, -40 * c + 70 * y)
                    corners.append((0, 0, 0) if k else lab)
    return icc(b"prtr", b"Lab ", b"CMYK", [(b"A2B0", lut8(corners, 4)), WHITE, COPYRIGHT])


def rgb_lut_profile():
    """An RGB profile that shows every picture in gray: lightness is 50 of 100 for pure green."""
    corners = []
    for r in (0, 1):
        for g in (0, 1):
            for b in (0, 1):
                corners.append((30 * r + 50 * g + 20 * b, 0, 0))
    return icc(b"scnr", b"Lab ", b"RGB ", [(b"A2B0", lut8(corners, 3)), WHITE, COPYRIGHT])


BROKEN_ICC = display_p3()[:200] + b"\xff" * 100


# --- JPEG ----------------------------------------------------------------------------------------

def exif(orientation):
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


def jpegs():
    T = Image.Transpose
    # What has to be stored for the orientation to bring the quarters back.
    stored = {1: None, 2: T.FLIP_LEFT_RIGHT, 3: T.ROTATE_180, 4: T.FLIP_TOP_BOTTOM, 5: T.TRANSPOSE,
              6: T.ROTATE_90, 7: T.TRANSVERSE, 8: T.ROTATE_270}
    for value, how in stored.items():
        image = quarters() if how is None else quarters().transpose(how)
        data = encoded(image, "JPEG", quality=92, exif=exif(value), optimize=True)
        save(f"orientation-{value}.jpg", data)
    best = dict(quality=95, subsampling=0)
    baseline = encoded(quarters(), "JPEG", **best)
    save("baseline.jpg", baseline)
    save("subsampled.jpg", encoded(quarters(), "JPEG", quality=90, subsampling=2))
    save("progressive.jpg", encoded(quarters(), "JPEG", progressive=True, **best))
    save("gray.jpg", encoded(quarters(GRAYS, "L"), "JPEG", quality=95))
    save("gray-progressive.jpg", encoded(quarters(GRAYS, "L"), "JPEG", quality=95, progressive=True))
    save("gray-profile.jpg", encoded(quarters(GRAYS, "L"), "JPEG", quality=95, icc_profile=gray_gamma(1.0)))
    save("restarts.jpg", run(["jpegtran", "-restart", "1"], baseline))
    scans = HERE / "scans.txt"
    scans.write_text("0;\n1;\n2;\n")
    save("one-scan-per-component.jpg", run(["jpegtran", "-scans", str(scans)], baseline))
    scans.unlink()
    ppm = b"P6 %d %d 255\n" % (W, H) + quarters().tobytes()
    save("rgb.jpg", run(["cjpeg", "-rgb", "-quality", "95"], ppm))
    save("display-p3.jpg", encoded(quarters(), "JPEG", icc_profile=display_p3(), **best))
    save("srgb.jpg", encoded(quarters(), "JPEG", icc_profile=ImageCms.ImageCmsProfile(
        ImageCms.createProfile("sRGB")).tobytes(), **best))
    save("rgb-lut-profile.jpg", encoded(quarters(), "JPEG", icc_profile=rgb_lut_profile(), **best))
    save("broken-icc.jpg", encoded(quarters(), "JPEG", icc_profile=BROKEN_ICC, **best))
    # Bytes between segments: libjpeg warns, and loses nothing.
    at = baseline.index(b"\xff\xdb")
    save("extraneous-bytes.jpg", baseline[:at] + b"\x00\x11\x22" + baseline[at:])

    inks = [(0, 255, 255, 0), (255, 0, 255, 0), (255, 255, 0, 0), (0, 0, 255, 51)]
    cmyk = quarters(inks, "CMYK")
    adobe = encoded(cmyk, "JPEG", quality=95, subsampling=0)          # inverted, Adobe marker
    save("cmyk-adobe.jpg", adobe)
    flipped = encoded(quarters([tuple(255 - i for i in c) for c in inks], "CMYK"), "JPEG", quality=95, subsampling=0)
    save("cmyk.jpg", without_marker(flipped, 0xEE))                   # plain inks, no Adobe marker
    save("cmyk-profile.jpg", encoded(cmyk, "JPEG", quality=95, subsampling=0, icc_profile=cmyk_profile()))
    save("ycck.jpg", ycck(inks))


def without_marker(data, marker):
    at = data.index(bytes((0xFF, marker)))
    (length,) = struct.unpack(">H", data[at + 2:at + 4])
    return data[:at] + data[at + 2 + length:]


def ycck(inks):
    """YCCK with the Adobe marker: the inverted inks C, M, Y stored as YCbCr of (C, M, Y) of libjpeg."""
    def component(r, g, b, k):
        y = 0.299 * r + 0.587 * g + 0.114 * b
        return (round(y), round(128 + (b - y) / 1.772), round(128 + (r - y) / 1.402), k)
    # libjpeg reads CMY as 255 - RGB of the YCC; Adobe's files hold inverted inks.
    planes = []
    for c, m, y, k in inks:
        stored = tuple(255 - v for v in (c, m, y, k))
        planes.append(component(*(255 - v for v in stored[:3]), stored[3]))
    # Pillow inverts what it is given, and codes the four planes as they are.
    data = encoded(quarters([tuple(min(255, max(0, 255 - v)) for v in p) for p in planes], "CMYK"),
                   "JPEG", quality=95, subsampling=0)
    at = data.index(b"\xff\xee")
    transform = at + 4 + 11
    return data[:transform] + b"\x02" + data[transform + 1:]


# --- PNG -----------------------------------------------------------------------------------------

def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def png(color, depth, pixel, before=(), after=(), interlaced=False, size=(W, H)):
    """`pixel(x, y)` gives the samples of a pixel."""
    w, h = size

    def rows(xs, ys):
        out = b""
        for y in ys:
            samples = [s for x in xs for s in pixel(x, y)]
            if depth == 16:
                line = b"".join(struct.pack(">H", s) for s in samples)
            else:
                bits = "".join(format(s, f"0{depth}b") for s in samples)
                bits += "0" * (-len(bits) % 8)
                line = int(bits, 2).to_bytes(len(bits) // 8, "big")
            out += b"\0" + line
        return out

    if interlaced:
        raw = b"".join(rows(range(x, w, dx), range(y, h, dy)) for x, y, dx, dy in ADAM7
                       if x < w and y < h)
    else:
        raw = rows(range(w), range(h))
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, color, 0, 0, interlaced))
    data += b"".join(chunk(kind, value) for kind, value in before)
    packed = zlib.compress(raw, 9)
    half = len(packed) // 2
    data += chunk(b"IDAT", packed[:half]) + chunk(b"IDAT", packed[half:])
    data += b"".join(chunk(kind, value) for kind, value in after)
    return data + chunk(b"IEND", b"")


GRAY, RGB, PALETTE, GRAY_ALPHA, RGBA = 0, 2, 3, 4, 6
ALPHAS = (255, 128, 0, 51)


def pngs():
    colors = (RED, GREEN, BLUE, YELLOW)
    rgb8 = lambda x, y: colors[quarter(x, y)]
    # Not multiples of 257: the low byte counts.
    wide = lambda s: s * 256 + 3
    save("gray-1.png", png(GRAY, 1, lambda x, y: (quarter(x, y) & 1,)))
    save("gray-2.png", png(GRAY, 2, lambda x, y: (quarter(x, y),)))
    save("gray-4.png", png(GRAY, 4, lambda x, y: (quarter(x, y) * 5,)))
    save("gray-8.png", png(GRAY, 8, lambda x, y: (GRAYS[quarter(x, y)],)))
    save("gray-16.png", png(GRAY, 16, lambda x, y: (wide(GRAYS[quarter(x, y)]),)))
    save("gray-trns.png", png(GRAY, 8, lambda x, y: (GRAYS[quarter(x, y)],), [(b"tRNS", struct.pack(">H", GRAYS[2]))]))
    save("gray-alpha-8.png", png(GRAY_ALPHA, 8, lambda x, y: (GRAYS[quarter(x, y)], ALPHAS[quarter(x, y)])))
    save("gray-alpha-16.png", png(GRAY_ALPHA, 16,
                                  lambda x, y: (wide(GRAYS[quarter(x, y)]), ALPHAS[quarter(x, y)] * 257)))
    save("rgb-8.png", png(RGB, 8, rgb8))
    save("rgb-16.png", png(RGB, 16, lambda x, y: tuple(wide(s) for s in rgb8(x, y))))
    save("rgb-trns.png", png(RGB, 8, rgb8, [(b"tRNS", struct.pack(">HHH", *BLUE))]))
    save("rgb-16-trns.png", png(RGB, 16, lambda x, y: tuple(wide(s) for s in rgb8(x, y)),
                                [(b"tRNS", struct.pack(">HHH", *(wide(s) for s in BLUE)))]))
    save("rgba-8.png", png(RGBA, 8, lambda x, y: rgb8(x, y) + (ALPHAS[quarter(x, y)],)))
    save("rgba-16.png", png(RGBA, 16, lambda x, y: tuple(wide(s) for s in rgb8(x, y))
                            + (ALPHAS[quarter(x, y)] * 257,)))
    table = b"".join(bytes(c) for c in colors)
    for depth in (2, 4, 8):
        save(f"palette-{depth}.png", png(PALETTE, depth, lambda x, y: (quarter(x, y),), [(b"PLTE", table)]))
    save("palette-1.png", png(PALETTE, 1, lambda x, y: (quarter(x, y) & 1,), [(b"PLTE", table[:6])]))
    save("palette-trns.png", png(PALETTE, 8, lambda x, y: (quarter(x, y),),
                                 [(b"PLTE", table), (b"tRNS", bytes(ALPHAS[:3]))]))
    for name, color, depth, pixel in [
        ("interlaced-gray-1.png", GRAY, 1, lambda x, y: (quarter(x, y) & 1,)),
        ("interlaced-rgb-8.png", RGB, 8, rgb8),
        ("interlaced-rgba-16.png", RGBA, 16,
         lambda x, y: tuple(wide(s) for s in rgb8(x, y)) + (ALPHAS[quarter(x, y)] * 257,)),
    ]:
        save(name, png(color, depth, pixel, interlaced=True))
    save("interlaced-palette.png",
         png(PALETTE, 2, lambda x, y: (quarter(x, y),), [(b"PLTE", table)], interlaced=True))

    profile = lambda data: (b"iCCP", b"profile\0\0" + zlib.compress(data, 9))
    save("display-p3.png", png(RGB, 8, rgb8, [profile(display_p3())]))
    save("display-p3-16.png", png(RGBA, 16, lambda x, y: tuple(s * 257 for s in rgb8(x, y)) + (65535,),
                                  [profile(display_p3())]))
    save("cmyk-icc-in-rgb.png", png(RGB, 8, rgb8, [profile(cmyk_profile())]))
    save("broken-icc.png", png(RGB, 8, rgb8, [profile(BROKEN_ICC)]))
    save("icc-bomb.png", png(RGB, 8, rgb8, [profile(bytes(16_000_000))]))
    save("text-bomb.png", png(RGB, 8, rgb8, [(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(16_000_000), 9)),
                                             (b"iTXt", b"More\0\1\0\0\0" + zlib.compress(bytes(16_000_000), 9))]))
    save("gray-profile.png", png(GRAY_ALPHA, 8, lambda x, y: (GRAYS[quarter(x, y)], ALPHAS[quarter(x, y)]),
                                 [profile(gray_gamma(1.0))]))
    gamma = lambda value: (b"gAMA", struct.pack(">I", value))
    save("gamma-srgb.png", png(RGB, 8, rgb8, [gamma(45455)]))
    save("gamma-1.png", png(RGB, 8, rgb8, [gamma(100000)]))
    save("gamma-1-gray.png", png(GRAY, 8, lambda x, y: (GRAYS[quarter(x, y)],), [gamma(100000)]))
    save("srgb-over-gamma.png", png(RGB, 8, rgb8, [(b"sRGB", b"\0"), gamma(100000)]))
    p3 = struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
    save("primaries-p3.png", png(RGB, 8, rgb8, [gamma(45455), (b"cHRM", p3)]))
    turned = quarters().transpose(Image.Transpose.ROTATE_90)
    side = lambda x, y: turned.getpixel((x, y))
    block = exif(6)[6:]
    save("exif-6.png", png(RGB, 8, side, [(b"eXIf", block)], size=(H, W)))
    save("exif-6-at-the-end.png", png(RGB, 8, side, after=[(b"eXIf", block)], size=(H, W)))
    save("exif-6-interlaced-16.png", png(RGB, 16, lambda x, y: tuple(s * 257 for s in side(x, y)),
                                         [(b"eXIf", block)], interlaced=True, size=(H, W)))


# --- WebP and GIF --------------------------------------------------------------------------------

def webps():
    clear = quarters(tuple(c + (a,) for c, a in zip((RED, GREEN, BLUE, YELLOW), ALPHAS)), "RGBA")
    save("lossy.webp", encoded(quarters(), "WEBP", quality=90))
    save("lossless.webp", encoded(quarters(), "WEBP", lossless=True))
    save("lossy-alpha.webp", encoded(clear, "WEBP", quality=90))
    save("lossless-alpha.webp", encoded(clear, "WEBP", lossless=True, exact=True))
    save("display-p3.webp", encoded(quarters(), "WEBP", lossless=True, icc_profile=display_p3()))
    save("broken-icc.webp", encoded(clear, "WEBP", lossless=True, exact=True, icc_profile=BROKEN_ICC))
    save("exif-6.webp", encoded(quarters().transpose(Image.Transpose.ROTATE_90), "WEBP", lossless=True, exif=exif(6)))
    second = Image.new("RGB", (W, H), (1, 2, 3))
    save("animated.webp", encoded(quarters(), "WEBP", lossless=True, save_all=True, append_images=[second], duration=100))
    save("animated-lossy.webp", encoded(clear, "WEBP", quality=90, save_all=True, append_images=[second], duration=100))
    # A first frame of 24 x 16 pixels in the lower right quarter of the canvas.
    part = encoded(Image.new("RGB", (W // 2, H // 2), YELLOW), "WEBP", lossless=True)[12:]
    u24 = lambda v: struct.pack("<I", v)[:3]
    frame = u24(W // 4) + u24(H // 4) + u24(W // 2 - 1) + u24(H // 2 - 1) + u24(100) + b"\0" + part
    riff = lambda kind, data: kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)
    body = riff(b"VP8X", struct.pack("<I", 0x02) + u24(W - 1) + u24(H - 1)) + riff(b"ANIM", bytes(6)) + riff(b"ANMF", frame)
    save("animated-offset.webp", riff(b"RIFF", b"WEBP" + body))


def gifs():
    table = [v for c in (RED, GREEN, BLUE, YELLOW) for v in c]

    def indexed(size=(W, H)):
        image = Image.new("P", size)
        image.putpalette(table)
        image.putdata([quarter(x, y, *size) for y in range(size[1]) for x in range(size[0])])
        return image

    save("plain.gif", encoded(indexed(), "GIF", interlace=False))
    save("interlaced.gif", encoded(indexed(), "GIF", interlace=True))
    save("transparent.gif", encoded(indexed(), "GIF", transparency=2))
    second = Image.new("P", (W, H), 1)
    second.putpalette(table)
    save("animated.gif", encoded(indexed(), "GIF", save_all=True, append_images=[second], duration=100))
    # The first frame moved into a screen of 60 x 40 pixels, at (8, 4).
    plain = bytearray(encoded(indexed(), "GIF", interlace=False))
    struct.pack_into("<HH", plain, 6, 60, 40)
    at = plain.index(b"\x2c\0\0\0\0" + struct.pack("<HH", W, H))
    struct.pack_into("<HH", plain, at + 1, 8, 4)
    save("offset.gif", bytes(plain))
    # The same beyond the right and lower edge: only its upper left 40 x 20 pixels show.
    struct.pack_into("<HH", plain, 6, 48, 24)
    save("over-the-edge.gif", bytes(plain))


for old in HERE.iterdir():
    if old.suffix in (".jpg", ".png", ".webp", ".gif"):
        old.unlink()
jpegs()
pngs()
webps()
gifs()
files = [f for f in HERE.iterdir() if f.suffix in (".jpg", ".png", ".webp", ".gif")]
print(len(files), "files,", sum(f.stat().st_size for f in files), "bytes")
