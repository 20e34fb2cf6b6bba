//! Faults of imgflo's predecessors that must not exist here, by their number in their tracker.

use imgflo_tests::golden;
use imgflo_tests::origin::{Answer, Origin};
use imgflo_tests::server::Server;

/// imgflo-server#46: a 105 megapixel input took all memory, and the platform ended the worker.
#[tokio::test(flavor = "multi_thread")]
async fn a_105_megapixel_input_is_refused_and_the_worker_lives() {
    // 10247 x 10247 opaque pixels, RLE-friendly: a real, complete picture of about 100 kB.
    let folder = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(folder.path().join("big.png")).unwrap();
    write_flat_png(file, 10_247, 10_247);
    let server = Server::start(&["--files", folder.path().to_str().unwrap()]);
    let answer = server.get("/graph/passthrough?input=files/big.png&width=100").await;
    assert_eq!(answer.status(), 422);
    let text = answer.text().await.unwrap();
    assert!(text.contains("IMGFLO_MAX_INPUT_PIXELS") && text.contains("50000000"), "{text}");
    assert!(server.peak_memory() < 200 << 20, "{} bytes", server.peak_memory());
    assert_eq!(server.get("/readyz").await.status(), 200);
}

/// A one-bit gray PNG of zeros, its data deflated in stored form by hand: no crate of ours writes
/// such large pictures.
fn write_flat_png(file: std::fs::File, width: u32, height: u32) {
    let mut encoder = png::Encoder::new(std::io::BufWriter::new(file), width, height);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&vec![0; width.div_ceil(8) as usize * height as usize]).unwrap();
}

/// imgflo-server#31 and #52: an input that is no image, or no input at all, gave 500.
#[tokio::test(flavor = "multi_thread")]
async fn no_image_and_no_input_are_the_clients_faults() {
    let origin = Origin::start([("/page.html", Answer::Body("text/html", b"<html>hello</html>".to_vec()))]);
    let server = Server::start(&["--allow-addresses", "127.0.0.0/8"]);
    let missing = server.get("/graph/passthrough?width=100").await;
    assert_eq!(missing.status(), 422);
    assert!(missing.text().await.unwrap().contains("input"));
    let page = server.get(&format!("/graph/passthrough?input={}", origin.input("/page.html"))).await;
    assert_eq!(page.status(), 415);
    assert!(page.text().await.unwrap().contains("jpg"));
}

/// imgflo-server#97 and #47: a URL of ours as the input of another waited for its own workers.
#[tokio::test(flavor = "multi_thread")]
async fn our_own_urls_as_inputs_do_not_deadlock() {
    let server = Server::start(&["--workers", "1"]);
    let inner = |base: &str| format!("{base}/graph/gradientmap.png?input=files/card.png&width=120");
    let escape = |url: &str| {
        url.replace('%', "%25")
            .replace(':', "%3A")
            .replace('/', "%2F")
            .replace('?', "%3F")
            .replace('&', "%26")
            .replace('=', "%3D")
    };
    let direct = golden::decode(&server.picture(&inner("")).await);
    // Absolute, relative, and three levels deep; more at once than there are workers.
    let absolute = format!("/graph/passthrough.png?input={}", escape(&inner(&server.url)));
    let relative = format!("/graph/passthrough.png?input={}", escape(&inner("")));
    let deep = format!("/graph/passthrough.png?width=60&input={}", escape(&format!("{}{absolute}", server.url)));
    let all = tokio::join!(server.picture(&absolute), server.picture(&relative), server.picture(&deep));
    assert_eq!(golden::distance(&golden::decode(&all.0), &direct).unwrap().max, 0);
    assert_eq!(golden::distance(&golden::decode(&all.1), &direct).unwrap().max, 0);
    assert_eq!(golden::decode(&all.2).rect().width, 60);
    // A result's address is an input, too.
    let answer = server.get(&inner("")).await;
    let stored = answer.headers()["location"].to_str().unwrap().to_owned();
    let stored = stored.strip_prefix(&server.url).unwrap_or(&stored).to_owned();
    server.picture(&format!("/graph/passthrough.png?width=30&input={}", escape(&stored))).await;
    // Without end is refused.
    let mut url = inner("");
    for _ in 0..8 {
        url = format!("{}/graph/passthrough.png?input={}", server.url, escape(&url));
    }
    let path = url.strip_prefix(&server.url).unwrap().to_owned();
    let answer = server.get(&path).await;
    assert!([400, 422].contains(&answer.status().as_u16()), "{}", answer.status());
}
