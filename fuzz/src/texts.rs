//! Graphs, requests and messages.

use std::fmt::Debug;
use std::str;

use imgflo_fbp::protocol::Request;
use imgflo_fbp::{Graph, ParseOptions, parse, to_fbp};
use imgflo_job::{Cancel, Job, JobResult, Limits, OwnOrigins, input, request};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A graph as `.fbp`. What is written of one that was read is the same graph.
pub fn fbp(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(graph) = parse(text, &ParseOptions::default()) {
        of(&graph);
    }
}

/// A graph as JSON.
pub fn json(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let Ok(graph) = Graph::from_json_str(text) else { return };
    of(&graph);
    let again = Graph::from_json(&graph.to_json()).expect("what is written is read");
    assert_eq!(again.canonical(), graph.canonical());
}

fn of(graph: &Graph) {
    graph.validate();
    if let Ok(written) = to_fbp(graph) {
        let options = ParseOptions { case_sensitive: graph.case_sensitive, validate: false, ..ParseOptions::default() };
        let again = parse(&written, &options).unwrap_or_else(|error| panic!("{error}\n{written}"));
        assert_eq!(again.canonical(), graph.canonical(), "{written}");
    }
}

/// An address: path after `/graph/`, and a query; its input, too.
pub fn request(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let (path, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
    let limits = Limits::default();
    if let Ok(request) = request::parse(path, query, &limits)
        && let Some(address) = request.input
    {
        let _ = input::read(&address, &OwnOrigins::new([]), &limits);
    }
}

/// A message of an editor.
pub fn protocol(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let _ = Request::parse(text);
}

/// Messages between front ends and workers. One that is read is written, and is the same again.
pub fn job(bytes: &[u8]) {
    again::<Job>(bytes);
    again::<JobResult>(bytes);
    again::<Cancel>(bytes);
}

fn again<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
    let Ok(message) = serde_json::from_slice::<T>(bytes) else { return };
    let written = serde_json::to_vec(&message).expect("a message is written");
    assert_eq!(serde_json::from_slice::<T>(&written).expect("what is written is read"), message);
}
