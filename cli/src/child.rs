//! `imgflo child`: what imgflo starts by itself to run foreign code in.

use clap::{Arg, ArgAction, ArgMatches, Command};

use imgflo_runtime::c_operations;

use crate::Failure;

pub fn command() -> Command {
    Command::new("child")
        .about("A part of imgflo that it starts by itself")
        .hide(true)
        .subcommand_required(true)
        .subcommand(Command::new("gegl").arg(Arg::new("gpl").long("gpl").action(ArgAction::SetTrue)))
        .subcommand(Command::new("ops"))
        .subcommand(Command::new("compile").arg(Arg::new("compiler").required(true)))
}

pub fn run(matches: &ArgMatches) -> Result<(), Failure> {
    match matches.subcommand() {
        Some(("gegl", matches)) => imgflo_gegl::serve(matches.get_flag("gpl")),
        Some(("ops", _)) => c_operations::serve_operations(),
        Some(("compile", matches)) => {
            let compiler = matches.get_one::<String>("compiler").expect("the compiler is required");
            c_operations::serve_compiler(compiler)
        }
        _ => unreachable!("clap knows no other sub-command"),
    }
    .map_err(|error| vec![error.to_string()])
}
