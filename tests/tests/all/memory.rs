//! What a job will take is known before it begins.

use imgflo_ops::codec::{self, EncodeOptions, FileFormat};
use imgflo_ops::{Cancel, Image, Rect};
use imgflo_tests::program;
use imgflo_tests::s3::{self, S3};
use imgflo_tests::server::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// A photo-like picture of 4000 x 3000 pixels with some noise.
fn photo() -> Image {
    let (width, height) = (4000, 3000);
    let mut state = 1_u32;
    let pixels = (0..width * height).map(|index| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (x, y, noise) = (index % width, index / width, state >> 28);
        [(x / 16 + noise) as u8, (y / 12 + noise) as u8, ((x + y) / 30 + noise) as u8]
    });
    Image::from_rgb8(Rect::sized(width, height), pixels.collect())
}

/// Bytes that a refusal says a request would take. The plan's own buffers are looked at first, all of
/// the job then.
async fn predicted(files: &str, path: &str) -> u64 {
    let mut limit = 1 << 20;
    for attempt in 0..2 {
        let server = Server::start(&["--files", files, "--max-job-memory", &limit.to_string()]);
        let refusal = server.get(path).await.text().await.unwrap();
        let figure = refusal.split_once(" is more than the limit").and_then(|(text, _)| text.rsplit_once(' '));
        match figure.and_then(|(_, number)| number.parse().ok()) {
            Some(figure) => limit = figure,
            // With as much as it said it is done.
            None => assert!(attempt > 0, "{path}: no figure in {refusal}"),
        }
    }
    limit
}

/// Bytes that a request is predicted to take, and takes. `first`: an input of a request before.
async fn measured(files: &str, path: &str, first: &str) -> (f64, f64) {
    let predicted = predicted(files, path).await as f64;
    let server = Server::start(&["--files", files, "--workers", "1"]);
    // What any first request takes.
    server.picture(&format!("/graph/passthrough.jpg?input=files/{first}&width=16")).await;
    let before = server.memory() as f64;
    server.picture(path).await;
    (predicted, server.peak_memory() as f64 - before)
}

/// The figure that admits a job and the memory that it takes differ by half at most, that of a WebP by twice.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_take_what_was_predicted() {
    let folder = tempfile::tempdir().unwrap();
    let photo = photo();
    for (name, format) in [("photo.jpg", FileFormat::Jpeg), ("photo.png", FileFormat::Png)] {
        let options = EncodeOptions::new(format, 90);
        std::fs::write(folder.path().join(name), codec::encode(&photo, options, &Cancel::new()).unwrap()).unwrap();
    }
    let files = folder.path().to_str().unwrap();
    let mut wrong = Vec::new();
    for request in [
        "customgrey.jpg?input=files/photo.jpg",
        "passthrough.jpg?input=files/photo.jpg",
        "passthrough.png?input=files/photo.jpg&width=3000",
        "passthrough.webp?input=files/photo.png&width=3000",
        "gaussianblur.jpg?input=files/photo.jpg&std-dev-x=5&std-dev-y=5",
        "gaussianblur.jpg?input=files/photo.jpg&std-dev-x=25&std-dev-y=25",
        "croprotate.jpg?input=files/photo.jpg&degrees=30",
        "enhancelowres.jpg?input=files/photo.jpg&width=2000",
        "motionblur.png?input=files/photo.png&width=2500",
    ] {
        let path = format!("/graph/{request}");
        let (predicted, taken) = measured(files, &path, "photo.jpg").await;
        println!("{request}: {:.1} MB predicted, {:.1} MB taken", predicted / 1e6, taken / 1e6);
        // Only the pixels tell that a WebP is of flat art and written without loss, which takes three times the memory.
        let most = if path.contains(".webp") { 2.0 } else { 1.5 };
        if !(1.0 / 1.5..=most).contains(&(predicted / taken)) {
            wrong.push(format!("{request}: {:.1} MB predicted, {:.1} MB taken", predicted / 1e6, taken / 1e6));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Files that were made to cost much take no more than was predicted, within the same tolerance.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_files_take_no_more_than_was_predicted() {
    let hostile = concat!(env!("CARGO_MANIFEST_DIR"), "/../ops/tests/hostile");
    let mut wrong = Vec::new();
    for request in [
        "passthrough.jpg?input=files/webp-groups-2600.webp&width=100",
        "passthrough.jpg?input=files/jpeg-scans-16.jpg&width=2500",
        "passthrough.jpg?input=files/gif-frame-4000x3000.gif&width=1000",
        "passthrough.jpg?input=files/png-icc-texts.png&width=40",
        "passthrough.jpg?input=files/gif-blocks-50000.gif&width=40",
        "passthrough.jpg?input=files/jpeg-markers-9000.jpg&width=40",
    ] {
        let (predicted, taken) = measured(hostile, &format!("/graph/{request}"), "jpeg-markers-9000.jpg").await;
        println!("{request}: {:.1} MB predicted, {:.1} MB taken", predicted / 1e6, taken / 1e6);
        if taken > predicted * 1.5 {
            wrong.push(format!("{request}: {:.1} MB predicted, {:.1} MB taken", predicted / 1e6, taken / 1e6));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A connection that asked for a path and takes what its own small buffer holds.
async fn slow_reader(server: &Server, path: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let address = server.url.trim_start_matches("http://").parse().unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes())
        .await
        .unwrap();
    stream.read_exact(&mut [0; 100]).await.unwrap();
    stream
}

/// A client that reads slowly holds a piece of what it reads, not all of it.
#[tokio::test(flavor = "multi_thread")]
async fn slow_readers_take_little_memory() {
    const READERS: usize = 300;
    let (data, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let bytes: Vec<u8> = (0..30_000_000_u32).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect();
    let key = format!("0{}.png", "b".repeat(63));
    let folder = data.path().join("cache/0/bb");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(&key), &bytes).unwrap();
    std::fs::write(files.path().join("large.png"), &bytes).unwrap();
    let server = Server::start_in(data, &["--files", files.path().to_str().unwrap()]);
    for path in [format!("/cache/{key}"), "/files/large.png".into()] {
        // As any request takes.
        assert!(server.get(&path).await.bytes().await.unwrap() == bytes, "{path}");
        let before = server.peak_memory();
        let mut readers = Vec::new();
        for _ in 0..READERS {
            readers.push(slow_reader(&server, &path).await);
        }
        let taken = server.peak_memory() - before;
        println!("{path}: {READERS} slow readers of 30 MB take {:.1} MB", taken as f64 / 1e6);
        // Whole it would be 9,000 MB.
        assert!(taken < 40_000_000, "{path}: {READERS} slow readers take {taken} bytes");
        // Others are served, and so is the slowest in the end.
        assert!(server.get(&path).await.bytes().await.unwrap() == bytes, "{path}");
        let mut rest = Vec::new();
        readers.pop().unwrap().read_to_end(&mut rest).await.unwrap();
        assert!(rest.ends_with(&bytes[bytes.len() - 1_000_000..]) && rest.len() > bytes.len(), "{path}");
    }
}

/// The same where results are in a bucket: many readers share one file of the front end.
#[tokio::test(flavor = "multi_thread")]
async fn slow_readers_of_a_bucket_take_little_memory() {
    const READERS: usize = 300;
    let s3 = S3::start();
    let bytes: Vec<u8> = (0..30_000_000_u32).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect();
    let key = format!("0{}.png", "b".repeat(63));
    s3.write(&key, &bytes);
    let mut command = program::command();
    command.envs([("AWS_ACCESS_KEY_ID", s3::ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", s3::SECRET)]);
    let endpoint = format!("http://127.0.0.1:{}", s3.port());
    let arguments = ["--s3-bucket", s3::BUCKET, "--s3-endpoint", &endpoint];
    let server = Server::start_by(command, tempfile::tempdir().unwrap(), &arguments);
    let path = format!("/cache/{key}");
    assert!(server.get(&path).await.bytes().await.unwrap() == bytes);
    let before = server.peak_memory();
    let mut readers = Vec::new();
    for _ in 0..READERS {
        readers.push(slow_reader(&server, &path).await);
    }
    let taken = server.peak_memory() - before;
    println!("{READERS} slow readers of 30 MB in a bucket take {:.1} MB", taken as f64 / 1e6);
    assert!(taken < 60_000_000, "{READERS} slow readers take {taken} bytes");
    let mut rest = Vec::new();
    readers.pop().unwrap().read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(&bytes[bytes.len() - 1_000_000..]) && rest.len() > bytes.len());
    drop(readers);
    // Files of the spool have no names.
    assert_eq!(std::fs::read_dir(server.data.path().join("spool")).unwrap().count(), 0);
}
