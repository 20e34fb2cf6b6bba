//! The pixels that a call reads.

use super::RunError;
use crate::Rect;

/// How far around a pixel of the output an input is read, pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Margins {
    /// To the left.
    pub left: u32,
    /// Upwards.
    pub top: u32,
    /// To the right.
    pub right: u32,
    /// Downwards.
    pub bottom: u32,
}

/// The widest margin, pixels.
const WIDEST: u32 = 1024;

impl Margins {
    /// These, unless one is too wide.
    ///
    /// # Errors
    /// Which it is, in a sentence.
    pub fn check(self) -> Result<Margins, String> {
        let sides = [self.left, self.top, self.right, self.bottom];
        match sides.iter().find(|side| **side > WIDEST) {
            Some(side) => Err(format!("a margin of {side} pixels is wider than {WIDEST}")),
            None => Ok(self),
        }
    }

    /// What is read for `rect` of the output; beyond the edges of the input, too.
    pub fn around(self, rect: Rect) -> Rect {
        Rect::from_edges(
            i64::from(rect.x) - i64::from(self.left),
            i64::from(rect.y) - i64::from(self.top),
            rect.right() + i64::from(self.right),
            rect.bottom() + i64::from(self.bottom),
        )
    }
}

/// An input of a call: the part of it that is at hand.
pub trait Input {
    /// What it covers.
    fn rect(&self) -> Rect;

    /// Copies pixels of row `y` from `x` on; it has as many.
    ///
    /// # Errors
    /// [`RunError::Said`] when they cannot be had.
    fn read(&self, x: i32, y: i32, into: &mut [[f32; 4]]) -> Result<(), RunError>;
}

/// One in memory, row by row.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// What it covers.
    pub rect: Rect,
    /// Its pixels.
    pub pixels: &'a [[f32; 4]],
}

impl Input for Part<'_> {
    fn rect(&self) -> Rect {
        self.rect
    }

    fn read(&self, x: i32, y: i32, into: &mut [[f32; 4]]) -> Result<(), RunError> {
        let offset = |at: i32, from: i32| (i64::from(at) - i64::from(from)) as usize;
        let from = offset(y, self.rect.y) * self.rect.width as usize + offset(x, self.rect.x);
        into.copy_from_slice(&self.pixels[from..from + into.len()]);
        Ok(())
    }
}

/// What lies beyond an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beyond {
    /// The pixel at its edge.
    Nearest,
    /// Nothing.
    Transparent,
}

const NOTHING: [f32; 4] = [0.0; 4];

/// Writes the pixels of `input` on `rect` to `into`, which has as many; where it has none, what is beyond.
pub(super) fn pad(input: &dyn Input, rect: Rect, beyond: Beyond, into: &mut [[f32; 4]]) -> Result<(), RunError> {
    let there = input.rect();
    if there.is_empty() {
        into.fill(NOTHING);
        return Ok(());
    }
    for (y, row) in (i64::from(rect.y)..).zip(into.chunks_exact_mut((rect.width as usize).max(1))) {
        let nearest = y.clamp(i64::from(there.y), there.bottom() - 1);
        if beyond == Beyond::Transparent && nearest != y {
            row.fill(NOTHING);
        } else {
            pad_row(input, rect.x, nearest as i32, beyond, row)?;
        }
    }
    Ok(())
}

/// As [`pad`], for one row that the input has.
fn pad_row(input: &dyn Input, x: i32, y: i32, beyond: Beyond, row: &mut [[f32; 4]]) -> Result<(), RunError> {
    let there = input.rect();
    let (first, last) = (i64::from(there.x), there.right() - 1);
    let (left, right) = (i64::from(x), i64::from(x) + row.len() as i64);
    // What both have; where that is nothing, the nearest pixel stands alone.
    let from = left.clamp(first, last);
    let until = (right - 1).clamp(first, last) + 1;
    let mut edges = [NOTHING; 2];
    let (before, after) = if from < right && until > left {
        let (before, after) = ((from - left) as usize, (until - left) as usize);
        input.read(from as i32, y, &mut row[before..after])?;
        if beyond == Beyond::Nearest {
            edges = [row[before], row[after - 1]];
        }
        (before, after)
    } else {
        if beyond == Beyond::Nearest {
            input.read(from as i32, y, &mut edges[..1])?;
        }
        (row.len(), row.len())
    };
    row[..before].fill(edges[0]);
    row[after..].fill(edges[1]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_a_picture_is_its_edge_or_nothing() {
        let pixel = |n: u8| [f32::from(n); 4];
        let pixels = [pixel(1), pixel(2), pixel(3), pixel(4)];
        let part = Part { rect: Rect::new(-1, 5, 2, 2), pixels: &pixels };
        let padded = |part: Part<'_>, rect: Rect, beyond| {
            // What was there before is gone.
            let mut pixels = vec![[99.0; 4]; rect.area() as usize];
            pad(&part, rect, beyond, &mut pixels).unwrap();
            pixels.iter().map(|p| p[0] as u8).collect::<Vec<_>>()
        };
        let rect = Rect::new(-2, 4, 4, 4);
        assert_eq!(padded(part, rect, Beyond::Nearest), [1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4]);
        assert_eq!(padded(part, rect, Beyond::Transparent), [0, 0, 0, 0, 0, 1, 2, 0, 0, 3, 4, 0, 0, 0, 0, 0]);
        assert_eq!(padded(part, Rect::new(0, 6, 1, 1), Beyond::Nearest), [4]);
        for (rect, nearest) in [
            (Rect::new(9, 9, 2, 1), [4, 4]),
            (Rect::new(9, 4, 1, 2), [2, 2]),
            (Rect::new(-9, 6, 2, 1), [3, 3]),
            (Rect::new(-1, -9, 2, 1), [1, 2]),
        ] {
            assert_eq!(padded(part, rect, Beyond::Nearest), nearest, "{rect:?}");
            assert_eq!(padded(part, rect, Beyond::Transparent), [0, 0], "{rect:?}");
        }
        let none = Part { rect: Rect::default(), pixels: &[] };
        assert_eq!(padded(none, Rect::sized(1, 1), Beyond::Nearest), [0]);
    }

    #[test]
    fn margins_reach_beyond_the_edges() {
        let margins = Margins { left: 1, top: 2, right: 3, bottom: 4 };
        assert_eq!(margins.around(Rect::new(0, 0, 10, 10)), Rect::new(-1, -2, 14, 16));
    }
}
