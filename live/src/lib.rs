//! Live editing: a runtime of the FBP network protocol for graphs that make pictures.
//!
//! Editors connect by WebSocket, draw graphs, and look at what comes of them: each edit is told to all of them, with
//! addresses under which the pictures of processes and edges are to be had, at the size that is looked at.
//!
//! | | |
//! |---|---|
//! | [`access`] | who may do what: secrets and levels |
//! | `connection` | one client: frames in and out, limits, half-open lines |
//! | `requests` | what each message of the protocol does |
//! | `workspace` | the graphs that are edited, who is told of what, and in which order |
//! | `live_graph` | one of those graphs, and the part of it behind one process |
//! | `marks` | what is known to be wrong with processes as they are drawn |
//! | `watch` | what others change in the folders |
//! | `flow` | packets on their way through a started network |
//! | `announce` | what is told of pictures after edits |
//! | `preview` | `GET /process`: a picture, as soon and as exact as asked for |
//! | `pictures` | files of pictures, each made once |
//! | `refused` | why there is no picture, and the status that says so |
//! | `drafts` | what is not saved yet, kept in files |
//! | `inputs` | the pictures that go into graphs |
//! | `components` | what graphs can be made of, and the sources of that |
//! | [`registry`] | where editors find this runtime, if it is to be found |
//! | [`mod@serve`] | connections, and what they may take |
//!
//! Knows no queue and no store. What fetches inputs and what saves graphs is given to it ([`Parts`]).

#![forbid(unsafe_code)]

pub mod access;
mod announce;
mod components;
mod connection;
mod drafts;
mod flow;
mod inputs;
mod limits;
mod live_graph;
mod lock;
mod marks;
mod page;
mod pictures;
mod preview;
mod private;
mod refused;
pub mod registry;
mod requests;
pub mod serve;
mod watch;
mod workspace;

pub use access::{Access, Level};
pub use inputs::{Fetch, Fetched};
pub use limits::LiveLimits;
pub use page::live_url;
pub use serve::{router, serve};
pub use workspace::{Opened, Parts, Save, Workspace};
