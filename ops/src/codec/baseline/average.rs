//! MCUs at up to half the size by way of all their pixels, whose mean is taken in light.
//!
//! The lowest cosines give means in coded light. Where a block has much else, these are too dark: black and white in
//! turn have half the light, which is coded as 188, not as 127.5. So such blocks are read in full.

use multiversion::multiversion;

use super::Fault;
use super::headers::Headers;
use super::islow;
use super::mcus::{Block, Order, extents};
use super::pixels::{self, LANES};
use crate::Format;
use crate::format::{Source, Target, convert_row, light_of_bytes};

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
    /// A row of the MCU, and its light: three for each pixel.
    row: Vec<[u8; 3]>,
    light: Vec<f32>,
    /// The light of the rows that come of it, as wide as the MCU, and that of the pixels.
    sums: Vec<f32>,
    means: Vec<[f32; 4]>,
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
            light: vec![0.0; mcu[0] * 3],
            sums: vec![0.0; mcu[0] * 3 * down.len()],
            across,
            down,
            extents: extents([8; 2]),
            row: vec![[0; 3]; mcu[0]],
            means: vec![[0.0; 4]; pixels],
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
        self.sums.fill(0.0);
        for y in 0..rows {
            self.components.iter_mut().for_each(|component| component.widen(y, at));
            match &self.components[..] {
                [luma, cb, cr] => pixels::color_of_bytes(&mut self.row, [&luma.wide, &cb.wide, &cr.wide]),
                [luma, ..] => self.row.iter_mut().zip(&luma.wide).for_each(|(pixel, luma)| *pixel = [*luma; 3]),
                [] => {}
            }
            let last = self.row[columns - 1];
            self.row[columns..].fill(last);
            add_row(&self.row, &self.down, [y, rows], &mut self.light, &mut self.sums);
        }
        for (means, sums) in
            self.means.chunks_exact_mut(self.across.len()).zip(self.sums.chunks_exact(self.light.len()))
        {
            for (mean, share) in means.iter_mut().zip(&self.across) {
                *mean = [0.0, 0.0, 0.0, 1.0];
                for (light, weight) in sums[share.first * 3..].chunks_exact(3).zip(&share.weights) {
                    (0..3).for_each(|c| mean[c] += light[c] * weight);
                }
            }
        }
        convert_row(Format::LIN_OPAQUE, Source::Float(&self.means), Format::RGB8, Target::Rgb8(&mut self.out));
        &self.out
    }
}

/// Adds the light of row `y` of so many, which stands for those that follow the last one, to what comes of it.
#[multiversion(targets("x86_64+avx2"))]
fn add_row(row: &[[u8; 3]], down: &[Share], [y, rows]: [usize; 2], light: &mut [f32], sums: &mut [f32]) {
    let table = light_of_bytes();
    for (light, byte) in light.iter_mut().zip(row.as_flattened()) {
        *light = table[usize::from(*byte)];
    }
    for (sums, share) in sums.chunks_exact_mut(light.len()).zip(down) {
        let weights = share.weights.get(y.wrapping_sub(share.first)..).unwrap_or_default();
        let weight: f32 = match () {
            () if y + 1 == rows && y < share.first => 1.0,
            () if y + 1 == rows => weights.iter().sum(),
            () => weights.first().copied().unwrap_or_default(),
        };
        if weight > 0.0 {
            for (sum, light) in sums.iter_mut().zip(&*light) {
                *sum += light * weight;
            }
        }
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
        widen_row([near, far], &mut self.narrow, &mut self.wide, self.ratio[0]);
    }
}

/// Makes a row as wide as the MCU, from the two stored rows that are nearest.
#[multiversion(targets("x86_64+avx2"))]
fn widen_row([near, far]: [&[u8]; 2], narrow: &mut [u16], wide: &mut [u8], ratio: usize) {
    let columns = near.len();
    for ((out, near), far) in narrow[1..].iter_mut().zip(near).zip(far) {
        *out = u16::from(*near).wrapping_mul(3).wrapping_add(u16::from(*far));
    }
    narrow[0] = narrow[1];
    narrow[columns + 1] = narrow[columns];
    let (before, at, after) = (&narrow[..columns], &narrow[1..=columns], &narrow[2..columns + 2]);
    if ratio == 2 {
        for (((out, before), at), after) in wide.as_chunks_mut::<2>().0.iter_mut().zip(before).zip(at).zip(after) {
            let own = at.wrapping_mul(3);
            *out = [
                (own.wrapping_add(*before).wrapping_add(8) >> 4) as u8,
                (own.wrapping_add(*after).wrapping_add(7) >> 4) as u8,
            ];
        }
    } else {
        for (out, at) in wide.chunks_exact_mut(ratio).zip(at) {
            out.fill((at.wrapping_add(2) >> 2) as u8);
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
