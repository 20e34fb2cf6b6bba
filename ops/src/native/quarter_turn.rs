//! Pictures turned by quarters and mirrored: pixels move, a square of them at a time, so that what
//! is read by columns is still in the cache when the next row is written.

use super::transform::Stored;
use crate::{Cancel, OpError, Tile, View};

/// Side of a square, pixels.
const SIDE: usize = 16;

/// Fills `output` with the pixels of `view` that `from` says: it turns by quarters, or mirrors, and
/// moves by whole pixels, so that one pixel and the next one along x and y tell the rest. All that
/// is read lies in `view`.
pub(super) fn fill<T: Stored>(
    view: &View<'_>,
    from: impl Fn(i32, i32) -> (i32, i32),
    output: &mut Tile<'_>,
    cancel: &Cancel,
) -> Result<(), OpError> {
    let (rect, left) = (output.rect(), view.rect().x);
    let (x, y) = from(rect.x, rect.y);
    let (across, down) = (from(rect.x + 1, rect.y), from(rect.x, rect.y + 1));
    let (across, down) = ((across.0 - x, across.1 - y), (down.0 - x, down.1 - y));
    let (width, height) = (rect.width as usize, rect.height as usize);
    let mut square = [[T::default(); SIDE]; SIDE];
    for top in (0..height).step_by(SIDE) {
        cancel.check()?;
        let rows = SIDE.min(height - top);
        for first in (0..width).step_by(SIDE) {
            let columns = SIDE.min(width - first);
            // Where the square's first pixel is read.
            let x = (x - left) + across.0 * first as i32 + down.0 * top as i32;
            let y = y + across.1 * first as i32 + down.1 * top as i32;
            if across.1 == 0 {
                for (row, line) in square[..rows].iter_mut().enumerate() {
                    run(T::row(view, y + down.1 * row as i32), x, across.0, &mut line[..columns]);
                }
            } else {
                for column in 0..columns {
                    let mut line = [T::default(); SIDE];
                    run(T::row(view, y + across.1 * column as i32), x, down.0, &mut line[..rows]);
                    square.iter_mut().zip(line).for_each(|(row, pixel)| row[column] = pixel);
                }
            }
            for (row, line) in square[..rows].iter().enumerate() {
                let target = T::row_mut(output, rect.y + (top + row) as i32);
                target[first..first + columns].copy_from_slice(&line[..columns]);
            }
        }
    }
    Ok(())
}

/// Pixels of a row from `first` on, to the right where `step` is 1, else to the left.
fn run<T: Copy>(row: &[T], first: i32, step: i32, out: &mut [T]) {
    let (first, count) = (first as usize, out.len());
    if step > 0 {
        out.copy_from_slice(&row[first..first + count]);
    } else {
        out.copy_from_slice(&row[first + 1 - count..=first]);
        out.reverse();
    }
}

#[cfg(test)]
mod tests {
    use crate::native::reflect::Reflect;
    use crate::native::rotate_on_center::RotateOnCenter;
    use crate::native::testing::{check, noise_image, pixel};
    use crate::{Format, Rect};

    /// Pictures larger and smaller than a square, cut anywhere, in each layout.
    #[test]
    fn each_pixel_comes_from_where_the_turn_says() {
        for format in [Format::RGB8, Format::RGBA8, Format::LINP] {
            for rect in [Rect::sized(53, 37), Rect::new(-7, 5, 16, 33), Rect::sized(1, 18)] {
                let image = noise_image(rect, format);
                let (right, bottom) = (rect.right() as i32 - 1, rect.bottom() as i32 - 1);
                for degrees in ["90", "180", "270"] {
                    let turned = check(&RotateOnCenter, &[("degrees", degrees)], &[Some(&image)]);
                    assert_eq!(turned.format(), if format == Format::RGB8 { Format::RGBA8 } else { format });
                    let (width, height) = (turned.rect().width as i32, turned.rect().height as i32);
                    let corner = (turned.rect().x, turned.rect().y);
                    for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
                        let (from_x, from_y) = match degrees {
                            "90" => (right - y, rect.y + x),
                            "180" => (right - x, bottom - y),
                            _ => (rect.x + y, bottom - x),
                        };
                        let found = pixel(&turned, corner.0 + x, corner.1 + y);
                        assert_eq!(found, pixel(&image, from_x, from_y), "{degrees}: {x}, {y}");
                    }
                }
                // Both diagonals, and both axes.
                for (x, y) in [("1", "1"), ("1", "-1"), ("0", "1"), ("1", "0")] {
                    let mirrored = check(&Reflect, &[("x", x), ("y", y)], &[Some(&image)]);
                    let again = check(&Reflect, &[("x", x), ("y", y)], &[Some(&mirrored)]);
                    assert_eq!(again.rect(), rect, "{x}, {y}");
                    for (px, py) in (0..rect.height as i32).flat_map(|y| (0..rect.width as i32).map(move |x| (x, y))) {
                        let (px, py) = (rect.x + px, rect.y + py);
                        assert_eq!(pixel(&again, px, py), pixel(&image, px, py), "{x}, {y}");
                    }
                }
            }
        }
    }
}
