//! EXIF orientation: which way up a picture was stored, and turning it upright while it is read.

use crate::{OpError, Rect};

/// The eight values of the EXIF tag 0x0112 (Exif 2.32, section 4.6.4 A), as what has to be done
/// to the stored picture to see it upright: transpose first, then the mirrorings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Orientation {
    transpose: bool,
    mirror_x: bool,
    mirror_y: bool,
}

/// Rows that a turned picture is collected in before they are written as columns: enough to use
/// whole cache lines of the target, few enough for the band to stay in the second-level cache.
pub(super) const BAND: usize = 32;

impl Orientation {
    /// From the value of the tag; what is none of 1..=8 counts as 1.
    pub(super) fn from_value(value: u16) -> Self {
        let (transpose, mirror_x, mirror_y) = match value {
            2 => (false, true, false),
            3 => (false, true, true),
            4 => (false, false, true),
            5 => (true, false, false),
            6 => (true, true, false),
            7 => (true, true, true),
            8 => (true, false, true),
            _ => (false, false, false),
        };
        Orientation { transpose, mirror_x, mirror_y }
    }

    /// From an EXIF block, with or without the `Exif\0\0` that JPEG puts before the TIFF header.
    /// A block that makes no sense leaves the picture as it is stored.
    pub(super) fn from_exif(block: &[u8]) -> Self {
        let tiff = block.strip_prefix(b"Exif\0\0").unwrap_or(block);
        Self::from_value(tag_0112(tiff).unwrap_or(1))
    }

    /// Along which sides it is shown the other way round than it is stored: x, y.
    pub(super) fn mirrored(self) -> [bool; 2] {
        [self.mirror_x, self.mirror_y]
    }

    /// Where a part of the upright picture, whose box is `all`, is stored.
    pub(super) fn stored(self, part: Rect, all: Rect) -> Rect {
        let x = if self.mirror_x { all.right() - part.right() } else { i64::from(part.x) } as i32;
        let y = if self.mirror_y { all.bottom() - part.bottom() } else { i64::from(part.y) } as i32;
        if self.transpose { Rect { x: y, y: x, width: part.height, height: part.width } } else { Rect { x, y, ..part } }
    }

    /// Width and height as shown, of a picture stored as `width` × `height`.
    pub(super) fn upright_size(self, width: u32, height: u32) -> (u32, u32) {
        if self.transpose { (height, width) } else { (width, height) }
    }
}

/// The orientation entry of the first directory of a TIFF structure.
fn tag_0112(tiff: &[u8]) -> Option<u16> {
    let little = match tiff.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let word = |at: usize| -> Option<u16> {
        let bytes = [*tiff.get(at)?, *tiff.get(at.checked_add(1)?)?];
        Some(if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let long = |at: usize| -> Option<usize> {
        let (first, second) = (usize::from(word(at)?), usize::from(word(at.checked_add(2)?)?));
        Some(if little { second << 16 | first } else { first << 16 | second })
    };
    let directory = long(4)?;
    let entries = usize::from(word(directory)?);
    for entry in 0..entries {
        let at = directory.checked_add(2 + entry * 12)?;
        if word(at)? == 0x0112 {
            // The format asks for SHORT; some writers put a LONG.
            const SHORT: u16 = 3;
            const LONG: u16 = 4;
            let value = at.checked_add(8)?;
            return match word(at.checked_add(2)?)? {
                SHORT => word(value),
                LONG => u16::try_from(long(value)?).ok(),
                _ => None,
            };
        }
    }
    None
}

/// A picture that takes rows as they are stored and holds them upright.
///
/// A picture that is not turned is written in place, without a second buffer; others pass through
/// a band of rows.
#[derive(Debug)]
pub(super) struct Upright<T> {
    orientation: Orientation,
    width: usize,
    height: usize,
    row: usize,
    pixels: Vec<T>,
    band: Vec<T>,
}

impl<T: bytemuck::Zeroable + Copy> Upright<T> {
    /// A picture that will be given `height` rows of `width` pixels.
    ///
    /// # Errors
    /// [`OpError::OutOfMemory`].
    pub(super) fn new(width: u32, height: u32, orientation: Orientation) -> Result<Self, OpError> {
        let (width, height) = (width as usize, height as usize);
        let direct = orientation == Orientation::default();
        let len = width.checked_mul(height).ok_or(OpError::OutOfMemory { bytes: u64::MAX })?;
        Ok(Upright {
            orientation,
            width,
            height,
            row: 0,
            pixels: zeroed(len)?,
            band: zeroed(if direct { 0 } else { width * BAND.min(height) })?,
        })
    }

    /// Rows that are still missing.
    pub(super) fn missing(&self) -> usize {
        self.height - self.row
    }

    /// Lets `fill` write the next rows, at most `rows` and at most 32 of them, as stored; it is
    /// given whole rows.
    ///
    /// # Errors
    /// Whatever `fill` says.
    pub(super) fn fill<E>(&mut self, rows: usize, fill: impl FnOnce(&mut [T]) -> Result<(), E>) -> Result<(), E> {
        let rows = rows.min(BAND).min(self.missing());
        let first = self.row;
        if self.orientation == Orientation::default() {
            fill(&mut self.pixels[first * self.width..(first + rows) * self.width])?;
        } else {
            let mut band = std::mem::take(&mut self.band);
            let result = fill(&mut band[..rows * self.width]);
            self.place(first, &band[..rows * self.width]);
            self.band = band;
            result?;
        }
        self.row += rows;
        Ok(())
    }

    fn place(&mut self, first: usize, band: &[T]) {
        let (width, height) = (self.width, self.height);
        let Orientation { transpose, mirror_x, mirror_y } = self.orientation;
        if !transpose {
            for (offset, row) in band.chunks_exact(width).enumerate() {
                let y = if mirror_y { height - 1 - first - offset } else { first + offset };
                let target = &mut self.pixels[y * width..][..width];
                target.copy_from_slice(row);
                if mirror_x {
                    target.reverse();
                }
            }
            return;
        }
        // Stored rows become columns, stored columns rows of `height` pixels.
        let rows = band.len() / width;
        for x in 0..width {
            let y = if mirror_y { width - 1 - x } else { x };
            let line = &mut self.pixels[y * height..][..height];
            let column = band[x..].iter().step_by(width);
            if mirror_x {
                let target = &mut line[height - first - rows..height - first];
                target.iter_mut().rev().zip(column).for_each(|(to, from)| *to = *from);
            } else {
                let target = &mut line[first..first + rows];
                target.iter_mut().zip(column).for_each(|(to, from)| *to = *from);
            }
        }
    }

    /// The upright pixels, row by row.
    pub(super) fn finish(self) -> Vec<T> {
        self.pixels
    }

    /// Turns a picture that is in memory already; `stored` holds `width` × `height` pixels.
    ///
    /// # Errors
    /// [`OpError::OutOfMemory`].
    pub(super) fn turn(stored: Vec<T>, width: u32, height: u32, orientation: Orientation) -> Result<Vec<T>, OpError> {
        if orientation == Orientation::default() {
            return Ok(stored);
        }
        let mut upright = Self::new(width, height, orientation)?;
        upright.band = Vec::new();
        for (band, rows) in stored.chunks(BAND * upright.width.max(1)).enumerate() {
            upright.place(band * BAND, rows);
        }
        Ok(upright.finish())
    }
}

/// A zeroed buffer of `len` elements, or the allocator's refusal as an error. The pages come zeroed
/// from the system, which costs nothing before they are written.
pub(super) fn zeroed<T: bytemuck::Zeroable>(len: usize) -> Result<Vec<T>, OpError> {
    let bytes = len.saturating_mul(size_of::<T>());
    // Beyond this the allocator is asked for what it cannot even be asked for.
    if isize::try_from(bytes).is_err() {
        return Err(OpError::OutOfMemory { bytes: bytes as u64 });
    }
    let buffer = bytemuck::allocation::try_zeroed_slice_box(len);
    buffer.map(Vec::from).map_err(|()| OpError::OutOfMemory { bytes: bytes as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `width` × `height` pixels that count up from 0, upright.
    fn turned(value: u16, width: u32, height: u32) -> Vec<u32> {
        let stored: Vec<u32> = (0..width * height).collect();
        let orientation = Orientation::from_value(value);
        let mut upright = Upright::new(width, height, orientation).unwrap();
        let mut next = 0;
        while upright.missing() > 0 {
            upright
                .fill(7, |rows| {
                    rows.copy_from_slice(&stored[next..next + rows.len()]);
                    next += rows.len();
                    Ok::<(), OpError>(())
                })
                .unwrap();
        }
        let pixels = upright.finish();
        assert_eq!(Upright::turn(stored, width, height, orientation).unwrap(), pixels);
        pixels
    }

    #[test]
    fn all_eight_turn_three_by_two() {
        // Stored:  0 1 2
        //          3 4 5
        assert_eq!(turned(1, 3, 2), [0, 1, 2, 3, 4, 5]);
        assert_eq!(turned(2, 3, 2), [2, 1, 0, 5, 4, 3]);
        assert_eq!(turned(3, 3, 2), [5, 4, 3, 2, 1, 0]);
        assert_eq!(turned(4, 3, 2), [3, 4, 5, 0, 1, 2]);
        assert_eq!(turned(5, 3, 2), [0, 3, 1, 4, 2, 5]);
        assert_eq!(turned(6, 3, 2), [3, 0, 4, 1, 5, 2]);
        assert_eq!(turned(7, 3, 2), [5, 2, 4, 1, 3, 0]);
        assert_eq!(turned(8, 3, 2), [2, 5, 1, 4, 0, 3]);
        assert_eq!(turned(9, 3, 2), turned(1, 3, 2));
    }

    #[test]
    fn pictures_higher_than_a_band_turn_too() {
        let (width, height) = (5u32, 71u32);
        for value in 1..=8 {
            let orientation = Orientation::from_value(value);
            let (across, down) = orientation.upright_size(width, height);
            let pixels = turned(value, width, height);
            for (index, &stored) in pixels.iter().enumerate() {
                let (x, y) = (index as u32 % across, index as u32 / across);
                let (x, y) = (
                    if orientation.mirror_x { across - 1 - x } else { x },
                    if orientation.mirror_y { down - 1 - y } else { y },
                );
                let (x, y) = if orientation.transpose { (y, x) } else { (x, y) };
                assert_eq!(stored, y * width + x, "orientation {value}, pixel {index}");
            }
        }
    }

    fn exif(big: bool, kind: u16, value: u16) -> Vec<u8> {
        let word = |v: u16| if big { v.to_be_bytes() } else { v.to_le_bytes() };
        let long = |v: u32| if big { v.to_be_bytes() } else { v.to_le_bytes() };
        let mut block = if big { b"MM\0*".to_vec() } else { b"II*\0".to_vec() };
        block.extend(long(8));
        block.extend(word(1));
        block.extend(word(0x0112));
        block.extend(word(kind));
        block.extend(long(1));
        block.extend(word(value));
        block.extend([0; 6]);
        block
    }

    #[test]
    fn reads_both_byte_orders_and_both_prefixes() {
        for big in [false, true] {
            for value in 1..=8 {
                let block = exif(big, 3, value);
                assert_eq!(Orientation::from_exif(&block), Orientation::from_value(value));
                let prefixed = [b"Exif\0\0", &block[..]].concat();
                assert_eq!(Orientation::from_exif(&prefixed), Orientation::from_value(value));
            }
        }
    }

    #[test]
    fn nonsense_is_upright() {
        let upright = Orientation::default();
        let block = exif(true, 3, 6);
        for end in 0..block.len() - 8 {
            assert_eq!(Orientation::from_exif(&block[..end]), upright, "cut at {end}");
        }
        assert_eq!(Orientation::from_exif(&exif(true, 4, 6)), upright);
        let mut far = block.clone();
        far[4..8].copy_from_slice(&[0xff; 4]);
        assert_eq!(Orientation::from_exif(&far), upright);
    }
}
