//! What jobs come to: pictures, and errors that say what was wrong.

use std::time::Duration;

use imgflo_job::{Background, Category, JobData, JobError, JobResult, Limits, Source};
use imgflo_runtime::ops::codec::{self, DecodeLimits, EncodeOptions, FileFormat};
use imgflo_runtime::ops::{Cancel, Format, Image, Pixels, Rect};
use serde_json::json;

use super::origin::{Origin, Step, answer, head};
use super::setup::{Options, Setup, ask, background, copy, file, noop, one_operation, png, urgent};

fn error_of(result: JobResult) -> JobError {
    assert_eq!(result.results.url, None);
    result.error.expect("an error")
}

#[tokio::test]
async fn a_picture_is_made_stored_and_described() {
    let setup = Setup::new().await;
    let _worker = setup.worker(Options::default());
    let mut data = copy("6f95.jpg");
    data.iips = [("width".to_owned(), "20".to_owned())].into();
    let result = setup.run(&urgent(data.clone())).await;
    assert_eq!(result.error, None);
    assert_eq!(result.results.url.as_deref(), Some("./6f95.jpg"));
    assert_eq!((result.input_width, result.input_height), (Some(40), Some(30)));
    assert_eq!((result.output_width, result.output_height), (Some(20), Some(15)));
    assert_eq!(result.input_bytes, Some(png(40, 30).len() as u64));
    let times = [
        Some(result.job.created_at),
        result.started_at,
        result.downloaded_at,
        result.processed_at,
        result.stated_at,
        result.uploaded_at,
        result.completed_at,
    ];
    assert!(times.iter().all(Option::is_some) && times.is_sorted(), "{times:?}");
    let input = result.job.data.files.input.unwrap();
    assert_eq!((input.media_type.as_deref(), input.extension.as_str()), (Some("image/png"), ".png"));
    let bytes = setup.stored("6f95.jpg").await.unwrap();
    assert_eq!(result.output_bytes, Some(bytes.len() as u64));
    let header = setup.stored_header("6f95.jpg").await;
    assert_eq!((header.format, header.width, header.height), (FileFormat::Jpeg, 20, 15));

    let again = setup.run(&urgent(data.clone())).await;
    assert_eq!(again.results.url.as_deref(), Some("./6f95.jpg"));
    assert_eq!((again.processed_at, again.downloaded_at), (None, None), "the store answered");
    data.no_cache = true;
    assert!(setup.run(&urgent(data)).await.processed_at.is_some(), "the store was not to be asked");
}

#[tokio::test]
async fn the_job_says_which_quality() {
    let setup = Setup::new().await;
    let _worker = setup.worker(Options::default());
    let mut sizes = Vec::new();
    // The worker's own is 90.
    for (key, quality) in [("a.jpg", "10"), ("b.jpg", "90"), ("c.jpg", ""), ("d.jpg", "90,small"), ("e.jpg", "small")] {
        let data = JobData { quality: quality.parse().unwrap(), ..copy(key) };
        assert_eq!(setup.run(&urgent(data)).await.error, None);
        sizes.push(setup.stored(key).await.unwrap().len());
    }
    assert!(sizes[0] < sizes[1], "{sizes:?}");
    assert!(sizes[1] == sizes[2] && sizes[3] == sizes[4] && sizes[3] != sizes[1], "{sizes:?}");
}

#[tokio::test]
async fn the_job_says_what_lies_behind_and_the_worker_where_it_does_not() {
    let setup = Setup::new().await;
    let clear = Image::new(Rect::sized(16, 16), Format::RGBA8).unwrap();
    let clear = codec::encode(&clear, EncodeOptions::new(FileFormat::Png, 90), &Cancel::new()).unwrap();
    setup.store.put("0c1e.png", clear.into(), false).await.unwrap();
    // The worker's own is white.
    let _worker = setup.worker(Options::default());
    let blue = Background { rgb: [0, 0, 255] };
    for (key, background, expected) in [("1a.jpg", None, [255; 3]), ("1b.jpg", Some(blue), [0, 0, 254])] {
        let mut data = JobData { background, ..copy(key) };
        data.source = Some(Source::Stored { key: "0c1e.png".into() });
        data.quality = "100".parse().unwrap();
        assert_eq!(setup.run(&urgent(data)).await.error, None);
        let limits = DecodeLimits::new(1000, 100);
        let image = codec::decode(&setup.stored(key).await.unwrap(), limits, &Cancel::new()).unwrap();
        let Pixels::Rgb8(pixels) = image.pixels() else { panic!("a JPEG is RGB") };
        assert_eq!(pixels[0], expected, "{key}");
    }
}

#[cfg(feature = "avif")]
#[tokio::test]
async fn avif_is_made_up_to_a_number_of_pixels() {
    use imgflo_cache::Claim;
    use imgflo_job::{Urgency, key};

    let setup = Setup::new().await;
    // The input has 40 x 30.
    let limits = Limits { max_avif_pixels: 1199, ..Limits::default() };
    let _worker = setup.worker(Options { limits, ..Options::default() });
    let mut data = copy("6f95.avif");
    data.outtype = Some("avif".into());
    let error = error_of(setup.run(&background(data.clone())).await);
    assert_eq!((error.category, error.is_too_large_for_avif()), (Category::TooLarge, true), "{error}");
    for urgency in [Urgency::Urgent, Urgency::Background] {
        let claim = setup.claims.claim(&key::claim(urgency, "6f95.avif"), "test", Duration::from_secs(1)).await;
        assert!(matches!(claim, Ok(Claim::Refused(_))), "{claim:?}");
    }
    data.cachekey = "7f95.avif".into();
    data.iips = [("width".to_owned(), "20".to_owned())].into();
    assert_eq!(setup.run(&background(data)).await.error, None);
    let bytes = setup.stored("7f95.avif").await.unwrap();
    assert_eq!(&bytes[4..12], b"ftypavif");
}

#[tokio::test]
async fn background_jobs_are_done_and_told_as_well() {
    let setup = Setup::new().await;
    let _worker = setup.worker(Options { slots: 1, ..Options::default() });
    assert_eq!(setup.run(&background(copy("6f95.webp"))).await.error, None);
    assert_eq!(setup.stored_header("6f95.webp").await.format, FileFormat::Webp);
}

#[tokio::test]
async fn inputs_from_everywhere() {
    let setup = Setup::new().await;
    let _worker = setup.worker(Options::default());
    let origin = Origin::start(|_| answer("200 OK", &[("Content-Type", "text/html")], &png(7, 5))).await;
    setup.store.put("stored.png", png(8, 6).into(), false).await.unwrap();
    let pixel = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";
    let sources = [
        ("a.png", Source::Url { url: origin.url("/x") }, (7, 5)),
        ("b.png", Source::Data { url: pixel.into() }, (1, 1)),
        ("c.png", Source::File { path: "in.png".into(), version: None }, (40, 30)),
        ("d.png", Source::Stored { key: "stored.png".into() }, (8, 6)),
    ];
    for (key, source, size) in sources {
        let result = setup.run(&urgent(ask(key, one_operation("gegl/nop"), Some(source)))).await;
        assert_eq!(result.error, None);
        let header = setup.stored_header(key).await;
        assert_eq!((header.width, header.height), size, "{key}");
    }
}

#[tokio::test]
async fn a_graph_without_input_needs_none() {
    let setup = Setup::new().await;
    let _worker = setup.worker(Options::default());
    let mut definition = one_operation("gegl/checkerboard");
    definition.as_object_mut().unwrap().remove("inports");
    let mut data = ask("6f95.png", definition, None);
    data.iips = [("width".to_owned(), "12".to_owned()), ("height".to_owned(), "8".to_owned())].into();
    let result = setup.run(&urgent(data)).await;
    assert_eq!(result.error, None);
    assert_eq!((result.output_width, result.output_height, result.input_width), (Some(12), Some(8), None));
}

#[tokio::test]
async fn nested_graphs_are_made_in_the_same_slot_and_stored() {
    let setup = Setup::new().await;
    let _worker =
        setup.worker(Options { slots: 1, limits: Limits { max_nested: 2, ..Limits::default() }, ..Options::default() });
    let nest = |key: &str, inner| ask(key, one_operation("gegl/gray"), Some(Source::Graph { job: Box::new(inner) }));
    let job = nest("outer.png", nest("middle.jpg", copy("inner.webp")));
    let result = setup.run(&urgent(job)).await;
    assert_eq!(result.error, None);
    // All three count.
    assert_eq!(result.pixels, Some(3 * 40 * 30));
    for (key, format) in
        [("outer.png", FileFormat::Png), ("middle.jpg", FileFormat::Jpeg), ("inner.webp", FileFormat::Webp)]
    {
        let header = setup.stored_header(key).await;
        assert_eq!((header.format, header.width, header.height), (format, 40, 30));
    }
    // A stored inner result is used as it is.
    setup.store.put("ready.png", png(9, 9).into(), false).await.unwrap();
    let result = setup.run(&urgent(nest("again.png", copy("ready.png")))).await;
    assert_eq!(result.pixels, Some(9 * 9));
    assert_eq!(setup.stored_header("again.png").await.width, 9);

    let deep = nest("1.png", nest("2.png", nest("3.png", copy("4.png"))));
    let error = error_of(setup.run(&urgent(deep)).await);
    assert_eq!(error.category, Category::TooLarge);
    assert!(error.message.contains("3 is more than the limit of 2 (IMGFLO_MAX_NESTED)"), "{error}");
}

#[tokio::test]
async fn noop_hands_any_bytes_on() {
    let setup = Setup::new().await;
    let _worker = setup.worker(Options::default());
    let page = b"<html>a page</html>";
    let origin = Origin::start(move |path| match path {
        "/video" => answer("200 OK", &[("Content-Type", "video/mp4")], b"moving pictures"),
        "/gif" => answer("200 OK", &[("Content-Type", "text/plain")], b"GIF89a and so on"),
        _ => answer("200 OK", &[("Content-Type", "text/html")], page),
    })
    .await;
    for (key, path, bytes, media_type, extension) in [
        ("aaaa", "/page", &page[..], "text/html", ""),
        ("bbbb", "/video", b"moving pictures", "video/mp4", ".mp4"),
        ("cccc", "/gif", b"GIF89a and so on", "image/gif", ".gif"),
    ] {
        let result = setup.run(&urgent(ask(key, noop(), Some(Source::Url { url: origin.url(path) })))).await;
        assert_eq!(result.error, None);
        assert_eq!(setup.stored(key).await.unwrap(), bytes);
        let input = result.job.data.files.input.unwrap();
        assert_eq!((input.media_type.as_deref(), input.extension.as_str()), (Some(media_type), extension));
        assert_eq!(result.output_bytes, Some(bytes.len() as u64));
        assert_eq!((result.output_width, result.pixels), (None, None));
    }
}

/// The header of a PNG that claims a size, and nothing else.
fn bomb(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = png(40, 30);
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let mut crc = flate2::Crc::new();
    crc.update(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    bytes
}

#[tokio::test]
async fn bad_inputs_each_with_its_reason() {
    let setup = Setup::new().await;
    let worker = setup.worker(Options::default());
    let files = setup.files();
    let write = |name: &str, bytes: &[u8]| std::fs::write(files.join(name), bytes).unwrap();
    let image = png(40, 30);
    write("empty", b"");
    write("page", b"<!doctype html><title>404");
    write("text", b"nothing here");
    write("cut", &image[..image.len() / 2]);
    write("header-only", &image[..33]);
    write("magic-only", &image[..8]);
    write("noise", &[image[..8].to_vec(), vec![0xa5; 500]].concat());
    write("tall", &bomb(1, 500_000_000));
    write("large", &bomb(10_000, 10_000));
    let cases = [
        ("empty", Category::BrokenInput, "empty"),
        ("page", Category::UnsupportedType, "an HTML page; supported: jpg, png, webp, gif"),
        ("text", Category::UnsupportedType, "plain text"),
        ("cut", Category::BrokenInput, "broken png file"),
        ("header-only", Category::BrokenInput, "broken png file"),
        ("magic-only", Category::BrokenInput, "broken png file"),
        ("noise", Category::BrokenInput, "broken png file"),
        ("tall", Category::TooLarge, "500000000 is more than the limit of 1000000 (IMGFLO_MAX_INPUT_SIDE)"),
        ("large", Category::TooLarge, "100000000 is more than the limit of 50000000 (IMGFLO_MAX_INPUT_PIXELS)"),
        ("missing", Category::NotFound, "no file 'missing'"),
        ("../cache", Category::NotFound, "no file"),
    ];
    for (name, category, words) in cases {
        let data = ask("6f95.png", one_operation("gegl/nop"), file(name));
        // Twice: a failure is never stored as a success.
        for _ in 0..2 {
            let error = error_of(setup.run(&urgent(data.clone())).await);
            assert_eq!(error.category, category, "{name}: {error}");
            assert!(error.message.contains(words), "{name}: {error}");
        }
    }
    assert_eq!(setup.stored("6f95.png").await, None);
    assert_eq!(setup.queue(super::setup::URGENT).dead_letters, 0, "these are not our faults");
    assert_eq!(setup.run(&urgent(copy("good.png"))).await.error, None, "the worker is well");
    drop(worker);
}

#[tokio::test]
async fn long_thin_pictures_are_few_pixels() {
    let setup = Setup::new().await;
    let _worker = setup.worker(Options::default());
    std::fs::write(setup.files().join("long"), png(20_000, 200)).unwrap();
    std::fs::write(setup.files().join("thread"), png(300_000, 2)).unwrap();
    for (key, name, size) in [("a.png", "long", (1000, 10)), ("b.png", "thread", (1000, 1))] {
        let mut data = ask(key, one_operation("gegl/nop"), file(name));
        data.iips = [("width".to_owned(), "1000".to_owned())].into();
        assert_eq!(setup.run(&urgent(data)).await.error, None);
        let header = setup.stored_header(key).await;
        assert_eq!((header.width, header.height), size, "{name}");
    }
}

#[tokio::test]
async fn bad_requests_each_with_its_reason() {
    let setup = Setup::new().await;
    let limits = Limits { max_output_pixels: 10_000, max_data_url_bytes: 100, ..Limits::default() };
    let _worker = setup.worker(Options { limits, ..Options::default() });
    let nop = || one_operation("gegl/nop");
    let with = |name: &str, value: &str| {
        let mut data = copy("6f95.png");
        data.iips = [(name.to_owned(), value.to_owned())].into();
        data
    };
    let long = format!("data:,{}", "a".repeat(100));
    let cases = [
        (ask("6f95.png", nop(), None), Category::InvalidParameter, "needs an input image"),
        (
            ask("6f95.gif", nop(), file("in.png")),
            Category::UnsupportedType,
            "not written as 'gif'; supported: jpg, png, webp",
        ),
        (ask("6f95.tiff", nop(), file("in.png")), Category::UnsupportedType, "'tiff'"),
        (with("nonsense", "1"), Category::InvalidParameter, "nonsense"),
        (with("width", "many"), Category::InvalidParameter, "width"),
        (with("width", "4000"), Category::TooLarge, "more than the limit of 10000 (IMGFLO_MAX_OUTPUT_PIXELS)"),
        (ask("6f95.png", nop(), Some(Source::Data { url: long })), Category::TooLarge, "IMGFLO_MAX_DATA_URL_BYTES"),
        (
            ask("6f95.png", nop(), Some(Source::Stored { key: "none".into() })),
            Category::NotFound,
            "no stored result 'none'",
        ),
        (
            ask("6f95.png", nop(), Some(Source::Url { url: "http://10.0.0.1/".into() })),
            Category::Forbidden,
            "IMGFLO_ALLOW_ADDRESSES",
        ),
    ];
    for (data, category, words) in cases {
        let error = error_of(setup.run(&urgent(data)).await);
        assert_eq!(error.category, category, "{error}");
        assert!(error.message.contains(words), "'{words}': {error}");
    }
}

#[tokio::test]
async fn urgent_and_background_inputs_have_limits_of_their_own() {
    let setup = Setup::new().await;
    let limits = Limits { max_input_bytes: 50, max_background_input_bytes: 1 << 20, ..Limits::default() };
    let _worker = setup.worker(Options { limits, ..Options::default() });
    let error = error_of(setup.run(&urgent(copy("6f95.png"))).await);
    assert!(error.message.contains("limit of 50 (IMGFLO_MAX_INPUT_BYTES)"), "{error}");
    assert_eq!(setup.run(&background(copy("6f95.png"))).await.error, None);
}

#[tokio::test]
async fn a_job_that_needs_more_memory_than_there_is_is_refused_with_the_figures() {
    let setup = Setup::new().await;
    std::fs::write(setup.files().join("big.png"), png(2000, 2000)).unwrap();
    let big = || ask("6f95.png", one_operation("gegl/nop"), file("big.png"));
    let small = setup.worker(Options { memory_budget: 20 << 20, ..Options::default() });
    let error = error_of(setup.run(&urgent(big())).await);
    assert_eq!(error.category, Category::TooLarge);
    assert!(error.message.contains("limit of 20971520 (IMGFLO_MEMORY_BYTES)"), "{error}");
    assert!(error.overrun.unwrap().value > 2000 * 2000 * 3);
    assert_eq!(setup.run(&urgent(copy("small.png"))).await.error, None);
    small.die().await;
    let limits = Limits { max_job_memory: 20 << 20, ..Limits::default() };
    let _strict = setup.worker(Options { limits, ..Options::default() });
    let error = error_of(setup.run(&urgent(big())).await);
    assert!(error.message.contains("limit of 20971520 (IMGFLO_MAX_JOB_MEMORY)"), "{error}");
}

#[tokio::test]
async fn a_job_that_takes_more_processor_time_than_it_may_is_refused_with_the_figures() {
    let setup = Setup::new().await;
    std::fs::write(setup.files().join("big.png"), png(2000, 2000)).unwrap();
    let gray = |iterations: u32| {
        let mut graph = one_operation("gegl/c2g");
        graph["connections"] = json!([{ "data": iterations, "tgt": { "process": "only", "port": "iterations" } }]);
        ask("6f95.png", graph, file("big.png"))
    };
    let worker = setup.worker(Options::default());
    let error = error_of(setup.run(&urgent(gray(1000))).await);
    assert_eq!((error.category, error.node.as_deref()), (Category::TooLarge, Some("only")));
    let told = "is more than the limit of 60 (IMGFLO_MAX_URGENT_CPU_SECONDS); it can be made in the background: POST";
    assert!(error.message.contains(told), "{error}");
    let predicted = error.overrun.unwrap().value;
    assert!((61..600).contains(&predicted), "{predicted}");
    worker.die().await;

    let limits = Limits { max_background_cpu_seconds: 10, ..Limits::default() };
    let _strict = setup.worker(Options { limits, ..Options::default() });
    let error = error_of(setup.run(&background(gray(1000))).await);
    assert!(error.message.ends_with("the limit of 10 (IMGFLO_MAX_BACKGROUND_CPU_SECONDS)"), "{error}");
    let error = error_of(setup.run(&urgent(gray(1000))).await);
    assert!(error.message.ends_with("(IMGFLO_MAX_URGENT_CPU_SECONDS)"), "{error}");
    // A small picture is little work.
    let small = JobData { source: file("in.png"), ..gray(1000) };
    assert_eq!(setup.run(&urgent(small)).await.error, None);
}

#[tokio::test]
async fn a_download_stops_when_nobody_waits() {
    let setup = Setup::new().await;
    let _worker = setup.worker(Options { slots: 1, ..Options::default() });
    let start = png(40, 30)[..30].to_vec();
    let origin = Origin::start(move |_| vec![head("200 OK", &[]), Step::Send(start.clone()), Step::Hang]).await;
    let job = urgent(ask("6f95.png", one_operation("gegl/nop"), Some(Source::Url { url: origin.url("/") })));
    setup.send(&job).await;
    super::setup::until(|| origin.requests().len() == 1).await;
    setup.cancel(&job).await;
    assert_eq!(error_of(setup.result().await).category, Category::Cancelled);
    assert_eq!(setup.run(&urgent(copy("next.png"))).await.error, None);
}

#[tokio::test]
async fn the_time_of_a_background_job_is_limited() {
    let setup = Setup::new().await;
    let limits = Limits { background_deadline: Duration::from_millis(100), ..Limits::default() };
    let _worker = setup.worker(Options { limits, ..Options::default() });
    let origin = Origin::start(|_| vec![Step::Hang]).await;
    let data = ask("6f95.png", one_operation("gegl/nop"), Some(Source::Url { url: origin.url("/") }));
    let error = error_of(setup.run(&background(data)).await);
    assert_eq!(error.category, Category::DeadlineExceeded);
}
