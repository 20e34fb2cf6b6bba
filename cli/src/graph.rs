//! `imgflo graph`: graph files looked at, checked and converted; their versions, compared and published.

mod diff;
mod export;
mod publish;
mod versions;

pub use publish::{Conditions, publish};

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use imgflo_fbp::{Graph, ParseOptions};
use imgflo_job::Limits;
use imgflo_msgflo::Network;
use imgflo_runtime::{Catalogue, Form, ImageGraph, Library, nearest};

use crate::render::{graphs_arg, graphs_folder};
use crate::{Failure, catalogue, limits, shipped};

pub fn command() -> Command {
    Command::new("graph")
        .visible_alias("graphs")
        .about("Looks at, checks, converts, compares, publishes and exports graphs, and keeps their versions")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("info")
                .about("Prints a graph as JSON, its exported ports with type, description, default and range")
                .arg(graph_arg("graph"))
                .arg(graphs_arg())
                .args(catalogue::engine_args()),
        )
        .subcommand(
            Command::new("check")
                .about("Says everything that is wrong with graphs; exits with 1 if there is anything")
                .arg(graph_arg("graph").num_args(1..))
                .arg(graphs_arg())
                .args(catalogue::engine_args()),
        )
        .subcommand(
            Command::new("convert")
                .about("Converts between JSON and .fbp, by the extension of OUTPUT")
                .after_help(
                    "The .fbp form has no place for descriptions, ranges and defaults of exported ports, nor for drawings.\n\
                     Example: imgflo graph convert retro retro.fbp --lossy",
                )
                .arg(graph_arg("graph"))
                .arg(
                    Arg::new("output")
                        .required(true)
                        .value_name("OUTPUT")
                        .value_parser(value_parser!(PathBuf))
                        .help("A .json or .fbp file; .json or .fbp alone prints to standard output"),
                )
                .arg(
                    Arg::new("lossy")
                        .long("lossy")
                        .action(ArgAction::SetTrue)
                        .help("Leaves out what the .fbp form has no place for, and tells it on standard error"),
                )
                .arg(graphs_arg())
        )
        .subcommand(versions::list_command())
        .subcommand(versions::rollback_command())
        .subcommand(diff::command())
        .subcommand(publish::command())
        .subcommand(export::command())
}

/// A graph, as [`find`] takes it.
pub fn graph_arg(name: &'static str) -> Arg {
    Arg::new(name)
        .required(true)
        .value_name("GRAPH")
        .help("A graph file, - for standard input, the name of a graph in --graphs, or NAME@VERSION")
}

pub fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let (name, matches) = matches.subcommand().expect("clap requires a sub-command");
    match name {
        "info" => {
            let catalogue = Arc::new(catalogue::from_flags(matches)?);
            let (file, _, mut graph) = of_args(matches, "graph", &catalogue)?;
            let library = beside(&file, &graph, &catalogue)?;
            imgflo_fbp::info::enrich(&mut graph, |component| library.component(component));
            outln!("{}", pretty(&graph));
            Ok(())
        }
        "check" => {
            let catalogue = Arc::new(catalogue::from_flags(matches)?);
            let folder = graphs_folder(matches)?;
            let graphs = matches.get_many::<String>("graph").expect("the graph is required");
            let fault = |given: &String| check(given, folder, &catalogue).err().unwrap_or_default();
            let faults: Failure = graphs.flat_map(fault).collect();
            if faults.is_empty() { Ok(()) } else { Err(faults) }
        }
        "versions" => versions::list(matches),
        "rollback" => versions::rollback(matches),
        "diff" => diff::run(matches),
        "publish" => publish::run(matches),
        "export" => export::run(matches),
        _ => convert(matches),
    }
}

fn check(given: &str, folder: &Path, catalogue: &Arc<Catalogue>) -> Result<(), Failure> {
    let (file, name, graph) = find(given, folder, catalogue)?;
    if graph.runtime() == Some("msgflo") {
        Network::from_graph(&graph).map_err(|error| vec![format!("{given}: {error}")])?;
        outln!("{given}: ok");
        return Ok(());
    }
    for note in assemble(&file, &name, &graph, catalogue)?.passed_over() {
        outln!("{given}: {}", note.told(&graph));
    }
    outln!("{given}: ok");
    Ok(())
}

/// The graphs beside `file` that its graph is made of.
fn beside(file: &Path, graph: &Graph, catalogue: &Arc<Catalogue>) -> Result<Library, Failure> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Library::load_for(graph, folder, Arc::clone(catalogue), &limits::library(&Limits::default()))
        .map_err(|error| vec![format!("{}: {error}", folder.display())])
}

/// Checks the graph of a file; what is wrong with graphs in it is told, too.
fn assemble(file: &Path, name: &str, graph: &Graph, catalogue: &Arc<Catalogue>) -> Result<ImageGraph, Failure> {
    let library = beside(file, graph, catalogue)?;
    library.assemble(name, graph.clone(), &limits::library(&Limits::default())).map_err(|faults| {
        let own = faults.iter().map(|fault| format!("{}: {}", file.display(), fault.told(graph)));
        own.chain(library.faults().iter().map(ToString::to_string)).collect()
    })
}

fn convert(matches: &ArgMatches) -> Result<(), Failure> {
    let (_, _, graph) = of_args(matches, "graph", &shipped_only())?;
    let output = matches.get_one::<PathBuf>("output").expect("the output is required");
    let to_fbp = match output.to_str().unwrap_or_default() {
        name if name.ends_with(".fbp") => true,
        name if name.ends_with(".json") => false,
        _ => return Err(vec![format!("{}: the extension must be .json or .fbp", output.display())]),
    };
    let text = if to_fbp { fbp_text(&graph, matches.get_flag("lossy"))? } else { pretty(&graph) + "\n" };
    if output.file_stem().is_some_and(|stem| stem == ".json" || stem == ".fbp") {
        out!("{text}");
        return Ok(());
    }
    std::fs::write(output, text).map_err(|error| vec![format!("{}: {error}", output.display())])
}

/// The graph in the `.fbp` form. `lossy`: without what that has no place for, which is told; else that is the failure.
fn fbp_text(graph: &Graph, lossy: bool) -> Result<String, Failure> {
    if lossy {
        let (text, lost) = imgflo_fbp::to_fbp_lossy(graph).map_err(|error| vec![error.to_string()])?;
        lost.iter().for_each(|lost| errln!("imgflo: lost: {lost}"));
        return Ok(text);
    }
    imgflo_fbp::to_fbp(graph).map_err(|error| match error {
        imgflo_fbp::Error::Unwritable(parts) => {
            let lost = parts.iter().map(|part| format!("would be lost: {part}"));
            lost.chain(["nothing is written; --lossy leaves this out".to_owned()]).collect()
        }
        error => vec![error.to_string()],
    })
}

/// A graph of `imgflo render`: as [`find`] takes it.
pub fn load(matches: &ArgMatches, catalogue: &Arc<Catalogue>) -> Result<ImageGraph, Failure> {
    let (file, name, graph) = of_args(matches, "graph", catalogue)?;
    assemble(&file, &name, &graph, catalogue)
}

/// The graph that the argument `argument` names, as [`find`] takes it, in the folder `--graphs`.
pub fn of_args(
    matches: &ArgMatches,
    argument: &str,
    catalogue: &Arc<Catalogue>,
) -> Result<(PathBuf, String, Graph), Failure> {
    let given = matches.get_one::<String>(argument).expect("the graph is required");
    find(given, graphs_folder(matches)?, catalogue)
}

/// The shipped graphs, for graphs that are not checked.
pub fn shipped_only() -> Arc<Catalogue> {
    Arc::new(Catalogue::native().with_graphs(shipped::graphs()))
}

/// A graph that is given as a file, as a name in the folder of graphs, as the name of a shipped one, or as a version of
/// one, NAME@VERSION, or as `-` for standard input; with the file that it is in, or would be, and its name.
pub fn find(given: &str, folder: &Path, catalogue: &Arc<Catalogue>) -> Result<(PathBuf, String, Graph), Failure> {
    let in_folder = || Form::ALL.map(|form| folder.join(format!("{given}.{}", form.extension())));
    let version = || given.rsplit_once('@').and_then(|(name, number)| Some((name, number.parse().ok()?)));
    let is_file = |path: &Path| path.exists() && !path.is_dir();
    let file = if given == "-" || is_file(Path::new(given)) {
        PathBuf::from(given)
    } else if let Some(file) = in_folder().into_iter().find(|file| file.is_file()) {
        file
    } else if let Some(file) = shipped_file(folder, given, catalogue) {
        let (form, text) = catalogue.shipped_graph(given).expect("it is shipped");
        let graph = form.parse(text).map_err(|error| vec![format!("{given}: {error}")])?;
        return Ok((file, given.to_owned(), graph));
    } else if let Some((name, number)) = version() {
        let graph = versions::open(folder, catalogue)?.load(name, number).map_err(|error| vec![error.to_string()])?;
        return Ok((folder.join(given), name.to_owned(), graph));
    } else {
        let names = names(folder);
        let shipped = catalogue.shipped().iter().filter_map(|graph| Some(graph.file.rsplit_once('.')?.0));
        let meant = nearest(given, names.iter().map(String::as_str).chain(shipped))
            .map(|near| format!("; did you mean {near}?"));
        let meant = meant.unwrap_or_default();
        return Err(vec![format!("no graph file '{given}', and none of that name in {}{meant}", folder.display())]);
    };
    let name = file.file_stem().and_then(|s| s.to_str()).unwrap_or("graph").to_owned();
    let graph = read(&file)?;
    Ok((file, name, graph))
}

/// Names of the files in a folder that may be graphs.
fn names(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let graphs = files.filter(|path| Form::of(path).is_some());
    graphs.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect()
}

/// Returns the path that a shipped graph would have in the folder, or `None` when no shipped graph has the name.
pub fn shipped_file(folder: &Path, name: &str, catalogue: &Catalogue) -> Option<PathBuf> {
    catalogue.shipped_graph(name).map(|(form, _)| folder.join(format!("{name}.{}", form.extension())))
}

/// Reads a graph; a text that begins with `{` is JSON, any other is the .fbp language.
pub fn read(file: &Path) -> Result<Graph, Failure> {
    let fail = |error: &dyn std::fmt::Display| vec![format!("{}: {error}", file.display())];
    let mut text = String::new();
    if file.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text).map_err(|e| fail(&e))?;
    } else {
        text = std::fs::read_to_string(file).map_err(|e| fail(&e))?;
    }
    let graph = if text.trim_start().starts_with('{') {
        Graph::from_json_str(&text)
    } else {
        imgflo_fbp::parse(&text, &ParseOptions::default())
    };
    graph.map_err(|e| fail(&e))
}

fn pretty(graph: &Graph) -> String {
    serde_json::to_string_pretty(&graph.to_json()).expect("JSON values can be written")
}
