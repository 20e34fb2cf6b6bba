//! Packets on their way through a started network.
//!
//! A packet that comes to a property of an operation sets it, one that comes to its input names the picture that goes
//! in. `core/Repeat` hands packets on, `core/Drop` takes them. Pictures are no packets: they are made when they are
//! looked at.

use imgflo_fbp::protocol::connection_id;
use imgflo_fbp::{Connection, End, Origin, PortRef};
use serde_json::{Map, Value, json};

use crate::LiveLimits;
use crate::live_graph::LiveGraph;

/// Hands packets on: `in` -> `out`.
pub(crate) const REPEAT: &str = "core/Repeat";
/// Takes packets: `in`.
pub(crate) const DROP: &str = "core/Drop";

/// What a packet does on its way.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    /// It passes a connection: the payload of `network:data`, without the graph, and the connection.
    Data { payload: Value, src: Option<PortRef>, tgt: PortRef },
    /// It leaves the graph at this exported outport.
    Packet { port: String, payload: Value },
}

/// Packets went further than they may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Overflow {
    /// The network is a circle, or very wide.
    #[error("packets took more than {0} steps: does the network lead back to itself?")]
    Steps(usize),
    /// What they carry became too much.
    #[error("packets became more than {0} bytes")]
    Bytes(usize),
}

/// How far packets may go that one packet makes, or the start of a network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    steps: usize,
    bytes: usize,
    most: (usize, usize),
}

impl Budget {
    pub fn new(limits: &LiveLimits) -> Self {
        Budget { steps: 0, bytes: 0, most: (limits.hops, limits.packet_bytes) }
    }

    fn spend(&mut self, bytes: usize) -> Result<(), Overflow> {
        self.steps += 1;
        self.bytes += bytes;
        match self.most {
            (steps, _) if self.steps > steps => Err(Overflow::Steps(steps)),
            (_, most) if self.bytes > most => Err(Overflow::Bytes(most)),
            _ => Ok(()),
        }
    }
}

impl LiveGraph {
    /// Sends all literals, as starting the network does. `is_picture` says of a component and a port whether pictures
    /// go in there.
    pub fn send_literals(
        &mut self,
        mut budget: Budget,
        is_picture: &dyn Fn(&str, &str) -> bool,
    ) -> Result<Vec<Event>, Overflow> {
        let literals = self.graph.connections.iter().filter_map(|connection| match &connection.src {
            Origin::Data(data) => Some((connection.clone(), data.clone())),
            Origin::Process(_) => None,
        });
        let mut events = Vec::new();
        for (connection, data) in literals.collect::<Vec<_>>() {
            events.push(passing(&connection, &data));
            if self.is_plain(&connection.tgt.process) {
                self.deliver(&connection.tgt, &data, &mut budget, is_picture, &mut events)?;
            }
        }
        Ok(events)
    }

    /// Sends a packet to a port.
    pub fn send(
        &mut self,
        tgt: &End,
        data: &Value,
        mut budget: Budget,
        is_picture: &dyn Fn(&str, &str) -> bool,
    ) -> Result<Vec<Event>, Overflow> {
        let mut events = Vec::new();
        self.deliver(tgt, data, &mut budget, is_picture, &mut events)?;
        Ok(events)
    }

    fn component(&self, process: &str) -> &str {
        self.graph.processes.get(process).map_or("", |process| &process.component)
    }

    /// True for components that are about packets, not pictures.
    pub fn is_plain(&self, process: &str) -> bool {
        matches!(self.component(process), REPEAT | DROP)
    }

    fn deliver(
        &mut self,
        tgt: &End,
        data: &Value,
        budget: &mut Budget,
        is_picture: &dyn Fn(&str, &str) -> bool,
        events: &mut Vec<Event>,
    ) -> Result<(), Overflow> {
        let bytes = data.to_string().len();
        let mut waiting = vec![tgt.clone()];
        while let Some(tgt) = waiting.pop() {
            budget.spend(bytes)?;
            if !self.is_plain(&tgt.process) {
                match data.as_str().filter(|_| is_picture(self.component(&tgt.process), &tgt.port)) {
                    Some(address) => self.input = Some(address.to_owned()),
                    None => {
                        let port = (tgt.process.clone(), tgt.port.clone());
                        self.held.remove(&port);
                        self.values.insert(port, data.clone());
                    }
                }
                continue;
            }
            if self.component(&tgt.process) != REPEAT || tgt.port != "in" {
                continue;
            }
            let leaving = |end: &End| end.process == tgt.process && end.port == "out";
            let mut next = Vec::new();
            for connection in &self.graph.connections {
                if matches!(&connection.src, Origin::Process(end) if leaving(end)) {
                    budget.spend(bytes)?;
                    events.push(passing(connection, data));
                    next.push(connection.tgt.clone());
                }
            }
            for (public, export) in &self.graph.outports {
                if export.process == tgt.process && export.port == "out" {
                    budget.spend(bytes)?;
                    events.push(Event::Packet { port: public.clone(), payload: data.clone() });
                }
            }
            // The first connection's packet goes first, and all the way.
            waiting.extend(next.into_iter().rev());
        }
        Ok(())
    }
}

/// What is told of a packet that passes a connection.
pub(crate) fn passing(connection: &Connection, data: &Value) -> Event {
    let mut payload = Map::new();
    payload.insert("id".into(), connection_id(connection).into());
    let src = match &connection.src {
        Origin::Process(end) => Some(PortRef::from(end)),
        Origin::Data(_) => None,
    };
    payload.extend(src.as_ref().map(|src| ("src".to_owned(), json!(src))));
    let tgt = PortRef::from(&connection.tgt);
    payload.insert("tgt".into(), json!(tgt));
    payload.insert("data".into(), data.clone());
    Event::Data { payload: payload.into(), src, tgt }
}

#[cfg(test)]
mod tests {
    use imgflo_fbp::{ParseOptions, parse};

    use super::*;

    fn live(text: &str) -> LiveGraph {
        LiveGraph::new(parse(text, &ParseOptions::default()).expect("a graph"), None, 1)
    }

    fn budget(hops: usize) -> Budget {
        Budget::new(&LiveLimits { hops, ..LiveLimits::default() })
    }

    fn no_picture(_component: &str, _port: &str) -> bool {
        false
    }

    fn ids(events: &[Event]) -> Vec<String> {
        events
            .iter()
            .map(|event| match event {
                Event::Data { payload, .. } => {
                    format!("{}: {}", payload["id"].as_str().unwrap_or_default(), payload["data"])
                }
                Event::Packet { port, payload } => format!("{port}: {payload}"),
            })
            .collect()
    }

    #[test]
    fn literals_go_through_and_out() {
        let mut graph = live(
            "OUTPORT=b.OUT:RESULT\n'hi' -> IN a(core/Repeat) OUT -> IN b(core/Repeat) OUT -> IN c(core/Drop)\n\
            a OUT -> IN d(core/Drop)\n5 -> STD-DEV-X e(gegl/gaussian-blur)\n",
        );
        let events = graph.send_literals(budget(100), &no_picture).expect("no circle");
        assert_eq!(
            ids(&events),
            [
                "DATA -> IN a(): \"hi\"",
                "a() OUT -> IN b(): \"hi\"",
                "a() OUT -> IN d(): \"hi\"",
                "b() OUT -> IN c(): \"hi\"",
                "result: \"hi\"",
                "DATA -> STD-DEV-X e(): 5",
            ]
        );
        assert!(graph.values.is_empty(), "a literal on an operation is in the graph already");
    }

    #[test]
    fn a_packet_sets_a_property() {
        let mut graph = live("a(core/Repeat) OUT -> STD-DEV-X e(gegl/gaussian-blur)\n");
        let tgt = End { process: "a".into(), port: "in".into(), index: None };
        let events = graph.send(&tgt, &7.into(), budget(100), &no_picture).expect("no circle");
        assert_eq!(ids(&events), ["a() OUT -> STD-DEV-X e(): 7"]);
        assert_eq!(graph.values[&("e".to_owned(), "std-dev-x".to_owned())], 7);
    }

    #[test]
    fn a_circle_ends() {
        let mut graph = live("1 -> IN a(core/Repeat) OUT -> IN b(core/Repeat) OUT -> IN a\n");
        assert_eq!(graph.send_literals(budget(50), &no_picture), Err(Overflow::Steps(50)));
        let mut wide = live("a(core/Repeat) OUT -> IN b(core/Drop)\na OUT -> IN c(core/Drop)\n");
        let tgt = End { process: "a".into(), port: "in".into(), index: None };
        let few = Budget { most: (1000, 2000), ..budget(1000) };
        assert_eq!(wide.send(&tgt, &"x".repeat(900).into(), few, &no_picture), Err(Overflow::Bytes(2000)));
    }

    #[test]
    fn a_packet_to_an_input_names_the_picture() {
        let mut graph = live("a(core/Repeat) OUT -> INPUT e(gegl/gaussian-blur)\n");
        let tgt = End { process: "a".into(), port: "in".into(), index: None };
        let is_picture = |component: &str, port: &str| component == "gegl/gaussian-blur" && port == "input";
        graph.send(&tgt, &"files/a.jpg".into(), budget(100), &is_picture).expect("no circle");
        assert_eq!((graph.input.as_deref(), graph.values.len()), (Some("files/a.jpg"), 0));
    }
}
