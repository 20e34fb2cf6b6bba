//! What all requests share.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use http::header::HOST;
use http::{HeaderMap, Uri};
use imgflo_apps::Directory;
use imgflo_cache::{Claims, Store};
use imgflo_job::input::OwnOrigins;
use imgflo_job::request::Request;
use imgflo_job::{Background, Category, FleetSecrets, JobError, Limits};
use imgflo_msgflo::Transport;
use imgflo_runtime::{Library, LiveOperations};
use serde::Serialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::asked::{Asked, Memory};
use crate::auth::{Access, Application};
use crate::flight::Flights;
use crate::listing::Listing;
use crate::origins::{Allowed, Origins};
use crate::pieces::Room;
use crate::queue::{Queue, QueueError};
use crate::resolve::Resolver;
use crate::strays::Strays;
use crate::watch;

/// The front end as handlers get it.
pub(crate) type SharedFront = Arc<Front>;

/// Tells how a part of the system is, as JSON.
pub type Report = Box<dyn Fn() -> Value + Send + Sync>;

/// How long clients may wait for results that are being made when the server stops, by default. Then
/// they are told to ask again, while there is time for that: [`crate::ServeOptions::drain_timeout`]
/// is longer.
pub const DRAIN: Duration = Duration::from_secs(16);

/// What takes operations in C while the server runs.
pub struct LiveCode {
    /// Compiles them and puts them in force.
    pub operations: Arc<LiveOperations>,
    /// Whoever writes them tells it.
    pub secret: String,
}

/// What a front end is made of.
pub struct FrontParts {
    /// The graphs. Their folder is looked at while the server runs, and what changes is served.
    pub library: Arc<Library>,
    /// Where results are.
    pub store: Arc<dyn Store>,
    /// Who has which result made, among all front ends that share them.
    pub claims: Arc<dyn Claims>,
    /// The way to the workers.
    pub transport: Arc<dyn Transport>,
    /// True when workers are other processes: their store may be another one by mistake.
    pub workers_elsewhere: bool,
    /// Signs and checks messages.
    pub secrets: FleetSecrets,
    /// What strangers may ask for.
    pub limits: Limits,
    /// Folder served under `/files/`.
    pub files: PathBuf,
    /// Who may ask, by the settings.
    pub applications: Vec<Application>,
    /// Who else may ask, by the database; and how much.
    pub directory: Option<Arc<Directory>>,
    /// Whether everybody may ask as long as nobody is named in either.
    pub open_when_empty: bool,
    /// The address that clients see, if it is not the one we listen on. Redirects name it.
    pub public_url: Option<Url>,
    /// Pages that may read what is served, beside ours.
    pub origins: Origins,
    /// The address we listen on.
    pub bind: SocketAddr,
    /// What `/version` tells.
    pub version: VersionInfo,
    /// Quality of lossy results whose request says none, 1..=100.
    pub quality: u8,
    /// The colour behind results whose type has no alpha.
    pub background: Background,
    /// Whether who asks for AVIF waits for it; else it is made in the background, and the client gets
    /// WebP until it is there.
    pub urgent_avif: bool,
    /// Where operations in C may be written while the server runs.
    pub live: Option<LiveCode>,
    /// Is called before the graphs are read again.
    pub before_reading: Option<Box<dyn Fn() + Send + Sync>>,
    /// What else `/readyz` tells, by name.
    pub reports: Vec<(&'static str, Report)>,
    /// When the server stops.
    pub shutdown: CancellationToken,
    /// How long clients may wait after that: [`DRAIN`].
    pub drain: Duration,
}

/// What `/version` tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VersionInfo {
    /// Version of the front end.
    pub server: String,
    /// Version of what evaluates graphs.
    pub runtime: String,
}

/// Why a front end could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The queues could not be set up.
    #[error("the queues could not be set up: {0}")]
    Queue(#[from] QueueError),
    /// The folder of graphs cannot be looked at.
    #[error("the folder of graphs cannot be watched: {0}")]
    Watch(#[from] io::Error),
}

/// What follows from the graphs; replaced as a whole when they change.
struct Served {
    library: Arc<Library>,
    listing: Arc<Listing>,
}

/// The front end: everything but the connections.
pub struct Front {
    served: RwLock<Served>,
    store: Arc<dyn Store>,
    strays: Option<Arc<Strays>>,
    limits: Limits,
    files: PathBuf,
    access: Access,
    public_url: Option<Url>,
    /// Addresses of ours that do not depend on the request.
    own: Vec<Url>,
    version: VersionInfo,
    quality: u8,
    background: Background,
    urgent_avif: bool,
    live: Option<LiveCode>,
    before_reading: Option<Box<dyn Fn() + Send + Sync>>,
    reloading: Mutex<()>,
    reports: Vec<(&'static str, Report)>,
    shutdown: CancellationToken,
    drain: Duration,
    queue: Queue,
    memory: Memory,
    room: Room,
    origins: Allowed,
    on_loopback: bool,
}

impl Front {
    /// Sets up the queues and starts to listen for results. Waits for no broker: one that is away
    /// gets its queues when it is there, and until then only stored results are served.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(parts: FrontParts) -> Result<Arc<Self>, StartError> {
        let access = Access::new(parts.applications, parts.directory, parts.open_when_empty);
        watch::tell(&parts.library, &Library::default());
        let listing = Arc::new(Listing::new(&parts.library, access.is_closed()));
        let strays = parts.workers_elsewhere.then(Arc::<Strays>::default);
        let store = Arc::clone(&parts.store);
        let queue =
            Queue::start(parts.transport, parts.claims, store, strays.clone(), &parts.limits, parts.secrets).await?;
        let own: Vec<Url> = parts.public_url.iter().cloned().chain(local_addresses(parts.bind)).collect();
        let origins = Allowed::new(parts.origins, &own, parts.public_url.is_some());
        let front = Arc::new(Front {
            served: RwLock::new(Served { library: parts.library, listing }),
            store: parts.store,
            strays,
            limits: parts.limits,
            files: parts.files,
            access,
            public_url: parts.public_url.map(with_slash),
            own,
            version: parts.version,
            quality: parts.quality,
            background: parts.background,
            urgent_avif: parts.urgent_avif,
            live: parts.live,
            before_reading: parts.before_reading,
            reloading: Mutex::default(),
            reports: parts.reports,
            shutdown: parts.shutdown,
            drain: parts.drain,
            queue,
            memory: Memory::default(),
            room: Room::default(),
            origins,
            on_loopback: parts.bind.ip().is_loopback(),
        });
        watch::watch(Arc::downgrade(&front), front.shutdown.clone())?;
        Ok(front)
    }

    /// True when requests need an application: there is one, or the settings ask for one.
    pub fn is_closed(&self) -> bool {
        self.access.is_closed()
    }

    /// Serves other graphs from now on. Jobs under way keep the graphs they were made from.
    fn replace_library(&self, library: Arc<Library>) {
        let listing = Arc::new(Listing::new(&library, self.access.is_closed()));
        *self.served.write().unwrap_or_else(PoisonError::into_inner) = Served { library, listing };
        self.memory.clear();
    }

    /// Reads the graphs anew, since their files or the operations in them changed. Takes a while: not for
    /// the threads that serve. Requests go on with the graphs that there are until then.
    ///
    /// # Errors
    /// Why they cannot be read; for the log.
    pub fn reload(&self) -> io::Result<()> {
        // One at a time: what was read first must not replace what was read later.
        let _one = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before_reading) = &self.before_reading {
            before_reading();
        }
        let before = self.library();
        let library = before.reload()?;
        watch::tell(&library, &before);
        self.replace_library(Arc::new(library));
        Ok(())
    }

    /// The graphs of the moment.
    pub(crate) fn library(&self) -> Arc<Library> {
        Arc::clone(&self.served.read().unwrap_or_else(PoisonError::into_inner).library)
    }

    /// Their list.
    pub(crate) fn listing(&self) -> Arc<Listing> {
        let closed = self.access.is_closed();
        {
            let served = self.served.read().unwrap_or_else(PoisonError::into_inner);
            if served.listing.is_closed() == closed {
                return Arc::clone(&served.listing);
            }
        }
        // The first application was added, or the last removed.
        let mut served = self.served.write().unwrap_or_else(PoisonError::into_inner);
        served.listing = Arc::new(Listing::new(&served.library, closed));
        Arc::clone(&served.listing)
    }

    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Where results of workers are noted that are not in our store; `None` when workers are in this process.
    pub(crate) fn strays(&self) -> Option<&Strays> {
        self.strays.as_deref()
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn files(&self) -> &Path {
        &self.files
    }

    /// True when everybody may ask who is on this machine.
    pub(crate) fn is_open_on_loopback(&self) -> bool {
        self.on_loopback && !self.access.is_closed()
    }

    /// Pages that may read what is served.
    pub(crate) fn origins(&self) -> &Allowed {
        &self.origins
    }

    /// Room for large pieces of bodies.
    pub(crate) fn room(&self) -> &Room {
        &self.room
    }

    pub(crate) fn version(&self) -> &VersionInfo {
        &self.version
    }

    pub(crate) fn public_url(&self) -> Option<&Url> {
        self.public_url.as_ref()
    }

    pub(crate) fn queue(&self) -> &Queue {
        &self.queue
    }

    pub(crate) fn flights(&self) -> &Arc<Flights> {
        self.queue.flights()
    }

    /// Where a result is, or will be: absolute when our public address is known.
    pub(crate) fn address_of(&self, key: &str) -> String {
        match &self.public_url {
            Some(base) => format!("{base}cache/{key}"),
            None => format!("/cache/{key}"),
        }
    }

    /// Whether who asks for AVIF waits for it.
    pub(crate) fn urgent_avif(&self) -> bool {
        self.urgent_avif
    }

    pub(crate) fn live(&self) -> Option<&LiveCode> {
        self.live.as_ref()
    }

    pub(crate) fn reports(&self) -> &[(&'static str, Report)] {
        &self.reports
    }

    /// True once the server stops.
    pub(crate) fn is_stopping(&self) -> bool {
        self.shutdown.is_cancelled()
    }

    /// Ends when clients cannot wait any longer, as the server stops.
    pub(crate) async fn out_of_time(&self) {
        self.shutdown.cancelled().await;
        tokio::time::sleep(self.drain).await;
    }

    /// What an address asked for when it was last asked for, if that is still so and still allowed.
    ///
    /// # Errors
    /// It is not allowed (any more).
    pub(crate) async fn remembered(&self, uri: &Uri, headers: &HeaderMap) -> Result<Option<Arc<Asked>>, JobError> {
        let Some(asked) = self.memory.get(uri, headers) else { return Ok(None) };
        let same_graphs = {
            let served = self.served.read().unwrap_or_else(PoisonError::into_inner);
            Arc::ptr_eq(&served.library, asked.library())
        };
        if !same_graphs || !asked.is_fresh(self.files()).await {
            return Ok(None);
        }
        asked.requests().try_for_each(|request| self.access.check(request))?;
        Ok(Some(asked))
    }

    /// What a request asks for.
    ///
    /// # Errors
    /// Everything that can be known without the input's bytes.
    pub(crate) async fn resolve(
        self: &Arc<Self>,
        request: Request,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Arc<Asked>, JobError> {
        let own = OwnOrigins::new(self.own.iter().cloned().chain(asked_addresses(headers)));
        // Who asks for the page with GET is not given the picture that the same address orders with POST.
        let remember = !request.debug;
        // Files are looked at for their versions: not on the threads that serve.
        let blocks = request.input.as_ref().is_some_and(|input| input.contains("files"));
        let front = Arc::clone(self);
        let path = uri.path().to_owned();
        let resolve = move || {
            let resolver = Resolver {
                library: front.library(),
                access: &front.access,
                limits: &front.limits,
                own,
                files: &front.files,
                quality: front.quality,
                background: front.background,
            };
            let resolved = resolver.resolve(request, &path)?;
            Asked::new(resolved, &|key| front.address_of(key))
        };
        let asked = if blocks {
            let failed = |error| JobError::new(Category::Internal, format!("resolving a request: {error}"));
            tokio::task::spawn_blocking(resolve).await.map_err(failed)??
        } else {
            resolve()?
        };
        let asked = Arc::new(asked);
        if remember {
            self.memory.put(uri, headers, &asked);
        }
        Ok(asked)
    }
}

fn with_slash(mut url: Url) -> Url {
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    url.set_query(None);
    url.set_fragment(None);
    url
}

/// The addresses at which a local client reaches what listens on `bind`.
fn local_addresses(bind: SocketAddr) -> Vec<Url> {
    let mut hosts = vec![SocketAddr::new(bind.ip(), bind.port()).to_string()];
    if bind.ip().is_loopback() || bind.ip().is_unspecified() {
        hosts.push(format!("localhost:{}", bind.port()));
        hosts.push(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), bind.port()).to_string());
        hosts.push(SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), bind.port()).to_string());
    }
    hosts.iter().filter_map(|host| Url::parse(&format!("http://{host}/")).ok()).collect()
}

/// The address that this client used, in both schemes: a proxy in front of us may speak TLS. A
/// client that lies in `Host` only gets our own pictures instead of those of the host it names.
fn asked_addresses(headers: &HeaderMap) -> Vec<Url> {
    let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else { return Vec::new() };
    if host.is_empty() || host.contains(['/', '\\', '@', '?', '#']) {
        return Vec::new();
    }
    ["http", "https"].iter().filter_map(|scheme| Url::parse(&format!("{scheme}://{host}/")).ok()).collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn own_addresses() {
        let own = |bind: &str, host: &'static str, url: &str| {
            let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static(host))]);
            let addresses = local_addresses(bind.parse().unwrap()).into_iter().chain(asked_addresses(&headers));
            OwnOrigins::new(addresses).contains(&Url::parse(url).unwrap())
        };
        assert!(own("127.0.0.1:8080", "img.example", "http://localhost:8080/files/a"));
        assert!(own("0.0.0.0:8080", "img.example", "http://[::1]:8080/files/a"));
        assert!(own("127.0.0.1:8080", "img.example", "https://img.example/files/a"));
        assert!(own("127.0.0.1:8080", "img.example:81", "http://img.example:81/files/a"));
        assert!(!own("10.0.0.1:8080", "img.example", "http://localhost:8080/files/a"));
        assert!(!own("127.0.0.1:8080", "img.example", "http://localhost:8081/files/a"));
        assert!(!own("127.0.0.1:8080", "a@img.example/x", "http://img.example/files/a"));
        assert!(!own("127.0.0.1:8080", "", "http://other/files/a"));
    }

    #[test]
    fn a_public_address_ends_in_a_slash() {
        assert_eq!(with_slash(Url::parse("https://a.example/img?x#y").unwrap()).as_str(), "https://a.example/img/");
        assert_eq!(with_slash(Url::parse("https://a.example").unwrap()).as_str(), "https://a.example/");
    }
}
