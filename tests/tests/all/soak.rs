//! All graphs, formats and sizes for a while: nothing grows.
//!
//! Some seconds of it in each run; five minutes with `IMGFLO_TEST_LONG=1`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use imgflo_ops::codec::{self, EncodeOptions, FileFormat};
use imgflo_ops::{Cancel, Image, Rect};
use imgflo_tests::sample;
use imgflo_tests::server::Server;

const GRAPHS: [&str; 11] = [
    "passthrough",
    "crop",
    "croprotate",
    "customgrey",
    "desaturate",
    "enhancelowres",
    "gaussianblur",
    "gradientmap",
    "halodarken",
    "motionblur",
    "retro",
];
const TYPES: [&str; 3] = ["jpg", "png", "webp"];
const CLIENTS: u64 = 4;

fn write(path: &std::path::Path, format: FileFormat, width: u32, height: u32) {
    let pixels = (0..width * height).map(|i| [(i % width / 32) as u8, (i / width / 25) as u8, (i / 7) as u8]);
    let image = Image::from_rgb8(Rect::sized(width, height), pixels.collect());
    let options = EncodeOptions::new(format, 85);
    std::fs::write(path, codec::encode(&image, options, &Cancel::new()).unwrap()).unwrap();
}

/// The request number `index`; all differ.
fn path(index: u64, inputs: &[&str]) -> String {
    // Large steps through the choices, so that each meets each.
    let [graph, of_type] = [GRAPHS[index as usize % 11], TYPES[index as usize / 11 % 3]];
    let input = inputs[index as usize / 33 % inputs.len()];
    let side = [1, 40, 320, 777, 1200][index as usize / 7 % 5];
    format!("/graph/{graph}.{of_type}?input=files/{input}&width={side}&height={}", 1 + index % 1000)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_grows_under_mixed_work() {
    let [warm, watched] = match std::env::var_os("IMGFLO_TEST_LONG") {
        Some(_) => [60, 240],
        None => [4, 6],
    }
    .map(Duration::from_secs);
    let folder = tempfile::tempdir().unwrap();
    let inputs = ["lake.jpg", "pixel.png", "marbles.jpg", "huge.jpg", "card.png", "leaf.png"];
    for name in ["lake.jpg", "marbles.jpg", "card.png", "leaf.png"] {
        std::fs::copy(sample(name), folder.path().join(name)).unwrap();
    }
    write(&folder.path().join("pixel.png"), FileFormat::Png, 1, 1);
    write(&folder.path().join("huge.jpg"), FileFormat::Jpeg, 8000, 6250);
    let server = Server::start(&["--files", folder.path().to_str().unwrap()]);
    let next = AtomicU64::new(0);
    let work = async |until: Instant| {
        let clients = (0..CLIENTS).map(|_| async {
            while Instant::now() < until {
                let path = path(next.fetch_add(1, Ordering::Relaxed), &inputs);
                let status = server.get(&path).await.status();
                assert_eq!(status, 301, "{path}");
            }
        });
        futures::future::join_all(clients).await;
    };
    work(Instant::now() + warm).await;
    let (peak, descriptors) = (server.peak_memory(), server.descriptors());
    work(Instant::now() + watched).await;
    let requests = next.load(Ordering::Relaxed);
    println!(
        "{requests} requests; at most {:.0} MB in the beginning, {:.0} MB in all; {descriptors} and {} descriptors",
        peak as f64 / 1e6,
        server.peak_memory() as f64 / 1e6,
        server.descriptors()
    );
    assert!(requests > 50, "{requests} requests");
    // Which large jobs meet is chance, for as long as not each has met each.
    assert!(server.peak_memory() < peak * 3 / 2 + (64 << 20));
    assert!(server.descriptors() <= descriptors + 8);
}
