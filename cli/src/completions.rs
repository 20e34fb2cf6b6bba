//! `imgflo completions`: shell completions.

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;

use crate::Failure;

pub fn command() -> Command {
    Command::new("completions")
        .about("Prints completions for a shell")
        .after_help("bash: imgflo completions bash > ~/.local/share/bash-completion/completions/imgflo")
        .arg(Arg::new("shell").required(true).value_parser(value_parser!(Shell)))
}

pub fn run(matches: &ArgMatches, mut program: Command) -> Result<(), Failure> {
    let shell = *matches.get_one::<Shell>("shell").expect("the shell is required");
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut program, "imgflo", &mut script);
    out!("{}", String::from_utf8_lossy(&script));
    Ok(())
}
