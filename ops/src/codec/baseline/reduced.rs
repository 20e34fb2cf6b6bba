//! Pixels at up to half the size: of the lowest coefficients, or of all where the others have too much energy.

use std::ops::RangeInclusive;

use multiversion::multiversion;
use multiversion::target::target_cfg_f;

use super::Fault;
use super::average::Averager;
use super::cosine::Cosine;
use super::headers::Headers;
use super::mcus::{Block, Details, Order, extents};
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

/// The part of a cosine that is left when values stored at half the size are made smooth between pixels, as at full size:
/// the two pixels of one are 3/4 of it and 1/4 of a neighbour.
fn smoothed(frequency: usize, smooth: bool) -> f32 {
    let angle = frequency as f32 * std::f32::consts::PI / 8.0;
    if smooth { 0.75 + 0.25 * angle.cos() } else { 1.0 }
}

/// A row of MCUs.
pub(super) struct Reduced {
    channels: Vec<Channel>,
    /// Pixels of an MCU along x and y.
    size: [usize; 2],
    /// Pixels of a row of MCUs.
    stride: usize,
    averager: Averager,
    /// True when all MCUs go that way: a component has another side than [`Cosine`] knows.
    all: bool,
    /// The MCU of a row that the planes begin with.
    left: usize,
}

/// The part of the square of Y, Cb and Cr in the energy of an MCU, of which that of the colour with most counts:
/// B = Y + 1.772 Cb, R = Y + 1.402 Cr.
const SHARES: [f32; 3] = [1.0, 1.772 * 1.772, 1.402 * 1.402];

impl Reduced {
    /// At `eighths`/8 of the size, with room for `mcus` from the number `left` of a row on.
    ///
    /// # Errors
    /// [`Fault`] as in [`Averager::new`].
    pub(super) fn new(
        headers: &Headers<'_>,
        eighths: usize,
        left: usize,
        mcus: usize,
    ) -> Result<(Reduced, (Vec<Order>, Details)), Fault> {
        let most = headers.most();
        let size = most.map(|blocks| blocks * eighths);
        let stride = mcus * size[0];
        let averager = Averager::new(headers, eighths)?;
        let sides = |blocks: [usize; 2]| [0, 1].map(|axis| size[axis] / blocks[axis]);
        let known = |blocks| sides(blocks).iter().all(|side| [1, 2, 3, 4, 6, 8].contains(side));
        let all = !headers.components.iter().all(|component| known(component.blocks));
        let (mut channels, mut orders) = (Vec::new(), Vec::new());
        for (component, share) in headers.components.iter().zip(SHARES) {
            let sides = if all { [1; 2] } else { sides(component.blocks) };
            let steps = headers.quantisation[component.quantisation].ok_or(Fault)?;
            let number = component.blocks[0] * component.blocks[1];
            let smooth = [0, 1].map(|axis| most[axis] == component.blocks[axis] * 2);
            let (order, steps) = Order::new(sides, &steps, share / number as f32, smooth);
            orders.push(order);
            channels.push(Channel {
                blocks: component.blocks,
                steps: std::array::from_fn(|at| {
                    let kept = smoothed(at % sides[0], smooth[0]) * smoothed(at / sides[0], smooth[1]);
                    f32::from(steps[at]) * kept
                }),
                sides: extents(sides).map(|(columns, rows)| usize::from(columns.max(rows)).next_power_of_two()),
                values: vec![[0.0; 64]; number],
                cosine: Cosine::new(sides[0], sides[1]),
                plane: vec![0.0; stride * size[1] + LANES],
            });
        }
        let details = Details::new(headers, all)?;
        Ok((Reduced { channels, size, stride, averager, all, left }, (orders, details)))
    }

    /// Takes the blocks of MCUs of a row, and the number of the first; leaves them empty. Those that are there in full
    /// are made of that.
    pub(super) fn take(&mut self, group: &mut [Block], row: usize, first: usize, details: Option<&mut Details>) {
        let number = |channel: &Channel| channel.blocks[0] * channel.blocks[1];
        let all: usize = self.channels.iter().map(number).sum();
        if self.all {
            group.iter_mut().for_each(Block::empty);
        } else {
            let mut before = 0;
            for channel in &mut self.channels {
                let own = before..before + number(channel);
                before = own.end;
                place(channel, group, (own.start, all), first * self.size[0], self.stride);
            }
        }
        let Some(details) = details else { return };
        for (mcu, blocks) in details.mcus.iter().zip(details.blocks.chunks_exact(all)) {
            let number = first + mcu;
            let pixels = self.averager.pixels(blocks, [self.left + number, row]);
            for (y, line) in pixels.chunks_exact(self.size[0]).enumerate() {
                let at = y * self.stride + number * self.size[0];
                for (x, pixel) in line.iter().enumerate() {
                    let [r, g, b] = pixel.map(f32::from);
                    let luma = 0.299 * r + 0.587 * g + 0.114 * b;
                    let values = [luma - 128.0, (b - luma) / 1.772, (r - luma) / 1.402];
                    self.channels.iter_mut().zip(values).for_each(|(channel, value)| channel.plane[at + x] = value);
                }
            }
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
