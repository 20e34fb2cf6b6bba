//! GIF, through the `gif` crate: the first frame, on the logical screen. What follows it is not read.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{self, Read};

use gif::{ColorOutput, DecodeOptions, MemoryLimit};

use super::icc::{Components, Profile};
use super::orientation::zeroed;
use super::{CodecError, DecodeLimits, FileFormat, Header};
use crate::{Cancel, Image, Rect};

fn broken(reason: impl Into<String>) -> CodecError {
    CodecError::broken(FileFormat::Gif, reason)
}

/// Most bytes between blocks: what lies between two of them is kept apart.
const MAX_STRAYS: usize = 1000;

/// A file whose blocks have been looked through as far as its first frame.
pub(super) struct Source<'a> {
    /// The blocks before the first frame, without what may lie between them.
    blocks: Vec<Cow<'a, [u8]>>,
    /// The first frame, and what follows.
    rest: &'a [u8],
    /// Width and height, pixels.
    canvas: (u32, u32),
    frame: Frame,
}

/// The first frame: its place on the screen, and whether a color of it is transparent.
#[derive(Clone, Copy, Debug)]
struct Frame {
    left: u16,
    top: u16,
    width: u16,
    height: u16,
    transparent: bool,
}

/// Reads through a file without looking at pixels (GIF89a specification, sections 17 to 27).
struct Blocks<'a> {
    rest: &'a [u8],
}

impl<'a> Blocks<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], CodecError> {
        let (taken, rest) =
            self.rest.split_at_checked(count).ok_or_else(|| broken("it ends before the end of its blocks"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, CodecError> {
        Ok(self.take(1)?[0])
    }

    /// The color table that the flags of a screen or a frame announce.
    fn skip_colors(&mut self, flags: u8) -> Result<(), CodecError> {
        if flags & 0x80 != 0 {
            self.take(3 << ((flags & 7) + 1))?;
        }
        Ok(())
    }

    /// Sub-blocks up to the empty one; gives the first.
    fn skip_data(&mut self) -> Result<&'a [u8], CodecError> {
        let mut first = None;
        loop {
            match self.byte()? {
                0 => return Ok(first.unwrap_or_default()),
                length => {
                    let data = self.take(usize::from(length))?;
                    first.get_or_insert(data);
                }
            }
        }
    }
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

impl<'a> Source<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, CodecError> {
        let mut blocks = Blocks { rest: bytes };
        let screen = blocks.take(13)?;
        blocks.skip_colors(screen[10])?;
        let mut read = vec![Cow::Borrowed(&bytes[..bytes.len() - blocks.rest.len()])];
        // Where the block before ends; one that follows it at once is kept together with it.
        let mut end = None;
        let mut strays = 0;
        let mut transparent = false;
        let (rest, frame) = loop {
            let rest = blocks.rest;
            match blocks.byte()? {
                // Some writers end a block twice.
                0 if strays < MAX_STRAYS => strays += 1,
                0 => {
                    let reason = format!("more than the limit of {MAX_STRAYS} bytes between its blocks");
                    return Err(CodecError::unsupported(FileFormat::Gif, reason));
                }
                0x21 => {
                    const GRAPHIC_CONTROL: u8 = 0xf9;
                    let label = blocks.byte()?;
                    let data = blocks.skip_data()?;
                    if label == GRAPHIC_CONTROL {
                        transparent = data.first().is_some_and(|flags| flags & 1 != 0);
                    }
                    let (from, to) = (bytes.len() - rest.len(), bytes.len() - blocks.rest.len());
                    match (end.replace((from, to)), read.last_mut()) {
                        (Some((first, last)), Some(before)) if last == from => {
                            end = Some((first, to));
                            *before = Cow::Borrowed(&bytes[first..to]);
                        }
                        _ => read.push(Cow::Borrowed(&bytes[from..to])),
                    }
                }
                0x2c => {
                    let frame = blocks.take(9)?;
                    let has_colors = |flags: u8| flags & 0x80 != 0;
                    if !has_colors(screen[10]) && !has_colors(frame[8]) {
                        // Without a table, numbers are grays (section 18 leaves it to the decoder).
                        let grays = (0..=255).flat_map(|gray| [gray; 3]);
                        let start = screen[..10].iter().copied().chain([screen[10] | 0x87]);
                        read[0] = start.chain(screen[11..].iter().copied()).chain(grays).collect();
                    }
                    let [left, top, width, height] = [0, 2, 4, 6].map(|at| word(frame, at));
                    break (rest, Frame { left, top, width, height, transparent });
                }
                0x3b => return Err(broken("it has no frame")),
                other => return Err(broken(format!("an unknown block 0x{other:02x}"))),
            }
        };
        if frame.width == 0 || frame.height == 0 {
            return Err(broken("its first frame has no pixels"));
        }
        // A screen that the frame is not inside of grows, as browsers have it.
        let side = |screen: u16, corner: u16, frame: u16| u32::from(screen).max(u32::from(corner) + u32::from(frame));
        let canvas = (side(word(screen, 6), frame.left, frame.width), side(word(screen, 8), frame.top, frame.height));
        Ok(Source { blocks: read, rest, canvas, frame })
    }

    pub(super) fn header(&self) -> Header {
        let Frame { width, height, transparent, .. } = self.frame;
        let covered = (u32::from(width), u32::from(height)) == self.canvas;
        Header {
            format: FileFormat::Gif,
            width: self.canvas.0,
            height: self.canvas.1,
            alpha: transparent || !covered,
            bits: 8,
            reducible: None,
            // Numbers of colors.
            working_memory: u64::from(width) * u64::from(height),
            recoding_memory: None,
        }
    }

    pub(super) fn decode(self, limits: DecodeLimits, cancel: &Cancel) -> Result<Image, CodecError> {
        let header = self.header();
        limits.check(header.width, header.height)?;
        cancel.check()?;
        let explain = |error: gif::DecodingError| match cancel.check() {
            Err(stopped) => stopped.into(),
            Ok(()) => broken(error.to_string()),
        };
        let mut options = DecodeOptions::new();
        options.set_color_output(ColorOutput::Indexed);
        // Of what is kept beside the pixels, which are counted above.
        options.set_memory_limit(MemoryLimit::Bytes(const { std::num::NonZeroU64::new(1 << 24).unwrap() }));
        options.allow_unknown_blocks(true);
        let mut decoder = options
            .read_info(Bytes { parts: self.blocks.iter().map(|block| &**block).chain([self.rest]).collect(), cancel })
            .map_err(explain)?;
        let frame = decoder.next_frame_info().map_err(explain)?.ok_or_else(|| broken("it has no frame"))?;
        let (frame_width, frame_height) = (usize::from(frame.width), usize::from(frame.height));
        let (left, top, transparent) = (usize::from(frame.left), usize::from(frame.top), frame.transparent);
        let local = frame.palette.clone();
        let mut indices: Vec<u8> = zeroed(frame_width * frame_height)?;
        if let Err(error) = decoder.read_into_buffer(&mut indices) {
            let error = explain(error);
            if !(limits.accept_cut && matches!(error, CodecError::Broken { .. })) {
                return Err(error);
            }
        }

        let colors = local.as_deref().or(decoder.global_palette()).unwrap_or_default();
        let profile = decoder.icc_profile().and_then(Profile::parse);
        let palette = palette(colors, transparent, profile.as_ref());
        let (width, height) = (header.width as usize, header.height as usize);
        let size = Rect::sized(header.width, header.height);
        let rows = indices.chunks_exact(frame_width);
        if header.alpha {
            let mut screen: Vec<[u8; 4]> = zeroed(width * height)?;
            for (to, from) in screen.chunks_exact_mut(width).skip(top).zip(rows) {
                for (to, &index) in to[left..].iter_mut().zip(from) {
                    *to = palette[usize::from(index)];
                }
            }
            return Ok(Image::from_rgba8(size, screen));
        }
        let mut screen: Vec<[u8; 3]> = zeroed(width * height)?;
        for (to, from) in screen.chunks_exact_mut(width).zip(rows) {
            for (to, &index) in to.iter_mut().zip(from) {
                let [r, g, b, _] = palette[usize::from(index)];
                *to = [r, g, b];
            }
        }
        Ok(Image::from_rgb8(size, screen))
    }
}

/// The color of each index: black beyond the table, nothing for the transparent one.
fn palette(colors: &[u8], transparent: Option<u8>, profile: Option<&Profile>) -> [[u8; 4]; 256] {
    let mut palette = [[0, 0, 0, 255]; 256];
    for (to, &[r, g, b]) in palette.iter_mut().zip(colors.as_chunks::<3>().0) {
        *to = [r, g, b, 255];
    }
    if let Some(transform) = profile.and_then(|profile| profile.to_srgb_8(Components::Rgba)) {
        let mut converted = palette;
        if transform.apply(palette.as_flattened(), converted.as_flattened_mut()).is_ok() {
            palette = converted;
        }
    }
    if let Some(index) = transparent {
        palette[usize::from(index)] = [0; 4];
    }
    palette
}

/// A file in memory, in parts, that reads as failed once `cancel` says so.
struct Bytes<'a, 'c> {
    parts: VecDeque<&'a [u8]>,
    cancel: &'c Cancel,
}

impl Read for Bytes<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.cancel.check().map_err(io::Error::other)?;
        while self.parts.front().is_some_and(|part| part.is_empty()) {
            self.parts.pop_front();
        }
        self.parts.front_mut().map_or(Ok(0), |part| part.read(buffer))
    }
}
