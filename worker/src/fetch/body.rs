//! The body of an answer while it grows, within its limit and its share of memory.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::MultiGzDecoder;

use super::share::Part;

/// By how much the share of memory grows at least.
const STEP: usize = 64 * 1024;

/// Bytes that came so far, without their coding.
pub(super) enum Body {
    /// As they are sent.
    Plain(Limited),
    /// Unpacked on the way.
    Gzip(Box<MultiGzDecoder<Limited>>),
}

/// Bytes up to a limit.
pub(super) struct Limited {
    bytes: Vec<u8>,
    max: u64,
    memory: Part,
    counted: usize,
}

/// The bytes of an input, which count for the memory of all fetches as long as they are in use.
struct Owned {
    bytes: Vec<u8>,
    _memory: Part,
}

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A body passed its limit at this many bytes.
#[derive(Debug, thiserror::Error)]
#[error("{0} bytes")]
pub(super) struct OverLimit(pub(super) u64);

impl Limited {
    /// None so far, `max` at most.
    pub(super) fn new(max: u64, memory: Part) -> Self {
        Limited { bytes: Vec::new(), max, memory, counted: 0 }
    }
}

impl Write for Limited {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        let length = (self.bytes.len() + more.len()) as u64;
        if length > self.max {
            return Err(io::Error::other(OverLimit(length)));
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Body {
    fn limited(&self) -> &Limited {
        match self {
            Body::Plain(limited) => limited,
            Body::Gzip(decoder) => decoder.get_ref(),
        }
    }

    fn limited_mut(&mut self) -> &mut Limited {
        match self {
            Body::Plain(limited) => limited,
            Body::Gzip(decoder) => decoder.get_mut(),
        }
    }

    /// The bytes so far.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.limited().bytes
    }

    /// Makes room for all that is announced, so that nothing is copied while it grows. Of what does not come, no page
    /// is touched; what cannot be had at once may still come to fit.
    pub(super) fn expect(&mut self, announced: u64) {
        let bytes = &mut self.limited_mut().bytes;
        let more = usize::try_from(announced).unwrap_or(usize::MAX).saturating_sub(bytes.len());
        let _ = bytes.try_reserve_exact(more);
    }

    /// Takes what came.
    ///
    /// # Errors
    /// [`OverLimit`] inside; anything else: the coding is broken.
    pub(super) fn push(&mut self, chunk: &[u8]) -> io::Result<()> {
        match self {
            Body::Plain(limited) => limited.write_all(chunk),
            Body::Gzip(decoder) => decoder.write_all(chunk),
        }
    }

    /// Bytes that the share of memory lacks.
    pub(super) fn uncounted(&self) -> u64 {
        let limited = self.limited();
        match limited.bytes.len().saturating_sub(limited.counted) {
            0 => 0,
            lacks => lacks.max(STEP) as u64,
        }
    }

    /// Counts them, which waits until there is memory.
    pub(super) async fn count(&mut self) {
        let more = self.uncounted();
        let limited = self.limited_mut();
        limited.memory.grow_or_pass(more).await;
        limited.counted += more as usize;
    }

    /// Counts them if there is memory.
    pub(super) fn try_count(&mut self) -> bool {
        let more = self.uncounted();
        let limited = self.limited_mut();
        let counted = limited.memory.try_grow(more);
        if counted {
            limited.counted += more as usize;
        }
        counted
    }

    /// All of it.
    ///
    /// # Errors
    /// As [`Body::push`]; also for a coding that is cut short.
    pub(super) fn finish(self) -> io::Result<Bytes> {
        let Limited { bytes, memory, .. } = match self {
            Body::Plain(limited) => limited,
            Body::Gzip(decoder) => decoder.finish()?,
        };
        Ok(Bytes::from_owner(Owned { bytes, _memory: memory }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::share::Share;
    use super::*;

    fn limited(share: &Arc<Share>, max: u64) -> Limited {
        Limited::new(max, share.part("a"))
    }

    #[test]
    fn what_is_announced_is_taken_at_once() {
        let mut body = Body::Plain(limited(&Share::new(0), 4_000_000));
        body.push(&[1; 1000]).unwrap();
        // No power of two, as a buffer has that grows.
        body.expect(3_000_001);
        for _ in 0..2999 {
            body.push(&[1; 1000]).unwrap();
        }
        body.push(&[1]).unwrap();
        assert_eq!((body.bytes().len(), body.limited().bytes.capacity()), (3_000_001, 3_000_001));
    }

    #[test]
    fn bytes_count_as_long_as_they_are_in_use() {
        let share = Share::new(1 << 20);
        let mut body = Body::Plain(limited(&share, 1000));
        body.push(&[1; 1000]).unwrap();
        assert!(body.try_count());
        assert_eq!(body.uncounted(), 0);
        let bytes = body.finish().unwrap();
        assert!(!share.part("a").try_grow(1 << 20));
        drop(bytes);
        assert!(share.part("a").try_grow(1 << 20));
    }

    #[test]
    fn the_limit_is_that_of_the_unpacked_bytes() {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packed.write_all(&[0; 1_000_000]).unwrap();
        let packed = packed.finish().unwrap();
        let share = Share::new(0);
        let mut bomb = Body::Gzip(Box::new(MultiGzDecoder::new(limited(&share, 100_000))));
        let error = bomb.push(&packed).unwrap_err();
        assert!(error.get_ref().is_some_and(|inner| inner.is::<OverLimit>()), "{error}");
        assert!(bomb.bytes().len() <= 100_000);
        let mut cut = Body::Gzip(Box::new(MultiGzDecoder::new(limited(&share, 2_000_000))));
        cut.push(&packed[..packed.len() / 2]).unwrap();
        assert!(cut.finish().is_err());
    }
}
