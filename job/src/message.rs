//! The messages between front end and worker, in the original's JSON with fields of ours added.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::JobError;

/// Which lane a job takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Urgency {
    /// A client waits.
    Urgent,
    /// Nobody waits: the cache is being warmed.
    Background,
}

/// A job, as it is queued.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Lane.
    pub urgency: Urgency,
    /// Always `process-image`.
    #[serde(rename = "type")]
    pub kind: String,
    /// UUID, version 4.
    pub id: String,
    /// When it was made, ms since 1970.
    pub created_at: u64,
    /// Always null; the original has it.
    pub callback: Option<String>,
    /// Until when the result is of use, ms since 1970; none for background jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_at: Option<u64>,
    /// What to do.
    pub data: JobData,
}

/// What a job asks for. The first fields are the original's; from `source` on they are ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobData {
    /// Last part of the path as written: `crop.png`.
    pub graphspec: String,
    /// Name of the graph.
    pub graph: String,
    /// Input files.
    pub files: Files,
    /// Parameters as given, by public name.
    pub iips: BTreeMap<String, String>,
    /// Output type: `jpg`, `png`, ...; none hands the input's bytes on.
    pub outtype: Option<String>,
    /// Application key of the request.
    pub apikey: Option<String>,
    /// Token of the request.
    pub token: Option<String>,
    /// Key of the result, with its suffix: `6f95...91.png`.
    pub cachekey: String,
    /// Query string as asked, with its `?`; empty if none.
    pub query: String,
    /// Path as asked.
    pub request: String,
    /// True when the cache must not answer.
    #[serde(rename = "noCache")]
    pub no_cache: bool,
    /// The original's page for this request; not used.
    #[serde(rename = "debugUrl")]
    pub debug_url: Option<String>,
    /// `imgflo` or `noop`.
    pub runtime: String,
    /// Where the input comes from; none for graphs without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// The graph itself as FBP JSON, so that every worker evaluates what the key was made from.
    pub definition: serde_json::Value,
}

/// The inputs of a job, by port.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Files {
    /// The input picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<InputFile>,
}

/// An input, as the original describes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputFile {
    /// URL as given.
    pub src: String,
    /// Its path's extension with the dot, if one of the known; else empty.
    pub extension: String,
    /// Always null; the original's temporary file.
    pub path: Option<String>,
    /// Media type, in results.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
}

/// Where a worker gets an input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "lowercase")]
pub enum Source {
    /// Fetched over http or https.
    Url {
        /// Absolute URL.
        url: String,
    },
    /// Inside the URL itself (`data:`).
    Data {
        /// The whole `data:` URL.
        url: String,
    },
    /// A file that this deployment serves under `/files/`.
    File {
        /// Path below the folder, decoded, without `..`.
        path: String,
    },
    /// A stored result (`/cache/<key>`).
    Stored {
        /// Its key.
        key: String,
    },
    /// The result of another of our `/graph` URLs: rendered first, in the same worker, unless it
    /// is stored already. So a nested URL never waits for a second worker.
    Graph {
        /// What that URL asks for.
        job: Box<JobData>,
    },
}

/// A finished job: the job itself, when things happened, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobResult {
    /// The job.
    #[serde(flatten)]
    pub job: Job,
    /// When a worker took it, ms since 1970; so are the others. Absent when not reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<u64>,
    /// When the input was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downloaded_at: Option<u64>,
    /// When the picture was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processed_at: Option<u64>,
    /// When the result was measured; the original's step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated_at: Option<u64>,
    /// When it was stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uploaded_at: Option<u64>,
    /// When all was over, well or badly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<u64>,
    /// Pixels across of the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_width: Option<u32>,
    /// Pixels down of the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_height: Option<u32>,
    /// Pixels across of the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_width: Option<u32>,
    /// Pixels down of the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_height: Option<u32>,
    /// Bytes of the input file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_bytes: Option<u64>,
    /// Bytes of the result file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_bytes: Option<u64>,
    /// Where the result is.
    #[serde(default)]
    pub results: Results,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<JobError>,
}

/// Where a result is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// `./<key>` for a result that the front end serves itself, else an absolute URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}
