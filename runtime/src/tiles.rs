//! How large the tiles are that an output is cut into.

use imgflo_ops::{Format, Rect, Split};

/// Bytes of output that a tile aims at: with what it reads it should stay in a core's own cache.
pub(crate) const TILE_BYTES: u64 = 192 * 1024;

/// Tiles a thread should get at least, so that none waits long for the last one.
const TILES_PER_THREAD: u32 = 4;

/// Rows below which a band of a chain is not cut for the cache's sake.
pub(crate) const FEWEST_ROWS: u32 = 8;

/// Columns below which a strip is not cut for the cache's sake: 32 floating-point pixels are
/// eight cache lines of a row.
const FEWEST_COLUMNS: u32 = 32;

/// Width and height of the tiles for an output `rect` of which a pixel takes the bytes of
/// `format` while it is worked on; bands have `fewest` rows at least, where there are as many for
/// each thread.
pub(crate) fn size(rect: Rect, format: Format, split: Split, fewest: u32, threads: usize, bytes: u64) -> (u32, u32) {
    let pixel = format.bytes_per_pixel() as u64;
    let along = |length: u32, across: u32, fewest: u32| {
        let fitting = bytes / (u64::from(across) * pixel).max(1);
        let fitting = u32::try_from(fitting).unwrap_or(u32::MAX).max(fewest);
        let tiles = u32::try_from(threads).unwrap_or(u32::MAX).saturating_mul(TILES_PER_THREAD);
        // One thread has nobody to share with.
        let shared = if threads > 1 { length.div_ceil(tiles.max(1)) } else { length };
        fitting.min(shared).max(1)
    };
    match split {
        Split::Free | Split::Rows => (rect.width, along(rect.height, rect.width, fewest)),
        Split::Columns => (along(rect.width, rect.height, FEWEST_COLUMNS), rect.height),
        Split::Whole => (rect.width, rect.height),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_fit_the_cache_and_go_round_the_threads() {
        let photo = Rect::sized(1300, 768);
        let (width, height) = size(photo, Format::LINP, Split::Free, FEWEST_ROWS, 2, TILE_BYTES);
        assert_eq!((width, height), (1300, 9));
        // A small picture is cut for the threads.
        assert_eq!(size(Rect::sized(64, 64), Format::LINP, Split::Rows, FEWEST_ROWS, 4, TILE_BYTES), (64, 4));
        // A wide one still has rows enough for each tile.
        assert_eq!(
            size(Rect::sized(10_000, 8_000), Format::LINP, Split::Free, FEWEST_ROWS, 2, TILE_BYTES),
            (10_000, 8)
        );
        assert_eq!(size(photo, Format::LINP, Split::Free, 32, 2, TILE_BYTES), (1300, 32));
        assert_eq!(size(photo, Format::LINP, Split::Columns, FEWEST_ROWS, 2, TILE_BYTES), (32, 768));
        assert_eq!(size(photo, Format::LINP, Split::Whole, FEWEST_ROWS, 2, TILE_BYTES), (1300, 768));
        assert_eq!(size(Rect::sized(1, 1), Format::RGB8, Split::Free, FEWEST_ROWS, 64, TILE_BYTES), (1, 1));
        assert_eq!(size(Rect::sized(64, 64), Format::LINP, Split::Rows, FEWEST_ROWS, 1, TILE_BYTES), (64, 64));
    }
}
