//! Compiles what tells libFuzzer where C code has been.

fn main() {
    println!("cargo:rerun-if-changed=src/coverage.c");
    #[cfg(feature = "libfuzzer")]
    for object in cc::Build::new().file("src/coverage.c").compile_intermediates() {
        // An object and not a library: what calls it comes in libraries of other crates.
        println!("cargo:rustc-link-arg-bins={}", object.display());
        println!("cargo:rustc-link-arg-bins=-Wl,--wrap=__sanitizer_cov_trace_pc");
    }
}
