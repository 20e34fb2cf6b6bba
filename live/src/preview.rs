//! `GET /process`: the picture of a process, of the graph as it is when it is asked for.
//!
//! A draft is quick, an exact one what a request for the graph would get. An edit stops work on an exact picture that
//! it made old. An editor that was told the address gets a draft then, since it goes on with the next picture only
//! when it has this one. For others the picture is begun anew; when edits keep coming, one is finished all the same.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::response::Response;
use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use imgflo_fbp::End;
use imgflo_runtime::ops::codec::{self, EncodeOptions, FileFormat};
use imgflo_runtime::ops::{Image, Pixels, Rect};
use imgflo_runtime::{Arguments, Control, Evaluator, Look};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::json;
use std::time::Instant;
use tokio::sync::watch;

use crate::Level;
use crate::connection::is_ours;
use crate::live_graph::Part;
use crate::pictures::Wanted;
use crate::refused::{Refused, failed, problem, refused};
use crate::workspace::Workspace;

/// Time after which an exact picture is finished though edits go on.
const PATIENCE: Duration = Duration::from_secs(2);
/// The header that tells a draft.
const DRAFT: &str = "imgflo-draft";
/// Quality of JPEG and WebP.
const QUALITY: u8 = 85;

/// What is asked for.
#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    graph: Option<String>,
    node: Option<String>,
    port: Option<String>,
    width: Option<u32>,
    height: Option<u32>,
    roi: Option<String>,
    draft: Option<u8>,
    /// The version of the graph that the address was told for.
    v: Option<String>,
    ticket: Option<String>,
    secret: Option<String>,
}

/// The address of a picture.
#[expect(clippy::too_many_arguments, reason = "each is one part of the address")]
pub(crate) fn address(
    base: &str,
    graph: &str,
    node: &str,
    port: &str,
    side: u32,
    version: u64,
    draft: bool,
    ticket: Option<&str>,
) -> String {
    let text = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let mut url = format!("{base}/process?graph={}&node={}", text(graph), text(node));
    if !port.is_empty() && port != "output" {
        url += &format!("&port={}", text(port));
    }
    url += &format!("&width={side}&height={side}&v={version}");
    if draft {
        url += "&draft=1";
    }
    if let Some(ticket) = ticket {
        url += &format!("&ticket={ticket}");
    }
    url
}

/// The formats that a client takes, as far as they matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Accepted {
    jpeg: bool,
    webp: bool,
}

impl Accepted {
    /// A client that names no other format gets PNG, as from the original.
    fn of(headers: &HeaderMap) -> Self {
        let named = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        let named = named.split(',').filter_map(|part| {
            let (kind, rest) = part.split_once(';').unwrap_or((part, ""));
            (!matches!(rest.trim().strip_prefix("q="), Some("0" | "0.0"))).then(|| kind.trim())
        });
        let named = named.collect::<Vec<_>>();
        let has = |kind: &str| named.contains(&kind);
        Accepted { jpeg: has("image/jpeg") || has("image/*"), webp: has("image/webp") }
    }

    /// JPEG where nothing is lost by it but a little quality.
    fn format(self, alpha: bool) -> FileFormat {
        match (alpha, self) {
            (false, Accepted { jpeg: true, .. }) => FileFormat::Jpeg,
            (_, Accepted { webp: true, .. }) => FileFormat::Webp,
            _ => FileFormat::Png,
        }
    }
}

pub(crate) async fn get(
    State(workspace): State<Arc<Workspace>>,
    asked: Result<Query<Asked>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let asked = match asked {
        Ok(Query(asked)) => asked,
        Err(error) => return problem(&refused(StatusCode::BAD_REQUEST, error.body_text())),
    };
    match picture(&workspace, &asked, &headers).await {
        Ok(response) => response,
        Err(error) => {
            tell(&workspace, &asked, &error);
            problem(&error)
        }
    }
}

/// Tells editors of a process that only the pixels showed to fail, such as code that crashed.
fn tell(workspace: &Workspace, asked: &Asked, error: &Refused) {
    let mut state = workspace.state();
    let id = asked.graph.clone().or_else(|| state.main.clone());
    let (Some(id), Some(node)) = (id, &error.node) else { return };
    let Ok(live) = state.graph(&id) else { return };
    if live.faults.insert(node.clone(), error.message.clone()).as_ref() != Some(&error.message) {
        let payload = json!({ "id": node, "error": error.message, "graph": id });
        state.tell(None, "network", "processerror", &payload);
    }
}

async fn picture(workspace: &Arc<Workspace>, asked: &Asked, headers: &HeaderMap) -> Result<Response, Refused> {
    let access = &workspace.parts.access;
    let secret = access.level(asked.secret.as_deref()) > access.open();
    // Where everybody may look, it is those who ask for this machine by its own name.
    let strange = access.open() >= Level::Read && !is_ours(workspace, headers);
    if strange && !secret {
        return Err(refused(StatusCode::FORBIDDEN, "not allowed: this runtime is not known by that name; set --url"));
    }
    if !secret && !access.may_look(asked.ticket.as_deref()) {
        return Err(refused(
            StatusCode::FORBIDDEN,
            "not allowed: ask for the address that the runtime tells, or give 'secret'",
        ));
    }
    let look = look(asked, workspace.parts.limits.side)?;
    let mut draft = match asked.draft {
        None | Some(0) => false,
        Some(1) => true,
        Some(_) => return Err(refused(StatusCode::BAD_REQUEST, "'draft' must be 0 or 1")),
    };
    let accepted = Accepted::of(headers);
    let known = headers.get(IF_NONE_MATCH).and_then(|tag| tag.to_str().ok());
    let patience = Instant::now() + PATIENCE;
    loop {
        let place = place(workspace, asked)?;
        let mut changed = place.changed.clone();
        let _busy = Busy::new(workspace, &place.graph);
        let (version, stays) = (place.part.version, draft);
        let newer = async {
            if stays || changed.wait_for(|now| *now > version).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let making = make(workspace, &place, look, draft, accepted, known);
        tokio::select! {
            made = making => {
                if let Some(response) = made? {
                    return Ok(response);
                }
            }
            () = newer, if asked.v.is_some() || Instant::now() < patience => draft = asked.v.is_some(),
        }
    }
}

/// Counts a picture that is being made.
struct Busy<'w> {
    workspace: &'w Workspace,
    graph: &'w str,
}

impl<'w> Busy<'w> {
    fn new(workspace: &'w Workspace, graph: &'w str) -> Self {
        if let Ok(live) = workspace.state().graph(graph) {
            live.busy += 1;
        }
        Busy { workspace, graph }
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        if let Ok(live) = self.workspace.state().graph(self.graph) {
            live.busy = live.busy.saturating_sub(1);
        }
    }
}

fn look(asked: &Asked, most: u32) -> Result<Look, Refused> {
    let side = |name: &str, side: Option<u32>| match side {
        Some(side) if side > most => {
            Err(refused(StatusCode::BAD_REQUEST, format!("{name} {side} is more than the limit of {most} pixels")))
        }
        side => Ok(side.filter(|side| *side > 0).unwrap_or(most)),
    };
    let window = asked.roi.as_deref().map(|roi| {
        let sides = roi.split(',').map(|side| side.trim().parse::<u32>().ok()).collect::<Option<Vec<_>>>();
        match sides.as_deref() {
            Some(&[x, y, width, height]) if width > 0 && height > 0 && x <= i32::MAX as u32 && y <= i32::MAX as u32 => {
                Ok(Rect::new(x as i32, y as i32, width, height))
            }
            _ => Err(refused(StatusCode::BAD_REQUEST, "'roi' must be x,y,width,height in whole pixels")),
        }
    });
    let (width, height) = (side("width", asked.width)?, side("height", asked.height)?);
    Ok(Look { width, height, window: window.transpose()? })
}

/// What is asked for, in a graph as it is now.
struct Place {
    /// The graph's id.
    graph: String,
    /// Names the graph, the process and its port.
    name: String,
    part: Part,
    /// Says that the graph changed.
    changed: watch::Receiver<u64>,
}

fn place(workspace: &Workspace, asked: &Asked) -> Result<Place, Refused> {
    let bad = |message: String| refused(StatusCode::BAD_REQUEST, message);
    let library = workspace.library();
    let mut state = workspace.state();
    let graph = asked.graph.clone().or_else(|| state.main.clone()).unwrap_or_default();
    let live = state.graph(&graph).map_err(|_| bad("'graph' not specified or wrong".into()))?;
    let end = match &asked.node {
        Some(node) => {
            if !live.graph.processes.contains_key(node) {
                return Err(bad("'node' not specified or wrong".into()));
            }
            live.shown_by(node).ok_or_else(|| bad(format!("nothing is connected to '{node}'")))?
        }
        None => {
            let export = live.graph.outports.get("output");
            let export =
                export.ok_or_else(|| bad("'node' not specified, and the graph has no outport 'output'".into()))?;
            End { process: export.process.clone(), port: export.port.clone(), index: None }
        }
    };
    let end = match &asked.port {
        Some(port) => End { port: live.graph.port_name(port).into_owned(), ..end },
        None => end,
    };
    let name = format!("{graph:?} {end:?}");
    Ok(Place { part: live.behind(&end, &library), changed: live.changed.subscribe(), graph, name })
}

/// Makes the picture of a place; `None` when an older one of it was being made.
async fn make(
    workspace: &Arc<Workspace>,
    place: &Place,
    look: Look,
    draft: bool,
    accepted: Accepted,
    known: Option<&str>,
) -> Result<Option<Response>, Refused> {
    let part = &place.part;
    let unmade = |(node, message)| Refused { status: StatusCode::UNPROCESSABLE_ENTITY, node, message };
    let library = workspace.library();
    let graph = workspace.assemble(part, &library).map_err(unmade)?;
    let input = workspace.input(part, &graph).await;
    let input = input.map_err(|message| refused(StatusCode::BAD_GATEWAY, message))?;
    let arguments = Arguments::default();
    let evaluator = Arc::clone(&workspace.parts.evaluator);
    let view = format!("{look:?} {draft} {accepted:?}");
    let key = format!("{} {view}", evaluator.key(&graph, &arguments, input.as_ref()));
    let tag = tag(&key);
    if known == Some(tag.as_str()) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(Some(tagged(response, &tag, draft)));
    }
    let limit = workspace.parts.limits.picture;
    let wanted = Wanted { key, lane: format!("{} {view}", place.name), draft, limit };
    let work = move |control: &Control| {
        let see = if draft { Evaluator::draft } else { Evaluator::exact };
        let seen =
            see(&evaluator, &graph, &arguments, input.as_ref(), look, control).map_err(|error| failed(&error))?;
        let format = accepted.format(!is_opaque(&seen.image));
        let bytes = codec::encode(&seen.image, EncodeOptions::new(format, QUALITY), &control.cancel);
        Ok(Bytes::from(bytes.map_err(|error| failed(&error.into()))?))
    };
    let Some(bytes) = workspace.pictures.get(wanted, work).await else { return Ok(None) };
    let bytes = bytes?;
    let media_type = FileFormat::sniff(&bytes).map_or("application/octet-stream", FileFormat::media_type);
    let mut response = Response::new(Body::from(bytes));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    Ok(Some(tagged(response, &tag, draft)))
}

/// True when no pixel lets anything through.
fn is_opaque(image: &Image) -> bool {
    match image.pixels() {
        Pixels::Rgb8(_) => true,
        Pixels::Rgba8(pixels) => pixels.iter().all(|pixel| pixel[3] == u8::MAX),
        Pixels::Float(_) => !image.format().has_alpha(),
    }
}

/// The entity tag of the file of that key.
fn tag(key: &str) -> String {
    use sha2::Digest;
    format!("\"{}\"", hex::encode(&sha2::Sha256::digest(key)[..12]))
}

fn tagged(mut response: Response, tag: &str, draft: bool) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(tag) {
        headers.insert(ETAG, tag);
    }
    if draft {
        headers.insert(DRAFT, HeaderValue::from_static("true"));
    }
    headers.insert("vary", HeaderValue::from_static("accept"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_gets_what_it_takes() {
        let accepted =
            |text: &'static str| Accepted::of(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(text))]));
        let browser = accepted("image/avif,image/webp,image/apng,image/*,*/*;q=0.8");
        assert_eq!([browser.format(false), browser.format(true)], [FileFormat::Jpeg, FileFormat::Webp]);
        for any in ["*/*", "image/png", "image/jpeg;q=0", ""] {
            assert_eq!([accepted(any).format(false), accepted(any).format(true)], [FileFormat::Png; 2], "{any}");
        }
        assert_eq!(Accepted::of(&HeaderMap::new()).format(false), FileFormat::Png);
    }

    #[test]
    fn an_address_holds_all_names() {
        let url = address("http://h:1", "default/main", "a b&c", "output", 300, 7, true, Some("t"));
        assert_eq!(
            url,
            "http://h:1/process?graph=default%2Fmain&node=a%20b%26c&width=300&height=300&v=7&draft=1&ticket=t"
        );
        assert!(address("", "g", "n", "aux", 1, 1, false, None).ends_with("&port=aux&width=1&height=1&v=1"));
    }
}
