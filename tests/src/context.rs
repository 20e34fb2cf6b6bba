//! The context of an image: the files that `.dockerignore` leaves.

use std::path::{Path, PathBuf};

/// One line of a `.dockerignore`.
struct Rule {
    parts: Vec<String>,
    /// True for a line that begins with `!`.
    keeps: bool,
}

/// The rules of a `.dockerignore`, as Docker reads them: patterns are rooted, `*` and `?` stay within a part of a path,
/// `**` is any number of parts, what lies below a match is a match, and the last rule that matches decides.
pub struct Ignored(Vec<Rule>);

impl Ignored {
    /// Reads the rules.
    ///
    /// # Panics
    /// For what this reader does not know: sets of characters, and escapes.
    pub fn parse(text: &str) -> Ignored {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let rule = |line: &str| {
            assert!(!line.contains(['[', '\\']), "'{line}': sets and escapes are not read here");
            let (keeps, pattern) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest));
            let parts = pattern.split('/').filter(|part| !part.is_empty() && *part != ".");
            Rule { parts: parts.map(str::to_owned).collect(), keeps }
        };
        Ignored(lines.map(rule).collect())
    }

    /// True when a path, relative to the top, is left out of the context.
    pub fn leaves_out(&self, path: &Path) -> bool {
        let parts: Vec<&str> = path.iter().map(|part| part.to_str().expect("a readable path")).collect();
        let last = self.0.iter().rfind(|rule| (1..=parts.len()).any(|end| matches(&rule.parts, &parts[..end])));
        last.is_some_and(|rule| !rule.keeps)
    }

    /// The files below `top` that are in the context, relative to it. Folders that are left out are not looked into,
    /// unless a rule keeps something.
    ///
    /// # Panics
    /// When a folder cannot be listed.
    pub fn files(&self, top: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        self.walk(top, Path::new(""), &mut found);
        found.sort();
        found
    }

    fn walk(&self, top: &Path, folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(top.join(folder)).expect("the folder can be listed") {
            let entry = entry.expect("the folder can be listed");
            let path = folder.join(entry.file_name());
            let left_out = self.leaves_out(&path);
            if entry.file_type().expect("a type").is_dir() {
                if !left_out || self.0.iter().any(|rule| rule.keeps) {
                    self.walk(top, &path, found);
                }
            } else if !left_out {
                found.push(path);
            }
        }
    }
}

fn matches(pattern: &[String], path: &[&str]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "**" => {
            matches(rest, path) || path.split_first().is_some_and(|(_, below)| matches(pattern, below))
        }
        (Some((first, rest)), Some((part, below))) => part_matches(first, part) && matches(rest, below),
        _ => false,
    }
}

/// True when a part of a path matches a pattern with `*` and `?`.
fn part_matches(pattern: &str, part: &str) -> bool {
    match (pattern.chars().next(), part.chars().next()) {
        (None, None) => true,
        (Some('*'), next) => {
            part_matches(&pattern[1..], part) || next.is_some_and(|c| part_matches(pattern, &part[c.len_utf8()..]))
        }
        (Some(wanted), Some(c)) if wanted == '?' || wanted == c => {
            part_matches(&pattern[wanted.len_utf8()..], &part[c.len_utf8()..])
        }
        _ => false,
    }
}
