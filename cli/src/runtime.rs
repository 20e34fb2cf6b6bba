//! `imgflo runtime`: a runtime that visual editors connect to.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use clap::{ArgMatches, Command};
use imgflo_fbp::{EditLimits, Graph};
use imgflo_live::registry::{self, Entry};
use imgflo_live::{Access, Level, LiveLimits, Opened, Parts, Workspace};
use imgflo_runtime::{Catalogue, Evaluator, EvaluatorLimits, Form, Library, LiveOperations, NativeEngine, Versions};
use imgflo_worker::{FetchSettings, Inputs};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

use crate::graph::{Conditions, publish};
use crate::settings::{self, EditSettings, Settings};
use crate::{Failure, catalogue, graph, limits, live_code, process, shipped, version};

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
    let settings = shipped::settle(settings, settings::Command::Runtime)?;
    process::run(&settings, edit(&settings))
}

async fn edit(settings: &Settings) -> Result<(), Failure> {
    let mut known = catalogue::of(settings);
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
    let known = Arc::new(known);
    let live = live_code::open(settings, &known, operations.as_ref())?;
    let serving = host(settings, &known, live, nobody, shutdown.clone()).await?;
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
    live: Option<Arc<LiveOperations>>,
    revised: Box<dyn Fn() + Send + Sync>,
    shutdown: CancellationToken,
) -> Result<tokio::task::JoinHandle<std::io::Result<()>>, Failure> {
    let Some(edit) = &settings.edit else { return Err(vec!["live editing is off; set --edit".into()]) };
    let listener =
        TcpListener::bind(edit.bind).await.map_err(|error| vec![format!("cannot listen on {}: {error}", edit.bind)])?;
    let bound = listener.local_addr().map_err(|error| vec![error.to_string()])?;
    let parts = Parts { revised, ..parts(settings, edit, catalogue, live)? };
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
    let id = parts.id;
    let workspace = Workspace::new(parts);
    greet(edit, bound, id);
    Ok(tokio::spawn(imgflo_live::serve(listener, workspace, shutdown)))
}

fn parts(
    settings: &Settings,
    edit: &EditSettings,
    catalogue: &Arc<Catalogue>,
    live: Option<Arc<LiveOperations>>,
) -> Result<Parts, Failure> {
    let (limits, library_limits) = (&settings.limits, limits::library(&settings.limits));
    let decode = limits::decode(limits, settings.accept_cut_inputs);
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
    let highest = if edit.code { Level::Code } else { Level::Edit };
    let secrets = edit.secret.iter().map(|secret| (highest, secret.clone()));
    let secrets = secrets.chain(edit.view_secret.iter().map(|secret| (Level::Read, secret.clone())));
    let open = if edit.secret.is_some() { Level::None } else { highest };
    let (known, samples) = (Arc::clone(catalogue), edit.samples.clone());
    let (looking, keeping) = (versions.clone(), versions.clone());
    let folder = format!("{}/", settings.graphs.display());
    Ok(Parts {
        evaluator: Arc::new(Evaluator::new(engine, Arc::clone(catalogue), evaluator_limits)),
        library: Arc::new(library),
        library_limits,
        fetch: Box::new(move |address| {
            let inputs = Arc::clone(&inputs);
            Box::pin(async move { inputs.get(&address).await.map_err(|error| error.message) })
        }),
        decode,
        save: Box::new(move |name, graph, over| {
            let samples = samples.as_ref().map(|(folder, distance)| (folder.as_path(), *distance));
            let conditions = Conditions { samples, over, ..Conditions::default() };
            let saved = publish(&versions, &known, name, graph, &conditions, |line| info!(graph = name, "{line}"));
            // Editors have no use for paths of this machine.
            saved.map(|(version, _)| version.content).map_err(|lines| lines.join("; ").replace(&folder, ""))
        }),
        content: Box::new(move |name| looking.content(name).unwrap_or_default()),
        save_source: Box::new(move |name, code| keeping.save_source(name, code).map_err(|error| error.to_string())),
        drafts: Some(settings.data_dir.join("drafts")),
        revised: Box::new(|| {}),
        operations: live.filter(|_| edit.code),
        ops: settings.ops.clone(),
        graphs: settings.graphs.clone(),
        access: Access::new(secrets.collect(), open),
        limits: LiveLimits {
            input_bytes: usize::try_from(limits.max_input_bytes).unwrap_or(usize::MAX),
            source_bytes: usize::try_from(limits.max_operation_bytes).unwrap_or(usize::MAX),
            edits: EditLimits {
                nodes: usize::try_from(limits.max_live_nodes).unwrap_or(usize::MAX),
                connections: usize::try_from(limits.max_live_connections).unwrap_or(usize::MAX),
                name_bytes: usize::try_from(limits.max_name_bytes).unwrap_or(usize::MAX),
            },
            ..LiveLimits::default()
        },
        origins: edit.origins.clone(),
        public_url: edit.url.clone(),
        ide: edit.ide.clone(),
        id: own_id(&settings.data_dir),
        label: edit.label.clone(),
        main: Some(main_graph(&settings.graphs, edit.graph.as_deref(), catalogue)?),
        input: edit.input.clone(),
        threads: settings.workers,
    })
}

/// The name of the graph to begin with where none is given.
const MAIN: &str = "main";

/// The graph to begin with: a file of any folder, or a graph of `folder` or a version of one. Where none is given, it is
/// the graph `main` of the folder, or a new one, so that an editor finds something to open.
fn main_graph(folder: &Path, given: Option<&str>, catalogue: &Arc<Catalogue>) -> Result<Opened, Failure> {
    let Some(given) = given else {
        if Form::ALL.iter().any(|form| folder.join(format!("{MAIN}.{}", form.extension())).is_file()) {
            return main_graph(folder, Some(MAIN), catalogue);
        }
        let mut graph = Graph::default();
        graph.properties.insert("name".into(), MAIN.into());
        graph.properties.insert("environment".into(), json!({ "type": "imgflo" }));
        return Ok(Opened { graph, name: None, is_saved: false });
    };
    let (file, name, graph) = graph::find(given, folder, catalogue)?;
    let is_saved = match file.canonicalize() {
        Ok(file) => file.parent().map(Path::to_owned) == folder.canonicalize().ok(),
        // A shipped graph, or a version.
        Err(_) => file == graph::shipped_file(folder, &name, catalogue).unwrap_or_default(),
    };
    Ok(Opened { graph, name: Some(name), is_saved })
}

/// The id of the runtime of a data folder, made when it is asked for first. Editors and registries know the runtime by
/// it.
fn own_id(data: &Path) -> Uuid {
    let file = data.join("runtime-id");
    if let Some(id) = std::fs::read_to_string(&file).ok().and_then(|text| Uuid::parse_str(text.trim()).ok()) {
        return id;
    }
    let id = Uuid::new_v4();
    let kept = std::fs::create_dir_all(data).and_then(|()| std::fs::write(&file, format!("{id}\n")));
    if let Err(error) = kept {
        warn!(file = %file.display(), %error, "the id of the runtime is another after a restart: it cannot be kept");
    }
    id
}

/// Tells where the runtime is. Goes on when the pipe is closed.
fn greet(edit: &EditSettings, bound: SocketAddr, id: Uuid) {
    let base = edit.url.clone().unwrap_or_else(|| format!("http://{bound}"));
    let mut out = std::io::stdout();
    let _ = writeln!(out, "Runtime running on {base}/")
        .and_then(|()| writeln!(out, "Live URL: {}", imgflo_live::live_url(&edit.ide, &base, id)))
        .and_then(|()| out.flush());
}
