//! One binary for all tests that cross crates.

mod applications;
mod architecture;
mod bad_input;
mod c_operations;
mod command_line;
mod deploy;
mod documentation;
mod embedded;
mod empty_folder;
mod engines;
mod faults;
mod fleet;
mod golden;
mod live;
mod memory;
mod origins;
mod page;
mod predecessors;
mod reliability;
mod shipped_graphs;
mod signing;
mod soak;
mod subgraphs;
mod supply_chain;
mod versions;
