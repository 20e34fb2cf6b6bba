//! `imgflo ops`: the operations that graphs can use, and those in C that are written here.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command};
use imgflo_ops::{Info, Kind, Property};
use imgflo_runtime::c_operations;
use imgflo_runtime::{Catalogue, ChildLimits};

use crate::{Failure, catalogue};

pub fn command() -> Command {
    Command::new("ops")
        .about("Shows the operations that graphs can use, and builds those written in C")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(Command::new("list").about("Lists all operations").args(catalogue::engine_args()))
        .subcommand(
            Command::new("show")
                .about("Describes one operation: pads, properties, defaults and ranges")
                .arg(
                    Arg::new("name")
                        .required(true)
                        .action(ArgAction::Set)
                        .value_name("OPERATION")
                        .help("gegl/gaussian-blur"),
                )
                .args(catalogue::engine_args()),
        )
        .subcommand(
            Command::new("build")
                .about("Compiles the operations in C of a folder; exits with 1 when one does not build")
                .arg(sources_arg())
                .arg(
                    Arg::new("cc")
                        .long("cc")
                        .env("CC")
                        .default_value("cc")
                        .value_name("COMMAND")
                        .help("The C compiler, with flags if need be"),
                ),
        )
        .subcommand(
            Command::new("new")
                .about("Writes the source of a new operation in C, which builds and works")
                .arg(Arg::new("name").required(true).value_name("NAME").help("Small letters, digits and dashes"))
                .arg(sources_arg()),
        )
}

fn sources_arg() -> Arg {
    catalogue::ops_arg()
        .default_value("ops/c")
        .help("Folder with the sources; what is built goes into its folder build")
}

fn sources(matches: &ArgMatches) -> &PathBuf {
    matches.get_one("ops").expect("it has a default")
}

fn build(matches: &ArgMatches) -> Result<(), Failure> {
    let sources = sources(matches);
    let compiler = matches.get_one::<String>("cc").expect("it has a default");
    let built = c_operations::build(sources, compiler, &ChildLimits::new(1))
        .map_err(|error| vec![format!("{}: {error}", sources.display())])?;
    let mut failed = Vec::new();
    for building in &built {
        let file = building.file.display();
        for message in &building.messages {
            errln!("{message}");
        }
        match (building.built, building.unchanged) {
            (true, true) => outln!("{file}: unchanged"),
            (true, false) => outln!("{file}: built"),
            (false, _) => failed.push(format!("{file}: not built; what was built of it before stays")),
        }
    }
    if built.is_empty() {
        outln!("{}: no .c file", sources.display());
    }
    if failed.is_empty() { Ok(()) } else { Err(failed) }
}

pub fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let (name, matches) = matches.subcommand().expect("clap requires a sub-command");
    match name {
        "build" => return build(matches),
        "new" => {
            let name = matches.get_one::<String>("name").expect("the name is required");
            let file = c_operations::create(sources(matches), name).map_err(|error| match error.kind() {
                std::io::ErrorKind::AlreadyExists => vec![format!("there is an operation '{name}' already")],
                _ => vec![error.to_string()],
            })?;
            outln!("{}: written; build it with `imgflo ops build`", file.display());
            return Ok(());
        }
        _ => {}
    }
    let catalogue = catalogue::from_flags(matches)?;
    match name {
        "show" => {
            let name = matches.get_one::<String>("name").expect("the name is required");
            // GEGL writes gegl:crop where components are named gegl/crop.
            let operation =
                catalogue.operation(&name.replacen(':', "/", 1)).ok_or_else(|| vec![unknown(&catalogue, name)])?;
            out!("{}", describe(&catalogue, operation.info()));
        }
        _ => {
            let width = catalogue.infos().map(|info| info.name.len()).max().unwrap_or(0);
            for info in catalogue.infos() {
                outln!("{:width$}  {:6}  {}", info.name, engine(&catalogue, info), info.description);
            }
            if let Some(Err(reason)) = catalogue.gegl().map(|gegl| gegl.version()) {
                errln!("imgflo: {reason}");
            }
        }
    }
    Ok(())
}

/// The engine of an operation: `native`, `c` for a library built of C, or `gegl`.
fn engine(catalogue: &Catalogue, info: &Info) -> &'static str {
    match info.name.split_once('/') {
        _ if catalogue.registry().get(info.name).is_some() => "native",
        Some((imgflo_ops::c::LIBRARY, _)) => "c",
        _ => "gegl",
    }
}

fn unknown(catalogue: &Catalogue, name: &str) -> String {
    let meant = catalogue.nearest(name).map(|near| format!("did you mean {near}? ")).unwrap_or_default();
    format!("no operation '{name}'; {meant}`imgflo ops list` lists all")
}

fn describe(catalogue: &Catalogue, info: &Info) -> String {
    let mut lines = vec![format!("{} - {}", info.name, info.title), info.description.to_owned(), String::new()];
    lines.push(format!("engine: {}", engine(catalogue, info)));
    if !info.aliases.is_empty() {
        lines.push(format!("aliases: {}", info.aliases.join(", ")));
    }
    lines.push(format!("categories: {}", info.categories.join(", ")));
    let pads: Vec<String> =
        info.inputs.iter().map(|p| format!("{}{}", p.name, if p.required { "" } else { " (optional)" })).collect();
    lines.push(format!("inputs: {}", if pads.is_empty() { "none".into() } else { pads.join(", ") }));
    lines.push("outputs: output".into());
    for property in info.properties {
        lines.push(String::new());
        lines.push(format!("  {}: {}", property.name, shape(property)));
        lines.push(format!("      {}", property.description));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn shape(property: &Property) -> String {
    let default = property.kind.default().to_json();
    let default = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
    let kind = property.kind.type_name();
    match property.kind {
        Kind::Int { minimum, maximum, .. } => format!("{kind}, {minimum} to {maximum}, default {default}"),
        Kind::Number { minimum, maximum, .. } if minimum == f64::MIN && maximum == f64::MAX => {
            format!("{kind}, default {default}")
        }
        Kind::Number { minimum, maximum, .. } => format!("{kind}, {minimum} to {maximum}, default {default}"),
        Kind::Enum { values, .. } => format!("{kind} {}, default {default}", values.join(" | ")),
        _ => format!("{kind}, default {default}"),
    }
}
