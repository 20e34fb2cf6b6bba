//! `imgflo graph diff`: two graphs, and the pictures that they make.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Arg, ArgMatches, Command, value_parser};
use imgflo_job::Limits;
use imgflo_ops::Cancel;
use imgflo_ops::codec::{self, EncodeOptions, FileFormat};
use imgflo_runtime::{Catalogue, Engine, NativeEngine, Picture, Renderer, changes, difference, side_by_side};

use super::{assemble, graph_arg, of_args};
use crate::render::{graphs_arg, output_format, parameter_arg, parameters};
use crate::{Failure, catalogue, limits};

/// Most samples that graphs are compared by.
const MAX_SAMPLES: usize = 1000;

pub fn command() -> Command {
    let path = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("FILE").value_parser(value_parser!(PathBuf)).help(help)
    };
    Command::new("diff")
        .about("Says what differs between two graphs, and how far apart their pictures are")
        .after_help(
            "Distances are hundredths of Oklab's unit: 0 for equal pictures, 79 between black and white; 2 can just be seen.\n\
             Example: imgflo graph diff retro@3 retro --input photo.jpg --output retro.png",
        )
        .arg(graph_arg("a").value_name("A"))
        .arg(graph_arg("b").value_name("B"))
        .arg(path("input", "The input picture of both").short('i'))
        .arg(path("output", "Gets both pictures and their difference, eight times as large, side by side").short('o'))
        .arg(parameter_arg())
        .arg(graphs_arg())
        .args(catalogue::engine_args())
}

/// What renders pictures to compare them.
pub fn renderer<'r>(catalogue: &'r Catalogue, engine: &'r dyn Engine) -> Renderer<'r> {
    let limits = Limits::default();
    Renderer {
        catalogue,
        engine,
        decode: limits::decode(&limits, false),
        plan: limits::plan(&limits),
        max_file_bytes: limits.max_background_input_bytes,
        max_samples: MAX_SAMPLES,
    }
}

/// The native engine, with a thread for each core.
pub fn engine() -> NativeEngine {
    NativeEngine::new(0)
}

pub fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let output = matches.get_one::<PathBuf>("output");
    let format = output.map(|output| output_format(output)).transpose()?;
    let given = parameters(matches)?;
    let catalogue = Arc::new(catalogue::from_flags(matches)?);
    let (a, b) = (of_args(matches, "a", &catalogue)?, of_args(matches, "b", &catalogue)?);
    for change in changes(&a.2, &b.2) {
        outln!("{change}");
    }
    let input = matches.get_one::<PathBuf>("input");
    let graph = |(file, name, graph)| assemble(file, name, graph, &catalogue);
    let (a, b) = (graph((&a.0, &a.1, &a.2))?, graph((&b.0, &b.1, &b.2))?);
    if input.is_none() && (a.takes_input() || b.takes_input()) {
        // What differs in the graphs is told; pictures were not asked for.
        return match output {
            Some(_) => Err(vec!["a graph needs --input FILE for --output".into()]),
            None => Ok(()),
        };
    }
    let read = |path: &PathBuf| std::fs::read(path).map_err(|error| vec![format!("{}: {error}", path.display())]);
    let input = input.map(read).transpose()?;
    let (engine, cancel) = (engine(), Cancel::new());
    let renderer = renderer(&catalogue, &engine);
    let picture = |graph| renderer.picture(graph, &given, input.as_deref(), &cancel);
    let failed = |error: imgflo_runtime::SampleError| vec![error.to_string()];
    let (a, b) = (picture(&a).map_err(failed)?, picture(&b).map_err(failed)?);
    outln!("distance: {}", difference(&a, &b, &cancel).map_err(failed)?);
    match (output.zip(format), a, b) {
        (None, ..) => Ok(()),
        (Some((output, format)), Picture::Image(a), Picture::Image(b)) => {
            let whole = side_by_side(&a, &b).map_err(|error| vec![error.to_string()])?;
            write(output, format, &whole, &cancel)
        }
        (_, Picture::None(why), _) | (_, _, Picture::None(why)) => Err(vec![why]),
    }
}

fn write(output: &Path, format: FileFormat, whole: &imgflo_ops::Image, cancel: &Cancel) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| vec![format!("{}: {error}", output.display())];
    let bytes = codec::encode(whole, EncodeOptions::new(format, 90), cancel).map_err(|error| failed(&error))?;
    std::fs::write(output, bytes).map_err(|error| failed(&error))?;
    outln!("{}: first, second and difference", output.display());
    Ok(())
}
