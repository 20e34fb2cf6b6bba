//! `imgflo serve`: front end, queue and workers in one process.

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgMatches, Command};
use imgflo_cache::{Claims, LocalClaims, LocalStore, Store};
use imgflo_msgflo::{InProcess, Transport};
use imgflo_runtime::{Catalogue, Library, NativeEngine};
use imgflo_server::{Front, FrontParts, VersionInfo};
use imgflo_worker::{FetchSettings, Role, Worker, WorkerParts};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::settings::{self, Settings};
use crate::{Failure, limits, version};

/// How long the jobs at work may take to end after the last client has its answer; with the drain of the server this
/// is less than the 25 s after which platforms kill.
const DRAIN: Duration = Duration::from_secs(6);

pub fn command() -> Command {
    settings::flags(
        Command::new("serve")
            .about("Serves images by URL; with no settings, on loopback and with nothing to set up")
            .after_help("Every setting is a flag and an environment variable; `imgflo settings` prints the table."),
    )
}

pub fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let settings = settings::read(matches, &std::env::vars().collect())?;
    start_log(&settings);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| vec![format!("cannot start the runtime: {error}")])?;
    let result = runtime.block_on(serve(&settings));
    // Blocking threads that outlived the drain must not hold the exit up.
    runtime.shutdown_background();
    result
}

fn start_log(settings: &Settings) {
    let filter: tracing_subscriber::EnvFilter = settings.log.parse().expect("the settings were checked");
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if settings.log_json {
        log.json().init();
    } else {
        log.with_target(false).with_ansi(std::io::stderr().is_terminal()).init();
    }
}

async fn serve(settings: &Settings) -> Result<(), Failure> {
    let catalogue = Arc::new(Catalogue::native());
    let library = load_library(settings, &catalogue)?;
    for folder in [&settings.graphs, &settings.files] {
        if !folder.is_dir() {
            return Err(vec![format!("{}: no such folder; set --graphs and --files", folder.display())]);
        }
    }
    let store = LocalStore::open(&settings.data_dir.join("cache"), settings.cache_bytes)
        .map_err(|error| vec![format!("{}: {error}", settings.data_dir.display())])?;
    let store: Arc<dyn Store> = Arc::new(store);
    let claims: Arc<dyn Claims> = Arc::new(LocalClaims::default());
    let transport: Arc<dyn Transport> = InProcess::new();
    let listener = TcpListener::bind(settings.bind)
        .await
        .map_err(|error| vec![format!("cannot listen on {}: {error}", settings.bind)])?;
    let bind = listener.local_addr().map_err(|error| vec![error.to_string()])?;

    let (shutdown, served) = (CancellationToken::new(), CancellationToken::new());
    let worker = Worker::new(WorkerParts {
        store: store.clone(),
        claims: claims.clone(),
        catalogue: catalogue.clone(),
        engine: Arc::new(NativeEngine::new(settings.workers)),
        limits: settings.limits.clone(),
        fetch: FetchSettings {
            allow_addresses: settings.allow_addresses.clone(),
            user_agent: format!("imgflo/{}", version::short()),
        },
        files: settings.files.clone(),
        slots: settings.workers,
        memory_budget: settings.memory_bytes,
        quality: settings.quality,
    });
    let front = Front::start(FrontParts {
        library,
        store,
        claims,
        transport: transport.clone(),
        limits: settings.limits.clone(),
        files: settings.files.clone(),
        applications: settings.applications.clone(),
        public_url: settings.public_url.clone(),
        bind,
        version: VersionInfo { server: version::short().into(), runtime: format!("native {}", version::short()) },
        quality: settings.quality,
        reports: Vec::new(),
        shutdown: shutdown.clone(),
        drain: imgflo_server::DRAIN,
    })
    .await
    .map_err(|error| vec![error.to_string()])?;

    let mut workers = tokio::spawn(worker.run(transport, &[Role::Urgent, Role::Background], served.clone()));
    greet(bind);
    tokio::spawn(stop_on_signal(shutdown.clone()));
    let server = imgflo_server::serve(listener, imgflo_server::router(front), shutdown);
    tokio::select! {
        ended = server => ended.map_err(|error| vec![error.to_string()])?,
        ended = &mut workers => {
            let reason = match ended {
                Ok(Ok(())) => "nobody asked them to".to_owned(),
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            return Err(vec![format!("the workers stopped: {reason}")]);
        }
    }
    // Workers go on for as long as clients wait, and then finish what they have begun.
    served.cancel();
    if tokio::time::timeout(DRAIN, &mut workers).await.is_err() {
        warn!("jobs at work are given up after {} s", DRAIN.as_secs());
    }
    info!("stopped");
    Ok(())
}

/// Tells where the server is. Whoever started it may have closed the pipe: that is no reason to stop.
fn greet(bind: SocketAddr) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "imgflo serves http://{bind}/")
        .and_then(|()| writeln!(out, "try           http://{bind}/graph/gradientmap?input=files/marbles.jpg&width=800"))
        .and_then(|()| out.flush());
}

fn load_library(settings: &Settings, catalogue: &Arc<Catalogue>) -> Result<Arc<Library>, Failure> {
    let library = Library::load(&settings.graphs, catalogue.clone(), &limits::library(&settings.limits))
        .map_err(|error| vec![format!("{}: {error}", settings.graphs.display())])?;
    for fault in library.faults() {
        warn!(file = %fault.path.display(), "a graph is left out: {}", fault.message);
    }
    info!(graphs = library.iter().count(), folder = %settings.graphs.display(), "graphs are loaded");
    Ok(Arc::new(library))
}

/// The first SIGTERM or interrupt starts the drain; a second one ends the process at once.
async fn stop_on_signal(shutdown: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    let mut next = async || tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () };
    next().await;
    info!("stopping: jobs at work are finished first");
    shutdown.cancel();
    next().await;
    std::process::abort();
}
