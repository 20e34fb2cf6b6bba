//! How near an encoded result is to what was asked for.

use std::error::Error;

use imgflo_ops::codec::{self, DecodeLimits};
use imgflo_ops::format::convert;
use imgflo_ops::{Cancel, Format, Pixels};

use crate::peers::Task;
use crate::psnr::psnr;
use crate::reference::{Exact, Light, Picture, Taps, filter};

const LIMITS: DecodeLimits = DecodeLimits::new(1 << 27, 1 << 15);

/// A blur within so many deviations of an edge depends on what is thought to lie beyond it: that is
/// not compared.
const RIM: u32 = 3;

/// Reads a file at its full size.
///
/// # Errors
/// When it cannot be read.
pub fn read(bytes: &[u8]) -> Result<Picture, Box<dyn Error>> {
    let image = convert(&codec::decode(bytes, LIMITS, &Cancel::new())?, Format::RGBA8)?;
    let (width, height) = (image.rect().width as usize, image.rect().height as usize);
    match image.into_pixels() {
        Pixels::Rgba8(pixels) => Ok(Picture { width, height, pixels }),
        _ => Err("not converted to 8 bits".into()),
    }
}

/// Turned counter-clockwise by a quarter.
fn turned_back(picture: &Picture) -> Picture {
    let (width, height) = (picture.height, picture.width);
    let pixel = |x: usize, y: usize| picture.pixels[x * picture.width + height - 1 - y];
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| pixel(x, y)).collect();
    Picture { width, height, pixels }
}

/// What the results of one kind of request should be.
pub struct Expected {
    /// Filtered in linear light and in coded light; one where that is the same.
    ways: Vec<Exact>,
    rim: usize,
    /// Results are turned clockwise by a quarter.
    turned: bool,
}

impl Expected {
    /// Of a task on this input.
    pub fn of(input: &Picture, task: Task) -> Expected {
        let (columns, rows, rim) = match task {
            Task::Scale(width) => {
                let width = width as usize;
                let height = (input.height as f64 * width as f64 / input.width as f64).round() as usize;
                (Taps::scale(input.width, width), Taps::scale(input.height, height), 0)
            }
            Task::Recode => (Taps::part(0, input.width), Taps::part(0, input.height), 0),
            Task::Crop(x, y, w, h) | Task::Turn(x, y, w, h) => {
                (Taps::part(x as usize, w as usize), Taps::part(y as usize, h as usize), 0)
            }
            Task::Blur(deviation) => {
                let taps = |length| Taps::blur(length, f64::from(deviation));
                (taps(input.width), taps(input.height), RIM * deviation)
            }
        };
        let lights: &[Light] = match task {
            Task::Scale(_) | Task::Blur(_) => &[Light::Linear, Light::Coded],
            Task::Recode | Task::Crop(..) | Task::Turn(..) => &[Light::Coded],
        };
        let ways = lights.iter().map(|&light| filter(input, &columns, &rows, light)).collect();
        Expected { ways, rim: rim as usize, turned: matches!(task, Task::Turn(..)) }
    }

    /// PSNR of a result in a file beside the way it is nearer to, dB.
    ///
    /// # Errors
    /// When it cannot be read, or has another size.
    pub fn compare(&self, file: &[u8]) -> Result<f64, Box<dyn Error>> {
        let result = read(file)?;
        let result = if self.turned { turned_back(&result) } else { result };
        let mut best = f64::NEG_INFINITY;
        for exact in &self.ways {
            best = best.max(psnr(&result, exact, self.rim)?);
        }
        Ok(best)
    }
}
