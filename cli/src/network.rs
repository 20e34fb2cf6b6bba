//! `imgflo setup` and `imgflo procfile`: the network of roles, on a broker and as processes.

use std::sync::Arc;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command};
use imgflo_job::Limits;
use imgflo_msgflo::network::Process;
use imgflo_msgflo::{Binding, Link, Network, Transport, connect};

use crate::graph::{graph_arg, of_args, shipped_only};
use crate::render::{graphs_arg, graphs_folder};
use crate::{Failure, graph};

/// How long the broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What starts a role, by its component.
const COMMANDS: &[(&str, &str)] = &[(HTTP_API, "imgflo serve"), ("imgflo-server/ProcessImage", "imgflo worker")];
/// The file of the network, unless another is named.
const GRAPH: &str = "imgflo.fbp";
/// The component of front ends.
const HTTP_API: &str = "imgflo-server/HttpApi";
/// The name that platforms give to the process that takes requests.
const WEB: &str = "web";

fn graph_args() -> [Arg; 2] {
    let help = "The network: a graph file, - for standard input, the name of a graph in --graphs, or NAME@VERSION [default: imgflo.fbp in --graphs, or the one in the program where that is missing]";
    [graph_arg("graph").required(false).help(help), graphs_arg()]
}

/// `--broker URL`.
pub fn broker_arg() -> Arg {
    Arg::new("broker")
        .long("broker")
        .value_name("URL")
        .env("IMGFLO_BROKER_URL")
        .hide_env_values(true)
        .help("The broker: amqp://user:password@host/virtual-host; else CLOUDAMQP_URL, else amqp://localhost")
}

pub fn setup_command() -> Command {
    Command::new("setup")
        .about("Makes the queues and bindings of a network on a broker")
        .long_about(
            "Makes the queues and bindings of a network on a broker.\n\nFront ends and workers do so themselves when \
             they start; this shows what they do, and does it before them.",
        )
        .args(graph_args())
        .arg(broker_arg())
}

pub fn procfile_command() -> Command {
    Command::new("procfile").about("Prints the Procfile of a network: a line for each role").args(graph_args())
}

pub fn set_up(matches: &ArgMatches) -> Result<(), Failure> {
    let network = read(matches)?;
    let work = async {
        let transport = reach(matches, "imgflo setup").await?;
        let limit = |queue: &str| {
            let (limit, _) = imgflo_job::network::limit(queue, &Limits::default())?;
            Some(limit)
        };
        network.set_up(&*transport, &limit).await.map_err(|error| vec![error.to_string()])?;
        transport.close().await;
        out!("{}", listing(&network));
        Ok(())
    };
    block_on(work)
}

/// Runs a short piece of work.
pub fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| vec![format!("cannot start the runtime: {error}")])?;
    runtime.block_on(work)
}

/// Connects to the broker that is named, or the one on this machine.
pub async fn reach(matches: &ArgMatches, name: &str) -> Result<Arc<dyn Transport>, Failure> {
    let url = matches.get_one::<String>("broker").cloned();
    let url = url.or_else(|| std::env::var("CLOUDAMQP_URL").ok()).unwrap_or_else(|| "amqp://localhost".to_owned());
    if url.starts_with("mqtt") {
        return Err(vec![format!(
            "{name} needs a broker that speaks AMQP: over MQTT each process makes its own bindings when it starts, and \
             dead letters wait in the processes"
        )]);
    }
    let transport = connect(&url, name).await.map_err(|error| vec![error.to_string()])?;
    let up = async { transport.link().wait_for(|link| *link != Link::Down).await.is_ok() };
    if tokio::time::timeout(PATIENCE, up).await != Ok(true) {
        return Err(vec![format!(
            "the broker did not answer within {} s; is it running, and does --broker (or IMGFLO_BROKER_URL) name it?",
            PATIENCE.as_secs()
        )]);
    }
    Ok(transport)
}

pub fn procfile(matches: &ArgMatches) -> Result<(), Failure> {
    let network = read(matches)?;
    out!("{}", lines(&network)?);
    Ok(())
}

fn read(matches: &ArgMatches) -> Result<Network, Failure> {
    let (file, graph) = if matches.contains_id("graph") {
        let (file, _, graph) = of_args(matches, "graph", &shipped_only())?;
        (file, graph)
    } else {
        let file = graphs_folder(matches)?.join(GRAPH);
        let graph = if file.is_file() { graph::read(&file)? } else { imgflo_job::network::graph() };
        (file, graph)
    };
    Network::from_graph(&graph).map_err(|error| vec![format!("{}: {error}", file.display())])
}

/// Components of roles that are queues without a process.
const NO_PROCESS: &[&str] = &["imgflo-server/DeadLetters"];

/// A line for each role that is a process.
///
/// # Errors
/// A line for each role whose component is not known.
fn lines(network: &Network) -> Result<String, Failure> {
    let (mut lines, mut faults) = (String::new(), Vec::new());
    for Process { name, component } in network.processes() {
        match COMMANDS.iter().find(|(known, _)| known == component) {
            Some((HTTP_API, command)) => lines += &format!("{WEB}: {command}\n"),
            Some((_, command)) => lines += &format!("{name}: {command} {name}\n"),
            None if NO_PROCESS.contains(&component.as_str()) => {}
            None => faults.push(format!("no component '{component}' is defined for role '{name}'")),
        }
    }
    if faults.is_empty() { Ok(lines) } else { Err(faults) }
}

/// The bindings, as MsgFlo lists them.
fn listing(network: &Network) -> String {
    let mut lines = vec!["Set up bindings:".to_owned()];
    for binding in network.bindings() {
        match binding {
            Binding::PubSub { outport, queue } => lines.push(format!("PUBSUB: \t {outport} -> {queue}")),
            Binding::RoundRobin { outport, queue, dead_letters } => {
                if let Some(dead_letters) = dead_letters {
                    lines.push(format!("DEADLETTER:\t {queue} -> {dead_letters}"));
                }
                lines.push(format!("ROUNDROBIN:\t {outport} -> {queue}"));
            }
        }
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> Network {
        Network::from_graph(&imgflo_job::network::graph()).unwrap()
    }

    #[test]
    fn the_procfile_is_that_of_the_graph() {
        assert_eq!(
            include_str!("../../Procfile"),
            lines(&network()).unwrap(),
            "Procfile is out of date: replace it by the output of `imgflo procfile`"
        );
    }

    #[test]
    fn components_that_are_not_known_are_named() {
        let graph = "source(my/Count) OUT -> IN sink(my/Print)\nsource OUT -> JOB w(imgflo-server/ProcessImage)";
        let graph = imgflo_fbp::parse(graph, &imgflo_fbp::ParseOptions::default()).unwrap();
        let faults = lines(&Network::from_graph(&graph).unwrap()).unwrap_err();
        assert_eq!(
            faults,
            [
                "no component 'my/Count' is defined for role 'source'",
                "no component 'my/Print' is defined for role 'sink'"
            ]
        );
    }

    #[test]
    fn bindings_are_listed_as_msgflo_does() {
        let listing = listing(&network());
        assert!(listing.starts_with("Set up bindings:\n"), "{listing}");
        assert!(listing.contains("\nROUNDROBIN:\t imgflo_api.URGENTJOB -> imgflo_urgentworker.JOB\n"), "{listing}");
        assert!(listing.contains("\nDEADLETTER:\t imgflo_urgentworker.JOB -> imgflo_deadletters.JOB\n"), "{listing}");
    }
}
