//! How the C library keeps memory, which codecs in C and all else here share.

use std::ffi::c_int;

/// What is told to the allocator, and the variables of the environment that it reads itself: who
/// sets one of them knows better.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const OPTIONS: [(c_int, c_int, &str); 3] = [
    // Few arenas, so that what one thread gives back serves the others.
    (libc::M_ARENA_MAX, 2, "MALLOC_ARENA_MAX"),
    // Pictures of this many bytes are taken from the arenas, and as many bytes stay there when they
    // are freed. Memory that comes new from the system for each picture costs a fault a page, which
    // took a tenth to a sixth of all the time.
    (libc::M_MMAP_THRESHOLD, 8 << 20, "MALLOC_MMAP_THRESHOLD_"),
    (libc::M_TRIM_THRESHOLD, 8 << 20, "MALLOC_TRIM_THRESHOLD_"),
];

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
const OPTIONS: [(c_int, c_int, &str); 0] = [];

/// Has the allocator keep some memory for the next picture, and little for each thread. For the
/// beginning of a program that makes many pictures; it does nothing where the C library is not glibc.
pub fn keep_memory() {
    for (option, value, _) in OPTIONS.into_iter().filter(|(.., variable)| std::env::var_os(variable).is_none()) {
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
