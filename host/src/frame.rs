//! Frames: the length of a JSON text in four bytes, the lowest first, and the text.

use std::io::{self, ErrorKind, Read, Write};

use serde::Serialize;

/// The longest frame, bytes. The description of all of GEGL takes a twentieth of it.
const LONGEST: usize = 8 << 20;

/// Writes one frame.
pub(crate) fn write(mut to: impl Write, message: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    if text.len() > LONGEST {
        return Err(io::Error::new(ErrorKind::InvalidInput, too_long(text.len())));
    }
    let mut frame = (text.len() as u32).to_le_bytes().to_vec();
    frame.extend(text);
    to.write_all(&frame)
}

fn too_long(bytes: usize) -> String {
    format!("a message of {bytes} bytes is longer than {LONGEST}")
}

/// Puts frames together from what arrives.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    arrived: Vec<u8>,
}

impl Reader {
    /// Reads until a frame is whole; its text.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] or [`ErrorKind::TimedOut`] when `from` has no more at the moment:
    /// call again, nothing is lost. [`ErrorKind::UnexpectedEof`] at its end, and
    /// [`ErrorKind::InvalidData`] for a length beyond the longest.
    pub fn next(&mut self, mut from: impl Read) -> io::Result<Vec<u8>> {
        let mut part = [0; 16 << 10];
        loop {
            if let Some(head) = self.arrived.first_chunk::<4>() {
                let length = u32::from_le_bytes(*head) as usize;
                if length > LONGEST {
                    return Err(io::Error::new(ErrorKind::InvalidData, too_long(length)));
                }
                if self.arrived.len() >= 4 + length {
                    let rest = self.arrived.split_off(4 + length);
                    let mut frame = std::mem::replace(&mut self.arrived, rest);
                    frame.drain(..4);
                    return Ok(frame);
                }
            }
            match from.read(&mut part) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(bytes) => self.arrived.extend(&part[..bytes]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Brings one byte at a time, with pauses.
    struct Slow<'a>(&'a [u8], bool);

    impl Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(ErrorKind::WouldBlock.into());
            }
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            into[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    #[test]
    fn frames_arrive_whole_however_they_are_cut() {
        let mut bytes = Vec::new();
        write(&mut bytes, &"first").unwrap();
        write(&mut bytes, &[1, 2]).unwrap();
        let (mut slow, mut reader) = (Slow(&bytes, false), Reader::default());
        let mut seen = Vec::new();
        let end = loop {
            match reader.next(&mut slow) {
                Ok(frame) => seen.push(String::from_utf8(frame).unwrap()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => break error,
            }
        };
        assert_eq!(seen, ["\"first\"", "[1,2]"]);
        assert_eq!(end.kind(), ErrorKind::UnexpectedEof);
        let mut both = Reader::default();
        assert_eq!(both.next(&bytes[..]).unwrap(), b"\"first\"");
        assert_eq!(both.next(&[][..]).unwrap(), b"[1,2]", "what came with the first is kept");
    }

    #[test]
    fn a_length_beyond_the_longest_is_refused_at_once() {
        let error = Reader::default().next(&[0xff; 4][..]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert!(error.to_string().contains("4294967295 bytes"), "{error}");
    }
}
