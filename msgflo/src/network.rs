//! A network of roles, drawn as a graph: which queues there are and how they are bound.
//!
//! Processes are roles, but for those of two components:
//!
//! | component | meaning |
//! |---|---|
//! | `msgflo/RoundRobin` | the instances of the role at `OUT` share the messages that come `IN`; what they reject goes to the role at `DEADLETTER` |
//! | `msgflo/PubSub` | each instance of the roles at `OUT` gets all messages that come `IN`, on a queue of its own |
//!
//! An edge between two roles binds the one's outport to the other's queue. IIPs are not ours: they
//! go to the command that starts a role.

use imgflo_fbp::Graph;
use imgflo_fbp::graph::{End, Origin};

use crate::discovery::queue_name;
use crate::transport::{QueueOptions, Transport, TransportError};

const ROUND_ROBIN: &str = "msgflo/RoundRobin";
const PUB_SUB: &str = "msgflo/PubSub";

/// Why a graph describes no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// An edge to or from a process that the graph has not.
    #[error("there is no process '{0}'")]
    UnknownProcess(String),
    /// A component of `msgflo/` that we do not know.
    #[error("{process}: component '{component}' is not known; there are {ROUND_ROBIN} and {PUB_SUB}")]
    UnknownComponent {
        /// Where it is.
        process: String,
        /// What it is.
        component: String,
    },
    /// A process of `msgflo/` with an edge that makes no sense there.
    #[error("{process}: {what}")]
    Misused {
        /// Which.
        process: String,
        /// What is wrong and what would be right.
        what: String,
    },
}

/// A role and what it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Name of the role.
    pub name: String,
    /// Component: `imgflo-server/ProcessImage`.
    pub component: String,
}

/// How a queue gets the messages of an outport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding {
    /// Each message goes to the queue.
    PubSub {
        /// Where messages come from.
        outport: String,
        /// Where they go.
        queue: String,
    },
    /// As [`Transport::bind_round_robin`].
    RoundRobin {
        /// Where messages come from.
        outport: String,
        /// The queue of the role that shares them.
        queue: String,
        /// Where rejected ones go.
        dead_letters: Option<String>,
    },
}

/// Messages that every instance of a role gets.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Broadcast {
    outport: String,
    role: String,
    port: String,
}

/// A network of roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    processes: Vec<Process>,
    bindings: Vec<Binding>,
    broadcasts: Vec<Broadcast>,
}

impl Network {
    /// Reads a network from its graph. Queues have their conventional names, `role.PORT`.
    ///
    /// # Errors
    /// [`NetworkError`].
    pub fn from_graph(graph: &Graph) -> Result<Network, NetworkError> {
        for (name, process) in &graph.processes {
            let component = process.component.as_str();
            if component.starts_with("msgflo/") && ![ROUND_ROBIN, PUB_SUB].contains(&component) {
                return Err(NetworkError::UnknownComponent { process: name.clone(), component: component.to_owned() });
            }
        }
        let edges: Vec<(&End, &End)> = graph
            .connections
            .iter()
            .filter_map(|connection| match &connection.src {
                Origin::Process(src) => Some((src, &connection.tgt)),
                Origin::Data(_) => None,
            })
            .collect();
        let reader = Reader { graph, edges };
        let processes = graph.processes.iter().filter(|(_, process)| !process.component.starts_with("msgflo/"));
        Ok(Network {
            processes: processes
                .map(|(name, process)| Process { name: name.clone(), component: process.component.clone() })
                .collect(),
            bindings: reader.bindings()?,
            broadcasts: reader.broadcasts()?,
        })
    }

    /// The roles, in the order of the graph.
    pub fn processes(&self) -> &[Process] {
        &self.processes
    }

    /// The bindings, direct ones first.
    pub fn bindings(&self) -> &[Binding] {
        &self.bindings
    }

    /// Outports whose messages every instance of `role` gets at `port`: it binds a queue of its own
    /// to each.
    pub fn sources(&self, role: &str, port: &str) -> Vec<&str> {
        self.broadcasts
            .iter()
            .filter(|broadcast| broadcast.role == role && broadcast.port.eq_ignore_ascii_case(port))
            .map(|broadcast| broadcast.outport.as_str())
            .collect()
    }

    /// Declares the queues and outports of the network and binds them. What is there already stays.
    /// `limit`: the most messages that may wait in a queue, by its name.
    ///
    /// # Errors
    /// [`TransportError`].
    pub async fn set_up(
        &self,
        transport: &dyn Transport,
        limit: &(dyn Fn(&str) -> Option<usize> + Sync),
    ) -> Result<(), TransportError> {
        for binding in &self.bindings {
            let (Binding::PubSub { outport, queue } | Binding::RoundRobin { outport, queue, .. }) = binding;
            transport.declare_outport(outport).await?;
            let options = |queue| QueueOptions { limit: limit(queue), temporary: false };
            transport.declare_inport(queue, options(queue)).await?;
            match binding {
                Binding::PubSub { .. } => transport.bind(outport, queue).await?,
                Binding::RoundRobin { dead_letters, .. } => {
                    if let Some(dead_letters) = dead_letters {
                        transport.declare_inport(dead_letters, options(dead_letters)).await?;
                    }
                    transport.bind_round_robin(outport, queue, dead_letters.as_deref()).await?;
                }
            }
        }
        for broadcast in &self.broadcasts {
            transport.declare_outport(&broadcast.outport).await?;
        }
        Ok(())
    }
}

struct Reader<'a> {
    graph: &'a Graph,
    edges: Vec<(&'a End, &'a End)>,
}

impl Reader<'_> {
    /// The component of an end, if it is one of ours that is no role.
    fn special(&self, end: &End) -> Result<Option<&'static str>, NetworkError> {
        let process = self.graph.processes.get(&end.process);
        let process = process.ok_or_else(|| NetworkError::UnknownProcess(end.process.clone()))?;
        if end.port.is_empty() {
            return Err(misused(&end.process, "has an edge at a port without a name".into()));
        }
        Ok([ROUND_ROBIN, PUB_SUB].into_iter().find(|special| process.component == *special))
    }

    fn bindings(&self) -> Result<Vec<Binding>, NetworkError> {
        let mut bindings = Vec::new();
        for (src, tgt) in &self.edges {
            match (self.special(src)?, self.special(tgt)?) {
                (None, None) => bindings.push(Binding::PubSub { outport: queue_of(src), queue: queue_of(tgt) }),
                (Some(_), Some(_)) => {
                    return Err(misused(&src.process, format!("leads to '{}', which is no role", tgt.process)));
                }
                _ => {}
            }
        }
        for (name, _) in self.graph.processes.iter().filter(|(_, process)| process.component == ROUND_ROBIN) {
            let from = |port: &str| {
                let mut ends = self.edges.iter().filter(|(src, _)| &src.process == name && is(src, port));
                (ends.next().map(|(_, tgt)| queue_of(tgt)), ends.next().is_some())
            };
            let mut sources = self.edges.iter().filter(|(_, tgt)| &tgt.process == name).map(|(src, _)| queue_of(src));
            let ((queue, more), (dead_letters, more_dead)) = (from("out"), from("deadletter"));
            let source = sources.next();
            if more || more_dead || sources.next().is_some() {
                return Err(misused(name, "takes one edge at each of IN, OUT and DEADLETTER".into()));
            }
            let (Some(outport), Some(queue)) = (source, queue) else {
                return Err(misused(name, "needs an edge at IN and one at OUT".into()));
            };
            bindings.push(Binding::RoundRobin { outport, queue, dead_letters });
        }
        Ok(bindings)
    }

    fn broadcasts(&self) -> Result<Vec<Broadcast>, NetworkError> {
        let mut broadcasts = Vec::new();
        for (src, tgt) in &self.edges {
            if self.special(tgt)? != Some(PUB_SUB) {
                continue;
            }
            for (_, end) in self.edges.iter().filter(|(from, _)| from.process == tgt.process) {
                broadcasts.push(Broadcast {
                    outport: queue_of(src),
                    role: end.process.clone(),
                    port: end.port.clone(),
                });
            }
        }
        Ok(broadcasts)
    }
}

fn is(end: &End, port: &str) -> bool {
    end.port.eq_ignore_ascii_case(port)
}

fn queue_of(end: &End) -> String {
    queue_name(&end.process, &end.port)
}

fn misused(process: &str, what: String) -> NetworkError {
    NetworkError::Misused { process: process.to_owned(), what }
}

#[cfg(test)]
mod tests {
    use imgflo_fbp::ParseOptions;

    use super::*;
    use crate::{InProcess, Outcome};

    fn read(text: &str) -> Result<Network, NetworkError> {
        Network::from_graph(&imgflo_fbp::parse(text, &ParseOptions::default()).unwrap())
    }

    const NETWORK: &str = "\
        api(Api) OUT -> IN jobs(msgflo/RoundRobin) OUT -> IN worker(Work)
        jobs DEADLETTER -> IN dead(Repeat)
        worker RESULT -> IN results(msgflo/PubSub) OUT -> RESULT api
        dead OUT -> IN log(Log)
        '7' -> LEVEL log";

    #[test]
    fn bindings_of_the_originals_example() {
        let network = read(NETWORK).unwrap();
        assert_eq!(
            network.bindings(),
            [
                Binding::PubSub { outport: "dead.OUT".into(), queue: "log.IN".into() },
                Binding::RoundRobin {
                    outport: "api.OUT".into(),
                    queue: "worker.IN".into(),
                    dead_letters: Some("dead.IN".into())
                },
            ]
        );
        assert_eq!(network.sources("api", "result"), ["worker.RESULT"]);
        assert!(network.sources("worker", "result").is_empty());
        let names: Vec<&str> = network.processes().iter().map(|process| process.name.as_str()).collect();
        assert_eq!(names, ["api", "worker", "dead", "log"]);
    }

    #[test]
    fn graphs_that_are_no_network() {
        let fault = |text: &str| read(text).unwrap_err().to_string();
        assert!(fault("a(msgflo/Magic) OUT -> IN b(B)").contains("msgflo/Magic"));
        assert!(fault("a(A) OUT -> IN r(msgflo/RoundRobin)").contains("OUT"));
        assert!(fault("r(msgflo/RoundRobin) OUT -> IN b(B)").contains("IN"));
        assert!(
            fault("a(A) OUT -> IN r(msgflo/RoundRobin) OUT -> IN b(B)\nr OUT -> IN c(C)").contains("one edge at each")
        );
        assert!(fault("a(msgflo/PubSub) OUT -> IN r(msgflo/RoundRobin) OUT -> IN b(B)").contains("no role"));
        let json = |text: &str| Network::from_graph(&Graph::from_json_str(text).unwrap());
        let edge = r#"{"processes":{"a":{"component":"A"}},"inports":[],"outports":[],
            "connections":[{"src":{"process":"a"},"tgt":{"process":"a","port":"in"}}]}"#;
        assert_eq!(json(edge).unwrap_err().to_string(), "a: has an edge at a port without a name");
        assert_eq!(
            json(&edge.replace(r#"{"process":"a"}"#, r#"{"process":"a","port":"out"}"#)).unwrap().bindings().len(),
            1
        );
    }

    #[tokio::test]
    async fn set_up_carries_messages_and_dead_letters() {
        let broker = InProcess::new();
        let network = read(NETWORK).unwrap();
        for _ in 0..2 {
            network.set_up(&*broker, &|queue| (queue == "worker.IN").then_some(1)).await.unwrap();
        }
        broker.send("api.OUT", "a job".into()).await.unwrap();
        assert!(broker.send("api.OUT", "another".into()).await.is_err(), "the queue takes one");
        let job = broker.consume("worker.IN").await.unwrap().next().await.unwrap();
        assert_eq!(job.message, "a job");
        job.settle(Outcome::Rejected("no way".into()));
        let dead = broker.consume("dead.IN").await.unwrap().next().await.unwrap();
        let death = dead.death.clone().unwrap();
        assert_eq!((death.queue.as_str(), death.reason.as_str()), ("worker.IN", "no way"));
    }
}
