//! Files that a server met and refused, or showed wrongly: what each must look like, and the rule behind it for all files
//! of the corpus.

use super::{CORPUS, corpus, decode, pixel};
use imgflo_ops::Image;
use imgflo_ops::codec::{self, CodecError};

fn case(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Pixels at the first corner, in the middle and at the last corner.
fn corners(image: &Image) -> [[f32; 4]; 3] {
    let (width, height) = (image.rect().width, image.rect().height);
    [(0, 0), (width / 2, height / 2), (width - 1, height - 1)].map(|(x, y)| pixel(image, x, y))
}

#[test]
fn each_case_is_the_picture_that_others_show() {
    // As Pillow shows them; Display P3 by its definition.
    let jpeg = [[133_u8, 127, 235, 255], [50, 39, 143, 255], [206, 92, 19, 255]];
    let png = [[127, 127, 237, 255], [10, 40, 240, 255], [181, 27, 236, 255]];
    let gif = [[215, 124, 182, 255], [10, 40, 240, 255], [205, 30, 210, 255]];
    let frames = [[215, 114, 183, 255], [10, 40, 240, 255], [201, 30, 141, 255]];
    let hole = [[0, 0, 0, 255], [255, 255, 255, 0], [0, 0, 0, 255]];
    for (name, size, expected, tolerance) in [
        ("jpeg-no-eoi.jpg", (96, 64), jpeg, 2.0),
        ("jpeg-no-eoi-then-trailer.jpg", (96, 64), jpeg, 2.0),
        ("jpeg-arithmetic.jpg", (96, 64), jpeg, 2.0),
        ("png-no-iend.png", (61, 47), png, 0.0),
        ("apng-second-frame-sequence.png", (61, 47), png, 0.0),
        ("gif-no-trailer.gif", (61, 47), gif, 0.0),
        ("gif-frame-larger-than-screen.gif", (61, 47), gif, 0.0),
        ("gif-zero-between-frames.gif", (61, 47), frames, 0.0),
        ("gif-second-frame-cut.gif", (61, 47), frames, 0.0),
        ("png-1bit-trns-00ff.png", (16, 16), hole, 0.0),
        ("png-cicp-display-p3.png", (61, 47), [[127, 127, 244, 255], [0, 40, 250, 255], [198, 0, 243, 255]], 2.0),
    ] {
        let bytes = case(name);
        let image = decode(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let header = codec::read_header(&bytes).unwrap();
        assert_eq!((header.width, header.height), size, "{name}");
        assert_eq!((image.rect().width, image.rect().height), size, "{name}");
        for (is, ought) in corners(&image).iter().zip(expected) {
            let near = is.iter().zip(ought).all(|(is, ought)| (is - f32::from(ought)).abs() <= tolerance);
            assert!(near, "{name}: {is:?} {ought:?}");
        }
    }
}

#[test]
fn an_orientation_may_be_a_long() {
    let bytes = case("jpeg-exif-orientation-long.jpg");
    let entry = bytes.windows(4).position(|bytes| bytes == [0x12, 0x01, 4, 0]).unwrap();
    let mut short = bytes.clone();
    short[entry + 2] = 3;
    let image = decode(&bytes).unwrap();
    assert_eq!((image.rect().width, image.rect().height), (64, 96));
    assert!(image == decode(&short).unwrap());
}

/// What a file ends with when it is whole.
fn end(name: &str) -> &'static [u8] {
    match name.rsplit('.').next() {
        Some("jpg") => &[0xff, 0xd9],
        Some("png") => b"\0\0\0\0IEND\xae\x42\x60\x82",
        Some("gif") => &[0x3b],
        _ => &[],
    }
}

#[test]
fn what_follows_the_last_pixel_may_be_anything() {
    let trailers: [&[u8]; 5] = [
        b"",
        b"\0\0\0\0\0",
        b"SEFH and some text",
        &[0xff, 0xd8, 0xff, 0xda, 0, 8, 1, 1],
        &[0x21, 0xf9, 4, 0, 0x2c, 0xff],
    ];
    let mut files = 0;
    for (name, bytes) in corpus() {
        let whole = decode(&bytes).unwrap();
        let open = bytes.strip_suffix(end(&name)).unwrap_or_else(|| panic!("{name} has another end"));
        for trailer in trailers {
            for beginning in [&bytes, open] {
                let image = decode(&[beginning, trailer].concat());
                assert!(image.as_ref() == Ok(&whole), "{name}, {} bytes, then {trailer:?}", beginning.len());
            }
        }
        assert!(decode(&[&bytes[..], &bytes].concat()) == Ok(whole), "{name} twice");
        files += 1;
    }
    assert_eq!(files, CORPUS);
}

#[test]
fn the_length_of_a_webp_file_counts_for_nothing() {
    let mut files = 0;
    for (name, bytes) in corpus().into_iter().filter(|(name, _)| name.ends_with(".webp")) {
        let whole = decode(&bytes).unwrap();
        for length in [0, 4, bytes.len() as u32 / 2, bytes.len() as u32 + 90, u32::MAX] {
            let mut other = bytes.clone();
            other[4..8].copy_from_slice(&length.to_le_bytes());
            assert!(decode(&other).as_ref() == Ok(&whole), "{name}: {length}");
        }
        files += 1;
    }
    assert!(files >= 10, "{files}");
}

#[test]
fn chunks_that_no_pixel_depends_on_may_be_broken() {
    let bytes = case("png-cicp-display-p3.png");
    let whole = decode(&bytes).unwrap();
    // After the header: one with a wrong checksum, and an animation that says nothing that is true.
    for chunk in
        [&b"\0\0\0\x02tEXtab\0\0\0\0"[..], b"\0\0\0\x02acTL\xff\xff\0\0\0\0", b"\0\0\0\x02fcTL\xff\xff\0\0\0\0"]
    {
        let with = [&bytes[..33], chunk, &bytes[33..]].concat();
        assert!(decode(&with).as_ref() == Ok(&whole), "{}", chunk.escape_ascii());
    }
    let unknown = [&bytes[..33], b"\0\0\0\x02ABCDab\0\0\0\0", &bytes[33..]].concat();
    assert!(matches!(decode(&unknown), Err(CodecError::Broken { .. })));
}

#[test]
fn a_frame_may_lie_beside_its_screen() {
    let mut bytes = case("gif-frame-larger-than-screen.gif");
    // A screen of no extent is one that the frame is not inside of, too.
    bytes[6..10].fill(0);
    let image = decode(&bytes).unwrap();
    assert_eq!((image.rect().width, image.rect().height), (61, 47));
    let frame = bytes.windows(5).position(|bytes| bytes == [0x2c, 0, 0, 0, 0]).unwrap();
    bytes[frame + 1] = 9;
    bytes[frame + 4] = 1;
    let image = decode(&bytes).unwrap();
    assert_eq!((image.rect().width, image.rect().height), (61 + 9, 47 + 256));
    assert_eq!((pixel(&image, 8, 256)[3], pixel(&image, 9, 256)), (0.0, [215.0, 124.0, 182.0, 255.0]));
}

#[test]
fn a_gif_without_colors_is_gray() {
    // One pixel: the code to clear, the number 1, the end; codes of 9 bits as numbers have 8.
    let frame = b"\x2c\0\0\0\0\x01\0\x01\0\0\x08\x04\0\x03\x04\x04\0\x3b";
    let bytes = [&b"GIF87a\x01\0\x01\0\0\0\0"[..], frame].concat();
    assert_eq!(pixel(&decode(&bytes).unwrap(), 0, 0), [1.0, 1.0, 1.0, 255.0]);
}
