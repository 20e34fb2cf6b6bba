//! From source text to a library that can be loaded.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use imgflo_ops::c::HEADER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What every compiler is called with. Contracted floats would give other pixels on other machines.
const FLAGS: [&str; 12] = [
    "-std=gnu11",
    "-O2",
    "-ffp-contract=off",
    "-fPIC",
    "-shared",
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
    "-Werror=implicit-function-declaration",
    "-Werror=incompatible-pointer-types",
    "-Werror=int-conversion",
    "-Wl,-z,defs",
];
/// Most messages that are passed on, and most characters of each.
const MOST: usize = 100;
const LONGEST: usize = 500;

/// How bad something is that a compiler found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// There is no operation.
    Error,
    /// There is one, and it may not do what was meant.
    Warning,
    /// More on the message before.
    Note,
}

/// Something that a compiler found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompilerMessage {
    /// File name without folder.
    pub file: String,
    /// Line, from 1; 0 when it is about no line.
    pub line: u32,
    /// Column, from 1; 0 when it is about no column.
    pub column: u32,
    /// How bad it is.
    pub severity: Severity,
    /// What it is.
    pub text: String,
}

impl CompilerMessage {
    /// An error about no line.
    pub(super) fn error(file: impl Into<String>, text: impl Into<String>) -> Self {
        CompilerMessage { file: file.into(), line: 0, column: 0, severity: Severity::Error, text: text.into() }
    }
}

impl fmt::Display for CompilerMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        for place in [self.line, self.column].into_iter().take_while(|place| *place > 0) {
            write!(f, ":{place}")?;
        }
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        write!(f, ": {severity}: {}", self.text)
    }
}

/// Tells revisions apart: what is compiled, with what it includes of ours, and how.
pub(super) fn revision(source: &[u8], headers: &[Vec<u8>]) -> String {
    let mut hash = Sha256::new();
    let texts = headers.iter().map(Vec::as_slice).chain([source, HEADER.as_bytes()]);
    for text in texts.chain(FLAGS.map(str::as_bytes)) {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    // Half of it: 128 bits.
    hex::encode(&hash.finalize()[..16])
}

/// Compiles `source` to the library `output`; true when there is one now. Headers are looked for in
/// `includes`.
///
/// # Errors
/// When the compiler cannot be started.
pub(super) fn compile(
    compiler: &str,
    source: &Path,
    includes: &[&Path],
    output: &Path,
) -> io::Result<(bool, Vec<CompilerMessage>)> {
    // CC may hold flags, as for make.
    let mut words = compiler.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or("cc"));
    command.args(words).args(FLAGS);
    for folder in includes {
        command.arg(OsString::from("-I")).arg(folder);
    }
    let done =
        command.arg(source).arg("-o").arg(output).arg("-lm").env("LC_ALL", "C").stdin(Stdio::null()).output().map_err(
            |error| io::Error::new(error.kind(), format!("the compiler '{compiler}' does not start: {error}")),
        )?;
    let said = String::from_utf8_lossy(&done.stderr);
    let file = source.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mut messages = read(&said, file);
    let built = done.status.success();
    if !built && messages.iter().all(|message| message.severity != Severity::Error) {
        let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("the compiler failed");
        messages.push(CompilerMessage::error(file, cut(last)));
    }
    Ok((built, messages))
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

/// The messages in what a compiler and a linker wrote.
fn read(said: &str, file: &str) -> Vec<CompilerMessage> {
    said.lines().filter_map(|line| diagnostic(line).or_else(|| undefined(line, file))).take(MOST).collect()
}

/// `file:line:column: error: text`, the way of GCC and Clang; the assembler begins with a capital and knows no column.
fn diagnostic(line: &str) -> Option<CompilerMessage> {
    let severities = [
        (": fatal error: ", Severity::Error),
        (": error: ", Severity::Error),
        (": warning: ", Severity::Warning),
        (": note: ", Severity::Note),
        (": Error: ", Severity::Error),
        (": Warning: ", Severity::Warning),
    ];
    let found = severities.iter().filter_map(|(mark, severity)| Some((line.find(mark)?, mark, severity)));
    let (at, mark, severity) = found.min_by_key(|(at, ..)| *at)?;
    let (before, last) = line[..at].rsplit_once(':')?;
    let last = last.parse().ok()?;
    let both = before.rsplit_once(':').and_then(|(file, number)| Some((file, number.parse().ok()?, last)));
    let (file, number, column) = both.unwrap_or((before, last, 0));
    let file = Path::new(file).file_name()?.to_string_lossy().into_owned();
    Some(CompilerMessage { file, line: number, column, severity: *severity, text: cut(&line[at + mark.len()..]) })
}

/// What the linker does not find has no line.
fn undefined(line: &str, file: &str) -> Option<CompilerMessage> {
    let at = line.find("undefined reference to")?;
    Some(CompilerMessage::error(file, cut(&line[at..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_in_what_compilers_write() {
        let said = "\
/tmp/a/wave.c: In function 'render':
/tmp/a/wave.c:12:5: error: 'x' undeclared (first use in this function); did you mean: y?
   12 |     x = 1;
      |     ^
/tmp/a/wave.c:12:5: note: each undeclared identifier is reported only once
include/imgflo-op.h:3:10: fatal error: gone.h: No such file or directory
wave.c:4:2: warning: unused variable 'a' [-Wunused-variable]
/usr/bin/ld: /tmp/cc1.o: in function `render':
wave.c:(.text+0x9): undefined reference to `missing'
collect2: error: ld returned 1 exit status
/tmp/a/wave.c:13: Error: no such instruction: `jmpp'
";
        let messages = read(said, "wave.c");
        let told = messages.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            told,
            [
                "wave.c:12:5: error: 'x' undeclared (first use in this function); did you mean: y?",
                "wave.c:12:5: note: each undeclared identifier is reported only once",
                "imgflo-op.h:3:10: error: gone.h: No such file or directory",
                "wave.c:4:2: warning: unused variable 'a' [-Wunused-variable]",
                "wave.c: error: undefined reference to `missing'",
                "wave.c:13: error: no such instruction: `jmpp'",
            ]
        );
        assert_eq!((messages[0].line, messages[0].column), (12, 5));
        let many = "a.c:1:1: error: b\n".repeat(1000);
        assert_eq!(read(&many, "a.c").len(), MOST);
    }

    #[test]
    fn revisions_follow_what_is_compiled() {
        let one = revision(b"int a;", &[]);
        assert_eq!((one.len(), &one), (32, &revision(b"int a;", &[])));
        assert_ne!(one, revision(b"int b;", &[]));
        assert_ne!(one, revision(b"int a;", &[b"int c;".to_vec()]));
        assert_ne!(revision(b"ab", &[b"c".to_vec()]), revision(b"b", &[b"ca".to_vec()]));
    }
}
