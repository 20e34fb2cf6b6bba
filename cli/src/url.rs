//! `imgflo url`: the URL of a derived image, signed.

use std::collections::BTreeMap;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::Failure;

pub fn command() -> Command {
    Command::new("url")
        .about("Prints the URL of a derived image, signed when there is a key")
        .after_help(
            "Example: imgflo url gaussianblur --input https://example.org/a.jpg -p std-dev-x=4 -p width=300 --format png",
        )
        .arg(Arg::new("graph").required(true).value_name("GRAPH").help("Name of the graph, at choice with the format: crop, crop.png"))
        .arg(Arg::new("input").long("input").short('i').required(true).value_name("URL").help("The input picture"))
        .arg(super::render::parameter_arg())
        .arg(Arg::new("format").long("format").value_name("EXT").help("Output format: jpg, png, webp, avif [default: the graph's suffix, or the input's]"))
        .arg(
            Arg::new("server")
                .long("server")
                .env("IMGFLO_SERVER")
                .default_value("http://127.0.0.1:8080/")
                .value_name("URL")
                .help("Address of the server"),
        )
        .arg(Arg::new("key").long("key").env("IMGFLO_API_KEY").value_name("KEY").help("Application key"))
        .arg(
            Arg::new("secret")
                .long("secret")
                .env("IMGFLO_API_SECRET")
                .hide_env_values(true)
                .action(ArgAction::Set)
                .value_name("SECRET")
                .help("Application secret"),
        )
}

pub fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let text = |name| matches.get_one::<String>(name).map(String::as_str);
    let mut parameters: BTreeMap<String, String> = super::render::parameters(matches)?;
    parameters.insert("input".into(), text("input").unwrap_or_default().into());
    let url = imgflo_job::url::build(
        text("server").unwrap_or_default(),
        text("key"),
        text("secret"),
        text("graph").unwrap_or_default(),
        &parameters,
        text("format"),
    )
    .map_err(|error| vec![error.to_string()])?;
    outln!("{url}");
    Ok(())
}
