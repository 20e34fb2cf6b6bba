//! PNG, through the `png` crate.

mod encode;

use std::borrow::Cow;
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::ops::Range;

use png::{BitDepth, ColorType, DecodingError, Limits, Transformations};

use super::icc::{Components, MAX_PROFILE, Profile};
use super::orientation::{BAND, Orientation, Upright, zeroed};
use super::{CodecError, DecodeLimits, FileFormat, Header};
use crate::{Cancel, Format, Image, OpError, Rect};

pub(super) use encode::encode;

/// Longest side the format can hold, pixels.
pub(super) const LONGEST_SIDE: u32 = i32::MAX as u32;

fn broken(reason: impl Into<String>) -> CodecError {
    CodecError::broken(FileFormat::Png, reason)
}

/// A file whose chunks have been looked through.
pub(super) struct Source<'a> {
    /// What the decoder is given: no chunk but those that its pixels depend on.
    parts: Vec<Cow<'a, [u8]>>,
    /// True if the last chunk of pixels is there as a whole.
    whole: bool,
    width: u32,
    height: u32,
    bits: u8,
    alpha: bool,
    interlaced: bool,
    orientation: Orientation,
}

/// A chunk of a file.
struct Chunk<'a> {
    kind: [u8; 4],
    data: &'a [u8],
    /// Where it is in the file, with length, kind and checksum.
    place: Range<usize>,
    /// False where the file ends within it.
    whole: bool,
}

/// The chunks of a file, up to and without `IEND`. The last one may be cut.
fn chunks(bytes: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    let mut at = 8;
    std::iter::from_fn(move || {
        let (length, after) = bytes.get(at..)?.split_first_chunk::<4>()?;
        let (kind, after) = after.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length) as usize;
        let place = at..bytes.len().min(at + 12 + length);
        let whole = place.len() == 12 + length;
        at = if whole && kind != b"IEND" { place.end } else { bytes.len() };
        (kind != b"IEND").then(|| Chunk { kind: *kind, data: &after[..length.min(after.len())], place, whole })
    })
}

/// Chunks beside the critical ones (whose first letter is a capital) that pixels depend on.
const COLORS: [&[u8; 4]; 6] = [b"tRNS", b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM"];

/// Most runs of chunks with pixels, which other chunks come between. The format asks for a single one.
const MAX_RUNS: usize = 1000;

/// The last chunk of a file.
const END: &[u8] = b"\0\0\0\0IEND\xae\x42\x60\x82";

/// The chunk for the transparent gray of pictures with less than 8 bits, of which the lowest bits count (PNG
/// specification, 11.3.1.1).
fn transparent_gray(data: &[u8], depth: u8) -> Option<Vec<u8>> {
    let &[_, gray] = data.first_chunk()?;
    let body = [b't', b'R', b'N', b'S', 0, gray & ((1 << depth.min(7)) - 1)];
    Some([&[0, 0, 0, 2], &body[..], &crc32fast::hash(&body).to_be_bytes()].concat())
}

impl<'a> Source<'a> {
    /// Faults behind the pixels, and in chunks that they do not depend on, are none.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, CodecError> {
        let mut chunks = chunks(bytes);
        let Some(Chunk {
            kind: [b'I', b'H', b'D', b'R'],
            data: &[w0, w1, w2, w3, h0, h1, h2, h3, depth, color, _, _, interlace],
            place,
            ..
        }) = chunks.next()
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
        let mut head = bytes[..place.end].to_vec();
        let mut pixels: Vec<Range<usize>> = Vec::new();
        let mut whole = false;
        for chunk in chunks {
            match &chunk.kind {
                b"IDAT" => {
                    whole = chunk.whole;
                    let runs = pixels.len();
                    match pixels.last_mut() {
                        Some(last) if last.end == chunk.place.start => last.end = chunk.place.end,
                        _ if runs == MAX_RUNS => {
                            let reason = format!("more than the limit of {MAX_RUNS} runs of chunks with pixels");
                            return Err(CodecError::unsupported(FileFormat::Png, reason));
                        }
                        _ => pixels.push(chunk.place),
                    }
                }
                // The one chunk about the picture as a whole that may follow the pixels.
                b"eXIf" => exif = Some(chunk.data),
                _ if !chunk.whole || !pixels.is_empty() => {}
                kind if kind[0].is_ascii_uppercase() || COLORS.contains(&kind) => {
                    let transparent = kind == b"tRNS";
                    alpha |= transparent;
                    match transparent_gray(chunk.data, depth) {
                        Some(gray) if transparent && color == 0 && depth < 8 => head.extend(gray),
                        _ => head.extend(&bytes[chunk.place]),
                    }
                }
                _ => {}
            }
        }
        if pixels.is_empty() {
            return Err(broken("it has no pixels"));
        }
        let pixels = pixels.into_iter().map(|place| Cow::Borrowed(&bytes[place]));
        let end = whole.then_some(Cow::Borrowed(END));
        let parts = [Cow::Owned(head)].into_iter().chain(pixels).chain(end).collect();
        let orientation = exif.map(Orientation::from_exif).unwrap_or_default();
        Ok(Source {
            parts,
            whole,
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
        let mut decoder = png::Decoder::new_with_limits(Bytes { parts: &self.parts, at: 0, cancel }, memory);
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
        let mut scan = Scan { source: &self, reader: &mut reader, accept_cut: limits.accept_cut, cancel };

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
        // Checksums included, where they are.
        if self.whole && !limits.accept_cut {
            reader.finish().map_err(explain)?;
        }
        Ok(image)
    }
}

/// The rows of a file, interlaced or not, put upright.
struct Scan<'s, 'a, 'c> {
    source: &'s Source<'a>,
    reader: &'s mut png::Reader<Bytes<'a, 'c>>,
    /// True where rows may be missing at the end.
    accept_cut: bool,
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
        let &mut Scan { source, ref mut reader, accept_cut, cancel } = self;
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
            or_end(accept_cut, reader.next_frame(&mut whole).map_err(explain))?;
            let mut lines = whole.chunks_exact(stride);
            fill(&mut |row| lines.next().map(|line| row.copy_from_slice(line)).ok_or_else(missing))?;
        } else {
            let mut ended = false;
            fill(&mut |row| {
                if !ended {
                    let read = reader.read_row(row).map_err(explain).and_then(|row| row.ok_or_else(missing));
                    ended = or_end(accept_cut, read)?.is_none();
                }
                if ended {
                    row.fill(0);
                }
                Ok(())
            })?;
        }
        Ok(picture.finish())
    }
}

/// Takes a fault for the end of a file that may be cut: `None`.
fn or_end<T>(accept_cut: bool, read: Result<T, CodecError>) -> Result<Option<T>, CodecError> {
    match read {
        Err(CodecError::Broken { .. }) if accept_cut => Ok(None),
        read => read.map(Some),
    }
}

/// A picture that no memory holds.
const TOO_LARGE: OpError = OpError::OutOfMemory { bytes: u64::MAX };

/// The colours of the file, by the precedence of the PNG specification, section 4.3:
/// code points, else a profile, else the sRGB chunk, else gamma and primaries. Code points for HDR, which is not
/// supported, are passed over.
fn profile(info: &png::Info<'_>, components: Components) -> Option<Profile> {
    let code_points = info.coding_independent_code_points.filter(|points| points.is_video_full_range_image);
    let code_points =
        code_points.and_then(|points| Profile::from_code_points(points.color_primaries, points.transfer_function));
    if let Some(profile) = code_points {
        let gray = matches!(components, Components::Gray | Components::GrayAlpha);
        return Some(if gray { profile.into_gray() } else { profile });
    }
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

/// A file in memory, in parts, that reads as failed once `cancel` says so, for decoders that take their time.
struct Bytes<'a, 'c> {
    parts: &'a [Cow<'a, [u8]>],
    /// What has been read of the first part.
    at: usize,
    cancel: &'c Cancel,
}

/// Bytes given at once.
const STEP: usize = 1 << 15;

impl BufRead for Bytes<'_, '_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.cancel.check().map_err(io::Error::other)?;
        while let [part, parts @ ..] = self.parts
            && self.at >= part.len()
        {
            (self.parts, self.at) = (parts, 0);
        }
        let rest = self.parts.first().map_or(&[][..], |part| &part[self.at..]);
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

/// The decoder's interface wants it, the decoder does not use it.
impl Seek for Bytes<'_, '_> {
    fn seek(&mut self, _to: SeekFrom) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
