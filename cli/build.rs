//! Rebuilds the program when a shipped graph or sample is added, changed or removed.

fn main() {
    for folder in ["../graphs", "../files"] {
        println!("cargo:rerun-if-changed={folder}");
    }
}
