//! What a child takes from itself before it runs foreign code.

use std::collections::BTreeMap;
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    RulesetStatus, Scope, path_beneath_rules,
};
use nix::sys::resource::{Resource, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use serde::{Deserialize, Serialize};

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

/// What is said of a kernel that knows Landlock, but not all of it; the system calls that are refused stand in for that.
pub const PARTLY: &str = "a part of Landlock";

/// What a child may do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sandbox {
    /// Memory, bytes; address space is twice that, for libraries and what is reserved only.
    pub memory: u64,
    /// The largest file, bytes.
    pub file: u64,
    /// What it may read beside the system.
    pub readable: Vec<PathBuf>,
    /// The one folder it may write to.
    pub scratch: PathBuf,
    /// Whether it may start the system's programs.
    pub starts_programs: bool,
    /// Processor time of each program that it starts, seconds.
    pub seconds: u64,
}

impl Sandbox {
    /// Shuts this thread in, and all that it starts. Returns what the kernel does not enforce.
    pub fn enter(&self) -> Vec<String> {
        let mut missing = Vec::new();
        let limits = [
            (Resource::RLIMIT_AS, self.memory.saturating_mul(2)),
            (Resource::RLIMIT_FSIZE, self.file),
            (Resource::RLIMIT_CORE, 0),
            (Resource::RLIMIT_NOFILE, 256),
        ];
        // How long a child itself takes for each call its parent sees; of what it starts nobody would.
        let seconds = self.starts_programs.then_some((Resource::RLIMIT_CPU, self.seconds));
        for (resource, limit) in limits.into_iter().chain(seconds) {
            if let Err(error) = setrlimit(resource, limit, limit) {
                missing.push(format!("{resource:?} ({error})"));
            }
        }
        match self.landlock() {
            Ok(RulesetStatus::FullyEnforced) => {}
            Ok(RulesetStatus::PartiallyEnforced) => missing.push(PARTLY.into()),
            Ok(RulesetStatus::NotEnforced) => missing.push("folders and network (Landlock)".into()),
            Err(error) => missing.push(format!("folders and network (Landlock: {error})")),
        }
        if let Err(error) = filter(self.starts_programs) {
            missing.push(format!("system calls (seccomp: {error})"));
        }
        missing
    }

    fn landlock(&self) -> Result<RulesetStatus, RulesetError> {
        let abi = ABI::V6;
        let read = AccessFs::from_read(abi);
        let status = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(abi))?
            .handle_access(AccessNet::from_all(abi))?
            .scope(Scope::from_all(abi))?
            .create()?
            .add_rules(path_beneath_rules(SYSTEM, read))?
            .add_rules(path_beneath_rules(&self.readable, read))?
            .add_rules(path_beneath_rules([&self.scratch], AccessFs::from_all(abi) & !AccessFs::Execute))?
            .restrict_self()?;
        Ok(status.ruleset)
    }
}

/// Refuses system calls that a filter of pictures has no use for: the network, other processes, the
/// kernel's own administration.
fn filter(starts_programs: bool) -> Result<(), String> {
    const REFUSED: &[i64] = &[
        libc::SYS_socket,
        libc::SYS_connect,
        libc::SYS_bind,
        libc::SYS_listen,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_pidfd_open,
        libc::SYS_pidfd_getfd,
        libc::SYS_pidfd_send_signal,
        libc::SYS_io_uring_setup,
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_open_by_handle_at,
        libc::SYS_setrlimit,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_kexec_load,
        libc::SYS_reboot,
        libc::SYS_swapon,
        libc::SYS_swapoff,
    ];
    let text = |error: seccompiler::Error| error.to_string();
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    let when = |argument, length, operator, value| -> Result<Vec<SeccompRule>, String> {
        let condition = SeccompCondition::new(argument, length, operator, value).map_err(|e| e.to_string())?;
        Ok(vec![SeccompRule::new(vec![condition]).map_err(|e| e.to_string())?])
    };
    if !starts_programs {
        rules.extend([libc::SYS_execve, libc::SYS_execveat].map(|call| (call, Vec::new())));
        // Threads are welcome, processes are not.
        let thread = libc::CLONE_THREAD as u64;
        rules.insert(libc::SYS_clone, when(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(thread), 0)?);
        #[cfg(target_arch = "x86_64")]
        rules.extend([libc::SYS_fork, libc::SYS_vfork].map(|call| (call, Vec::new())));
    }
    let own = u64::from(std::process::id());
    // A process may signal itself, as `abort` does, and ask for limits, but not set them.
    rules.insert(libc::SYS_kill, when(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, own)?);
    rules.insert(libc::SYS_tgkill, when(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, own)?);
    rules.insert(libc::SYS_prlimit64, when(2, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, 0)?);
    install(rules, libc::EPERM).map_err(text)?;
    // Its flags are out of a filter's sight; told that there is no such call, libraries use `clone`.
    install(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), libc::ENOSYS).map_err(text)
}

fn install(rules: BTreeMap<i64, Vec<SeccompRule>>, errno: i32) -> Result<(), seccompiler::Error> {
    let refuse = SeccompAction::Errno(errno as u32);
    let architecture = std::env::consts::ARCH.try_into().map_err(seccompiler::Error::Backend)?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, architecture);
    let program: BpfProgram = filter.and_then(TryInto::try_into).map_err(seccompiler::Error::Backend)?;
    seccompiler::apply_filter(&program)
}
