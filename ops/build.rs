//! Refuses to build when mozjpeg has been built without its SIMD code: its own build script only
//! warns, and JPEG would be read and written several times slower without anyone noticing.

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=DEP_JPEG_INCLUDE");
    println!("cargo::rerun-if-env-changed=IMGFLO_ALLOW_SLOW_JPEG");
    // `mozjpeg-sys` tells where it wrote the configuration it compiled with.
    let include = std::env::var_os("DEP_JPEG_INCLUDE").unwrap_or_default();
    let simd = std::env::split_paths(&include)
        .filter_map(|folder| std::fs::read_to_string(Path::new(&folder).join("jconfig.h")).ok())
        .any(|config| config.lines().any(|line| line.trim() == "#define WITH_SIMD 1"));
    if simd || std::env::var_os("IMGFLO_ALLOW_SLOW_JPEG").is_some() {
        return;
    }
    println!(
        "cargo::error=mozjpeg was built without SIMD code, which makes JPEG several times slower: its \
         assembler nasm is missing. Install it (Debian: apt-get install nasm), run \
         `cargo clean -p mozjpeg-sys`, and build again. To build without SIMD all the same, set \
         IMGFLO_ALLOW_SLOW_JPEG=1."
    );
}
