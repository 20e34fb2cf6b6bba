//! What a parent and a child with C operations say to each other.

use std::path::PathBuf;

use imgflo_ops::Rect;
use imgflo_ops::c::{Description, Given, Margins};
use serde::{Deserialize, Serialize};

use super::compile::CompilerMessage;

/// What a child with operations is asked. `library` is the file of a built one, loaded when it is met
/// first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// What it says of itself.
    Describe { library: PathBuf },
    /// How far it reads, and what it covers, with these values.
    Measure { library: PathBuf, values: Vec<Given> },
    /// Pixels of `region`. Those of the inputs lie in the shared memory, one after another, row by row;
    /// those of the result are written there, from its start.
    Render { library: PathBuf, values: Vec<Given>, whole: Rect, inputs: Vec<Rect>, region: Rect },
}

/// What it answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Reply {
    /// How many libraries are loaded by now.
    pub loaded: usize,
    pub answer: Answer,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Description(Description),
    /// A source without bounds covers everything; others have none of their own.
    Measured {
        margins: Margins,
        bounds: Rect,
    },
    Rendered,
    /// The operation wrote where it must not: the child is of no use any more.
    Corrupt(String),
}

/// What a child that compiles is asked: the source of an operation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Source {
    pub name: String,
    /// The operation with its revision.
    pub revision: String,
    pub text: String,
}

/// What it answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Compiled {
    pub messages: Vec<CompilerMessage>,
    /// Bytes of the library in the shared memory; `None` when there is none.
    pub library: Option<u64>,
}
