//! Baseline JPEG (ITU-T T.81) at up to half its size, without a look at what that does not need.
//!
//! Most of the time that a reduced picture takes goes into codes of coefficients that it has no use
//! for. Here they are passed over several at a time, and nothing is made of them; chroma that is
//! stored at half the size is reduced by half as much, and never has to be made larger. This reads
//! what nearly all JPEG files are: Huffman codes, one scan, YCbCr or gray. libjpeg reads the others,
//! and says what is wrong with those that fail here.

mod bits;
mod cosine;
mod huffman;

use bits::Bits;
use cosine::Cosine;
use huffman::{Class, Table};

use crate::Rect;

/// Nothing that is read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault;

/// For each place of the zigzag, row × 8 + column (T.81, figure A.6).
const ZIGZAG: [u8; 64] = zigzag();

const fn zigzag() -> [u8; 64] {
    let mut order = [0; 64];
    let (mut row, mut column) = (0, 0);
    let mut place = 0;
    while place < 64 {
        order[place] = (row * 8 + column) as u8;
        let up = (row + column) % 2 == 0;
        match (up, row, column) {
            (true, _, 7) => row += 1,
            (true, 0, _) => column += 1,
            (true, ..) => (row, column) = (row - 1, column + 1),
            (false, 7, _) => column += 1,
            (false, _, 0) => row += 1,
            (false, ..) => (row, column) = (row + 1, column - 1),
        }
        place += 1;
    }
    order
}

/// A component as the frame and the scan have it.
struct Component {
    id: u8,
    /// Blocks of an MCU along x and y.
    blocks: [usize; 2],
    quantisation: usize,
    tables: [usize; 2],
}

/// All that comes before the codes.
struct Headers<'a> {
    size: [usize; 2],
    components: Vec<Component>,
    /// Steps of the coefficients, by place.
    quantisation: [Option<[u16; 64]>; 4],
    dc: [Option<Table>; 4],
    ac: [Option<Table>; 4],
    /// MCUs between restarts; 0 without.
    interval: usize,
    codes: &'a [u8],
}

/// Bytes of a marker segment.
struct Segment<'a>(&'a [u8]);

impl<'a> Segment<'a> {
    fn take(&mut self, number: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.0.split_at_checked(number).ok_or(Fault)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        self.take(N)?.try_into().map_err(|_| Fault)
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        self.array().map(|[byte]| byte)
    }

    fn word(&mut self) -> Result<u16, Fault> {
        self.array().map(u16::from_be_bytes)
    }
}

impl<'a> Headers<'a> {
    fn read(file: &'a [u8]) -> Result<Headers<'a>, Fault> {
        let mut headers = Headers {
            size: [0; 2],
            components: Vec::new(),
            quantisation: [None; 4],
            dc: [const { None }; 4],
            ac: [const { None }; 4],
            interval: 0,
            codes: &[],
        };
        let mut file = Segment(file);
        if file.array()? != [0xff, 0xd8] {
            return Err(Fault);
        }
        loop {
            if file.byte()? != 0xff {
                return Err(Fault);
            }
            let mut marker = file.byte()?;
            while marker == 0xff {
                marker = file.byte()?;
            }
            let length = usize::from(file.word()?).checked_sub(2).ok_or(Fault)?;
            let mut segment = Segment(file.take(length)?);
            match marker {
                0xc0 | 0xc1 => headers.frame(&mut segment)?,
                0xc4 => headers.codes(&mut segment)?,
                0xdb => headers.steps(&mut segment)?,
                0xdd => headers.interval = usize::from(segment.word()?),
                0xda => {
                    headers.scan(&mut segment)?;
                    headers.codes = file.0;
                    return Ok(headers);
                }
                // Those of applications, and comments.
                0xe0..=0xef | 0xfe => {}
                _ => return Err(Fault),
            }
        }
    }

    /// B.2.2.
    fn frame(&mut self, segment: &mut Segment<'_>) -> Result<(), Fault> {
        let precision = segment.byte()?;
        let [height, width] = [segment.word()?, segment.word()?].map(usize::from);
        let number = segment.byte()?;
        if precision != 8 || width == 0 || height == 0 || !matches!(number, 1 | 3) || !self.components.is_empty() {
            return Err(Fault);
        }
        self.size = [width, height];
        for _ in 0..number {
            let [id, sampling, table] = segment.array()?;
            let blocks = [sampling >> 4, sampling & 15].map(usize::from);
            if !blocks.iter().all(|blocks| (1..=4).contains(blocks)) || table > 3 {
                return Err(Fault);
            }
            // The only component of a scan comes block by block (A.2.2).
            let blocks = if number == 1 { [1; 2] } else { blocks };
            self.components.push(Component { id, blocks, quantisation: table.into(), tables: [0; 2] });
        }
        Ok(())
    }

    /// B.2.4.2.
    fn codes(&mut self, segment: &mut Segment<'_>) -> Result<(), Fault> {
        while !segment.0.is_empty() {
            let which = segment.byte()?;
            let lengths: [u8; 16] = segment.array()?;
            let symbols = segment.take(lengths.iter().map(|number| usize::from(*number)).sum())?;
            let (class, tables) = match which >> 4 {
                0 => (Class::Dc, &mut self.dc),
                1 => (Class::Ac, &mut self.ac),
                _ => return Err(Fault),
            };
            let table = tables.get_mut(usize::from(which & 15)).ok_or(Fault)?;
            *table = Some(Table::new(class, &lengths, symbols)?);
        }
        Ok(())
    }

    /// B.2.4.1.
    fn steps(&mut self, segment: &mut Segment<'_>) -> Result<(), Fault> {
        while !segment.0.is_empty() {
            let which = segment.byte()?;
            let mut steps = [0; 64];
            for step in &mut steps {
                *step = match which >> 4 {
                    0 => u16::from(segment.byte()?),
                    1 => segment.word()?,
                    _ => return Err(Fault),
                };
            }
            *self.quantisation.get_mut(usize::from(which & 15)).ok_or(Fault)? = Some(steps);
        }
        Ok(())
    }

    /// B.2.3.
    fn scan(&mut self, segment: &mut Segment<'_>) -> Result<(), Fault> {
        let number = usize::from(segment.byte()?);
        if number == 0 || number != self.components.len() {
            return Err(Fault);
        }
        for component in &mut self.components {
            let [id, tables] = segment.array()?;
            if id != component.id {
                return Err(Fault);
            }
            component.tables = [tables >> 4, tables & 15].map(usize::from);
        }
        if segment.array()? == [0, 63, 0] { Ok(()) } else { Err(Fault) }
    }
}

/// How a component is read.
struct Channel {
    blocks: [usize; 2],
    dc: usize,
    ac: usize,
    /// The last place of the zigzag that matters.
    last: usize,
    /// For each place where its coefficient comes in `block`.
    target: [u8; 64],
    /// Steps, by place.
    steps: [f32; 64],
    /// Columns and rows that coefficients up to a place are in.
    extent: [(u8, u8); 64],
    cosine: Cosine,
    /// Mean of the last block, in steps.
    mean: i32,
    /// Values of a row of MCUs, around 0.
    plane: Vec<f32>,
}

/// A part of a picture, row by row.
pub(super) struct Baseline<'a> {
    channels: Vec<Channel>,
    dc: [Option<Table>; 4],
    ac: [Option<Table>; 4],
    interval: usize,
    /// MCUs up to the next restart, and its number.
    restart: (usize, u8),
    bits: Bits<'a>,
    /// Those of an MCU.
    blocks: Vec<Block>,
    /// MCUs along x and y.
    mcus: [usize; 2],
    /// Rows of MCUs that have been read.
    row: usize,
    /// Pixels of an MCU along x and y.
    mcu: [usize; 2],
    /// What is wanted: the rows that follow, and the columns of the row of MCUs.
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
    /// First and last but one MCU of a row that is made pixels.
    wanted: std::ops::Range<usize>,
}

impl<'a> Baseline<'a> {
    /// A part of a picture in gray or YCbCr at `eighths`/8 of its size, 1 to 4.
    ///
    /// # Errors
    /// [`Fault`]: it is something else, or broken.
    pub(super) fn open(file: &'a [u8], eighths: usize, part: Rect) -> Result<Self, Fault> {
        let headers = Headers::read(file)?;
        let most = |axis: usize| headers.components.iter().map(|component| component.blocks[axis]).max().ok_or(Fault);
        let most = [most(0)?, most(1)?];
        let blocks = headers.components.iter().map(|component| component.blocks[0] * component.blocks[1]).sum();
        if blocks > 10 {
            return Err(Fault);
        }
        let mcu = most.map(|blocks| blocks * eighths);
        let mcus = [0, 1].map(|axis: usize| headers.size[axis].div_ceil(8 * most[axis]));
        let side = |first: i32, length: u32| {
            let first = usize::try_from(first).map_err(|_| Fault)?;
            Ok(first..first + length as usize)
        };
        let (columns, rows) = (side(part.x, part.width)?, side(part.y, part.height)?);
        if columns.end > mcus[0] * mcu[0] || rows.end > mcus[1] * mcu[1] {
            return Err(Fault);
        }
        let wanted = columns.start / mcu[0]..columns.end.div_ceil(mcu[0]);
        let mut channels = Vec::new();
        for component in &headers.components {
            let mut sides = [0; 2];
            for axis in 0..2 {
                sides[axis] = eighths * most[axis] / component.blocks[axis];
                if !most[axis].is_multiple_of(component.blocks[axis]) || ![1, 2, 3, 4, 6, 8].contains(&sides[axis]) {
                    return Err(Fault);
                }
            }
            let [dc, ac] = component.tables;
            let has = |tables: &[Option<Table>; 4], table: usize| matches!(tables.get(table), Some(Some(_)));
            if !has(&headers.dc, dc) || !has(&headers.ac, ac) {
                return Err(Fault);
            }
            let steps = headers.quantisation[component.quantisation].ok_or(Fault)?;
            channels.push(Channel::new(component.blocks, [dc, ac], sides, steps, wanted.len() * mcu[0] * mcu[1]));
        }
        Ok(Baseline {
            channels,
            dc: headers.dc,
            ac: headers.ac,
            interval: headers.interval,
            restart: (headers.interval, 0),
            bits: Bits::new(headers.codes),
            blocks: vec![Block { values: [0.0; 64], found: 0 }; blocks],
            mcus,
            row: 0,
            mcu,
            rows,
            columns: columns.start - wanted.start * mcu[0]..columns.end - wanted.start * mcu[0],
            wanted,
        })
    }

    /// Reads the next rows of the part, as many as `rows` holds, as RGB.
    ///
    /// # Errors
    /// [`Fault`] where the file is broken.
    pub(super) fn read(&mut self, rows: &mut [u8]) -> Result<(), Fault> {
        let stride = self.wanted.len() * self.mcu[0];
        for row in rows.chunks_exact_mut(self.columns.len() * 3) {
            let y = self.rows.next().ok_or(Fault)?;
            while self.row <= y / self.mcu[1] {
                self.next_row(self.row == y / self.mcu[1])?;
            }
            let first = y % self.mcu[1] * stride;
            let line = first + self.columns.start..;
            let row = row.as_chunks_mut().0;
            match &self.channels[..] {
                [y, cb, cr] => color(row, [y, cb, cr].map(|channel| &channel.plane[line.clone()])),
                [y, ..] => gray(row, &y.plane[line]),
                [] => return Err(Fault),
            }
        }
        Ok(())
    }

    /// Reads a row of MCUs; makes values of it, if wanted.
    fn next_row(&mut self, wanted: bool) -> Result<(), Fault> {
        let stride = self.wanted.len() * self.mcu[0];
        for mcu in 0..self.mcus[0] {
            if self.interval > 0 {
                self.restart()?;
            }
            let keep = wanted && self.wanted.contains(&mcu);
            let (channels, dc, ac, blocks) = (&mut self.channels, &self.dc, &self.ac, &mut self.blocks);
            self.bits.mcu(|bits| {
                let mut blocks = blocks.iter_mut();
                for channel in channels.iter_mut() {
                    let (Some(dc), Some(ac)) = (&dc[channel.dc], &ac[channel.ac]) else { return Err(Fault) };
                    for block in blocks.by_ref().take(channel.blocks[0] * channel.blocks[1]) {
                        if keep {
                            channel.read(bits, dc, ac, block)?;
                        } else {
                            channel.pass(bits, dc, ac)?;
                        }
                    }
                }
                Ok(())
            })?;
            if keep {
                let left = (mcu - self.wanted.start) * self.mcu[0];
                let mut blocks = self.blocks.iter_mut();
                for channel in &mut self.channels {
                    let ([across, down], Cosine { width, height, .. }) = (channel.blocks, channel.cosine);
                    for (index, block) in blocks.by_ref().take(across * down).enumerate() {
                        let (x, y) = (index % across, index / across);
                        channel.place(block, left + x * width + y * height * stride, stride);
                    }
                }
            }
        }
        self.row += 1;
        Ok(())
    }

    /// Before each MCU of a file with restarts (E.2.4).
    fn restart(&mut self) -> Result<(), Fault> {
        let (left, number) = &mut self.restart;
        if *left == 0 {
            if self.bits.marker()? != 0xd0 + *number {
                return Err(Fault);
            }
            (*left, *number) = (self.interval, (*number + 1) % 8);
            self.channels.iter_mut().for_each(|channel| channel.mean = 0);
        }
        *left -= 1;
        Ok(())
    }

    /// Width of the part, pixels.
    pub(super) fn width(&self) -> usize {
        self.columns.len()
    }

    /// To be called after the last row.
    ///
    /// # Errors
    /// [`Fault`] when that was the last of the file, and something else than its end follows.
    pub(super) fn finish(mut self) -> Result<(), Fault> {
        let all = self.row == self.mcus[1];
        if !all || self.bits.marker()? == 0xd9 { Ok(()) } else { Err(Fault) }
    }
}

impl Channel {
    fn new(
        blocks: [usize; 2],
        [dc, ac]: [usize; 2],
        [width, height]: [usize; 2],
        steps: [u16; 64],
        values: usize,
    ) -> Channel {
        let at = |place: usize| (usize::from(ZIGZAG[place] % 8), usize::from(ZIGZAG[place] / 8));
        let matters = |place: usize| at(place).0 < width && at(place).1 < height;
        let last = (0..64).rfind(|place| matters(*place)).unwrap_or(0);
        let mut extent = [(1, 1); 64];
        for place in 1..64 {
            let (columns, rows) = extent[place - 1];
            let (column, row) = if matters(place) { at(place) } else { (0, 0) };
            extent[place] = (columns.max(column as u8 + 1), rows.max(row as u8 + 1));
        }
        Channel {
            blocks,
            dc,
            ac,
            last,
            // What does not matter goes where the last one comes, or where nobody looks.
            target: std::array::from_fn(
                |place| if matters(place) { (at(place).1 * width + at(place).0) as u8 } else { 63 },
            ),
            steps: steps.map(f32::from),
            extent,
            cosine: Cosine::new(width, height),
            mean: 0,
            plane: vec![0.0; values + LANES],
        }
    }

    /// Reads a block.
    #[inline(never)]
    fn read(&mut self, bits: &mut bits::Cursor<'_>, dc: &Table, ac: &Table, block: &mut Block) -> Result<(), Fault> {
        let Channel { last, target, steps, mean, .. } = self;
        let values = &mut block.values;
        block.found = huffman::block(bits, dc, ac, *last, |place, value| {
            if place == 0 {
                *mean = mean.wrapping_add(value);
                values[0] = *mean as f32 * steps[0];
            } else {
                values[usize::from(target[place & 63] & 63)] = value as f32 * steps[place & 63];
            }
        })?;
        Ok(())
    }

    /// Passes over a block.
    #[inline(always)]
    fn pass(&mut self, bits: &mut bits::Cursor<'_>, dc: &Table, ac: &Table) -> Result<(), Fault> {
        huffman::block(bits, dc, ac, 0, |_, value| self.mean = self.mean.wrapping_add(value)).map(drop)
    }

    /// Makes pixels of a block and leaves it empty.
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

/// The wanted coefficients of a block, row by row; all 0 between uses.
#[derive(Clone, Copy)]
struct Block {
    values: [f32; 64],
    /// A place that is not before the last one that is not 0.
    found: usize,
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
    let [y, cb, cr] = planes.map(|plane| plane.as_chunks::<LANES>().0);
    for (((pixels, y), cb), cr) in row.chunks_mut(LANES).zip(y).zip(cb).zip(cr) {
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
        let pixels = pixels.as_flattened_mut();
        pixels.copy_from_slice(&bytes[..pixels.len()]);
    }
}

fn gray(row: &mut [[u8; 3]], y: &[f32]) {
    row.iter_mut().zip(y).for_each(|(pixel, y)| *pixel = [byte(y + 128.0) as u8; 3]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zigzag_is_that_of_the_standard() {
        assert_eq!(ZIGZAG[..11], [0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32]);
        assert_eq!(ZIGZAG[54..], [45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63][3..]);
    }
}
