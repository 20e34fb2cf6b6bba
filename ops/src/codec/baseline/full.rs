//! Pixels at full size, those that libjpeg gives.

use std::ops::RangeInclusive;

use multiversion::multiversion;

use super::headers::Headers;
use super::mcus::{Block, Order, extents};
use super::pixels::{self, LANES};
use super::{Fault, islow, upsample};

/// Bytes before the first column of a plane, of which the last is its neighbour.
const BEFORE: usize = LANES;

/// How a component becomes pixels.
struct Channel {
    /// Blocks of an MCU along x and y.
    blocks: [usize; 2],
    /// Pixels of the picture for one of its own, along x and y.
    ratio: [usize; 2],
    /// Columns and rows of the picture, without what only fills MCUs.
    size: [usize; 2],
    /// Steps of the coefficients, in their order.
    steps: [i16; 64],
    /// The last row of the MCUs above, then those of a row of MCUs, each from [`BEFORE`] on.
    plane: Vec<u8>,
    stride: usize,
    /// A row, with pixels between.
    line: Vec<[u8; 2]>,
}

/// A row of MCUs.
pub(super) struct Full {
    channels: Vec<Channel>,
    extents: [(u8, u8); 64],
    /// Which row that is, and which MCU of it the planes begin with.
    row: usize,
    first: usize,
}

impl Full {
    /// With room for `mcus`, from the number `first` of a row on.
    ///
    /// # Errors
    /// [`Fault`]: components of sizes that libjpeg makes larger in another way.
    pub(super) fn new(headers: &Headers<'_>, first: usize, mcus: usize) -> Result<(Full, Vec<Order>), Fault> {
        let most = headers.most();
        let (mut channels, mut orders) = (Vec::new(), Vec::new());
        for component in &headers.components {
            let blocks = component.blocks;
            let ratio = [0, 1].map(|axis: usize| most[axis] / blocks[axis]);
            let size = [0, 1].map(|axis: usize| (headers.size[axis] * blocks[axis]).div_ceil(most[axis]));
            let smooth = ratio == [1, 1] || matches!(ratio, [2, 1] | [2, 2]) && size[0] > 2;
            if !smooth || [0, 1].into_iter().any(|axis| ratio[axis] * blocks[axis] != most[axis]) {
                return Err(Fault);
            }
            let steps = headers.quantisation[component.quantisation].ok_or(Fault)?;
            let (order, steps) = Order::new([8; 2], &steps, 0.0, [false; 2]);
            orders.push(order);
            let stride = BEFORE + mcus * blocks[0] * 8 + LANES;
            channels.push(Channel {
                blocks,
                ratio,
                size,
                steps: steps.map(|step| step as i16),
                plane: vec![0; stride * (1 + blocks[1] * 8) + LANES],
                stride,
                line: vec![[0; 2]; if ratio[0] == 2 { mcus * blocks[0] * 8 + LANES } else { 0 }],
            });
        }
        Ok((Full { channels, extents: extents([8; 2]), row: 0, first }, orders))
    }

    /// Pixels beside a part that are needed for it.
    pub(super) fn neighbours(headers: &Headers<'_>) -> usize {
        let most = headers.most();
        if headers.components.iter().any(|component| component.blocks[0] < most[0]) { 2 } else { 0 }
    }

    /// Takes the blocks of MCUs of a row, and the number of the first; leaves them empty.
    pub(super) fn take(&mut self, group: &mut [Block], row: usize, first: usize) {
        if first == 0 {
            self.row = row;
            self.channels.iter_mut().for_each(Channel::keep);
        }
        let number = |channel: &Channel| channel.blocks[0] * channel.blocks[1];
        let all = self.channels.iter().map(number).sum();
        let mut before = 0;
        for channel in &mut self.channels {
            place(channel, group, (before, all), first, &self.extents);
            before += number(channel);
        }
    }

    /// The rows of MCUs that a row of pixels is made of.
    pub(super) fn needs(&self, y: usize) -> RangeInclusive<usize> {
        let rows = |channel: &Channel| channel.rows(y).map(|row| row / (channel.blocks[1] * 8));
        let rows = || self.channels.iter().flat_map(rows);
        rows().min().unwrap_or(0)..=rows().max().unwrap_or(0)
    }

    /// Writes a part of a row of pixels, of what was taken last.
    pub(super) fn write(&mut self, y: usize, left: usize, row: &mut [[u8; 3]]) {
        let (at, width) = ([self.first, self.row], row.len());
        match &mut self.channels[..] {
            [luma, cb, cr] => {
                pixels::color_of_bytes(row, [luma, cb, cr].map(|channel| channel.pixels(y, left, width, at)));
            }
            [luma, ..] => {
                let luma = luma.pixels(y, left, width, at);
                row.iter_mut().zip(luma).for_each(|(pixel, luma)| *pixel = [*luma; 3]);
            }
            [] => {}
        }
    }
}

impl Channel {
    /// Keeps the last row, which the next ones may need.
    fn keep(&mut self) {
        let last = self.blocks[1] * 8 * self.stride;
        self.plane.copy_within(last..last + self.stride, 0);
    }

    /// The rows that a row of pixels is made of, the nearer one first.
    fn rows(&self, y: usize) -> [usize; 2] {
        let near = y / self.ratio[1];
        let far = match (self.ratio[1], y % 2) {
            (1, _) => near,
            (_, 0) => near.saturating_sub(1),
            _ => (near + 1).min(self.size[1] - 1),
        };
        [near, far]
    }

    /// Pixels of a row from `left` on, `width` and [`LANES`] at least; `at`: the MCU that the planes begin
    /// with.
    fn pixels(&mut self, y: usize, left: usize, width: usize, at: [usize; 2]) -> &[u8] {
        let [x, above] = [0, 1].map(|axis: usize| at[axis] * self.blocks[axis] * 8);
        let [near, far] = self.rows(y).map(|row| (row + 1 - above) * self.stride + BEFORE);
        if self.ratio[0] == 1 {
            return &self.plane[near + left..];
        }
        let columns = self.size[0] - x;
        for row in [near, far] {
            // Beside the picture it goes on as it ends.
            if x == 0 {
                self.plane[row - 1] = self.plane[row];
            }
            if columns <= self.stride - BEFORE - LANES {
                self.plane[row + columns] = self.plane[row + columns - 1];
            }
        }
        let columns = left / 2..(left + width).div_ceil(2);
        let [near, far] = [near, far].map(|row| &self.plane[row + columns.start - 1..row + columns.end + 1]);
        let line = &mut self.line[..columns.len()];
        if self.ratio[1] == 1 {
            upsample::across(near, line);
        } else {
            upsample::both(near, far, line);
        }
        &self.line.as_flattened()[left % 2..]
    }
}

/// Makes pixels of the blocks of a channel, those from `first` on of the `all` of each MCU, the first of
/// which has the number `mcu`.
#[multiversion(targets("x86_64+avx2"))]
fn place(
    channel: &mut Channel,
    group: &mut [Block],
    (first, all): (usize, usize),
    mcu: usize,
    extents: &[(u8, u8); 64],
) {
    let Channel { blocks: [across, down], steps, plane, stride, .. } = channel;
    for (mcu, blocks) in (mcu..).zip(group.chunks_exact_mut(all)) {
        for (index, block) in blocks[first..first + *across * *down].iter_mut().enumerate() {
            let (x, y) = (mcu * *across + index % *across, index / *across);
            let (columns, rows) = extents[block.found & 63];
            let out = &mut plane[BEFORE + x * 8 + (1 + y * 8) * *stride..];
            islow::pixels(&block.values, steps, (columns.into(), rows.into()), out, *stride);
            block.empty();
        }
    }
}
