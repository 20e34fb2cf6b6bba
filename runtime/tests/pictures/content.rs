//! JPEGs of all kinds of content, read reduced and in full: the same picture within one tolerance.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};

use imgflo_runtime::ops::{Format, Image, Pixels, Rect, codec};

use crate::fast::{both, components, library, photos, psnr};

/// Least likeness of the two ways, dB.
const LEAST: f64 = 42.0;
/// Most change of the mean brightness of an area of 64 × 64 pixels, of 255.
const MOST: f64 = 1.0;

/// The same for wide blurs, in which a colour that is nearly black changes most.
const BLURRED: (f64, f64) = (42.0, 5.0);

/// Sides that are multiples of none of the MCUs' sides.
const SIZE: [usize; 2] = [477, 395];

type Picture = Vec<[u8; 3]>;

fn drawn(pixel: impl Fn(usize, usize) -> [u8; 3]) -> Picture {
    (0..SIZE[0] * SIZE[1]).map(|at| pixel(at % SIZE[0], at / SIZE[0])).collect()
}

/// The first pixels of a file, from (x, y) on.
fn part_of(file: &[u8], [x, y]: [usize; 2]) -> Picture {
    let image = codec::decode(file, crate::fast::DECODE_LIMITS, &Default::default()).unwrap();
    let width = image.rect().width as usize;
    let Pixels::Rgb8(pixels) = image.pixels() else { panic!("{:?}", image.format()) };
    drawn(|column, row| pixels[(y + row) * width + x + column])
}

/// Lines of one pixel at every slope, and circles.
fn line_art() -> Picture {
    drawn(|x, y| {
        let (fx, fy) = (x as f64, y as f64);
        let radius = (fx - 200.0).hypot(fy - 200.0);
        let spoke = ((fy - 200.0).atan2(fx - 200.0) * 36.0 / std::f64::consts::PI).rem_euclid(2.0);
        let near = |distance: f64| distance < 0.6;
        match (near((radius / 11.0).fract() * 11.0), near(spoke * radius / 11.5), (x % 40) * (y % 40)) {
            (true, ..) => [0, 0, 180],
            (_, true, _) => [200, 0, 0],
            (_, _, 0) => [0; 3],
            _ => [255; 3],
        }
    })
}

fn contents() -> Vec<(&'static str, Picture)> {
    let page = part_of(include_bytes!("page.png"), [0, 0]);
    let [lake, marbles] = photos();
    let photo = part_of(&lake, [500, 300]);
    let mix = |ink: [u8; 3], ground: [u8; 3]| {
        let between = |level: u8, c: usize| {
            ((u32::from(ground[c]) * u32::from(level) + u32::from(ink[c]) * (255 - u32::from(level))) / 255) as u8
        };
        page.iter().map(|pixel| [0, 1, 2].map(|c| between(pixel[0], c))).collect::<Picture>()
    };
    let at = |picture: &Picture, x: usize, y: usize| picture[y * SIZE[0] + x];
    let window = mix([230, 230, 230], [30, 34, 42]);
    let screen = drawn(|x, y| match (x, y) {
        (_, 0..24) => [60, 120, 216],
        (0..120, _) => at(&page, x, y),
        (120..300, 40..220) => at(&photo, x, y),
        _ => at(&window, x, y),
    });
    // A word on a photo.
    let captioned = drawn(|x, y| if x < 48 && y < 20 { at(&page, x + 60, y + 40) } else { at(&photo, x, y) });
    vec![
        ("captioned", captioned),
        ("text", page.clone()),
        ("red on blue", mix([255, 0, 0], [0, 0, 255])),
        ("line art", line_art()),
        ("checker", drawn(|x, y| [if (x + y) % 2 == 0 { 255 } else { 0 }; 3])),
        ("columns", drawn(|x, _| if x % 2 == 0 { [255, 0, 0] } else { [0, 0, 255] })),
        ("screenshot", screen),
        ("lake", photo),
        ("marbles", part_of(&marbles, [300, 200])),
    ]
}

/// Pixels for one of chroma, along x and y, by the names of the samplings.
const SAMPLINGS: [(&str, (u8, u8)); 5] =
    [("4:4:4", (1, 1)), ("4:2:2", (2, 1)), ("4:2:0", (2, 2)), ("4:4:0", (1, 2)), ("4:1:1", (4, 1))];

fn encoded(picture: &[[u8; 3]], [width, height]: [usize; 2], chroma: (u8, u8), progressive: bool) -> Vec<u8> {
    let mut encoder = mozjpeg::Compress::new(mozjpeg::ColorSpace::JCS_RGB);
    encoder.set_size(width, height);
    encoder.set_fastest_defaults();
    encoder.set_quality(92.0);
    if progressive {
        encoder.set_progressive_mode();
    }
    encoder.set_chroma_sampling_pixel_sizes(chroma, chroma);
    let mut started = encoder.start_compress(Vec::new()).unwrap();
    started.write_scanlines(picture.as_flattened()).unwrap();
    started.finish().unwrap()
}

/// The same with blocks that are filled up with green.
fn padded(picture: &[[u8; 3]], chroma: (u8, u8), progressive: bool) -> Vec<u8> {
    let [width, height] = SIZE.map(|side| side.next_multiple_of(32));
    let inside = |x: usize, y: usize| x < SIZE[0] && y < SIZE[1];
    let pixel = |x, y| if inside(x, y) { picture[y * SIZE[0] + x] } else { [0, 255, 0] };
    let all: Picture = (0..width * height).map(|at| pixel(at % width, at / width)).collect();
    let mut file = encoded(&all, [width, height], chroma, progressive);
    let frame = file.windows(2).position(|marker| matches!(marker, [0xff, 0xc0 | 0xc2])).unwrap();
    // In MCUs there are as many as before.
    for (at, side, most) in [(5, SIZE[1], 8 * chroma.1), (7, SIZE[0], 8 * chroma.0)] {
        let side = if side.div_ceil(most.into()) == side.next_multiple_of(32) / usize::from(most) {
            side
        } else {
            side.next_multiple_of(32) - usize::from(most) + 3
        };
        file[frame + at..frame + at + 2].copy_from_slice(&(side as u16).to_be_bytes());
    }
    file
}

/// The picture without a border: there a blur of a reduced picture goes on with means, one at full size with pixels.
fn inside(image: &Image, border: usize) -> Image {
    let Pixels::Rgb8(pixels) = image.pixels() else { panic!("{:?}", image.format()) };
    let [width, height] = [image.rect().width, image.rect().height].map(|side| side as usize);
    let [wide, high] = [width, height].map(|side| side - 2 * border);
    let rows = pixels.chunks_exact(width).skip(border).take(high);
    let rows = rows.flat_map(|row| &row[border..width - border]);
    Image::from_rgb8(Rect::sized(wide as u32, high as u32), rows.copied().collect())
}

/// The greatest change of the mean light of areas of 64 × 64 pixels, coded as brightness of 255.
fn brightness(one: &Image, other: &Image) -> f64 {
    let (width, height) = (one.rect().width as usize, one.rect().height as usize);
    let channels = components(one).len() / (width * height);
    let linear = |byte: u8| {
        let v = f64::from(byte) / 255.0;
        if v <= 0.040_45 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
    };
    let coded = |v: f64| 255.0 * if v <= 0.003_130_8 { v * 12.92 } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 };
    let mut most = 0.0f64;
    let (wide, high) = (width.min(64), height.min(64));
    for top in (0..=height - high).step_by(high / 2) {
        for left in (0..=width - wide).step_by(wide / 2) {
            for c in 0..channels.min(3) {
                let mean = |image: &Image| {
                    let bytes = components(image);
                    let rows =
                        (top..top + high).flat_map(|y| (left..left + wide).map(move |x| (y * width + x) * channels));
                    coded(rows.map(|at| linear(bytes[at + c])).sum::<f64>() / (wide * high) as f64)
                };
                most = most.max((mean(one) - mean(other)).abs());
            }
        }
    }
    most
}

/// Two ways to read pictures: one line for each file, the least likeness in dB with the most change of brightness, and
/// how many pictures were compared.
type Comparison = (String, (f64, f64), usize);

/// Compares the ways for each content, several at once.
fn of_all(compare: impl Fn(&str, &Picture) -> Comparison + Sync) -> Comparison {
    let (contents, compare) = (contents(), &compare);
    let all: Vec<Comparison> = std::thread::scope(|scope| {
        let begun: Vec<_> =
            contents.iter().map(|(name, picture)| scope.spawn(move || compare(name, picture))).collect();
        begun.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (mut table, mut worst, mut read) = (String::new(), (f64::MAX, 0.0f64), 0);
    for (lines, own, number) in all {
        table += &lines;
        worst = (worst.0.min(own.0), worst.1.max(own.1));
        read += number;
    }
    println!("{table}worst: {:.1} dB, {:.2} of 255", worst.0, worst.1);
    (table, worst, read)
}

#[test]
fn all_content_is_the_same_read_reduced_and_in_full() {
    let library = library();
    let passthrough = library.get("passthrough").unwrap();
    let reduced = AtomicU32::new(0);
    let (table, worst, read) = of_all(|name, picture| {
        let (mut table, mut worst, mut read) = (String::new(), (f64::MAX, 0.0f64), 0);
        for (sampling, chroma) in SAMPLINGS {
            for (kind, progressive, foreign) in [
                ("baseline", false, false),
                ("progressive", true, false),
                ("foreign padding", false, true),
                ("both", true, true),
            ] {
                let file = if foreign {
                    padded(picture, chroma, progressive)
                } else {
                    encoded(picture, SIZE, chroma, progressive)
                };
                let width = codec::read_header(&file).unwrap().width;
                write!(table, "{name:12} {sampling} {kind:16}").unwrap();
                // Widths that n/8 of the size serves just so, and not quite.
                for eighths in 1..5u32 {
                    let (mut own, mut full) = ((f64::MAX, 0.0f64), 0);
                    for share in [1.0, 0.82] {
                        let width = (f64::from(width * eighths) / 8.0 * share).floor().to_string();
                        let (found, expected, plan) = both(&passthrough, &[("width", &width)], &file).unwrap();
                        own = (psnr(&found, &expected).min(own.0), brightness(&found, &expected).max(own.1));
                        full += u32::from(plan.part().unwrap().eighths == 8);
                        read += 1;
                    }
                    if ["lake", "marbles"].contains(&name) {
                        reduced.fetch_add(2 - full, Ordering::Relaxed);
                    }
                    write!(table, "  {eighths}/8 {:5.1} dB {:5.2} {full}", own.0.min(99.9), own.1).unwrap();
                    worst = (worst.0.min(own.0), worst.1.max(own.1));
                }
                table.push('\n');
            }
        }
        (table, worst, read)
    });
    assert_eq!(read, 9 * 5 * 4 * 4 * 2);
    // Of 320 photos.
    let reduced = reduced.into_inner();
    println!("{reduced} photos are read reduced");
    assert!(reduced > 100, "{reduced}: one way is compared with itself\n{table}");
    assert!(worst.0 >= LEAST && worst.1 <= MOST, "{table}");
}

#[test]
fn a_wide_blur_is_as_bright_read_reduced_as_in_full() {
    let library = library();
    let blur = library.get("gaussianblur").unwrap();
    let (table, worst, read) = of_all(|name, picture| {
        let (mut table, mut worst, mut read) = (String::new(), (f64::MAX, 0.0f64), 0);
        for (sampling, chroma) in SAMPLINGS {
            for (progressive, foreign) in [(false, false), (false, true), (true, true)] {
                let file = if foreign {
                    padded(picture, chroma, progressive)
                } else {
                    encoded(picture, SIZE, chroma, progressive)
                };
                write!(table, "{name:12} {sampling} {progressive:5} {foreign:5}").unwrap();
                for (deviation, border) in [("8", 24), ("16", 48), ("40", 120)] {
                    let (found, expected, plan) =
                        both(&blur, &[("std-dev-x", deviation), ("std-dev-y", deviation)], &file).unwrap();
                    assert!(plan.part().unwrap().eighths < 8, "{plan}");
                    let [found, expected] = [found, expected].map(|image| inside(&image, border));
                    let own = (psnr(&found, &expected), brightness(&found, &expected));
                    write!(table, "  {deviation}: {:.1} dB {:.2}", own.0, own.1).unwrap();
                    worst = (worst.0.min(own.0), worst.1.max(own.1));
                    read += 1;
                }
                table.push('\n');
            }
        }
        (table, worst, read)
    });
    assert_eq!(read, 9 * 5 * 3 * 3);
    assert!(worst.0 >= BLURRED.0 && worst.1 <= BLURRED.1, "{table}");
}

#[test]
fn the_pictures_are_in_bytes() {
    assert!(contents().iter().all(|(_, picture)| picture.len() == SIZE[0] * SIZE[1]));
    assert_eq!(codec::read_header(include_bytes!("page.png")).unwrap().pixel_format(), Format::RGB8);
}
