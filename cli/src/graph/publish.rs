//! `imgflo graph publish`: a graph into the folder that is served, if its pictures stay what they were.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Arg, ArgMatches, Command, value_parser};
use imgflo_ops::Cancel;
use imgflo_runtime::{Compared, Saving, VersionError, check};

use super::diff::{engine, renderer};
use super::read;
use super::versions::{faulty_arg, from_args, limit_args, name_arg, title_arg};
use crate::render::graphs_arg;
use crate::{Failure, catalogue};

pub fn command() -> Command {
    Command::new("publish")
        .about("Makes a file the newest version of a graph; with --samples only if the pictures of both are alike")
        .after_help("A running `imgflo serve` serves it within a few seconds.")
        .arg(name_arg())
        .arg(
            Arg::new("file")
                .required(true)
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("The new graph, .json or .fbp; - reads standard input"),
        )
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
    let failed = |error: VersionError| vec![error.to_string()];
    let name = matches.get_one::<String>("name").expect("the name is required");
    let graph = read(matches.get_one::<PathBuf>("file").expect("the file is required"))?;
    let catalogue = Arc::new(catalogue::from_flags(matches)?);
    let versions = from_args(matches, &catalogue)?;
    let before = match versions.list(name) {
        Ok(mut all) => all.pop(),
        Err(VersionError::NoGraph(_)) => None,
        Err(error) => return Err(failed(error)),
    };
    let mut over = None;
    if let (Some(samples), Some(before)) = (matches.get_one::<PathBuf>("samples"), &before) {
        let old = versions.load(name, before.number).and_then(|old| versions.check(name, &old));
        let old =
            old.map_err(|error| vec![format!("version {} of {name}, to compare with: {error}", before.number)])?;
        let new = versions.check(name, &graph).map_err(failed)?;
        let most = *matches.get_one::<f64>("max-distance").expect("it has a default");
        let engine = engine();
        let compared = check(&old, &new, samples, &renderer(&catalogue, &engine), &Cancel::new());
        accept(compared.map_err(|error| vec![error.to_string()])?, most)?;
        over = Some(before.content.as_str());
    }
    let title = matches.get_one::<String>("title").map(String::as_str);
    let saving = Saving { title, faulty: matches.get_flag("faulty"), over };
    let version = versions.save(name, &graph, &saving).map_err(failed)?;
    if before.is_some_and(|before| before.number == version.number) {
        println!("{name}: is version {} already", version.number);
    } else {
        println!("{name}: is version {} now", version.number);
    }
    Ok(())
}

/// Tells how far apart the pictures of each sample are; those that are too far are the failure.
fn accept(compared: Vec<Compared>, most: f64) -> Result<(), Failure> {
    let mut apart = Vec::new();
    for Compared { sample, difference } in compared {
        let sample = if sample.is_empty() { "its picture" } else { &sample };
        if difference.is_within(most) {
            println!("{sample}: {difference}");
        } else {
            apart.push(format!("{sample}: {difference}; allowed is {most}"));
        }
    }
    if apart.is_empty() { Ok(()) } else { Err(apart) }
}
