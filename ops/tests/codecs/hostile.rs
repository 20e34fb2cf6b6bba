//! Small files that would cost much.

use std::path::Path;

use imgflo_ops::codec::{self, CodecError, DecodeLimits};
use imgflo_ops::{Cancel, OpError};

const LIMITS: DecodeLimits = DecodeLimits::new(1 << 24, 1 << 14);

fn file(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile").join(name)).expect(name)
}

/// Those that are read: width, height, and most bytes that decoding takes beside the pixels.
const READ: [(&str, u32, u32, u64); 7] = [
    ("gif-blocks-50000.gif", 48, 32, 48 * 32),
    ("gif-frame-4000x3000.gif", 4000, 3000, 4000 * 3000),
    ("jpeg-markers-9000.jpg", 48, 32, 20_000),
    // Three components of 2 bytes for each pixel, and some rows.
    ("jpeg-scans-16.jpg", 4000, 3000, 4000 * 3000 * 6 + 2_000_000),
    ("png-icc-texts.png", 48, 32, 0),
    ("webp-groups-2600.webp", 204, 204, 55_000_000),
    ("png-runs-1000.png", 48, 32, 0),
];

/// Those that are refused: the end of the error.
const REFUSED: [(&str, &str); 8] = [
    ("gif-strays-2000.gif", "more than the limit of 1000 bytes between its blocks"),
    ("jpeg-markers-20000.jpg", "20006 marker segments, more than the limit of 10000"),
    ("jpeg-scans-103.jpg", "103 scans, more than the limit of 100"),
    ("jpeg-scans-17.jpg", "49 scans, 17 for a block on average, more than the limit of 16"),
    ("png-runs-2000.png", "more than the limit of 1000 runs of chunks with pixels"),
    ("webp-alpha-groups-65536.webp", "65536 groups of prefix codes, more than the limit of 2600"),
    ("webp-blocks-16383.webp", "4096 x 4096 blocks, more than the limit of 1048576"),
    ("webp-groups-2601.webp", "2601 groups of prefix codes, more than the limit of 2600"),
];

#[test]
fn hostile_files_are_read_within_what_is_predicted_or_refused() {
    for (name, width, height, memory) in READ {
        let bytes = file(name);
        let header = codec::read_header(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((header.width, header.height), (width, height), "{name}");
        assert!(header.working_memory <= memory, "{name}: {} bytes", header.working_memory);
        let image = codec::decode(&bytes, LIMITS, &Cancel::new()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((image.rect().width, image.rect().height), (width, height), "{name}");
    }
    for (name, reason) in REFUSED {
        let bytes = file(name);
        let error = codec::read_header(&bytes).expect_err(name);
        assert!(
            matches!(error, CodecError::Unsupported { .. }) && error.to_string().ends_with(reason),
            "{name}: {error}"
        );
        assert_eq!(codec::decode(&bytes, LIMITS, &Cancel::new()), Err(error), "{name}");
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let files = files.filter(|name| !name.ends_with(".md") && !name.ends_with(".py")).count();
    assert_eq!(files, READ.len() + REFUSED.len());
}

/// Groups are memory that the plan has to know of: 5,004 entries of 4 bytes and a group of 576 bytes each.
#[test]
fn groups_of_a_webp_are_predicted() {
    let memory = codec::read_header(&file("webp-groups-2600.webp")).unwrap().working_memory;
    assert!(memory >= 2600 * (5004 * 4 + 576), "{memory}");
}

#[test]
fn hostile_files_are_stopped() {
    let cancel = Cancel::new();
    cancel.cancel();
    for (name, ..) in READ {
        assert_eq!(codec::decode(&file(name), LIMITS, &cancel), Err(OpError::Cancelled.into()), "{name}");
    }
}
