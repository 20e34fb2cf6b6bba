use libwebp_sys as ffi;

use super::*;
use crate::codec::{DecodeLimits, EncodeOptions, decode, encode};
use crate::{Image, Rect};

const LARGE: DecodeLimits = DecodeLimits::new(1 << 24, 1 << 14);

/// The data of the chunk that a picture is in.
fn stream(file: &[u8]) -> &[u8] {
    let at = file.windows(4).position(|kind| kind == b"VP8L").unwrap();
    &file[at + 13..]
}

/// Flat art, which is written without loss, with so many colours.
fn drawing(colors: u32) -> Vec<u8> {
    let pixels = (0..300_u32 * 200).map(|index| {
        let (x, y) = (index % 300 / 20, index / 300 / 20);
        let color = (x * 7 + y * 13) % colors;
        [color as u8, (color * 3) as u8, (color * 29) as u8]
    });
    let image = Image::from_rgb8(Rect::sized(300, 200), pixels.collect());
    encode(&image, EncodeOptions::new(FileFormat::Webp, 80), &Cancel::new()).unwrap()
}

#[test]
fn headers_end_where_they_are_whole() {
    let drawings = [2, 3, 16, 200].map(drawing);
    let corpus: [&[u8]; 2] = [
        include_bytes!("../../../../tests/corpus/lossless.webp"),
        include_bytes!("../../../../tests/corpus/lossless-alpha.webp"),
    ];
    let cancel = &Cancel::new();
    let photo = decode(include_bytes!("../../../../../files/lake.jpg"), LARGE, cancel).unwrap();
    let size = (photo.rect().width, photo.rect().height);
    let photo = super::super::write(&photo, EncodeOptions::new(FileFormat::Webp, 80), true, cancel).unwrap();
    let memory = headers(stream(&photo), size, cancel).unwrap().memory;
    assert!(memory > 10 * (GROUP_BYTES + 4 * TABLE_ENTRIES[0]), "it has several groups: {memory}");
    assert!(decode(&photo, LARGE, cancel).is_ok());
    for (file, size) in drawings
        .iter()
        .map(|file| (&file[..], (300, 200)))
        .chain(corpus.map(|file| (file, (48, 32))))
        .chain([(&photo[..], size)])
    {
        let stream = stream(file);
        let whole = headers(stream, size, cancel).unwrap();
        assert!((1..stream.len()).contains(&whole.length) && whole.memory > 0, "{whole:?} of {}", stream.len());
        assert_eq!(headers(&stream[..whole.length], size, cancel), Ok(whole));
        for cut in (0..whole.length).rev().step_by(whole.length / 100 + 1) {
            assert!(matches!(headers(&stream[..cut], size, cancel), Err(CodecError::Broken { .. })), "{cut}");
        }
        cancel_is_seen(stream, size);
    }
}

fn cancel_is_seen(stream: &[u8], size: (u32, u32)) {
    let cancel = Cancel::new();
    cancel.cancel();
    assert!(matches!(headers(stream, size, &cancel), Err(CodecError::Operation(_))));
}

#[test]
fn images_of_blocks_are_limited() {
    // A transform of predictors for each 4 × 4 pixels: 1 for a transform, 00 for its kind, 000 for the size of blocks.
    let error = headers(&[1, 0], (16_383, 16_383), &Cancel::new()).unwrap_err();
    assert!(error.to_string().contains("4096 x 4096 blocks, more than the limit of 1048576"), "{error}");
}

#[test]
fn near_places_are_counted_in_rows() {
    // RFC 9649: 1 is the pixel above, 2 the one to the left, 120 is 8 to the left and 7 up.
    let places = [1, 2, 3, 120, 121, 1000].map(|code| distance_of(code, 100));
    assert_eq!(places, [100, 1, 101, 7 * 100 + 8, 1, 880]);
    assert_eq!(distance_of(4, 1), 1, "before the picture's first column it is the pixel before");
}

#[test]
fn headers_are_given_to_the_decoder_at_once() {
    let file = include_bytes!("../../../../tests/hostile/webp-groups-2600.webp");
    let source = super::super::Source::open(file, &Cancel::new()).unwrap();
    assert!(source.first > super::super::STEP, "its headers are longer than a step: {}", source.first);
    let given = source.first + super::super::STEP;
    assert!(given < source.picture.len());
    let mut config = ffi::WebPDecoderConfig::new().unwrap();
    let mut decoder = super::super::Decoder::new(&mut config).unwrap();
    decoder.update(&source.picture[..given]);
    let mut rows = 0;
    // SAFETY: the decoder is valid; it writes to `rows`, and nothing for the null pointers.
    unsafe {
        let null = std::ptr::null_mut();
        ffi::WebPIDecGetRGB(decoder.decoder, &mut rows, null, null, null);
    }
    assert!(rows >= 8, "pixels are decoded after the first piece: {rows} rows");
}
