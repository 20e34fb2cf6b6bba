//! `imgflo child`: what imgflo starts by itself to run foreign code in.

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::Failure;

pub fn command() -> Command {
    Command::new("child")
        .about("A part of imgflo that it starts by itself")
        .hide(true)
        .subcommand_required(true)
        .subcommand(Command::new("gegl").arg(Arg::new("gpl").long("gpl").action(ArgAction::SetTrue)))
}

pub fn run(matches: &ArgMatches) -> Result<(), Failure> {
    match matches.subcommand() {
        Some(("gegl", matches)) => imgflo_gegl::serve(matches.get_flag("gpl")),
        _ => unreachable!("clap knows no other sub-command"),
    }
    .map_err(|error| vec![error.to_string()])
}
