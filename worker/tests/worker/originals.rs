//! Jobs of the original's own front ends. `original-job.json` is one as its HttpApi sends it (imgflo-server 0.6); the
//! tests only change the address of its input.

use std::path::Path;
use std::sync::Arc;

use imgflo_job::{Category, Job};
use imgflo_runtime::{Catalogue, Library, LibraryLimits};

use super::origin::{Origin, answer};
use super::setup::{Options, Setup, URGENT, png};

fn job(input: &str) -> Job {
    let mut job: Job = serde_json::from_str(include_str!("original-job.json")).unwrap();
    assert!(job.data.definition.is_null() && job.data.source.is_none());
    job.data.files.input.as_mut().unwrap().src = input.into();
    job
}

fn shipped() -> Arc<Library> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../graphs");
    let limits = LibraryLimits { max_nodes: 200, max_bytes: 1 << 20 };
    Arc::new(Library::load(&folder, Arc::new(Catalogue::native()), &limits).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_with_the_graphs_does_them() {
    let origin = Origin::start(|_| answer("200 OK", &[("content-type", "image/png")], &png(154, 100))).await;
    let setup = Setup::new().await;
    let _worker = setup.worker(Options { library: Some(shipped()), ..Options::default() });
    let job = job(&origin.url("/marbles.png"));
    let result = setup.run(&job).await;
    assert_eq!(result.error, None);
    assert_eq!((result.output_width, result.results.url), (Some(77), Some(format!("./{}", job.data.cachekey))));
    assert_eq!(result.job.id, job.id);
    assert!(result.job.data.definition.is_null() && result.job.data.source.is_none(), "the job comes back as it was");
    let header = setup.stored_header(&job.data.cachekey).await;
    assert_eq!(header.width, 77);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_them_says_what_is_missing() {
    for (library, missing) in [(None, "--graphs (IMGFLO_GRAPHS)"), (Some(Arc::default()), "has no 'desaturate'")] {
        let setup = Setup::new().await;
        let _worker = setup.worker(Options { library, ..Options::default() });
        let result = setup.run(&job("http://127.0.0.1:9/marbles.jpg")).await;
        assert_eq!(result.error.unwrap().category, Category::Unavailable);
        setup.until(URGENT, |queue| queue.dead_letters == 1).await;
        let dead = setup.broker.dead_letters(URGENT).unwrap();
        let reason = &dead[0].death.reason;
        assert!(reason.contains("job without a graph: data.definition is missing"), "{reason}");
        assert!(reason.contains(missing), "{reason}");
    }
}
