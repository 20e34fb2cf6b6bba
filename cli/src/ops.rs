//! `imgflo ops`: the operations that graphs can use.

use clap::{Arg, ArgAction, ArgMatches, Command};
use imgflo_ops::{Info, Kind, Property};
use imgflo_runtime::Catalogue;

use crate::{Failure, catalogue};

pub fn command() -> Command {
    Command::new("ops")
        .about("Shows the operations that graphs can use")
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
}

pub fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let (name, matches) = matches.subcommand().expect("clap requires a sub-command");
    let catalogue = catalogue::from_flags(matches);
    match name {
        "show" => {
            let name = matches.get_one::<String>("name").expect("the name is required");
            // GEGL writes gegl:crop where components are named gegl/crop.
            let operation =
                catalogue.operation(&name.replacen(':', "/", 1)).ok_or_else(|| vec![unknown(&catalogue, name)])?;
            print!("{}", describe(operation.info()));
        }
        _ => {
            let width = catalogue.infos().map(|info| info.name.len()).max().unwrap_or(0);
            for info in catalogue.infos() {
                let engine = if catalogue.registry().get(info.name).is_some() { "native" } else { "gegl" };
                println!("{:width$}  {engine:6}  {}", info.name, info.description);
            }
            if let Some(Err(reason)) = catalogue.gegl().map(|gegl| gegl.version()) {
                eprintln!("imgflo: {reason}");
            }
        }
    }
    Ok(())
}

fn unknown(catalogue: &Catalogue, name: &str) -> String {
    let near = catalogue.infos().map(|i| i.name).max_by(|a, b| strsim::jaro(a, name).total_cmp(&strsim::jaro(b, name)));
    format!("no operation '{name}'; did you mean {}? `imgflo ops list` lists all", near.unwrap_or_default())
}

fn describe(info: &Info) -> String {
    let mut lines = vec![format!("{} - {}", info.name, info.title), info.description.to_owned(), String::new()];
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
