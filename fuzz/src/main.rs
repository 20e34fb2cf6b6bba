//! Runs the target that the variable `IMGFLO_FUZZ_TARGET` names, with the arguments of libFuzzer.
#![no_main]

use std::sync::LazyLock;

use imgflo_fuzz::{TARGETS, Target};

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("IMGFLO_FUZZ_TARGET").unwrap_or_default();
    let names = TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", ");
    TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| panic!("IMGFLO_FUZZ_TARGET is one of {names}"))
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));
