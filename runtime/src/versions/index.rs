//! What is known of the versions of a graph.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::sources::Sources;
use super::{VersionError, VersionLimits, at, content};
use crate::library::Form;

/// Most bytes of the index for a version: a title of 200 characters is 2400 in JSON at the very worst, and each of its
/// sources about 200.
const BYTES_EACH: u64 = 65_536;

/// A version of a graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// From 1 upwards; never given twice.
    pub number: u64,
    /// When it was saved, in UTC as RFC 3339 has it, to the second; of a file written by hand, when it
    /// was last written; of a shipped graph, the beginning of 1970.
    pub time: String,
    /// What a person calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// SHA-256 of its text, hex.
    pub content: String,
    /// The form of its text.
    pub form: Form,
    /// Its text, bytes.
    pub bytes: u64,
    /// The sources beside the graphs that its operations in C had, by name of the operation.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<String, SourceVersion>,
}

/// A source as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceVersion {
    /// SHA-256 of the text, hex.
    pub content: String,
    /// Size of the text, bytes.
    pub bytes: u64,
}

impl SourceVersion {
    pub(super) fn of(text: &str) -> Self {
        SourceVersion { content: content(text), bytes: text.len() as u64 }
    }
}

impl Version {
    /// Bytes of its text and of its sources.
    fn all_bytes(&self) -> u64 {
        self.sources.values().map(|source| source.bytes).fold(self.bytes, u64::saturating_add)
    }

    /// True for the graph as it is in the program.
    pub fn is_shipped(&self) -> bool {
        self.time == rfc3339(SystemTime::UNIX_EPOCH)
    }
}

/// All versions on record, the oldest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Index {
    pub versions: Vec<Version>,
}

impl Index {
    /// Reads an index; an empty one where there is none.
    pub fn read(path: &Path, max_versions: u64) -> Result<Index, VersionError> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Index::default()),
            file => file.map_err(at(path))?,
        };
        let unreadable = |message: String| VersionError::Unreadable { path: path.to_owned(), message };
        // The limit may have been another when it was written.
        let most = max_versions.max(10_000).saturating_mul(BYTES_EACH);
        let mut text = String::new();
        file.take(most).read_to_string(&mut text).map_err(at(path))?;
        let index: Index = serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
        if !index.versions.is_sorted_by(|a, b| a.number < b.number) {
            return Err(unreadable("the numbers of versions do not rise".into()));
        }
        Ok(index)
    }

    pub fn to_text(&self) -> String {
        let versions = self.versions.iter().map(|version| serde_json::json!(version).to_string()).collect::<Vec<_>>();
        // A version a line.
        format!("{{\"versions\": [\n{}\n]}}\n", versions.join(",\n"))
    }

    pub fn newest(&self) -> Option<&Version> {
        self.versions.last()
    }

    /// The version that a text would be.
    pub fn next(&self, form: Form, text: &str, sources: &Sources, time: SystemTime) -> Version {
        Version {
            number: self.newest().map_or(0, |newest| newest.number) + 1,
            time: rfc3339(time),
            title: None,
            content: content(text),
            form,
            bytes: text.len() as u64,
            sources: sources.iter().map(|(name, text)| (name.clone(), SourceVersion::of(text))).collect(),
        }
    }

    /// How old a file with this content is: 0 when it is not on record, 1 for the newest version, 2 for
    /// any other.
    pub fn age(&self, content: &str) -> u8 {
        match self.versions.iter().rposition(|version| version.content == content) {
            None => 0,
            Some(at) if at + 1 == self.versions.len() => 1,
            Some(_) => 2,
        }
    }

    /// Takes versions from the record until limits are kept: the oldest without a title first, and
    /// never the newest. True when one went.
    ///
    /// # Errors
    /// The limit that cannot be kept, and its setting.
    pub fn prune(&mut self, limits: &VersionLimits) -> Result<bool, (u64, &'static str)> {
        let mut went = false;
        loop {
            let bytes = self.versions.iter().map(Version::all_bytes).fold(0, u64::saturating_add);
            let (limit, setting) = if self.versions.len() as u64 > limits.max_versions {
                (limits.max_versions, "IMGFLO_MAX_GRAPH_VERSIONS")
            } else if bytes > limits.max_bytes {
                (limits.max_bytes, "IMGFLO_MAX_GRAPH_VERSIONS_BYTES")
            } else {
                return Ok(went);
            };
            let last = self.versions.len() - 1;
            let oldest = self.versions[..last].iter().position(|version| version.title.is_none());
            self.versions.remove(oldest.ok_or((limit, setting))?);
            went = true;
        }
    }
}

fn rfc3339(time: SystemTime) -> String {
    let time = OffsetDateTime::from(time);
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second) = time.to_hms();
    format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z", u8::from(month))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339_says() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_305_599, "2026-11-21T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn an_index_reads_as_it_was_written() {
        let mut index = Index::default();
        for text in ["a", "bc"] {
            index.versions.push(index.next(Form::Fbp, text, &Sources::new(), SystemTime::UNIX_EPOCH));
        }
        index.versions[1].title = Some("warm \"and\" soft".into());
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("index.json");
        std::fs::write(&path, index.to_text()).expect("written");
        let read = Index::read(&path, 1).expect("readable");
        assert_eq!(read.versions, index.versions);
        assert_eq!(["d", "bc", "a"].map(|text| read.age(&content(text))), [0, 1, 2]);
        std::fs::write(&path, index.to_text().replace("\"number\":2", "\"number\":1")).expect("written");
        assert!(Index::read(&path, 1).is_err());
    }
}
