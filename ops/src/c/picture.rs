//! The pixels that a call reads.

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

/// The part of an input that is at hand, row by row.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// What it covers.
    pub rect: Rect,
    /// Its pixels.
    pub pixels: &'a [[f32; 4]],
}

/// What lies beyond an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beyond {
    /// The pixel at its edge.
    Nearest,
    /// Nothing.
    Transparent,
}

impl Part<'_> {
    /// Its pixels on `rect`; where it has none, what is beyond.
    pub(super) fn padded(&self, rect: Rect, beyond: Beyond) -> Vec<[f32; 4]> {
        let mut pixels = vec![[0.0; 4]; rect.area() as usize];
        let inside = rect.intersect(&self.rect);
        if self.rect.is_empty() || (beyond == Beyond::Transparent && inside.is_empty()) {
            return pixels;
        }
        let (width, from_width) = (rect.width as usize, self.rect.width as usize);
        let column =
            |x: i64| (x.clamp(i64::from(self.rect.x), self.rect.right() - 1) - i64::from(self.rect.x)) as usize;
        let rows = pixels.chunks_exact_mut(width.max(1));
        for (y, row) in (i64::from(rect.y)..).zip(rows) {
            let nearest = y.clamp(i64::from(self.rect.y), self.rect.bottom() - 1);
            if beyond == Beyond::Transparent && nearest != y {
                continue;
            }
            let at = (nearest - i64::from(self.rect.y)) as usize * from_width;
            let from = &self.pixels[at..at + from_width];
            if beyond == Beyond::Nearest {
                for (x, pixel) in (i64::from(rect.x)..).zip(row.iter_mut()) {
                    *pixel = from[column(x)];
                }
            } else {
                let to = (i64::from(inside.x) - i64::from(rect.x)) as usize;
                let start = column(i64::from(inside.x));
                let count = inside.width as usize;
                row[to..to + count].copy_from_slice(&from[start..start + count]);
            }
        }
        pixels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_a_picture_is_its_edge_or_nothing() {
        let pixel = |n: u8| [f32::from(n); 4];
        let pixels = [pixel(1), pixel(2), pixel(3), pixel(4)];
        let part = Part { rect: Rect::new(-1, 5, 2, 2), pixels: &pixels };
        let padded = |rect, beyond| part.padded(rect, beyond).iter().map(|p| p[0] as u8).collect::<Vec<_>>();
        let rect = Rect::new(-2, 4, 4, 4);
        assert_eq!(padded(rect, Beyond::Nearest), [1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4]);
        assert_eq!(padded(rect, Beyond::Transparent), [0, 0, 0, 0, 0, 1, 2, 0, 0, 3, 4, 0, 0, 0, 0, 0]);
        assert_eq!(padded(Rect::new(0, 6, 1, 1), Beyond::Nearest), [4]);
        assert_eq!(padded(Rect::new(9, 9, 1, 1), Beyond::Transparent), [0]);
        let none = Part { rect: Rect::default(), pixels: &[] };
        assert_eq!(none.padded(Rect::sized(1, 1), Beyond::Nearest), [[0.0; 4]]);
    }

    #[test]
    fn margins_reach_beyond_the_edges() {
        let margins = Margins { left: 1, top: 2, right: 3, bottom: 4 };
        assert_eq!(margins.around(Rect::new(0, 0, 10, 10)), Rect::new(-1, -2, 14, 16));
    }
}
