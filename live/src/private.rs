//! Keeps paths of this machine out of what editors are told.

use std::path::{Path, PathBuf};

/// The folders whose paths are nobody's business, as texts that end with a slash; the longest first.
#[derive(Debug, Default)]
pub(crate) struct Private(Vec<String>);

impl Private {
    /// `folders`: as the settings name them. They are known by their full names, with and without links followed.
    pub fn new<'a>(folders: impl IntoIterator<Item = &'a Path>) -> Private {
        let temporary = std::env::temp_dir();
        let forms = |folder: &Path| {
            [std::path::absolute(folder).ok(), folder.canonicalize().ok()]
                .into_iter()
                .flatten()
                .collect::<Vec<PathBuf>>()
        };
        let all = folders.into_iter().flat_map(forms).chain(forms(&temporary));
        let mut texts: Vec<String> =
            all.filter_map(|folder| Some(format!("{}/", folder.to_str()?.trim_end_matches('/')))).collect();
        // The root would be every slash.
        texts.retain(|text| text.len() > 2);
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        texts.dedup();
        Private(texts)
    }

    /// The text with paths that begin in these folders, and the folders themselves by their last names.
    pub fn hide(&self, text: &str) -> String {
        let mut hidden = text.to_owned();
        for folder in &self.0 {
            hidden = hidden.replace(folder.as_str(), "");
            let bare = folder.trim_end_matches('/');
            if let Some((_, name)) = bare.rsplit_once('/') {
                hidden = hidden.replace(bare, name);
            }
        }
        hidden
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_inside_a_folder_is_told() {
        let top = tempfile::tempdir().unwrap();
        let (graphs, link) = (top.path().join("graphs"), top.path().join("link"));
        std::fs::create_dir(&graphs).unwrap();
        std::os::unix::fs::symlink(&graphs, &link).unwrap();
        let private = Private::new([link.as_path(), Path::new("relative/graphs")]);
        let here = std::env::current_dir().unwrap();
        for folder in [graphs.display(), link.display(), here.join("relative/graphs").display()] {
            let told = private.hide(&format!("{folder}/.versions/a/index.json: denied; {folder}/a.fbp: denied"));
            assert_eq!(told, ".versions/a/index.json: denied; a.fbp: denied");
        }
        assert_eq!(private.hide(&format!("{}: denied", link.display())), "link: denied");
        let temporary = std::env::temp_dir().join("x/op.c");
        assert_eq!(private.hide(&format!("{}: denied", temporary.display())), "x/op.c: denied");
        let other = "files/a.png and http://a/graph/b are not touched";
        assert_eq!(private.hide(other), other);
    }
}
