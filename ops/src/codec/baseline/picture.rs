//! Pixels of a part of a picture, reduced while it is read.

use std::ops::Range;

use super::cosine::Cosine;
use super::headers::Headers;
use super::scan::{Coefficients, Nothing, Scan, Sink};
use super::{Fault, ZIGZAG};
use crate::Rect;

/// How a component becomes pixels.
struct Channel {
    /// Blocks of an MCU along x and y.
    blocks: [usize; 2],
    /// The last place of the zigzag that matters.
    last: usize,
    /// For each place where its coefficient comes in a block.
    target: [u8; 64],
    /// Steps, by place.
    steps: [f32; 64],
    /// Columns and rows that coefficients up to a place are in.
    extent: [(u8, u8); 64],
    cosine: Cosine,
    /// Values of a row of MCUs, around 0.
    plane: Vec<f32>,
}

/// The wanted coefficients of a block, row by row; all 0 between uses.
#[derive(Clone, Copy)]
struct Block {
    values: [f32; 64],
    /// The place of the last one that is not 0.
    found: usize,
}

/// An MCU.
struct Mcu {
    channels: Vec<Channel>,
    blocks: [Block; 10],
}

impl Sink for Mcu {
    type Block<'s> = Target<'s>;

    #[inline(always)]
    fn last(&self, component: usize) -> usize {
        self.channels[component].last
    }

    #[inline(always)]
    fn block(&mut self, component: usize, block: usize) -> Target<'_> {
        let Channel { target, steps, .. } = &self.channels[component];
        Target { target, steps, block: &mut self.blocks[block], found: 0 }
    }
}

/// Where the coefficients of a block go.
struct Target<'a> {
    target: &'a [u8; 64],
    steps: &'a [f32; 64],
    block: &'a mut Block,
    found: usize,
}

impl Coefficients for Target<'_> {
    #[inline(always)]
    fn mean(&mut self, value: i32) {
        self.block.values[0] = value as f32 * self.steps[0];
    }

    #[inline(always)]
    fn put(&mut self, place: usize, value: i32) {
        let place = place & 63;
        self.block.values[usize::from(self.target[place] & 63)] = value as f32 * self.steps[place];
        self.found = place;
    }

    #[inline(always)]
    fn end(self) {
        self.block.found = self.found;
    }
}

/// A part of a picture, row by row.
pub(in super::super) struct Picture<'a> {
    scan: Scan<'a>,
    mcu: Mcu,
    /// MCUs along x and y.
    mcus: [usize; 2],
    /// Rows of MCUs that have been read.
    row: usize,
    /// Pixels of an MCU along x and y.
    size: [usize; 2],
    /// What is wanted: the rows that follow, and the columns of the planes.
    rows: Range<usize>,
    columns: Range<usize>,
    /// The MCUs of a row that are in the planes.
    wanted: Range<usize>,
}

impl<'a> Picture<'a> {
    /// A part of a picture in gray or YCbCr at `eighths`/8 of its size, 1 to 4.
    ///
    /// # Errors
    /// [`Fault`]: it is something else, or broken.
    pub(in super::super) fn open(file: &'a [u8], eighths: usize, part: Rect) -> Result<Self, Fault> {
        let headers = Headers::read(file)?;
        let scan = Scan::new(&headers, true)?;
        let most = headers.most();
        let (size, mcus) = (most.map(|blocks| blocks * eighths), headers.mcus());
        let side = |first: i32, length: u32| {
            let first = usize::try_from(first).map_err(|_| Fault)?;
            Ok(first..first + length as usize)
        };
        let (columns, rows) = (side(part.x, part.width)?, side(part.y, part.height)?);
        if columns.end > mcus[0] * size[0] || rows.end > mcus[1] * size[1] {
            return Err(Fault);
        }
        let wanted = columns.start / size[0]..columns.end.div_ceil(size[0]);
        let left = wanted.start * size[0];
        let mut channels = Vec::new();
        for component in &headers.components {
            let mut sides = [0; 2];
            for axis in 0..2 {
                sides[axis] = size[axis] / component.blocks[axis];
                if !most[axis].is_multiple_of(component.blocks[axis]) || ![1, 2, 3, 4, 6, 8].contains(&sides[axis]) {
                    return Err(Fault);
                }
            }
            let steps = headers.quantisation[component.quantisation].ok_or(Fault)?;
            channels.push(Channel::new(component.blocks, sides, steps, wanted.len() * size[0] * size[1]));
        }
        Ok(Picture {
            scan,
            mcu: Mcu { channels, blocks: [Block { values: [0.0; 64], found: 0 }; 10] },
            mcus,
            row: 0,
            size,
            rows,
            columns: columns.start - left..columns.end - left,
            wanted,
        })
    }

    /// Reads the next rows of the part, as many as `rows` holds, as RGB.
    ///
    /// # Errors
    /// [`Fault`] where the file is broken.
    pub(in super::super) fn read(&mut self, rows: &mut [u8]) -> Result<(), Fault> {
        let stride = self.wanted.len() * self.size[0];
        for row in rows.chunks_exact_mut(self.columns.len() * 3) {
            let y = self.rows.next().ok_or(Fault)?;
            while self.row <= y / self.size[1] {
                self.next_row(self.row == y / self.size[1])?;
            }
            let line = y % self.size[1] * stride + self.columns.start..;
            let row = row.as_chunks_mut().0;
            match &self.mcu.channels[..] {
                [y, cb, cr] => color(row, [y, cb, cr].map(|channel| &channel.plane[line.clone()])),
                [y, ..] => gray(row, &y.plane[line]),
                [] => return Err(Fault),
            }
        }
        Ok(())
    }

    /// Reads a row of MCUs; makes values of it, if wanted.
    fn next_row(&mut self, wanted: bool) -> Result<(), Fault> {
        let stride = self.wanted.len() * self.size[0];
        for mcu in 0..self.mcus[0] {
            if !wanted || !self.wanted.contains(&mcu) {
                self.scan.mcu(&mut Nothing)?;
                continue;
            }
            self.scan.mcu(&mut self.mcu)?;
            let left = (mcu - self.wanted.start) * self.size[0];
            let mut blocks = self.mcu.blocks.iter_mut();
            for channel in &mut self.mcu.channels {
                let ([across, down], Cosine { width, height, .. }) = (channel.blocks, channel.cosine);
                for (index, block) in blocks.by_ref().take(across * down).enumerate() {
                    let (x, y) = (index % across, index / across);
                    channel.place(block, left + x * width + y * height * stride, stride);
                }
            }
        }
        self.row += 1;
        Ok(())
    }

    /// Width of the part, pixels.
    pub(in super::super) fn width(&self) -> usize {
        self.columns.len()
    }

    /// To be called after the last row.
    ///
    /// # Errors
    /// [`Fault`] when that was the last of the file, and something else than its end follows.
    pub(in super::super) fn finish(mut self) -> Result<(), Fault> {
        if self.row == self.mcus[1] { self.scan.finish() } else { Ok(()) }
    }
}

impl Channel {
    fn new(blocks: [usize; 2], [width, height]: [usize; 2], steps: [u16; 64], values: usize) -> Channel {
        let at = |place: usize| (usize::from(ZIGZAG[place] % 8), usize::from(ZIGZAG[place] / 8));
        let matters = |place: usize| at(place).0 < width && at(place).1 < height;
        let mut extent = [(1, 1); 64];
        for place in 1..64 {
            let (columns, rows) = extent[place - 1];
            let (column, row) = if matters(place) { at(place) } else { (0, 0) };
            extent[place] = (columns.max(column as u8 + 1), rows.max(row as u8 + 1));
        }
        // What does not matter comes behind what does, where nobody looks.
        let target = |place| if matters(place) { at(place).1 * width + at(place).0 } else { 63 };
        Channel {
            blocks,
            last: (0..64).rfind(|place| matters(*place)).unwrap_or(0),
            target: std::array::from_fn(|place| target(place) as u8),
            steps: steps.map(f32::from),
            extent,
            cosine: Cosine::new(width, height),
            plane: vec![0.0; values + LANES],
        }
    }

    /// Makes pixels of a block and leaves it empty. In line with the loop that reads codes it would
    /// take its registers.
    #[inline(never)]
    fn place(&mut self, block: &mut Block, at: usize, stride: usize) {
        let Channel { extent, cosine, plane, .. } = self;
        let (columns, rows) = extent[block.found & 63];
        let (extent, out) = ((columns.into(), rows.into()), &mut plane[at..]);
        match cosine.width {
            1 => cosine.apply::<1>(&mut block.values, extent, out, stride),
            2 => cosine.apply::<2>(&mut block.values, extent, out, stride),
            3 => cosine.apply::<3>(&mut block.values, extent, out, stride),
            4 => cosine.apply::<4>(&mut block.values, extent, out, stride),
            6 => cosine.apply::<6>(&mut block.values, extent, out, stride),
            _ => cosine.apply::<8>(&mut block.values, extent, out, stride),
        }
    }
}

/// Pixels that are converted at a time, in vectors.
const LANES: usize = 16;

/// Rounds: once 1.5 × 2^23 is added, the whole number is in the low bits of the float.
#[inline(always)]
fn byte(value: f32) -> u32 {
    (value.clamp(0.0, 255.0) + 12_582_912.0).to_bits() & 0xff
}

/// JFIF: T.871, 7. The planes go on for [`LANES`] at least.
fn color(row: &mut [[u8; 3]], planes: [&[f32]; 3]) {
    let [y, cb, cr] = planes.map(|plane| plane.as_chunks().0);
    let (pixels, last) = row.as_chunks_mut();
    let whole = pixels.len();
    for (pixels, ((y, cb), cr)) in pixels.iter_mut().zip(y.iter().zip(cb).zip(cr)) {
        *pixels = colors(y, cb, cr);
    }
    if !last.is_empty() {
        last.copy_from_slice(&colors(&y[whole], &cb[whole], &cr[whole])[..last.len()]);
    }
}

#[inline(always)]
fn colors(y: &[f32; LANES], cb: &[f32; LANES], cr: &[f32; LANES]) -> [[u8; 3]; LANES] {
    let mut words = [0; LANES];
    for x in 0..LANES {
        let (y, cb, cr) = (y[x] + 128.0, cb[x], cr[x]);
        let (red, blue) = (byte(y + 1.402 * cr), byte(y + 1.772 * cb));
        words[x] = red | byte(y - 0.344_136 * cb - 0.714_136 * cr) << 8 | blue << 16;
    }
    // Each word is written over the last byte of the one before.
    let mut bytes = [0; LANES * 3 + 1];
    for (x, word) in words.into_iter().enumerate() {
        bytes[x * 3..x * 3 + 4].copy_from_slice(&word.to_le_bytes());
    }
    let mut pixels = [[0; 3]; LANES];
    pixels.as_flattened_mut().copy_from_slice(&bytes[..LANES * 3]);
    pixels
}

fn gray(row: &mut [[u8; 3]], y: &[f32]) {
    row.iter_mut().zip(y).for_each(|(pixel, y)| *pixel = [byte(y + 128.0) as u8; 3]);
}
