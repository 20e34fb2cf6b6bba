//! Marker segments of a file (ITU-T T.81, annex B), looked through once, in linear time, before any decoder sees them.
//!
//! libjpeg walks through all segments that it has kept whenever it keeps another, and reads them in a single call that
//! cannot be stopped. It is therefore given files only whose segments and scans are within limits, and keeps none.

use super::CodecError;
use crate::codec::FileFormat;

/// Most marker segments of a file. An ICC profile takes 255 at most, and a camera writes a few dozen.
pub(in super::super) const MAX_SEGMENTS: u64 = 10_000;
/// Most scans of a file. Encoders write about ten.
pub(in super::super) const MAX_SCANS: u64 = 100;
/// Most scans that a block of coefficients is in, as the mean of all blocks. Encoders write up to about ten.
pub(in super::super) const MAX_SCANS_PER_BLOCK: u64 = 16;
/// Blocks that may be read in any case, over all scans: some 0.2 s of work.
const FREE_BLOCKS: u64 = 1 << 20;

/// Contents of the marker segments of a file.
#[derive(Debug, Default)]
pub(super) struct Markers<'a> {
    /// The first EXIF block before the first scan.
    pub(super) exif: Option<&'a [u8]>,
    /// Number, count, and bytes of the parts of an ICC profile before the first scan (ICC.1, annex B.4).
    pub(super) icc: Vec<(u8, u8, &'a [u8])>,
    /// True if Adobe's marker comes before the first scan.
    pub(super) adobe: bool,
    /// True if the first frame has Huffman codes.
    pub(super) huffman: bool,
    segments: u64,
    scans: u64,
    /// Blocks that all scans read, and blocks of the picture.
    read: u64,
    blocks: u64,
    /// Identifier and blocks of each component.
    components: Vec<(u8, u64)>,
}

/// The next marker and all behind it. Bytes before a marker are passed over, as libjpeg does, and so are codes.
fn next(mut rest: &[u8]) -> Option<(u8, &[u8])> {
    loop {
        rest = &rest[memchr::memchr(0xff, rest)?..];
        // In codes many zeros can follow one another, each behind a byte of ones.
        while let [0xff, 0, after @ ..] = rest {
            rest = after;
        }
        match rest {
            // Markers of restarts, and fillers.
            [0xff, 0x01 | 0xd0..=0xd8, after @ ..] => rest = after,
            [0xff, 0xff, ..] => rest = &rest[1..],
            [0xff, marker, after @ ..] => return Some((*marker, after)),
            [0xff] | [] => return None,
            _ => {}
        }
    }
}

impl<'a> Markers<'a> {
    /// Looks through a file: up to its first scan, or to its end where it has several scans. Faults are left to the
    /// decoder.
    ///
    /// # Errors
    /// [`CodecError::Unsupported`] for more segments or scans than a file may have.
    pub(super) fn read(file: &'a [u8]) -> Result<Markers<'a>, CodecError> {
        let mut markers = Markers::default();
        let mut rest = file;
        let mut several = false;
        while let Some((marker, after)) = next(rest) {
            const END: u8 = 0xd9;
            if marker == END {
                break;
            }
            let Some((&length, _)) = after.split_first_chunk::<2>() else { break };
            let length = usize::from(u16::from_be_bytes(length));
            let Some(data) = after.get(2..length) else { break };
            rest = &after[length..];
            markers.segments += 1;
            match marker {
                0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf if markers.components.is_empty() => {
                    const PROGRESSIVE: [u8; 4] = [0xc2, 0xc6, 0xca, 0xce];
                    several = PROGRESSIVE.contains(&marker);
                    markers.huffman = marker < 0xc8;
                    markers.frame(data);
                }
                0xda => {
                    let components = data.first().map_or(0, |number| usize::from(*number));
                    several |= components < markers.components.len();
                    markers.scan(data);
                    if !several {
                        break;
                    }
                }
                _ if markers.scans > 0 => {}
                0xe1 if data.starts_with(b"Exif\0\0") => markers.exif = markers.exif.or(Some(data)),
                0xe2 => {
                    if let Some([number, count, part @ ..]) = data.strip_prefix(b"ICC_PROFILE\0") {
                        markers.icc.push((*number, *count, part));
                    }
                }
                0xee => markers.adobe |= data.starts_with(b"Adobe") && data.len() >= 12,
                _ => {}
            }
        }
        markers.check()?;
        Ok(markers)
    }

    fn check(&self) -> Result<(), CodecError> {
        let over = |what: String, limit: u64| {
            Err(CodecError::unsupported(FileFormat::Jpeg, format!("{what}, more than the limit of {limit}")))
        };
        if self.segments > MAX_SEGMENTS {
            return over(format!("{} marker segments", self.segments), MAX_SEGMENTS);
        }
        if self.scans > MAX_SCANS {
            return over(format!("{} scans", self.scans), MAX_SCANS);
        }
        if self.read > FREE_BLOCKS.max(self.blocks * MAX_SCANS_PER_BLOCK) {
            let mean = self.read.div_ceil(self.blocks.max(1));
            return over(format!("{} scans, {mean} for a block on average", self.scans), MAX_SCANS_PER_BLOCK);
        }
        Ok(())
    }

    /// T.81, B.2.2.
    fn frame(&mut self, data: &[u8]) {
        let Some((&[_, h0, h1, w0, w1, _], components)) = data.split_first_chunk() else { return };
        let size = [[w0, w1], [h0, h1]].map(|side| u64::from(u16::from_be_bytes(side)));
        let components = components.as_chunks::<3>().0;
        let sampling = |component: &[u8; 3]| [component[1] >> 4, component[1] & 15].map(u64::from);
        let most = [0, 1].map(|axis: usize| components.iter().map(|c| sampling(c)[axis]).max().unwrap_or(1).max(1));
        for component in components {
            let side = |axis: usize| (size[axis] * sampling(component)[axis]).div_ceil(8 * most[axis]);
            let blocks = side(0) * side(1);
            self.components.push((component[0], blocks));
            self.blocks += blocks;
        }
    }

    /// T.81, B.2.3.
    fn scan(&mut self, data: &[u8]) {
        self.scans += 1;
        let number = data.first().map_or(0, |number| usize::from(*number));
        for [id, _] in data.get(1..).unwrap_or_default().as_chunks::<2>().0.iter().take(number) {
            self.read += self.components.iter().find(|component| component.0 == *id).map_or(0, |found| found.1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of 8 × 8 gray blocks: a frame, what comes before the first scan, and so many scans of it.
    fn file(side: u16, before: &[u8], scans: usize) -> Vec<u8> {
        let mut file = b"\xff\xd8\xff\xc2\0\x0b\x08".to_vec();
        file.extend(side.to_be_bytes().repeat(2));
        file.extend(b"\x01\x07\x11\0");
        file.extend(before);
        // A stuffed byte and a restart are part of the codes.
        file.extend(b"\xff\xda\0\x08\x01\x07\0\x01\x3f\0ab\xff\0\xff\xd3c".repeat(scans));
        file.extend(b"\xff\xd9\xff\xda");
        file
    }

    fn refusal(file: &[u8]) -> String {
        Markers::read(file).unwrap_err().to_string()
    }

    #[test]
    fn segments_are_counted_and_limited() {
        let empty = |count: u64| b"\xff\xe1\0\x02".repeat(count as usize);
        // The frame and the scan are two.
        let markers = file(8, &empty(MAX_SEGMENTS - 2), 1);
        assert_eq!(Markers::read(&markers).unwrap().segments, MAX_SEGMENTS);
        let text = refusal(&file(8, &empty(MAX_SEGMENTS - 1), 1));
        assert!(text.ends_with("10001 marker segments, more than the limit of 10000"), "{text}");
    }

    #[test]
    fn scans_are_counted_and_limited() {
        let markers = file(8, b"", 100);
        assert_eq!(Markers::read(&markers).unwrap().scans, 100);
        let text = refusal(&file(8, b"", 101));
        assert!(text.ends_with("101 scans, more than the limit of 100"), "{text}");
        // 65,536 blocks may be read by 16 scans, and a few blocks by more.
        let side = 2048;
        let markers = Markers::read(&file(side, b"", 16)).map(|markers| (markers.blocks, markers.read));
        assert_eq!(markers, Ok((1 << 16, 1 << 20)));
        let text = refusal(&file(side, b"", 17));
        assert!(text.ends_with("17 scans, 17 for a block on average, more than the limit of 16"), "{text}");
    }

    #[test]
    fn what_is_kept_comes_before_the_first_scan() {
        let segment =
            |marker: u8, data: &[u8]| [&[0xff, marker][..], &(data.len() as u16 + 2).to_be_bytes(), data].concat();
        let before = [
            segment(0xe1, b"http://ns.adobe.com/xap/1.0/\0"),
            segment(0xe1, b"Exif\0\0one"),
            segment(0xe1, b"Exif\0\0two"),
            segment(0xe2, b"ICC_PROFILE\0\x02\x02b"),
            b"beside".to_vec(),
            segment(0xe2, b"ICC_PROFILE\0\x01\x02a"),
            segment(0xee, b"Adobe\0\x64\0\0\0\0\x02"),
        ];
        let bytes = file(8, &before.concat(), 1);
        let markers = Markers::read(&bytes).unwrap();
        assert_eq!(markers.exif, Some(&b"Exif\0\0one"[..]));
        assert_eq!(markers.icc, [(2, 2, &b"b"[..]), (1, 2, &b"a"[..])]);
        assert!(markers.adobe && markers.huffman);
        let late = [&file(8, b"", 1)[..file(8, b"", 1).len() - 4], &segment(0xee, b"Adobe\0\x64\0\0\0\0\x02")].concat();
        assert!(!Markers::read(&late).unwrap().adobe);
    }

    #[test]
    fn faulty_files_are_left_to_the_decoder() {
        for file in [
            &b""[..],
            b"\xff\xd8",
            b"\xff\xd8\xff",
            b"\xff\xd8\xff\xe1\0",
            b"\xff\xd8\xff\xe1\0\0\0",
            b"\xff\xd8\xff\xc0\0\x02\xff\xda\0\x02",
        ] {
            assert_eq!(Markers::read(file).unwrap().icc, []);
        }
    }
}
