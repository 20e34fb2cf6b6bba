//! From one quality to another without pixels: the coefficients are quantised anew.

use multiversion::multiversion;

use super::headers::Headers;
use super::scan::{Coefficients, Scan, Sink};
use super::symbols::{Block, Symbols};
use super::write::{Sampling, steps};
use super::{Fault, ZIGZAG};

/// Coefficients that baseline JPEG can code: ITU-T T.81, tables F.1 and F.2.
pub(super) const LARGEST: f32 = 1023.0;

/// Added to a small float, it leaves the nearest whole number in the low bits (1.5 × 2^23).
pub(super) const ROUND: f32 = 12_582_912.0;
/// What makes a half less than a half: more than the steps of a float as large as [`LARGEST`].
const LESS: f32 = 1e-4;

/// Multiplies a coefficient and rounds it to nearest, a half towards 0, where it takes less: from a
/// table to one of twice its steps every other coefficient is a half.
#[inline(always)]
fn requantise(coefficient: i32, ratio: f32) -> i32 {
    let value = (coefficient as f32 * ratio).clamp(-LARGEST, LARGEST);
    (value - LESS.copysign(value) + ROUND).to_bits().wrapping_sub(ROUND.to_bits()) as i32
}

/// A component.
#[derive(Clone, Copy)]
struct Component {
    /// Old steps over new ones, by place.
    ratios: [f32; 64],
    /// The mean of the block before.
    mean: i32,
}

/// Takes the blocks of a picture in gray, or in YCbCr with chroma of half the size, in the order of
/// its MCUs.
pub(in super::super) struct Recoder {
    size: [usize; 2],
    sampling: Sampling,
    steps: [[u16; 64]; 2],
    components: Vec<Component>,
    symbols: Symbols,
}

impl Sink for Recoder {
    type Block<'s> = Requantised<'s>;

    #[inline(always)]
    fn last(&self, _component: usize) -> usize {
        63
    }

    #[inline(always)]
    fn block(&mut self, component: usize, _block: usize) -> Requantised<'_> {
        let Component { ratios, mean } = &mut self.components[component];
        Requantised { ratios, mean, block: self.symbols.block(usize::from(component > 0)) }
    }
}

/// Quantises a block anew.
pub(super) struct Requantised<'a> {
    ratios: &'a [f32; 64],
    mean: &'a mut i32,
    block: Block<'a>,
}

impl Coefficients for Requantised<'_> {
    #[inline(always)]
    fn mean(&mut self, value: i32) {
        let value = requantise(value, self.ratios[0]);
        self.block.mean(value - std::mem::replace(self.mean, value));
    }

    #[inline(always)]
    fn put(&mut self, place: usize, value: i32) {
        self.block.put(place, requantise(value, self.ratios[place & 63]));
    }

    #[inline(always)]
    fn found(&mut self, _found: usize) {}

    #[inline(always)]
    fn end(self) {
        self.block.end();
    }
}

impl Recoder {
    /// For a picture of `size` pixels, and the steps of its components by place: one of gray, or three with chroma of
    /// half the size.
    pub(in super::super) fn new(size: [usize; 2], old: &[[u16; 64]], quality: u8) -> Recoder {
        let steps = steps(quality);
        let components = old.iter().enumerate().map(|(index, old)| {
            let new = &steps[usize::from(index > 0)];
            Component { ratios: std::array::from_fn(|place| f32::from(old[place]) / f32::from(new[place])), mean: 0 }
        });
        let sampling = if old.len() == 1 { Sampling::Gray } else { Sampling::Half };
        Recoder { size, sampling, steps, components: components.collect(), symbols: Symbols::default() }
    }

    /// Takes a block of coefficients, row by row.
    pub(in super::super) fn take(&mut self, component: usize, block: &[i16; 64]) {
        let mut to = Sink::block(self, component, 0);
        to.mean(block[0].into());
        for (place, at) in ZIGZAG.into_iter().enumerate().skip(1) {
            to.put(place, block[usize::from(at)].into());
        }
        to.end();
    }

    /// The file.
    pub(in super::super) fn finish(self) -> Vec<u8> {
        self.symbols.write(self.size, self.sampling, &self.steps)
    }
}

/// Recodes a file, a row of MCUs at a time.
pub(in super::super) struct Recoding<'a> {
    scan: Scan<'a>,
    recoder: Recoder,
    mcus: [usize; 2],
}

impl<'a> Recoding<'a> {
    /// # Errors
    /// [`Fault`]: it is none that is read here, or has chroma of another size.
    pub(in super::super) fn open(file: &'a [u8], quality: u8) -> Result<Recoding<'a>, Fault> {
        let headers = Headers::read(file)?;
        let blocks: Vec<[usize; 2]> = headers.components.iter().map(|component| component.blocks).collect();
        if blocks != [[1, 1]] && blocks != [[2, 2], [1, 1], [1, 1]] {
            return Err(Fault);
        }
        let steps = headers.components.iter().map(|component| headers.quantisation[component.quantisation]);
        let steps: Vec<[u16; 64]> = steps.collect::<Option<_>>().ok_or(Fault)?;
        let recoder = Recoder::new(headers.size, &steps, quality);
        Ok(Recoding { scan: Scan::new(&headers, false)?, recoder, mcus: headers.mcus() })
    }

    /// Rows of MCUs that are left.
    pub(in super::super) fn left(&self) -> usize {
        self.mcus[1]
    }

    /// Recodes a row.
    ///
    /// # Errors
    /// [`Fault`] where the file is broken.
    pub(in super::super) fn next_row(&mut self) -> Result<(), Fault> {
        recode(&mut self.scan, &mut self.recoder, self.mcus[0])?;
        self.mcus[1] = self.mcus[1].saturating_sub(1);
        Ok(())
    }

    /// The file, after the last row.
    pub(in super::super) fn finish(self) -> Vec<u8> {
        self.recoder.finish()
    }
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt"))]
fn recode(scan: &mut Scan<'_>, recoder: &mut Recoder, mcus: usize) -> Result<(), Fault> {
    for _ in 0..mcus {
        scan.mcu(recoder)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coefficients_are_rounded_to_nearest_and_stay_within_what_can_be_coded() {
        let halves = [1, -1, 3, -3, i32::from(i16::MAX), i32::from(i16::MIN), 4, 0];
        assert_eq!(halves.map(|value| requantise(value, 0.5)), [0, 0, 1, -1, 1023, -1023, 2, 0]);
        assert_eq!([1, -1, 2, 3].map(|value| requantise(value, 0.6)), [1, -1, 1, 2]);
    }
}
