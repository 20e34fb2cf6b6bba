//! Pixels of a part of a picture, at full size or reduced while it is read.

use std::ops::{Range, RangeInclusive};

use super::Fault;
use super::full::Full;
use super::headers::Headers;
use super::mcus::{Mcus, Stored};
use super::reduced::Reduced;
use crate::{Detail, Rect};

/// Values of the row of MCUs that was read last.
enum Planes {
    Full(Full),
    Reduced(Box<Reduced>),
}

impl Planes {
    /// The rows of MCUs that a row of pixels is made of.
    fn needs(&self, y: usize) -> RangeInclusive<usize> {
        match self {
            Planes::Full(planes) => planes.needs(y),
            Planes::Reduced(planes) => planes.needs(y),
        }
    }
}

/// A part of a picture, row by row.
pub(in super::super) struct Picture<'a> {
    mcus: Mcus<'a>,
    planes: Planes,
    /// What is wanted: the rows that follow, and the columns of the planes.
    rows: Range<usize>,
    columns: Range<usize>,
    /// MCUs of the part.
    number: usize,
}

impl<'a> Picture<'a> {
    /// A part of a picture in gray or YCbCr at `eighths`/8 of its size: 1 to 4, or 8.
    ///
    /// # Errors
    /// [`Fault`]: it is something else, or broken.
    pub(in super::super) fn open(file: &'a [u8], eighths: usize, part: Rect) -> Result<Self, Fault> {
        Picture::of(&Headers::read(file)?, None, eighths, part)
    }

    /// The same of coefficients that are there already, at up to half the size.
    ///
    /// # Errors
    /// [`Fault`] as in [`Picture::open`].
    pub(in super::super) fn stored(
        headers: &Headers<'a>,
        stored: Box<dyn Stored + 'a>,
        eighths: usize,
        part: Rect,
    ) -> Result<Self, Fault> {
        Picture::of(headers, Some(stored), eighths, part)
    }

    fn of(
        headers: &Headers<'a>,
        stored: Option<Box<dyn Stored + 'a>>,
        eighths: usize,
        part: Rect,
    ) -> Result<Self, Fault> {
        let (size, mcus) = (headers.most().map(|blocks| blocks * eighths), headers.mcus());
        let side = |first: i32, length: u32| {
            let first = usize::try_from(first).map_err(|_| Fault)?;
            Ok(first..first + length as usize)
        };
        let (columns, rows) = (side(part.x, part.width)?, side(part.y, part.height)?);
        if columns.end > mcus[0] * size[0] || rows.end > mcus[1] * size[1] {
            return Err(Fault);
        }
        let beside = if eighths == 8 { Full::neighbours(headers) } else { 0 };
        let last = (columns.end + beside).div_ceil(size[0]).min(mcus[0]);
        let wanted = columns.start.saturating_sub(beside) / size[0]..last;
        let left = wanted.start * size[0];
        let (planes, read) = match eighths {
            8 => {
                let (full, orders) = Full::new(headers, wanted.start, wanted.len())?;
                (Planes::Full(full), (orders, None))
            }
            _ => {
                let (reduced, (orders, details)) = Reduced::new(headers, eighths, wanted.start, wanted.len())?;
                (Planes::Reduced(Box::new(reduced)), (orders, Some(details)))
            }
        };
        let number = wanted.len() * (rows.end.div_ceil(size[1]) - rows.start / size[1]);
        let mcus = Mcus::new(headers, stored, wanted, rows.start > 0, read)?;
        Ok(Picture { mcus, planes, rows, columns: columns.start - left..columns.end - left, number })
    }

    /// Returns true once more is left out than may be.
    pub(in super::super) fn is_detailed(&self, most: Detail) -> bool {
        let (energy, read) = self.mcus.energy();
        // Soon, where all is like that; at the end on the whole.
        let soon = self.number as f64 / 16.0;
        energy > most.most_energy() * (self.number as f64).min(2.0 * read.max(soon))
    }

    /// Passes over a row of MCUs that comes before what is wanted; false when there is none.
    ///
    /// # Errors
    /// [`Fault`] where the file is broken.
    pub(in super::super) fn pass(&mut self) -> Result<bool, Fault> {
        let before = self.mcus.row < *self.planes.needs(self.rows.start).start();
        if before {
            self.mcus.pass()?;
        }
        Ok(before)
    }

    /// Reads the next rows of the part, as many as `rows` holds, as RGB.
    ///
    /// # Errors
    /// [`Fault`] where the file is broken.
    pub(in super::super) fn read(&mut self, rows: &mut [u8]) -> Result<(), Fault> {
        while self.pass()? {}
        let Picture { mcus, planes, .. } = self;
        for row in rows.chunks_exact_mut(self.columns.len() * 3) {
            let y = self.rows.next().ok_or(Fault)?;
            let needs = planes.needs(y);
            while mcus.row <= *needs.end() {
                let at = mcus.row;
                mcus.read(|blocks, first, details| match planes {
                    Planes::Full(planes) => planes.take(blocks, at, first),
                    Planes::Reduced(planes) => planes.take(blocks, at, first, details),
                })?;
            }
            let (left, row) = (self.columns.start, row.as_chunks_mut().0);
            match planes {
                Planes::Full(planes) => planes.write(y, left, row),
                Planes::Reduced(planes) => planes.write(y, left, row),
            }
        }
        Ok(())
    }

    /// Width of the part, pixels.
    pub(in super::super) fn width(&self) -> usize {
        self.columns.len()
    }
}
