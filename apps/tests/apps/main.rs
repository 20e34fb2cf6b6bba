//! Applications in SQLite and in PostgreSQL. The latter is the server of `IMGFLO_TEST_POSTGRES`, in
//! which each test has a schema of its own.

mod database;

mod changes;
mod directory;
mod outage;
mod processes;
mod takeover;
