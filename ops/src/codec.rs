//! Image files in and out: JPEG, PNG, WebP, GIF.
//!
//! A file is first read as far as its [`Header`], which costs no pixels; whoever decodes checks
//! the header against limits and then allocates.

/// A file format this build reads; it writes all but GIF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileFormat {
    /// JPEG: `.jpg`.
    Jpeg,
    /// PNG: `.png`.
    Png,
    /// WebP: `.webp`.
    Webp,
    /// GIF: `.gif`; the first frame is read.
    Gif,
}

impl FileFormat {
    /// All formats, in the order listings show them.
    pub const ALL: [FileFormat; 4] = [FileFormat::Jpeg, FileFormat::Png, FileFormat::Webp, FileFormat::Gif];

    /// From a file extension without dot, in lower case; `jpeg` is `jpg`.
    pub fn from_extension(extension: &str) -> Option<FileFormat> {
        match extension {
            "jpg" | "jpeg" => Some(FileFormat::Jpeg),
            "png" => Some(FileFormat::Png),
            "webp" => Some(FileFormat::Webp),
            "gif" => Some(FileFormat::Gif),
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
        }
    }

    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            FileFormat::Jpeg => "image/jpeg",
            FileFormat::Png => "image/png",
            FileFormat::Webp => "image/webp",
            FileFormat::Gif => "image/gif",
        }
    }

    /// True when [`encode`](self) writes it.
    pub fn can_encode(self) -> bool {
        self != FileFormat::Gif
    }

    /// What the first bytes of a file say it is.
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
}

/// Limits a picture must keep before its pixels are allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Most pixels, width × height.
    pub pixels: u64,
    /// Longest side, pixels.
    pub side: u32,
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
    Operation(#[from] crate::OpError),
}

/// How to write a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodeOptions {
    /// File format.
    pub format: FileFormat,
    /// Quality 1..=100 for the lossy formats.
    pub quality: u8,
}
