//! Every graph in `graphs/` renders the samples, over HTTP, in every format.

use imgflo_fbp::{Graph, ParseOptions};
use imgflo_ops::codec::{self, FileFormat};
use imgflo_tests::server::Server;
use imgflo_tests::{corpus, golden};

const GRAPHS: &[&str] = &[
    "blurredbackdrop",
    "crop",
    "croprotate",
    "customgrey",
    "denoise",
    "desaturate",
    "duotone",
    "edgeshadow",
    "enhancelowres",
    "framedthumbnail",
    "gaussianblur",
    "gradientmap",
    "halodarken",
    "motionblur",
    "noop",
    "oldfilm",
    "passthrough",
    "retro",
    "sharpen",
    "smear",
    "softfocus",
    "sunset",
    "tiltedcrop",
    "vignette",
];

#[tokio::test(flavor = "multi_thread")]
async fn all_are_listed_with_descriptions_and_typed_ports() {
    let server = Server::start(&[]);
    let answer = server.get("/graphs").await;
    assert_eq!(answer.status(), 200);
    let listing: serde_json::Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    let graphs = listing["graphs"].as_object().unwrap();
    assert_eq!(graphs.keys().map(String::as_str).collect::<Vec<_>>(), GRAPHS);
    for (name, graph) in graphs {
        assert!(graph["properties"]["description"].as_str().is_some_and(|d| d.len() > 20), "{name} has a description");
        for (port, export) in graph["inports"].as_object().unwrap() {
            let metadata = &export["metadata"];
            assert!(metadata["type"].is_string(), "{name}.{port} has a type: {export}");
            assert!(metadata["description"].as_str().is_some_and(|d| !d.is_empty()), "{name}.{port} has a description");
        }
        if name != "noop" {
            assert_eq!(graph["inports"]["width"]["metadata"]["type"], "int", "{name}");
            assert_eq!(graph["inports"]["height"]["metadata"]["type"], "int", "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_render_all_samples() {
    let server = Server::start(&[]);
    let samples = corpus("files", &["jpg", "png"], 4);
    let mut seen = 0;
    for graph in GRAPHS {
        for sample in &samples {
            let sample = sample.file_name().unwrap().to_str().unwrap();
            let size = if *graph == "noop" { "" } else { "&width=200" };
            let bytes = server.picture(&format!("/graph/{graph}?input=files/{sample}{size}")).await;
            let header = codec::read_header(&bytes).unwrap_or_else(|e| panic!("{graph} of {sample}: {e}"));
            if *graph != "noop" {
                assert_eq!(header.format, FileFormat::Jpeg, "{graph} of {sample}");
                // A frame of 12 and a shadow that reaches 16 farther; a margin of 40; edges beside the picture's own.
                let beyond = match *graph {
                    "framedthumbnail" => 2 * (12 + 16),
                    "blurredbackdrop" => 2 * 40,
                    "halodarken" => 2,
                    _ => 0,
                };
                assert_eq!(header.width, 200 + beyond, "{graph} of {sample}");
            }
            seen += 1;
        }
    }
    assert_eq!(seen, GRAPHS.len() * samples.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn noop_hands_the_bytes_on() {
    let server = Server::start(&[]);
    let bytes = server.picture("/graph/noop?input=files/leaf.png").await;
    assert_eq!(bytes, std::fs::read(imgflo_tests::sample("leaf.png")).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_and_formats_are_as_asked() {
    let server = Server::start(&[]);
    for (query, extension, width, height) in [
        ("width=300", "jpg", 300, 200),
        ("width=333", "png", 333, 222),
        ("height=100", "webp", 150, 100),
        ("width=50&height=50", "jpeg", 50, 50),
        ("", "png", 1500, 1000),
        ("width=1501", "jpg", 1501, 1001),
        ("width=1", "png", 1, 1),
    ] {
        let path = format!("/graph/passthrough.{extension}?input=files/lake.jpg&{query}");
        let bytes = server.picture(path.trim_end_matches('&')).await;
        let header = codec::read_header(&bytes).unwrap();
        assert_eq!((header.width, header.height), (width, height), "{path}");
        assert_eq!(Some(header.format), FileFormat::from_extension(extension), "{path}");
    }
}

#[test]
fn both_forms_of_a_graph_have_one_content() {
    let mut seen = 0;
    for file in corpus("graphs", &["json", "fbp"], 12) {
        let text = std::fs::read_to_string(&file).unwrap();
        let graph = if file.extension().unwrap() == "json" {
            Graph::from_json_str(&text).unwrap()
        } else {
            imgflo_fbp::parse(&text, &ParseOptions::default()).unwrap()
        };
        let json = Graph::from_json_str(&graph.to_json().to_string()).unwrap();
        assert_eq!(graph.canonical(), json.canonical(), "{}", file.display());
        if let Ok(text) = imgflo_fbp::to_fbp(&graph) {
            let fbp = imgflo_fbp::parse(&text, &ParseOptions::default()).unwrap();
            assert_eq!(graph.canonical(), fbp.canonical(), "{}", file.display());
            seen += 1;
        }
    }
    assert!(seen >= 3, "only {seen} graphs have both forms");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_spellings_of_one_request_are_one_result() {
    let server = Server::start(&[]);
    let mut locations = Vec::new();
    for query in [
        "input=files/card.png&std-dev-x=2&width=200",
        "width=200&std-dev-x=2&input=files/card.png",
        "width=0200&std-dev-x=2.0&input=files%2Fcard.png",
        "std-dev-x=2e0&width=200&input=/files/card.png",
    ] {
        let answer = server.get(&format!("/graph/gaussianblur.png?{query}")).await;
        assert_eq!(answer.status(), 301, "{query}");
        locations.push(answer.headers()["location"].to_str().unwrap().to_owned());
    }
    let other = server.get("/graph/gaussianblur.png?input=files/card.png&std-dev-x=3&width=200").await;
    assert_ne!(other.headers()["location"].to_str().unwrap(), locations[0]);
    locations.dedup();
    assert_eq!(locations.len(), 1, "{locations:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn transparency_survives_where_the_format_has_it() {
    let server = Server::start(&[]);
    let png = golden::decode(&server.picture("/graph/passthrough.png?input=files/leaf.png&width=100").await);
    let webp = golden::decode(&server.picture("/graph/passthrough.webp?input=files/leaf.png&width=100").await);
    let jpeg = golden::decode(&server.picture("/graph/passthrough.jpg?input=files/leaf.png&width=100").await);
    assert!(png.format().has_alpha() && webp.format().has_alpha());
    assert!(!jpeg.format().has_alpha());
    let between = golden::distance(&png, &webp).unwrap();
    assert!(between.mean < 3.0, "{between:?}");
}
