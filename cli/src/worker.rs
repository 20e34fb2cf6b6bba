//! `imgflo worker`: takes jobs from a broker.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command};
use imgflo_runtime::Library;
use imgflo_worker::Role;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::parts::Parts;
use crate::settings::{self, Settings};
use crate::{Failure, isolated, limits, process, shipped};

/// How long the jobs at work may take to end; platforms kill after 30 s.
const DRAIN: Duration = Duration::from_secs(20);

pub fn command() -> Command {
    let roles = Role::ALL.into_iter().flat_map(|role| [role.name(), short(role)]);
    let command = Command::new("worker")
        .about("Takes jobs from a broker and makes images")
        .long_about(
            "Takes jobs from a broker and makes images.\n\nWithout a role it takes urgent jobs, and background jobs \
             when there is no urgent one.",
        )
        .arg(
            Arg::new("role")
                .value_name("ROLE")
                .value_parser(clap::builder::PossibleValuesParser::new(roles.collect::<Vec<_>>()))
                .help("Which jobs to take; without it urgent ones first, then background ones. The role video is reserved: it makes no pictures yet"),
        );
    isolated::flag(settings::flags(command, settings::Command::Worker))
}

/// What a role may be called for short.
fn short(role: Role) -> &'static str {
    match role {
        Role::Urgent => "urgent",
        Role::Background => "background",
        Role::Video => "video",
    }
}

pub fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let settings = settings::read(matches, &std::env::vars().collect(), settings::Command::Worker)?;
    if settings.broker.is_none() {
        return Err(vec![
            "a worker takes its jobs from a broker, and none is named; set --broker or IMGFLO_BROKER_URL, as for \
             imgflo serve (which works by itself where it has no broker)"
                .into(),
        ]);
    }
    let roles: Vec<Role> = match matches.get_one::<String>("role") {
        Some(name) => Role::ALL.into_iter().filter(|role| role.name() == name || short(*role) == name).collect(),
        None => vec![Role::Urgent, Role::Background],
    };
    let settings = shipped::settle(settings, settings::Command::Worker)?;
    if isolated::is_asked(matches) {
        return isolated::run(settings);
    }
    process::run(&settings, work(&settings, &roles))
}

/// The graphs of jobs that hold none.
fn library(settings: &Settings, parts: &Parts) -> Result<Arc<Library>, Failure> {
    let library = Library::load(&settings.graphs, Arc::clone(&parts.catalogue), &limits::library(&settings.limits))
        .map_err(|error| vec![format!("{}: {error}", settings.graphs.display())])?;
    Ok(Arc::new(library))
}

async fn work(settings: &Settings, roles: &[Role]) -> Result<(), Failure> {
    let names: Vec<&str> = roles.iter().map(|role| role.name()).collect();
    let parts = Parts::open(settings, &format!("imgflo worker {}", names.join(" "))).await?;
    let shutdown = CancellationToken::new();
    tokio::spawn(process::stop_on_signal(shutdown.clone()));
    let worker =
        parts.worker(settings, Some(library(settings, &parts)?)).run(parts.transport.clone(), roles, shutdown.clone());
    let mut worker = std::pin::pin!(worker);
    let mut out = std::io::stdout();
    // Whoever started it may have closed the pipe: that is no reason to stop.
    let _ = writeln!(out, "imgflo works as {}", names.join(" ")).and_then(|()| out.flush());
    tokio::select! {
        ended = &mut worker => ended.map_err(|error| vec![error.to_string()])?,
        () = shutdown.cancelled() => process::drain(worker, DRAIN).await,
    }
    parts.transport.close().await;
    info!("stopped");
    Ok(())
}
