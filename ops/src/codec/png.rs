//! PNG, through the `png` crate.

use std::io::{self, BufRead, Read, Seek, SeekFrom};

use png::{BitDepth, ColorType, DecodingError, Limits, Transformations};

use super::icc::{Components, MAX_PROFILE, Profile};
use super::orientation::{BAND, Orientation, Upright, zeroed};
use super::rows::Rows;
use super::{CodecError, DecodeLimits, FileFormat, Header};
use crate::{Cancel, Format, Image, OpError, Rect};

/// Longest side the format can hold, pixels.
pub(super) const LONGEST_SIDE: u32 = i32::MAX as u32;

fn broken(reason: impl Into<String>) -> CodecError {
    CodecError::broken(FileFormat::Png, reason)
}

/// A file whose chunks have been looked through.
pub(super) struct Source<'a> {
    bytes: &'a [u8],
    width: u32,
    height: u32,
    bits: u8,
    alpha: bool,
    interlaced: bool,
    orientation: Orientation,
}

/// The chunks of a file: type and data, up to and without `IEND`.
fn chunks(bytes: &[u8]) -> impl Iterator<Item = Result<([u8; 4], &[u8]), CodecError>> {
    let mut rest = bytes.get(8..).unwrap_or_default();
    let mut ended = false;
    std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let chunk = (|| {
            let (length, after) = rest.split_first_chunk::<4>()?;
            let (kind, after) = after.split_first_chunk::<4>()?;
            let (data, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            let (_crc, after) = after.split_first_chunk::<4>()?;
            rest = after;
            Some((*kind, data))
        })();
        ended = chunk.is_none_or(|(kind, _)| &kind == b"IEND");
        match chunk {
            Some((kind, _)) if &kind == b"IEND" => None,
            Some(chunk) => Some(Ok(chunk)),
            None => Some(Err(broken("it ends before the end chunk"))),
        }
    })
}

impl<'a> Source<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, CodecError> {
        let mut chunks = chunks(bytes);
        let Some((b"IHDR", &[w0, w1, w2, w3, h0, h1, h2, h3, depth, color, _, _, interlace])) =
            chunks.next().transpose()?.as_ref().map(|(kind, data)| (kind, *data))
        else {
            return Err(broken("it does not begin with a header chunk"));
        };
        let width = u32::from_be_bytes([w0, w1, w2, w3]);
        let height = u32::from_be_bytes([h0, h1, h2, h3]);
        if !(1..=LONGEST_SIDE).contains(&width) || !(1..=LONGEST_SIDE).contains(&height) {
            return Err(broken(format!("a size of {width} x {height} pixels")));
        }
        // PNG specification, table 11.1: bit 2 of the color type means alpha.
        let mut alpha = color & 4 != 0;
        let mut exif: Option<&[u8]> = None;
        let mut pixels = false;
        for chunk in chunks {
            match chunk? {
                (kind, _) if &kind == b"IDAT" => pixels = true,
                (kind, _) if &kind == b"tRNS" && !pixels => alpha = true,
                // The one chunk about the picture as a whole that may follow the pixels.
                (kind, data) if &kind == b"eXIf" => exif = Some(data),
                _ => {}
            }
        }
        if !pixels {
            return Err(broken("it has no pixels"));
        }
        let orientation = exif.map(Orientation::from_exif).unwrap_or_default();
        Ok(Source {
            bytes,
            width,
            height,
            bits: if depth == 16 { 16 } else { 8 },
            alpha,
            interlaced: interlace != 0,
            orientation,
        })
    }

    pub(super) fn header(&self) -> Header {
        let (width, height) = self.orientation.upright_size(self.width, self.height);
        // Interlaced, all of it is there before the first row is whole; else there is a row at a time, or some of them
        // that are turned together.
        let each = match (self.interlaced, self.bits) {
            (false, _) => 0,
            (true, 16) => 8,
            (true, _) => 4,
        };
        let band = if self.orientation == Orientation::default() { 0 } else { self.height.min(BAND as u32) };
        let turned = u64::from(self.width) * u64::from(band) * if self.bits == 16 { 16 } else { 4 };
        let working_memory = u64::from(width) * u64::from(height) * each + turned;
        let (alpha, bits) = (self.alpha, self.bits);
        Header {
            format: FileFormat::Png,
            width,
            height,
            alpha,
            bits,
            reducible: None,
            working_memory,
            recoding_memory: None,
        }
    }

    pub(super) fn decode(self, limits: DecodeLimits, cancel: &Cancel) -> Result<Image, CodecError> {
        let header = self.header();
        limits.check(header.width, header.height)?;
        cancel.check()?;
        let explain = |error: DecodingError| match cancel.check() {
            Err(stopped) => stopped.into(),
            Ok(()) => broken(error.to_string()),
        };
        // What is limited here are compressed profiles and whatever else comes in chunks beside
        // the pixels; text is skipped unread.
        let memory = Limits { bytes: MAX_PROFILE + (1 << 20) };
        let mut decoder = png::Decoder::new_with_limits(Bytes { bytes: self.bytes, at: 0, cancel }, memory);
        decoder.set_ignore_text_chunk(true);
        decoder.set_transformations(Transformations::EXPAND);
        let mut reader = decoder.read_info().map_err(explain)?;
        let (color, depth) = reader.output_color_type();
        let components = match color {
            ColorType::Grayscale => Components::Gray,
            ColorType::GrayscaleAlpha => Components::GrayAlpha,
            ColorType::Rgb | ColorType::Indexed => Components::Rgb,
            ColorType::Rgba => Components::Rgba,
        };
        let profile = profile(reader.info(), components);
        let size = Rect::sized(header.width, header.height);
        let mut scan = Scan { source: &self, reader: &mut reader, cancel };

        let image = if depth == BitDepth::Sixteen {
            let transform = profile.and_then(|profile| profile.to_srgb_16(components));
            let mut samples: Vec<u16> = Vec::new();
            let mut converted: Vec<u16> = Vec::new();
            let pixels = scan.rows(|line, row: &mut [[f32; 4]]| {
                samples.clear();
                samples.extend(line.as_chunks::<2>().0.iter().map(|&sample| u16::from_be_bytes(sample)));
                let (samples, components) = match &transform {
                    Some(transform) => {
                        let components = components.converted();
                        converted.resize(row.len() * components.count(), 0);
                        transform.apply(&samples, &mut converted).map_err(|error| broken(error.to_string()))?;
                        (&converted, components)
                    }
                    None => (&samples, components),
                };
                for (to, from) in row.iter_mut().zip(samples.chunks_exact(components.count())) {
                    *to = components.rgba(from, u16::MAX).map(|sample| f32::from(sample) / 65535.0);
                }
                Ok(())
            })?;
            Image::from_float(size, if self.alpha { Format::GAM } else { Format::GAM_OPAQUE }, pixels)
        } else {
            let transform = profile.and_then(|profile| profile.to_srgb_8(components));
            let mut converted: Vec<u8> = Vec::new();
            let mut convert = |line: &[u8], width: usize, expand: &mut dyn FnMut(&[u8], Components)| {
                let Some(transform) = &transform else {
                    expand(line, components);
                    return Ok(());
                };
                converted.resize(width * components.converted().count(), 0);
                transform.apply(line, &mut converted).map_err(|error| broken(error.to_string()))?;
                expand(&converted, components.converted());
                Ok(())
            };
            // What is stored as it is kept needs no look at each pixel.
            if transform.is_none() && self.alpha && components == Components::Rgba {
                Image::from_rgba8(size, scan.stored_rows()?)
            } else if transform.is_none() && !self.alpha && components == Components::Rgb {
                Image::from_rgb8(size, scan.stored_rows()?)
            } else if self.alpha {
                let pixels = scan.rows(|line, row: &mut [[u8; 4]]| {
                    convert(line, row.len(), &mut |samples, components| {
                        for (to, from) in row.iter_mut().zip(samples.chunks_exact(components.count())) {
                            *to = components.rgba(from, 255);
                        }
                    })
                })?;
                Image::from_rgba8(size, pixels)
            } else {
                let pixels = scan.rows(|line, row: &mut [[u8; 3]]| {
                    convert(line, row.len(), &mut |samples, components| {
                        for (to, from) in row.iter_mut().zip(samples.chunks_exact(components.count())) {
                            let [r, g, b, _] = components.rgba(from, 255);
                            *to = [r, g, b];
                        }
                    })
                })?;
                Image::from_rgb8(size, pixels)
            }
        };
        // Up to the end chunk, checksums included.
        reader.finish().map_err(explain)?;
        Ok(image)
    }
}

/// The rows of a file, interlaced or not, put upright.
struct Scan<'s, 'a, 'c> {
    source: &'s Source<'a>,
    reader: &'s mut png::Reader<Bytes<'a, 'c>>,
    cancel: &'c Cancel,
}

/// Reads the next row of a file.
type ReadRow<'r> = dyn FnMut(&mut [u8]) -> Result<(), CodecError> + 'r;

impl Scan<'_, '_, '_> {
    /// The picture, of rows that `convert` makes of those of the file.
    fn rows<T: bytemuck::Zeroable + Copy>(
        &mut self,
        mut convert: impl FnMut(&[u8], &mut [T]) -> Result<(), CodecError>,
    ) -> Result<Vec<T>, CodecError> {
        let stride = self.reader.output_line_size(self.source.width).ok_or(TOO_LARGE)?;
        let mut line: Vec<u8> = zeroed(stride)?;
        self.picture(|read, row| {
            read(&mut line)?;
            convert(&line, row)
        })
    }

    /// The picture, of rows that are as those of the file.
    fn stored_rows<T: bytemuck::Pod>(&mut self) -> Result<Vec<T>, CodecError> {
        self.picture(|read, row| read(bytemuck::cast_slice_mut(row)))
    }

    fn picture<T: bytemuck::Zeroable + Copy>(
        &mut self,
        mut make: impl FnMut(&mut ReadRow<'_>, &mut [T]) -> Result<(), CodecError>,
    ) -> Result<Vec<T>, CodecError> {
        let &mut Scan { source, ref mut reader, cancel } = self;
        let explain = |error: DecodingError| match cancel.check() {
            Err(stopped) => stopped.into(),
            Ok(()) => broken(error.to_string()),
        };
        let missing = || broken("rows are missing");
        let mut picture = Upright::<T>::new(source.width, source.height, source.orientation)?;
        let mut fill = |read: &mut ReadRow<'_>| {
            while picture.missing() > 0 {
                cancel.check()?;
                let rows =
                    |rows: &mut [T]| rows.chunks_exact_mut(source.width as usize).try_for_each(|row| make(read, row));
                picture.fill(16, rows)?;
            }
            Ok::<(), CodecError>(())
        };
        if reader.info().interlaced {
            let stride = reader.output_line_size(source.width).ok_or(TOO_LARGE)?;
            let mut whole: Vec<u8> = zeroed(reader.output_buffer_size().ok_or(TOO_LARGE)?)?;
            reader.next_frame(&mut whole).map_err(explain)?;
            let mut lines = whole.chunks_exact(stride);
            fill(&mut |row| lines.next().map(|line| row.copy_from_slice(line)).ok_or_else(missing))?;
        } else {
            fill(&mut |row| reader.read_row(row).map_err(explain)?.map(|_| ()).ok_or_else(missing))?;
        }
        Ok(picture.finish())
    }
}

/// A picture that no memory holds.
const TOO_LARGE: OpError = OpError::OutOfMemory { bytes: u64::MAX };

/// The colours of the file, by the precedence of the PNG specification, section 4.3: an ICC
/// profile, else the sRGB chunk, else gamma and primaries. Code points (cICP) come before all of
/// them, but are of use for HDR only, which is not supported.
fn profile(info: &png::Info<'_>, components: Components) -> Option<Profile> {
    if let Some(profile) = info.icc_profile.as_deref().and_then(Profile::parse) {
        return Some(profile);
    }
    if info.srgb.is_some() {
        return None;
    }
    let gamma = info.gama_chunk.map(|gamma| gamma.into_value());
    let primaries = info
        .chrm_chunk
        .map(|chrm| [chrm.white, chrm.red, chrm.green, chrm.blue].map(|(x, y)| (x.into_value(), y.into_value())));
    // Gamma 0.45455 stands for the sRGB curve: that is what writers of sRGB files put there.
    const SRGB_GAMMA: f32 = 0.454_55;
    let is_srgb = gamma.is_none_or(|gamma| (gamma - SRGB_GAMMA).abs() < 0.005);
    match components {
        _ if is_srgb => primaries.and_then(Profile::with_primaries),
        Components::Gray | Components::GrayAlpha => Profile::from_gamma(1.0 / gamma?, None).map(Profile::into_gray),
        _ => Profile::from_gamma(1.0 / gamma?, primaries),
    }
}

/// A file in memory that reads as failed once `cancel` says so, for decoders that take their time.
struct Bytes<'a, 'c> {
    bytes: &'a [u8],
    at: usize,
    cancel: &'c Cancel,
}

/// Bytes given at once.
const STEP: usize = 1 << 15;

impl BufRead for Bytes<'_, '_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.cancel.check().map_err(io::Error::other)?;
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        Ok(&rest[..rest.len().min(STEP)])
    }

    fn consume(&mut self, amount: usize) {
        self.at += amount;
    }
}

impl Read for Bytes<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl Seek for Bytes<'_, '_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => i128::from(at),
            SeekFrom::End(offset) => self.bytes.len() as i128 + i128::from(offset),
            SeekFrom::Current(offset) => self.at as i128 + i128::from(offset),
        };
        self.at = usize::try_from(at).map_err(|_| io::ErrorKind::InvalidInput)?;
        Ok(self.at as u64)
    }
}

/// Whether all pixels are gray, and whether all are opaque; looks no further than it must.
fn looks(image: &Image, cancel: &Cancel) -> Result<(bool, bool), OpError> {
    let (mut gray, mut opaque) = (true, true);
    let may_be_clear = image.format().has_alpha();
    let mut rows = Rows::new(image);
    for band in 0..rows.bands() {
        cancel.check()?;
        if may_be_clear {
            let band = rows.rgba(band);
            gray = gray && band.iter().all(|[r, g, b, _]| r == g && g == b);
            opaque = opaque && band.iter().all(|[.., a]| *a == 255);
        } else {
            gray = gray && rows.rgb(band).iter().all(|[r, g, b]| r == g && g == b);
        }
        if !(gray || may_be_clear && opaque) {
            break;
        }
    }
    Ok((gray, opaque))
}

/// 8 bits, as narrow as the picture allows, compressed for speed.
pub(super) fn encode(image: &Image, small: bool, cancel: &Cancel) -> Result<Vec<u8>, CodecError> {
    let (gray, opaque) = looks(image, cancel)?;
    let failed = |error: png::EncodingError| CodecError::from(OpError::Invalid(format!("writing PNG: {error}")));
    let rect = image.rect();
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, rect.width, rect.height);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(if small { png::Compression::Balanced } else { png::Compression::Fast });
    encoder.set_color(match (gray, opaque) {
        (true, true) => ColorType::Grayscale,
        (true, false) => ColorType::GrayscaleAlpha,
        (false, true) => ColorType::Rgb,
        (false, false) => ColorType::Rgba,
    });
    let mut writer = encoder.write_header().map_err(failed)?;
    let mut stream = writer.stream_writer_with_size(1 << 18).map_err(failed)?;
    let mut rows = Rows::new(image);
    let mut narrow: Vec<u8> = Vec::new();
    for band in 0..rows.bands() {
        cancel.check()?;
        narrow.clear();
        let bytes: &[u8] = match (gray, opaque) {
            (true, true) => {
                narrow.extend(rows.rgb(band).iter().map(|&[g, ..]| g));
                &narrow
            }
            (true, false) => {
                narrow.extend(rows.rgba(band).iter().flat_map(|&[g, _, _, a]| [g, a]));
                &narrow
            }
            (false, true) => rows.rgb(band).as_flattened(),
            (false, false) => rows.rgba(band).as_flattened(),
        };
        io::Write::write_all(&mut stream, bytes).map_err(|error| failed(error.into()))?;
    }
    stream.finish().map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(file)
}
