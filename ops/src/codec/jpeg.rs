//! JPEG, through mozjpeg.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use mozjpeg_sys::J_COLOR_SPACE;

use super::icc::{Components, Profile, Transform};
use super::libjpeg::{self, Decompressor, Stop};
use super::orientation::{Orientation, Upright, zeroed};
use super::rows::Rows;
use super::{CodecError, DecodeLimits, FileFormat, Header, Part};
use crate::{Cancel, Image, OpError, Rect, Reducible};

/// Longest side libjpeg writes, pixels (jmorecfg.h: JPEG_MAX_DIMENSION).
pub(super) const LONGEST_SIDE: u32 = 65_500;

impl From<Stop> for CodecError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::File { reason, unsupported: true } => CodecError::unsupported(FileFormat::Jpeg, reason),
            Stop::File { reason, unsupported: false } => CodecError::broken(FileFormat::Jpeg, reason),
            Stop::Operation(error) => error.into(),
        }
    }
}

/// A file whose header has been read.
pub(super) struct Source<'a> {
    file: Decompressor<'a>,
    components: Components,
    orientation: Orientation,
}

impl<'a> Source<'a> {
    pub(super) fn open(bytes: &'a [u8], cancel: &Cancel) -> Result<Self, CodecError> {
        let file = Decompressor::open(bytes, cancel)?;
        let components = match file.color_space() {
            J_COLOR_SPACE::JCS_GRAYSCALE => Components::Gray,
            J_COLOR_SPACE::JCS_YCbCr | J_COLOR_SPACE::JCS_RGB => Components::Rgb,
            J_COLOR_SPACE::JCS_CMYK | J_COLOR_SPACE::JCS_YCCK => Components::Cmyk,
            other => {
                let reason = format!("colours that are neither gray, YCbCr, RGB, CMYK nor YCCK ({other:?})");
                return Err(CodecError::unsupported(FileFormat::Jpeg, reason));
            }
        };
        let exif = file.markers(libjpeg::EXIF).find(|block| block.starts_with(b"Exif\0\0"));
        let orientation = exif.map(Orientation::from_exif).unwrap_or_default();
        Ok(Source { file, components, orientation })
    }

    pub(super) fn header(&self) -> Header {
        let (width, height) = self.file.size();
        let (width, height) = self.orientation.upright_size(width, height);
        let reducible = Some(Reducible { width, height, mirrored: self.orientation.mirrored() });
        // Some rows of blocks, of four components at most.
        let working_memory = self.file.coefficients() + u64::from(width.max(height)) * 4 * 64;
        Header { format: FileFormat::Jpeg, width, height, alpha: false, bits: 8, reducible, working_memory }
    }

    /// The same picture at another quality without going through pixels, where it is stored upright,
    /// in sRGB, and as we would write it; `None` elsewhere.
    pub(super) fn recode(
        self,
        quality: u8,
        limits: DecodeLimits,
        cancel: &Cancel,
    ) -> Result<Option<Vec<u8>>, CodecError> {
        let header = self.header();
        limits.check(header.width, header.height)?;
        cancel.check()?;
        let upright = self.orientation == Orientation::default();
        let in_srgb = profile(&self.file).and_then(|profile| profile.to_srgb_8(self.components)).is_none();
        if !(upright && in_srgb && self.file.can_be_recoded()) {
            return Ok(None);
        }
        Ok(Some(self.file.recode(quality)?))
    }

    /// Reads a part of it, or all.
    pub(super) fn decode(
        mut self,
        part: Option<Part>,
        limits: DecodeLimits,
        cancel: &Cancel,
    ) -> Result<Image, CodecError> {
        let header = self.header();
        limits.check(header.width, header.height)?;
        cancel.check()?;
        let transform = profile(&self.file).and_then(|profile| profile.to_srgb_8(self.components));
        // libjpeg itself makes RGB of gray, which only a gray profile has to see.
        let read = match (self.components, &transform) {
            (Components::Gray, None) => Components::Rgb,
            (components, _) => components,
        };
        let inverted = self.components == Components::Cmyk && self.file.markers(libjpeg::ADOBE).any(is_adobe);
        self.file.start(
            match read {
                Components::Gray => J_COLOR_SPACE::JCS_GRAYSCALE,
                Components::Cmyk => J_COLOR_SPACE::JCS_CMYK,
                _ => J_COLOR_SPACE::JCS_RGB,
            },
            part.map_or(8, |part| part.eighths),
        )?;

        let (width, height) = self.file.output_size();
        let (upright_width, upright_height) = self.orientation.upright_size(width, height);
        let all = Rect::sized(upright_width, upright_height);
        let window = part.map_or(all, |part| part.window.intersect(&all));
        let stored = self.orientation.stored(window, all);
        let columns = self.columns(stored, width)?;
        self.file.skip(stored.y as u32)?;
        let (read_width, _) = self.file.output_size();
        let mut picture = Upright::<[u8; 3]>::new(stored.width, stored.height, self.orientation)?;
        let direct = read == Components::Rgb && transform.is_none() && read_width == stored.width;
        let mut band: Vec<u8> = zeroed(if direct { 0 } else { read_width as usize * read.count() * BAND })?;
        while picture.missing() > 0 {
            cancel.check()?;
            picture.fill(BAND, |rows| {
                if direct {
                    return self.file.read(rows.as_flattened_mut()).map_err(CodecError::from);
                }
                let stride = read_width as usize * read.count();
                let band = &mut band[..rows.len() / stored.width as usize * stride];
                self.file.read(band)?;
                if inverted {
                    band.iter_mut().for_each(|ink| *ink = 255 - *ink);
                }
                let columns = columns.start * read.count()..columns.end * read.count();
                for (from, to) in band.chunks_exact(stride).zip(rows.chunks_exact_mut(stored.width as usize)) {
                    match read {
                        Components::Rgb if transform.is_none() => {
                            to.as_flattened_mut().copy_from_slice(&from[columns.clone()]);
                        }
                        _ => convert(transform.as_ref(), &from[columns.clone()], to)?,
                    }
                }
                Ok(())
            })?;
        }
        if stored.bottom() == i64::from(height) {
            self.file.finish()?;
        }
        Ok(Image::from_rgb8(window, picture.finish()))
    }

    /// Reads only the columns of a part, where it has not all of them; returns which of those that
    /// are read are the part's.
    fn columns(&mut self, part: Rect, width: u32) -> Result<Range<usize>, CodecError> {
        if part.width == width {
            return Ok(0..width as usize);
        }
        // Colours are stored for pairs of pixels and made smooth between them: with the neighbours,
        // those of the part are what they are in the whole picture.
        let left = (part.x as u32).saturating_sub(NEIGHBOURS);
        let right = (part.x as u32 + part.width + NEIGHBOURS).min(width);
        let first = self.file.crop(left, right - left)?;
        let start = (part.x as u32 - first) as usize;
        Ok(start..start + part.width as usize)
    }
}

/// Columns beside those of a part that are read as well.
const NEIGHBOURS: u32 = 2;
/// Rows that are read at once: two rows of blocks, as 4:2:0 delivers them.
const BAND: usize = 16;

/// By the profile, or CMYK by the plain formula R = (1 - C)(1 - K).
fn convert(transform: Option<&Transform<u8>>, from: &[u8], to: &mut [[u8; 3]]) -> Result<(), CodecError> {
    if let Some(transform) = transform {
        let converted = transform.apply(from, to.as_flattened_mut());
        return converted.map_err(|error| CodecError::broken(FileFormat::Jpeg, error.to_string()));
    }
    for (to, from) in to.iter_mut().zip(from.as_chunks::<4>().0) {
        let [c, m, y, k] = from.map(|ink| 255 - u32::from(ink));
        *to = [c, m, y].map(|c| ((c * k + 127) / 255) as u8);
    }
    Ok(())
}

fn is_adobe(block: &[u8]) -> bool {
    block.starts_with(b"Adobe") && block.len() >= 12
}

/// The ICC profile, put together from the numbered parts it is stored in (ICC.1, annex B.4);
/// `None` when there is none, or parts of it are missing.
fn profile(file: &Decompressor<'_>) -> Option<Profile> {
    let mut parts: Vec<(u8, u8, &[u8])> = file
        .markers(libjpeg::ICC)
        .filter_map(|block| match block.strip_prefix(b"ICC_PROFILE\0")? {
            [number, count, data @ ..] => Some((*number, *count, data)),
            _ => None,
        })
        .collect();
    parts.sort_by_key(|&(number, ..)| number);
    let complete = parts
        .iter()
        .enumerate()
        .all(|(index, &(number, count, _))| usize::from(number) == index + 1 && usize::from(count) == parts.len());
    if parts.is_empty() || !complete {
        return None;
    }
    let bytes: Vec<u8> = parts.into_iter().flat_map(|(_, _, data)| data.iter().copied()).collect();
    Profile::parse(&bytes)
}

/// Up to this many pixels, Huffman tables are made for the picture: files get 6 to 12 % smaller.
/// It takes four times as long and 6 bytes a pixel more, as all coefficients have to be kept, which
/// is why larger pictures do with the standard tables.
const OPTIMISED_PIXELS: u64 = 1 << 20;

/// Baseline, 4:2:0.
pub(super) fn encode(image: &Image, quality: u8, cancel: &Cancel) -> Result<Vec<u8>, CodecError> {
    // mozjpeg reports faults by unwinding, without running the panic hook.
    let written = catch_unwind(AssertUnwindSafe(|| write(image, quality, cancel)));
    written.unwrap_or_else(|_| Err(OpError::Invalid("the JPEG encoder refused the picture".into()).into()))
}

fn write(image: &Image, quality: u8, cancel: &Cancel) -> Result<Vec<u8>, CodecError> {
    let failed = |error: std::io::Error| CodecError::from(OpError::Invalid(format!("writing JPEG: {error}")));
    let rect = image.rect();
    let mut encoder = mozjpeg::Compress::new(mozjpeg::ColorSpace::JCS_RGB);
    encoder.set_size(rect.width as usize, rect.height as usize);
    encoder.set_fastest_defaults();
    encoder.set_optimize_coding(rect.area() <= OPTIMISED_PIXELS);
    encoder.set_quality(f32::from(quality));
    encoder.set_chroma_sampling_pixel_sizes((2, 2), (2, 2));
    let mut started = encoder.start_compress(Vec::new()).map_err(failed)?;
    let mut rows = Rows::new(image);
    for band in 0..rows.bands() {
        cancel.check()?;
        started.write_scanlines(rows.rgb(band).as_flattened()).map_err(failed)?;
    }
    started.finish().map_err(failed)
}
