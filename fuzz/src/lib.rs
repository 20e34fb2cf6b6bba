//! Targets for coverage-guided fuzzing: what strangers send, read by what reads it.
//!
//! `scripts/fuzz TARGET SECONDS` runs one. A target panics when what it reads breaks a promise; a crash, too
//! much memory and too much time are seen by libFuzzer. Files in `seeds/TARGET/`, and in the folders that a target names, are
//! what a run begins with and what the tests read again. One that fuzzing found is kept there, named for what it did.

mod pictures;
mod texts;

/// Something that reads what strangers send.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Name of the target, and of its folder of seeds.
    pub name: &'static str,
    /// Folders of the repository with more to begin with.
    pub corpora: &'static [&'static str],
    /// Reads. Panics when a promise is broken.
    pub run: fn(&[u8]),
}

const PICTURES: &[&str] = &["ops/tests/corpus", "ops/tests/cases", "ops/tests/hostile"];

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "jpeg", corpora: PICTURES, run: pictures::jpeg },
    Target { name: "libjpeg", corpora: PICTURES, run: pictures::libjpeg },
    Target { name: "png", corpora: PICTURES, run: pictures::png },
    Target { name: "webp", corpora: PICTURES, run: pictures::webp },
    Target { name: "gif", corpora: PICTURES, run: pictures::gif },
    Target { name: "icc", corpora: &[], run: pictures::icc },
    Target { name: "fbp", corpora: &["fbp/tests/corpus", "graphs"], run: texts::fbp },
    Target { name: "json", corpora: &["graphs", "tests/originals"], run: texts::json },
    Target { name: "request", corpora: &[], run: texts::request },
    Target { name: "protocol", corpora: &[], run: texts::protocol },
    Target { name: "job", corpora: &[], run: texts::job },
];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn seeds_are_read_without_harm() {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in a repository");
        for Target { name, corpora, run } in TARGETS {
            let own = format!("fuzz/seeds/{name}");
            let folders = corpora.iter().copied().chain([own.as_str()]);
            let files = folders.flat_map(|folder| {
                // Not every target has seeds of its own.
                let entries = fs::read_dir(repository.join(folder)).into_iter().flatten();
                entries.map(|entry| entry.expect("a folder can be listed").path()).filter(|path| path.is_file())
            });
            let seen = files.map(|file| run(&fs::read(file).expect("a file can be read"))).count();
            assert!(seen >= 3, "{name}: {seen} files");
        }
    }
}
