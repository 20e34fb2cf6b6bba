//! GEGL that fails: one job ends, all else goes on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use imgflo_ops::{Cancel, Image, Rect};
use imgflo_runtime::{Catalogue, ChildLimits, Control, Engine, EngineChoice, Gegl, ImageGraph, RenderErrorKind};
use serde_json::json;

use super::{ENGINE, graph, limits, plan, render};

/// A picture and a graph on GEGL that takes long enough to be disturbed.
fn slow(catalogue: &Catalogue) -> (ImageGraph, Image) {
    let json = json!({
        "inports": { "input": { "process": "blur", "port": "input" } },
        "outports": { "output": { "process": "blur", "port": "output" } },
        "processes": { "blur": { "component": "gegl/motion-blur-linear" } },
        "connections": [{ "data": 1000, "tgt": { "process": "blur", "port": "length" } }],
    });
    let rect = Rect::sized(1000, 800);
    (graph("slow", &json, catalogue), Image::from_rgb8(rect, vec![[9, 99, 199]; rect.area() as usize]))
}

fn quick(catalogue: &Catalogue) {
    let json = json!({
        "inports": { "input": { "process": "blur", "port": "input" } },
        "outports": { "output": { "process": "blur", "port": "output" } },
        "processes": { "blur": { "component": "gegl/newsprint" } },
        "connections": [],
    });
    let image = Image::from_rgb8(Rect::sized(20, 10), vec![[9, 99, 199]; 200]);
    let graph = graph("quick", &json, catalogue);
    let plan = plan(&graph, &[], Some(&image), catalogue).unwrap();
    assert_eq!(render(&plan, Some(&image)).rect(), Rect::sized(20, 10));
}

fn catalogue(limits: &ChildLimits) -> (Catalogue, Arc<Gegl>) {
    let gegl = Arc::new(Gegl::new(limits, false));
    (Catalogue::native().with_gegl(Arc::clone(&gegl), EngineChoice::Gegl), gegl)
}

/// Processes below this one that run GEGL.
fn children() -> Vec<u32> {
    let parent = std::process::id().to_string();
    let processes =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let ours = processes.filter(|pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after = stat.rsplit(") ").next().unwrap_or_default().to_owned();
        let mut fields = after.split(' ');
        fields.next() != Some("Z") && fields.next() == Some(&parent) && stat.contains("(imgflo)")
    });
    ours.collect()
}

fn signal(pid: u32, signal: &str) {
    assert!(std::process::Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

/// Waits until the only child of `gegl` is leased.
fn leased(gegl: &Gegl) {
    let until = Instant::now() + Duration::from_secs(20);
    while !gegl.idle().is_empty() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_child_that_died_while_idle_fails_no_job() {
    let one = ChildLimits { children: 1, ..limits() };
    let (catalogue, gegl) = catalogue(&one);
    quick(&catalogue);
    let first = gegl.idle()[0];
    signal(first, "-9");
    quick(&catalogue);
    let second = gegl.idle()[0];
    assert_ne!(first, second, "by another child");
    // Stopped, it is leased without reading its job.
    signal(second, "-STOP");
    std::thread::scope(|scope| {
        let job = scope.spawn(|| quick(&catalogue));
        leased(&gegl);
        std::thread::sleep(Duration::from_millis(50));
        signal(second, "-9");
        job.join().unwrap();
    });
    assert_ne!(gegl.idle(), [second], "by another child");
}

#[test]
fn a_killed_child_ends_one_job() {
    let one = ChildLimits { children: 1, ..limits() };
    let (catalogue, gegl) = catalogue(&one);
    let (graph, image) = slow(&catalogue);
    let plan = plan(&graph, &[], Some(&image), &catalogue).unwrap();
    let pid = gegl.idle()[0];
    let error = std::thread::scope(|scope| {
        let job = scope.spawn(|| ENGINE.render(&plan, Some(image.clone()), &Control::default()).unwrap_err());
        leased(&gegl);
        std::thread::sleep(Duration::from_millis(50));
        signal(pid, "-9");
        job.join().unwrap()
    });
    assert_eq!(error.node.as_deref(), Some("blur"));
    assert_eq!(error.kind, RenderErrorKind::Failed("GEGL crashed (SIGKILL)".into()));
    quick(&catalogue);
    assert_ne!(gegl.idle(), [pid], "by another child");
}

#[test]
fn a_job_that_takes_too_long_is_ended_with_its_child() {
    let short = ChildLimits { children: 1, time: Duration::from_secs(3), ..limits() };
    let (catalogue, gegl) = catalogue(&short);
    let (graph, image) = slow(&catalogue);
    let plan = plan(&graph, &[], Some(&image), &catalogue).unwrap();
    let pid = gegl.idle()[0];
    let error = ENGINE.render(&plan, Some(image), &Control::default()).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("process 'blur': GEGL used more than 3 s") && text.contains("IMGFLO_CHILD_SECONDS"),
        "{text}"
    );
    assert!(!children().contains(&pid), "it is gone");
    quick(&catalogue);
}

#[test]
fn a_cancelled_job_frees_its_child_at_once() {
    let one = ChildLimits { children: 1, ..limits() };
    let (catalogue, _gegl) = catalogue(&one);
    let (graph, image) = slow(&catalogue);
    let plan = plan(&graph, &[], Some(&image), &catalogue).unwrap();
    let control = Control { cancel: Cancel::new(), progress: None };
    let cancel = control.cancel.clone();
    std::thread::scope(|scope| {
        let job = scope.spawn(|| ENGINE.render(&plan, Some(image.clone()), &control).unwrap_err());
        std::thread::sleep(Duration::from_millis(200));
        cancel.cancel();
        assert_eq!(job.join().unwrap().kind, RenderErrorKind::Cancelled);
    });
    quick(&catalogue);
}

#[test]
fn memory_is_bounded() {
    let little = ChildLimits { children: 1, memory: 300 << 20, ..limits() };
    let (catalogue, _gegl) = catalogue(&little);
    let json = json!({
        "inports": { "input": { "process": "blur", "port": "input" } },
        "outports": { "output": { "process": "blur", "port": "output" } },
        "processes": { "blur": { "component": "gegl/gaussian-blur" } },
        "connections": [{ "data": 200, "tgt": { "process": "blur", "port": "std-dev-x" } }],
    });
    let rect = Rect::sized(4000, 3000);
    let image = Image::from_rgb8(rect, vec![[9, 99, 199]; rect.area() as usize]);
    let graph = graph("large", &json, &catalogue);
    let plan = plan(&graph, &[], Some(&image), &catalogue).unwrap();
    let error = ENGINE.render(&plan, Some(image), &Control::default()).unwrap_err();
    assert!(matches!(error.kind, RenderErrorKind::Failed(_)), "{error}");
    quick(&catalogue);
}

#[test]
fn what_a_graph_may_not_do_is_refused() {
    let (catalogue, gegl) = catalogue(&limits());
    for name in ["gegl/load", "gegl/png-save", "gegl/magick-load", "gegl/v4l", "gegl/gegl", "gegl/write-buffer"] {
        assert!(catalogue.operation(name).is_none(), "{name}");
    }
    assert!(catalogue.infos().count() > 140, "{} operations", catalogue.infos().count());
    // Where a container has no namespaces to give, the list of system calls covers for them.
    let open = gegl.unenforced().into_iter().filter(|gap| gap.open).collect::<Vec<_>>();
    assert_eq!(open, [], "the kernel enforces all");
}
