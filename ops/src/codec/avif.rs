//! AVIF, through libavif and libaom: written, not read.

use libavif_sys as ffi;

use super::rows::Rows;
use super::{CodecError, EncodeOptions, scale};
use crate::{Cancel, Image, OpError, Pixels};

/// Longest side that libavif reads without being told otherwise, pixels
/// (avif.h: AVIF_DEFAULT_IMAGE_DIMENSION_LIMIT).
pub(super) const LONGEST_SIDE: u32 = 32_768;

/// Speeds of libaom, 0 (small) to 10 (fast).
const SPEED: i32 = 6;
const SMALL_SPEED: i32 = 4;

/// ITU-T H.273: the primaries of sRGB, its transfer, and YCbCr as JPEG has it.
const PRIMARIES: ffi::avifColorPrimaries = 1;
const TRANSFER: ffi::avifTransferCharacteristics = 13;
const MATRIX: ffi::avifMatrixCoefficients = 6;

/// An image of libavif, with the planes it allocated.
struct Planes(*mut ffi::avifImage);

impl Drop for Planes {
    fn drop(&mut self) {
        // SAFETY: made by `avifImageCreate`, freed once.
        unsafe { ffi::avifImageDestroy(self.0) }
    }
}

/// An encoder of libavif.
struct Encoder(*mut ffi::avifEncoder);

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: made by `avifEncoderCreate`, freed once.
        unsafe { ffi::avifEncoderDestroy(self.0) }
    }
}

/// A file as libavif allocated it.
struct File(ffi::avifRWData);

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: empty, or allocated by libavif.
        unsafe { ffi::avifRWDataFree(&mut self.0) }
    }
}

fn check(result: ffi::avifResult) -> Result<(), CodecError> {
    match result {
        ffi::AVIF_RESULT_OK => Ok(()),
        ffi::AVIF_RESULT_OUT_OF_MEMORY => Err(OpError::OutOfMemory { bytes: 0 }.into()),
        other => {
            // SAFETY: a static text for any number.
            let reason = unsafe { std::ffi::CStr::from_ptr(ffi::avifResultToString(other)) };
            Err(OpError::Invalid(format!("writing AVIF: {}", reason.to_string_lossy())).into())
        }
    }
}

/// 4:4:4 or 4:2:0 with 8 bits, on the calling thread alone; alpha is kept without loss. libaom cannot be
/// stopped, so `cancel` counts before it begins: how large pictures may be is for the caller to bound.
pub(super) fn encode(image: &Image, options: EncodeOptions, cancel: &Cancel) -> Result<Vec<u8>, CodecError> {
    let planes = import(image, options.full_chroma, cancel)?;
    // SAFETY: no arguments.
    let encoder = Encoder(unsafe { ffi::avifEncoderCreate() });
    if encoder.0.is_null() {
        return Err(OpError::OutOfMemory { bytes: 0 }.into());
    }
    // SAFETY: just made, and ours alone.
    let settings = unsafe { &mut *encoder.0 };
    settings.speed = if options.small { SMALL_SPEED } else { SPEED };
    settings.maxThreads = 1;
    settings.quality = scale::own(scale::AVIF, options.quality).round() as i32;
    settings.qualityAlpha = ffi::AVIF_QUALITY_LOSSLESS as i32;
    cancel.check()?;
    let mut file = File(ffi::avifRWData::default());
    // SAFETY: encoder and planes are whole, and all three stay until the end of the call.
    check(unsafe { ffi::avifEncoderWrite(encoder.0, planes.0, &mut file.0) })?;
    cancel.check()?;
    // SAFETY: libavif keeps `size` bytes at `data` once it has succeeded.
    let bytes = unsafe { std::slice::from_raw_parts(file.0.data, file.0.size) };
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len()).map_err(|_| OpError::OutOfMemory { bytes: bytes.len() as u64 })?;
    copy.extend_from_slice(bytes);
    Ok(copy)
}

/// The picture in planes of YCbCr and, where it has one, of alpha.
fn import(image: &Image, full_chroma: bool, cancel: &Cancel) -> Result<Planes, CodecError> {
    let rect = image.rect();
    let layout = if full_chroma { ffi::AVIF_PIXEL_FORMAT_YUV444 } else { ffi::AVIF_PIXEL_FORMAT_YUV420 };
    // SAFETY: plain numbers; the parent module has checked the size against LONGEST_SIDE.
    let planes = Planes(unsafe { ffi::avifImageCreate(rect.width, rect.height, 8, layout) });
    if planes.0.is_null() {
        return Err(OpError::OutOfMemory { bytes: 0 }.into());
    }
    // SAFETY: just made, and ours alone.
    let image_of_avif = unsafe { &mut *planes.0 };
    image_of_avif.colorPrimaries = PRIMARIES;
    image_of_avif.transferCharacteristics = TRANSFER;
    image_of_avif.matrixCoefficients = MATRIX;
    image_of_avif.yuvRange = ffi::AVIF_RANGE_FULL;
    let alpha = image.format().has_alpha();
    // libavif takes no bands, so floats, and what has to be changed, cost a copy.
    let mut copy: Vec<u8> = Vec::new();
    let pixels: &[u8] = match image.pixels() {
        Pixels::Rgb8(pixels) => pixels.as_flattened(),
        Pixels::Rgba8(pixels) => pixels.as_flattened(),
        Pixels::Float(_) => {
            let bytes = rect.area() * if alpha { 4 } else { 3 };
            copy.try_reserve_exact(bytes as usize).map_err(|_| OpError::OutOfMemory { bytes })?;
            let mut rows = Rows::new(image);
            for band in 0..rows.bands() {
                cancel.check()?;
                copy.extend_from_slice(match alpha {
                    true => rows.rgba(band).as_flattened(),
                    false => rows.rgb(band).as_flattened(),
                });
            }
            &copy
        }
    };
    let channels = if alpha { 4 } else { 3 };
    assert_eq!(pixels.len() as u64, rect.area() * channels);
    let mut source = ffi::avifRGBImage::default();
    // SAFETY: writes the struct, reads the image's size.
    unsafe { ffi::avifRGBImageSetDefaults(&mut source, planes.0) };
    source.format = if alpha { ffi::AVIF_RGB_FORMAT_RGBA } else { ffi::AVIF_RGB_FORMAT_RGB };
    source.depth = 8;
    source.maxThreads = 1;
    source.pixels = pixels.as_ptr().cast_mut();
    source.rowBytes = rect.width * channels as u32;
    // SAFETY: reads as many rows of `rowBytes` as the image has, which are there, and writes to the
    // planes that it allocates. The pixels are not written to: they are premultiplied nowhere.
    check(unsafe { ffi::avifImageRGBToYUV(planes.0, &source) })?;
    Ok(planes)
}

/// Decodes for tests, as nothing else here reads AVIF: the picture as RGBA.
#[cfg(test)]
pub(super) fn decode(file: &[u8]) -> (u32, u32, Vec<[u8; 4]>) {
    // SAFETY: what is made here is freed here; `file` is read for its length, and `pixels` written
    // for the size that libavif tells.
    unsafe {
        let (decoder, planes) = (ffi::avifDecoderCreate(), Planes(ffi::avifImageCreateEmpty()));
        let result = ffi::avifDecoderReadMemory(decoder, planes.0, file.as_ptr(), file.len());
        ffi::avifDecoderDestroy(decoder);
        check(result).unwrap();
        let (width, height) = ((*planes.0).width, (*planes.0).height);
        let mut pixels = vec![[0; 4]; width as usize * height as usize];
        let mut target = ffi::avifRGBImage::default();
        ffi::avifRGBImageSetDefaults(&mut target, planes.0);
        target.format = ffi::AVIF_RGB_FORMAT_RGBA;
        target.depth = 8;
        target.pixels = pixels.as_mut_ptr().cast();
        target.rowBytes = width * 4;
        check(ffi::avifImageYUVToRGB(planes.0, &mut target)).unwrap();
        (width, height, pixels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{self, FileFormat, Part};
    use crate::format::convert;
    use crate::{Format, Rect};

    fn write(image: &Image, quality: u8) -> Vec<u8> {
        codec::encode(image, EncodeOptions::new(FileFormat::Avif, quality), &Cancel::new()).unwrap()
    }

    fn mean_square_error(a: impl Iterator<Item = u8>, b: impl Iterator<Item = u8>) -> f64 {
        let squares: Vec<f64> = a.zip(b).map(|(a, b)| f64::from(a.abs_diff(b)).powi(2)).collect();
        squares.iter().sum::<f64>() / squares.len() as f64
    }

    #[test]
    fn alpha_is_kept_exactly_and_only_where_there_is_one() {
        let pixels: Vec<[u8; 4]> = (0..64 * 48).map(|at| [200, 100, 50, (at % 64 * 4) as u8]).collect();
        let image = Image::from_rgba8(Rect::new(-3, 5, 64, 48), pixels.clone());
        let (width, height, read) = decode(&write(&image, 60));
        assert_eq!((width, height), (64, 48));
        assert!(read.iter().zip(&pixels).all(|(read, pixel)| read[3] == pixel[3]));
        let float = convert(&image, Format::GAM).unwrap();
        assert_eq!(decode(&write(&float, 60)).2, read);
        let opaque = Image::from_rgb8(Rect::sized(64, 48), vec![[200, 100, 50]; 64 * 48]);
        assert!(decode(&write(&opaque, 60)).2.iter().all(|pixel| pixel[3] == 255));
    }

    #[test]
    fn quality_means_the_same_as_in_jpeg() {
        let file = include_bytes!("../../../files/marbles.jpg");
        let limits = codec::DecodeLimits::new(1 << 24, 1 << 14);
        let window = codec::read_header(file).unwrap().reducible.unwrap().by(2).rect();
        let part = Some(Part { eighths: 2, window });
        let photo = codec::decode_part(file, part, limits, &Cancel::new()).unwrap();
        let Pixels::Rgb8(pixels) = photo.pixels() else { panic!("a JPEG is RGB") };
        let decibels = |error: f64| 10.0 * (255.0 * 255.0 / error).log10();
        for quality in [50, 75, 85] {
            let options = EncodeOptions::new(FileFormat::Jpeg, quality);
            let jpeg = codec::encode(&photo, options, &Cancel::new()).unwrap();
            let again = codec::decode(&jpeg, limits, &Cancel::new()).unwrap();
            let Pixels::Rgb8(again) = again.pixels() else { panic!("a JPEG is RGB") };
            let flat = || pixels.iter().flatten().copied();
            let by_jpeg = decibels(mean_square_error(flat(), again.iter().flatten().copied()));
            let avif = write(&photo, quality);
            assert!(avif.len() < jpeg.len(), "{} and {} bytes", avif.len(), jpeg.len());
            let read = decode(&avif).2;
            let by_avif = decibels(mean_square_error(flat(), read.iter().flat_map(|&[r, g, b, _]| [r, g, b])));
            assert!((by_jpeg - by_avif).abs() < 1.5, "at {quality}: JPEG {by_jpeg:.2} dB, AVIF {by_avif:.2} dB");
        }
    }

    #[test]
    fn color_is_kept_for_each_pixel_where_it_is_asked_for() {
        // Red lines of one pixel on white.
        let pixels: Vec<[u8; 3]> = (0..64 * 64).map(|at| if at % 4 == 0 { [220, 0, 0] } else { [255; 3] }).collect();
        let image = Image::from_rgb8(Rect::sized(64, 64), pixels.clone());
        let error = |full_chroma| {
            let options = EncodeOptions { full_chroma, ..EncodeOptions::new(FileFormat::Avif, 90) };
            let read = decode(&codec::encode(&image, options, &Cancel::new()).unwrap()).2;
            mean_square_error(pixels.iter().flatten().copied(), read.iter().flat_map(|&[r, g, b, _]| [r, g, b]))
        };
        let [half, full] = [error(false), error(true)];
        assert!(full < half / 4.0, "mean square errors: {half:.1} for each 2 x 2, {full:.1} for each pixel");
    }

    #[test]
    fn cancelled_work_is_not_begun() {
        let cancel = Cancel::new();
        cancel.cancel();
        let image = Image::from_rgb8(Rect::sized(8, 8), vec![[0; 3]; 64]);
        let options = EncodeOptions::new(FileFormat::Avif, 50);
        assert_eq!(codec::encode(&image, options, &cancel), Err(OpError::Cancelled.into()));
    }
}
