//! Pictures that are read by part, made smaller while they are read, or not made pixels at all.

use std::path::Path;

use imgflo_ops::codec::{self, CodecError, DecodeLimits, EncodeOptions, FileFormat, Part};
use imgflo_ops::{Cancel, Image, Margin, OpError, Rect};
use rand_mt::Mt;

use crate::{LIMITS, corpus, decode, file, pixel, psnr};

const LARGE: DecodeLimits = DecodeLimits::new(1 << 24, 1 << 15);

/// The JPEG files of the corpus that can be read, and photos.
fn photos() -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> =
        corpus().into_iter().filter(|(name, bytes)| name.ends_with(".jpg") && decode(bytes).is_ok()).collect();
    assert_eq!(files.len(), 26);
    for name in ["lake.jpg", "marbles.jpg"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../files").join(name);
        files.push((name.to_owned(), std::fs::read(path).unwrap()));
    }
    files
}

fn decode_part(bytes: &[u8], eighths: u32, window: Rect) -> Image {
    codec::decode_part(bytes, Some(Part { eighths, window }), LARGE, &Cancel::new()).unwrap()
}

fn decode_whole(bytes: &[u8]) -> Result<Image, CodecError> {
    codec::decode(bytes, LARGE, &Cancel::new())
}

#[test]
fn a_window_is_that_part_of_the_whole() {
    let mut random = Mt::new(7);
    for (name, bytes) in photos() {
        let reducible = codec::read_header(&bytes).unwrap().reducible.unwrap();
        for eighths in [8, 4, 2, 1] {
            let whole = decode_part(&bytes, eighths, reducible.by(eighths).rect());
            let (width, height) = (whole.rect().width, whole.rect().height);
            for _ in 0..12 {
                let (x, y) = (random.next_u32() % width, random.next_u32() % height);
                let size = (1 + random.next_u32() % (width - x), 1 + random.next_u32() % (height - y));
                let window = Rect::new(x as i32, y as i32, size.0, size.1);
                let part = decode_part(&bytes, eighths, window);
                assert_eq!(part.rect(), window, "{name}");
                for (j, i) in (0..window.height).flat_map(|j| (0..window.width).map(move |i| (j, i))) {
                    assert_eq!(
                        pixel(&part, i, j),
                        pixel(&whole, x + i, y + j),
                        "{name} at {eighths}/8, {window:?}: {i}, {j}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_window_outside_of_the_picture_is_an_error() {
    for (name, bytes) in photos() {
        for (eighths, window) in
            [(8, Rect::new(-10, 0, 10, 10)), (2, Rect::new(1 << 20, 5, 3, 3)), (4, Rect::default())]
        {
            let part = Some(Part { eighths, window });
            let error = codec::decode_part(&bytes, part, LARGE, &Cancel::new()).unwrap_err();
            assert!(matches!(error, CodecError::Operation(OpError::Invalid(_))), "{name}: {error}");
        }
    }
}

/// Light of a byte, 0 to 1 (IEC 61966-2-1), and the other way round.
fn light(byte: f32) -> f32 {
    let v = byte / 255.0;
    if v <= 0.040_45 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
}

fn coded(light: f32) -> f32 {
    255.0 * if light <= 0.003_130_8 { light * 12.92 } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 }
}

#[test]
fn a_reduced_picture_is_the_mean_of_the_light_of_its_pixels() {
    for (name, bytes) in photos() {
        let reducible = codec::read_header(&bytes).unwrap().reducible.unwrap();
        // libjpeg makes them smaller, which no plan asks for.
        if reducible.margin == Margin::All {
            continue;
        }
        let whole = codec::decode(&bytes, LARGE, &Cancel::new()).unwrap();
        for eighths in [1, 2, 4] {
            let reduced = reducible.by(eighths);
            let image = decode_part(&bytes, eighths, reduced.rect());
            assert_eq!(image.rect(), reduced.rect(), "{name}");
            let ([left, top], step) = (reduced.start(), reduced.step());
            let side = |start: f64, index: u32, length: u32| {
                let first = start + f64::from(index) * step;
                (first.max(0.0) as u32)..((first + step) as u32).min(length)
            };
            let (mut sum, mut count) = (0.0, 0.0);
            for (j, i) in (0..reduced.rect().height).flat_map(|j| (0..reduced.rect().width).map(move |i| (j, i))) {
                let (rows, columns) = (side(top, j, reduced.whole().height), side(left, i, reduced.whole().width));
                let of = (rows.len() * columns.len()) as f32;
                let mut mean = [0.0; 3];
                for (y, x) in rows.flat_map(|y| columns.clone().map(move |x| (y, x))) {
                    let pixel = pixel(&whole, x, y);
                    (0..3).for_each(|c| mean[c] += light(pixel[c]) / of);
                }
                let found = pixel(&image, i, j);
                sum += (0..3).map(|c| (found[c] - coded(mean[c])).powi(2)).sum::<f32>();
                count += 3.0;
            }
            let error = (sum / count).sqrt();
            let most = if ["lake.jpg", "marbles.jpg"].contains(&&*name) { 3.0 } else { 10.0 };
            assert!(error < most, "{name} at {eighths}/8: {error} of 255, root mean square");
        }
    }
}

#[test]
fn a_jpeg_becomes_one_of_another_quality_without_pixels() {
    let mut recoded = Vec::new();
    for (name, bytes) in photos() {
        let original = codec::decode(&bytes, LARGE, &Cancel::new()).unwrap();
        for quality in [30, 60, 80, 95] {
            let options = EncodeOptions::new(FileFormat::Jpeg, quality);
            let Some(short) = codec::recode(&bytes, options, LARGE, &Cancel::new()).unwrap() else { continue };
            let long = codec::encode(&original, options, &Cancel::new()).unwrap();
            assert!(short.len() as f64 <= long.len() as f64 * 1.05 + 32.0, "{name}: {} {}", short.len(), long.len());
            let [short, long] = [short, long].map(|bytes| codec::decode(&bytes, LARGE, &Cancel::new()).unwrap());
            let (short, long) = (psnr(&short, &original), psnr(&long, &original));
            assert!(short > long.min(45.0) - 0.3, "{name} at {quality}: {short} dB, by way of pixels {long} dB");
            recoded.push(name.clone());
        }
    }
    recoded.dedup();
    assert_eq!(recoded.len(), 6, "{recoded:?}");
}

#[test]
fn what_takes_choosing_goes_through_pixels() {
    let (bytes, options) = (file("orientation-1.jpg"), EncodeOptions::new(FileFormat::Jpeg, 80));
    assert!(codec::recode(&bytes, options, LIMITS, &Cancel::new()).unwrap().is_some());
    for options in [EncodeOptions { small: true, ..options }, EncodeOptions { progressive: true, ..options }] {
        assert_eq!(codec::recode(&bytes, options, LIMITS, &Cancel::new()), Ok(None));
    }
}

#[test]
fn what_has_to_be_turned_or_converted_is_not_recoded() {
    let options = EncodeOptions::new(FileFormat::Jpeg, 80);
    for name in ["orientation-6.jpg", "display-p3.jpg", "cmyk.jpg", "rgb.jpg", "rgb-8.png"] {
        assert_eq!(codec::recode(&file(name), options, LIMITS, &Cancel::new()), Ok(None), "{name}");
    }
    let bytes = file("orientation-1.jpg");
    let webp = EncodeOptions { format: FileFormat::Webp, ..options };
    assert_eq!(codec::recode(&bytes, webp, LIMITS, &Cancel::new()), Ok(None));
    let cut = &bytes[..bytes.len() - 40];
    assert_eq!(codec::recode(cut, options, LIMITS, &Cancel::new()), Ok(None));
    assert!(matches!(codec::decode(cut, LIMITS, &Cancel::new()), Err(CodecError::Cut { .. })));
    let small = DecodeLimits::new(10, 4096);
    assert!(matches!(codec::recode(&bytes, options, small, &Cancel::new()), Err(CodecError::TooManyPixels { .. })));
}

#[test]
fn damaged_and_cut_jpegs_do_no_harm_by_part_or_recoded() {
    let mut random = Mt::new(11);
    let (mut read, mut recoded, mut refused) = (0, 0, 0);
    for (name, bytes) in photos() {
        // The large ones take longer.
        let rounds = if bytes.len() > 100_000 { 20 } else { 150 };
        for round in 0..rounds {
            let mut damaged = bytes.clone();
            if round % 5 == 0 {
                damaged.truncate(random.next_u32() as usize % bytes.len());
            }
            for _ in 0..1 + random.next_u32() % 3 {
                let at = random.next_u32() as usize % damaged.len().max(1);
                damaged.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << (random.next_u32() % 8));
            }
            let options = EncodeOptions::new(FileFormat::Jpeg, 1 + (random.next_u32() % 100) as u8);
            match codec::recode(&damaged, options, LARGE, &Cancel::new()) {
                Ok(Some(bytes)) => {
                    decode_whole(&bytes).unwrap_or_else(|error| panic!("{name}, recoded: {error}"));
                    recoded += 1;
                }
                Ok(None) => {}
                Err(_) => refused += 1,
            }
            let Some(reducible) = codec::read_header(&damaged).ok().and_then(|header| header.reducible) else {
                continue;
            };
            let eighths = 1 + random.next_u32() % 8;
            let all = reducible.by(eighths).rect();
            let (x, y) = (random.next_u32() % all.width, random.next_u32() % all.height);
            let size = (1 + random.next_u32() % (all.width - x), 1 + random.next_u32() % (all.height - y));
            let window = Rect::new(x as i32, y as i32, size.0, size.1);
            match codec::decode_part(&damaged, Some(Part { eighths, window }), LARGE, &Cancel::new()) {
                Ok(image) => {
                    assert_eq!(image.rect(), window, "{name}");
                    read += 1;
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(read > 100 && recoded > 50 && refused > 500, "{read} read, {recoded} recoded, {refused} refused");
}
