//! GEGL behind graphs: what it offers, and whole graphs rendered by it.
//!
//! GEGL runs in children of this process ([`imgflo_host`]). To the plan a graph that it runs is one
//! pass with one input; reading, scaling and writing pictures stay what they are. The children are
//! only started when a graph needs them.

mod picture;

pub(crate) use picture::Picture;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use imgflo_gegl as gegl;
use imgflo_host::{Gap, HostError, Limits, Pool, Program};
use imgflo_ops::{Color, Info, Kind, OpError, Operation, Pad, Pass, Properties, Property, Registry};

/// Most bytes of a text in a property.
const LONGEST_TEXT: usize = 4096;
/// Jobs after which a child is replaced: GEGL's caches grow.
const JOBS: u32 = 200;

/// What runs graphs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineChoice {
    /// The native engine where it has all operations of a graph, else GEGL.
    #[default]
    Auto,
    /// The native engine alone.
    Native,
    /// GEGL alone.
    Gegl,
}

impl std::str::FromStr for EngineChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(EngineChoice::Auto),
            "native" => Ok(EngineChoice::Native),
            "gegl" => Ok(EngineChoice::Gegl),
            _ => Err(format!("'{text}' is no engine: auto, native or gegl")),
        }
    }
}

/// What children that run foreign code may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildLimits {
    /// The program they run, which knows `child gegl` and `child ops`.
    pub program: PathBuf,
    /// Children of a kind at once.
    pub children: usize,
    /// Memory of each, bytes.
    pub memory: u64,
    /// Time, and processor time, of one job.
    pub time: Duration,
}

impl ChildLimits {
    /// For a program whose own file knows `child`: one child for each of `children` threads, 1 GiB and 30 s.
    pub fn new(children: usize) -> Self {
        ChildLimits {
            program: "/proc/self/exe".into(),
            children: children.max(1),
            memory: 1 << 30,
            time: Duration::from_secs(30),
        }
    }

    /// Children of GEGL that read `readable` beside the system's files; with `gpl` they have its GPL-3 operations.
    pub(crate) fn gegl(&self, gpl: bool, readable: Vec<PathBuf>) -> Pool {
        let arguments: &[&str] = if gpl { &["child", "gegl", "--gpl"] } else { &["child", "gegl"] };
        let environment = [("GEGL_THREADS", "1"), ("GEGL_SWAP", "RAM"), ("GEGL_USE_OPENCL", "no")];
        let program = Program {
            path: self.program.clone(),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            name: "imgflo-gegl",
            environment: environment.map(|(name, value)| (name, value.to_owned())).to_vec(),
            readable,
            scratch: None,
            endings: &[],
        };
        Pool::new(program, self.limits(JOBS))
    }

    /// As a pool has them, for children that are replaced after so many jobs.
    pub(crate) fn limits(&self, jobs: u32) -> Limits {
        Limits {
            children: self.children,
            memory: self.memory,
            memory_setting: "IMGFLO_CHILD_MEMORY",
            pixels: self.memory,
            time: self.time,
            processor_time: self.time,
            time_setting: "IMGFLO_CHILD_SECONDS",
            jobs,
            resident: self.memory / 2,
        }
    }
}

/// GEGL, where it is installed.
#[derive(Debug)]
pub struct Gegl {
    pool: Pool,
    described: OnceLock<Result<Described, String>>,
}

#[derive(Debug)]
struct Described {
    version: String,
    operations: Registry,
}

impl Gegl {
    /// GEGL in children within `limits`; none is started yet. With `gpl` its GPL-3 operations are
    /// offered, too.
    pub fn new(limits: &ChildLimits, gpl: bool) -> Self {
        Gegl { pool: limits.gegl(gpl, Vec::new()), described: OnceLock::new() }
    }

    /// Its version.
    ///
    /// # Errors
    /// Why it is not there.
    pub fn version(&self) -> Result<&str, &str> {
        self.described().map(|described| described.version.as_str())
    }

    /// True when GEGL has that component.
    pub fn has(&self, component: &str) -> bool {
        self.operation(component).is_some()
    }

    /// Process ids of its children that wait for a job.
    pub fn idle(&self) -> Vec<u32> {
        self.pool.idle()
    }

    /// What the kernel does not enforce for its children; empty as long as none was started.
    pub fn unenforced(&self) -> Vec<Gap> {
        self.pool.unenforced()
    }

    /// The operation of that component name; `None` where GEGL lacks it, or is lacking.
    pub(crate) fn operation(&self, component: &str) -> Option<&Arc<dyn Operation>> {
        self.described().ok()?.operations.get(component)
    }

    /// Descriptions of all its operations, by name; none where it is not there.
    pub(crate) fn infos(&self) -> impl Iterator<Item = &'static Info> {
        self.described().into_iter().flat_map(|described| described.operations.infos())
    }

    fn described(&self) -> Result<&Described, &str> {
        let described = self.described.get_or_init(|| {
            let described = self.describe().map_err(|error| error.to_string());
            if let Err(error) = &described {
                tracing::info!(error, "graphs run without GEGL");
            }
            described
        });
        described.as_ref().map_err(String::as_str)
    }

    fn describe(&self) -> Result<Described, HostError> {
        let never = || false;
        let reply: gegl::Reply = self.pool.lease(&never)?.call(&gegl::Request::Describe, &[], &never)?;
        let gegl::Answer::Description(gegl::Description { version, operations }) = reply.answer else {
            return Err(HostError::Garbage("no description".into()));
        };
        let mut registry = Registry::default();
        for operation in operations {
            let lengths = lengths(&operation);
            let info = info(component(&operation.name), operation);
            registry.add(Arc::new(OnGegl { info, lengths }));
        }
        Ok(Described { version, operations: registry })
    }
}

/// An operation that only GEGL has. Graphs with one are rendered by [`Picture`].
#[derive(Debug)]
struct OnGegl {
    info: &'static Info,
    lengths: &'static [&'static str],
}

impl Operation for OnGegl {
    fn info(&self) -> &'static Info {
        self.info
    }

    fn lengths(&self) -> &'static [&'static str] {
        self.lengths
    }

    fn prepare(&self, _properties: &Properties) -> Result<Vec<Pass>, OpError> {
        Err(OpError::Failed(format!("{} runs on GEGL only", self.info.name)))
    }
}

/// `gegl:crop` as a component's name.
fn component(operation: &str) -> String {
    operation.replacen(':', "/", 1)
}

/// The description of the component `component`, which lasts as long as the process does: it is made once.
pub(crate) fn info(component: String, operation: gegl::Operation) -> &'static Info {
    let gegl::Operation { name, aliases, title, description, categories, inputs, properties } = operation;
    // Only a filter cannot do without its one input.
    let filter = inputs.len() == 1;
    let pads = inputs.into_iter().map(|name| Pad { required: filter && name == "input", name: kept(name) });
    Box::leak(Box::new(Info {
        name: kept(component),
        aliases: all_kept(aliases.iter().map(|alias| self::component(alias)).collect()),
        categories: all_kept(categories),
        title: kept(if title.is_empty() { name } else { title }),
        description: kept(description),
        inputs: Vec::leak(pads.collect()),
        properties: Vec::leak(properties.into_iter().map(property).collect()),
        revision: 1,
    }))
}

/// The properties of an operation that are lengths or places, kept for ever.
pub(crate) fn lengths(operation: &gegl::Operation) -> &'static [&'static str] {
    let lengths = operation.properties.iter().filter(|property| property.is_length);
    Vec::leak(lengths.map(|property| kept(property.name.clone())).collect())
}

fn property(property: gegl::Property) -> Property {
    let gegl::Property { name, description, kind, .. } = property;
    let kind = match kind {
        gegl::Kind::Number { default, minimum, maximum } => {
            Kind::Number { default: default.clamp(minimum, maximum), minimum, maximum }
        }
        gegl::Kind::Int { default, minimum, maximum } => {
            Kind::Int { default: default.clamp(minimum, maximum), minimum, maximum }
        }
        gegl::Kind::Boolean { default } => Kind::Boolean { default },
        gegl::Kind::Enum { default, values } => Kind::Enum { default: kept(default), values: all_kept(values) },
        gegl::Kind::Color { default } => Kind::Color { default: Color::from_linear(default) },
        gegl::Kind::Text { default } => Kind::Text { default: kept(default), longest: LONGEST_TEXT },
    };
    Property { name: kept(name), description: kept(description), kind }
}

fn kept(text: String) -> &'static str {
    String::leak(text)
}

fn all_kept(texts: Vec<String>) -> &'static [&'static str] {
    Vec::leak(texts.into_iter().map(kept).collect())
}
