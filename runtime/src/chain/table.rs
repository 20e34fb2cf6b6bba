//! Chains whose passes treat each channel alone, as a table of bytes.
//!
//! The table is what the chain itself makes of the 256 values, so looking up gives the very same bits.

use std::cell::Cell;

use imgflo_ops::format::{Source, Target, convert_row};
use imgflo_ops::{Alpha, Depth, Format};

use super::{Stage, work};

/// What becomes of each byte in R, G, B and alpha, at its place in a little-endian pixel.
#[derive(Debug)]
pub(super) struct Table([[u32; 256]; 4]);

impl Table {
    /// For a chain of passes from bytes to bytes that treats each channel alone.
    pub fn of(stages: &[Stage], at: &Cell<usize>) -> Option<Table> {
        let [Stage::Convert { from, to: first }, middle @ .., Stage::Convert { from: last, to }] = stages else {
            return None;
        };
        // Multiplying by alpha is no matter of one channel.
        let apart = |format: &Format| format.alpha != Alpha::Premultiplied;
        let alone = middle.iter().all(|stage| match stage {
            Stage::Convert { from, to } => apart(from) && apart(to),
            Stage::Point { point, .. } => point.channelwise(),
        });
        if (from.depth, to.depth) != (Depth::U8, Depth::U8) || !(alone && apart(first) && apart(last)) {
            return None;
        }
        // A pixel for each value, which all its channels have.
        let bytes: [[u8; 4]; 256] = std::array::from_fn(|value| [value as u8; 4]);
        let mut row = [[0.0; 4]; 256];
        let mut out = [[0; 4]; 256];
        convert_row(Format::RGBA8, Source::Rgba8(&bytes), *first, Target::Float(&mut row));
        work(middle, 0, 0, &mut row, at);
        convert_row(*last, Source::Float(&row), Format::RGBA8, Target::Rgba8(&mut out));
        Some(Table([0, 1, 2, 3].map(|channel| out.map(|pixel| u32::from(pixel[channel]) << (8 * channel)))))
    }

    fn pixel(&self, [r, g, b, a]: [u8; 4]) -> [u8; 4] {
        let [red, green, blue, alpha] = &self.0;
        let pixel = red[usize::from(r)] | green[usize::from(g)] | blue[usize::from(b)] | alpha[usize::from(a)];
        pixel.to_le_bytes()
    }

    fn opaque(&self, [r, g, b]: [u8; 3]) -> [u8; 3] {
        let [red, green, blue, _] = &self.0;
        [red[usize::from(r)] as u8, (green[usize::from(g)] >> 8) as u8, (blue[usize::from(b)] >> 16) as u8]
    }

    /// A row of bytes into another one of the same length.
    pub fn map(&self, src: Source<'_>, dst: Target<'_>) {
        match (src, dst) {
            (Source::Rgba8(src), Target::Rgba8(dst)) => {
                dst.iter_mut().zip(src).for_each(|(dst, src)| *dst = self.pixel(*src));
            }
            (Source::Rgb8(src), Target::Rgb8(dst)) => {
                dst.iter_mut().zip(src).for_each(|(dst, src)| *dst = self.opaque(*src));
            }
            (Source::Rgb8(src), Target::Rgba8(dst)) => {
                dst.iter_mut().zip(src).for_each(|(dst, &[r, g, b])| *dst = self.pixel([r, g, b, 255]));
            }
            (Source::Rgba8(src), Target::Rgb8(dst)) => {
                dst.iter_mut().zip(src).for_each(|(dst, &[r, g, b, _])| *dst = self.opaque([r, g, b]));
            }
            (Source::Float(_), _) | (_, Target::Float(_)) => unreachable!("a table is of bytes"),
        }
    }

    /// A row of bytes where it lies.
    pub fn map_in_place(&self, row: Target<'_>) {
        match row {
            Target::Rgba8(row) => row.iter_mut().for_each(|pixel| *pixel = self.pixel(*pixel)),
            Target::Rgb8(row) => row.iter_mut().for_each(|pixel| *pixel = self.opaque(*pixel)),
            Target::Float(_) => unreachable!("a table is of bytes"),
        }
    }
}

#[cfg(test)]
mod tests;
