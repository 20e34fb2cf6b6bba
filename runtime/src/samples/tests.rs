use imgflo_ops::Rect;
use imgflo_ops::codec::EncodeOptions;

use super::*;
use crate::NativeEngine;
use crate::testing::{PLAN_LIMITS, catalogue, image_graph, picture};

/// A filter that adds so much.
fn adds(amount: f64) -> ImageGraph {
    image_graph(&format!("INPORT=a.INPUT:INPUT\nOUTPORT=a.OUTPUT:OUTPUT\n{amount} -> AMOUNT a(test/add)\n"))
}

fn save(folder: &Path, name: &str, image: &Image) {
    let options = EncodeOptions::new(FileFormat::Png, 90);
    fs::write(folder.join(name), codec::encode(image, options, &Cancel::new()).expect("a file")).expect("written");
}

fn samples() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    save(folder.path(), "b.png", &picture(60, 40));
    // White stays white, whatever is added.
    save(folder.path(), "a white one.PNG", &Image::from_rgb8(Rect::sized(30, 30), vec![[255; 3]; 900]));
    fs::write(folder.path().join("notes.txt"), "no picture").expect("written");
    fs::write(folder.path().join(".hidden.png"), "no picture").expect("written");
    folder
}

fn compared(old: &ImageGraph, new: &ImageGraph, folder: &Path, cancel: &Cancel) -> Result<Vec<Compared>, SampleError> {
    let (catalogue, engine) = (catalogue(), NativeEngine::new(1));
    let renderer = Renderer {
        catalogue: &catalogue,
        engine: &engine,
        decode: DecodeLimits::new(10_000, 200),
        plan: PLAN_LIMITS,
        max_file_bytes: 50_000,
        max_samples: 3,
    };
    check(old, new, folder, &renderer, cancel)
}

fn distances(old: &ImageGraph, new: &ImageGraph) -> Vec<(String, f64)> {
    let compared = compared(old, new, samples().path(), &Cancel::new()).expect("compared");
    let distance = |difference: Difference| match difference {
        Difference::Distance(distance) => distance.largest,
        other => panic!("{other}"),
    };
    compared.into_iter().map(|Compared { sample, difference }| (sample, distance(difference))).collect()
}

#[test]
fn each_sample_is_compared() {
    let same = distances(&adds(0.2), &adds(0.2));
    assert_eq!(same, [("a white one.PNG".to_owned(), 0.0), ("b.png".to_owned(), 0.0)]);
    let near = distances(&adds(0.2), &adds(0.21));
    assert!(near[0].1 == 0.0 && near[1].1 > 0.3 && near[1].1 < 2.0, "{near:?}");
    let far = distances(&adds(0.0), &adds(0.5));
    assert!(far[1].1 > 20.0, "{far:?}");
    let within = |limit| {
        compared(&adds(0.2), &adds(0.21), samples().path(), &Cancel::new()).expect("compared")[1]
            .difference
            .is_within(limit)
    };
    assert!(within(2.0) && !within(0.3));
}

#[test]
fn another_size_or_no_picture_is_never_within() {
    let small = image_graph("INPORT=a.INPUT:INPUT\nOUTPORT=a.OUTPUT:OUTPUT\na(test/grow)\n7 -> BY a\n");
    let refusing = image_graph("INPORT=a.INPUT:INPUT\nOUTPORT=a.OUTPUT:OUTPUT\na(test/refuse)\n");
    let folder = samples();
    let told = |old: &ImageGraph, new: &ImageGraph| {
        let compared = compared(old, new, folder.path(), &Cancel::new()).expect("compared");
        assert!(!compared[0].difference.is_within(f64::MAX), "{compared:?}");
        compared[0].difference.to_string()
    };
    assert_eq!(told(&adds(0.1), &small), "30 x 30 pixels became 44 x 44");
    assert!(told(&adds(0.1), &refusing).starts_with("there is no picture any more: "));
    assert!(told(&refusing, &adds(0.1)).starts_with("there was no picture: "));
    fs::write(folder.path().join("0 broken.png"), b"\x89PNG\r\n\x1a\nno").expect("written");
    assert!(told(&adds(0.1), &adds(0.1).clone()).contains("broken"));
}

#[test]
fn graphs_without_input_need_no_samples() {
    let fill = |value: u8| image_graph(&format!("OUTPORT=a.OUTPUT:OUTPUT\n{value} -> VALUE a(test/fill)\n"));
    let nowhere = Path::new("/nowhere");
    let compared = compared(&fill(100), &fill(101), nowhere, &Cancel::new()).expect("compared");
    let [Compared { sample, difference: Difference::Distance(distance) }] = compared.as_slice() else {
        panic!("{compared:?}")
    };
    assert!(sample.is_empty() && distance.largest > 0.0 && distance.largest < 0.5, "{distance}");
}

#[test]
fn samples_that_prove_nothing_are_refused() {
    let none = tempfile::tempdir().expect("a folder");
    let error =
        |folder: &Path| compared(&adds(0.1), &adds(0.1), folder, &Cancel::new()).expect_err("refused").to_string();
    assert!(error(none.path()).contains("there is no picture in it"));
    assert!(error(&none.path().join("no")).contains("no: "), "{}", error(&none.path().join("no")));
    let many = samples();
    save(many.path(), "c.png", &picture(10, 10));
    save(many.path(), "d.png", &picture(10, 10));
    assert!(error(many.path()).contains("4 pictures are more than the limit of 3"));
    let large = tempfile::tempdir().expect("a folder");
    fs::write(large.path().join("a.png"), vec![0; 50_001]).expect("written");
    assert!(error(large.path()).contains("larger than the limit of 50000 bytes"));
}

#[test]
fn it_stops_when_told() {
    let cancel = Cancel::new();
    cancel.cancel();
    let stopped = compared(&adds(0.1), &adds(0.1), samples().path(), &cancel);
    assert!(matches!(stopped, Err(SampleError::Stopped(OpError::Cancelled))), "{stopped:?}");
}
