//! Integer boxes on the pixel plane.

use serde::{Deserialize, Serialize};

/// A box of whole pixels: `x..x + width` by `y..y + height`, y down. The origin may be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rect {
    /// Left edge, pixels.
    pub x: i32,
    /// Top edge, pixels.
    pub y: i32,
    /// Pixels across; 0 makes the box empty.
    pub width: u32,
    /// Pixels down; 0 makes the box empty.
    pub height: u32,
}

impl Rect {
    /// The box of a source without bounds (a plain colour, a checkerboard).
    pub const INFINITE: Rect =
        Rect { x: i32::MIN / 2, y: i32::MIN / 2, width: i32::MAX as u32, height: i32::MAX as u32 };

    /// A box from its corner and size.
    pub const fn new(x: i32, y: i32, width: u32, height: u32) -> Self {
        Rect { x, y, width, height }
    }

    /// The box of an image `width` × `height` whose corner is at (0, 0).
    pub const fn sized(width: u32, height: u32) -> Self {
        Rect { x: 0, y: 0, width, height }
    }

    /// From edges: `left..right` by `top..bottom`, clamped to what an [`i32`] corner and a [`u32`]
    /// size can hold; empty when an edge pair is reversed.
    pub fn from_edges(left: i64, top: i64, right: i64, bottom: i64) -> Self {
        let (min, max) = (i64::from(i32::MIN / 2), i64::from(i32::MAX / 2));
        let (left, top) = (left.clamp(min, max), top.clamp(min, max));
        let (right, bottom) = (right.clamp(min, max), bottom.clamp(min, max));
        Rect {
            x: left as i32,
            y: top as i32,
            width: (right - left).max(0) as u32,
            height: (bottom - top).max(0) as u32,
        }
    }

    /// One past the right-most column.
    pub fn right(&self) -> i64 {
        i64::from(self.x) + i64::from(self.width)
    }

    /// One past the lowest row.
    pub fn bottom(&self) -> i64 {
        i64::from(self.y) + i64::from(self.height)
    }

    /// True when the box holds no pixel.
    pub fn is_empty(&self) -> bool {
        self.width == 0 || self.height == 0
    }

    /// True for [`Rect::INFINITE`] and whatever is too wide or high to be a picture.
    pub fn is_infinite(&self) -> bool {
        self.width >= i32::MAX as u32 / 2 || self.height >= i32::MAX as u32 / 2
    }

    /// Pixels inside.
    pub fn area(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// True when (x, y) is inside.
    pub fn contains(&self, x: i32, y: i32) -> bool {
        x >= self.x && y >= self.y && i64::from(x) < self.right() && i64::from(y) < self.bottom()
    }

    /// True when all of `other` is inside (an empty box is inside any).
    pub fn contains_rect(&self, other: &Rect) -> bool {
        other.is_empty() || self.intersect(other) == *other
    }

    /// What both cover; empty (at the larger corner) when they do not meet.
    pub fn intersect(&self, other: &Rect) -> Rect {
        Rect::from_edges(
            i64::from(self.x.max(other.x)),
            i64::from(self.y.max(other.y)),
            self.right().min(other.right()),
            self.bottom().min(other.bottom()),
        )
    }

    /// The smallest box around both; an empty side does not count.
    pub fn union(&self, other: &Rect) -> Rect {
        if self.is_empty() {
            return *other;
        }
        if other.is_empty() {
            return *self;
        }
        Rect::from_edges(
            i64::from(self.x.min(other.x)),
            i64::from(self.y.min(other.y)),
            self.right().max(other.right()),
            self.bottom().max(other.bottom()),
        )
    }

    /// The box with `dx` more columns on the left and the right, `dy` more rows above and below.
    pub fn grow(&self, dx: u32, dy: u32) -> Rect {
        let (dx, dy) = (i64::from(dx), i64::from(dy));
        Rect::from_edges(i64::from(self.x) - dx, i64::from(self.y) - dy, self.right() + dx, self.bottom() + dy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_clamped_and_never_reversed() {
        assert_eq!(Rect::from_edges(-3, 2, 4, 7), Rect::new(-3, 2, 7, 5));
        assert_eq!(Rect::from_edges(5, 0, 2, 3), Rect::new(5, 0, 0, 3));
        let all = Rect::from_edges(i64::MIN, i64::MIN, i64::MAX, i64::MAX);
        assert_eq!(all, Rect::INFINITE);
        assert_eq!(all.right(), i64::from(i32::MAX / 2));
        let far = Rect::from_edges(i64::MAX - 1, 0, i64::MAX, 1);
        assert!(far.is_empty());
    }

    #[test]
    fn the_infinite_box_stays_itself() {
        assert!(Rect::INFINITE.is_infinite() && !Rect::sized(100_000, 100_000).is_infinite());
        assert_eq!(Rect::INFINITE.grow(5, u32::MAX), Rect::INFINITE);
        assert_eq!(Rect::INFINITE.intersect(&Rect::INFINITE), Rect::INFINITE);
        let small = Rect::new(-7, 3, 2, 9);
        assert_eq!(Rect::INFINITE.intersect(&small), small);
        assert_eq!(Rect::INFINITE.union(&small), Rect::INFINITE);
        assert!(Rect::INFINITE.contains_rect(&small));
        assert!(Rect::INFINITE.area() > u64::from(u32::MAX));
    }

    #[test]
    fn containing_is_half_open() {
        let rect = Rect::new(-2, -1, 3, 2);
        assert!(rect.contains(-2, -1) && rect.contains(0, 0));
        assert!(!rect.contains(1, 0) && !rect.contains(0, 1) && !rect.contains(-3, 0));
        let corner = Rect::new(i32::MAX - 1, i32::MAX - 1, 5, 5);
        assert!(corner.contains(i32::MAX, i32::MAX), "no overflow");
        assert!(rect.contains_rect(&rect) && rect.contains_rect(&Rect::new(-2, 0, 3, 1)));
        assert!(!rect.contains_rect(&Rect::new(-2, 0, 4, 1)));
        assert!(rect.contains_rect(&Rect::new(90, 90, 0, 4)), "an empty box is inside any");
    }

    #[test]
    fn boxes_meet_and_join() {
        let a = Rect::new(0, 0, 10, 4);
        assert_eq!(a.intersect(&Rect::new(-5, 2, 8, 8)), Rect::new(0, 2, 3, 2));
        assert!(a.intersect(&Rect::new(10, 0, 3, 3)).is_empty(), "touching is not meeting");
        assert!(a.intersect(&Rect::new(40, 40, 3, 3)).is_empty());
        assert_eq!(a.union(&Rect::new(-5, 2, 8, 8)), Rect::new(-5, 0, 15, 10));
        let empty = Rect::new(-100, -100, 0, 7);
        assert_eq!((a.union(&empty), empty.union(&a)), (a, a));
    }

    #[test]
    fn growing_goes_both_ways() {
        assert_eq!(Rect::new(2, 3, 1, 1).grow(2, 0), Rect::new(0, 3, 5, 1));
        assert_eq!(Rect::sized(0, 0).grow(1, 1), Rect::new(-1, -1, 2, 2));
    }
}
