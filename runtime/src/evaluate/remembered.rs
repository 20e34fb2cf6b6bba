//! Pictures by what they are made of, the least used of which go when there are too many.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use imgflo_ops::{Image, Rect};
use lru::LruCache;
use sha2::{Digest, Sha256};

use crate::plan::Given;

/// What a picture is made of, as SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(pub [u8; 32]);

impl Key {
    /// The key of parts; each stands for itself.
    pub fn of<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> Key {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Key(hash.finalize().into())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0[..16]))
    }
}

/// A picture that was made.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub image: Arc<Image>,
    /// The box of the picture that its chain of `input` pads starts from.
    pub origin: Option<Rect>,
}

impl Made {
    pub fn given(&self) -> Given {
        Given { rect: self.image.rect(), origin: self.origin, format: self.image.format() }
    }

    pub fn bytes(&self) -> u64 {
        self.image.rect().area() * self.image.format().bytes_per_pixel() as u64
    }
}

/// Most pictures that are remembered, however small.
const MOST: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// Pictures by what they are made of.
#[derive(Debug)]
pub(crate) struct Remembered {
    made: LruCache<Key, Made>,
    bytes: u64,
    most_bytes: u64,
}

impl Remembered {
    pub fn new(most_bytes: u64) -> Self {
        Remembered { made: LruCache::new(MOST), bytes: 0, most_bytes }
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn get(&mut self, key: Key) -> Option<Made> {
        self.made.get(&key).cloned()
    }

    /// Remembers a picture, unless it alone is too large.
    pub fn put(&mut self, key: Key, made: Made) {
        let bytes = made.bytes();
        if bytes > self.most_bytes {
            return;
        }
        self.bytes += bytes;
        if let Some((_, old)) = self.made.push(key, made) {
            self.bytes -= old.bytes();
        }
        while self.bytes > self.most_bytes {
            let Some((_, old)) = self.made.pop_lru() else { break };
            self.bytes -= old.bytes();
        }
    }
}
