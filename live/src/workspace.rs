//! The graphs that are edited, and who is told of what.
//!
//! One lock holds graphs and clients. An edit is applied and told under it, so all clients hear of all edits in the
//! order in which they were applied. Nothing slow is done under it: pictures, files and compilers have none.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use imgflo_fbp::{Graph, PortRef, protocol};
use imgflo_runtime::ops::codec::DecodeLimits;
use imgflo_runtime::{Evaluator, ImageGraph, InputFile, Library, LibraryLimits, LiveOperations};
use indexmap::IndexMap;
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::announce;
use crate::components;
use crate::drafts::{Draft, Drafts};
use crate::inputs::{Fetch, Inputs};
use crate::live_graph::{LiveGraph, Part};
use crate::lock::lock;
use crate::pictures::Pictures;
use crate::private::Private;
use crate::watch;
use crate::{Access, Level, LiveLimits};

/// Saves a graph under a name in the place of a file with that content, or of any; the content of the file that it is
/// in then. Says why it cannot be saved.
pub type Save = Box<dyn Fn(&str, &Graph, Option<&str>) -> Result<String, String> + Send + Sync>;

/// Returns the content of the file of the graph with that name. `None` = there is no such file.
pub type ReadContent = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;
/// Saves the source of the operation in C with that name, or says why it cannot be saved.
pub type SaveSource = Box<dyn Fn(&str, &str) -> Result<(), String> + Send + Sync>;

/// Interval at which what is not saved is written to the drafts.
const KEEP: Duration = Duration::from_secs(1);

/// Version of the protocol of clients that ask for no sub-protocol, such as those of the original.
pub(crate) const OLDEST: &str = "0.4";
/// Version of clients that ask for the sub-protocol.
pub(crate) const WITH_SUBPROTOCOL: &str = "0.7";
/// Version of clients that send ids of requests.
pub(crate) const NEWEST: &str = "0.8";

/// The id of the graph that the runtime was started with.
const MAIN: &str = "default/main";

/// The graph that a runtime begins with.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    /// The graph.
    pub graph: Graph,
    /// The name that it is saved under; `None` for a new graph, which is saved once something is drawn.
    pub name: Option<String>,
    /// True when the folder of graphs has it under that name; else it is saved though nobody edited it.
    pub is_saved: bool,
}

/// What a runtime is made of.
pub struct Parts {
    /// Makes pictures.
    pub evaluator: Arc<Evaluator>,
    /// What graphs can be made of.
    pub library: Arc<Library>,
    /// Limits of the graphs that pictures are made of.
    pub library_limits: LibraryLimits,
    /// Fetches inputs.
    pub fetch: Fetch,
    /// Limits of inputs.
    pub decode: DecodeLimits,
    /// Saves graphs.
    pub save: Save,
    /// Tells the content of a saved graph from others; `None` where there is none of that name.
    pub content: ReadContent,
    /// Saves the source of an operation in C beside the graphs.
    pub save_source: SaveSource,
    /// Folder of what is not saved yet; `None` where that is not kept.
    pub drafts: Option<PathBuf>,
    /// Is called when an operation in C was written.
    pub revised: Box<dyn Fn() + Send + Sync>,
    /// Takes operations in C; none where they may not be written.
    pub operations: Option<Arc<LiveOperations>>,
    /// Folder with sources of operations in C.
    pub ops: Option<PathBuf>,
    /// Folder of graphs.
    pub graphs: PathBuf,
    /// Who may do what.
    pub access: Access,
    /// What strangers may take.
    pub limits: LiveLimits,
    /// Origins of pages (`https://app.example.org`) that may connect without a secret, beside those on this machine.
    pub origins: Vec<String>,
    /// The address that clients see, `http://host:port`; without it, the one they ask.
    pub public_url: Option<String>,
    /// Address of the editor that the page links to.
    pub ide: String,
    /// Tells this runtime from others.
    pub id: Uuid,
    /// Name for people.
    pub label: String,
    /// The graph to begin with.
    pub main: Option<Opened>,
    /// Address of the picture that goes into graphs which were given none.
    pub input: Option<String>,
    /// Threads that make pictures.
    pub threads: usize,
}

/// Who sent a request.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    pub client: u64,
    /// The request's id.
    pub request: Option<String>,
    pub level: Level,
    /// The newest version of the protocol that client and runtime speak.
    pub version: &'static str,
}

/// Messages on their way to a client, and how many bytes they are.
#[derive(Debug)]
pub(crate) struct Outbox {
    pub messages: mpsc::UnboundedReceiver<String>,
    pub bytes: Arc<AtomicUsize>,
    /// Ends the connection.
    pub end: CancellationToken,
}

struct Client {
    level: Level,
    sender: mpsc::UnboundedSender<String>,
    bytes: Arc<AtomicUsize>,
    end: CancellationToken,
    /// What its addresses of pictures begin with.
    base: String,
    /// The newest version of the protocol that it is known to speak.
    version: &'static str,
    /// The edges it looks at, by graph; all of a graph where it said nothing.
    edges: BTreeMap<String, HashSet<(PortRef, PortRef)>>,
}

/// What is under the lock.
pub(crate) struct State {
    pub graphs: IndexMap<String, LiveGraph>,
    pub main: Option<String>,
    clients: BTreeMap<u64, Client>,
    clock: u64,
    waiting_bytes: usize,
}

/// What became of the components.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    /// Names of those that are new or others.
    pub others: Vec<String>,
    /// True if there are some no longer.
    pub are_gone: bool,
}

/// A runtime: the graphs that are edited, and their editors.
pub struct Workspace {
    pub(crate) parts: Parts,
    /// Paths that no editor is told.
    pub(crate) private: Private,
    pub(crate) inputs: Inputs,
    pub(crate) pictures: Pictures,
    /// Sources of operations in C that were written here, by name.
    pub(crate) written: Mutex<BTreeMap<String, String>>,
    /// Those of them that are not saved.
    pub(crate) unsaved: Mutex<BTreeMap<String, String>>,
    drafts: Option<Drafts>,
    /// Work that is done at a time: what a client writes is compiled and saved one after another.
    pub(crate) writing: Semaphore,
    /// Pictures that pages send at a time.
    pub(crate) uploading: Semaphore,
    library: RwLock<Arc<Library>>,
    /// The components that can change, by name, each as a text that changes with it.
    known: Mutex<BTreeMap<String, String>>,
    state: Mutex<State>,
    ended: CancellationToken,
}

impl Drop for Workspace {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

impl Workspace {
    /// A runtime without clients. Its first graph is started.
    ///
    /// Must be called within a tokio runtime.
    pub fn new(mut parts: Parts) -> Arc<Workspace> {
        let fetch = std::mem::replace(&mut parts.fetch, Box::new(|_| Box::pin(async { Err("taken".into()) })));
        let inputs = Inputs::new(fetch, parts.decode, parts.limits.input_bytes);
        let main = parts.main.take();
        let drafts = parts.drafts.as_ref().and_then(|folder| {
            let failed =
                |error: &std::io::Error| tracing::warn!(%error, folder = %folder.display(), "no drafts are kept");
            Drafts::open(folder).inspect_err(failed).ok()
        });
        let Parts { graphs, ops, drafts: unsaved, .. } = &parts;
        let folders = [Some(graphs), ops.as_ref(), unsaved.as_ref()].into_iter().flatten();
        // That of drafts is in the data folder.
        let data = unsaved.as_ref().and_then(|folder| folder.parent());
        let private = Private::new(folders.map(PathBuf::as_path).chain(data));
        let state = State {
            graphs: IndexMap::new(),
            main: None,
            clients: BTreeMap::new(),
            clock: 0,
            waiting_bytes: parts.limits.waiting_bytes,
        };
        let workspace = Arc::new(Workspace {
            private,
            inputs,
            pictures: Pictures::new(parts.threads),
            written: Mutex::default(),
            unsaved: Mutex::default(),
            drafts,
            writing: Semaphore::new(1),
            uploading: Semaphore::new(4),
            known: Mutex::new(components::known(&parts.library)),
            library: RwLock::new(Arc::clone(&parts.library)),
            state: Mutex::new(state),
            ended: CancellationToken::new(),
            parts,
        });
        if let Some(Opened { graph, name, is_saved }) = main {
            let mut state = workspace.state();
            let version = state.tick();
            let mut live = LiveGraph::new(graph, name, version);
            live.saved = if is_saved { version } else { 0 };
            live.over = live.file.as_deref().filter(|_| is_saved).and_then(|name| (workspace.parts.content)(name));
            live.started = Some(std::time::SystemTime::now());
            state.main = Some(MAIN.into());
            let processes = live.graph.processes.keys().cloned().collect::<Vec<_>>();
            live.mark(processes, &workspace.library(), workspace.parts.limits.edits.name_bytes);
            workspace.insert(&mut state, MAIN.into(), live);
        }
        workspace.restore();
        workspace.keep_on();
        if let Err(error) = watch::run(Arc::downgrade(&workspace), workspace.ended.clone()) {
            tracing::error!(%error, "the folders of graphs and operations are not watched");
        }
        workspace
    }

    /// Puts what was not saved in the place of what is, and goes on with it.
    fn restore(self: &Arc<Self>) {
        let (graphs, sources) = self.drafts.as_ref().map(Drafts::read).unwrap_or_default();
        for (name, code) in sources {
            let revised = match &self.parts.operations {
                Some(operations) => operations
                    .revise(&name, &code)
                    .map(|_| ())
                    .map_err(|messages| messages.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
                None => Err("operations cannot be written here".to_owned()),
            };
            match revised {
                Ok(()) => drop(lock(&self.written).insert(name.clone(), code.clone())),
                Err(error) => tracing::warn!(name, error, "a draft of an operation is not in force"),
            }
            // It stays a draft either way.
            lock(&self.unsaved).insert(name, code);
        }
        if let Err(error) = self.reload() {
            tracing::warn!(error, "the graphs cannot be read again");
        }
        for draft in graphs {
            let Draft { id: former, file, over, main, graph } = draft.clone();
            let mut state = self.state();
            let version = state.tick();
            let mut live = LiveGraph::new(graph, file, version);
            (live.saved, live.over) = (0, over);
            let mut id = former.clone();
            if let Some(opened) = state.graphs.get(&id)
                && opened.file != live.file
            {
                // The runtime was started with another graph.
                id = format!("{id}-{}", live.file.as_deref().unwrap_or("draft"));
                if let Some(drafts) = &self.drafts {
                    let moved = drafts.write(&Draft { id: id.clone(), ..draft }, version);
                    if let Err(error) = moved.and_then(|()| drafts.remove(&former)) {
                        tracing::warn!(%error, "drafts cannot be written");
                    }
                }
            }
            if state.main.as_ref() == Some(&id) || (main && state.main.is_none()) {
                live.started = Some(std::time::SystemTime::now());
                state.main = Some(id.clone());
            }
            tracing::info!(graph = id, "what was drawn and not saved is there again");
            self.insert(&mut state, id, live);
        }
    }

    /// Keeps drafts up to date until the runtime is gone.
    fn keep_on(self: &Arc<Self>) {
        let (workspace, ended) = (Arc::downgrade(self), self.ended.clone());
        if self.drafts.is_none() {
            return;
        }
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = ended.cancelled() => return,
                    () = tokio::time::sleep(KEEP) => {}
                }
                let Some(workspace) = workspace.upgrade() else { return };
                let _ = tokio::task::spawn_blocking(move || workspace.keep()).await;
            }
        });
    }

    /// Writes what was edited and is not saved to the drafts, and removes what is saved by now. Blocks while files are
    /// written.
    pub(crate) fn keep(&self) {
        let Some(drafts) = &self.drafts else { return };
        let (mut edited, mut saved) = (Vec::new(), Vec::new());
        {
            let state = self.state();
            for (id, live) in &state.graphs {
                if !live.is_to_save() {
                    saved.push(id.clone());
                } else if !drafts.holds(id, live.edited) {
                    let (id, file, over) = (id.clone(), live.file.clone(), live.over.clone());
                    let main = state.main.as_ref() == Some(&id);
                    edited.push((Draft { id, file, over, main, graph: live.graph.clone() }, live.edited));
                }
            }
        }
        let unsaved = lock(&self.unsaved).clone();
        let written = edited.iter().map(|(draft, edited)| drafts.write(draft, *edited));
        let removed = saved.iter().map(|id| drafts.remove(id));
        let faults = written.chain(removed).chain([drafts.keep_sources(&unsaved)]).filter_map(Result::err);
        for error in faults.take(1) {
            tracing::warn!(%error, "drafts cannot be written");
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What graphs can be made of.
    pub fn library(&self) -> Arc<Library> {
        Arc::clone(&self.library.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes what is in the folders now. What is shown anywhere may be another picture then.
    pub(crate) fn reload(&self) -> Result<Changed, String> {
        // One after another, or an older look would take the place of a newer one.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let library = Arc::new(self.library().reload().map_err(|error| error.to_string())?);
        let now = components::known(&library);
        let others = now.iter().filter(|(name, text)| known.get(*name) != Some(*text));
        let others = others.map(|(name, _)| name.clone()).collect();
        let changed = Changed { others, are_gone: known.keys().any(|name| !now.contains_key(name)) };
        *known = now;
        *self.library.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&library);
        drop(known);
        let mut state = self.state();
        let version = state.tick();
        let mut marks = Vec::new();
        for (id, live) in &mut state.graphs {
            live.touch(version);
            let processes = live.graph.processes.keys().cloned().collect::<Vec<_>>();
            marks.push((id.clone(), live.mark(processes, &library, self.parts.limits.edits.name_bytes)));
        }
        marks.into_iter().for_each(|(id, marks)| state.tell_marks(&id, marks));
        Ok(changed)
    }

    /// Tells all editors of components that changed, but for one that is told of otherwise. The protocol has no message
    /// for a component that is gone: all get the list anew, which ends with the number of components.
    pub(crate) fn tell_changed(&self, changed: &Changed, except: Option<&str>) {
        let library = self.library();
        let payloads: Vec<Value> = if changed.are_gone {
            components::list(&library)
        } else {
            let others = changed.others.iter().filter(|name| except != Some(name.as_str()));
            others.filter_map(|name| components::describe(name, &library)).collect()
        };
        let mut state = self.state();
        payloads.iter().for_each(|payload| state.tell(None, "component", "component", payload));
        if changed.are_gone {
            state.tell(None, "component", "componentsready", &payloads.len().into());
        }
    }

    /// Adds a graph, with somebody who tells of its pictures.
    pub(crate) fn insert(self: &Arc<Self>, state: &mut State, id: String, graph: LiveGraph) {
        let wake = Arc::clone(&graph.wake);
        wake.notify_one();
        state.graphs.insert(id.clone(), graph);
        let (workspace, ended) = (Arc::downgrade(self), self.ended.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = announce::run(workspace, id, wake) => {}
                () = ended.cancelled() => {}
            }
        });
    }

    /// Adds a client whose addresses of pictures begin with `base`; none when there are too many.
    pub(crate) fn join(&self, level: Level, base: String, version: &'static str) -> Option<(u64, Outbox)> {
        let mut state = self.state();
        if state.clients.len() >= self.parts.limits.clients {
            return None;
        }
        let id = state.tick();
        let (sender, messages) = mpsc::unbounded_channel();
        let (bytes, end) = (Arc::<AtomicUsize>::default(), CancellationToken::new());
        let client = Client {
            level,
            sender,
            bytes: Arc::clone(&bytes),
            end: end.clone(),
            base,
            version,
            edges: BTreeMap::new(),
        };
        state.clients.insert(id, client);
        Some((id, Outbox { messages, bytes, end }))
    }

    pub(crate) fn leave(&self, client: u64) {
        self.state().clients.remove(&client);
    }

    /// How many clients there are.
    pub fn clients(&self) -> usize {
        self.state().clients.len()
    }

    /// The graph of that id as it is now.
    pub fn graph(&self, id: &str) -> Option<Graph> {
        self.state().graphs.get(id).map(|live| live.graph.clone())
    }

    /// The picture that goes into the graph of a part: its own, or that of graphs which were given none.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub(crate) async fn input(&self, part: &Part, graph: &ImageGraph) -> Result<Option<InputFile>, String> {
        match part.input.as_ref().or(self.parts.input.as_ref()).filter(|_| graph.takes_input()) {
            Some(address) => {
                self.inputs.get(address).await.map(Some).map_err(|message| format!("the input: {message}"))
            }
            None => Ok(None),
        }
    }

    /// The image graph of a part.
    ///
    /// # Errors
    /// The first fault: the process it is in, and what is wrong.
    pub(crate) fn assemble(&self, part: &Part, library: &Library) -> Result<ImageGraph, (Option<String>, String)> {
        let graph = part.graph.clone();
        library.assemble("live", graph, &self.parts.library_limits).map_err(|faults| {
            let Some(fault) = faults.first() else { return (None, "cannot be made".to_owned()) };
            (fault.process(&part.graph).map(str::to_owned), fault.told(&part.graph))
        })
    }
}

impl State {
    /// A number larger than all before.
    pub fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// The graph of that id.
    ///
    /// # Errors
    /// What the protocol says where there is none.
    pub fn graph(&mut self, id: &str) -> Result<&mut LiveGraph, String> {
        self.graphs.get_mut(id).ok_or_else(|| "Requested graph not found".into())
    }

    /// Notes what a client has shown that it may do.
    pub fn raise(&mut self, client: u64, level: Level) {
        if let Some(client) = self.clients.get_mut(&client) {
            client.level = client.level.max(level);
        }
    }

    /// The newest version of the protocol that a client is known to speak, after a message of it that has the id of a
    /// request or none: such ids came with the newest.
    pub fn version(&mut self, client: u64, has_id: bool) -> &'static str {
        let Some(client) = self.clients.get_mut(&client) else { return OLDEST };
        if has_id {
            client.version = NEWEST;
        }
        client.version
    }

    /// Answers a request to who sent it.
    pub fn answer(&mut self, asker: &Asker, protocol: &str, command: &str, payload: &Value) {
        let text = protocol::message(protocol, command, payload, asker.request.as_deref());
        self.send(asker.client, text);
    }

    /// Tells all clients that may look; to who asked for it, it is the answer.
    pub fn tell(&mut self, asker: Option<&Asker>, protocol: &str, command: &str, payload: &Value) {
        let text = protocol::message(protocol, command, payload, None);
        let clients = self.clients.iter().filter(|(_, client)| client.level >= least(protocol));
        for client in clients.map(|(id, _)| *id).collect::<Vec<_>>() {
            match asker.filter(|asker| asker.client == client) {
                Some(asker) => self.answer(asker, protocol, command, payload),
                None => self.send(client, text.clone()),
            }
        }
    }

    /// Tells all editors what is wrong with processes of a graph.
    pub fn tell_marks(&mut self, graph: &str, marks: Vec<(String, String)>) {
        for (process, message) in marks {
            let payload = json!({ "id": process, "error": message, "graph": graph });
            self.tell(None, "network", "processerror", &payload);
        }
    }

    /// Tells a client what is known to be wrong with a graph, and was told before it came.
    pub fn tell_known(&mut self, asker: &Asker, graph: &str) {
        let Some(live) = self.graphs.get(graph) else { return };
        let asker = Asker { request: None, ..asker.clone() };
        let mut known = live.faults.clone();
        known.extend(live.marks.clone());
        for (process, message) in known {
            let payload = json!({ "id": process, "error": message, "graph": graph });
            self.answer(&asker, "network", "processerror", &payload);
        }
    }

    /// Tells each client that may look what `payload` makes of the address that its pictures begin with.
    pub fn tell_of_pictures(&mut self, protocol: &str, command: &str, payload: impl Fn(&str) -> Value) {
        let clients = self.clients.iter().filter(|(_, client)| client.level >= least(protocol));
        let texts =
            clients.map(|(id, client)| (*id, protocol::message(protocol, command, &payload(&client.base), None)));
        for (client, text) in texts.collect::<Vec<_>>() {
            self.send(client, text);
        }
    }

    /// Tells of something on an edge to those who look at it.
    pub fn tell_of_edge(&mut self, graph: &str, ends: (Option<&PortRef>, &PortRef), payload: impl Fn(&str) -> Value) {
        let looks = |client: &Client| match (client.edges.get(graph), ends.0) {
            (Some(edges), Some(src)) => edges.contains(&(src.clone(), ends.1.clone())),
            _ => true,
        };
        let clients = self.clients.iter().filter(|(_, client)| client.level >= Level::Read && looks(client));
        let texts = clients.map(|(id, client)| {
            let mut payload = payload(&client.base);
            payload["graph"] = graph.into();
            (*id, protocol::message("network", "data", &payload, None))
        });
        for (client, text) in texts.collect::<Vec<_>>() {
            self.send(client, text);
        }
    }

    /// Sets the edges that a client looks at; none at all is all of them.
    pub fn look_at(&mut self, client: u64, graph: &str, edges: HashSet<(PortRef, PortRef)>) {
        if let Some(client) = self.clients.get_mut(&client) {
            if edges.is_empty() {
                client.edges.remove(graph);
            } else {
                client.edges.insert(graph.to_owned(), edges);
            }
        }
    }

    /// True when anybody looks at that edge.
    pub fn is_looked_at(&self, graph: &str, ends: &(PortRef, PortRef)) -> bool {
        let mut clients = self.clients.values().filter(|client| client.level >= Level::Read);
        clients.any(|client| client.edges.get(graph).is_none_or(|edges| edges.contains(ends)))
    }

    /// Makes room for a graph: the stopped one that nobody edited for longest goes.
    ///
    /// # Errors
    /// When all are in use.
    pub fn make_room(&mut self, most: usize) -> Result<(), String> {
        if self.graphs.len() < most {
            return Ok(());
        }
        let idle = self.graphs.iter().filter(|(id, live)| live.started.is_none() && self.main.as_ref() != Some(*id));
        let oldest = idle.min_by_key(|(_, live)| live.version).map(|(id, _)| id.clone());
        let id = oldest.ok_or_else(|| format!("there are {most} graphs already, and all of them run"))?;
        if let Some(gone) = self.graphs.shift_remove(&id) {
            // Who tells of its pictures finds it gone.
            gone.wake.notify_one();
        }
        self.clients.values_mut().for_each(|client| {
            client.edges.remove(&id);
        });
        Ok(())
    }

    fn send(&mut self, client: u64, text: String) {
        let Some(client) = self.clients.get(&client) else { return };
        let waiting = client.bytes.fetch_add(text.len(), Ordering::Relaxed) + text.len();
        // One message may be larger than all that may wait.
        if waiting > self.waiting_bytes.max(text.len()) || client.sender.send(text).is_err() {
            client.end.cancel();
        }
    }
}

/// Who is told of a protocol: capabilities of those who only look leave packets and ports out.
fn least(protocol: &str) -> Level {
    if protocol == "runtime" { Level::Edit } else { Level::Read }
}

/// What a client is told that did what it may not.
pub(crate) fn refusal(level: Level) -> String {
    let needed = match level {
        Level::None | Level::Read => "read",
        Level::Edit => "edit",
        Level::Code => "code",
    };
    format!("not allowed: this needs a secret of the level '{needed}'")
}

/// The payload of an error.
pub(crate) fn error(message: &str) -> Value {
    json!({ "message": message })
}

/// The waker of a graph, apart from the lock.
pub(crate) type Wake = Arc<Notify>;
