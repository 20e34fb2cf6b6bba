use imgflo_ops::{Pixels, Rect};

use super::*;

const WIDTH: u32 = 150;
const HEIGHT: u32 = 90;

/// A picture with slopes, edges and detail.
fn scene() -> Image {
    let pixels = (0..HEIGHT).flat_map(|y| {
        (0..WIDTH).map(move |x| {
            let disc = (x as i32 - 50).pow(2) + (y as i32 - 40).pow(2) < 700;
            let stripes = x > 90 && (x / 3 + y / 5) % 2 == 0;
            match (disc, stripes) {
                (true, _) => [210, 90, 40],
                (_, true) => [30, 60, 120],
                _ => [(40 + x) as u8, (60 + y * 2) as u8, (200 - x) as u8],
            }
        })
    });
    Image::from_rgb8(Rect::sized(WIDTH, HEIGHT), pixels.collect())
}

fn map(image: &Image, change: impl Fn(usize, u8) -> u8) -> Image {
    let Pixels::Rgb8(pixels) = image.pixels() else { panic!("not RGB8") };
    let pixels = pixels.iter().enumerate().map(|(index, pixel)| pixel.map(|value| change(index, value)));
    Image::from_rgb8(image.rect(), pixels.collect())
}

fn flat(value: u8) -> Image {
    Image::from_rgb8(Rect::sized(40, 40), vec![[value; 3]; 1600])
}

/// A Gaussian blur in coded light; edges are continued.
fn blurred(image: &Image, sigma: f32) -> Image {
    let Pixels::Rgb8(pixels) = image.pixels() else { panic!("not RGB8") };
    let radius = (3.0 * sigma).ceil() as i32;
    let weight = |d: i32| (-((d * d) as f32) / (2.0 * sigma * sigma)).exp();
    let total: f32 = (-radius..=radius).map(weight).sum();
    let pass = |from: Vec<[f32; 3]>, dx: i32, dy: i32| {
        let at = |x: i32, y: i32| {
            from[(y.clamp(0, HEIGHT as i32 - 1) * WIDTH as i32 + x.clamp(0, WIDTH as i32 - 1)) as usize]
        };
        let pixel = |x: i32, y: i32| {
            let mut sum = [0.0; 3];
            for d in -radius..=radius {
                let pixel = at(x + d * dx, y + d * dy);
                sum = std::array::from_fn(|channel| sum[channel] + pixel[channel] * weight(d) / total);
            }
            sum
        };
        (0..HEIGHT as i32)
            .flat_map(|y| (0..WIDTH as i32).map(move |x| (x, y)))
            .map(|(x, y)| pixel(x, y))
            .collect::<Vec<_>>()
    };
    let floats = pixels.iter().map(|pixel| pixel.map(f32::from)).collect();
    let floats = pass(pass(floats, 1, 0), 0, 1);
    Image::from_rgb8(image.rect(), floats.iter().map(|pixel| pixel.map(|value| value.round() as u8)).collect())
}

fn between(a: &Image, b: &Image) -> Distance {
    distance(a, b, &Cancel::new()).expect("not cancelled").expect("of one size")
}

#[test]
fn the_scale_is_as_documented() {
    let scene = scene();
    let same = between(&scene, &scene.clone());
    assert_eq!((same.largest, same.mean), (0.0, 0.0));
    let step = between(&scene, &map(&scene, |_, value| value.saturating_add(1)));
    let blur = between(&scene, &blurred(&scene, 1.0));
    let inverted = between(&scene, &map(&scene, |_, value| 255 - value));
    assert!(step.largest > 0.1 && step.largest < 0.4, "{step}");
    assert!(blur.largest > 2.0 && blur.largest < 12.0, "{blur}");
    assert!(inverted.largest > 35.0, "{inverted}");
    for distance in [step, blur, inverted] {
        assert!(distance.mean > 0.0 && distance.mean <= distance.largest, "{distance}");
    }
    let most = between(&flat(0), &flat(255));
    assert!((most.largest - 78.5).abs() < 0.5 && (most.mean - most.largest).abs() < 1e-9, "{most}");
    // Wherever the step is taken, also at black.
    for value in 0..255 {
        let step = between(&flat(value), &flat(value + 1));
        assert!(step.largest > 0.15 && step.largest < 0.4, "{value}: {step}");
    }
}

#[test]
fn more_of_a_change_is_more_of_a_distance() {
    let scene = scene();
    let noise = |index: usize| (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let rising: [(&str, Vec<Image>); 4] = [
        ("blur", [0.5, 0.8, 1.0, 1.5, 2.5, 5.0].map(|sigma| blurred(&scene, sigma)).into()),
        ("light", [1, 2, 5, 10, 30].map(|by| map(&scene, |_, value| value.saturating_add(by))).into()),
        (
            "contrast",
            [9, 8, 6, 3, 0].map(|tenths| map(&scene, |_, value| (u32::from(value) * tenths / 10) as u8)).into(),
        ),
        (
            "noise",
            [2, 4, 8, 16, 32]
                .map(|most| map(&scene, |index, value| value.saturating_add((noise(index) % most) as u8)))
                .into(),
        ),
    ];
    for (kind, pictures) in rising {
        let distances: Vec<Distance> = pictures.iter().map(|picture| between(&scene, picture)).collect();
        assert!(distances.is_sorted_by(|a, b| a.mean < b.mean), "{kind}: {distances:?}");
        assert!(distances.is_sorted_by(|a, b| a.largest < b.largest), "{kind}: {distances:?}");
        let back = between(&pictures[0], &scene);
        assert_eq!(back, distances[0], "{kind}: it does not matter which is first");
    }
}

#[test]
fn a_small_place_counts_and_is_told() {
    let scene = scene();
    let spoilt = map(&scene, |index, value| {
        let (x, y) = (index as u32 % WIDTH, index as u32 / WIDTH);
        if (100..108).contains(&x) && (70..78).contains(&y) { 255 - value } else { value }
    });
    let Distance { largest, at, mean } = between(&scene, &spoilt);
    assert!(largest > 5.0 && mean < 0.3, "{largest} {mean}");
    assert_eq!(at, (96, 64));
}

#[test]
fn noise_is_less_than_a_change_of_colour() {
    let grain =
        |by: u8| map(&flat(128), |index, value| if (index + index / 40) % 2 == 0 { value + by } else { value - by });
    let (grain, shift) = (between(&flat(128), &grain(6)), between(&flat(128), &flat(134)));
    assert!(grain.largest < shift.largest / 2.0, "{grain} {shift}");
}

#[test]
fn alpha_counts_on_any_background() {
    let rgba = |pixel: [u8; 4]| Image::from_rgba8(Rect::new(-7, 3, 20, 20), vec![pixel; 400]);
    // What is wholly transparent has no colour.
    assert_eq!(between(&rgba([255, 0, 0, 0]), &rgba([0, 255, 0, 0])).largest, 0.0);
    let black = between(&rgba([0, 0, 0, 255]), &rgba([0, 0, 0, 0])).largest;
    let white = between(&rgba([255, 255, 255, 255]), &rgba([0, 0, 0, 0])).largest;
    assert!(black > 78.0 && white > 78.0, "{black} {white}");
    // Opaque with and without alpha is the same.
    let opaque = Image::from_rgb8(Rect::sized(20, 20), vec![[9, 8, 7]; 400]);
    assert_eq!(between(&rgba([9, 8, 7, 255]), &opaque).largest, 0.0);
}

#[test]
fn sizes_edges_and_cancelling() {
    let scene = scene();
    assert_eq!(distance(&scene, &flat(0), &Cancel::new()), Ok(None));
    for (width, height) in [(1, 1), (17, 1), (1, 33), (3, 5)] {
        let of = |value: u8| Image::from_rgb8(Rect::sized(width, height), vec![[value; 3]; (width * height) as usize]);
        let most = between(&of(0), &of(255));
        assert!((most.mean - 78.5).abs() < 0.5, "{width} x {height}: {most}");
    }
    let cancel = Cancel::new();
    cancel.cancel();
    assert_eq!(distance(&scene, &scene, &cancel), Err(OpError::Cancelled));
}

#[test]
fn oklab_is_that_of_its_author() {
    // From the table on his page: sRGB's white, red, green and blue.
    for (rgb, lab) in [
        ([1.0, 1.0, 1.0], [1.0, 0.0, 0.0]),
        ([1.0, 0.0, 0.0], [0.628, 0.225, 0.126]),
        ([0.0, 1.0, 0.0], [0.866, -0.234, 0.179]),
        ([0.0, 0.0, 1.0], [0.452, -0.032, -0.312]),
    ] {
        let found = oklab(rgb);
        assert!(
            found.iter().zip(lab).all(|(found, lab): (&f32, f32)| (found - lab).abs() < 1e-3),
            "{rgb:?}: {found:?}"
        );
    }
}
