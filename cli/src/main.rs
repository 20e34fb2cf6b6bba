//! The `imgflo` program: sub-commands and wiring, no logic.

#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr, reason = "they panic when nobody reads; `out!` does not")]

#[macro_use]
mod out;

mod apps;
mod catalogue;
mod child;
mod completions;
mod deadletters;
mod graph;
mod greeting;
mod health;
mod isolated;
mod limits;
mod live_code;
mod network;
mod ops;
mod parts;
mod process;
mod render;
mod runtime;
mod serve;
mod settings;
mod shipped;
mod url;
mod version;
mod worker;

use std::process::ExitCode;

use clap::Command;

/// What a sub-command ends with when it fails: lines for people, on standard error.
type Failure = Vec<String>;

/// The whole command line.
fn command() -> Command {
    Command::new("imgflo")
        .about("An image-processing server whose filters are graphs")
        .long_about(
            "An image-processing server whose filters are graphs that people draw, tune live and publish as a URL.\n\n\
             `imgflo serve` needs no configuration: it serves the shipped graphs and samples on http://127.0.0.1:8080/.",
        )
        .version(version::short())
        .long_version(version::long())
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(serve::command())
        .subcommand(worker::command())
        .subcommand(runtime::command())
        .subcommand(network::setup_command())
        .subcommand(network::procfile_command())
        .subcommand(deadletters::command())
        .subcommand(health::command())
        .subcommand(apps::command())
        .subcommand(render::command())
        .subcommand(graph::command())
        .subcommand(ops::command())
        .subcommand(url::command())
        .subcommand(Command::new("settings").about("Prints the table of all settings of `imgflo serve` and `imgflo worker`"))
        .subcommand(completions::command())
        .subcommand(version::command())
        .subcommand(child::command())
}

fn main() -> ExitCode {
    let matches = command().get_matches();
    let (name, matches) = matches.subcommand().expect("clap requires a sub-command");
    if matches!(name, "serve" | "worker") {
        imgflo_ops::codec::keep_memory();
    }
    let result = match name {
        "serve" => serve::run(matches),
        "worker" => worker::run(matches),
        "runtime" => runtime::run(matches),
        "setup" => network::set_up(matches),
        "procfile" => network::procfile(matches),
        "deadletters" => deadletters::run(matches),
        "health" => health::run(matches),
        "apps" => apps::run(matches),
        "render" => render::run(matches),
        "graph" => graph::run(matches),
        "ops" => ops::run(matches),
        "url" => url::run(matches),
        "settings" => {
            out!("{}", settings::table());
            Ok(())
        }
        "completions" => completions::run(matches, command()),
        "version" => version::run(matches),
        "child" => child::run(matches),
        _ => unreachable!("clap knows no other sub-command"),
    };
    match result.and_then(|()| out::failure().map_or(Ok(()), |failure| Err(vec![failure]))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(lines) => {
            for line in lines {
                errln!("imgflo: {line}");
            }
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::command().debug_assert();
    }
}
