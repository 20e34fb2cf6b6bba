//! `imgflo graph publish`: a graph into the folder that is served, if its pictures stay what they were.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Arg, ArgMatches, Command, value_parser};
use imgflo_fbp::Graph;
use imgflo_ops::Cancel;
use imgflo_runtime::{Catalogue, Compared, Saving, Version, VersionError, Versions, check};

use super::diff::{engine, renderer};
use super::versions::{faulty_arg, from_args, limit_args, name_arg, title_arg};
use super::{graph_arg, of_args};
use crate::render::graphs_arg;
use crate::{Failure, catalogue};

pub fn command() -> Command {
    Command::new("publish")
        .about("Makes a graph the newest version of another; with --samples only if the pictures of both are alike")
        .after_help("A running `imgflo serve` serves it within a few seconds.")
        .arg(name_arg())
        .arg(graph_arg("graph"))
        .arg(
            Arg::new("samples")
                .long("samples")
                .env("IMGFLO_SAMPLES")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .help("Folder with pictures by which the new graph is compared with the one that there is"),
        )
        .arg(
            Arg::new("max-distance")
                .long("max-distance")
                .env("IMGFLO_MAX_DISTANCE")
                .value_name("DISTANCE")
                .default_value("2")
                .value_parser(distance)
                .help("How far apart they may be at any place: 0 for not at all, 2 can just be seen, 79 is black and white"),
        )
        .arg(title_arg().help("What the new version is called"))
        .arg(faulty_arg())
        .arg(graphs_arg())
        .args(limit_args())
        .args(catalogue::engine_args())
}

fn distance(text: &str) -> Result<f64, String> {
    let distance = text.parse::<f64>().ok().filter(|distance| distance.is_finite() && *distance >= 0.0);
    distance.ok_or_else(|| "is no number from 0 upwards".to_owned())
}

pub fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let name = matches.get_one::<String>("name").expect("the name is required");
    let catalogue = Arc::new(catalogue::from_flags(matches)?);
    let (_, _, graph) = of_args(matches, "graph", &catalogue)?;
    let versions = from_args(matches, &catalogue)?;
    let most = *matches.get_one::<f64>("max-distance").expect("it has a default");
    let conditions = Conditions {
        samples: matches.get_one::<PathBuf>("samples").map(|samples| (samples.as_path(), most)),
        title: matches.get_one::<String>("title").map(String::as_str),
        faulty: matches.get_flag("faulty"),
        over: None,
    };
    let (version, is_new) = publish(&versions, &catalogue, name, &graph, &conditions, |line| outln!("{line}"))?;
    outln!("{name}: is version {} {}", version.number, if is_new { "now" } else { "already" });
    Ok(())
}

/// On which a graph is published.
#[derive(Clone, Copy, Default)]
pub struct Conditions<'c> {
    /// A folder with pictures, and how far apart those may be that the old graph and the new one make of them.
    pub samples: Option<(&'c Path, f64)>,
    /// What the new version is called.
    pub title: Option<&'c str>,
    /// Whether it may be one that cannot be served.
    pub faulty: bool,
    /// The content that the graph must have until now; `None` for any.
    pub over: Option<&'c str>,
}

/// Makes a graph the newest version of the graph `name`: that version, and whether it is a new one.
pub fn publish(
    versions: &Versions,
    catalogue: &Catalogue,
    name: &str,
    graph: &Graph,
    conditions: &Conditions<'_>,
    tell: impl FnMut(String),
) -> Result<(Version, bool), Failure> {
    let failed = |error: VersionError| vec![error.to_string()];
    let before = match versions.list(name) {
        Ok(mut all) => all.pop(),
        Err(VersionError::NoGraph(_)) => None,
        Err(error) => return Err(failed(error)),
    };
    let mut over = conditions.over;
    if let (Some((samples, most)), Some(before)) = (conditions.samples, &before) {
        let old = versions.load(name, before.number).and_then(|old| versions.check(name, &old));
        let old =
            old.map_err(|error| vec![format!("version {} of {name}, to compare with: {error}", before.number)])?;
        let new = versions.check(name, graph).map_err(failed)?;
        let engine = engine();
        let compared = check(&old, &new, samples, &renderer(catalogue, &engine), &Cancel::new());
        accept(compared.map_err(|error| vec![error.to_string()])?, most, tell)?;
        over = over.or(Some(before.content.as_str()));
    }
    let saving = Saving { title: conditions.title, faulty: conditions.faulty, over };
    let version = versions.save(name, graph, &saving).map_err(failed)?;
    let is_new = before.is_none_or(|before| before.number != version.number);
    Ok((version, is_new))
}

/// Tells how far apart the pictures of each sample are; those that are too far are the failure.
fn accept(compared: Vec<Compared>, most: f64, mut tell: impl FnMut(String)) -> Result<(), Failure> {
    let mut apart = Vec::new();
    for Compared { sample, difference } in compared {
        let sample = if sample.is_empty() { "its picture" } else { &sample };
        if difference.is_within(most) {
            tell(format!("{sample}: {difference}"));
        } else {
            apart.push(format!("{sample}: {difference}; allowed is {most}"));
        }
    }
    if apart.is_empty() { Ok(()) } else { Err(apart) }
}
