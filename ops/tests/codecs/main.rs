//! The codecs against a corpus of small files (see `corpus/README.md`), whole, cut and damaged;
//! round trips; limits.

mod cases;
mod hostile;
mod part;

use std::collections::BTreeMap;
use std::path::Path;

use imgflo_ops::codec::{self, CodecError, DecodeLimits, EncodeOptions, FileFormat, Part};
use imgflo_ops::{Cancel, Format, Image, OpError, Pixels, Rect};
use rand_mt::Mt;

const LIMITS: DecodeLimits = DecodeLimits::new(1 << 20, 4096);
const CORPUS: usize = 80;

fn corpus() -> BTreeMap<String, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let files: BTreeMap<String, Vec<u8>> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| FileFormat::from_extension(e.to_str().unwrap()).is_some()))
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap()))
        .collect();
    assert_eq!(files.len(), CORPUS);
    files
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name)).unwrap()
}

fn decode(bytes: &[u8]) -> Result<Image, CodecError> {
    codec::decode(bytes, LIMITS, &Cancel::new())
}

/// The pixel (x, y) in steps of 255, whatever the format; alpha last.
fn pixel(image: &Image, x: u32, y: u32) -> [f32; 4] {
    let at = (y * image.rect().width + x) as usize;
    match image.pixels() {
        Pixels::Rgb8(pixels) => {
            let [r, g, b] = pixels[at].map(f32::from);
            [r, g, b, 255.0]
        }
        Pixels::Rgba8(pixels) => pixels[at].map(f32::from),
        Pixels::Float(pixels) => pixels[at].map(|c| c * 255.0),
    }
}

type Quarters = [[u8; 3]; 4];

const RGBY: Quarters = [[200, 40, 40], [40, 160, 60], [40, 60, 200], [230, 220, 60]];
/// Y' = 0.299 R' + 0.587 G' + 0.114 B' of them.
const GRAYS: Quarters = [[88; 3], [113; 3], [70; 3], [205; 3]];
/// `GRAYS` taken for linear light.
const GRAYS_LINEAR: Quarters = [[159; 3], [178; 3], [143; 3], [232; 3]];
/// `RGBY` taken for Display P3, by the matrices of CSS Color 4, clipped.
const P3: Quarters = [[218, 0, 26], [0, 163, 40], [34, 61, 208], [232, 220, 0]];
/// `RGBY` taken for linear light.
const LINEAR: Quarters = [[229, 110, 110], [110, 208, 133], [110, 133, 229], [244, 239, 133]];
/// L* = 30 R' + 50 G' + 20 B' of `RGBY`, in sRGB.
const LIGHTNESS: Quarters = [[81; 3], [96; 3], [76; 3], [184; 3]];
/// Inks 0 1 1 0, 1 0 1 0, 1 1 0 0 and 0 0 1 0.2 by R = (1 - C)(1 - K).
const INKS: Quarters = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [204, 204, 0]];
/// The same inks by the profile in the file: Lab (50, 60, 70), (60, -30, 30), (30, 30, -40) and
/// (72, 0, 56), D50, in sRGB.
const INKS_PROFILE: Quarters = [[216, 60, 0], [101, 158, 89], [89, 53, 134], [199, 175, 68]];
const COLUMNS: Quarters = [[0; 3], [255; 3], [0; 3], [255; 3]];
const STEPS: Quarters = [[0; 3], [85; 3], [170; 3], [255; 3]];
const RED_GREEN: Quarters = [RGBY[0], RGBY[1], RGBY[0], RGBY[1]];

const OPAQUE: Option<[u8; 4]> = None;
const ALPHAS: Option<[u8; 4]> = Some([255, 128, 0, 51]);
const HOLE: Option<[u8; 4]> = Some([255, 255, 0, 255]);

struct Expected {
    size: (u32, u32),
    bits: u8,
    colors: Quarters,
    /// `None` for a format without alpha.
    alpha: Option<[u8; 4]>,
    /// In steps of 255.
    tolerance: f32,
    /// Where the middle of the first quarter is.
    first: (u32, u32),
}

fn expected(name: &str) -> Expected {
    let (colors, alpha, bits, tolerance) = match name {
        _ if name.starts_with("orientation-") => (RGBY, OPAQUE, 8, 3.0),
        "baseline.jpg"
        | "progressive.jpg"
        | "restarts.jpg"
        | "one-scan-per-component.jpg"
        | "rgb.jpg"
        | "srgb.jpg"
        | "broken-icc.jpg"
        | "extraneous-bytes.jpg" => (RGBY, OPAQUE, 8, 2.0),
        "subsampled.jpg" => (RGBY, OPAQUE, 8, 4.0),
        "gray.jpg" | "gray-progressive.jpg" => (GRAYS, OPAQUE, 8, 1.0),
        "gray-profile.jpg" => (GRAYS_LINEAR, OPAQUE, 8, 2.0),
        "display-p3.jpg" => (P3, OPAQUE, 8, 4.0),
        "rgb-lut-profile.jpg" => (LIGHTNESS, OPAQUE, 8, 3.0),
        "cmyk.jpg" | "cmyk-adobe.jpg" => (INKS, OPAQUE, 8, 2.0),
        "ycck.jpg" => (INKS, OPAQUE, 8, 3.0),
        "cmyk-profile.jpg" => (INKS_PROFILE, OPAQUE, 8, 4.0),

        "gray-1.png" | "interlaced-gray-1.png" => (COLUMNS, OPAQUE, 8, 0.0),
        "gray-2.png" | "gray-4.png" => (STEPS, OPAQUE, 8, 0.0),
        "gray-8.png" => (GRAYS, OPAQUE, 8, 0.0),
        "gray-trns.png" => (GRAYS, HOLE, 8, 0.0),
        "gray-alpha-8.png" => (GRAYS, ALPHAS, 8, 0.0),
        "gray-profile.png" => (GRAYS_LINEAR, ALPHAS, 8, 1.0),
        "gray-16.png" => (GRAYS, OPAQUE, 16, 0.95),
        "gray-alpha-16.png" => (GRAYS, ALPHAS, 16, 0.95),
        "rgb-8.png"
        | "palette-2.png"
        | "palette-4.png"
        | "palette-8.png"
        | "interlaced-rgb-8.png"
        | "interlaced-palette.png"
        | "cmyk-icc-in-rgb.png"
        | "broken-icc.png"
        | "icc-bomb.png"
        | "text-bomb.png"
        | "gamma-srgb.png"
        | "srgb-over-gamma.png"
        | "exif-6.png"
        | "exif-6-at-the-end.png" => (RGBY, OPAQUE, 8, 0.0),
        "palette-1.png" => (RED_GREEN, OPAQUE, 8, 0.0),
        "palette-trns.png" => (RGBY, Some([255, 128, 0, 255]), 8, 0.0),
        "rgb-trns.png" => (RGBY, HOLE, 8, 0.0),
        "rgba-8.png" => (RGBY, ALPHAS, 8, 0.0),
        "rgb-16.png" => (RGBY, OPAQUE, 16, 0.95),
        "rgb-16-trns.png" => (RGBY, HOLE, 16, 0.95),
        "rgba-16.png" | "interlaced-rgba-16.png" => (RGBY, ALPHAS, 16, 0.95),
        "exif-6-interlaced-16.png" => (RGBY, OPAQUE, 16, 0.001),
        "display-p3.png" | "primaries-p3.png" => (P3, OPAQUE, 8, 2.0),
        "display-p3-16.png" => (P3, Some([255; 4]), 16, 2.0),
        "gamma-1.png" => (LINEAR, OPAQUE, 8, 1.0),
        "gamma-1-gray.png" => (GRAYS_LINEAR, OPAQUE, 8, 1.0),

        "lossy.webp" => (RGBY, OPAQUE, 8, 5.0),
        "lossless.webp" | "exif-6.webp" | "animated.webp" => (RGBY, OPAQUE, 8, 0.0),
        "lossy-alpha.webp" | "animated-lossy.webp" => (RGBY, ALPHAS, 8, 6.0),
        "lossless-alpha.webp" | "broken-icc.webp" => (RGBY, ALPHAS, 8, 0.0),
        "display-p3.webp" => (P3, OPAQUE, 8, 2.0),
        "animated-offset.webp" => ([RGBY[3]; 4], Some([0, 0, 0, 255]), 8, 0.0),

        "plain.gif" | "interlaced.gif" | "animated.gif" => (RGBY, OPAQUE, 8, 0.0),
        "transparent.gif" => (RGBY, HOLE, 8, 0.0),
        "offset.gif" => (RGBY, Some([255; 4]), 8, 0.0),
        "over-the-edge.gif" => (RGBY, Some([255; 4]), 8, 0.0),
        _ => panic!("{name} is not expected"),
    };
    let (size, first) = match name {
        "offset.gif" => ((60, 40), (20, 12)),
        // Its screen is 48 x 24, the frame at (8, 4).
        "over-the-edge.gif" => ((56, 36), (20, 12)),
        _ => ((48, 32), (12, 8)),
    };
    Expected { size, bits, colors, alpha, tolerance, first }
}

#[test]
fn every_file_shows_its_colors() {
    for (name, bytes) in corpus() {
        let expected = expected(&name);
        let header = codec::read_header(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let image = decode(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((header.width, header.height), expected.size, "{name}");
        assert_eq!(image.rect(), Rect::sized(header.width, header.height), "{name}");
        assert_eq!((header.bits, header.alpha), (expected.bits, expected.alpha.is_some()), "{name}");
        assert_eq!(image.format(), header.pixel_format(), "{name}");
        assert_eq!(Some(header.format), FileFormat::from_extension(name.rsplit('.').next().unwrap()));
        let step = (24, if name == "over-the-edge.gif" { 15 } else { 16 });
        for quarter in 0..4 {
            let (x, y) =
                (expected.first.0 + quarter as u32 % 2 * step.0, expected.first.1 + quarter as u32 / 2 * step.1);
            let [r, g, b, a] = pixel(&image, x, y);
            let alpha = f32::from(expected.alpha.map_or(255, |alpha| alpha[quarter]));
            assert!((a - alpha).abs() <= 0.001, "{name}, quarter {quarter}: alpha {a}, not {alpha}");
            if alpha == 0.0 {
                continue;
            }
            for (is, ought) in [r, g, b].into_iter().zip(expected.colors[quarter].map(f32::from)) {
                let error = (is - ought).abs();
                assert!(
                    error <= expected.tolerance,
                    "{name}, quarter {quarter}: {r} {g} {b}, not {:?}",
                    expected.colors[quarter]
                );
            }
        }
    }
}

#[test]
fn sixteen_bits_keep_the_low_byte() {
    let image = decode(&file("rgba-16.png")).unwrap();
    assert_eq!(image.format(), Format::GAM);
    let Pixels::Float(pixels) = image.pixels() else { panic!() };
    let sample = |s: u32| (s * 256 + 3) as f32 / 65535.0;
    assert_eq!(pixels[0], [sample(200), sample(40), sample(40), 1.0]);
    assert_eq!(decode(&file("gray-16.png")).unwrap().format(), Format::GAM_OPAQUE);
}

#[test]
fn what_a_frame_does_not_cover_is_transparent() {
    for (name, clear) in [
        ("offset.gif", [(0, 0), (7, 20), (30, 3), (56, 20), (30, 36)]),
        ("animated-offset.webp", [(0, 0), (23, 31), (47, 15), (12, 8), (23, 15)]),
    ] {
        let image = decode(&file(name)).unwrap();
        for (x, y) in clear {
            assert_eq!(pixel(&image, x, y), [0.0; 4], "{name} at {x}, {y}");
        }
    }
    assert_eq!(pixel(&decode(&file("offset.gif")).unwrap(), 8, 4)[3], 255.0);
    assert_eq!(pixel(&decode(&file("over-the-edge.gif")).unwrap(), 7, 4)[3], 0.0);
    assert_eq!(pixel(&decode(&file("animated-offset.webp")).unwrap(), 24, 16)[3], 255.0);
}

#[test]
fn a_file_cut_anywhere_is_an_error_or_the_whole_picture() {
    let (mut cuts, mut whole) = (0, 0);
    for (name, bytes) in corpus() {
        let picture = decode(&bytes).unwrap();
        // What says which way up it is comes after the pixels.
        let turned_by_the_end = ["exif-6-at-the-end.png", "exif-6.webp"].contains(&name.as_str());
        let within = (0..1000).step_by(37).filter(|&at| at < bytes.len());
        let parts = [25, 50, 75, 99].map(|percent| bytes.len() * percent / 100);
        for at in within.chain(parts).chain([bytes.len() - 1]) {
            match decode(&bytes[..at]) {
                Ok(image) if turned_by_the_end => assert_eq!(image.rect().area(), picture.rect().area()),
                Ok(image) => {
                    assert!(image == picture, "{name} cut at {at} of {}", bytes.len());
                    whole += 1;
                }
                // The early end is named, whatever the decoder stumbled over.
                Err(CodecError::Cut { bytes: told, .. }) => assert_eq!(told, at, "{name}"),
                Err(CodecError::Unrecognised) => {}
                Err(error) => panic!("{name} cut at {at}: {error}"),
            }
            cuts += 1;
        }
    }
    assert!(cuts > 10 * CORPUS && (CORPUS / 2..CORPUS * 4).contains(&whole), "{cuts} cuts, {whole} without loss");
}

/// Counts the rows at the top that two pictures of one size have in common.
fn rows_in_common(a: &Image, b: &Image) -> u32 {
    assert_eq!((a.rect(), a.format()), (b.rect(), b.format()));
    let Rect { width, height, .. } = a.rect();
    let same = |y: &u32| (0..width).all(|x| pixel(a, x, *y) == pixel(b, x, *y));
    (0..height).take_while(same).count() as u32
}

#[test]
fn a_cut_file_is_read_as_far_as_it_goes_where_that_is_accepted() {
    let accepting = DecodeLimits { accept_cut: true, ..LIMITS };
    let (mut read, mut partly) = (0, 0);
    for (name, bytes) in corpus() {
        let picture = decode(&bytes).unwrap();
        assert!(codec::decode(&bytes, accepting, &Cancel::new()).unwrap() == picture, "{name}");
        for percent in [60, 80, 95] {
            let cut = &bytes[..bytes.len() * percent / 100];
            let Err(CodecError::Cut { .. }) = decode(cut) else { continue };
            // A header that is cut stays an error.
            if let Ok(image) = codec::decode(cut, accepting, &Cancel::new()) {
                assert_eq!(image.rect().area(), picture.rect().area(), "{name}");
                read += 1;
                partly += u32::from(image.rect() == picture.rect() && rows_in_common(&image, &picture) > 0);
            }
        }
        // What is broken otherwise stays so.
        if name == "rgb-8.png" {
            let mut broken = bytes.clone();
            let middle = bytes.len() / 2;
            broken[middle] ^= 0xff;
            assert!(codec::decode(&broken, accepting, &Cancel::new()).is_err());
        }
    }
    assert!(read > 80 && partly > 40, "{read} read, {partly} of them with rows of the picture");
}

#[test]
fn the_top_of_a_cut_photo_is_there() {
    let accepting = DecodeLimits { accept_cut: true, ..DecodeLimits::new(1 << 22, 1 << 12) };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../files");
    for (name, least) in [("lake.jpg", 0.4), ("leaf.png", 0.4), ("card.png", 0.2)] {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        let whole = codec::decode(&bytes, accepting, &Cancel::new()).unwrap();
        let cut = codec::decode(&bytes[..bytes.len() / 2], accepting, &Cancel::new()).unwrap();
        let common = f64::from(rows_in_common(&whole, &cut)) / f64::from(whole.rect().height);
        assert!((least..0.99).contains(&common), "{name}: {common}");
    }
    // At part of its size, too.
    let bytes = std::fs::read(folder.join("lake.jpg")).unwrap();
    let header = codec::read_header(&bytes).unwrap();
    let window = header.reducible.unwrap().by(4).rect();
    let part = Some(Part { eighths: 4, window });
    let read = |bytes: &[u8]| codec::decode_part(bytes, part, accepting, &Cancel::new()).unwrap();
    // libjpeg reads what our own reader gives up; they take means in other ways.
    let (whole, cut) = (read(&bytes), read(&bytes[..bytes.len() / 2]));
    let top = (0..window.height * 2 / 5).flat_map(|y| (0..window.width).map(move |x| (x, y)));
    let difference = top.map(|(x, y)| (pixel(&whole, x, y)[1] - pixel(&cut, x, y)[1]).abs());
    let pixels = f64::from(window.width) * f64::from(window.height * 2 / 5);
    let mean = difference.map(f64::from).sum::<f64>() / pixels;
    assert!(mean < 2.0, "{mean}");
}

#[test]
fn a_whole_file_that_is_broken_does_not_end_early() {
    for name in ["rgb-8.png", "baseline.jpg", "lossy.webp"] {
        let mut bytes = file(name);
        let middle = bytes.len() / 2;
        bytes[middle..middle + 4].copy_from_slice(&[0xff, 0xda, 0xff, 0xc0]);
        match decode(&bytes) {
            Ok(_) => assert!(!name.ends_with("png"), "{name} has checksums"),
            Err(error) => assert!(!error.to_string().contains("ends early"), "{name}: {error}"),
        }
    }
}

#[test]
fn damaged_files_do_no_harm() {
    let mut random = Mt::new(7);
    let (mut read, mut refused) = (0, 0);
    for (name, bytes) in corpus() {
        for _ in 0..200 {
            let mut damaged = bytes.clone();
            for _ in 0..1 + random.next_u32() % 3 {
                let at = random.next_u32() as usize % damaged.len();
                damaged[at] ^= 1 << (random.next_u32() % 8);
            }
            match decode(&damaged) {
                Ok(image) => {
                    assert!(image.rect().area() <= LIMITS.pixels, "{name}");
                    read += 1;
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert_eq!(read + refused, 200 * CORPUS);
    assert!(read > CORPUS && refused > CORPUS, "{read} read, {refused} refused");
}

#[test]
fn png_checksums_are_checked() {
    let bytes = file("rgb-8.png");
    for (kind, counts) in [(b"IHDR", true), (b"IDAT", true), (b"IEND", false)] {
        let at = bytes.windows(4).position(|bytes| bytes == kind).unwrap();
        let length = u32::from_be_bytes(bytes[at - 4..at].try_into().unwrap()) as usize;
        let mut damaged = bytes.clone();
        damaged[at + 4 + length] ^= 1;
        match decode(&damaged) {
            Err(CodecError::Broken { .. }) => assert!(counts, "{}", kind.escape_ascii()),
            other => assert!(!counts && other == decode(&bytes), "{}", kind.escape_ascii()),
        }
    }
}

#[test]
fn an_interlaced_or_turned_png_takes_memory_beside_its_pixels() {
    // 48 x 32 pixels as shown; 32 rows of what is stored are turned together.
    for (name, bytes) in [
        ("rgb-8.png", 0),
        ("rgba-16.png", 0),
        ("interlaced-rgb-8.png", 48 * 32 * 4),
        ("interlaced-rgba-16.png", 48 * 32 * 8),
        ("exif-6.png", 32 * 32 * 4),
        ("exif-6-interlaced-16.png", 48 * 32 * 8 + 32 * 32 * 16),
    ] {
        assert_eq!(codec::read_header(&file(name)).unwrap().working_memory, bytes, "{name}");
    }
}

#[test]
fn limits_hold_to_the_pixel() {
    for name in ["baseline.jpg", "orientation-6.jpg", "rgb-8.png", "interlaced-rgba-16.png", "lossy.webp", "plain.gif"]
    {
        let bytes = file(name);
        let decode = |pixels, side| codec::decode(&bytes, DecodeLimits::new(pixels, side), &Cancel::new());
        assert!(decode(48 * 32, 48).is_ok(), "{name}");
        let (width, height) = (48, 32);
        assert_eq!(
            decode(48 * 32 - 1, 48).unwrap_err(),
            CodecError::TooManyPixels { width, height, limit: 1535 },
            "{name}"
        );
        assert_eq!(decode(48 * 32, 47).unwrap_err(), CodecError::SideTooLong { width, height, limit: 47 }, "{name}");
    }
}

/// A PNG that claims a size, with a checksum that fits.
fn claiming_png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = file("rgb-8.png");
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let crc = crc32(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// PNG specification, annex D.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 })
    })
}

#[test]
fn claims_are_refused_before_pixels() {
    let limits = DecodeLimits::new(50_000_000, 20_000);
    let refused = |bytes: &[u8]| codec::decode(bytes, limits, &Cancel::new()).unwrap_err();
    let header = codec::read_header(&claiming_png(1, 500_000_000)).unwrap();
    assert_eq!((header.width, header.height), (1, 500_000_000));
    for (width, height) in [(1, 500_000_000), (500_000_000, 1), (i32::MAX as u32, i32::MAX as u32), (20_001, 1)] {
        let error = refused(&claiming_png(width, height));
        assert_eq!(error, CodecError::SideTooLong { width, height, limit: 20_000 });
    }
    let error = refused(&claiming_png(10_000, 10_000));
    assert_eq!(error, CodecError::TooManyPixels { width: 10_000, height: 10_000, limit: 50_000_000 });
    assert!(matches!(refused(&claiming_png(0, 1)), CodecError::Broken { .. }));
    // The right size, too few pixels.
    assert!(matches!(refused(&claiming_png(48, 5000)), CodecError::Broken { .. }));

    let mut jpeg = file("baseline.jpg");
    let frame = jpeg.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xdc, 0xff, 0xdc]);
    let error = refused(&jpeg);
    assert_eq!(error, CodecError::SideTooLong { width: 65_500, height: 65_500, limit: 20_000 });

    let mut gif = file("plain.gif");
    gif[6..10].copy_from_slice(&[0xff; 4]);
    assert_eq!(refused(&gif), CodecError::SideTooLong { width: 65_535, height: 65_535, limit: 20_000 });
    let mut gif = file("plain.gif");
    let frame = gif.windows(5).position(|block| block == [0x2c, 0, 0, 0, 0]).unwrap();
    gif[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
    assert!(matches!(refused(&gif), CodecError::SideTooLong { width: 65_535, .. }), "a frame beyond the screen");

    let mut webp = file("animated.webp");
    assert_eq!(&webp[12..16], b"VP8X");
    webp[24..30].copy_from_slice(&[0xff, 0xff, 0, 0xfe, 0xff, 0]);
    assert!(matches!(refused(&webp), CodecError::SideTooLong { width: 65_536, .. }));
}

#[test]
fn other_files_are_not_recognised() {
    for bytes in [&b""[..], b"<html>", b"\xff\xd8", b"RIFF\0\0\0\0WAVE", b"GIF88a", b"\x89PNG"] {
        assert_eq!(codec::read_header(bytes), Err(CodecError::Unrecognised));
        assert_eq!(decode(bytes), Err(CodecError::Unrecognised));
    }
}

#[test]
fn jpeg_variants_that_are_missing_are_named() {
    let bytes = file("baseline.jpg");
    let frame = bytes.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    let mut changed = Vec::new();
    for (at, value) in [(1, 0xc3), (1, 0xcb), (4, 12)] {
        let mut bytes = bytes.clone();
        bytes[frame + at] = value;
        changed.push(bytes);
    }
    for bytes in changed {
        let error = decode(&bytes).unwrap_err();
        assert!(
            matches!(&error, CodecError::Unsupported { format: FileFormat::Jpeg, reason } if !reason.is_empty()),
            "{error}"
        );
    }
}

#[test]
fn a_jpeg_with_endless_scans_is_refused() {
    let bytes = file("progressive.jpg");
    // The last one makes it whole. That before it can come any number of times.
    let mut scans = bytes.windows(2).enumerate().filter(|(_, marker)| *marker == [0xff, 0xda]).map(|(at, _)| at);
    let (last, before) = (scans.next_back().unwrap(), scans.next_back().unwrap());
    let with = |scans: usize| [&bytes[..before], &bytes[before..last].repeat(scans), &bytes[last..]].concat();
    assert!(decode(&with(1)).is_ok());
    let error = decode(&with(200)).unwrap_err();
    assert!(matches!(&error, CodecError::Unsupported { reason, .. } if reason.contains("scans")), "{error}");
}

#[test]
fn cancelled_work_stops() {
    let cancel = Cancel::new();
    cancel.cancel();
    for (name, bytes) in corpus() {
        assert_eq!(codec::decode(&bytes, LIMITS, &cancel), Err(OpError::Cancelled.into()), "{name}");
    }
    for format in [FileFormat::Jpeg, FileFormat::Png, FileFormat::Webp] {
        let options = EncodeOptions::new(format, 80);
        assert_eq!(codec::encode(&photo(), options, &cancel), Err(OpError::Cancelled.into()));
    }
}

/// Something with gradients, edges and texture, 301 × 199 pixels, its corner not at the origin.
fn photo() -> Image {
    let (width, height) = (301u32, 199u32);
    let pixels = (0..width * height).map(|at| {
        let (x, y) = ((at % width) as f32, (at / width) as f32);
        let wave = (x / 17.0).sin() * (y / 23.0).cos() * 40.0 + ((x * 0.9).sin() + (y * 0.7).sin()) * 6.0;
        let edge = if (x - 150.0).hypot(y - 100.0) < 60.0 { 50.0 } else { 0.0 };
        let byte = |v: f32| v.clamp(0.0, 255.0).round() as u8;
        [byte(90.0 + wave + edge), byte(x * 0.6 + wave), byte(200.0 - y * 0.8 - edge)]
    });
    Image::from_rgb8(Rect::new(-7, 40, width, height), pixels.collect())
}

fn encode(image: &Image, format: FileFormat, quality: u8) -> Vec<u8> {
    codec::encode(image, EncodeOptions::new(format, quality), &Cancel::new()).unwrap()
}

/// 20 log10(255 / root of the mean square error) over all components.
fn psnr(a: &Image, b: &Image) -> f64 {
    assert_eq!((a.rect().width, a.rect().height), (b.rect().width, b.rect().height));
    let (width, height) = (a.rect().width, a.rect().height);
    let mut sum = 0.0;
    for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
        let (a, b) = (pixel(a, x, y), pixel(b, x, y));
        sum += (0..4).map(|c| f64::from(a[c] - b[c]).powi(2)).sum::<f64>();
    }
    let mean = sum / (4.0 * f64::from(width * height));
    20.0 * (255.0 / mean.sqrt()).log10()
}

#[test]
fn lossy_formats_come_close() {
    let photo = photo();
    for (format, quality, least) in [
        (FileFormat::Jpeg, 90, 36.0),
        (FileFormat::Jpeg, 50, 30.0),
        (FileFormat::Webp, 90, 36.0),
        (FileFormat::Webp, 50, 30.0),
    ] {
        let file = encode(&photo, format, quality);
        let again = decode(&file).unwrap();
        assert_eq!(again.rect(), Rect::sized(301, 199));
        assert_eq!(again.format(), Format::RGB8);
        let got = psnr(&photo, &again);
        assert!(got >= least, "{format:?} at {quality}: {got:.1} dB");
    }
    let sizes = [30, 60, 90].map(|quality| encode(&photo, FileFormat::Jpeg, quality).len());
    assert!(sizes[0] < sizes[1] && sizes[1] < sizes[2], "{sizes:?}");
    assert_eq!(encode(&photo, FileFormat::Jpeg, 0), encode(&photo, FileFormat::Jpeg, 1));
}

/// The two photos at half their size, where no trace is left of how they were stored.
fn halves() -> Vec<Image> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../files");
    let read = |name: &str| {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        let window = codec::read_header(&bytes).unwrap().reducible.unwrap().by(4).rect();
        let part = Some(Part { eighths: 4, window });
        codec::decode_part(&bytes, part, DecodeLimits::new(1 << 24, 1 << 14), &Cancel::new()).unwrap()
    };
    ["lake.jpg", "marbles.jpg"].map(read).into()
}

/// Mean likeness of the two photos, decibels, and the sum of their bytes.
fn written(options: EncodeOptions) -> (f64, usize) {
    let photos = halves();
    let files: Vec<Vec<u8>> =
        photos.iter().map(|photo| codec::encode(photo, options, &Cancel::new()).unwrap()).collect();
    let likeness = photos.iter().zip(&files).map(|(photo, file)| psnr(photo, &decode(file).unwrap())).sum::<f64>();
    (likeness / photos.len() as f64, files.iter().map(Vec::len).sum())
}

#[test]
fn quality_means_the_same_in_all_formats() {
    for quality in [30, 50, 75, 85, 95] {
        let (jpeg, bytes) = written(EncodeOptions::new(FileFormat::Jpeg, quality));
        let (webp, fewer) = written(EncodeOptions::new(FileFormat::Webp, quality));
        assert!((jpeg - webp).abs() < 1.0, "at {quality}: JPEG {jpeg:.2} dB, WebP {webp:.2} dB");
        assert!(fewer < bytes, "at {quality}: JPEG {bytes} bytes, WebP {fewer} bytes");
    }
}

#[test]
fn small_files_are_smaller_and_nearly_as_good() {
    for (format, most) in [(FileFormat::Jpeg, 0.9), (FileFormat::Webp, 1.0), (FileFormat::Png, 0.95)] {
        let options = EncodeOptions::new(format, 80);
        let ((likeness, bytes), (small_likeness, small)) =
            (written(options), written(EncodeOptions { small: true, ..options }));
        assert!((small as f64) < bytes as f64 * most, "{format:?}: {bytes} and {small} bytes");
        assert!(
            small_likeness > likeness - 0.5 || format == FileFormat::Png,
            "{format:?}: {likeness} and {small_likeness} dB"
        );
    }
}

#[test]
fn progressive_files_hold_the_same_picture_in_several_scans() {
    let options = EncodeOptions::new(FileFormat::Jpeg, 80);
    let encode = |options| codec::encode(&halves()[0], options, &Cancel::new()).unwrap();
    // SOF0 begins baseline frames, SOF2 progressive ones; SOS each scan (ITU-T T.81, table B.1).
    let count = |file: &[u8], marker| file.windows(2).filter(|pair| *pair == [0xff, marker]).count();
    let plain = encode(options);
    assert_eq!((count(&plain, 0xc0), count(&plain, 0xc2), count(&plain, 0xda)), (1, 0, 1));
    let progressive = encode(EncodeOptions { progressive: true, ..options });
    assert_eq!((count(&progressive, 0xc0), count(&progressive, 0xc2)), (0, 1));
    assert!(count(&progressive, 0xda) > 5);
    // Another encoder writes them, which rounds otherwise here and there.
    let likeness = psnr(&decode(&progressive).unwrap(), &decode(&plain).unwrap());
    assert!(likeness > 48.0, "{likeness} dB");
    let small = encode(EncodeOptions { small: true, ..options });
    assert!(count(&small, 0xc2) == 1 && count(&small, 0xda) > 3);
    for format in [FileFormat::Png, FileFormat::Webp] {
        let options = EncodeOptions { format, ..options };
        assert_eq!(encode(options), encode(EncodeOptions { progressive: true, ..options }), "{format:?}");
    }
}

/// The color type of a PNG (PNG specification, table 11.1).
fn color_type(png: &[u8]) -> u8 {
    png[25]
}

#[test]
fn png_is_lossless_and_narrow() {
    let photo = photo();
    let Pixels::Rgb8(rgb) = photo.pixels() else { panic!() };
    let rect = Rect::sized(301, 199);
    let with_alpha = |alpha: fn(usize) -> u8, gray: bool| {
        let pixels = rgb.iter().enumerate().map(
            |(at, &[r, g, b])| {
                if gray { [g, g, g, alpha(at)] } else { [r, g, b, alpha(at)] }
            },
        );
        Image::from_rgba8(rect, pixels.collect())
    };
    let gray = Image::from_rgb8(rect, rgb.iter().map(|&[_, g, _]| [g; 3]).collect());
    for (image, color) in [
        (photo.clone().moved_to(0, 0), 2),
        (gray, 0),
        (with_alpha(|at| at as u8, false), 6),
        (with_alpha(|at| at as u8, true), 4),
    ] {
        let file = encode(&image, FileFormat::Png, 1);
        assert_eq!(color_type(&file), color);
        assert!(decode(&file).unwrap() == image, "color type {color}");
    }
    // Opaque pixels need no alpha.
    for (gray, color) in [(false, 2), (true, 0)] {
        let file = encode(&with_alpha(|_| 255, gray), FileFormat::Png, 1);
        assert_eq!(color_type(&file), color);
        assert_eq!(decode(&file).unwrap().format(), Format::RGB8);
    }
    // One pixel in the last row decides.
    let mut late: Vec<[u8; 4]> = (0..40 * 50).map(|at| [5, 5, 5, (at % 256) as u8 | 1]).collect();
    late.extend((0..40 * 50).map(|at| [(at % 256) as u8, (at % 256) as u8, (at % 256) as u8, 255]));
    late[40 * 99 + 3] = [5, 5, 6, 254];
    let file = encode(&Image::from_rgba8(Rect::sized(40, 100), late), FileFormat::Png, 1);
    assert_eq!(color_type(&file), 6);
}

#[test]
fn png_of_few_colors_has_a_palette() {
    // Red that fades, in as many steps; the first ones are clear.
    for (colors, color, depth) in
        [(1, 3, 1), (2, 3, 1), (3, 3, 2), (5, 3, 4), (16, 3, 4), (17, 3, 8), (256, 3, 8), (257, 6, 8)]
    {
        for width in [1, 7, 13, 40] {
            let pixels = (0..width * 67).map(|at| at % colors).map(|n| [255 - (n / 256) as u8, 0, 0, (n % 256) as u8]);
            let image = Image::from_rgba8(Rect::sized(width, 67), pixels.collect());
            let fewer = width * 67 < colors;
            let file = encode(&image, FileFormat::Png, 1);
            assert!(fewer || (color_type(&file), file[24]) == (color, depth), "{colors} colors, {width} pixels wide");
            assert!(decode(&file).unwrap() == image, "{colors} colors, {width} pixels wide");
            let small = EncodeOptions { small: true, ..EncodeOptions::new(FileFormat::Png, 1) };
            assert!(decode(&codec::encode(&image, small, &Cancel::new()).unwrap()).unwrap() == image);
        }
    }
    // Gray without alpha takes a byte a pixel in any case, but less with 16 grays.
    for (grays, color) in [(16, 3), (17, 0)] {
        let image = Image::from_rgb8(Rect::sized(40, 40), (0..1600).map(|at| [(at % grays) as u8 * 9; 3]).collect());
        let file = encode(&image, FileFormat::Png, 1);
        assert_eq!(color_type(&file), color);
        assert!(decode(&file).unwrap() == image);
    }
}

#[test]
fn flat_art_is_written_without_loss_where_that_is_smaller() {
    let lossless = |file: &[u8]| file.windows(4).any(|bytes| bytes == b"VP8L");
    // Blocks of twelve colours, in premultiplied light, too.
    let pixels = (0..160 * 120)
        .map(|at| (at % 160 / 16 + at / 160 / 12 * 7) % 12)
        .map(|n| [n as u8 * 20, 255 - n as u8 * 9, 90]);
    let art = Image::from_rgb8(Rect::sized(160, 120), pixels.collect());
    let file = encode(&art, FileFormat::Webp, 85);
    assert!(lossless(&file));
    assert!(decode(&file).unwrap() == art);
    assert_eq!(
        encode(&imgflo_ops::format::convert(&art, Format::LINP).unwrap(), FileFormat::Webp, 85).len(),
        file.len()
    );
    assert!(!lossless(&encode(&photo(), FileFormat::Webp, 85)));
}

#[test]
fn floats_are_written_as_eight_bits() {
    let rect = Rect::sized(5, 40);
    let half = [0.5, 0.25, 0.0, 0.5];
    for (format, rgb, over_white) in [
        (Format::GAM_OPAQUE, [128, 64, 0], [128, 64, 0]),
        (Format::GAM, [128, 64, 0], [203, 192, 188]),
        (Format::GAMP, [255, 128, 0], [255, 203, 188]),
        // Linear 0.5 is 188 in sRGB, 0.25 is 137.
        (Format::LIN, [188, 137, 0], [225, 205, 188]),
        (Format::LINP, [255, 188, 0], [255, 225, 188]),
    ] {
        let image = Image::from_float(rect, format, vec![half; 200]);
        let png = decode(&encode(&image, FileFormat::Png, 1)).unwrap();
        let alpha = if format.has_alpha() { 128.0 } else { 255.0 };
        let [r, g, b] = rgb.map(|c: u8| f32::from(c));
        assert_eq!(pixel(&png, 4, 39), [r, g, b, alpha], "{format:?}");
        let jpeg = decode(&encode(&image, FileFormat::Jpeg, 100)).unwrap();
        let webp = decode(&encode(&image, FileFormat::Webp, 100)).unwrap();
        assert_eq!(pixel(&webp, 4, 39)[3], alpha, "{format:?}");
        let over_white = over_white.map(|c: u8| f32::from(c));
        for (is, ought) in [(pixel(&jpeg, 2, 20), over_white), (pixel(&webp, 2, 20), [r, g, b])] {
            assert!(is[..3].iter().zip(ought).all(|(is, ought)| (is - ought).abs() <= 4.0), "{format:?}: {is:?}");
        }
    }
}

#[test]
fn jpeg_lays_what_is_transparent_over_the_background() {
    let pixels: Vec<[u8; 4]> = (0..32 * 16).map(|at| [200, 100, 50, if at % 32 < 16 { 128 } else { 0 }]).collect();
    let image = Image::from_rgba8(Rect::sized(32, 16), pixels);
    let white: [[u8; 3]; 2] = [[230, 197, 190], [255; 3]];
    let black = [[147, 71, 34], [0; 3]];
    for (background, expected) in [([255; 3], white), ([0; 3], black)] {
        for (small, progressive) in [(false, false), (true, false), (false, true)] {
            let options = EncodeOptions { background, small, progressive, ..EncodeOptions::new(FileFormat::Jpeg, 95) };
            let jpeg = decode(&codec::encode(&image, options, &Cancel::new()).unwrap()).unwrap();
            for (x, ought) in [4, 28].into_iter().zip(expected) {
                let is = pixel(&jpeg, x, 8);
                let near = is.iter().zip(ought).all(|(is, ought)| (is - f32::from(ought)).abs() <= 4.0);
                assert!(near, "{options:?}: {is:?} {ought:?}");
            }
        }
    }
}

#[test]
fn jpeg_keeps_the_color_of_each_pixel_where_it_is_asked_to() {
    // Stripes of one pixel, red on blue.
    let pixels: Vec<[u8; 3]> = (0..40 * 24).map(|at| if at % 2 == 0 { [220, 30, 30] } else { [30, 30, 220] }).collect();
    let image = Image::from_rgb8(Rect::sized(40, 24), pixels);
    for (small, progressive) in [(false, false), (true, false), (false, true)] {
        let options = EncodeOptions { small, progressive, ..EncodeOptions::new(FileFormat::Jpeg, 95) };
        let of = |full_chroma| {
            let options = EncodeOptions { full_chroma, ..options };
            psnr(&decode(&codec::encode(&image, options, &Cancel::new()).unwrap()).unwrap(), &image)
        };
        let [half, full] = [of(false), of(true)];
        assert!(half < 12.0 && full > 36.0, "{options:?}: {half} dB, {full} dB");
    }
}

#[test]
fn webp_keeps_alpha_exactly() {
    let pixels: Vec<[u8; 4]> = (0..64 * 64).map(|at| [200, 100, 50, (at % 64 * 4) as u8]).collect();
    let image = Image::from_rgba8(Rect::sized(64, 64), pixels);
    let webp = decode(&encode(&image, FileFormat::Webp, 80)).unwrap();
    assert!((0..64).all(|x| pixel(&webp, x, 20)[3] == x as f32 * 4.0));
}

#[test]
fn what_cannot_be_written_is_said() {
    let encode = |image: &Image, format| codec::encode(image, EncodeOptions::new(format, 80), &Cancel::new());
    let error = encode(&photo(), FileFormat::Gif).unwrap_err();
    assert!(matches!(error, CodecError::Unsupported { format: FileFormat::Gif, .. }));
    let empty = Image::new(Rect::sized(0, 5), Format::RGB8).unwrap();
    let long = |width| Image::new(Rect::sized(width, 1), Format::RGB8).unwrap();
    for format in [FileFormat::Jpeg, FileFormat::Png, FileFormat::Webp] {
        assert!(matches!(encode(&empty, format), Err(CodecError::Operation(OpError::Invalid(_)))));
    }
    assert!(encode(&long(65_500), FileFormat::Jpeg).is_ok());
    assert!(matches!(encode(&long(65_501), FileFormat::Jpeg), Err(CodecError::Unsupported { .. })));
    assert!(encode(&long(16_383), FileFormat::Webp).is_ok());
    assert!(matches!(encode(&long(16_384), FileFormat::Webp), Err(CodecError::Unsupported { .. })));
    assert!(encode(&long(100_000), FileFormat::Png).is_ok());
}

#[test]
#[cfg(target_arch = "x86_64")]
fn jpeg_uses_simd() {
    assert!(codec::simd() || option_env!("IMGFLO_ALLOW_SLOW_JPEG").is_some());
}
