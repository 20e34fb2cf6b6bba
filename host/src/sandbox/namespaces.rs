//! A network, shared memory and mounts of a child's own.

use std::env;
use std::fs;
use std::io;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};

use super::{Gap, Tools};

/// Files in the scratch folder.
const MOST_FILES: u32 = 1000;

/// Leaves this process alone in namespaces of its own. Process ids stay those of the system: the refused system calls
/// keep other processes apart.
pub(super) fn enter(tools: Option<&Tools>) -> Vec<Gap> {
    let mut gaps = Vec::new();
    if let Err(error) = apart() {
        gaps.push(Gap::covered(format!("namespaces ({error})")));
    }
    if let Some(tools) = tools
        && let Err(error) = limit(&tools.scratch, tools.total)
    {
        // Each file has a limit of its own, and so has the time of whatever writes them.
        gaps.push(Gap::covered(format!("the total of the scratch folder (tmpfs: {error})")));
    }
    gaps
}

fn apart() -> io::Result<()> {
    let (user, group) = (geteuid(), getegid());
    let others = CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP;
    if unshare(others | CloneFlags::CLONE_NEWUSER).is_err() {
        // Where users may have no namespace, root may still have the others.
        return Ok(unshare(others)?);
    }
    // It stays who it was, so that its files stay its own.
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("{group} {group} 1"))
}

/// Has all files below `folder` take no more than `total` bytes.
fn limit(folder: &Path, total: u64) -> io::Result<()> {
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    let options = format!("size={total},nr_inodes={MOST_FILES},mode=0700");
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("tmpfs"), folder, Some("tmpfs"), flags, Some(options.as_str()))?;
    // Where it was is below the new one.
    env::set_current_dir(folder)
}
