//! What was edited and is not saved yet, in files: it is there again when the runtime is, however it ended.
//!
//! Drafts are never served. They lie in the runtime's data folder; runtimes that share it have a folder of drafts each
//! (`1`, `2` and so on), which a lock tells from those of others. The lock goes with its process.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use imgflo_fbp::Graph;
use imgflo_runtime::files;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::lock::lock;

/// Most runtimes on one data folder.
const MOST: usize = 100;

/// A graph that is not saved yet.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Draft {
    /// The graph's id.
    pub id: String,
    /// The name that it is saved under.
    pub file: Option<String>,
    /// The content of that file when it was opened or saved.
    pub over: Option<String>,
    /// True for the main graph.
    pub main: bool,
    pub graph: Graph,
}

impl Draft {
    fn to_text(&self) -> String {
        let Draft { id, file, over, main, graph } = self;
        json!({ "id": id, "file": file, "over": over, "main": main, "graph": graph.to_json() }).to_string()
    }

    fn from_text(text: &str) -> Result<Draft, String> {
        let value = serde_json::from_str::<Value>(text).map_err(|error| error.to_string())?;
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        Ok(Draft {
            id: text("id").ok_or("it has no id")?,
            file: text("file"),
            over: text("over"),
            main: value["main"].as_bool().unwrap_or_default(),
            graph: Graph::from_json_str(&value["graph"].to_string()).map_err(|error| error.to_string())?,
        })
    }
}

/// The drafts of a runtime.
#[derive(Debug)]
pub(crate) struct Drafts {
    folder: PathBuf,
    /// What the files hold: of graphs the edit that they were written after, of operations the source.
    graphs: Mutex<BTreeMap<String, u64>>,
    sources: Mutex<BTreeMap<String, String>>,
    _lock: File,
}

impl Drafts {
    /// Opens the first folder in `parent` that no running process has.
    ///
    /// # Errors
    /// When it cannot be made or locked.
    pub fn open(parent: &Path) -> io::Result<Drafts> {
        for number in 1..=MOST {
            let folder = parent.join(number.to_string());
            fs::create_dir_all(&folder)?;
            let lock = File::options().write(true).create(true).truncate(false).open(folder.join(".lock"))?;
            match lock.try_lock() {
                Ok(()) => {
                    return Ok(Drafts { folder, graphs: Mutex::default(), sources: Mutex::default(), _lock: lock });
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Err(io::Error::other(format!("{MOST} runtimes use this folder already")))
    }

    /// Reads the graphs and the sources of operations that were left. A file that cannot be read stays, and is logged.
    pub fn read(&self) -> (Vec<Draft>, BTreeMap<String, String>) {
        let (mut graphs, mut sources) = (Vec::new(), BTreeMap::new());
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            let text = || fs::read_to_string(&path).map_err(|error| error.to_string());
            let read = match path.extension().and_then(|extension| extension.to_str()) {
                Some("json") => text().and_then(|text| Draft::from_text(&text)).map(|draft| graphs.push(draft)),
                Some("c") => text().map(|code| drop(sources.insert(name, code))),
                _ => Ok(()),
            };
            if let Err(error) = read {
                tracing::warn!(file = %path.display(), error, "a draft cannot be read");
            }
        }
        graphs.sort_by(|a, b| a.id.cmp(&b.id));
        // Held after no edit of this process.
        *lock(&self.graphs) = graphs.iter().map(|draft| (draft.id.clone(), 0)).collect();
        *lock(&self.sources) = sources.clone();
        (graphs, sources)
    }

    /// True when the file of a graph holds what it was after that edit.
    pub fn holds(&self, id: &str, edited: u64) -> bool {
        lock(&self.graphs).get(id) == Some(&edited)
    }

    /// Writes a graph as it was after an edit.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, draft: &Draft, edited: u64) -> io::Result<()> {
        files::replace(&self.file(&draft.id), draft.to_text().as_bytes())?;
        lock(&self.graphs).insert(draft.id.clone(), edited);
        Ok(())
    }

    /// Removes a graph, which is saved or has another id now.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn remove(&self, id: &str) -> io::Result<()> {
        if lock(&self.graphs).remove(id).is_some() {
            files::remove(&self.file(id))?;
        }
        Ok(())
    }

    /// Writes the sources of operations that are not saved; those of others go.
    ///
    /// # Errors
    /// When a file cannot be written or removed.
    pub fn keep_sources(&self, unsaved: &BTreeMap<String, String>) -> io::Result<()> {
        let mut held = lock(&self.sources);
        let file = |name: &str| self.folder.join(format!("{name}.c"));
        for name in held.keys().filter(|name| !unsaved.contains_key(*name)).cloned().collect::<Vec<_>>() {
            files::remove(&file(&name))?;
            held.remove(&name);
        }
        for (name, code) in unsaved {
            if held.get(name) != Some(code) {
                files::replace(&file(name), code.as_bytes())?;
                held.insert(name.clone(), code.clone());
            }
        }
        Ok(())
    }

    /// An id can hold what the name of a file cannot.
    fn file(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{}.json", hex::encode(&Sha256::digest(id)[..16])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(id: &str) -> Draft {
        let graph = imgflo_fbp::parse("a(gegl/crop) OUTPUT -> INPUT b(c/glow)\n7 -> X a\n", &Default::default());
        let file = Some("soft".to_owned());
        Draft { id: id.into(), file, over: None, main: true, graph: graph.expect("a graph") }
    }

    #[test]
    fn what_is_written_is_read_by_the_next() {
        let folder = tempfile::tempdir().expect("a folder");
        let drafts = Drafts::open(folder.path()).expect("drafts");
        let other = Drafts::open(folder.path()).expect("drafts of another runtime");
        drafts.write(&draft("default/../main"), 7).expect("written");
        drafts.write(&draft("gone"), 8).expect("written");
        drafts.remove("gone").expect("removed");
        assert!(drafts.holds("default/../main", 7) && !drafts.holds("default/../main", 6));
        let sources = BTreeMap::from([("glow".to_owned(), "int a;".to_owned())]);
        drafts.keep_sources(&sources).expect("written");
        assert_eq!(other.read(), (vec![], BTreeMap::new()));
        drop(drafts);
        let again = Drafts::open(folder.path()).expect("drafts");
        assert_eq!(again.read(), (vec![draft("default/../main")], sources));
        again.keep_sources(&BTreeMap::new()).expect("removed");
        assert_eq!(again.read().1, BTreeMap::new());
    }
}
