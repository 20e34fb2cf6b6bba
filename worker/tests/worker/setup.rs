//! A worker with everything around it, and the messages that go in and out.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use imgflo_cache::{Claims, LocalClaims, LocalStore, Store};
use imgflo_job::key::{Keeping, cache_key};
use imgflo_job::{
    Background, Cancel, Files, FleetSecrets, InputFile, Job, JobData, JobResult, Limits, Quality, Source, Urgency,
    message, network,
};
use imgflo_msgflo::{Consumer, InProcess, Network, Outcome, QueueOptions, QueueStatus, Transport};
use imgflo_runtime::ops::codec::{self, EncodeOptions, FileFormat, Header};
use imgflo_runtime::ops::{Cancel as OpsCancel, Image, Rect};
use imgflo_runtime::{Catalogue, Engine, ImageGraph, Library, LibraryLimits, NativeEngine, fbp};
use imgflo_worker::{Error, FetchSettings, JobCommand, Role, Worker, WorkerParts};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a test waits for what must come. Only ever reached when it does not.
const PATIENCE: Duration = Duration::from_secs(60);

pub const URGENT: &str = "imgflo_urgentworker.JOB";
pub const BACKGROUND: &str = "imgflo_backgroundworker.JOB";

/// A PNG of a colour gradient.
pub fn png(width: u32, height: u32) -> Vec<u8> {
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| [x as u8, y as u8, (x * y) as u8])).collect();
    let image = Image::from_rgb8(Rect::sized(width, height), pixels);
    codec::encode(&image, EncodeOptions::new(FileFormat::Png, 90), &OpsCancel::new()).unwrap()
}

/// A graph of one operation that takes an input.
pub fn one_operation(component: &str) -> Value {
    json!({
        "properties": {"environment": {"type": "imgflo"}},
        "inports": {"input": {"process": "only", "port": "input"}},
        "outports": {"output": {"process": "only", "port": "output"}},
        "processes": {"only": {"component": component}},
        "connections": []
    })
}

/// A graph that hands its input on.
pub fn noop() -> Value {
    json!({"properties": {"environment": {"type": "noop"}}, "processes": {}, "connections": []})
}

/// What is asked for; `key` names the result.
pub fn ask(key: &str, definition: Value, source: Option<Source>) -> JobData {
    let outtype = key.split_once('.').map(|(_, outtype)| outtype.to_owned());
    JobData {
        graphspec: "test".into(),
        graph: "test".into(),
        files: Files { input: source.as_ref().map(|_| InputFile::new("given")) },
        iips: BTreeMap::new(),
        outtype,
        apikey: None,
        token: None,
        cachekey: key.into(),
        query: String::new(),
        request: "/graph/test".into(),
        no_cache: false,
        debug_url: None,
        runtime: "imgflo".into(),
        source,
        definition,
        quality: Quality::default(),
        background: None,
    }
}

/// The key that a front end computes.
pub fn key_of(data: &JobData) -> String {
    let limits = LibraryLimits { max_nodes: 200, max_bytes: 1 << 20 };
    let graph = fbp::Graph::from_json(&data.definition).unwrap();
    let graph = ImageGraph::new("test", graph, &Catalogue::native(), &limits).unwrap();
    let arguments = graph.arguments(&data.iips).unwrap().canonical();
    let identity = data.source.as_ref().map(Source::identity).unwrap_or_default();
    let keeping = data.source.as_ref().map_or(Keeping::Forever, Source::keeping);
    let outtype = data.outtype.as_deref();
    cache_key(graph.content(), &arguments, &identity, keeping, outtype, data.quality, data.background)
}

pub fn file(path: &str) -> Option<Source> {
    Some(Source::File { path: path.into(), version: None })
}

/// A job that hands `in.png` on through the engine.
pub fn copy(key: &str) -> JobData {
    ask(key, one_operation("gegl/nop"), file("in.png"))
}

pub fn urgent(data: JobData) -> Job {
    Job::new(Urgency::Urgent, data, Some(message::now() + 60_000))
}

pub fn background(data: JobData) -> Job {
    Job::new(Urgency::Background, data, None)
}

/// Settings of a worker under test.
pub struct Options {
    pub engine: Arc<dyn Engine>,
    pub store: Option<Arc<dyn Store>>,
    pub limits: Limits,
    pub library: Option<Arc<Library>>,
    pub slots: usize,
    pub memory_budget: u64,
    pub accept_cut: bool,
    pub roles: &'static [Role],
    /// In place of the broker in the process.
    pub transport: Option<Arc<dyn Transport>>,
    pub secrets: FleetSecrets,
    pub isolation: Option<JobCommand>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            engine: Arc::new(NativeEngine::new(2)),
            store: None,
            limits: Limits::default(),
            library: None,
            slots: 2,
            memory_budget: 1 << 30,
            accept_cut: false,
            roles: &[Role::Urgent, Role::Background],
            transport: None,
            secrets: FleetSecrets::default(),
            isolation: None,
        }
    }
}

/// The queues, the store and the front end's side.
pub struct Setup {
    pub folder: tempfile::TempDir,
    pub store: Arc<dyn Store>,
    pub claims: Arc<dyn Claims>,
    pub broker: Arc<InProcess>,
    results: Consumer,
}

/// A worker at work; dropping it is its death.
pub struct AtWork {
    pub shutdown: CancellationToken,
    pub task: JoinHandle<Result<(), Error>>,
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl AtWork {
    /// The worker dies with whatever it is doing.
    pub async fn die(mut self) {
        self.task.abort();
        assert!((&mut self.task).await.unwrap_err().is_cancelled());
    }

    /// Waits for its regular end.
    pub async fn ended(mut self) -> Result<(), Error> {
        tokio::time::timeout(PATIENCE, &mut self.task).await.expect("the worker ends").unwrap()
    }
}

impl Setup {
    /// Everything but a worker; `in.png` (40 x 30) is among the files.
    pub async fn new() -> Setup {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("files")).unwrap();
        std::fs::write(folder.path().join("files/in.png"), png(40, 30)).unwrap();
        let store = Arc::new(LocalStore::open(&folder.path().join("cache"), 1 << 30).unwrap());
        let broker = InProcess::new();
        broker.declare_inport("results", QueueOptions { limit: None, temporary: true }).await.unwrap();
        let network = Network::from_graph(&network::graph()).unwrap();
        network.set_up(&*broker, &|_| None).await.unwrap();
        for source in network.sources(network::API, "jobresult") {
            broker.bind(source, "results").await.unwrap();
        }
        let results = broker.consume("results").await.unwrap();
        Setup { folder, store, claims: Arc::new(LocalClaims::default()), broker, results }
    }

    pub fn files(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    /// Starts a worker.
    pub fn worker(&self, options: Options) -> AtWork {
        let worker = Worker::new(WorkerParts {
            store: options.store.unwrap_or_else(|| Arc::clone(&self.store)),
            claims: Arc::clone(&self.claims),
            catalogue: Arc::new(Catalogue::native()),
            engine: options.engine,
            limits: options.limits,
            fetch: FetchSettings {
                allow_addresses: vec!["127.0.0.0/8".parse().unwrap()],
                user_agent: "imgflo-test/1".into(),
            },
            files: self.files(),
            library: options.library,
            slots: options.slots,
            memory_budget: options.memory_budget,
            quality: 90,
            background: Background::WHITE,
            accept_cut: options.accept_cut,
            secrets: options.secrets,
            isolation: options.isolation,
        });
        let shutdown = CancellationToken::new();
        let transport = options.transport.unwrap_or_else(|| self.broker.clone());
        let task = tokio::spawn(worker.run(transport, options.roles, shutdown.clone()));
        AtWork { shutdown, task }
    }

    pub async fn send(&self, job: &Job) {
        let outport = match job.urgency {
            Urgency::Urgent => "imgflo_api.URGENTJOB",
            Urgency::Background => "imgflo_api.BACKGROUNDJOB",
        };
        self.broker.send(outport, serde_json::to_vec(job).unwrap().into()).await.unwrap();
    }

    /// Sends a job in the video lane.
    pub async fn send_video(&self, job: &Job) {
        self.broker.send("imgflo_api.VIDEOJOB", serde_json::to_vec(job).unwrap().into()).await.unwrap();
    }

    pub async fn cancel(&self, job: &Job) {
        let cancel = serde_json::to_vec(&Cancel::of(job.id.as_str())).unwrap();
        self.broker.send("imgflo_api.JOBCANCEL", cancel.into()).await.unwrap();
    }

    /// The next result.
    pub async fn result(&self) -> JobResult {
        let delivery = tokio::time::timeout(PATIENCE, self.results.next()).await.expect("a result").unwrap();
        let result = serde_json::from_slice(&delivery.message).unwrap();
        delivery.settle(Outcome::Done);
        result
    }

    /// Sends a job and waits for its result.
    pub async fn run(&self, job: &Job) -> JobResult {
        self.send(job).await;
        let result = self.result().await;
        assert_eq!(result.job.id, job.id);
        result
    }

    /// Takes from a queue beside the workers.
    pub async fn broker_consumer(&self, queue: &str) -> Consumer {
        self.broker.consume(queue).await.unwrap()
    }

    pub fn queue(&self, name: &str) -> QueueStatus {
        self.broker.queues().into_iter().find(|queue| queue.name == name).unwrap()
    }

    /// Waits until a queue is as `expected`.
    pub async fn until(&self, name: &str, expected: impl Fn(&QueueStatus) -> bool) {
        until(|| expected(&self.queue(name))).await;
    }

    /// The bytes stored under a key.
    pub async fn stored(&self, key: &str) -> Option<Vec<u8>> {
        self.store.get(key).await.unwrap().map(|blob| blob.bytes.to_vec())
    }

    /// The header of the picture stored under a key.
    pub async fn stored_header(&self, key: &str) -> Header {
        codec::read_header(&self.stored(key).await.expect("a stored result")).unwrap()
    }
}

/// Waits until something has become true.
pub async fn until(mut condition: impl FnMut() -> bool) {
    let end = tokio::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(tokio::time::Instant::now() < end, "what is waited for does not happen");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
