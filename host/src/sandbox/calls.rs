//! The system calls that a child may make. All others are refused.
//!
//! A call is on a list when what children run needs it (the C library, GEGL, fontconfig, OpenMP; a compiler with its
//! linker) and it reaches nothing beyond the process, or what it reaches is up to Landlock.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// What every child may call, whatever the arguments.
const ALWAYS: &[i64] = &[
    // Files that are open, and files to read.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_fadvise64,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_eventfd2,
    // The connection to the parent.
    libc::SYS_recvfrom,
    // Memory of its own.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_mincore,
    libc::SYS_mlock,
    libc::SYS_munlock,
    libc::SYS_getrandom,
    // Threads.
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_rseq,
    libc::SYS_membarrier,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getcpu,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Signals to itself.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigsuspend,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_rt_sigpending,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    // Time, and what it is.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_times,
    libc::SYS_getrusage,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_umask,
    // Its flags are out of a filter's sight: another filter answers that there is no such call, so that the C library
    // uses `clone`.
    libc::SYS_clone3,
];

/// Older forms of these.
#[cfg(target_arch = "x86_64")]
const ALWAYS_OLDER: &[i64] = &[
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_dup2,
    libc::SYS_pause,
    libc::SYS_time,
    libc::SYS_getrlimit,
    libc::SYS_arch_prctl,
];
#[cfg(not(target_arch = "x86_64"))]
const ALWAYS_OLDER: &[i64] = &[];

/// What a child that starts programs may call beside these.
const TOOLS: &[i64] = &[
    libc::SYS_execve,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_pipe2,
    libc::SYS_openat,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_truncate,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_copy_file_range,
    libc::SYS_sendfile,
    libc::SYS_msync,
    libc::SYS_fsync,
    libc::SYS_chdir,
    libc::SYS_fchdir,
    libc::SYS_fcntl,
    libc::SYS_getpgid,
    libc::SYS_getsid,
    libc::SYS_getgroups,
];
#[cfg(target_arch = "x86_64")]
const TOOLS_OLDER: &[i64] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_pipe,
    libc::SYS_open,
    libc::SYS_creat,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_link,
    libc::SYS_symlink,
    libc::SYS_getpgrp,
];
#[cfg(not(target_arch = "x86_64"))]
const TOOLS_OLDER: &[i64] = &[];

/// Flags of `clone` that make a namespace.
const NAMESPACES: i32 = libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET;
/// Bits of the flags of `mmap` that tell shared memory from a process's own.
const MAPPING: i32 = 0xf;
/// `TCGETS2`, which is how newer C libraries see whether a file is a terminal.
const TCGETS2: u64 = 0x802c_542a;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// One condition on the lower half of an argument, by its place from 0.
struct When(u8, SeccompCmpOp, u64);

/// Arguments have flags or numbers of 32 bits.
fn when(argument: u8, value: u64) -> When {
    When(argument, SeccompCmpOp::Eq, value)
}

fn masked(argument: u8, mask: i32, value: i32) -> When {
    When(argument, SeccompCmpOp::MaskedEq(u64::from(mask as u32)), u64::from(value as u32))
}

/// A rule that holds when all conditions do.
fn all<const N: usize>(conditions: [When; N]) -> Result<SeccompRule, String> {
    let condition = |When(argument, operator, value)| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value).map_err(|error| error.to_string())
    };
    let conditions = conditions.into_iter().map(condition).collect::<Result<Vec<_>, _>>()?;
    SeccompRule::new(conditions).map_err(|error| error.to_string())
}

/// A rule that holds when a pointer is null.
fn null(argument: u8) -> Result<SeccompRule, String> {
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0);
    SeccompRule::new(vec![condition.map_err(|error| error.to_string())?]).map_err(|error| error.to_string())
}

/// One of the values that an argument may have.
fn one_of(argument: u8, values: &[u64]) -> Result<Vec<SeccompRule>, String> {
    values.iter().map(|value| all([when(argument, *value)])).collect()
}

/// Refuses this thread, and all that it starts, every call that is not listed; with `tools` more are.
pub(super) fn refuse_others(tools: bool) -> Result<(), String> {
    let mut rules: Rules = ALWAYS.iter().chain(ALWAYS_OLDER).map(|call| (*call, Vec::new())).collect();
    // A process may signal itself, as `abort` does.
    let own = u64::from(std::process::id());
    rules.insert(libc::SYS_kill, one_of(0, &[own])?);
    rules.insert(libc::SYS_tgkill, one_of(0, &[own])?);
    // Limits are read, not set.
    rules.insert(libc::SYS_prlimit64, vec![null(2)?]);
    // To the other end only.
    rules.insert(libc::SYS_sendto, vec![null(4)?]);
    // FIONBIO: how Rust reads of two pipes at once.
    rules.insert(libc::SYS_ioctl, one_of(1, &[libc::TCGETS, TCGETS2, libc::FIONREAD, libc::FIONBIO])?);
    let names = [libc::PR_SET_NAME, libc::PR_GET_NAME, libc::PR_SET_VMA];
    rules.insert(libc::SYS_prctl, one_of(0, &names.map(|name| name as u64))?);
    if tools {
        with_tools(&mut rules)?;
    } else {
        without(&mut rules)?;
    }
    // The filter that is installed last decides between two that refuse.
    install(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), Listed::Lacks)?;
    install(rules, Listed::May)
}

fn with_tools(rules: &mut Rules) -> Result<(), String> {
    rules.extend(TOOLS.iter().chain(TOOLS_OLDER).map(|call| (*call, Vec::new())));
    rules.insert(libc::SYS_clone, vec![all([masked(0, NAMESPACES, 0)])?]);
    rules.insert(libc::SYS_mprotect, Vec::new());
    // Memory that several processes share is in files, which are limited.
    let private = all([masked(3, MAPPING, libc::MAP_PRIVATE)])?;
    let file = all([masked(3, MAPPING | libc::MAP_ANONYMOUS, libc::MAP_SHARED)])?;
    rules.insert(libc::SYS_mmap, vec![private, file]);
    Ok(())
}

fn without(rules: &mut Rules) -> Result<(), String> {
    // Files are opened to be read, whether or not there is Landlock.
    let reading = libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC;
    rules.insert(libc::SYS_openat, vec![all([masked(2, reading, libc::O_RDONLY)])?]);
    #[cfg(target_arch = "x86_64")]
    rules.insert(libc::SYS_open, vec![all([masked(1, reading, libc::O_RDONLY)])?]);
    let commands = [libc::F_DUPFD, libc::F_DUPFD_CLOEXEC, libc::F_GETFD, libc::F_SETFD, libc::F_GETFL];
    rules.insert(libc::SYS_fcntl, one_of(1, &commands.map(|command| command as u64))?);
    // Threads are welcome, processes are not.
    let thread = libc::CLONE_THREAD;
    rules.insert(libc::SYS_clone, vec![all([masked(0, NAMESPACES | thread, thread)])?]);
    // What is shared could stay when the mapping goes, where nothing counts it.
    let private = || masked(3, MAPPING, libc::MAP_PRIVATE);
    let data = all([private(), masked(2, libc::PROT_EXEC, 0)])?;
    let library = all([
        masked(3, MAPPING | libc::MAP_ANONYMOUS, libc::MAP_PRIVATE),
        masked(2, libc::PROT_WRITE | libc::PROT_EXEC, libc::PROT_EXEC),
    ])?;
    let cache = all([masked(3, MAPPING | libc::MAP_ANONYMOUS, libc::MAP_SHARED), when(2, libc::PROT_READ as u64)])?;
    rules.insert(libc::SYS_mmap, vec![data, library, cache]);
    // Code comes of libraries alone.
    rules.insert(libc::SYS_mprotect, vec![all([masked(2, libc::PROT_EXEC, 0)])?]);
    Ok(())
}

/// What a list of calls means.
#[derive(Clone, Copy)]
enum Listed {
    /// These may be called, and no others.
    May,
    /// These are unknown to the kernel, as far as the child can tell.
    Lacks,
}

fn install(rules: Rules, listed: Listed) -> Result<(), String> {
    let errno = |errno: i32| SeccompAction::Errno(errno as u32);
    let (listed, others) = match listed {
        Listed::May => (SeccompAction::Allow, errno(libc::EPERM)),
        Listed::Lacks => (errno(libc::ENOSYS), SeccompAction::Allow),
    };
    let architecture = std::env::consts::ARCH.try_into().map_err(|error| format!("{error}"))?;
    let filter = SeccompFilter::new(rules, others, listed, architecture);
    let program: Result<BpfProgram, _> = filter.and_then(TryInto::try_into);
    seccompiler::apply_filter(&program.map_err(|error| error.to_string())?).map_err(|error| error.to_string())
}
