//! From source text to a library that can be loaded.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use imgflo_ops::c::{HEADER, HEADER_NAME};
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
/// After those: GEGL's functions have parameters that few operations need.
const GEGL_FLAGS: [&str; 4] =
    ["-Wno-unused-parameter", "-Wno-error=incompatible-pointer-types", "-include", REVISION_HEADER];
/// What an operation for GEGL is compiled with, and the folder beside our header that it is in.
const GEGL_FOLDER: &str = "gegl";
const REVISION_HEADER: &str = "imgflo-gegl-revision.h";
const REVISION_SOURCE: &str = "imgflo-gegl-revision.c";
const CONFIGURATION: &str = "config.h";
const OPERATION_HEADER: &str = "gegl-op.h";
const GEGL_FILES: [(&str, &str); 4] = [
    (REVISION_HEADER, include_str!("gegl/revision.h")),
    (REVISION_SOURCE, include_str!("gegl/revision.c")),
    (CONFIGURATION, include_str!("gegl/config.h")),
    (OPERATION_HEADER, include_str!("gegl/op.h")),
];
/// How `pkg-config` is asked for what else it is.
const GEGL: [&str; 3] = ["--cflags", "--libs", "gegl-0.4"];
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

/// What an operation is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interface {
    /// `imgflo-op.h`.
    Imgflo,
    /// `gegl-op.h` or `gegl-plugin.h`.
    Gegl,
}

impl Interface {
    /// That of a source: it includes the header itself.
    pub fn of(source: &[u8]) -> Interface {
        let includes = |line: &[u8]| {
            let line = String::from_utf8_lossy(line);
            let directive = line.trim_start().strip_prefix('#').map(str::trim_start);
            let file = directive.and_then(|directive| directive.strip_prefix("include")).map(str::trim_start);
            let names = ["\"gegl-op.h\"", "<gegl-op.h>", "\"gegl-plugin.h\"", "<gegl-plugin.h>"];
            file.is_some_and(|file| names.iter().any(|name| file.starts_with(name)))
        };
        let gegl = source.split(|byte| *byte == b'\n').any(includes);
        if gegl { Interface::Gegl } else { Interface::Imgflo }
    }

    /// Writes the files that a source of either includes to `folder`.
    pub fn write_headers(folder: &Path) -> io::Result<()> {
        fs::write(folder.join(HEADER_NAME), HEADER)?;
        fs::create_dir_all(folder.join(GEGL_FOLDER))?;
        GEGL_FILES.iter().try_for_each(|(name, text)| fs::write(folder.join(GEGL_FOLDER).join(name), text))
    }
}

/// Tells revisions apart: what is compiled, with what it includes of ours, and how.
pub(super) fn revision(source: &[u8], headers: &[Vec<u8>]) -> String {
    let mut hash = Sha256::new();
    let ours = match Interface::of(source) {
        Interface::Imgflo => vec![HEADER],
        Interface::Gegl => GEGL_FILES.into_iter().map(|(_, text)| text).chain(GEGL_FLAGS).collect(),
    };
    let texts = headers.iter().map(Vec::as_slice).chain([source]).chain(ours.into_iter().map(str::as_bytes));
    for text in texts.chain(FLAGS.map(str::as_bytes)) {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    // Half of it: 128 bits.
    hex::encode(&hash.finalize()[..16])
}

/// A source, and how it is compiled.
#[derive(Debug)]
pub(super) struct Compilation<'a> {
    /// The command, with flags if need be: `CC` as for make.
    pub compiler: &'a str,
    pub source: &'a Path,
    pub interface: Interface,
    /// The operation with its revision: letters, digits and dashes.
    pub revision: &'a str,
    /// Where headers are looked for beside those of [`Interface::write_headers`].
    pub includes: Option<&'a Path>,
    /// The folder with those.
    pub headers: &'a Path,
    /// The library.
    pub output: &'a Path,
}

/// Compiles; true when there is a library now.
///
/// # Errors
/// When the compiler cannot be started.
pub(super) fn compile(compilation: &Compilation<'_>) -> io::Result<(bool, Vec<CompilerMessage>)> {
    let Compilation { compiler, source, interface, revision, includes, headers, output } = compilation;
    let file = source.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let gegl = headers.join(GEGL_FOLDER);
    let mut words = compiler.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or("cc"));
    command.args(words).args(FLAGS);
    for folder in includes.iter().chain([headers]) {
        command.arg("-I").arg(folder);
    }
    let mut libraries = Vec::new();
    if *interface == Interface::Gegl {
        let installed = match pkg_config() {
            Ok(installed) => installed,
            Err(fault) => return Ok((false, vec![CompilerMessage::error(file, fault)])),
        };
        // Its headers are the system's: what compilers think of them helps nobody.
        let words = installed.into_iter().map(|word| match word.strip_prefix("-I") {
            Some(folder) => format!("-isystem{folder}"),
            None => word,
        });
        let (flags, linked) = words.partition::<Vec<_>, _>(|word| !word.starts_with("-l") && !word.starts_with("-L"));
        libraries = linked;
        command.arg(format!("-DIMGFLO_REVISION=\"{revision}\"")).arg("-I").arg(&gegl).args(GEGL_FLAGS).args(flags);
        // For sources that name neither, as an editor's template.
        let name = file.strip_suffix(".c").unwrap_or(file).replace('-', "_");
        command.arg(format!("-DIMGFLO_FILE=\"{file}\"")).arg(format!("-DIMGFLO_NAME={name}"));
        command.arg(gegl.join(REVISION_SOURCE));
    }
    let done = command
        .arg(source)
        .arg("-o")
        .arg(output)
        .args(libraries)
        .arg("-lm")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| io::Error::new(error.kind(), format!("the compiler '{compiler}' does not start: {error}")))?;
    let said = String::from_utf8_lossy(&done.stderr);
    let mut messages = read(&said, file);
    let built = done.status.success();
    if !built && messages.iter().all(|message| message.severity != Severity::Error) {
        let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("the compiler failed");
        messages.push(CompilerMessage::error(file, cut(last)));
    }
    Ok((built, messages))
}

/// The flags for GEGL's headers and libraries; what is said where there are none.
fn pkg_config() -> Result<Vec<String>, String> {
    let missing = |why: &str| {
        format!(
            "operations with gegl-op.h are built where GEGL's headers are (Debian: apt install libgegl-dev pkg-config): {why}"
        )
    };
    let done = Command::new("pkg-config").args(GEGL).env("LC_ALL", "C").stdin(Stdio::null()).output();
    let done = done.map_err(|error| missing(&format!("pkg-config: {error}")))?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        return Err(missing(&cut(said.lines().next().unwrap_or("pkg-config failed"))));
    }
    Ok(String::from_utf8_lossy(&done.stdout).split_whitespace().map(str::to_owned).collect())
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

/// The messages in what a compiler and a linker wrote.
fn read(said: &str, file: &str) -> Vec<CompilerMessage> {
    let mut messages: Vec<CompilerMessage> = Vec::new();
    for message in said.lines().filter_map(|line| diagnostic(line).or_else(|| undefined(line, file))) {
        // A source for GEGL is read once for each use of its properties.
        if messages.len() < MOST && !messages.contains(&message) {
            messages.push(message);
        }
    }
    messages
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
        let many =
            |column: fn(u32) -> u32| (1..1000).map(|n| format!("a.c:1:{}: error: b\n", column(n))).collect::<String>();
        assert_eq!(read(&many(|n| n), "a.c").len(), MOST);
        assert_eq!(read(&many(|_| 1), "a.c").len(), 1, "each is told once");
    }

    #[test]
    fn a_source_is_for_gegl_when_it_includes_its_header() {
        for gegl in
            ["#include \"gegl-op.h\"", "#include <gegl-plugin.h>", "int a;\r\n #  include<gegl-op.h> /* x */\r\n"]
        {
            assert_eq!(Interface::of(gegl.as_bytes()), Interface::Gegl, "{gegl}");
        }
        for ours in [
            "",
            "#include \"imgflo-op.h\"\n",
            "/* gegl-op.h */",
            "// #include \"gegl-op.h\"",
            "#include \"my-gegl-op.h\"",
        ] {
            assert_eq!(Interface::of(ours.as_bytes()), Interface::Imgflo, "{ours}");
        }
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
