//! JPEG, through mozjpeg.

mod markers;

use std::cell::OnceCell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use mozjpeg::qtable;
use mozjpeg_sys::J_COLOR_SPACE;

use super::baseline::{Encoder, Fault, Picture, Recoding};
use super::icc::{self, Components, MAX_PROFILE, Profile, Transform};
use super::libjpeg::{Decompressor, Stop};
use super::orientation::{Orientation, Upright, zeroed};
use super::rows::Rows;
use super::{CodecError, DecodeLimits, EncodeOptions, FileFormat, Header, Part};
use crate::{Cancel, Detail, Image, Margin, OpError, Rect, Reducible};
use markers::Markers;

pub(super) use markers::MAX_SCANS;

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
    bytes: &'a [u8],
    markers: Markers<'a>,
    /// The colour profile, once it has been asked for.
    profile: OnceCell<Option<Profile>>,
    file: Decompressor<'a>,
    components: Components,
    orientation: Orientation,
}

impl<'a> Source<'a> {
    pub(super) fn open(bytes: &'a [u8], cancel: &Cancel) -> Result<Self, CodecError> {
        let markers = Markers::read(bytes)?;
        let file = Decompressor::open(bytes, markers.huffman, cancel)?;
        let components = match file.color_space() {
            J_COLOR_SPACE::JCS_GRAYSCALE => Components::Gray,
            J_COLOR_SPACE::JCS_YCbCr | J_COLOR_SPACE::JCS_RGB => Components::Rgb,
            J_COLOR_SPACE::JCS_CMYK | J_COLOR_SPACE::JCS_YCCK => Components::Cmyk,
            other => {
                let reason = format!("colours that are neither gray, YCbCr, RGB, CMYK nor YCCK ({other:?})");
                return Err(CodecError::unsupported(FileFormat::Jpeg, reason));
            }
        };
        let orientation = markers.exif.map(Orientation::from_exif).unwrap_or_default();
        Ok(Source { bytes, markers, profile: OnceCell::new(), file, components, orientation })
    }

    fn profile(&self) -> Option<&Profile> {
        self.profile.get_or_init(|| profile(&self.markers)).as_ref()
    }

    fn reducible(&self) -> Reducible {
        let (width, height) = self.file.size();
        let (width, height) = self.orientation.upright_size(width, height);
        // Means of colours that are coded otherwise than in sRGB are no colours.
        let ours = match self.file.color_space() {
            J_COLOR_SPACE::JCS_GRAYSCALE => self.profile().is_none(),
            other => other == J_COLOR_SPACE::JCS_YCbCr,
        };
        let margin = if ours { Margin::None } else { Margin::All };
        Reducible { width, height, mirrored: self.orientation.mirrored(), margin }
    }

    pub(super) fn header(&self) -> Header {
        let Reducible { width, height, .. } = self.reducible();
        let reducible = Some(self.reducible());
        // Some rows of blocks, of four components at most.
        let profile: usize = self.markers.icc.iter().map(|(.., data)| data.len()).sum();
        let working_memory = self.file.coefficients() + u64::from(width.max(height)) * 4 * 64 + icc::memory(profile);
        // What it consists of is kept as symbols, several to each byte; then as a file again.
        let as_it_is = self.orientation == Orientation::default() && self.profile().is_none();
        let recoding_memory = (as_it_is && self.file.can_be_recoded())
            .then(|| self.file.coefficients().saturating_add(self.bytes.len() as u64 * 6));
        Header {
            format: FileFormat::Jpeg,
            width,
            height,
            alpha: false,
            bits: 8,
            reducible,
            working_memory,
            recoding_memory,
        }
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
        let in_srgb = self.profile().and_then(|profile| profile.to_srgb_8(self.components)).is_none();
        if !(upright && in_srgb && self.file.can_be_recoded()) {
            return Ok(None);
        }
        if let Ok(mut recoding) = Recoding::open(self.bytes, quality) {
            while recoding.left() > 0 && recoding.next_row().is_ok() {
                cancel.check()?;
            }
            if recoding.left() == 0 {
                return Ok(Some(recoding.finish()));
            }
        }
        // Whoever goes through pixels hears what is wrong with a broken file.
        match self.file.recode(quality) {
            Ok(file) => Ok(Some(file)),
            Err(Stop::File { .. }) => Ok(None),
            Err(stop) => Err(stop.into()),
        }
    }

    /// Reads a part of it, or all. `None` where reducing leaves out more than `detail`.
    pub(super) fn decode(
        self,
        part: Option<Part>,
        detail: Option<Detail>,
        limits: DecodeLimits,
        cancel: &Cancel,
    ) -> Result<Option<Image>, CodecError> {
        let header = self.header();
        limits.check(header.width, header.height)?;
        cancel.check()?;
        let eighths = part.map_or(8, |part| part.eighths);
        let all = self.reducible().by(eighths).rect();
        let window = part.map_or(all, |part| part.window.intersect(&all));
        if window.is_empty() {
            return Err(OpError::Invalid(format!("{part:?} has no pixel of the picture")).into());
        }
        let stored = self.orientation.stored(window, all);
        let transform = self.profile().and_then(|profile| profile.to_srgb_8(self.components));
        // A gray profile has to see gray, all else is made RGB while it is read.
        let components = match (self.components, &transform) {
            (Components::Gray, None) => Components::Rgb,
            (components, _) => components,
        };
        let to = Delivery { stored, window, orientation: self.orientation, transform, components, detail, cancel };
        let quick = matches!(eighths, 1..=4 | 8)
            && components == Components::Rgb
            && self.file.color_space() != J_COLOR_SPACE::JCS_RGB;
        if quick && let Ok(baseline) = Picture::open(self.bytes, eighths as usize, stored) {
            match to.deliver(baseline) {
                // Perhaps it is not as bad as that; if it is, libjpeg says why.
                Err(CodecError::Broken { .. }) => {}
                delivered => return delivered,
            }
        }
        let mut file = self.file;
        if limits.accept_cut {
            file.accept_cut();
        }
        if quick && eighths < 8 && file.coefficients() > 0 {
            let (headers, coefficients) = file.stored()?;
            if let Ok(picture) = Picture::stored(&headers, coefficients, eighths as usize, stored) {
                return to.deliver(picture);
            }
            file = Decompressor::open(self.bytes, self.markers.huffman, cancel)?;
            if limits.accept_cut {
                file.accept_cut();
            }
        }
        // libjpeg tells nothing of what it leaves out.
        if detail.is_some() && eighths < 8 {
            return Ok(None);
        }
        let inverted = components == Components::Cmyk && self.markers.adobe;
        to.deliver(Libjpeg::start(file, components, inverted, eighths, stored)?)
    }
}

/// Reads the stored rows of a part.
trait StoredRows {
    /// Bytes of a row that is read, and which of them are the part's.
    fn row(&self) -> (usize, Range<usize>);
    /// Passes over some of what comes before the part; false when there is none left.
    fn pass(&mut self) -> Result<bool, CodecError> {
        Ok(false)
    }
    /// Reads as many rows as `rows` holds.
    fn read(&mut self, rows: &mut [u8]) -> Result<(), CodecError>;
    /// True once it is known that more is left out than a reduced picture can show.
    fn is_detailed(&self, _most: Detail) -> bool {
        false
    }
}

/// How rows become a picture.
struct Delivery<'a> {
    /// The part as stored, and as shown.
    stored: Rect,
    window: Rect,
    orientation: Orientation,
    /// To sRGB, and from what.
    transform: Option<Transform<u8>>,
    components: Components,
    /// The detail that may be left out before the picture is given up.
    detail: Option<Detail>,
    cancel: &'a Cancel,
}

impl Delivery<'_> {
    fn deliver(&self, mut file: impl StoredRows) -> Result<Option<Image>, CodecError> {
        let Delivery { stored, transform, .. } = self;
        let (stride, columns) = file.row();
        let mut picture = Upright::<[u8; 3]>::new(stored.width, stored.height, self.orientation)?;
        let direct = self.components == Components::Rgb && transform.is_none() && columns.len() == stride;
        let mut band: Vec<u8> = zeroed(if direct { 0 } else { stride * BAND })?;
        while file.pass()? {
            self.cancel.check()?;
        }
        while picture.missing() > 0 {
            self.cancel.check()?;
            picture.fill(BAND, |rows| {
                if direct {
                    return file.read(rows.as_flattened_mut());
                }
                let band = &mut band[..rows.len() / stored.width as usize * stride];
                file.read(band)?;
                for (from, to) in band.chunks_exact(stride).zip(rows.chunks_exact_mut(stored.width as usize)) {
                    let from = &from[columns.clone()];
                    match (self.components, transform) {
                        (_, Some(transform)) => by_profile(transform, from, to)?,
                        (Components::Cmyk, None) => by_formula(from, to),
                        _ => to.as_flattened_mut().copy_from_slice(from),
                    }
                }
                Ok(())
            })?;
            if self.detail.is_some_and(|detail| file.is_detailed(detail)) {
                return Ok(None);
            }
        }
        Ok(Some(Image::from_rgb8(self.window, picture.finish())))
    }
}

impl StoredRows for Picture<'_> {
    fn row(&self) -> (usize, Range<usize>) {
        let bytes = self.width() * 3;
        (bytes, 0..bytes)
    }

    fn pass(&mut self) -> Result<bool, CodecError> {
        self.pass().map_err(|Fault| CodecError::broken(FileFormat::Jpeg, "faulty codes"))
    }

    fn read(&mut self, rows: &mut [u8]) -> Result<(), CodecError> {
        self.read(rows).map_err(|Fault| CodecError::broken(FileFormat::Jpeg, "faulty codes"))
    }

    fn is_detailed(&self, most: Detail) -> bool {
        self.is_detailed(most)
    }
}

/// The part as libjpeg reads it.
struct Libjpeg<'a> {
    file: Decompressor<'a>,
    /// Bytes of a row, and which of them are the part's.
    row: (usize, Range<usize>),
    /// CMYK as Adobe stores it: 255 is no ink.
    inverted: bool,
}

impl<'a> Libjpeg<'a> {
    fn start(
        mut file: Decompressor<'a>,
        components: Components,
        inverted: bool,
        eighths: u32,
        part: Rect,
    ) -> Result<Libjpeg<'a>, CodecError> {
        file.start(
            match components {
                Components::Gray => J_COLOR_SPACE::JCS_GRAYSCALE,
                Components::Cmyk => J_COLOR_SPACE::JCS_CMYK,
                _ => J_COLOR_SPACE::JCS_RGB,
            },
            eighths,
        )?;
        let (width, _) = file.output_size();
        let left = part.x as u32;
        let mut first = 0;
        if part.width < width {
            // Colours are stored for pairs of pixels and made smooth between them: with the
            // neighbours, those of the part are what they are in the whole picture.
            let from = left.saturating_sub(NEIGHBOURS);
            first = file.crop(from, (left + part.width + NEIGHBOURS).min(width) - from)?;
        }
        file.skip(part.y as u32, whole_blocks(eighths, PIXELS_AT_ONCE / width.max(1)))?;
        let bytes = |columns: u32| columns as usize * components.count();
        let row = (bytes(file.output_size().0), bytes(left - first)..bytes(left - first + part.width));
        Ok(Libjpeg { file, row, inverted })
    }
}

impl StoredRows for Libjpeg<'_> {
    fn row(&self) -> (usize, Range<usize>) {
        self.row.clone()
    }

    fn read(&mut self, rows: &mut [u8]) -> Result<(), CodecError> {
        self.file.read(rows)?;
        if self.inverted {
            rows.iter_mut().for_each(|ink| *ink = 255 - *ink);
        }
        Ok(())
    }
}

/// Pixels before a part that are passed over at once: some 20 ms of work.
const PIXELS_AT_ONCE: u32 = 1 << 20;
/// Columns beside those of a part that are read as well.
const NEIGHBOURS: u32 = 2;
/// Rows that are read at once: two rows of blocks, as 4:2:0 delivers them.
const BAND: usize = 16;

/// At least so many rows, which hold whole blocks of a reduced picture however its components are sampled: libjpeg goes
/// on rightly only from there.
fn whole_blocks(eighths: u32, rows: u32) -> u32 {
    // A row of MCUs has 1 to 4 rows of blocks.
    rows.max(1).next_multiple_of(12 * eighths)
}

/// By an ICC profile.
fn by_profile(transform: &Transform<u8>, from: &[u8], to: &mut [[u8; 3]]) -> Result<(), CodecError> {
    let converted = transform.apply(from, to.as_flattened_mut());
    converted.map_err(|error| CodecError::broken(FileFormat::Jpeg, error.to_string()))
}

/// CMYK by the plain formula R = (1 - C)(1 - K).
fn by_formula(from: &[u8], to: &mut [[u8; 3]]) {
    for (to, from) in to.iter_mut().zip(from.as_chunks::<4>().0) {
        let [c, m, y, k] = from.map(|ink| 255 - u32::from(ink));
        *to = [c, m, y].map(|c| ((c * k + 127) / 255) as u8);
    }
}

/// The ICC profile, put together from the numbered parts it is stored in (ICC.1, annex B.4);
/// `None` when there is none, or parts of it are missing, or it is too long.
fn profile(markers: &Markers<'_>) -> Option<Profile> {
    let mut parts = markers.icc.clone();
    parts.sort_by_key(|&(number, ..)| number);
    let complete = parts
        .iter()
        .enumerate()
        .all(|(index, &(number, count, _))| usize::from(number) == index + 1 && usize::from(count) == parts.len());
    let length: usize = parts.iter().map(|(.., data)| data.len()).sum();
    if parts.is_empty() || !complete || length > MAX_PROFILE {
        return None;
    }
    let bytes: Vec<u8> = parts.into_iter().flat_map(|(_, _, data)| data.iter().copied()).collect();
    Profile::parse(&bytes)
}

/// 4:2:0 and baseline unless asked otherwise, with codes that are made for the picture.
pub(super) fn encode(image: &Image, options: EncodeOptions, cancel: &Cancel) -> Result<Vec<u8>, CodecError> {
    if !options.small && !options.progressive {
        let rect = image.rect();
        let size = [rect.width as usize, rect.height as usize];
        let mut encoder = Encoder::new(size, options.quality, options.full_chroma);
        let mut rows = Rows::over(image, options.background);
        for band in 0..rows.bands() {
            cancel.check()?;
            encoder.rows(rows.rgb(band));
        }
        return Ok(encoder.finish());
    }
    // mozjpeg reports faults by unwinding, without running the panic hook.
    let written = catch_unwind(AssertUnwindSafe(|| write(image, options, cancel)));
    written.unwrap_or_else(|_| Err(OpError::Invalid("the JPEG encoder refused the picture".into()).into()))
}

/// By mozjpeg: in scans, which takes choosing.
fn write(image: &Image, options: EncodeOptions, cancel: &Cancel) -> Result<Vec<u8>, CodecError> {
    let failed = |error: std::io::Error| CodecError::from(OpError::Invalid(format!("writing JPEG: {error}")));
    let rect = image.rect();
    let mut encoder = mozjpeg::Compress::new(mozjpeg::ColorSpace::JCS_RGB);
    encoder.set_size(rect.width as usize, rect.height as usize);
    let quality = f32::from(options.quality);
    if options.small {
        // mozjpeg's own defaults: trellis quantisation, and the progressive scans that are smallest. But with
        // libjpeg's tables; with mozjpeg's the same number would stand for a picture half a decibel worse.
        encoder.set_luma_qtable(&qtable::AnnexK_Luma.scaled(quality, quality));
        encoder.set_chroma_qtable(&qtable::AnnexK_Chroma.scaled(quality, quality));
    } else {
        encoder.set_fastest_defaults();
        encoder.set_quality(quality);
        encoder.set_progressive_mode();
    }
    let chroma = if options.full_chroma { (1, 1) } else { (2, 2) };
    encoder.set_chroma_sampling_pixel_sizes(chroma, chroma);
    let mut started = encoder.start_compress(Vec::new()).map_err(failed)?;
    let mut rows = Rows::over(image, options.background);
    for band in 0..rows.bands() {
        cancel.check()?;
        started.write_scanlines(rows.rgb(band).as_flattened()).map_err(failed)?;
    }
    started.finish().map_err(failed)
}

#[cfg(test)]
mod tests;
