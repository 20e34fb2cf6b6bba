//! How the C library keeps memory, which codecs in C and all else here share.

use std::ffi::c_int;

/// Cores that share an arena. What is freed in one serves no other, and each keeps some memory for
/// itself: on two cores, the peak of a request is a fifth to a quarter lower with one than with two.
/// Their lock is no bottleneck there, and 16 clients are served as fast: small things come from the
/// threads' own caches, and a picture is one allocation. With more cores that has not been measured.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const CORES_AN_ARENA: usize = 4;

/// The largest pictures that are taken from the arenas, bytes.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGEST: c_int = 8 << 20;

/// Arenas for so many cores, at least 1.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn arenas(cores: usize) -> c_int {
    c_int::try_from(cores.div_ceil(CORES_AN_ARENA).max(1)).unwrap_or(c_int::MAX)
}

/// What is told to the allocator, and the variables of the environment that it reads itself: who
/// sets one of them knows better.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn options() -> [(c_int, c_int, &'static str); 3] {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    [
        (libc::M_ARENA_MAX, arenas(cores), "MALLOC_ARENA_MAX"),
        // Pictures of this many bytes are taken from the arenas, and twice as many stay there when they
        // are freed: a picture, and the file that it was read from or written to. Memory that comes
        // new from the system for each of them costs a fault a page, which took up to a fifth of all the
        // time.
        (libc::M_MMAP_THRESHOLD, LARGEST, "MALLOC_MMAP_THRESHOLD_"),
        (libc::M_TRIM_THRESHOLD, 2 * LARGEST, "MALLOC_TRIM_THRESHOLD_"),
    ]
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn options() -> [(c_int, c_int, &'static str); 0] {
    []
}

/// Has the allocator keep some memory for the next picture, and little for each thread. For the
/// beginning of a program that makes many pictures; it does nothing where the C library is not glibc.
pub fn keep_memory() {
    for (option, value, _) in options().into_iter().filter(|(.., variable)| std::env::var_os(variable).is_none()) {
        mallopt(option, value);
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn mallopt(option: c_int, value: c_int) {
    // SAFETY: takes numbers; glibc takes its own lock. One that it does not know is left alone.
    unsafe { libc::mallopt(option, value) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn mallopt(_option: c_int, _value: c_int) {}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::arenas;

    #[test]
    fn four_cores_share_an_arena() {
        for (cores, expected) in [(0, 1), (1, 1), (4, 1), (5, 2), (8, 2), (9, 3), (64, 16)] {
            assert_eq!(arenas(cores), expected, "{cores} cores");
        }
    }
}
