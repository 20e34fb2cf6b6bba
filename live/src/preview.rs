//! `GET /process`: the picture of a process, of the graph as it is when it is asked for.
//!
//! A draft is quick, an exact one what a request for the graph would get. An edit stops work on what it made old, and
//! the picture is begun anew; when edits keep coming, one is finished now and then all the same, so that a knob that is
//! turned can be followed.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::response::Response;
use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use imgflo_fbp::End;
use imgflo_runtime::ops::codec::{self, EncodeOptions, FileFormat};
use imgflo_runtime::ops::{Cancel, Image, Pixels, Rect};
use imgflo_runtime::{Arguments, Control, EvaluateError, Look};
use lru::LruCache;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::Level;
use crate::connection::is_ours;
use crate::live_graph::Part;
use crate::workspace::Workspace;

/// Time after which a draft, and an exact picture, that is begun is finished though edits go on.
const DRAFT_PATIENCE: Duration = Duration::from_millis(25);
const EXACT_PATIENCE: Duration = Duration::from_secs(2);
/// Finished files that are kept.
const KEPT: NonZeroUsize = NonZeroUsize::new(32).unwrap();
/// Largest file that is kept, bytes.
const LARGEST_KEPT: usize = 1 << 20;
/// Quality of JPEG and WebP.
const QUALITY: u8 = 85;

/// Who makes pictures at a time, and those that were made last.
pub(crate) struct Pictures {
    drafts: Arc<Semaphore>,
    exact: Arc<Semaphore>,
    kept: Mutex<LruCache<String, Bytes>>,
}

impl Pictures {
    pub fn new(threads: usize) -> Self {
        // Drafts do not wait for exact ones.
        let drafts = Arc::new(Semaphore::new(threads.max(1)));
        Pictures { drafts, exact: Arc::new(Semaphore::new(1)), kept: Mutex::new(LruCache::new(KEPT)) }
    }
}

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
    ticket: Option<String>,
    secret: Option<String>,
}

/// Why there is no picture.
struct Refused {
    status: StatusCode,
    node: Option<String>,
    message: String,
}

fn refused(status: StatusCode, message: impl Into<String>) -> Refused {
    Refused { status, node: None, message: message.into() }
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

fn problem(error: &Refused) -> Response {
    let mut body = json!({ "title": error.status.canonical_reason().unwrap_or_default(), "status": error.status.as_u16(),
        "detail": error.message });
    if let Some(node) = &error.node {
        body["node"] = node.as_str().into();
    }
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = error.status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
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
    let draft = match asked.draft {
        None | Some(0) => false,
        Some(1) => true,
        Some(_) => return Err(refused(StatusCode::BAD_REQUEST, "'draft' must be 0 or 1")),
    };
    let accepted = Accepted::of(headers);
    let known = headers.get(IF_NONE_MATCH).and_then(|tag| tag.to_str().ok());
    let deadline = Instant::now() + workspace.parts.limits.picture;
    let patience = Instant::now() + if draft { DRAFT_PATIENCE } else { EXACT_PATIENCE };
    loop {
        let (part, mut changed) = part(workspace, asked)?;
        let making = make(workspace, &part, look, draft, accepted, known);
        // Nobody waits for it any more, or it is old: it stops.
        let stop = Stop(Cancel::with_deadline(deadline.into_std()));
        let control = Control { cancel: stop.0.clone(), progress: None };
        let graph = asked.graph.clone().or_else(|| workspace.state().main.clone()).unwrap_or_default();
        let _busy = Busy::new(workspace, &graph);
        let mut making = std::pin::pin!(making(control));
        let newer = async {
            // Whoever waits longest gets a picture that may be old.
            if changed.wait_for(|version| *version > part.version).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            made = &mut making => return made,
            // What is done by now is remembered.
            () = newer, if Instant::now() < patience => {}
        }
    }
}

/// Stops work when it is dropped.
struct Stop(Cancel);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.cancel();
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

/// The part of the graph that is asked for, and what says that it changed.
fn part(workspace: &Workspace, asked: &Asked) -> Result<(Part, tokio::sync::watch::Receiver<u64>), Refused> {
    let bad = |message: String| refused(StatusCode::BAD_REQUEST, message);
    let library = workspace.library();
    let mut state = workspace.state();
    let id = asked.graph.clone().or_else(|| state.main.clone()).unwrap_or_default();
    let live = state.graph(&id).map_err(|_| bad("'graph' not specified or wrong".into()))?;
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
    Ok((live.behind(&end, &library), live.changed.subscribe()))
}

/// What makes the picture of a part, once it is told how to stop.
fn make<'a>(
    workspace: &'a Arc<Workspace>,
    part: &'a Part,
    look: Look,
    draft: bool,
    accepted: Accepted,
    known: Option<&'a str>,
) -> impl FnOnce(Control) -> futures::future::BoxFuture<'a, Result<Response, Refused>> {
    move |control| {
        Box::pin(async move {
            let unmade = |(node, message)| Refused { status: StatusCode::UNPROCESSABLE_ENTITY, node, message };
            let library = workspace.library();
            let graph = workspace.assemble(part, &library).map_err(unmade)?;
            let input = workspace.input(part, &graph).await;
            let input = input.map_err(|message| refused(StatusCode::BAD_GATEWAY, message))?;
            let arguments = Arguments::default();
            let evaluator = Arc::clone(&workspace.parts.evaluator);
            let key = format!("{} {look:?} {draft} {accepted:?}", evaluator.key(&graph, &arguments, input.as_ref()));
            let tag = format!("\"{}\"", hex::encode(&key_hash(&key)[..12]));
            if known == Some(tag.as_str()) {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                return Ok(tagged(response, &tag));
            }
            let pictures = &workspace.pictures;
            let kept = pictures.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
            let bytes = match kept {
                Some(bytes) => bytes,
                None => {
                    let turns = if draft { &pictures.drafts } else { &pictures.exact };
                    let turn = Arc::clone(turns).acquire_owned().await;
                    let bytes = tokio::task::spawn_blocking(move || {
                        // It ends with the work, not with those who wait for it.
                        let _turn = turn;
                        let see =
                            if draft { imgflo_runtime::Evaluator::draft } else { imgflo_runtime::Evaluator::exact };
                        let seen = see(&evaluator, &graph, &arguments, input.as_ref(), look, &control)?;
                        let format = accepted.format(!is_opaque(&seen.image));
                        let bytes = codec::encode(&seen.image, EncodeOptions::new(format, QUALITY), &control.cancel)?;
                        Ok::<_, EvaluateError>(Bytes::from(bytes))
                    });
                    let bytes =
                        bytes.await.map_err(|error| internal(&error.to_string()))?.map_err(|error| failed(&error))?;
                    if bytes.len() <= LARGEST_KEPT {
                        pictures.kept.lock().unwrap_or_else(PoisonError::into_inner).put(key, bytes.clone());
                    }
                    bytes
                }
            };
            let media_type = FileFormat::sniff(&bytes).map_or("application/octet-stream", FileFormat::media_type);
            let mut response = Response::new(Body::from(bytes));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
            Ok(tagged(response, &tag))
        })
    }
}

/// True when no pixel lets anything through.
fn is_opaque(image: &Image) -> bool {
    match image.pixels() {
        Pixels::Rgb8(_) => true,
        Pixels::Rgba8(pixels) => pixels.iter().all(|pixel| pixel[3] == u8::MAX),
        Pixels::Float(_) => !image.format().has_alpha(),
    }
}

fn key_hash(key: &str) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(key).into()
}

fn tagged(mut response: Response, tag: &str) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(tag) {
        headers.insert(ETAG, tag);
    }
    headers.insert("vary", HeaderValue::from_static("accept"));
    response
}

fn internal(message: &str) -> Refused {
    tracing::error!(message, "a picture failed");
    refused(StatusCode::INTERNAL_SERVER_ERROR, "the picture could not be made")
}

fn failed(error: &EvaluateError) -> Refused {
    use imgflo_runtime::{PlanError, RenderErrorKind};
    let status = match error {
        EvaluateError::Plan(PlanError::Internal { .. }) => return internal(&error.to_string()),
        EvaluateError::Render(render) => match render.kind {
            RenderErrorKind::Internal(_) | RenderErrorKind::Input { .. } => return internal(&error.to_string()),
            RenderErrorKind::OutOfMemory { .. } | RenderErrorKind::Cancelled => StatusCode::SERVICE_UNAVAILABLE,
            RenderErrorKind::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            RenderErrorKind::Invalid(_) | RenderErrorKind::Failed(_) => StatusCode::UNPROCESSABLE_ENTITY,
        },
        EvaluateError::Input(_) | EvaluateError::Plan(_) => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Refused { status, node: error.node().map(str::to_owned), message: error.to_string() }
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
