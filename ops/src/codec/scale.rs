//! One scale of quality for all formats: libjpeg's.
//!
//! The tables tell at which quality of its own a format comes as near to the picture as JPEG 4:2:0
//! with libjpeg's tables does: where the mean square error over red, green and blue is the same.
//! Measured with two of the sample photos at half their size, which no traces of JPEG survive, and
//! with generated pictures of fine, medium and coarse texture; the means of the five, rounded. They
//! differ by up to 10 steps either way: no scale is right for each picture.

/// Quality 1..=100, and a format's own beside it.
pub(super) type Scale = [(u8, u8)];

/// libwebp 1.x, method 4.
pub(super) const WEBP: &Scale = &[
    (1, 1),
    (10, 4),
    (20, 13),
    (30, 34),
    (40, 50),
    (50, 61),
    (60, 69),
    (70, 76),
    (80, 82),
    (85, 84),
    (90, 88),
    (95, 94),
    (100, 100),
];

/// libavif 1.0 with libaom 3.11, speed 6.
#[cfg(feature = "avif")]
pub(super) const AVIF: &Scale = &[
    (1, 1),
    (10, 8),
    (20, 29),
    (30, 39),
    (40, 46),
    (50, 50),
    (60, 54),
    (70, 58),
    (80, 63),
    (85, 67),
    (90, 75),
    (95, 86),
    (100, 100),
];

/// A format's own quality, on the lines between the points of its scale.
pub(super) fn own(scale: &Scale, quality: u8) -> f32 {
    let above = scale.partition_point(|&(common, _)| common < quality).clamp(1, scale.len() - 1);
    let [(from, low), (to, high)] = [scale[above - 1], scale[above]].map(|(x, y)| (f32::from(x), f32::from(y)));
    low + (high - low) * (f32::from(quality) - from) / (to - from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_the_points_are_lines() {
        assert_eq!(
            [1, 10, 15, 85, 87, 99, 100].map(|quality| own(WEBP, quality)),
            [1.0, 4.0, 8.5, 84.0, 85.6, 98.8, 100.0]
        );
    }

    #[test]
    fn more_is_better() {
        assert!((2..=100).all(|quality| own(WEBP, quality - 1) < own(WEBP, quality)));
    }
}
