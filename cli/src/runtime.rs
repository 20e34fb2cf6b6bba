//! `imgflo runtime`: a runtime that visual editors connect to.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use clap::{ArgMatches, Command};
use imgflo_fbp::Graph;
use imgflo_live::registry::{self, Entry};
use imgflo_live::{Access, Level, LiveLimits, Parts, Workspace};
use imgflo_ops::codec::DecodeLimits;
use imgflo_runtime::{
    COperations, Catalogue, Evaluator, EvaluatorLimits, Library, LiveOperations, NativeEngine, PlanLimits,
};
use imgflo_worker::{FetchSettings, Inputs};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

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
        let loaded = catalogue::operations(settings.ops.as_deref(), &settings.children, tell)?;
        known = known.with_c(Arc::clone(&loaded));
        operations = Some(loaded);
    }
    let shutdown = CancellationToken::new();
    let serving = host(settings, &Arc::new(known), operations.as_ref(), shutdown.clone()).await?;
    tokio::spawn(process::stop_on_signal(shutdown));
    serving.await.map_err(|error| vec![error.to_string()])?.map_err(|error| vec![error.to_string()])?;
    info!("stopped");
    Ok(())
}

/// Starts the runtime that the settings ask for, and tells where it is. It ends with `shutdown`.
pub async fn host(
    settings: &Settings,
    catalogue: &Arc<Catalogue>,
    operations: Option<&Arc<COperations>>,
    shutdown: CancellationToken,
) -> Result<tokio::task::JoinHandle<std::io::Result<()>>, Failure> {
    let Some(edit) = &settings.edit else { return Err(vec!["live editing is off; set --edit".into()]) };
    let listener =
        TcpListener::bind(edit.bind).await.map_err(|error| vec![format!("cannot listen on {}: {error}", edit.bind)])?;
    let bound = listener.local_addr().map_err(|error| vec![error.to_string()])?;
    let parts = parts(settings, edit, catalogue, operations)?;
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
    let decode = DecodeLimits {
        pixels: limits.max_input_pixels,
        side: u32::try_from(limits.max_input_side).unwrap_or(u32::MAX),
    };
    let evaluator_limits = EvaluatorLimits {
        plan: PlanLimits { max_output_pixels: limits.max_output_pixels, max_memory: limits.max_job_memory },
        decode,
        remembered_bytes: edit.memory,
        draft_pixels: DRAFT_PIXELS,
    };
    let engine = Arc::new(NativeEngine::new(settings.workers));
    let user_agent = format!("imgflo/{}", version::short());
    let fetch = FetchSettings { allow_addresses: settings.allow_addresses.clone(), user_agent };
    let inputs = Arc::new(Inputs::new(fetch, limits.clone(), settings.files.clone()));
    let (folder, known) = (settings.graphs.clone(), Arc::clone(catalogue));
    let load = move || library(&folder, &known, &library_limits).map_err(|lines| lines.join("; "));
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
    let folder = settings.graphs.clone();
    Ok(Parts {
        evaluator: Arc::new(Evaluator::new(engine, Arc::clone(catalogue), evaluator_limits)),
        library: load().map_err(|error| vec![error])?,
        reload: Box::new(load),
        library_limits,
        fetch: Box::new(move |address| {
            let inputs = Arc::clone(&inputs);
            Box::pin(async move { inputs.get(&address).await.map_err(|error| error.message) })
        }),
        decode,
        save: Box::new(move |name, graph| save(&folder, name, graph)),
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
        main: edit.graph.as_deref().map(|name| main_graph(&settings.graphs, name)).transpose()?,
        input: edit.input.clone(),
        threads: settings.workers,
    })
}

/// The graph to begin with, and the name that it is saved under: that of a graph in the folder, which may be new, or
/// that of a file.
fn main_graph(folder: &Path, name: &str) -> Result<(Graph, Option<String>), Failure> {
    let path = Path::new(name);
    let file = if path.extension().is_some() { Some(path.to_owned()) } else { graph::find(folder, name) };
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    match file {
        Some(file) => Ok((graph::read(&file)?, stem)),
        None => Err(vec![format!("{}: there is no graph '{name}' here; name one, or a file", folder.display())]),
    }
}

fn library(
    folder: &Path,
    catalogue: &Arc<Catalogue>,
    limits: &imgflo_runtime::LibraryLimits,
) -> Result<Arc<Library>, Failure> {
    let library = Library::load(folder, Arc::clone(catalogue), limits)
        .map_err(|error| vec![format!("{}: {error}", folder.display())])?;
    for fault in library.faults() {
        warn!(file = %fault.path.display(), "a graph is left out: {}", fault.message);
    }
    Ok(Arc::new(library))
}

/// Tells where the runtime is. Whoever started it may have closed the pipe: that is no reason to stop.
fn greet(edit: &EditSettings, bound: SocketAddr) {
    let base = edit.url.clone().unwrap_or_else(|| format!("http://{bound}"));
    let mut out = std::io::stdout();
    let _ = writeln!(out, "Runtime running on {base}/")
        .and_then(|()| writeln!(out, "Live URL: {}", imgflo_live::live_url(&edit.ide, &base)))
        .and_then(|()| out.flush());
}

fn save(folder: &Path, name: &str, graph: &Graph) -> Result<(), String> {
    std::fs::write(folder.join(format!("{name}.json")), graph.to_json().to_string()).map_err(|error| error.to_string())
}
