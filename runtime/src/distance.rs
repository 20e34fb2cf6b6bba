//! How far apart two pictures look.
//!
//! Both are cut into squares of [`SIDE`] pixels. In each, pixels are compared in Oklab, where equal
//! steps look about equal (Björn Ottosson, "A perceptual color space for image processing", 2020); then
//! averages of 2 × 2 pixels, of 4 × 4 and so on up to the whole square, all made of linear light. The mean over
//! these scales is the square's distance: a change of colour counts at all of them, one of detail only
//! at the fine ones, noise hardly.
//!
//! Near black Oklab alone would take the step from 0 to 1 of 255 for a large one. A screen is never
//! that black: before the comparison all light gets the viewing flare of 1 % that sRGB was made for
//! (IEC 61966-2-1, encoding viewing flare).
//!
//! Distances are hundredths of Oklab's unit. Black and white are 79 apart, one step of 255 in all channels at most 0.4.
//! 2 in an even area is about what can just be seen (CSS Color 4 takes 0.02 in Oklab for it).
//! Pictures with alpha are compared on black and on white, and the larger distance counts.

use std::fmt;

use imgflo_ops::format::{Target, convert_row};
use imgflo_ops::{Cancel, Format, Image, OpError};
use rayon::prelude::*;

/// Side of a square, pixels.
const SIDE: usize = 16;

/// How far apart two pictures are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distance {
    /// The distance of the square of 16 × 16 pixels where it is largest: 0 for equal pictures, 79 between
    /// black and white. This is what a limit is held against: no place may differ by more.
    pub largest: f64,
    /// The left upper corner of that square, pixels.
    pub at: (u32, u32),
    /// The mean over the picture.
    pub mean: f64,
}

impl fmt::Display for Distance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Distance { largest, at: (x, y), mean } = self;
        write!(f, "{largest:.2} (at {x}, {y}; {mean:.2} in the mean)")
    }
}

/// How far apart two pictures are; `None` when they differ in size. Where their corners lie makes no
/// difference. Runs on all cores.
///
/// # Errors
/// When `cancel` says so.
pub fn distance(a: &Image, b: &Image, cancel: &Cancel) -> Result<Option<Distance>, OpError> {
    let (width, height) = (a.rect().width as usize, a.rect().height as usize);
    if (width, height) != (b.rect().width as usize, b.rect().height as usize) {
        return Ok(None);
    }
    let opaque = !a.format().has_alpha() && !b.format().has_alpha();
    let backgrounds: &[f32] = if opaque { &[0.0] } else { &[0.0, 1.0] };
    let bands = (0..height.div_ceil(SIDE)).into_par_iter().map(|band| {
        cancel.check()?;
        let top = band * SIDE;
        let rows = SIDE.min(height - top);
        let (a, b) = (light(a, top, rows), light(b, top, rows));
        let squares = (0..width).step_by(SIDE).map(|left| {
            let columns = SIDE.min(width - left);
            let on = |background: &f32| {
                let cut = |light: &[[f32; 4]]| Square::cut(light, width, left, columns, rows, *background);
                cut(&a).distance(cut(&b))
            };
            let distance = backgrounds.iter().map(on).fold(0.0, f64::max);
            (distance, (left as u32, top as u32), (columns * rows) as f64)
        });
        Ok(squares.collect::<Vec<_>>())
    });
    // Summed up in one order, whichever thread came first.
    let bands = bands.collect::<Result<Vec<_>, OpError>>()?;
    let (mut found, mut sum) = (Distance { largest: 0.0, at: (0, 0), mean: 0.0 }, 0.0);
    for (distance, at, pixels) in bands.into_iter().flatten() {
        sum += distance * pixels;
        if distance > found.largest {
            (found.largest, found.at) = (distance, at);
        }
    }
    found.mean = sum / ((width * height) as f64).max(1.0);
    Ok(Some(found))
}

/// Rows of a picture in linear light, premultiplied, from row `top` of it.
fn light(image: &Image, top: usize, rows: usize) -> Vec<[f32; 4]> {
    let (rect, view) = (image.rect(), image.view(image.rect()));
    let width = rect.width as usize;
    let mut light = vec![[0.0; 4]; width * rows];
    for (row, target) in light.chunks_mut(width.max(1)).enumerate() {
        let from = view.source(rect.x, rect.y + (top + row) as i32, rect.width);
        convert_row(image.format(), from, Format::LINP, Target::Float(target));
    }
    light
}

/// A part of a picture at one scale, linear light with the flare in it.
struct Square {
    width: usize,
    height: usize,
    pixels: Vec<[f32; 3]>,
}

impl Square {
    fn cut(light: &[[f32; 4]], stride: usize, left: usize, width: usize, height: usize, background: f32) -> Self {
        let seen = |[r, g, b, alpha]: [f32; 4]| {
            let behind = background * (1.0 - alpha);
            // What a file can hold; NaN is 0 there.
            let held = |light: f32| if light > 0.0 { light.min(1.0) } else { 0.0 };
            [r, g, b].map(|light| flared(held(light + behind)))
        };
        let rows = light.chunks(stride).take(height);
        let pixels = rows.flat_map(|row| row[left..left + width].iter().map(|pixel| seen(*pixel))).collect();
        Square { width, height, pixels }
    }

    /// The mean over all scales of the mean over all pixels.
    fn distance(mut self, mut other: Square) -> f64 {
        let (mut sum, mut scales) = (0.0, 0.0);
        loop {
            let between = self.pixels.iter().zip(&other.pixels).map(|(a, b)| apart(*a, *b));
            sum += between.sum::<f64>() / self.pixels.len() as f64;
            scales += 1.0;
            if self.pixels.len() == 1 {
                return 100.0 * sum / scales;
            }
            (self, other) = (self.halved(), other.halved());
        }
    }

    /// Half as wide and high: averages of 2 × 2 pixels, or of those that there are at an odd edge.
    fn halved(&self) -> Square {
        let (width, height) = (self.width.div_ceil(2), self.height.div_ceil(2));
        let average = |x: usize, y: usize| {
            let (mut sum, mut count) = ([0.0; 3], 0.0);
            for y in 2 * y..self.height.min(2 * y + 2) {
                for pixel in &self.pixels[y * self.width..][2 * x..self.width.min(2 * x + 2)] {
                    sum = [sum[0] + pixel[0], sum[1] + pixel[1], sum[2] + pixel[2]];
                    count += 1.0;
                }
            }
            sum.map(|sum| sum / count)
        };
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| average(x, y)).collect();
        Square { width, height, pixels }
    }
}

/// Light as it is seen on a screen that is never quite dark.
fn flared(light: f32) -> f32 {
    const FLARE: f32 = 0.01;
    (light + FLARE) / (1.0 + FLARE)
}

/// The distance of two colours in Oklab.
fn apart(a: [f32; 3], b: [f32; 3]) -> f64 {
    // Most pixels of most pairs of pictures are the same.
    if a == b {
        return 0.0;
    }
    let (a, b) = (oklab(a), oklab(b));
    let square = |index: usize| f64::from(a[index] - b[index]).powi(2);
    (square(0) + square(1) + square(2)).sqrt()
}

/// Linear sRGB to Oklab, with the matrices of its author (<https://bottosson.github.io/posts/oklab/>).
fn oklab([r, g, b]: [f32; 3]) -> [f32; 3] {
    let l = (0.412_221_46 * r + 0.536_332_55 * g + 0.051_445_995 * b).cbrt();
    let m = (0.211_903_5 * r + 0.680_699_5 * g + 0.107_396_96 * b).cbrt();
    let s = (0.088_302_46 * r + 0.281_718_85 * g + 0.629_978_7 * b).cbrt();
    [
        0.210_454_26 * l + 0.793_617_8 * m - 0.004_072_047 * s,
        1.977_998_5 * l - 2.428_592_2 * m + 0.450_593_7 * s,
        0.025_904_037 * l + 0.782_771_77 * m - 0.808_675_77 * s,
    ]
}

#[cfg(test)]
mod tests;
