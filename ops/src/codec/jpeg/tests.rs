use std::path::Path;

use rand_mt::Mt;

use super::*;
use crate::format::{Source, Target, convert_row};
use crate::{Format, Pixels};

/// All JPEG files of the corpus, two photos, and pictures with chroma in all the sizes that
/// libjpeg writes.
fn files() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpus = std::fs::read_dir(folder.join("tests/corpus")).unwrap();
    let mut paths: Vec<_> = corpus.map(|entry| entry.unwrap().path()).collect();
    paths.extend(["lake.jpg", "marbles.jpg"].map(|name| folder.join("../files").join(name)));
    let jpegs = paths.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "jpg"));
    let mut files: Vec<(String, Vec<u8>)> =
        jpegs.map(|path| (path.display().to_string(), std::fs::read(path).unwrap())).collect();
    assert_eq!(files.len(), 28);
    for chroma in [(1, 1), (2, 1), (1, 2), (2, 2), (4, 1)] {
        let name = format!("chroma of {} x {} pixels", chroma.0, chroma.1);
        files.push((name, drawn([157, 93], Some(chroma), 75.0)));
    }
    files
}

/// Waves and noise; in gray without a size of chroma.
fn drawn([width, height]: [usize; 2], chroma: Option<(u8, u8)>, quality: f32) -> Vec<u8> {
    let mut random = Mt::new(5);
    let colors = if chroma.is_some() { mozjpeg::ColorSpace::JCS_RGB } else { mozjpeg::ColorSpace::JCS_GRAYSCALE };
    let mut encoder = mozjpeg::Compress::new(colors);
    encoder.set_size(width, height);
    encoder.set_fastest_defaults();
    encoder.set_quality(quality);
    if let Some(chroma) = chroma {
        encoder.set_chroma_sampling_pixel_sizes(chroma, chroma);
    }
    let mut started = encoder.start_compress(Vec::new()).unwrap();
    for y in 0..height {
        let wave = |x: usize, step: usize| ((x * step + y * 3) % 256) as u8;
        let pixels = (0..width).map(|x| [wave(x, 1), wave(x, 2) / 2, (random.next_u32() % 60) as u8]);
        let bytes = if chroma.is_some() { 3 } else { 1 };
        let row: Vec<u8> = pixels.flat_map(|pixel| pixel.into_iter().take(bytes)).collect();
        started.write_scanlines(&row).unwrap();
    }
    started.finish().unwrap()
}

/// A picture in gray or YCbCr as it comes from libjpeg and, if it can be read here, from here.
fn read(file: &[u8], eighths: u32) -> [Option<Result<Image, CodecError>>; 2] {
    read_part(file, eighths, None)
}

/// As [`read`], of a part.
fn read_part(file: &[u8], eighths: u32, part: Option<Rect>) -> [Option<Result<Image, CodecError>>; 2] {
    let cancel = &Cancel::new();
    let Ok(source) = super::Source::open(file, cancel) else { return [None, None] };
    if !matches!(source.file.color_space(), J_COLOR_SPACE::JCS_GRAYSCALE | J_COLOR_SPACE::JCS_YCbCr) {
        return [None, None];
    }
    let (width, height) = source.file.size();
    let stored =
        part.unwrap_or(Reducible { width, height, mirrored: [false; 2], margin: Margin::None }.by(eighths).rect());
    let (orientation, components) = (Orientation::default(), Components::Rgb);
    let to = Delivery { stored, window: stored, orientation, transform: None, components, detail: None, cancel };
    let baseline = Picture::open(file, eighths as usize, stored).ok();
    let libjpeg = Libjpeg::start(source.file, components, false, eighths, stored);
    let whole = |image: Option<Image>| image.expect("all are delivered");
    let libjpeg = libjpeg.and_then(|file| to.deliver(file)).map(whole);
    [Some(libjpeg), baseline.map(|file| to.deliver(file).map(whole))]
}

fn bytes(image: &Image) -> &[u8] {
    match image.pixels() {
        Pixels::Rgb8(pixels) => pixels.as_flattened(),
        _ => panic!("a JPEG is RGB"),
    }
}

/// Root mean square and largest difference, of 255.
fn distance(a: &[u8], b: &[u8]) -> (f64, u8) {
    assert_eq!(a.len(), b.len());
    let differences = || a.iter().zip(b).map(|(a, b)| a.abs_diff(*b));
    let squares: f64 = differences().map(|difference| f64::from(difference).powi(2)).sum();
    ((squares / a.len() as f64).sqrt(), differences().max().unwrap())
}

/// A picture at `eighths`/8, which divide 8, by the means of the light of its pixels.
fn means(whole: &Image, eighths: u32) -> Vec<u8> {
    let (side, rect) = (8 / eighths as usize, whole.rect());
    let (width, height) = (rect.width as usize, rect.height as usize);
    let Pixels::Rgb8(pixels) = whole.pixels() else { panic!("a JPEG is RGB") };
    let mut lights = vec![[0.0; 4]; pixels.len()];
    convert_row(Format::RGB8, Source::Rgb8(pixels), Format::LIN_OPAQUE, Target::Float(&mut lights));
    let mut means = Vec::new();
    for (y, x) in (0..height).step_by(side).flat_map(|y| (0..width).step_by(side).map(move |x| (y, x))) {
        let (rows, columns) = (y..(y + side).min(height), x..(x + side).min(width));
        let count = (rows.len() * columns.len()) as f32;
        let mut mean = [0.0; 4];
        for at in rows.flat_map(|y| columns.clone().map(move |x| y * width + x)) {
            (0..4).for_each(|c| mean[c] += lights[at][c] / count);
        }
        means.push(mean);
    }
    let mut bytes = vec![[0; 3]; means.len()];
    convert_row(Format::LIN_OPAQUE, Source::Float(&means), Format::RGB8, Target::Rgb8(&mut bytes));
    bytes.into_flattened()
}

#[test]
fn reduced_pictures_are_the_means_of_light() {
    let mut seen = 0;
    for (name, file) in files() {
        let [Some(Ok(whole)), _] = read(&file, 8) else { continue };
        for eighths in 1..=4 {
            let [_, Some(ours)] = read(&file, eighths) else { continue };
            let ours = ours.unwrap();
            seen += 1;
            if eighths != 3 {
                let (error, _) = distance(bytes(&ours), &means(&whole, eighths));
                assert!(error < 10.0, "{name} at {eighths}/8: {error}");
            }
        }
    }
    assert_eq!(seen, 92);
}

/// What an encoder put into the blocks beside the picture does not matter: the file, 97 x 89 pixels in 4:4:4, was written
/// by Pillow from a picture of 104 x 96 with green there, and then given the smaller size in its header.
#[test]
fn padding_is_not_picture() {
    let file = include_bytes!("foreign-padding.jpg");
    let [Some(Ok(whole)), _] = read(file, 8) else { panic!("it can be read") };
    for eighths in [1, 2, 4] {
        let [_, Some(Ok(ours))] = read(file, eighths) else { panic!("it can be read here") };
        let (error, largest) = distance(bytes(&ours), &means(&whole, eighths));
        assert!(error < 3.0 && largest < 24, "{eighths}/8: {error}, {largest}");
    }
}

/// To the last bit: transform, chroma between the stored pixels, and colours.
#[test]
fn full_pictures_are_those_of_libjpeg() {
    let mut files = files();
    for size in [[1, 1], [8, 8], [16, 16], [17, 33], [5, 40], [40, 5], [6, 7], [4, 3], [150, 31]] {
        for chroma in [None, Some((1, 1)), Some((2, 1)), Some((2, 2))] {
            for quality in [1.0, 50.0, 100.0] {
                files.push((format!("{size:?} {chroma:?} {quality}"), drawn(size, chroma, quality)));
            }
        }
    }
    let (mut seen, mut left_to_libjpeg) = (0, 0);
    for (name, file) in files {
        match read(&file, 8) {
            [Some(Ok(theirs)), Some(ours)] => {
                assert_eq!(distance(bytes(&ours.unwrap()), bytes(&theirs)), (0.0, 0), "{name}");
                seen += 1;
            }
            [Some(Ok(_)), None] => left_to_libjpeg += 1,
            _ => {}
        }
    }
    // Those are progressive or in several scans, have bytes between markers, or chroma of other sizes or of
    // one or two columns.
    assert_eq!((seen, left_to_libjpeg), (117, 19));
}

#[test]
fn a_part_does_not_depend_on_what_else_is_read() {
    let mut random = Mt::new(7);
    let restarts = files().into_iter().find(|(name, _)| name.ends_with("restarts.jpg")).unwrap().1;
    let drawn = [None, Some((1, 1)), Some((2, 1)), Some((2, 2))].map(|chroma| drawn([157, 93], chroma, 90.0));
    for file in [restarts].into_iter().chain(drawn) {
        let [_, Some(Ok(whole))] = read(&file, 8) else { panic!() };
        let (width, height) = (whole.rect().width, whole.rect().height);
        // At each place within two MCUs, and anywhere up to the last column and row.
        let near = (0..33).flat_map(|y| (0..33).map(move |x| Rect::new(x, y.min(29), 9, 3)));
        let mut below = |limit: u32| random.next_u32() % limit;
        let anywhere: Vec<_> = (0..300)
            .map(|_| {
                let (x, y) = (below(width), below(height));
                Rect::new(x as i32, y as i32, 1 + below(width - x), 1 + below(height - y))
            })
            .collect();
        for part in near.chain(anywhere) {
            let [_, Some(Ok(read))] = read_part(&file, 8, Some(part)) else { panic!("{part:?}") };
            let row = |y: i64| {
                let first = (y as usize * width as usize + part.x as usize) * 3;
                &bytes(&whole)[first..first + part.width as usize * 3]
            };
            let expected: Vec<u8> = (i64::from(part.y)..part.bottom()).flat_map(row).copied().collect();
            assert!(bytes(&read) == expected, "{part:?} of {width} x {height}");
        }
    }
}

#[test]
fn what_libjpeg_calls_broken_is_broken() {
    let mut random = Mt::new(23);
    let (mut both_read, mut both_refuse, mut left_to_libjpeg) = (0, 0, 0);
    for (name, file) in files().iter().filter(|(name, _)| !name.contains("marbles") && !name.contains("lake")) {
        for round in 0..200 {
            let mut damaged = file.clone();
            // Behind the headers, which are all that most of these files have.
            let from = damaged.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
            for _ in 0..1 + round % 3 {
                let at = from + random.next_u32() as usize % (damaged.len() - from);
                damaged[at] ^= 1 << (random.next_u32() % 8);
            }
            if round % 4 == 0 {
                damaged.truncate(from + random.next_u32() as usize % (damaged.len() - from));
            }
            let eighths = [1, 2, 3, 4, 8][random.next_u32() as usize % 5];
            match read(&damaged, eighths) {
                [Some(Ok(_)), Some(Ok(_))] => both_read += 1,
                [Some(Err(_)), Some(Err(_))] => both_refuse += 1,
                [Some(Ok(_)), Some(Err(_))] => left_to_libjpeg += 1,
                [Some(Err(error)), Some(Ok(_))] => panic!("{name}: read here, not by libjpeg: {error}"),
                _ => {}
            }
        }
    }
    let counts = format!("{both_read} read, {both_refuse} refused by both, {left_to_libjpeg} read by libjpeg only");
    assert!(both_read > 500 && both_refuse > 1000 && left_to_libjpeg < 200, "{counts}");
}

/// The rows of a file from one on, passed over so many at a time.
fn rows_from(file: &[u8], eighths: u32, first: u32, at_once: u32) -> Vec<u8> {
    let mut libjpeg = Decompressor::open(file, true, &Cancel::new()).unwrap();
    let colors = match libjpeg.color_space() {
        J_COLOR_SPACE::JCS_YCCK | J_COLOR_SPACE::JCS_CMYK => J_COLOR_SPACE::JCS_CMYK,
        _ => J_COLOR_SPACE::JCS_RGB,
    };
    libjpeg.start(colors, eighths).unwrap();
    let (width, height) = libjpeg.output_size();
    libjpeg.skip(first, at_once).unwrap();
    let components = if colors == J_COLOR_SPACE::JCS_CMYK { 4 } else { 3 };
    let mut rows = vec![0; width as usize * (height - first) as usize * components];
    libjpeg.read(&mut rows).unwrap();
    rows
}

#[test]
fn rows_are_passed_over_in_steps() {
    let mut compared = 0;
    let tall = [(1, 1), (2, 1), (1, 2), (2, 2), (4, 1)].map(|chroma| {
        let name = format!("tall, chroma of {} x {} pixels", chroma.0, chroma.1);
        (name, drawn([157, 250], Some(chroma), 75.0))
    });
    for (name, file) in files().into_iter().chain(tall) {
        for eighths in [3, 8] {
            let all = rows_from(&file, eighths, 0, 1);
            let height = (Decompressor::open(&file, true, &Cancel::new()).unwrap().size().1 * eighths).div_ceil(8);
            for first in [1, 9, 30, 37, 93, 192, 201, 300].into_iter().filter(|first| *first < height) {
                let rows = rows_from(&file, eighths, first, whole_blocks(eighths, 1));
                assert!(all.ends_with(&rows), "{name}, {eighths}/8, {first} rows");
                compared += usize::from(first > whole_blocks(eighths, 1));
            }
        }
    }
    assert_eq!(compared, 36, "pictures of which rows are passed over in several steps");
    assert_eq!([whole_blocks(8, 1), whole_blocks(8, 96), whole_blocks(8, 97)], [96, 96, 192]);
}
