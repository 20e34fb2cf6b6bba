//! Which files of the folder behind `/files/` are served: the one rule for addresses, inputs, lists and versions.
//!
//! A file is served if its path is made of plain names, it is a file (no pipe, no device), and after all links are
//! followed it lies in the folder and no part of its path there is hidden. A name is hidden if it begins with a dot.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Returns true for a name that a file or folder may be served under: not empty, not hidden (so neither `.` nor `..`),
/// without slashes, backslashes and control characters.
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\']) && !name.contains(char::is_control)
}

/// Returns where a decoded path (`sub/my photo.jpg`) leads in a folder, with all links followed; `None` where nothing is
/// served. It can be a folder. Blocks.
///
/// # Errors
/// The file system's, but not that there is nothing.
pub fn locate(folder: &Path, path: &str) -> io::Result<Option<PathBuf>> {
    if !path.split('/').all(is_name) {
        return Ok(None);
    }
    let folder = folder.canonicalize()?;
    let place = match folder.join(path).canonicalize() {
        Ok(place) => place,
        Err(error)
            if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let Ok(inside) = place.strip_prefix(&folder) else { return Ok(None) };
    let is_plain = inside.iter().all(|name| name.to_str().is_some_and(is_name));
    Ok(is_plain.then_some(place))
}

/// Returns the file that a decoded path leads to, as [`locate`], but nothing else than files. Blocks.
///
/// # Errors
/// As [`locate`].
pub fn find(folder: &Path, path: &str) -> io::Result<Option<PathBuf>> {
    let Some(place) = locate(folder, path)? else { return Ok(None) };
    Ok(fs::metadata(&place)?.is_file().then_some(place))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn names_are_plain() {
        for name in ["a.jpg", "ö", "a b", "a..b", "-"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", ".", "..", ".git", ".env", "a/b", "a\\b", "a\0", "a\n"] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn only_plain_files_of_the_folder_are_found() {
        let top = std::env::temp_dir().join(format!("imgflo-served-{}", std::process::id()));
        let files = top.join(".data/files");
        fs::create_dir_all(files.join("sub/.git")).unwrap();
        for file in ["a.png", "sub/b.png", ".env", "sub/.git/config", "../secret", ".x.png"] {
            fs::write(files.join(file), "x").unwrap();
        }
        for (link, to) in [
            ("in.png", files.join("a.png")),
            ("twin", files.join("sub")),
            ("out.png", top.join(".data/secret")),
            ("up", top.clone()),
            ("shown.png", files.join(".x.png")),
            ("git", files.join("sub/.git")),
            ("nowhere.png", files.join("none.png")),
        ] {
            symlink(to, files.join(link)).unwrap();
        }
        let found = |path: &str| find(&files, path).unwrap().map(|file| fs::read(file).unwrap());
        // A hidden folder above the folder itself hides nothing.
        for path in ["a.png", "sub/b.png", "in.png", "twin/b.png"] {
            assert!(found(path).is_some(), "{path}");
        }
        let absolute = files.join("a.png").display().to_string();
        let long = "a".repeat(5000);
        for path in [
            ".env",
            ".x.png",
            "sub/.git/config",
            "git/config",
            "shown.png",
            "out.png",
            "up/secret",
            "nowhere.png",
            "sub",
            "",
            "none.png",
            "a.png/x",
            "../secret",
            "./a.png",
            "sub//b.png",
            &absolute,
            &long,
        ] {
            assert!(found(path).is_none(), "{path}");
        }
        assert!(locate(&files, "sub").unwrap().is_some());
        assert!(locate(&files, "git").unwrap().is_none());
        fs::remove_dir_all(top).unwrap();
        assert!(find(&files, "a.png").is_err(), "there is no folder");
    }
}
