//! WebP, through libwebp.

mod lossless;

use std::ffi::{c_int, c_void};
use std::marker::PhantomData;

use libwebp_sys as ffi;

use super::colors::Colors;
use super::icc::{self, Components, Profile};
use super::orientation::{Orientation, Upright, zeroed};
use super::rows::Rows;
use super::scale;
use super::{CodecError, DecodeLimits, EncodeOptions, FileFormat, Header, LOSSLESS_WEBP_PIXELS};
use crate::{Cancel, Image, OpError, Pixels, Rect};

/// Longest side of the format, pixels (encode.h: WEBP_MAX_DIMENSION).
pub(super) const LONGEST_SIDE: u32 = 16_383;

fn broken(reason: impl Into<String>) -> CodecError {
    CodecError::broken(FileFormat::Webp, reason)
}

/// A file whose chunks have been looked through.
pub(super) struct Source<'a> {
    /// What the decoder is given: the chunks of the picture, or of the first frame.
    picture: &'a [u8],
    /// Bytes of it that the decoder wants before it begins with pixels that are stored without loss.
    first: usize,
    /// Bytes that the decoder keeps beside its pixels.
    tables: u64,
    /// Size of what the decoder makes of it, pixels.
    size: (u32, u32),
    picture_alpha: bool,
    /// Size of the canvas and the frame's corner on it, pixels.
    canvas: (u32, u32),
    corner: (u32, u32),
    profile: Option<&'a [u8]>,
    orientation: Orientation,
}

struct Chunk<'a> {
    kind: [u8; 4],
    data: &'a [u8],
    /// With kind and length; and all that follows, too.
    whole: &'a [u8],
    from: &'a [u8],
}

/// The chunks in `bytes`: kind, length, data, padded to an even length (RFC 9649, section 2.3). The last one may be cut.
fn chunks(mut rest: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    std::iter::from_fn(move || {
        let whole = rest;
        let (&kind, after) = rest.split_first_chunk::<4>()?;
        let (length, after) = after.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let (data, after) = after.split_at(length.min(after.len()));
        rest = after.get(length % 2..).unwrap_or_default();
        Some(Chunk { kind, data, from: whole, whole: &whole[..8 + data.len()] })
    })
}

/// 24-bit little endian.
fn triple(bytes: [u8; 3]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0])
}

impl<'a> Source<'a> {
    pub(super) fn open(bytes: &'a [u8], cancel: &Cancel) -> Result<Self, CodecError> {
        // The length of the file counts for nothing: each chunk has its own.
        let body = bytes.get(12..).unwrap_or_default();
        let (mut canvas, mut animated, mut profile, mut orientation) = (None, false, None, Orientation::default());
        let (mut alpha, mut picture, mut frame) = (None, None, None);
        for chunk in chunks(body) {
            let Chunk { kind, data, from, whole } = chunk;
            match &kind {
                b"VP8X" => {
                    let Some(&[flags, _, _, _, w0, w1, w2, h0, h1, h2]) = data.first_chunk() else {
                        return Err(broken("its header is too short"));
                    };
                    const ANIMATION: u8 = 2;
                    animated = flags & ANIMATION != 0;
                    canvas = Some((triple([w0, w1, w2]) + 1, triple([h0, h1, h2]) + 1));
                }
                b"ALPH" => alpha = alpha.or(Some(from)),
                // The decoder takes chunks without a file around them, alpha first.
                b"VP8 " if picture.is_none() => {
                    let start = alpha.unwrap_or(from);
                    picture = Some(&start[..start.len() - from.len() + whole.len()]);
                }
                b"VP8L" => picture = picture.or(Some(whole)),
                b"ICCP" => profile = Some(data),
                b"EXIF" => orientation = Orientation::from_exif(data),
                b"ANMF" => frame = frame.or(Some(data)),
                _ => {}
            }
        }
        if animated {
            let Some(&[x0, x1, x2, y0, y1, y2, w0, w1, w2, h0, h1, h2, _, _, _, _, ref chunks @ ..]) = frame else {
                return Err(broken("an animation without a frame"));
            };
            let features = features(chunks)?;
            let size = (features.width as u32, features.height as u32);
            let canvas = canvas.unwrap_or(size);
            let corner = (2 * triple([x0, x1, x2]), 2 * triple([y0, y1, y2]));
            let inside =
                |corner: u32, size: u32, canvas: u32| corner.checked_add(size).is_some_and(|end| end <= canvas);
            if size != (triple([w0, w1, w2]) + 1, triple([h0, h1, h2]) + 1)
                || !inside(corner.0, size.0, canvas.0)
                || !inside(corner.1, size.1, canvas.1)
            {
                return Err(broken("the first frame is not where its header says"));
            }
            let picture_alpha = features.has_alpha != 0;
            let (first, tables) = without_loss(chunks, size, cancel)?;
            return Ok(Source {
                picture: chunks,
                first,
                tables,
                size,
                picture_alpha,
                canvas,
                corner,
                profile,
                orientation,
            });
        }
        let picture = picture.ok_or_else(|| broken("it has no pixels"))?;
        let features = features(picture)?;
        let size = (features.width as u32, features.height as u32);
        if canvas.is_some_and(|canvas| canvas != size) {
            return Err(broken("its picture is not as large as its header says"));
        }
        let picture_alpha = features.has_alpha != 0;
        let (first, tables) = without_loss(picture, size, cancel)?;
        Ok(Source { picture, first, tables, size, picture_alpha, canvas: size, corner: (0, 0), profile, orientation })
    }

    fn alpha(&self) -> bool {
        self.picture_alpha || self.size != self.canvas
    }

    pub(super) fn header(&self) -> Header {
        let (width, height) = self.orientation.upright_size(self.canvas.0, self.canvas.1);
        // Measured with lossless files, which take most.
        let profile = icc::memory(self.profile.map_or(0, <[u8]>::len));
        let working_memory = u64::from(width) * u64::from(height) * 5 + self.tables + profile;
        let alpha = self.alpha();
        Header {
            format: FileFormat::Webp,
            width,
            height,
            alpha,
            bits: 8,
            reducible: None,
            working_memory,
            recoding_memory: None,
        }
    }

    pub(super) fn decode(self, limits: DecodeLimits, cancel: &Cancel) -> Result<Image, CodecError> {
        let header = self.header();
        limits.check(header.width, header.height)?;
        cancel.check()?;
        let profile = self.profile.and_then(Profile::parse);
        let (width, height) = self.canvas;
        let size = Rect::sized(header.width, header.height);
        if !self.alpha() {
            let mut pixels: Vec<[u8; 3]> = zeroed(width as usize * height as usize)?;
            self.read(pixels.as_flattened_mut(), limits.accept_cut, cancel)?;
            recolor(profile.as_ref(), Components::Rgb, width, &mut pixels, cancel)?;
            return Ok(Image::from_rgb8(size, Upright::turn(pixels, width, height, self.orientation)?));
        }
        let mut pixels: Vec<[u8; 4]> = zeroed(self.size.0 as usize * self.size.1 as usize)?;
        self.read(pixels.as_flattened_mut(), limits.accept_cut, cancel)?;
        if self.size != self.canvas {
            let frame = pixels;
            pixels = zeroed(width as usize * height as usize)?;
            let (left, across) = (self.corner.0 as usize, self.size.0 as usize);
            let rows = pixels.chunks_exact_mut(width as usize).skip(self.corner.1 as usize);
            for (to, from) in rows.zip(frame.chunks_exact(across)) {
                to[left..left + across].copy_from_slice(from);
            }
        }
        recolor(profile.as_ref(), Components::Rgba, width, &mut pixels, cancel)?;
        Ok(Image::from_rgba8(size, Upright::turn(pixels, width, height, self.orientation)?))
    }

    /// Decodes into `pixels`: rows of [`Source::size`], with alpha or without. `accept_cut`: rows may be missing at the end.
    fn read(&self, pixels: &mut [u8], accept_cut: bool, cancel: &Cancel) -> Result<(), CodecError> {
        let (width, height) = (self.size.0 as usize, self.size.1 as usize);
        let channels = if self.alpha() { 4 } else { 3 };
        assert_eq!(pixels.len(), width * height * channels);
        let mut config = ffi::WebPDecoderConfig::new()
            .map_err(|()| CodecError::unsupported(FileFormat::Webp, "libwebp of another version"))?;
        config.output.colorspace =
            if self.alpha() { ffi::WEBP_CSP_MODE::MODE_RGBA } else { ffi::WEBP_CSP_MODE::MODE_RGB };
        config.output.is_external_memory = 1;
        config.output.u.RGBA =
            ffi::WebPRGBABuffer { rgba: pixels.as_mut_ptr(), stride: (width * channels) as c_int, size: pixels.len() };
        let mut decoder = Decoder::new(&mut config)?;
        let step = STEP.max(width * BYTES_A_COLUMN);
        let mut given = self.first;
        loop {
            cancel.check()?;
            given = (given + step).min(self.picture.len());
            match decoder.update(&self.picture[..given]) {
                ffi::VP8StatusCode::VP8_STATUS_OK => return Ok(()),
                ffi::VP8StatusCode::VP8_STATUS_SUSPENDED if given < self.picture.len() => {}
                ffi::VP8StatusCode::VP8_STATUS_SUSPENDED if accept_cut => return Ok(()),
                status => return Err(explain(status)),
            }
        }
    }
}

/// Bytes the decoder is given at once, at least; the cancel flag is looked at between.
const STEP: usize = 1 << 15;
/// Bytes for each column that the decoder is given at once: 8 rows of four codes of 15 bits. What is stored without
/// loss goes on from every eighth row only, so that less would have it decode rows again and again.
const BYTES_A_COLUMN: usize = 8 * 8;

/// What of the chunks of a picture is stored without loss, its pixels or its alpha: bytes of the chunks up to the first
/// pixel, 0 where only alpha is; and bytes that libwebp keeps of its headers.
fn without_loss(picture: &[u8], size: (u32, u32), cancel: &Cancel) -> Result<(usize, u64), CodecError> {
    /// Signature, size, alpha and version.
    const START: usize = 5;
    let mut alpha = None;
    let mut at = 0;
    for chunk in chunks(picture) {
        match &chunk.kind {
            b"ALPH" => alpha = Some(chunk.data),
            b"VP8L" => {
                let stream = chunk.data.get(START..).unwrap_or_default();
                let headers = lossless::headers(stream, size, cancel)?;
                return Ok((at + 8 + START + headers.length, headers.memory));
            }
            b"VP8 " => break,
            _ => {}
        }
        at = picture.len() - chunk.from.len() + chunk.whole.len() + chunk.data.len() % 2;
    }
    match alpha {
        // The two lowest bits tell how alpha is stored.
        Some([kind, stream @ ..]) if kind & 3 == 1 => {
            let headers = lossless::headers(stream, size, cancel)?;
            Ok((0, headers.memory))
        }
        _ => Ok((0, 0)),
    }
}

fn explain(status: ffi::VP8StatusCode) -> CodecError {
    match status {
        ffi::VP8StatusCode::VP8_STATUS_OUT_OF_MEMORY => OpError::OutOfMemory { bytes: 0 }.into(),
        ffi::VP8StatusCode::VP8_STATUS_UNSUPPORTED_FEATURE => {
            CodecError::unsupported(FileFormat::Webp, "a feature that libwebp lacks")
        }
        ffi::VP8StatusCode::VP8_STATUS_SUSPENDED | ffi::VP8StatusCode::VP8_STATUS_NOT_ENOUGH_DATA => {
            broken("it ends before its pixels do")
        }
        _ => broken("its data are against the rules of the format"),
    }
}

/// Size, alpha and animation of a file, or of the chunks of a frame.
fn features(bytes: &[u8]) -> Result<ffi::WebPBitstreamFeatures, CodecError> {
    let mut features =
        ffi::WebPBitstreamFeatures { width: 0, height: 0, has_alpha: 0, has_animation: 0, format: 0, pad: [0; 5] };
    // SAFETY: reads `bytes.len()` bytes and writes the struct.
    match unsafe { ffi::WebPGetFeatures(bytes.as_ptr(), bytes.len(), &mut features) } {
        ffi::VP8StatusCode::VP8_STATUS_OK if features.width > 0 && features.height > 0 => Ok(features),
        ffi::VP8StatusCode::VP8_STATUS_OK => Err(broken("a picture without pixels")),
        status => Err(explain(status)),
    }
}

/// libwebp's incremental decoder, writing to the memory that a configuration points to.
struct Decoder<'c> {
    decoder: *mut ffi::WebPIDecoder,
    config: PhantomData<&'c mut ffi::WebPDecoderConfig>,
}

impl<'c> Decoder<'c> {
    fn new(config: &'c mut ffi::WebPDecoderConfig) -> Result<Self, CodecError> {
        // SAFETY: no data yet; `config` is initialised and stays borrowed as long as the decoder.
        let decoder = unsafe { ffi::WebPIDecode(std::ptr::null(), 0, config) };
        if decoder.is_null() {
            return Err(OpError::OutOfMemory { bytes: 0 }.into());
        }
        Ok(Decoder { decoder, config: PhantomData })
    }

    /// Goes on with `bytes`, the file from its beginning.
    fn update(&mut self, bytes: &[u8]) -> ffi::VP8StatusCode {
        // SAFETY: the decoder is valid until `drop`; it reads `bytes.len()` bytes, and writes no
        // further than the size it was given for the output, which outlives it.
        unsafe { ffi::WebPIUpdate(self.decoder, bytes.as_ptr(), bytes.len()) }
    }
}

impl Drop for Decoder<'_> {
    fn drop(&mut self) {
        // SAFETY: made by `WebPIDecode`, freed once. The output is external and stays ours.
        unsafe { ffi::WebPIDelete(self.decoder) }
    }
}

/// Applies a profile where the pixels lie.
fn recolor<const N: usize>(
    profile: Option<&Profile>,
    components: Components,
    width: u32,
    pixels: &mut [[u8; N]],
    cancel: &Cancel,
) -> Result<(), CodecError> {
    let Some(transform) = profile.and_then(|profile| profile.to_srgb_8(components)) else { return Ok(()) };
    let mut before = Vec::new();
    for row in pixels.chunks_exact_mut(width as usize) {
        cancel.check()?;
        before.clear();
        before.extend_from_slice(row.as_flattened());
        transform.apply(&before, row.as_flattened_mut()).map_err(|error| broken(error.to_string()))?;
    }
    Ok(())
}

/// What the encoder's callbacks are given.
struct Output<'c> {
    file: Vec<u8>,
    cancel: &'c Cancel,
}

unsafe extern "C" fn append(data: *const u8, length: usize, picture: *const ffi::WebPPicture) -> c_int {
    // SAFETY: `custom_ptr` is the `Output` that `encode` holds exclusively for the time of the
    // call; `data` has `length` bytes, and is not null unless there are none.
    unsafe {
        if length > 0 {
            let output = &mut *(*picture).custom_ptr.cast::<Output<'_>>();
            if output.file.try_reserve(length).is_err() {
                return 0;
            }
            output.file.extend_from_slice(std::slice::from_raw_parts(data, length));
        }
    }
    1
}

unsafe extern "C" fn go_on(_percent: c_int, picture: *const ffi::WebPPicture) -> c_int {
    // SAFETY: as in `append`; only read.
    let output = unsafe { &*(*picture).custom_ptr.cast::<Output<'_>>() };
    c_int::from(output.cancel.check().is_ok())
}

/// An encoder's picture, with the planes libwebp allocated for it.
struct Picture(ffi::WebPPicture);

impl Drop for Picture {
    fn drop(&mut self) {
        // SAFETY: frees only what libwebp allocated for this picture.
        unsafe { ffi::WebPPictureFree(&mut self.0) }
    }
}

/// Most colours of what may be flat art, and the least share of its pixels that are as the one to the left.
const FLAT_COLORS: usize = 4096;
const FLAT_SHARE: f64 = 0.7;

/// Lossy, with alpha kept without loss; flat art without loss where that is smaller.
pub(super) fn encode(image: &Image, options: EncodeOptions, cancel: &Cancel) -> Result<Vec<u8>, CodecError> {
    let lossy = write(image, options, false, cancel)?;
    let small = image.rect().area() <= LOSSLESS_WEBP_PIXELS;
    if !small || Colors::of(image, FLAT_COLORS, cancel)?.flat < FLAT_SHARE {
        return Ok(lossy);
    }
    let lossless = write(image, options, true, cancel)?;
    Ok(if lossless.len() <= lossy.len() { lossless } else { lossy })
}

/// By method 4 of 0 (fast) to 6 (small), or 6 where it is to be small.
fn write(image: &Image, options: EncodeOptions, lossless: bool, cancel: &Cancel) -> Result<Vec<u8>, CodecError> {
    let failed = |reason: String| CodecError::from(OpError::Invalid(format!("writing WebP: {reason}")));
    let version = |()| failed("libwebp of another version".into());
    let mut config = ffi::WebPConfig::new().map_err(version)?;
    config.lossless = lossless.into();
    // Without loss it is how hard the encoder tries: what `cwebp -lossless` does.
    config.quality = if lossless { 75.0 } else { scale::own(scale::WEBP, options.quality) };
    config.method = if options.small { 6 } else { 4 };
    let mut picture = Picture(ffi::WebPPicture::new().map_err(version)?);
    picture.0.use_argb = lossless.into();
    let rect = image.rect();
    // `encode` in the parent module has checked the size against LONGEST_SIDE.
    picture.0.width = rect.width as c_int;
    picture.0.height = rect.height as c_int;
    import(image, &mut picture, cancel)?;

    let mut output = Output { file: Vec::new(), cancel };
    picture.0.writer = Some(append);
    picture.0.progress_hook = Some(go_on);
    picture.0.custom_ptr = (&raw mut output).cast::<c_void>();
    // SAFETY: both structs are initialised, the planes filled; the callbacks get `output` through
    // `custom_ptr`, and nothing else touches it until the call returns.
    let done = unsafe { ffi::WebPEncode(&config, &mut picture.0) } != 0;
    cancel.check()?;
    if done { Ok(output.file) } else { Err(failed(format!("{:?}", picture.0.error_code))) }
}

/// Gives the pixels to libwebp, which makes YUV 4:2:0 of them where it is to be lossy.
fn import(image: &Image, picture: &mut Picture, cancel: &Cancel) -> Result<(), CodecError> {
    let rect = image.rect();
    let (width, len) = (rect.width as c_int, rect.width as usize * rect.height as usize);
    let rgb = |picture: &mut Picture, pixels: &[[u8; 3]]| {
        assert_eq!(pixels.len(), len);
        // SAFETY: reads width × height pixels of 3 bytes, which are there.
        unsafe { ffi::WebPPictureImportRGB(&mut picture.0, pixels.as_ptr().cast(), 3 * width) }
    };
    let rgba = |picture: &mut Picture, pixels: &[[u8; 4]]| {
        assert_eq!(pixels.len(), len);
        // SAFETY: reads width × height pixels of 4 bytes, which are there.
        unsafe { ffi::WebPPictureImportRGBA(&mut picture.0, pixels.as_ptr().cast(), 4 * width) }
    };
    let imported = match image.pixels() {
        Pixels::Rgb8(pixels) => rgb(picture, pixels),
        Pixels::Rgba8(pixels) => rgba(picture, pixels),
        // libwebp takes no bands, so this costs a copy, a fourth or less of what the floats take.
        Pixels::Float(_) if image.format().has_alpha() => {
            let mut pixels: Vec<[u8; 4]> = reserved(len)?;
            let mut rows = Rows::new(image);
            for band in 0..rows.bands() {
                cancel.check()?;
                pixels.extend_from_slice(rows.rgba(band));
            }
            rgba(picture, &pixels)
        }
        Pixels::Float(_) => {
            let mut pixels: Vec<[u8; 3]> = reserved(len)?;
            let mut rows = Rows::new(image);
            for band in 0..rows.bands() {
                cancel.check()?;
                pixels.extend_from_slice(rows.rgb(band));
            }
            rgb(picture, &pixels)
        }
    };
    if imported == 0 {
        return Err(OpError::OutOfMemory { bytes: len as u64 * 3 / 2 }.into());
    }
    Ok(())
}

fn reserved<T>(len: usize) -> Result<Vec<T>, OpError> {
    let mut pixels = Vec::new();
    pixels.try_reserve_exact(len).map_err(|_| OpError::OutOfMemory { bytes: (len * size_of::<T>()) as u64 })?;
    Ok(pixels)
}
