//! `imgflo runtime`: a runtime that visual editors connect to.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use clap::{ArgMatches, Command};
use imgflo_live::registry::{self, Entry};
use imgflo_live::{Access, Level, LiveLimits, Opened, Parts, Workspace};
use imgflo_runtime::{
    COperations, Catalogue, Evaluator, EvaluatorLimits, Library, LiveOperations, NativeEngine, Versions,
};
use imgflo_worker::{FetchSettings, Inputs};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

use crate::graph::{Conditions, publish};
use crate::settings::{self, EditSettings, Settings};
use crate::{Failure, catalogue, graph, limits, process, version};

/// Pixels of the largest picture on the way to a draft.
const DRAFT_PIXELS: u64 = 700_000;

pub fn command() -> Command {
    settings::flags(
        Command::new("runtime")
            .about("Lets visual editors draw graphs and look at what comes of them; with no settings, on loopback")
            .after_help("Every setting is a flag and an environment variable; `imgflo settings` prints the table."),
        settings::Command::Runtime,
    )
}

pub fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let settings = settings::read(matches, &std::env::vars().collect(), settings::Command::Runtime)?;
    process::run(&settings, edit(&settings))
}

async fn edit(settings: &Settings) -> Result<(), Failure> {
    let mut known = catalogue::catalogue(settings.engine, settings.gegl_gpl, &settings.children);
    let mut operations = None;
    let code = settings.edit.as_ref().is_some_and(|edit| edit.code);
    if settings.ops.is_some() || code {
        let tell = |fault: &str| warn!("{fault}");
        let loaded = catalogue::operations(settings.ops.as_deref(), &settings.children, settings.gegl_gpl, tell)?;
        known = known.with_c(Arc::clone(&loaded));
        operations = Some(loaded);
    }
    let shutdown = CancellationToken::new();
    let nobody = Box::new(|| {});
    let serving = host(settings, &Arc::new(known), operations.as_ref(), nobody, shutdown.clone()).await?;
    tokio::spawn(process::stop_on_signal(shutdown));
    serving.await.map_err(|error| vec![error.to_string()])?.map_err(|error| vec![error.to_string()])?;
    info!("stopped");
    Ok(())
}

/// Starts the runtime that the settings ask for, and tells where it is. It calls `revised` when an operation in C was
/// written, and ends with `shutdown`.
pub async fn host(
    settings: &Settings,
    catalogue: &Arc<Catalogue>,
    operations: Option<&Arc<COperations>>,
    revised: Box<dyn Fn() + Send + Sync>,
    shutdown: CancellationToken,
) -> Result<tokio::task::JoinHandle<std::io::Result<()>>, Failure> {
    let Some(edit) = &settings.edit else { return Err(vec!["live editing is off; set --edit".into()]) };
    let listener =
        TcpListener::bind(edit.bind).await.map_err(|error| vec![format!("cannot listen on {}: {error}", edit.bind)])?;
    let bound = listener.local_addr().map_err(|error| vec![error.to_string()])?;
    let parts = Parts { revised, ..parts(settings, edit, catalogue, operations)? };
    if let Some((registry, user)) = edit.registry.clone() {
        let base = edit.url.clone().unwrap_or_else(|| format!("http://{bound}"));
        let entry = Entry {
            registry,
            user,
            id: parts.id,
            label: edit.label.clone(),
            address: base.replacen("http", "ws", 1),
            secret: edit.secret.clone().unwrap_or_default(),
        };
        tokio::spawn(registry::announce(entry, shutdown.clone()));
    }
    let workspace = Workspace::new(parts);
    greet(edit, bound);
    Ok(tokio::spawn(imgflo_live::serve(listener, workspace, shutdown)))
}

fn parts(
    settings: &Settings,
    edit: &EditSettings,
    catalogue: &Arc<Catalogue>,
    operations: Option<&Arc<COperations>>,
) -> Result<Parts, Failure> {
    let said = |error: std::io::Error| vec![error.to_string()];
    let (limits, library_limits) = (&settings.limits, limits::library(&settings.limits));
    let decode = limits::decode(limits);
    let evaluator_limits = EvaluatorLimits {
        plan: limits::plan(limits),
        decode,
        remembered_bytes: edit.memory,
        draft_pixels: DRAFT_PIXELS,
    };
    let engine = Arc::new(NativeEngine::new(settings.workers));
    let user_agent = format!("imgflo/{}", version::short());
    let fetch = FetchSettings { allow_addresses: settings.allow_addresses.clone(), user_agent };
    let inputs = Arc::new(Inputs::new(fetch, limits.clone(), settings.files.clone()));
    let library = Library::load(&settings.graphs, Arc::clone(catalogue), &library_limits)
        .map_err(|error| vec![format!("{}: {error}", settings.graphs.display())])?;
    for fault in library.faults() {
        warn!(file = %fault.path.display(), "a graph is left out: {}", fault.message);
    }
    let versions = Versions::open(&settings.graphs, Arc::clone(catalogue), limits::versions(limits));
    let versions = versions.map_err(|error| vec![error.to_string()])?;
    let live = match operations {
        Some(operations) if edit.code => {
            let live = LiveOperations::new(Arc::clone(operations), &settings.cc, &settings.children);
            Some(Arc::new(live.map_err(said)?))
        }
        _ => None,
    };
    let highest = if edit.code { Level::Code } else { Level::Edit };
    let secrets = edit.secret.iter().map(|secret| (highest, secret.clone()));
    let secrets = secrets.chain(edit.view_secret.iter().map(|secret| (Level::Read, secret.clone())));
    let open = if edit.secret.is_some() { Level::None } else { highest };
    let (known, samples) = (Arc::clone(catalogue), edit.samples.clone());
    Ok(Parts {
        evaluator: Arc::new(Evaluator::new(engine, Arc::clone(catalogue), evaluator_limits)),
        library: Arc::new(library),
        library_limits,
        fetch: Box::new(move |address| {
            let inputs = Arc::clone(&inputs);
            Box::pin(async move { inputs.get(&address).await.map_err(|error| error.message) })
        }),
        decode,
        save: Box::new(move |name, graph| {
            let samples = samples.as_ref().map(|(folder, distance)| (folder.as_path(), *distance));
            let conditions = Conditions { samples, ..Conditions::default() };
            let saved = publish(&versions, &known, name, graph, &conditions, |line| info!(graph = name, "{line}"));
            saved.map(|_| ()).map_err(|lines| lines.join("; "))
        }),
        revised: Box::new(|| {}),
        operations: live,
        ops: settings.ops.clone(),
        graphs: settings.graphs.clone(),
        access: Access::new(secrets.collect(), open),
        limits: LiveLimits {
            input_bytes: usize::try_from(limits.max_input_bytes).unwrap_or(usize::MAX),
            source_bytes: usize::try_from(limits.max_operation_bytes).unwrap_or(usize::MAX),
            ..LiveLimits::default()
        },
        origins: edit.origins.clone(),
        public_url: edit.url.clone(),
        ide: edit.ide.clone(),
        id: Uuid::new_v4(),
        label: edit.label.clone(),
        main: edit.graph.as_deref().map(|name| main_graph(&settings.graphs, name, catalogue)).transpose()?,
        input: edit.input.clone(),
        threads: settings.workers,
    })
}

/// The graph to begin with: a file of any folder, or a graph of `folder` or a version of one.
fn main_graph(folder: &Path, given: &str, catalogue: &Arc<Catalogue>) -> Result<Opened, Failure> {
    let (file, name, graph) = graph::find(given, folder, catalogue)?;
    let found = file.canonicalize().ok();
    let is_saved = found.is_some_and(|file| file.parent().map(Path::to_owned) == folder.canonicalize().ok());
    Ok(Opened { graph, name, is_saved })
}

/// Tells where the runtime is. Whoever started it may have closed the pipe: that is no reason to stop.
fn greet(edit: &EditSettings, bound: SocketAddr) {
    let base = edit.url.clone().unwrap_or_else(|| format!("http://{bound}"));
    let mut out = std::io::stdout();
    let _ = writeln!(out, "Runtime running on {base}/")
        .and_then(|()| writeln!(out, "Live URL: {}", imgflo_live::live_url(&edit.ide, &base)))
        .and_then(|()| out.flush());
}
