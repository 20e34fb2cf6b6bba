//! What a `kill -9` at any moment leaves behind: whole blobs and nothing else.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use imgflo_cache::{LocalStore, Store};
use sha2::{Digest, Sha256};

const FOLDER: &str = "IMGFLO_CACHE_TEST_FOLDER";
const ROUND: &str = "IMGFLO_CACHE_TEST_ROUND";
const ROUNDS: u64 = 20;
const LIMIT: u64 = 8 << 20;

/// Numbers that only look random (xorshift64), so that a failure can be repeated.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// A blob that tells whether it is whole: the digest of the rest, then the rest.
fn sealed(size: usize, state: &mut u64) -> Vec<u8> {
    let rest: Vec<u8> = (0..size).map(|_| next(state) as u8).collect();
    let mut blob = Sha256::digest(&rest).to_vec();
    blob.extend(rest);
    blob
}

fn is_whole(blob: &[u8]) -> bool {
    blob.len() >= 32 && Sha256::digest(&blob[32..]).as_slice() == &blob[..32]
}

/// The child: stores blobs until it is killed.
#[test]
#[ignore = "runs in the children that the other test starts"]
fn writer() {
    let (Ok(folder), Ok(round)) = (std::env::var(FOLDER), std::env::var(ROUND)) else { return };
    let round: u64 = round.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let store = LocalStore::open(Path::new(&folder), LIMIT).unwrap();
        for thread in 0..3_u64 {
            let store = store.clone();
            tokio::spawn(async move {
                let mut state = (round * 3 + thread + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                loop {
                    let blob = sealed((next(&mut state) % 200_000) as usize, &mut state);
                    let key = format!("{}.png", hex::encode(&blob[..32]));
                    store.put(&key, Bytes::from(blob), next(&mut state).is_multiple_of(2)).await.unwrap();
                }
            });
        }
        println!("writing");
        std::future::pending::<()>().await;
    });
}

/// Kills the child when the test ends early.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder)
        .unwrap()
        .flat_map(|entry| {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() { files_below(&entry.path()) } else { vec![entry.path()] }
        })
        .collect()
}

#[tokio::test]
async fn every_blob_is_whole_after_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let temporary = folder.path().join("tmp");
    let mut state = 0x2545_f491_4f6c_dd1d;
    let (mut seen, mut left_behind) = (0, 0);
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::writer", "--ignored", "--nocapture"])
            .env(FOLDER, folder.path())
            .env(ROUND, round.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut running = Running(child);
        let mut line = String::new();
        while !line.contains("writing") {
            line.clear();
            let read = std::io::BufRead::read_line(&mut output, &mut line).unwrap();
            assert!(read > 0, "the child ended before it wrote");
        }
        std::thread::sleep(Duration::from_micros(1000 + next(&mut state) % 80_000));
        running.0.kill().unwrap();
        running.0.wait().unwrap();

        left_behind += files_below(&temporary).len();
        let store = LocalStore::open(folder.path(), LIMIT).unwrap();
        let files = files_below(folder.path());
        seen = files.len();
        let mut total = 0;
        for file in files {
            assert!(!file.starts_with(&temporary), "{} survived", file.display());
            let key = file.file_name().unwrap().to_str().unwrap();
            let blob = store.get(key).await.unwrap().unwrap();
            assert!(is_whole(&blob.bytes), "round {round}: {key} is not whole, {} bytes", blob.bytes.len());
            total += blob.bytes.len() as u64;
        }
        assert_eq!(total, store.stored_bytes());
        assert!(total <= LIMIT);
    }
    assert!(seen > 0, "the children stored nothing");
    assert!(left_behind > 0, "no kill met a write: the test shows nothing");
}
