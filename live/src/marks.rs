//! Marks: what is known to be wrong with a process as it is drawn, whether it makes a picture or not.
//!
//! An edit is done though it names an unknown component or a port that takes no such value, because what is unknown
//! now may be written later. But all editors are told that it is wrong.

use imgflo_fbp::{End, Graph, Origin};
use imgflo_runtime::{Entering, Library, PROCESSOR, in_process};

use crate::flow::{DROP, REPEAT};

/// The first thing that is wrong with a process, for people; `None` where nothing is known to be.
pub(crate) fn mark(graph: &Graph, process: &str, library: &Library, name_bytes: usize) -> Option<String> {
    let component = &graph.processes.get(process)?.component;
    let wrong = if process.len() > name_bytes {
        let bytes = process.len();
        Err(format!("a name has {bytes} bytes, more than the limit of {name_bytes} (IMGFLO_MAX_NAME_BYTES)"))
    } else if plain(component).is_some() {
        Ok(())
    } else {
        library.check_component(component)
    };
    let checks = || {
        for connection in &graph.connections {
            if connection.tgt.process == process {
                check_target(graph, component, &connection.src, &connection.tgt, library)?;
            }
            if let Origin::Process(src) = &connection.src
                && src.process == process
            {
                check_index(src)?;
                check_outport(component, &src.port, library)?;
            }
        }
        for export in graph.inports.values().filter(|export| export.process == process) {
            check_inport(component, &export.port, Entering::Anything, library)?;
        }
        for export in graph.outports.values().filter(|export| export.process == process) {
            check_outport(component, &export.port, library)?;
        }
        Ok::<(), String>(())
    };
    wrong.and_then(|()| checks()).err().map(|message| in_process(graph, process, &message))
}

/// The inports and outports of a component that is about packets.
fn plain(component: &str) -> Option<(&'static [&'static str], &'static [&'static str])> {
    match component {
        REPEAT => Some((&["in"], &["out"])),
        DROP => Some((&["in"], &[])),
        // It shows what is connected to it, whatever the port is called.
        PROCESSOR => Some((&[], &[])),
        _ => None,
    }
}

fn check_target(graph: &Graph, component: &str, src: &Origin, tgt: &End, library: &Library) -> Result<(), String> {
    check_index(tgt)?;
    let entering = match src {
        Origin::Data(data) => Entering::Value(data),
        Origin::Process(src) => {
            let from = graph.processes.get(&src.process).map_or("", |process| process.component.as_str());
            let makes_pictures = plain(from).is_none() && library.check_component(from).is_ok();
            if makes_pictures { Entering::Picture } else { Entering::Anything }
        }
    };
    check_inport(component, &tgt.port, entering, library)
}

fn check_index(end: &End) -> Result<(), String> {
    match end.index {
        Some(_) => Err(format!("port '{}' is no array: leave its index away", short(&end.port))),
        None => Ok(()),
    }
}

fn check_inport(component: &str, port: &str, entering: Entering<'_>, library: &Library) -> Result<(), String> {
    match plain(component) {
        None => library.check_inport(component, port, entering),
        Some(_) if component == PROCESSOR => Ok(()),
        Some((inports, _)) => listed(component, "inport", port, inports),
    }
}

fn check_outport(component: &str, port: &str, library: &Library) -> Result<(), String> {
    match plain(component) {
        None => library.check_outport(component, port),
        Some((_, outports)) => listed(component, "outport", port, outports),
    }
}

fn listed(component: &str, kind: &str, port: &str, known: &[&str]) -> Result<(), String> {
    if known.contains(&port.to_lowercase().as_str()) {
        return Ok(());
    }
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Err(format!("{component} has no {kind} '{}' (there are: {known})", short(port)))
}

fn short(text: &str) -> String {
    text.chars().take(100).collect()
}
