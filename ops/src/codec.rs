//! Image files in and out: JPEG, PNG, WebP; GIF in, and AVIF out where the feature `avif` is on.
//!
//! A file is first read as far as its [`Header`], which costs no pixels; whoever decodes checks
//! the header against limits and then allocates. Pictures come out upright and in sRGB whatever
//! the file holds: EXIF orientation and colour profiles are applied while rows are read. A file
//! that ends before its last pixel is an error, never part of a picture, unless only what comes before was
//! asked for. What follows that pixel, or the first frame, may be anything.
//!
//! Beside the picture itself, decoding needs a few rows; a progressive JPEG (or one whose
//! components are stored one after the other) needs its coefficients as well, 2 bytes a component:
//! 6 bytes a pixel at most, 8 for CMYK, and half of that with the usual 4:2:0. WebP needs up to 4
//! bytes a pixel more and tables of codes, an interlaced PNG up to 8 bytes a pixel, a GIF 1.
//!
//! Files are made by strangers. What comes before pixels is read in linear time, within limits, and before a library in C
//! sees it; between looks at the [`Cancel`] lie 0.1 s at most, but for WebPs that compress to almost nothing.

#[cfg(feature = "avif")]
mod avif;
mod baseline;
mod colors;
mod cut;
mod gif;
mod heap;
mod icc;
mod jpeg;
mod libjpeg;
mod orientation;
mod png;
mod rows;
mod scale;
mod webp;

pub use heap::keep_memory;

use crate::{Cancel, Detail, Format, Image, OpError, Rect, Reducible};

/// A file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileFormat {
    /// JPEG: `.jpg`.
    Jpeg,
    /// PNG: `.png`.
    Png,
    /// WebP: `.webp`.
    Webp,
    /// GIF: `.gif`; the first frame is read, and none is written.
    Gif,
    /// AVIF: `.avif`; written where the feature `avif` is on, not read.
    Avif,
}

impl FileFormat {
    /// All formats, in the order listings show them.
    pub const ALL: [FileFormat; 5] =
        [FileFormat::Jpeg, FileFormat::Png, FileFormat::Webp, FileFormat::Gif, FileFormat::Avif];

    /// From a file extension without dot, in lower case; `jpeg` is `jpg`.
    pub fn from_extension(extension: &str) -> Option<FileFormat> {
        match extension {
            "jpg" | "jpeg" => Some(FileFormat::Jpeg),
            "png" => Some(FileFormat::Png),
            "webp" => Some(FileFormat::Webp),
            "gif" => Some(FileFormat::Gif),
            "avif" => Some(FileFormat::Avif),
            _ => None,
        }
    }

    /// The extension without dot.
    pub fn extension(self) -> &'static str {
        match self {
            FileFormat::Jpeg => "jpg",
            FileFormat::Png => "png",
            FileFormat::Webp => "webp",
            FileFormat::Gif => "gif",
            FileFormat::Avif => "avif",
        }
    }

    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            FileFormat::Jpeg => "image/jpeg",
            FileFormat::Png => "image/png",
            FileFormat::Webp => "image/webp",
            FileFormat::Gif => "image/gif",
            FileFormat::Avif => "image/avif",
        }
    }

    /// True when [`decode`] reads it.
    pub fn can_decode(self) -> bool {
        self != FileFormat::Avif
    }

    /// True when [`encode`] writes it in this build.
    pub fn can_encode(self) -> bool {
        self != FileFormat::Gif && (self != FileFormat::Avif || cfg!(feature = "avif"))
    }

    /// What the first bytes of a file say it is, if it is one that [`decode`] reads.
    pub fn sniff(bytes: &[u8]) -> Option<FileFormat> {
        if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
            Some(FileFormat::Jpeg)
        } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            Some(FileFormat::Png)
        } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
            Some(FileFormat::Webp)
        } else if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
            Some(FileFormat::Gif)
        } else {
            None
        }
    }
}

/// What a file says of its picture before any pixel is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// File format.
    pub format: FileFormat,
    /// Width as shown, after EXIF orientation, pixels.
    pub width: u32,
    /// Height as shown, after EXIF orientation, pixels.
    pub height: u32,
    /// True when pixels may be less than opaque.
    pub alpha: bool,
    /// Bits of a component: 8 or 16 (less is read as 8).
    pub bits: u8,
    /// When [`decode_part`] can leave parts out and make it smaller.
    pub reducible: Option<Reducible>,
    /// Bytes that decoding takes besides the pixels it delivers.
    pub working_memory: u64,
    /// Bytes that [`recode`] takes for a JPEG, the new file included, where it surely has a way.
    pub recoding_memory: Option<u64>,
}

/// What of a picture is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Eighths of its size, 1 to 8. Less than 8 only of a picture that is [`Header::reducible`].
    pub eighths: u32,
    /// The part of the reduced picture. All of it where the picture is not reducible.
    pub window: Rect,
}

/// Limits a picture must keep before its pixels are allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Most pixels, width × height.
    pub pixels: u64,
    /// Longest side, pixels.
    pub side: u32,
    /// True where a file that ends within its pixels is read as far as it goes. What is missing is transparent, black in
    /// a format without alpha, gray in a JPEG.
    pub accept_cut: bool,
}

impl DecodeLimits {
    /// Limits for whole files.
    pub const fn new(pixels: u64, side: u32) -> Self {
        DecodeLimits { pixels, side, accept_cut: false }
    }

    /// Whether a picture of this size may be decoded.
    ///
    /// # Errors
    /// [`CodecError::SideTooLong`], else [`CodecError::TooManyPixels`].
    pub fn check(&self, width: u32, height: u32) -> Result<(), CodecError> {
        if width.max(height) > self.side {
            return Err(CodecError::SideTooLong { width, height, limit: self.side });
        }
        if u64::from(width) * u64::from(height) > self.pixels {
            return Err(CodecError::TooManyPixels { width, height, limit: self.pixels });
        }
        Ok(())
    }
}

/// Why a file could not be read or written.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CodecError {
    /// The bytes are no image of a known format.
    #[error("not an image of a supported format")]
    Unrecognised,
    /// The format is known, the file is broken: truncated, or against the rules.
    #[error("broken {format:?} file: {reason}")]
    Broken {
        /// The format its first bytes name.
        format: FileFormat,
        /// What is wrong, in the decoder's words.
        reason: String,
    },
    /// The file ends before its picture does.
    #[error("broken {format:?} file: the file ends early, after {bytes} bytes ({reason})")]
    Cut {
        /// The format its first bytes name.
        format: FileFormat,
        /// Length of the file, bytes.
        bytes: usize,
        /// What is wrong, in the decoder's words.
        reason: String,
    },
    /// A variant of the format that is not supported.
    #[error("unsupported {format:?} file: {reason}")]
    Unsupported {
        /// The format.
        format: FileFormat,
        /// Which feature is missing.
        reason: String,
    },
    /// More pixels than [`DecodeLimits::pixels`].
    #[error("{width} x {height} pixels are more than the limit of {limit}")]
    TooManyPixels {
        /// Width, pixels.
        width: u32,
        /// Height, pixels.
        height: u32,
        /// The limit, pixels.
        limit: u64,
    },
    /// A side longer than [`DecodeLimits::side`].
    #[error("a side of {width} x {height} pixels is longer than the limit of {limit}")]
    SideTooLong {
        /// Width, pixels.
        width: u32,
        /// Height, pixels.
        height: u32,
        /// The limit, pixels.
        limit: u32,
    },
    /// Out of memory, or told to stop.
    #[error(transparent)]
    Operation(#[from] OpError),
}

/// Most pixels of a WebP that is written without loss where that is smaller: it takes three times the memory.
pub const LOSSLESS_WEBP_PIXELS: u64 = 4_000_000;

/// How to write a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodeOptions {
    /// File format.
    pub format: FileFormat,
    /// Quality 1..=100 for the lossy formats, on the scale of libjpeg: the same number is about the
    /// same likeness in each.
    pub quality: u8,
    /// Fewer bytes for several times the time.
    pub small: bool,
    /// JPEG in several scans, coarse ones first. With `small` it is so anyway.
    pub progressive: bool,
    /// JPEG and AVIF with colour for each pixel (4:4:4) instead of for each 2 × 2 (4:2:0).
    pub full_chroma: bool,
    /// What lies behind a picture with alpha in a format without (JPEG): red, green and blue in sRGB.
    pub background: [u8; 3],
}

impl EncodeOptions {
    /// A file that is written quickly; JPEG as 4:2:0 and on white.
    pub const fn new(format: FileFormat, quality: u8) -> Self {
        EncodeOptions { format, quality, small: false, progressive: false, full_chroma: false, background: [255; 3] }
    }
}

impl CodecError {
    fn broken(format: FileFormat, reason: impl Into<String>) -> Self {
        CodecError::Broken { format, reason: reason.into() }
    }

    fn unsupported(format: FileFormat, reason: impl Into<String>) -> Self {
        CodecError::Unsupported { format, reason: reason.into() }
    }
}

impl Header {
    /// The format of the pixels that [`decode`] makes of the file.
    pub fn pixel_format(&self) -> Format {
        match (self.bits, self.alpha) {
            (16, true) => Format::GAM,
            (16, false) => Format::GAM_OPAQUE,
            (_, true) => Format::RGBA8,
            (_, false) => Format::RGB8,
        }
    }
}

/// Reads a file as far as its header; allocates no pixels.
///
/// # Errors
/// [`CodecError::Unrecognised`], [`CodecError::Broken`], [`CodecError::Cut`] or [`CodecError::Unsupported`]. A header
/// that can be read does not mean that the pixels can.
pub fn read_header(bytes: &[u8]) -> Result<Header, CodecError> {
    let header = match FileFormat::sniff(bytes).ok_or(CodecError::Unrecognised)? {
        FileFormat::Jpeg => jpeg::Source::open(bytes, &Cancel::new()).map(|source| source.header()),
        FileFormat::Png => png::Source::open(bytes).map(|source| source.header()),
        FileFormat::Webp => webp::Source::open(bytes, &Cancel::new()).map(|source| source.header()),
        FileFormat::Gif => gif::Source::open(bytes).map(|source| source.header()),
        FileFormat::Avif => Err(CodecError::Unrecognised),
    };
    header.map_err(|error| cut::explain(error, bytes))
}

/// Reads the picture in a file: upright, in sRGB, with its corner at (0, 0) and in
/// [`Header::pixel_format`].
///
/// # Errors
/// Those of [`read_header`]; [`CodecError::SideTooLong`] and [`CodecError::TooManyPixels`] before
/// any pixel is allocated; [`CodecError::Operation`] when `cancel` says so or memory is short.
pub fn decode(bytes: &[u8], limits: DecodeLimits, cancel: &Cancel) -> Result<Image, CodecError> {
    decode_part(bytes, None, limits, cancel)
}

/// As [`decode`], of a part of the picture, in its place: the corner is that of the window. What of
/// the file comes after it is not looked at. Without a part, all of it.
///
/// # Errors
/// As [`decode`].
pub fn decode_part(
    bytes: &[u8],
    part: Option<Part>,
    limits: DecodeLimits,
    cancel: &Cancel,
) -> Result<Image, CodecError> {
    let missing = || CodecError::broken(FileFormat::Jpeg, "no picture");
    let format = FileFormat::sniff(bytes).ok_or(CodecError::Unrecognised)?;
    cut::attempt(bytes, limits, |limits| match format {
        FileFormat::Jpeg => jpeg::Source::open(bytes, cancel)?.decode(part, None, limits, cancel)?.ok_or_else(missing),
        FileFormat::Png => png::Source::open(bytes)?.decode(limits, cancel),
        FileFormat::Webp => webp::Source::open(bytes, cancel)?.decode(limits, cancel),
        FileFormat::Gif => gif::Source::open(bytes)?.decode(limits, cancel),
        FileFormat::Avif => Err(CodecError::Unrecognised),
    })
}

/// As [`decode_part`]; `None` for a reduced picture that leaves out more than `detail`, which is not within the tolerance of
/// docs/PERFORMANCE.md. It is then to be read with a [margin](crate::Reducible::detailed).
///
/// # Errors
/// As [`decode`].
pub fn decode_smooth(
    bytes: &[u8],
    part: Option<Part>,
    detail: Detail,
    limits: DecodeLimits,
    cancel: &Cancel,
) -> Result<Option<Image>, CodecError> {
    match FileFormat::sniff(bytes) {
        Some(FileFormat::Jpeg) => cut::attempt(bytes, limits, |limits| {
            jpeg::Source::open(bytes, cancel)?.decode(part, Some(detail), limits, cancel)
        }),
        _ => decode_part(bytes, part, limits, cancel).map(Some),
    }
}

/// The picture of a file in another file, when it is to be as it is: by a shorter way than through
/// pixels, where there is one. `None` where there is none.
///
/// From JPEG to JPEG, unless `small` or `progressive`, the coefficients are quantised anew. That
/// takes 6 bytes a pixel at most, and 3 more where the file is progressive.
///
/// # Errors
/// As [`decode`] and [`encode`]; a broken file may be `None`, of which [`decode`] says what is wrong.
pub fn recode(
    bytes: &[u8],
    options: EncodeOptions,
    limits: DecodeLimits,
    cancel: &Cancel,
) -> Result<Option<Vec<u8>>, CodecError> {
    match (FileFormat::sniff(bytes), options.format) {
        // The writer of coefficients knows one scan, and nothing of which ones are worth their bits.
        (Some(FileFormat::Jpeg), FileFormat::Jpeg) if !options.small && !options.progressive => {
            let quality = options.quality.clamp(1, 100);
            let recoded = jpeg::Source::open(bytes, cancel).and_then(|source| source.recode(quality, limits, cancel));
            recoded.map_err(|error| cut::explain(error, bytes))
        }
        _ => Ok(None),
    }
}

/// Writes a picture as a file; where its corner lies does not matter.
///
/// PNG is lossless at 8 bits and as narrow as the picture allows: gray where all pixels are, without alpha
/// where all are opaque, with a palette where there are 256 colours at most. WebP and AVIF keep alpha; WebP is
/// lossless, too, where the picture is flat art and that is smaller. JPEG has no alpha: the picture is laid over
/// [`EncodeOptions::background`] in linear light.
///
/// # Errors
/// [`CodecError::Unsupported`] for GIF, for AVIF without the feature, and for pictures larger than the format allows;
/// [`CodecError::Operation`] for an empty picture, when `cancel` says so, or when memory is short.
pub fn encode(image: &Image, options: EncodeOptions, cancel: &Cancel) -> Result<Vec<u8>, CodecError> {
    let rect = image.rect();
    if rect.is_empty() {
        return Err(OpError::Invalid("a picture without pixels cannot be written to a file".into()).into());
    }
    let longest = match options.format {
        FileFormat::Jpeg => jpeg::LONGEST_SIDE,
        FileFormat::Png => png::LONGEST_SIDE,
        FileFormat::Webp => webp::LONGEST_SIDE,
        #[cfg(feature = "avif")]
        FileFormat::Avif => avif::LONGEST_SIDE,
        other => return Err(CodecError::unsupported(other, "this build writes none")),
    };
    if rect.width.max(rect.height) > longest {
        let reason = format!("{} x {} pixels: a side can have {longest} at most", rect.width, rect.height);
        return Err(CodecError::unsupported(options.format, reason));
    }
    cancel.check()?;
    let options = EncodeOptions { quality: options.quality.clamp(1, 100), ..options };
    match options.format {
        FileFormat::Jpeg => jpeg::encode(image, options, cancel),
        FileFormat::Png => png::encode(image, options.small, cancel),
        FileFormat::Webp => webp::encode(image, options, cancel),
        #[cfg(feature = "avif")]
        FileFormat::Avif => avif::encode(image, options, cancel),
        _ => unreachable!("refused above"),
    }
}

/// Whether the JPEG codec was built with SIMD code and the processor can run it: without, reading
/// and writing JPEG takes about three times as long.
pub fn simd() -> bool {
    libjpeg::simd()
}

/// Whether this build writes AVIF.
pub fn avif() -> bool {
    FileFormat::Avif.can_encode()
}
