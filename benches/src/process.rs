//! What the system says of a process.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// CPU time of each of some runs, and the most memory that any of them had.
#[derive(Serialize, Deserialize)]
pub struct Measurement {
    /// CPU time of each run, user and system, ms.
    pub cpu_ms: Vec<f64>,
    /// Peak resident memory, bytes.
    pub peak_bytes: u64,
}

/// A process and those it has started that are still there.
fn family(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let threads = Path::new("/proc").join(pid.to_string()).join("task").read_dir();
    for thread in threads.into_iter().flatten().flatten() {
        // A thread may have ended meanwhile.
        let children = read_to_string(thread.path().join("children")).unwrap_or_default();
        all.extend(children.split_whitespace().filter_map(|child| child.parse().ok()).flat_map(family));
    }
    all
}

/// Peak resident memory of a process and those it started, bytes.
///
/// # Errors
/// When the process has ended.
pub fn peak_memory(pid: u32) -> std::io::Result<u64> {
    let mut sum = 0;
    for pid in family(pid) {
        let status = read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
        sum += line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) * 1024;
    }
    Ok(sum)
}

/// CPU time of a process and those it started so far, user and system, ms; in steps of 10 ms.
///
/// # Errors
/// When the process has ended.
pub fn cpu_ms(pid: u32) -> std::io::Result<f64> {
    let mut sum = 0.0;
    for pid in family(pid) {
        let stat = read_to_string(format!("/proc/{pid}/stat"))?;
        // The name in brackets may hold spaces: count from behind it. Fields 14 to 17, in ticks of
        // 10 ms: user and system, its own and of children that ended.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        sum += fields.skip(11).take(4).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() * 10.0;
    }
    Ok(sum)
}

/// Runs a command `runs` times one after the other and prints a [`Measurement`] with the mean CPU
/// time. What ends is counted with the most memory that its parent ever had: this needs a small
/// process of its own, which does nothing else.
///
/// # Errors
/// When the command cannot be run, or fails.
pub fn measure(command: &[&str], runs: u32) -> Result<(), Box<dyn std::error::Error>> {
    let (program, arguments) = command.split_first().ok_or("which command?")?;
    for _ in 0..runs {
        let output = Command::new(program).args(arguments).output()?;
        if !output.status.success() {
            return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let ms = [usage.user_time(), usage.system_time()].map(|t| t.tv_sec() as f64 * 1e3 + t.tv_usec() as f64 / 1e3);
    let peak_bytes = usage.max_rss() as u64 * 1024;
    println!(
        "{}",
        serde_json::to_string(&Measurement { cpu_ms: vec![(ms[0] + ms[1]) / f64::from(runs)], peak_bytes })?
    );
    Ok(())
}

/// What a command prints as JSON.
///
/// # Errors
/// When it cannot be run, fails, or prints something else.
pub fn json<T: DeserializeOwned>(command: &mut Command) -> Result<T, Box<dyn std::error::Error>> {
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The middle of some figures.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The top of the repository.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}
