//! MCUs at up to half the size by way of all their pixels, whose mean is taken in light.
//!
//! The lowest cosines give means in coded light. Where a block has much else, these are too dark: black and white in
//! turn have half the light, which is coded as 188, not as 127.5. So such blocks are read in full.

use super::Fault;
use super::headers::Headers;
use super::islow;
use super::mcus::{Block, Order, extents};
use super::pixels::{self, LANES};
use crate::Format;
use crate::format::{Source, Target, convert_row};

/// A component.
struct Component {
    /// Blocks of an MCU along x and y.
    blocks: [usize; 2],
    /// Pixels of the picture for one of its own, along x and y.
    ratio: [usize; 2],
    /// Columns and rows of the picture, without what only fills MCUs.
    size: [usize; 2],
    /// Steps of the coefficients, row by row.
    steps: [i16; 64],
    /// The pixels of an MCU.
    plane: Vec<u8>,
    /// A row of it, times 4, and made as wide as the MCU.
    narrow: Vec<u16>,
    wide: Vec<u8>,
}

/// The pixels that a reduced one is the mean of: the first, and their weights.
struct Share {
    first: usize,
    weights: Vec<f32>,
}

/// Shares along a side that comes from `eighths` for each 8 pixels.
fn shares(from: usize, eighths: usize) -> Vec<Share> {
    let part = |low: usize, high: usize| (high.max(low) - low) as f32 / 8.0;
    (0..from * eighths / 8)
        .map(|index| {
            // In parts of a pixel, `eighths` of which it has.
            let (start, end) = (index * 8, (index + 1) * 8);
            let (first, last) = (start / eighths, end.div_ceil(eighths));
            let weight = |pixel: usize| part(start.max(pixel * eighths), end.min((pixel + 1) * eighths));
            Share { first, weights: (first..last).map(weight).collect() }
        })
        .collect()
}

/// Makes the pixels of MCUs.
pub(super) struct Averager {
    components: Vec<Component>,
    /// Pixels of an MCU along x and y, and those of the picture.
    mcu: [usize; 2],
    size: [usize; 2],
    across: Vec<Share>,
    down: Vec<Share>,
    extents: [(u8, u8); 64],
    row: Vec<[u8; 3]>,
    light: Vec<[f32; 4]>,
    line: Vec<[f32; 4]>,
    sums: Vec<[f32; 4]>,
    out: Vec<[u8; 3]>,
}

impl Averager {
    /// At `eighths`/8 of the size.
    ///
    /// # Errors
    /// [`Fault`]: steps are missing, or a component is no whole part of the others.
    pub(super) fn new(headers: &Headers<'_>, eighths: usize) -> Result<Averager, Fault> {
        let most = headers.most();
        let mcu = most.map(|blocks| blocks * 8);
        let mut components = Vec::new();
        for component in &headers.components {
            let blocks = component.blocks;
            if (0..2).any(|axis| !most[axis].is_multiple_of(blocks[axis])) {
                return Err(Fault);
            }
            let steps = headers.quantisation[component.quantisation].ok_or(Fault)?;
            let (_, steps) = Order::new([8; 2], &steps, 0.0, [false; 2]);
            components.push(Component {
                blocks,
                ratio: [0, 1].map(|axis| most[axis] / blocks[axis]),
                size: [0, 1].map(|axis: usize| (headers.size[axis] * blocks[axis]).div_ceil(most[axis])),
                steps: steps.map(|step| step as i16),
                plane: vec![0; blocks[0] * blocks[1] * 64],
                narrow: vec![0; blocks[0] * 8 + 2],
                wide: vec![0; mcu[0].next_multiple_of(LANES)],
            });
        }
        let (across, down) = (shares(mcu[0], eighths), shares(mcu[1], eighths));
        let pixels = across.len() * down.len();
        Ok(Averager {
            components,
            mcu,
            size: headers.size,
            line: vec![[0.0; 4]; across.len()],
            across,
            down,
            extents: extents([8; 2]),
            row: vec![[0; 3]; mcu[0]],
            light: vec![[0.0; 4]; mcu[0]],
            sums: vec![[0.0; 4]; pixels],
            out: vec![[0; 3]; pixels],
        })
    }

    /// The pixels of an MCU, row by row: that of column and row `at`, of which these are the blocks. What lies beyond
    /// the picture is not looked at; there it goes on as it ends.
    pub(super) fn pixels(&mut self, mut blocks: &[Block], at: [usize; 2]) -> &[[u8; 3]] {
        for component in &mut self.components {
            let (own, rest) = blocks.split_at(component.blocks[0] * component.blocks[1]);
            component.take(own, &self.extents);
            blocks = rest;
        }
        let [columns, rows] = [0, 1].map(|axis| (self.size[axis] - at[axis] * self.mcu[axis]).min(self.mcu[axis]));
        self.sums.fill([0.0; 4]);
        for y in 0..rows {
            self.components.iter_mut().for_each(|component| component.widen(y, at));
            match &self.components[..] {
                [luma, cb, cr] => pixels::color_of_bytes(&mut self.row, [&luma.wide, &cb.wide, &cr.wide]),
                [luma, ..] => self.row.iter_mut().zip(&luma.wide).for_each(|(pixel, luma)| *pixel = [*luma; 3]),
                [] => {}
            }
            let last = self.row[columns - 1];
            self.row[columns..].fill(last);
            convert_row(Format::RGB8, Source::Rgb8(&self.row), Format::LIN_OPAQUE, Target::Float(&mut self.light));
            for (out, share) in self.line.iter_mut().zip(&self.across) {
                *out = [0.0; 4];
                for (pixel, weight) in self.light[share.first..].iter().zip(&share.weights) {
                    (0..4).for_each(|c| out[c] += pixel[c] * weight);
                }
            }
            for (sums, share) in self.sums.chunks_exact_mut(self.line.len()).zip(&self.down) {
                let weights = share.weights.get(y.wrapping_sub(share.first)..).unwrap_or_default();
                // The last row stands for those that follow.
                let weight: f32 = match () {
                    () if y + 1 == rows && y < share.first => 1.0,
                    () if y + 1 == rows => weights.iter().sum(),
                    () => weights.first().copied().unwrap_or_default(),
                };
                if weight > 0.0 {
                    for (sum, light) in sums.iter_mut().zip(&self.line) {
                        (0..4).for_each(|c| sum[c] += light[c] * weight);
                    }
                }
            }
        }
        convert_row(Format::LIN_OPAQUE, Source::Float(&self.sums), Format::RGB8, Target::Rgb8(&mut self.out));
        &self.out
    }
}

impl Component {
    /// Makes pixels of blocks.
    fn take(&mut self, blocks: &[Block], extents: &[(u8, u8); 64]) {
        let (across, stride) = (self.blocks[0], self.blocks[0] * 8);
        for (index, block) in blocks.iter().enumerate() {
            let (columns, rows) = extents[block.found & 63];
            let out = &mut self.plane[index % across * 8 + index / across * 8 * stride..];
            islow::pixels(&block.values, &self.steps, (columns.into(), rows.into()), out, stride);
        }
    }

    /// Makes a row of the MCU: between those stored at half the size as libjpeg does by default, but within the MCU.
    fn widen(&mut self, y: usize, at: [usize; 2]) {
        let stride = self.blocks[0] * 8;
        let inside = |axis: usize| (self.size[axis] - at[axis] * self.blocks[axis] * 8).min(self.blocks[axis] * 8);
        let [columns, rows] = [0, 1].map(inside);
        let near = (y / self.ratio[1]).min(rows - 1);
        let far = match (self.ratio[1], y % 2) {
            (2, 0) => near.saturating_sub(1),
            (2, _) => (near + 1).min(rows - 1),
            _ => near,
        };
        let [near, far] = [near, far].map(|row| &self.plane[row * stride..][..columns]);
        for (out, (near, far)) in self.narrow[1..].iter_mut().zip(near.iter().zip(far)) {
            *out = 3 * u16::from(*near) + u16::from(*far);
        }
        self.narrow[0] = self.narrow[1];
        self.narrow[columns + 1] = self.narrow[columns];
        let ratio = self.ratio[0];
        for (out, near) in self.wide.chunks_exact_mut(ratio).zip(self.narrow[..columns + 2].windows(3)) {
            if let [left, right] = out {
                *left = ((near[1] * 3 + near[0] + 8) >> 4) as u8;
                *right = ((near[1] * 3 + near[2] + 7) >> 4) as u8;
            } else {
                out.fill(((near[1] + 2) >> 2) as u8);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_even_and_whole() {
        for eighths in 1..=4 {
            for from in [8, 16, 32] {
                let shares = shares(from, eighths);
                assert_eq!(shares.len(), from * eighths / 8);
                let mut of = vec![0.0; from];
                for share in &shares {
                    assert!((share.weights.iter().sum::<f32>() - 1.0).abs() < 1e-6);
                    share.weights.iter().enumerate().for_each(|(index, weight)| of[share.first + index] += weight);
                }
                assert!(of.iter().all(|sum| (sum - eighths as f32 / 8.0).abs() < 1e-6), "{eighths}/8: {of:?}");
            }
        }
    }
}
