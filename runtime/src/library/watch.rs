//! Folders that are looked at now and then.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use std::{io, thread};

use super::{Library, Stamp};

/// Interval at which folders are looked at.
const LOOK: Duration = Duration::from_millis(500);

/// How many looks in a row may find something else each time: then the folder is read all the same.
const UNSETTLED: u32 = 4;

/// What looks at a folder found. A file may be half written, so a change counts when two looks find the same.
#[derive(Debug, Default)]
pub struct Watch {
    seen: Option<Stamp>,
    looks: u32,
}

impl Watch {
    /// Looks at the folder that `library` was read from; true when it is to be read again. Reads no file.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn is_changed(&mut self, library: &Library) -> io::Result<bool> {
        let last = self.seen.take();
        let now = library.look()?;
        if now.as_ref() == library.stamp() {
            self.looks = 0;
            return Ok(false);
        }
        if now != last && self.looks < UNSETTLED {
            self.looks += 1;
            self.seen = now;
            return Ok(false);
        }
        self.looks = 0;
        Ok(true)
    }
}

/// Calls `look` every 500 ms on a thread of its own, until that returns `None`. The first of several faults in a row goes
/// to the log, as `fault`. A panic is a fault, too.
///
/// # Errors
/// When there can be no thread.
pub fn keep_watch(
    fault: &'static str,
    mut look: impl FnMut(&mut Watch) -> Option<io::Result<()>> + Send + 'static,
) -> io::Result<()> {
    let run = move || {
        let mut watch = Watch::default();
        let mut failed = false;
        loop {
            thread::sleep(LOOK);
            let looked = catch_unwind(AssertUnwindSafe(|| look(&mut watch)));
            match looked.unwrap_or_else(|_| Some(Err(io::Error::other("a panic")))) {
                None => return,
                Some(Ok(())) => failed = false,
                Some(Err(error)) if !failed => {
                    failed = true;
                    tracing::warn!(%error, "{fault}");
                }
                Some(Err(_)) => {}
            }
        }
    };
    thread::Builder::new().name("watch".into()).spawn(run).map(drop)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn looks_go_on_after_faults_and_panics_until_told() {
        let (tell, told) = mpsc::channel();
        let mut looks = 0;
        keep_watch("cannot be read", move |_| {
            looks += 1;
            tell.send(looks).unwrap();
            match looks {
                1 => panic!("in a look"),
                2 => Some(Err(io::Error::other("no folder"))),
                3 => Some(Ok(())),
                _ => None,
            }
        })
        .unwrap();
        // Ends with the thread.
        assert_eq!(told.iter().collect::<Vec<_>>(), [1, 2, 3, 4]);
    }
}
