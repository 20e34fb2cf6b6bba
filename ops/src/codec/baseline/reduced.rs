//! Pixels at up to half the size, of the lowest coefficients.

use std::ops::RangeInclusive;

use multiversion::multiversion;
use multiversion::target::target_cfg_f;

use super::Fault;
use super::cosine::Cosine;
use super::headers::Headers;
use super::mcus::{Block, Order, extents};
use super::pixels::{self, LANES};
use crate::fused::fuses;

/// How a component becomes pixels.
struct Channel {
    /// Blocks of an MCU along x and y.
    blocks: [usize; 2],
    /// Steps of the coefficients, in their order.
    steps: [f32; 64],
    /// All coefficients up to a place lie in so many columns and rows: 1, 2, 4 or 8.
    sides: [usize; 64],
    /// The coefficients of an MCU times their steps.
    values: Vec<[f32; 64]>,
    cosine: Cosine,
    /// Values of a row of MCUs, around 0.
    plane: Vec<f32>,
}

/// A row of MCUs.
pub(super) struct Reduced {
    channels: Vec<Channel>,
    /// Pixels of an MCU along x and y.
    size: [usize; 2],
    /// Pixels of a row of MCUs.
    stride: usize,
}

impl Reduced {
    /// At `eighths`/8 of the size, with room for `mcus`.
    ///
    /// # Errors
    /// [`Fault`]: one side of a block would have none of the sizes that [`Cosine`] knows.
    pub(super) fn new(headers: &Headers<'_>, eighths: usize, mcus: usize) -> Result<(Reduced, Vec<Order>), Fault> {
        let most = headers.most();
        let size = most.map(|blocks| blocks * eighths);
        let stride = mcus * size[0];
        let (mut channels, mut orders) = (Vec::new(), Vec::new());
        for component in &headers.components {
            let mut sides = [0; 2];
            for axis in 0..2 {
                sides[axis] = size[axis] / component.blocks[axis];
                if !most[axis].is_multiple_of(component.blocks[axis]) || ![1, 2, 3, 4, 6, 8].contains(&sides[axis]) {
                    return Err(Fault);
                }
            }
            let steps = headers.quantisation[component.quantisation].ok_or(Fault)?;
            let (order, steps) = Order::new(sides[0], sides[1], &steps);
            orders.push(order);
            channels.push(Channel {
                blocks: component.blocks,
                steps: steps.map(f32::from),
                sides: extents(sides).map(|(columns, rows)| usize::from(columns.max(rows)).next_power_of_two()),
                values: vec![[0.0; 64]; component.blocks[0] * component.blocks[1]],
                cosine: Cosine::new(sides[0], sides[1]),
                plane: vec![0.0; stride * size[1] + LANES],
            });
        }
        Ok((Reduced { channels, size, stride }, orders))
    }

    /// Takes the blocks of MCUs, and the number of the first; leaves them empty.
    pub(super) fn take(&mut self, group: &mut [Block], first: usize) {
        let number = |channel: &Channel| channel.blocks[0] * channel.blocks[1];
        let all = self.channels.iter().map(number).sum();
        let mut before = 0;
        for channel in &mut self.channels {
            let own = before..before + number(channel);
            before = own.end;
            place(channel, group, (own.start, all), first * self.size[0], self.stride);
        }
    }

    /// The row of MCUs that a row of pixels is made of.
    pub(super) fn needs(&self, y: usize) -> RangeInclusive<usize> {
        let row = y / self.size[1];
        row..=row
    }

    /// Writes a part of a row of pixels of the row of MCUs that was taken last.
    pub(super) fn write(&self, y: usize, left: usize, row: &mut [[u8; 3]]) {
        let line = y % self.size[1] * self.stride + left..;
        match &self.channels[..] {
            [y, cb, cr] => pixels::color(row, [y, cb, cr].map(|channel| &channel.plane[line.clone()])),
            [y, ..] => pixels::gray(row, &y.plane[line]),
            [] => {}
        }
    }
}

/// Makes pixels of the blocks of a channel: those from `first` on of the `all` of each MCU, the first
/// of which begins `left` of the others.
#[multiversion(targets("x86_64+avx2+fma"))]
fn place(channel: &mut Channel, group: &mut [Block], (first, all): (usize, usize), left: usize, stride: usize) {
    let fuses = fuses!();
    match channel.cosine.width {
        1 => channel.place::<1>(fuses, group, (first, all), left, stride),
        2 => channel.place::<2>(fuses, group, (first, all), left, stride),
        3 => channel.place::<3>(fuses, group, (first, all), left, stride),
        4 => channel.place::<4>(fuses, group, (first, all), left, stride),
        6 => channel.place::<6>(fuses, group, (first, all), left, stride),
        _ => channel.place::<8>(fuses, group, (first, all), left, stride),
    }
}

impl Channel {
    #[inline(always)]
    fn place<const WIDTH: usize>(
        &mut self,
        fuses: bool,
        group: &mut [Block],
        (first, all): (usize, usize),
        left: usize,
        stride: usize,
    ) {
        let Channel { blocks: [across, down], steps, sides, values, cosine, plane } = self;
        for (mcu, blocks) in group.chunks_exact_mut(all).enumerate() {
            let blocks = &mut blocks[first..first + *across * *down];
            // In loops of their own, so that each is vector code.
            for (values, block) in values.iter_mut().zip(&*blocks) {
                multiply(&block.values, steps, sides[block.found & 63] * WIDTH, values);
            }
            for (index, (block, values)) in blocks.iter_mut().zip(&*values).enumerate() {
                let (x, y) = (mcu * *across + index % *across, index / *across);
                let out = &mut plane[left + x * WIDTH + y * cosine.height * stride..];
                cosine.apply::<WIDTH>(fuses, values, sides[block.found & 63], out, stride);
                block.empty();
            }
        }
    }
}

/// Coefficients times their steps: those before `end`, and some more.
#[inline(always)]
fn multiply(coefficients: &[i16; 64], steps: &[f32; 64], end: usize, values: &mut [f32; 64]) {
    const LANES: usize = 8;
    let both = coefficients.as_chunks::<LANES>().0.iter().zip(steps.as_chunks::<LANES>().0);
    for (values, (coefficients, steps)) in
        values.as_chunks_mut::<LANES>().0.iter_mut().zip(both).take(end.div_ceil(LANES))
    {
        // All are read before one is written: the compiler does not know that they lie apart.
        let mut products = [0.0; LANES];
        for at in 0..LANES {
            products[at] = f32::from(coefficients[at]) * steps[at];
        }
        *values = products;
    }
}
