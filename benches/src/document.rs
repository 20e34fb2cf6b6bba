//! The document that the tables go into, and what they were measured with.

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use crate::process;

/// Replaces what stands in `text` between the marks of `section` with `table`.
///
/// # Errors
/// When `text` has no such marks.
fn replaced(text: &str, section: &str, table: &str) -> Result<String, String> {
    let (begin, end) = (format!("<!-- begin: {section} -->\n"), format!("<!-- end: {section} -->"));
    let missing = |mark: &str| format!("no line {:?}", mark.trim_end());
    let (before, rest) = text.split_once(&begin).ok_or_else(|| missing(&begin))?;
    let (_, after) = rest.split_once(&end).ok_or_else(|| missing(&end))?;
    Ok(format!("{before}{begin}\n{}\n\n{end}{after}", table.trim()))
}

/// Prints a table and puts it into `docs/PERFORMANCE.md`, with the command, what it ran on, and the
/// `versions` of peers.
///
/// # Errors
/// When the document cannot be read or written, or has no place for the table.
pub fn publish(section: &str, command: &str, versions: &[String], table: &str) -> Result<(), Box<dyn Error>> {
    let mut with = vec![format!("imgflo {}", commit())];
    with.extend_from_slice(versions);
    let table = format!("{}\n\n`{command}`, {}: {}; {}.", table.trim(), today(), with.join(", "), machine()?);
    println!("{table}\n");
    let path = process::repository().join("docs/PERFORMANCE.md");
    let text = std::fs::read_to_string(&path)?;
    let text = replaced(&text, section, &table).map_err(|fault| format!("{}: {fault}", path.display()))?;
    Ok(std::fs::write(path, text)?)
}

/// The commit measured, where the sources are in a repository, and whether they were changed since;
/// the document itself is changed by each part.
fn commit() -> String {
    let git = |arguments: &[&str]| version(Command::new("git").current_dir(process::repository()).args(arguments));
    let commit = git(&["rev-parse", "--short=10", "HEAD"]);
    let changed = git(&["status", "--porcelain", "--", ".", ":!docs/PERFORMANCE.md"]).is_some();
    let commit = commit.unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned());
    if changed { format!("{commit} with changes") } else { commit }
}

/// The first line a command prints; `None` where there is no such command, or it fails.
pub fn version(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    String::from_utf8_lossy(&output.stdout).lines().next().map(|line| line.trim().to_owned())
}

/// A Debian package and its version; `None` where it is not installed.
pub fn debian(package: &str) -> Option<String> {
    version(Command::new("dpkg-query").args(["-W", "-f", "${Package} ${Version}", package]))
}

/// The day, as "06 Nov 1994" (UTC).
fn today() -> String {
    httpdate::fmt_http_date(SystemTime::now())[5..16].to_owned()
}

/// The processor and how many of its cores there are.
fn machine() -> Result<String, Box<dyn Error>> {
    let text = std::fs::read_to_string(Path::new("/proc/cpuinfo"))?;
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or(std::env::consts::ARCH, |(_, name)| name.trim());
    Ok(format!("{model}, {} cores", std::thread::available_parallelism()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_replaces_only_its_part() {
        let text = "a\n<!-- begin: x -->\nold\n<!-- end: x -->\nb\n<!-- begin: y -->\n<!-- end: y -->\n";
        let once = replaced(text, "x", "new\n").expect("a part x");
        assert_eq!(once, "a\n<!-- begin: x -->\n\nnew\n\n<!-- end: x -->\nb\n<!-- begin: y -->\n<!-- end: y -->\n");
        assert_eq!(replaced(&once, "x", "new").expect("a part x"), once);
        assert_eq!(replaced(text, "z", "new"), Err("no line \"<!-- begin: z -->\"".to_owned()));
    }
}
