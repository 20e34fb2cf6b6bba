//! `imgflo graph versions` and `rollback`: what graphs were.

use std::path::Path;
use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use imgflo_job::Limits;
use imgflo_job::limits::LimitSetting;
use imgflo_runtime::{Catalogue, Saving, Version, Versions};

use super::shipped_only;
use crate::render::{graphs_arg, graphs_folder};
use crate::{Failure, catalogue, limits};

/// The name of a graph in the folder.
pub fn name_arg() -> Arg {
    Arg::new("name").required(true).value_name("NAME").help("Name of a graph in --graphs")
}

fn version_arg() -> Arg {
    Arg::new("version")
        .value_name("VERSION")
        .value_parser(value_parser!(u64))
        .help("Number of a version; or NAME@VERSION")
}

/// The name of a graph, and the number of a version where one is given: `NAME VERSION` or `NAME@VERSION`.
fn given(matches: &ArgMatches) -> Result<(&str, Option<u64>), Failure> {
    let name = matches.get_one::<String>("name").expect("the name is required").as_str();
    let number = matches.get_one::<u64>("version").copied();
    match (name.rsplit_once('@').map(|(name, version)| (name, version.parse())), number) {
        (Some((name, Ok(version))), None) => Ok((name, Some(version))),
        (Some((_, Ok(_))), Some(number)) => Err(vec![format!("two versions are given: {name} and {number}")]),
        _ => Ok((name, number)),
    }
}

/// `--faulty`.
pub fn faulty_arg() -> Arg {
    Arg::new("faulty")
        .long("faulty")
        .action(ArgAction::SetTrue)
        .help("Takes a graph that could not be served, too; a running server goes on with the one before")
}

/// `--title TITLE`.
pub fn title_arg() -> Arg {
    Arg::new("title").long("title").value_name("TITLE")
}

/// The limits that come from the environment, as those of servers do.
pub fn limit_args() -> Vec<Arg> {
    let settings = Limits::SETTINGS.iter().filter(|limit| limit.name.starts_with("max-graph-"));
    let arg = |limit: &LimitSetting| {
        Arg::new(limit.name)
            .long(limit.name)
            .env(limit.variable())
            .value_name("NUMBER")
            .default_value(limit.default_value().to_string())
            .value_parser(value_parser!(u64).range(limit.minimum..=limit.maximum))
            .help(limit.help)
    };
    settings.map(arg).collect()
}

/// The versions of a folder of graphs, within default limits.
pub fn open(folder: &Path, catalogue: &Arc<Catalogue>) -> Result<Versions, Failure> {
    within(folder, catalogue, &Limits::default())
}

fn within(folder: &Path, catalogue: &Arc<Catalogue>, limits: &Limits) -> Result<Versions, Failure> {
    Versions::open(folder, Arc::clone(catalogue), limits::versions(limits)).map_err(|error| vec![error.to_string()])
}

/// The versions of the folder and within the limits that arguments name.
pub fn from_args(matches: &ArgMatches, catalogue: &Arc<Catalogue>) -> Result<Versions, Failure> {
    let mut limits = Limits::default();
    for limit in Limits::SETTINGS {
        if let Ok(Some(value)) = matches.try_get_one::<u64>(limit.name) {
            (limit.set)(&mut limits, *value);
        }
    }
    within(graphs_folder(matches)?, catalogue, &limits)
}

pub fn list_command() -> Command {
    Command::new("versions")
        .about("Lists the versions of a graph, or gives one a title")
        .after_help("A version with a title stays; of the others the oldest go when there are too many.")
        .arg(name_arg())
        .arg(version_arg().help("The version that gets the title; the newest if there is none"))
        .arg(title_arg().help("Gives a version this title; an empty one takes it away"))
        .arg(graphs_arg())
        .args(limit_args())
}

pub fn list(matches: &ArgMatches) -> Result<(), Failure> {
    let failed = |error: imgflo_runtime::VersionError| vec![error.to_string()];
    let (name, number) = given(matches)?;
    let versions = from_args(matches, &shipped_only())?;
    let all = versions.list(name).map_err(failed)?;
    let newest = all.last().map_or(0, |version| version.number);
    let all = match matches.get_one::<String>("title") {
        Some(title) => vec![versions.name(name, number.unwrap_or(newest), Some(title)).map_err(failed)?],
        None => all.into_iter().filter(|version| number.is_none_or(|number| version.number == number)).collect(),
    };
    if all.is_empty() {
        return Err(vec![format!("graph '{name}' has no such version; its newest is {newest}")]);
    }
    out!("{}", table(&all));
    Ok(())
}

fn table(versions: &[Version]) -> String {
    let mut text = format!("{:>7}  {:20}  {:>8}  {:12}  TITLE\n", "VERSION", "TIME", "BYTES", "SHA-256");
    for version in versions {
        let Version { number, time, bytes, content, title, .. } = version;
        let time = if version.is_shipped() { "shipped" } else { time };
        let (content, title) = (content.get(..12).unwrap_or(content), title.as_deref().unwrap_or_default());
        text += format!("{number:>7}  {time:20}  {bytes:>8}  {content:12}  {title}").trim_end();
        text.push('\n');
    }
    text
}

pub fn rollback_command() -> Command {
    Command::new("rollback")
        .about(
            "Makes an old version of a graph the newest, with the sources of its operations in C; those between stay",
        )
        .arg(name_arg())
        .arg(version_arg())
        .arg(title_arg().help("What the new version is called"))
        .arg(faulty_arg())
        .arg(graphs_arg())
        .args(limit_args())
        .args(catalogue::engine_args())
}

pub fn rollback(matches: &ArgMatches) -> Result<(), Failure> {
    let (name, number) = given(matches)?;
    let number = number.ok_or_else(|| vec!["a version is needed: NAME VERSION or NAME@VERSION".to_owned()])?;
    let versions = from_args(matches, &Arc::new(catalogue::from_flags(matches)?))?;
    let title = matches.get_one::<String>("title").map(String::as_str);
    let saving = Saving { title, faulty: matches.get_flag("faulty"), ..Saving::default() };
    let failed = |error: imgflo_runtime::VersionError| vec![error.to_string()];
    let before = versions.list(name).map_err(failed)?.pop().map(|newest| newest.sources).unwrap_or_default();
    let version = versions.rollback(name, number, &saving).map_err(failed)?;
    outln!("{name}: version {} is as version {number}", version.number);
    for (operation, _) in version.sources.iter().filter(|(name, source)| before.get(*name) != Some(source)) {
        outln!("c/{operation}: its source is that of version {number}, for all graphs with this operation");
    }
    Ok(())
}
