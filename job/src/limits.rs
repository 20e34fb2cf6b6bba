//! Every number that a stranger controls, with its default and the setting that moves it.

use std::time::Duration;

/// Limits of one deployment. Names of settings are `IMGFLO_` + the field in capitals.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Longest request target (path and query), bytes.
    pub max_url_bytes: u64,
    /// Longest `data:` input, bytes of the URL.
    pub max_data_url_bytes: u64,
    /// Most bytes fetched for an input while a client waits.
    pub max_input_bytes: u64,
    /// Most bytes fetched for an input in the background.
    pub max_background_input_bytes: u64,
    /// Most pixels of an input, width × height.
    pub max_input_pixels: u64,
    /// Longest side of an input, pixels.
    pub max_input_side: u64,
    /// Most pixels of a result, width × height.
    pub max_output_pixels: u64,
    /// Most bytes of pixel buffers that one job may hold at once, as its plan predicts.
    pub max_job_memory: u64,
    /// Most processes in a graph.
    pub max_graph_nodes: u64,
    /// Largest graph file, bytes.
    pub max_graph_bytes: u64,
    /// Most redirects followed for an input.
    pub max_redirects: u64,
    /// Most levels of `/graph` URLs as inputs of `/graph` URLs.
    pub max_nested: u64,
    /// Most jobs waiting in the urgent lane.
    pub max_urgent_jobs: u64,
    /// Most jobs waiting in the background lane.
    pub max_background_jobs: u64,
    /// Time to connect to an input's host.
    pub connect_timeout: Duration,
    /// Time until the first byte of an input.
    pub first_byte_timeout: Duration,
    /// Time for all of an input.
    pub fetch_timeout: Duration,
    /// Time a client waits for an answer, and an urgent job has from its arrival.
    pub urgent_deadline: Duration,
    /// Time a background job may work.
    pub background_deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Limits {
            max_url_bytes: 16 * 1024,
            max_data_url_bytes: 16 * 1024,
            max_input_bytes: 32 * MIB,
            max_background_input_bytes: 256 * MIB,
            max_input_pixels: 50_000_000,
            max_input_side: 16_384,
            max_output_pixels: 25_000_000,
            max_job_memory: 3072 * MIB,
            max_graph_nodes: 200,
            max_graph_bytes: MIB,
            max_redirects: 5,
            max_nested: 4,
            max_urgent_jobs: 64,
            max_background_jobs: 10_000,
            connect_timeout: Duration::from_secs(2),
            first_byte_timeout: Duration::from_secs(5),
            fetch_timeout: Duration::from_secs(15),
            urgent_deadline: Duration::from_secs(25),
            background_deadline: Duration::from_secs(600),
        }
    }
}
