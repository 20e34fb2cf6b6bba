//! Images in memory, and the windows through which operations read and write them.

use crate::format::{Source, Target};
use crate::{Alpha, Depth, Format, OpError, Rect};

/// The pixels of an image, row by row without padding, in the layout its [`Format`] asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Pixels {
    /// [`Format::RGB8`].
    Rgb8(Vec<[u8; 3]>),
    /// [`Format::RGBA8`].
    Rgba8(Vec<[u8; 4]>),
    /// Any float format.
    Float(Vec<[f32; 4]>),
}

/// Pixels with their box and format: `rect.width` × `rect.height` × 3 or 4 channels.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    rect: Rect,
    format: Format,
    pixels: Pixels,
}

fn zeroed<T: bytemuck::Zeroable + Clone>(len: u64) -> Result<Vec<T>, OpError> {
    let bytes = len.saturating_mul(size_of::<T>() as u64);
    let too_large = || OpError::OutOfMemory { bytes };
    let len = usize::try_from(len).map_err(|_| too_large())?;
    // What comes fresh from the system is zero already.
    let pixels = bytemuck::try_zeroed_slice_box(len).map_err(|()| too_large())?;
    Ok(pixels.into_vec())
}

impl Image {
    /// A zeroed image.
    ///
    /// # Errors
    /// [`OpError::OutOfMemory`] when the allocator refuses.
    pub fn new(rect: Rect, format: Format) -> Result<Self, OpError> {
        let pixels = match (format.depth, format.alpha) {
            (Depth::U8, Alpha::None) => Pixels::Rgb8(zeroed(rect.area())?),
            (Depth::U8, _) => Pixels::Rgba8(zeroed(rect.area())?),
            (Depth::F32, _) => Pixels::Float(zeroed(rect.area())?),
        };
        Ok(Image { rect, format, pixels })
    }

    /// An image from 8-bit RGB pixels; `pixels.len()` must be `rect.area()`.
    ///
    /// # Panics
    /// When the length is wrong: a fault of the caller, not of the input.
    pub fn from_rgb8(rect: Rect, pixels: Vec<[u8; 3]>) -> Self {
        assert_eq!(pixels.len() as u64, rect.area());
        Image { rect, format: Format::RGB8, pixels: Pixels::Rgb8(pixels) }
    }

    /// An image from 8-bit straight RGBA pixels. Panics as [`Image::from_rgb8`].
    pub fn from_rgba8(rect: Rect, pixels: Vec<[u8; 4]>) -> Self {
        assert_eq!(pixels.len() as u64, rect.area());
        Image { rect, format: Format::RGBA8, pixels: Pixels::Rgba8(pixels) }
    }

    /// An image from float pixels in the float format `format`. Panics as [`Image::from_rgb8`].
    pub fn from_float(rect: Rect, format: Format, pixels: Vec<[f32; 4]>) -> Self {
        assert_eq!(pixels.len() as u64, rect.area());
        assert_eq!(format.depth, Depth::F32);
        Image { rect, format, pixels: Pixels::Float(pixels) }
    }

    /// The box the pixels cover.
    pub fn rect(&self) -> Rect {
        self.rect
    }

    /// Their format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The pixels, row by row.
    pub fn pixels(&self) -> &Pixels {
        &self.pixels
    }

    /// The pixels, row by row, taken out.
    pub fn into_pixels(self) -> Pixels {
        self.pixels
    }

    /// The same pixels with their corner moved to (x, y).
    pub fn moved_to(mut self, x: i32, y: i32) -> Self {
        self.rect.x = x;
        self.rect.y = y;
        self
    }

    /// A window for reading all of it; `bounds` is what the whole input covers, of which this
    /// image may hold only a part.
    pub fn view(&self, bounds: Rect) -> View<'_> {
        View { image: self, bounds }
    }

    /// Splits the image into tiles of `width` × `height` pixels at most, in reading order, each
    /// writable on its own thread.
    pub fn tiles(&mut self, width: u32, height: u32) -> Vec<Tile<'_>> {
        let (rect, format) = (self.rect, self.format);
        match &mut self.pixels {
            Pixels::Rgb8(p) => {
                split(rect, p, width, height, |rect, rows| Tile { rect, format, rows: Rows::Rgb8(rows) })
            }
            Pixels::Rgba8(p) => {
                split(rect, p, width, height, |rect, rows| Tile { rect, format, rows: Rows::Rgba8(rows) })
            }
            Pixels::Float(p) => {
                split(rect, p, width, height, |rect, rows| Tile { rect, format, rows: Rows::Float(rows) })
            }
        }
    }
}

fn split<'a, T>(
    rect: Rect,
    pixels: &'a mut [T],
    width: u32,
    height: u32,
    make: impl Fn(Rect, Vec<&'a mut [T]>) -> Tile<'a>,
) -> Vec<Tile<'a>> {
    if rect.is_empty() {
        return Vec::new();
    }
    let (width, height) = (width.max(1), height.max(1));
    let mut tiles = Vec::new();
    for (band, rows) in pixels.chunks_mut(rect.width as usize * height as usize).enumerate() {
        let band_height = (rows.len() / rect.width as usize) as u32;
        let columns = rect.width.div_ceil(width);
        let mut strips: Vec<Vec<&mut [T]>> = (0..columns).map(|_| Vec::new()).collect();
        for row in rows.chunks_mut(rect.width as usize) {
            for (strip, part) in strips.iter_mut().zip(row.chunks_mut(width as usize)) {
                strip.push(part);
            }
        }
        for (column, strip) in strips.into_iter().enumerate() {
            let x = column as u32 * width;
            let tile = Rect {
                x: rect.x + x as i32,
                y: rect.y + (band as u32 * height) as i32,
                width: width.min(rect.width - x),
                height: band_height,
            };
            tiles.push(make(tile, strip));
        }
    }
    tiles
}

/// Read access to an input: the pixels at hand (`rect`) of an input that covers `bounds`.
///
/// The caller has made sure that `rect` holds what [`crate::Area::needed`] asked for, cut to
/// `bounds`. What lies outside `bounds` is the operation's to define (its abyss policy).
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    image: &'a Image,
    bounds: Rect,
}

impl<'a> View<'a> {
    /// The part that is in memory.
    pub fn rect(&self) -> Rect {
        self.image.rect
    }

    /// All that the input covers.
    pub fn bounds(&self) -> Rect {
        self.bounds
    }

    /// The pixels' format.
    pub fn format(&self) -> Format {
        self.image.format
    }

    /// Row `y` of a float image, `rect().width` pixels from `rect().x`.
    ///
    /// # Panics
    /// When the row is not in memory or the format is not float: a fault of the operation.
    pub fn row(&self, y: i32) -> &'a [[f32; 4]] {
        let Pixels::Float(pixels) = &self.image.pixels else { panic!("row() of {:?}", self.image.format) };
        self.row_of(pixels, y)
    }

    /// All rows of a float image, one after another.
    ///
    /// # Panics
    /// When the format is not float: a fault of the operation.
    pub fn rows(&self) -> &'a [[f32; 4]] {
        let Pixels::Float(pixels) = &self.image.pixels else { panic!("rows() of {:?}", self.image.format) };
        pixels
    }

    /// Row `y` of an RGB8 image; panics as [`View::row`].
    pub fn row_rgb8(&self, y: i32) -> &'a [[u8; 3]] {
        let Pixels::Rgb8(pixels) = &self.image.pixels else { panic!("row_rgb8() of {:?}", self.image.format) };
        self.row_of(pixels, y)
    }

    /// Row `y` of an RGBA8 image; panics as [`View::row`].
    pub fn row_rgba8(&self, y: i32) -> &'a [[u8; 4]] {
        let Pixels::Rgba8(pixels) = &self.image.pixels else { panic!("row_rgba8() of {:?}", self.image.format) };
        self.row_of(pixels, y)
    }

    /// `width` pixels of row `y` from column `x` on, whatever the format.
    ///
    /// # Panics
    /// When they are not in memory: a fault of the operation.
    pub fn source(&self, x: i32, y: i32, width: u32) -> Source<'a> {
        let first = (i64::from(x) - i64::from(self.image.rect.x)) as usize;
        let range = first..first + width as usize;
        match &self.image.pixels {
            Pixels::Rgb8(pixels) => Source::Rgb8(&self.row_of(pixels, y)[range]),
            Pixels::Rgba8(pixels) => Source::Rgba8(&self.row_of(pixels, y)[range]),
            Pixels::Float(pixels) => Source::Float(&self.row_of(pixels, y)[range]),
        }
    }

    fn row_of<T>(&self, pixels: &'a [T], y: i32) -> &'a [T] {
        let rect = self.image.rect;
        let row = (i64::from(y) - i64::from(rect.y)) as usize;
        &pixels[row * rect.width as usize..][..rect.width as usize]
    }

    /// What lies outside of [`View::bounds`] when nothing else is said: all zero, which is
    /// transparent, or opaque black in a format without alpha.
    pub fn outside(&self) -> [f32; 4] {
        if self.image.format.has_alpha() { [0.0; 4] } else { [0.0, 0.0, 0.0, 1.0] }
    }

    /// Copies pixels (x, y), (x + 1, y) ... of a float image to `out`, with [`View::outside`]
    /// for those outside of [`View::bounds`].
    ///
    /// # Panics
    /// When one is inside of the bounds but not in memory, or the format is not float.
    pub fn read_row(&self, x: i32, y: i32, out: &mut [[f32; 4]]) {
        let outside = self.outside();
        let wanted = Rect::new(x, y, out.len() as u32, 1);
        let inside = wanted.intersect(&self.bounds);
        if inside.is_empty() {
            return out.fill(outside);
        }
        let row = self.row(y);
        let before = (i64::from(inside.x) - i64::from(x)) as usize;
        let from = (i64::from(inside.x) - i64::from(self.image.rect.x)) as usize;
        let (left, rest) = out.split_at_mut(before);
        let (middle, right) = rest.split_at_mut(inside.width as usize);
        left.fill(outside);
        middle.copy_from_slice(&row[from..from + middle.len()]);
        right.fill(outside);
    }

    /// The pixel (x, y) of a float image, `None` outside [`View::bounds`].
    pub fn get(&self, x: i32, y: i32) -> Option<[f32; 4]> {
        if !self.bounds.contains(x, y) {
            return None;
        }
        Some(self.row(y)[(i64::from(x) - i64::from(self.image.rect.x)) as usize])
    }
}

#[derive(Debug)]
enum Rows<'a> {
    Rgb8(Vec<&'a mut [[u8; 3]]>),
    Rgba8(Vec<&'a mut [[u8; 4]]>),
    Float(Vec<&'a mut [[f32; 4]]>),
}

/// Write access to a part of an output.
#[derive(Debug)]
pub struct Tile<'a> {
    rect: Rect,
    format: Format,
    rows: Rows<'a>,
}

impl Tile<'_> {
    /// The part of the output to fill.
    pub fn rect(&self) -> Rect {
        self.rect
    }

    /// The output's format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The tile's part of row `y` (absolute), for a float format.
    ///
    /// # Panics
    /// When `y` is outside [`Tile::rect`] or the format is not float.
    pub fn row_mut(&mut self, y: i32) -> &mut [[f32; 4]] {
        let row = (i64::from(y) - i64::from(self.rect.y)) as usize;
        let Rows::Float(rows) = &mut self.rows else { panic!("row_mut() of {:?}", self.format) };
        rows[row]
    }

    /// `width` pixels of row `y` from column `x` on, whatever the format.
    ///
    /// # Panics
    /// When they are outside [`Tile::rect`].
    pub fn target(&mut self, x: i32, y: i32, width: u32) -> Target<'_> {
        let first = (i64::from(x) - i64::from(self.rect.x)) as usize;
        let (row, range) = ((i64::from(y) - i64::from(self.rect.y)) as usize, first..first + width as usize);
        match &mut self.rows {
            Rows::Rgb8(rows) => Target::Rgb8(&mut rows[row][range]),
            Rows::Rgba8(rows) => Target::Rgba8(&mut rows[row][range]),
            Rows::Float(rows) => Target::Float(&mut rows[row][range]),
        }
    }

    /// The tile's part of row `y`, for RGB8; panics as [`Tile::row_mut`].
    pub fn row_rgb8_mut(&mut self, y: i32) -> &mut [[u8; 3]] {
        let row = (i64::from(y) - i64::from(self.rect.y)) as usize;
        let Rows::Rgb8(rows) = &mut self.rows else { panic!("row_rgb8_mut() of {:?}", self.format) };
        rows[row]
    }

    /// The tile's part of row `y`, for RGBA8; panics as [`Tile::row_mut`].
    pub fn row_rgba8_mut(&mut self, y: i32) -> &mut [[u8; 4]] {
        let row = (i64::from(y) - i64::from(self.rect.y)) as usize;
        let Rows::Rgba8(rows) = &mut self.rows else { panic!("row_rgba8_mut() of {:?}", self.format) };
        rows[row]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pixel (x, y) holds its own place.
    fn places(rect: Rect) -> Image {
        let pixels = (0..rect.height as i32)
            .flat_map(|y| (0..rect.width as i32).map(move |x| (rect.x + x, rect.y + y)))
            .map(|(x, y)| [x as f32, y as f32, 0.0, 1.0])
            .collect();
        Image::from_float(rect, Format::LIN, pixels)
    }

    #[test]
    fn tiles_cover_the_image_once() {
        let rect = Rect::new(-3, 5, 11, 7);
        for (width, height) in [(4, 3), (11, 7), (100, 100), (1, 7), (11, 1), (5, 100), (0, 0)] {
            let mut image = Image::new(rect, Format::LIN).unwrap();
            let tiles = image.tiles(width, height);
            let mut covered = 0;
            for mut tile in tiles {
                let part = tile.rect();
                assert!(rect.contains_rect(&part) && !part.is_empty(), "{part:?}");
                assert!(part.width <= width.max(1) && part.height <= height.max(1), "{part:?}");
                assert_eq!(tile.format(), Format::LIN);
                covered += part.area();
                for y in part.y..part.y + part.height as i32 {
                    let row = tile.row_mut(y);
                    assert_eq!(row.len(), part.width as usize);
                    for (x, pixel) in (part.x..).zip(row) {
                        *pixel = [x as f32, y as f32, 0.0, 1.0];
                    }
                }
            }
            assert_eq!(covered, rect.area(), "{width} x {height}");
            assert_eq!(image, places(rect), "{width} x {height}");
        }
    }

    #[test]
    fn tiles_come_in_reading_order() {
        let mut image = Image::new(Rect::new(2, -1, 5, 4), Format::RGB8).unwrap();
        let rects: Vec<Rect> = image.tiles(3, 3).iter().map(Tile::rect).collect();
        let expected = [Rect::new(2, -1, 3, 3), Rect::new(5, -1, 2, 3), Rect::new(2, 2, 3, 1), Rect::new(5, 2, 2, 1)];
        assert_eq!(rects, expected);
    }

    #[test]
    fn strips_of_columns_are_written_apart() {
        let mut image = Image::new(Rect::sized(5, 3), Format::RGBA8).unwrap();
        for (number, mut tile) in (1..).zip(image.tiles(2, 3)) {
            for y in 0..3 {
                tile.row_rgba8_mut(y).fill([number; 4]);
            }
        }
        let row = [[1; 4], [1; 4], [2; 4], [2; 4], [3; 4]];
        assert_eq!(image.pixels(), &Pixels::Rgba8(row.repeat(3)));
    }

    #[test]
    fn an_empty_image_has_no_tiles() {
        for rect in [Rect::default(), Rect::new(4, 4, 0, 9), Rect::new(4, 4, 9, 0)] {
            for format in [Format::RGB8, Format::RGBA8, Format::GAMP] {
                let mut image = Image::new(rect, format).unwrap();
                assert_eq!((image.rect(), image.format()), (rect, format));
                assert!(image.tiles(8, 8).is_empty());
            }
        }
    }

    #[test]
    fn an_image_too_large_is_refused() {
        let result = Image::new(Rect::INFINITE, Format::LIN);
        assert!(matches!(result, Err(OpError::OutOfMemory { bytes }) if bytes > 1 << 60), "{result:?}");
    }

    #[test]
    fn views_read_what_is_there_and_know_what_is_not() {
        let bounds = Rect::new(-4, -4, 10, 10);
        let image = places(Rect::new(-4, -2, 6, 3));
        let view = image.view(bounds);
        assert_eq!((view.rect(), view.bounds(), view.format()), (image.rect(), bounds, Format::LIN));
        assert_eq!(view.row(0)[5], [1.0, 0.0, 0.0, 1.0]);
        assert_eq!(view.get(-4, -2), Some([-4.0, -2.0, 0.0, 1.0]));
        assert_eq!((view.get(-5, -2), view.get(0, 6)), (None, None));
        let mut row = [[9.0; 4]; 4];
        view.read_row(-6, -1, &mut row);
        assert_eq!(row, [[0.0; 4], [0.0; 4], [-4.0, -1.0, 0.0, 1.0], [-3.0, -1.0, 0.0, 1.0]]);
        view.read_row(0, 6, &mut row);
        assert_eq!(row, [[0.0; 4]; 4]);
    }

    #[test]
    fn beyond_an_opaque_picture_is_black() {
        let image = Image::from_float(Rect::sized(1, 1), Format::LIN_OPAQUE, vec![[0.5, 0.5, 0.5, 1.0]]);
        let mut row = [[9.0; 4]; 3];
        image.view(image.rect()).read_row(-1, 0, &mut row);
        assert_eq!(row, [[0.0, 0.0, 0.0, 1.0], [0.5, 0.5, 0.5, 1.0], [0.0, 0.0, 0.0, 1.0]]);
    }

    #[test]
    fn moving_keeps_the_pixels() {
        let image = places(Rect::sized(3, 2)).moved_to(-5, 8);
        assert_eq!(image.rect(), Rect::new(-5, 8, 3, 2));
        assert_eq!(image.view(image.rect()).get(-5, 8), Some([0.0, 0.0, 0.0, 1.0]));
        assert!(matches!(image.into_pixels(), Pixels::Float(pixels) if pixels.len() == 6));
    }
}
