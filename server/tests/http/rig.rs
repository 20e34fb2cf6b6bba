//! A front end on a loopback port, the in-process broker, a store in a folder, and a peer that
//! speaks the workers' side of the protocol.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use imgflo_apps::Directory;
use imgflo_cache::{Claims, LocalClaims, LocalStore, Store};
use imgflo_job::{Background, Cancel, FleetSecrets, Job, JobError, JobResult, Limits, Urgency};
use imgflo_msgflo::{Consumer, InProcess, Outcome, QueueOptions, Transport};
use imgflo_runtime::{Catalogue, Library, LibraryLimits};
use imgflo_server::{Application, Front, FrontParts, Origins, ServeOptions, VersionInfo};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::switch::Switch;

/// No step of a test takes this long unless something hangs.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A one-pixel GIF: enough for whoever looks at the first bytes.
pub const PICTURE: &[u8] = b"GIF89a\x01\x00\x01\x00\x00\x00\x00;";

const PLAIN: &str = "# @runtime imgflo\nINPORT=a.INPUT:INPUT\nOUTPORT=a.OUTPUT:OUTPUT\na(gegl/nop)\n";
const TONE: &str = "# @runtime imgflo\nINPORT=a.INPUT:INPUT\nOUTPORT=a.OUTPUT:OUTPUT\n\
                    INPORT=a.CONTRAST:CONTRAST\nINPORT=a.BRIGHTNESS:BRIGHTNESS\na(gegl/brightness-contrast)\n";
/// A graph with a parameter that is called as one of ours.
const OWN: &str = "# @runtime imgflo\nINPORT=a.INPUT:INPUT\nOUTPORT=a.OUTPUT:OUTPUT\n\
                   INPORT=a.CONTRAST:QUALITY\na(gegl/brightness-contrast)\n";
const NOOP: &str = r#"{"properties": {"environment": {"type": "noop"}}, "inports": {}, "outports": {}}"#;

/// What a test may want otherwise.
#[derive(Default)]
pub struct Wish {
    pub limits: Limits,
    pub applications: Vec<Application>,
    pub directory: Option<Arc<Directory>>,
    /// Nothing is allowed without applications.
    pub closed: bool,
    pub public_url: Option<Url>,
    pub origins: Origins,
    pub serve: ServeOptions,
    /// In place of the store in a folder.
    pub store: Option<Arc<dyn Store>>,
    pub quality: Option<u8>,
    pub background: Option<Background>,
    pub urgent_avif: bool,
    pub drain: Option<Duration>,
    /// What is between the front end and its broker.
    pub switch: Option<Arc<Switch>>,
    /// True if the workers are taken for other processes.
    pub workers_elsewhere: bool,
    /// In place of the broker in the process.
    pub transport: Option<Arc<dyn Transport>>,
    pub secrets: FleetSecrets,
}

/// All of it.
pub struct Rig {
    pub address: SocketAddr,
    pub router: Router,
    pub transport: Arc<InProcess>,
    pub store: Arc<dyn Store>,
    pub claims: Arc<dyn Claims>,
    pub folder: Arc<TempDir>,
    pub shutdown: CancellationToken,
    pub serving: tokio::task::JoinHandle<std::io::Result<()>>,
}

/// A response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Checks what all failures have in common.
    #[track_caller]
    pub fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(self.header("cache-control"), "no-store", "{self:?}");
        assert_eq!(self.header("x-content-type-options"), "nosniff", "{self:?}");
        let body = self.json();
        assert_eq!(body["status"], status, "{body}");
        body
    }
}

impl Rig {
    pub async fn start() -> Self {
        Self::with(Wish::default()).await
    }

    pub async fn with(wish: Wish) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["graphs", "files/sub"] {
            std::fs::create_dir_all(path(name)).unwrap();
        }
        for (name, text) in
            [("plain.fbp", PLAIN), ("tone.fbp", TONE), ("own.fbp", OWN), ("noop.json", NOOP), ("broken.json", "{")]
        {
            std::fs::write(path("graphs").join(name), text).unwrap();
        }
        std::fs::write(path("files/a.gif"), PICTURE).unwrap();
        std::fs::write(path("files/sub/b c.gif"), PICTURE).unwrap();
        std::fs::write(path("files/page.html"), "<script>alert(1)</script>").unwrap();
        std::fs::write(path("files/.hidden.gif"), PICTURE).unwrap();
        std::fs::write(path("secret.txt"), "secret").unwrap();
        let store: Arc<dyn Store> = match &wish.store {
            Some(store) => Arc::clone(store),
            None => Arc::new(LocalStore::open(&path("cache"), 1 << 30).unwrap()),
        };
        let transport = match &wish.switch {
            Some(switch) => Arc::clone(&switch.broker),
            None => InProcess::new(),
        };
        Self::front(wish, Arc::new(folder), store, Arc::new(LocalClaims::default()), transport).await
    }

    /// Another front end with the same broker, store, claims and files.
    pub async fn another(&self, wish: Wish) -> Self {
        let Rig { folder, store, claims, transport, .. } = self;
        Self::front(wish, folder.clone(), store.clone(), claims.clone(), transport.clone()).await
    }

    async fn front(
        wish: Wish,
        folder: Arc<TempDir>,
        store: Arc<dyn Store>,
        claims: Arc<dyn Claims>,
        transport: Arc<InProcess>,
    ) -> Self {
        let limits = LibraryLimits { max_nodes: 200, max_bytes: 1 << 20 };
        let library = Library::load(&folder.path().join("graphs"), Arc::new(Catalogue::native()), &limits).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let queues: Arc<dyn Transport> = match (wish.transport, wish.switch) {
            (Some(other), _) => other,
            (None, Some(switch)) => switch,
            (None, None) => transport.clone(),
        };
        let front = Front::start(FrontParts {
            library: Arc::new(library),
            store: Arc::clone(&store),
            claims: Arc::clone(&claims),
            transport: queues,
            workers_elsewhere: wish.workers_elsewhere,
            secrets: wish.secrets,
            limits: wish.limits,
            files: folder.path().join("files"),
            applications: wish.applications,
            directory: wish.directory,
            open_when_empty: !wish.closed,
            public_url: wish.public_url,
            origins: wish.origins,
            bind: address,
            version: VersionInfo { server: "1.2.3".into(), runtime: "native".into() },
            quality: wish.quality.unwrap_or(85),
            background: wish.background.unwrap_or_default(),
            urgent_avif: wish.urgent_avif,
            live: None,
            before_reading: None,
            reports: vec![("index", Box::new(|| json!({"failures": 3})))],
            shutdown: shutdown.clone(),
            drain: wish.drain.unwrap_or(imgflo_server::DRAIN),
        })
        .await
        .unwrap();
        let router = imgflo_server::router(front);
        let serving = imgflo_server::serve_with(listener, router.clone(), shutdown.clone(), wish.serve);
        let serving = tokio::spawn(serving);
        Rig { address, router, transport, store, claims, folder, shutdown, serving }
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// One request on a connection of its own.
    pub async fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
        let mut text = format!("{method} {target} HTTP/1.1\r\nconnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            text.push_str(&format!("host: {}\r\n", self.address));
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        self.raw(text.as_bytes()).await
    }

    pub async fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, &[]).await
    }

    /// Sends bytes, and reads what comes until the connection closes.
    pub async fn raw(&self, bytes: &[u8]) -> Answer {
        let mut stream = self.connect().await;
        // The server may refuse before it has read all.
        let _ = stream.write_all(bytes).await;
        read_answer(&mut stream).await
    }

    /// A peer that takes jobs of a lane.
    pub async fn peer(&self, urgency: Urgency) -> Peer {
        let role = match urgency {
            Urgency::Urgent => "imgflo_urgentworker",
            Urgency::Background => "imgflo_backgroundworker",
        };
        let jobs = self.transport.consume(&format!("{role}.JOB")).await.unwrap();
        let cancels = format!("{role}-peer.JOBCANCEL");
        self.transport.declare_inport(&cancels, QueueOptions::default()).await.unwrap();
        self.transport.bind("imgflo_api.JOBCANCEL", &cancels).await.unwrap();
        let cancels = self.transport.consume(&cancels).await.unwrap();
        let answers = format!("{role}.JOBRESULT");
        Peer { jobs, cancels, answers, transport: self.transport.clone(), store: Arc::clone(&self.store) }
    }

    /// A peer that answers every urgent job with [`PICTURE`].
    pub async fn busy_peer(&self) {
        let peer = self.peer(Urgency::Urgent).await;
        tokio::spawn(async move {
            while let Some(delivery) = peer.jobs.next().await {
                let job = serde_json::from_slice(&delivery.message).unwrap();
                delivery.settle(Outcome::Done);
                peer.finish(job).await;
            }
        });
    }

    /// How many messages wait in a queue.
    pub fn waiting(&self, queue: &str) -> usize {
        self.transport.queues().into_iter().find(|status| status.name == queue).unwrap().waiting
    }
}

/// Reads one response that ends with its connection.
pub async fn read_answer(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("no answer").unwrap();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_else(|| {
        panic!("no whole head: {:?}", String::from_utf8_lossy(&bytes));
    });
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap()))
        .collect::<HeaderMap>();
    Answer { status, headers, body: Bytes::copy_from_slice(&bytes[end + 4..]) }
}

/// The workers' side of a lane.
pub struct Peer {
    jobs: Consumer,
    cancels: Consumer,
    answers: String,
    transport: Arc<InProcess>,
    store: Arc<dyn Store>,
}

impl Peer {
    /// The next job, acknowledged.
    pub async fn take(&self) -> Job {
        let delivery = tokio::time::timeout(PATIENCE, self.jobs.next()).await.expect("no job").unwrap();
        let job = serde_json::from_slice(&delivery.message).unwrap();
        delivery.settle(Outcome::Done);
        job
    }

    /// The next job, acknowledged, however long it takes to come.
    pub async fn take_whenever(&self) -> Job {
        let delivery = self.jobs.next().await.unwrap();
        let job = serde_json::from_slice(&delivery.message).unwrap();
        delivery.settle(Outcome::Done);
        job
    }

    /// The id of the next job to cancel.
    pub async fn cancelled(&self) -> String {
        let delivery = tokio::time::timeout(PATIENCE, self.cancels.next()).await.expect("no cancellation").unwrap();
        let cancel: Cancel = serde_json::from_slice(&delivery.message).unwrap();
        delivery.settle(Outcome::Done);
        cancel.id
    }

    /// Stores a picture for a job.
    pub async fn store(&self, job: &Job) {
        self.store.put(&job.data.cachekey, Bytes::from_static(PICTURE), true).await.unwrap();
    }

    /// Stores a picture for a job, and says so.
    pub async fn finish(&self, job: Job) {
        self.store(&job).await;
        let mut result = JobResult::of(job);
        result.results.url = Some(format!("./{}", result.job.data.cachekey));
        self.report(&result).await;
    }

    /// Says that a job failed.
    pub async fn fail(&self, job: Job, error: JobError) {
        let mut result = JobResult::of(job);
        result.error = Some(error);
        self.report(&result).await;
    }

    pub async fn report(&self, result: &JobResult) {
        let message = serde_json::to_vec(result).unwrap();
        self.transport.send(&self.answers, message.into()).await.unwrap();
    }
}
