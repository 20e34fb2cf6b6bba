//! The files and folders that a child may use.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    RulesetStatus, Scope, path_beneath_rules,
};

use super::Gap;

/// What all programs need to read: libraries, fonts, what tells of the machine.
const SYSTEM: [&str; 12] = [
    "/usr",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/fonts",
    "/var/cache/fontconfig",
    "/dev/null",
    "/dev/zero",
    "/dev/urandom",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/sys/devices/system/cpu",
];

/// Leaves this thread the system's files and `readable`, to read, and `scratch`.
pub(super) fn enter(readable: &[PathBuf], scratch: Option<&Path>) -> Option<Gap> {
    match restrict(readable, scratch) {
        Ok(RulesetStatus::FullyEnforced) => None,
        // The refused system calls cover for the newer parts.
        Ok(RulesetStatus::PartiallyEnforced) => Some(Gap::covered("a part of Landlock")),
        Ok(RulesetStatus::NotEnforced) => Some(Gap::open("files and folders (Landlock)")),
        Err(error) => Some(Gap::open(format!("files and folders (Landlock: {error})"))),
    }
}

fn restrict(readable: &[PathBuf], scratch: Option<&Path>) -> Result<RulesetStatus, RulesetError> {
    let abi = ABI::V6;
    let read = AccessFs::from_read(abi);
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .scope(Scope::from_all(abi))?
        .create()?
        .add_rules(path_beneath_rules(SYSTEM, read))?
        .add_rules(path_beneath_rules(readable, read))?
        .add_rules(path_beneath_rules(scratch, AccessFs::from_all(abi) & !AccessFs::Execute))?
        .restrict_self()?;
    Ok(status.ruleset)
}
