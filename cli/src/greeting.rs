//! The lines with which `imgflo serve` tells where it is and what to try.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use imgflo_ops::codec::FileFormat;
use imgflo_runtime::Library;

use crate::health::reachable;
use crate::settings::Settings;

/// The picture and the graph to try, where they are there.
const PICTURE: &str = "marbles.jpg";
const GRAPH: &str = "sunset";

/// Tells where the server is. `closed`: requests need an application. Goes on when the pipe is
/// closed.
pub fn greet(bind: SocketAddr, settings: &Settings, library: &Library, closed: bool) {
    let all = if bind.ip().is_unspecified() { " on all addresses of this machine" } else { "" };
    let local = format!("http://{}/", reachable(bind));
    let mut lines = format!("imgflo serves {local}{all}\n");
    let base = settings.public_url.as_ref().map_or(local, |url| with_slash(url.as_str()));
    if let Some(request) = sample(&base, settings, library, closed) {
        lines += &format!("try           {request}\n");
    }
    let mut out = std::io::stdout();
    let _ = out.write_all(lines.as_bytes()).and_then(|()| out.flush());
}

fn with_slash(url: &str) -> String {
    format!("{}/", url.trim_end_matches('/'))
}

/// Returns the address of a sample below `base`, signed where that is needed and can be done.
fn sample(base: &str, settings: &Settings, library: &Library, closed: bool) -> Option<String> {
    let picture = picture(&settings.files)?;
    let takes_input = || library.iter().find(|graph| graph.takes_input()).cloned();
    let graph = library.get(GRAPH).filter(|graph| graph.takes_input()).or_else(takes_input)?;
    let (graph, input) = (graph.name(), format!("files/{picture}"));
    if !closed {
        return Some(format!("{base}graph/{graph}?input={}&width=800", input.replace(' ', "%20")));
    }
    let application = settings.applications.iter().min_by_key(|application| application.admin);
    let Some(application) = application else {
        return Some(format!(
            "imgflo url {graph} --input '{input}' -p width=800 --server {base} --key KEY --secret SECRET"
        ));
    };
    let parameters = [("input".to_owned(), input), ("width".to_owned(), "800".to_owned())].into();
    let (key, secret) = (Some(application.key.as_str()), application.secret.as_deref());
    imgflo_job::url::build(base, key, secret, graph, &parameters, None).ok()
}

/// Returns the name of a picture in a folder: the usual sample, or else the first by name.
fn picture(folder: &Path) -> Option<String> {
    if folder.join(PICTURE).is_file() {
        return Some(PICTURE.to_owned());
    }
    let is_picture = |name: &String| {
        let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_lowercase());
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ' '));
        plain && !name.starts_with('.') && extension.is_some_and(|e| FileFormat::from_extension(&e).is_some())
    };
    let names = fs::read_dir(folder).ok()?.flatten().filter(|entry| entry.path().is_file());
    names.filter_map(|entry| entry.file_name().into_string().ok()).filter(is_picture).min()
}
