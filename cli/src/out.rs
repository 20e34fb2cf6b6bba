//! Standard output and standard error, of which either may have no reader any more (`imgflo ops list | head -1`).

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write as _};
use std::sync::OnceLock;

/// The first failure to write to standard output.
static FAILED: OnceLock<io::Error> = OnceLock::new();

/// Prints to standard output, as [`std::print!`] does, but does not panic.
macro_rules! out {
    ($($text:tt)*) => { crate::out::print(format_args!($($text)*)) };
}

/// Prints a line to standard output, as [`std::println!`] does, but does not panic.
macro_rules! outln {
    ($($text:tt)*) => { crate::out::print(format_args!("{}\n", format_args!($($text)*))) };
}

/// Prints a line to standard error, as [`std::eprintln!`] does, but does not panic.
macro_rules! errln {
    ($($text:tt)*) => { crate::out::tell(format_args!("{}\n", format_args!($($text)*))) };
}

/// Writes to standard output. After a failure nothing more is written, and [`failure`] tells why.
pub fn print(text: Arguments<'_>) {
    if FAILED.get().is_none()
        && let Err(error) = io::stdout().write_fmt(text)
    {
        let _ = FAILED.set(error);
    }
}

/// Writes to standard error. Ignores a failure to write, which cannot be told anywhere.
pub fn tell(text: Arguments<'_>) {
    let _ = io::stderr().write_fmt(text);
}

/// Returns why standard output is not complete. A reader that has seen enough is not a failure.
pub fn failure() -> Option<String> {
    if FAILED.get().is_none()
        && let Err(error) = io::stdout().flush()
    {
        let _ = FAILED.set(error);
    }
    let error = FAILED.get().filter(|error| error.kind() != ErrorKind::BrokenPipe)?;
    Some(format!("standard output is not complete: {error}"))
}
