//! Operations that graphs may not use.

/// Why the operation of that name is not offered; `None` where it is.
///
/// A graph's pictures come in and go out by its ports. What reads or writes files, opens devices or
/// windows, runs graphs that nobody checked, or works on pointers of the host's has no place in it.
pub fn denied(name: &str) -> Option<&'static str> {
    let operation = name.split_once(':').map_or(name, |(_, operation)| operation);
    match operation {
        "load" | "save" | "layer" | "open-buffer" | "gegl-buffer-load" | "gegl-buffer-save" | "lcms-from-profile" => {
            Some("reads or writes files")
        }
        _ if operation.ends_with("-load") || operation.ends_with("-save") => Some("reads or writes files"),
        "display" | "sdl2-display" => Some("opens a window"),
        "v4l" | "v4l2" => Some("reads a camera"),
        "gegl" | "introspect" => Some("runs a graph that is given as text"),
        "buffer-sink" | "buffer-source" | "write-buffer" | "copy-buffer" | "pixbuf" | "save-pixbuf" => {
            Some("works on memory of the host's")
        }
        "cast-format" | "convert-format" | "cast-space" | "convert-space" | "cache" => {
            Some("takes objects of the host's, or changes how pixels are kept, not what they are")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_devices_are_denied() {
        for name in ["gegl:load", "gegl:ff-load", "gegl:magick-load", "gegl:png-save", "gegl:v4l", "gegl:gegl"] {
            assert!(denied(name).is_some(), "{name}");
        }
        for name in ["gegl:crop", "svg:src-over", "gegl:text"] {
            assert_eq!(denied(name), None, "{name}");
        }
    }
}
