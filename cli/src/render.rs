//! `imgflo render`: a picture through a graph, on this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use imgflo_job::{Background, Quality};
use imgflo_ops::codec::{self, EncodeOptions, FileFormat};
use imgflo_ops::{Cancel, Color, Rect};
use imgflo_runtime::{Control, Engine, ImageGraph, InputShape, NativeEngine, Plan};
use indicatif::{ProgressBar, ProgressStyle};

use crate::graph::{graph_arg, load};
use crate::{Failure, catalogue, limits};

/// Quality where none is given.
const QUALITY: u8 = 85;

pub fn command() -> Command {
    let path = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("FILE").value_parser(value_parser!(PathBuf)).help(help)
    };
    Command::new("render")
        .about("Renders a picture through a graph, on this machine")
        .after_help(
            "Example: imgflo render gaussianblur --input photo.jpg --output soft.png -p std-dev-x=8 -p width=600",
        )
        .arg(graph_arg("graph"))
        .arg(path("input", "The input picture; not for graphs that generate one").short('i'))
        .arg(
            path(
                "output",
                "Where the result goes; its extension is the format: jpg, png, webp, and avif where it is built in",
            )
            .short('o')
            .required(true),
        )
        .arg(parameter_arg())
        .arg(graphs_arg())
        .args(catalogue::engine_args())
        .arg(
            Arg::new("quality")
                .long("quality")
                .value_name("QUALITY")
                .default_value("85")
                .value_parser(value_parser!(Quality))
                .help("As in requests: quality of JPEG and WebP from 1 to 100, small, progressive, 444 or 420; joined by commas"),
        )
        .arg(
            Arg::new("background")
                .long("background")
                .env("IMGFLO_BACKGROUND")
                .value_name("COLOUR")
                .default_value("white")
                .value_parser(background)
                .help("Colour behind transparent pictures that are written as JPEG: #rrggbb or a name of CSS such as beige"),
        )
        .arg(
            Arg::new("accept-cut-inputs")
                .long("accept-cut-inputs")
                .action(ArgAction::SetTrue)
                .help("Reads an input that ends early as far as it goes; the rest is gray in a JPEG, else transparent or black"),
        )
        .arg(Arg::new("explain").long("explain").action(ArgAction::SetTrue).help("Prints the plan before rendering"))
}

/// An opaque colour, as the setting and `--background` take it.
pub fn background(text: &str) -> Result<Background, String> {
    match Color::parse(text).map(|color| color.rgba) {
        Some([r, g, b, 1.0]) => Ok(Background { rgb: [r, g, b].map(|c| (c * 255.0).round() as u8) }),
        Some(_) => Err(format!("the background must be opaque, got '{text}'")),
        None => Err(format!("the background must be a colour such as #ffffff or white, got '{text}'")),
    }
}

/// `-p name=value`, any number of times.
pub fn parameter_arg() -> Arg {
    Arg::new("parameter")
        .short('p')
        .long("parameter")
        .value_name("NAME=VALUE")
        .action(ArgAction::Append)
        .allow_hyphen_values(true)
        .help("A parameter of the graph; may be given many times")
}

/// `--graphs DIR`.
pub fn graphs_arg() -> Arg {
    Arg::new("graphs")
        .long("graphs")
        .env("IMGFLO_GRAPHS")
        .default_value("graphs")
        .value_name("DIR")
        .value_parser(value_parser!(PathBuf))
        .help("Folder with graphs, which take the place of shipped ones of the same name")
}

/// The folder that [`graphs_arg`] names.
///
/// # Errors
/// When it is named and missing. The default may be missing: there are the shipped graphs.
pub fn graphs_folder(matches: &ArgMatches) -> Result<&Path, Failure> {
    let folder = matches.get_one::<PathBuf>("graphs").expect("it has a default");
    if matches.value_source("graphs") != Some(ValueSource::DefaultValue) && !folder.is_dir() {
        return Err(vec![format!("--graphs must be a folder, got '{}'", folder.display())]);
    }
    Ok(folder)
}

/// The parameters given with `-p`.
pub fn parameters(matches: &ArgMatches) -> Result<BTreeMap<String, String>, Failure> {
    let mut parameters = BTreeMap::new();
    let mut faults = Vec::new();
    for given in matches.get_many::<String>("parameter").into_iter().flatten() {
        match given.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                if parameters.insert(name.to_owned(), value.to_owned()).is_some() {
                    faults.push(format!("-p {name}: given twice"));
                }
            }
            _ => faults.push(format!("-p {given}: write NAME=VALUE")),
        }
    }
    if faults.is_empty() { Ok(parameters) } else { Err(faults) }
}

pub fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let output = matches.get_one::<PathBuf>("output").expect("the output is required");
    let format = output_format(output)?;
    let parameters = parameters(matches)?;
    let catalogue = Arc::new(catalogue::from_flags(matches)?);
    let graph = load(matches, &catalogue)?;
    let bytes = read_input(matches, &graph)?;
    let cancel = Cancel::new();

    let named = |faults: Vec<imgflo_runtime::ArgumentFault>| {
        faults.iter().map(|fault| format!("-p {}: {}", fault.parameter, fault.message)).collect::<Failure>()
    };
    let arguments = graph.arguments(&parameters).map_err(named)?;
    let limits = imgflo_job::Limits::default();
    let fault = |error: codec::CodecError| vec![error.to_string()];
    let header = bytes.as_ref().map(|bytes| codec::read_header(bytes)).transpose().map_err(fault)?;
    let allowed = limits::decode(&limits, matches.get_flag("accept-cut-inputs"));
    if let Some(header) = &header {
        allowed.check(header.width, header.height).map_err(fault)?;
    }
    let shape = header.as_ref().map(InputShape::from);
    let plan =
        Plan::new(&graph, &arguments, shape, &catalogue, &limits::plan(&limits)).map_err(|e| vec![e.to_string()])?;
    let quality: Quality = *matches.get_one("quality").expect("it has a default");
    let Background { rgb: background } = *matches.get_one("background").expect("it has a default");
    let options = EncodeOptions {
        format,
        quality: quality.number.unwrap_or(QUALITY),
        small: quality.small,
        progressive: quality.progressive,
        full_chroma: quality.full_chroma(QUALITY),
        background,
    };
    if let (Some(bytes), true) = (&bytes, plan.hands_on_the_input())
        && let Some(bytes) = codec::recode(bytes, options, allowed, &cancel).map_err(fault)?
    {
        explain(matches, &plan);
        return write(output, &bytes, plan.output());
    }
    let again = |shape| Plan::new(&graph, &arguments, Some(shape), &catalogue, &limits::plan(&limits)).ok();
    let (plan, input) = match &bytes {
        Some(bytes) => {
            let (plan, input) = imgflo_runtime::read_input(plan, bytes, allowed, &cancel, again).map_err(fault)?;
            (plan, Some(input))
        }
        None => (plan, None),
    };
    explain(matches, &plan);
    let bar = progress_bar();
    let control = Control { cancel: cancel.clone(), progress: Some(progress(&bar)) };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let image = NativeEngine::new(threads).render(&plan, input, &control).map_err(|e| vec![e.to_string()])?;
    bar.finish_and_clear();
    let bytes = codec::encode(&image, options, &cancel).map_err(fault)?;
    write(output, &bytes, image.rect())
}

fn explain(matches: &ArgMatches, plan: &Plan) {
    if matches.get_flag("explain") {
        out!("{plan}");
    }
}

fn write(output: &Path, bytes: &[u8], size: Rect) -> Result<(), Failure> {
    std::fs::write(output, bytes).map_err(|error| vec![format!("{}: {error}", output.display())])?;
    outln!("{}: {} x {} pixels, {} bytes", output.display(), size.width, size.height, bytes.len());
    Ok(())
}

/// The format of a file that is to be written, by its extension.
pub fn output_format(output: &Path) -> Result<FileFormat, Failure> {
    let extension = output.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
    FileFormat::from_extension(&extension).filter(|format| format.can_encode()).ok_or_else(|| {
        let names: Vec<&str> = FileFormat::ALL.iter().filter(|f| f.can_encode()).map(|f| f.extension()).collect();
        vec![format!("{}: the extension must be one of {}", output.display(), names.join(", "))]
    })
}

fn read_input(matches: &ArgMatches, graph: &ImageGraph) -> Result<Option<Vec<u8>>, Failure> {
    match matches.get_one::<PathBuf>("input") {
        Some(path) if graph.takes_input() => {
            std::fs::read(path).map(Some).map_err(|error| vec![format!("{}: {error}", path.display())])
        }
        Some(_) => Err(vec![format!("graph '{}' takes no --input", graph.name())]),
        None if graph.takes_input() => Err(vec![format!("graph '{}' needs --input FILE", graph.name())]),
        None => Ok(None),
    }
}

/// Hidden unless standard error is a terminal; drawn ten times a second at most, so short work
/// shows nothing.
fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("rendering [{bar:40}] {percent}% {eta}").expect("the template is right");
    ProgressBar::new(1000).with_style(style.progress_chars("=> "))
}

fn progress(bar: &ProgressBar) -> Arc<dyn Fn(f64) + Send + Sync> {
    let bar = bar.clone();
    Arc::new(move |fraction| bar.set_position((fraction * 1000.0) as u64))
}
