//! A worker against real sockets, the in-process broker, the native engine and a store on disk.

mod worker {
    pub mod engines;
    pub mod fetch;
    pub mod jobs;
    pub mod lanes;
    pub mod origin;
    pub mod originals;
    pub mod setup;
    pub mod suspects;
    pub mod trouble;
    pub mod trust;
    pub mod waiting;
}
