//! A folder of graphs that is looked at now and then.

use std::io;

use super::{Library, Stamp};

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
