//! From a request to the job that answers it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::SystemTime;

use imgflo_job::input::{self, Input, OwnOrigins};
use imgflo_job::key::{Keeping, cache_key};
use imgflo_job::request::{self, Request};
use imgflo_job::{
    Background, Category, FileVersion, Files, InputFile, JobData, JobError, Limits, Quality, Source, served,
};
use imgflo_runtime::ops::codec::FileFormat;
use imgflo_runtime::{ImageGraph, Library, RuntimeKind, near};
use serde_json::{Value, json};

use crate::auth::Access;

/// Types that results can be made in.
pub(crate) static OUTPUT_TYPES: LazyLock<Vec<&str>> = LazyLock::new(|| {
    FileFormat::ALL.into_iter().filter(|format| format.can_encode()).map(FileFormat::extension).collect()
});
/// The type that takes so long that who waits gets another, and which.
const SLOW_TYPE: &str = "avif";
const QUICK_TYPE: &str = "webp";
/// Type of a result that none is asked for.
const DEFAULT_TYPE: &str = "jpg";
/// Types that a graph which hands its input on may be asked for: those of inputs.
const PASSED_TYPES: [&str; 4] = ["jpg", "png", "webp", "gif"];
/// The parameter that says how a result is written.
const QUALITY: &str = "quality";
/// How many graphs are named to who asks for one that does not exist.
const NEAREST: usize = 3;
/// What is shown of a nested request's address in an error text, characters.
const SHOWN: usize = 100;

/// What a request asks for.
pub(crate) struct Resolved {
    /// The job, but for the definitions of its graphs: most requests are answered from the cache,
    /// which needs none.
    pub(crate) data: JobData,
    /// The same for another type that is made more quickly; none where the type itself is.
    pub(crate) instead: Option<JobData>,
    /// The request, and those inside its input.
    pub(crate) requests: Vec<Request>,
    /// The files of ours that it works on, and their versions.
    pub(crate) files: Vec<(String, Option<FileVersion>)>,
    /// Where the definitions are.
    pub(crate) library: Arc<Library>,
}

impl Resolved {
    /// What is asked for, without definitions.
    pub(crate) fn data(&self) -> &JobData {
        &self.data
    }

    /// The whole job.
    pub(crate) fn job_data(&self) -> JobData {
        let mut data = self.data.clone();
        define(&mut data, &self.library);
        data
    }
}

/// Puts in the definition of a job's graph, and of those in its input.
fn define(data: &mut JobData, library: &Library) {
    if let Some(graph) = library.get(&data.graph) {
        data.definition = graph.pinned().to_json();
    }
    if let Some(Source::Graph { job }) = &mut data.source {
        define(job, library);
    }
}

/// What was met on the way.
#[derive(Default)]
struct Seen {
    requests: Vec<Request>,
    files: Vec<(String, Option<FileVersion>)>,
}

/// What the query of a request says beside the input.
struct Parameters {
    /// The canonical text of the graph's arguments.
    arguments: String,
    /// The graph's parameters as given.
    own: BTreeMap<String, String>,
    quality: Quality,
}

/// What requests are read against.
pub(crate) struct Resolver<'a> {
    pub(crate) library: Arc<Library>,
    pub(crate) access: &'a Access,
    pub(crate) limits: &'a Limits,
    /// Where this deployment itself is reached.
    pub(crate) own: OwnOrigins,
    /// Folder served under `/files/`.
    pub(crate) files: &'a Path,
    /// Quality of lossy results whose request says none, 1 to 100.
    pub(crate) quality: u8,
    /// The colour behind results whose type has no alpha.
    pub(crate) background: Background,
}

/// The version of a file below a folder; none if no such file is served. Blocks for as long as the
/// file system does.
pub(crate) fn file_version(folder: &Path, path: &str) -> Option<FileVersion> {
    let metadata = std::fs::metadata(served::find(folder, path).ok()??).ok()?;
    let modified = metadata.modified().ok()?;
    // A time before 1970 is as good as 1970.
    let modified_ns = modified.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    Some(FileVersion { bytes: metadata.len(), modified_ns })
}

impl Resolver<'_> {
    /// The job for a request. `path`: as sent, with `/graph/`.
    ///
    /// An input that is one of our own `/graph` addresses is resolved too: it is checked like a
    /// request of its own, its job goes inside this one, and its cache key into ours.
    ///
    /// # Errors
    /// Everything that can be known without the input's bytes.
    pub(crate) fn resolve(self, request: Request, path: &str) -> Result<Resolved, JobError> {
        let mut seen = Seen::default();
        let (data, instead) = self.level(request, path, 0, &mut seen)?;
        Ok(Resolved { data, instead, requests: seen.requests, files: seen.files, library: self.library })
    }

    /// The job of a request, and the one for a quicker type.
    fn level(
        &self,
        request: Request,
        path: &str,
        depth: u64,
        seen: &mut Seen,
    ) -> Result<(JobData, Option<JobData>), JobError> {
        self.access.check(&request)?;
        let graph = self.library.get(&request.graph).ok_or_else(|| self.no_graph(&request.graph))?;
        let outtype = output_type(&graph, request.format.as_deref())?;
        if depth > 0 && outtype.as_deref() == Some(SLOW_TYPE) {
            let message = format!("{SLOW_TYPE} is written, not read: ask for another type of the picture inside");
            return Err(JobError::new(Category::UnsupportedType, message));
        }
        let makes_picture = graph.runtime() == RuntimeKind::Imgflo;
        let Parameters { arguments, own, quality } = self.parameters(&graph, &request)?;
        let source = match &request.input {
            Some(input) if graph.takes_input() => {
                Some(self.source(input, depth, seen).map_err(|error| at_input(error, depth))?)
            }
            // Clients of the original always send an input; a generator has no use for it.
            _ => None,
        };
        let mut source = source;
        if let Some(Source::File { path, version }) = &mut source {
            *version = file_version(self.files, path);
            seen.files.push((path.clone(), *version));
        }
        let identity = source.as_ref().map(Source::identity).unwrap_or_default();
        let keeping = source.as_ref().map_or(Keeping::Forever, Source::keeping);
        let result = |outtype: Option<&str>| {
            let (quality, background) = match outtype {
                Some(outtype) if makes_picture => {
                    (quality.of_type(outtype, self.quality), self.background.of_type(outtype))
                }
                _ => Default::default(),
            };
            let key = cache_key(graph.content(), &arguments, &identity, keeping, outtype, quality, background);
            (key, quality, background)
        };
        let slow = makes_picture && outtype.as_deref() == Some(SLOW_TYPE);
        let (cachekey, quality, background) = result(outtype.as_deref());
        let input = request.input.as_deref().filter(|_| source.is_some());
        let data = JobData {
            graphspec: request.graphspec.clone(),
            graph: request.graph.clone(),
            files: Files { input: input.map(InputFile::new) },
            iips: own,
            outtype,
            apikey: request.key.clone(),
            token: request.token.clone(),
            cachekey,
            query: request.query.clone(),
            request: path.to_owned(),
            no_cache: request.no_cache,
            debug_url: None,
            runtime: runtime_name(graph.runtime()).to_owned(),
            source,
            definition: Value::Null,
            quality,
            background,
        };
        seen.requests.push(request);
        let instead = slow.then(|| {
            let (cachekey, quality, background) = result(Some(QUICK_TYPE));
            JobData { outtype: Some(QUICK_TYPE.into()), cachekey, quality, background, ..data.clone() }
        });
        Ok((data, instead))
    }

    /// The error of a request for a graph that is not served.
    fn no_graph(&self, asked: &str) -> JobError {
        if let [fault, ..] = self.library.faults_of(asked)[..] {
            let file = fault.path.file_name().unwrap_or_default().display();
            let text =
                format!("graph '{asked}' cannot be served, because its file is broken: {file}: {}", fault.message);
            return JobError::new(Category::NotFound, text);
        }
        let mut nearest = near(asked, self.library.iter().map(|graph| graph.name()));
        nearest.truncate(NEAREST);
        let hint = match nearest[..] {
            [] => "all graphs are listed at /graphs".to_owned(),
            _ => format!("did you mean {}? All graphs are listed at /graphs", nearest.join(", ")),
        };
        JobError::new(Category::NotFound, format!("there is no graph '{asked}'; {hint}")).with("nearest", nearest)
    }

    /// What the request says of the graph, and of the result.
    fn parameters(&self, graph: &ImageGraph, request: &Request) -> Result<Parameters, JobError> {
        let mut faults = Vec::new();
        let mut own = request.parameters.clone();
        // Where a graph has a parameter of that name, it is the graph's. What is handed on has no quality.
        let is_ours =
            graph.runtime() == RuntimeKind::Imgflo && graph.parameters().iter().all(|own| own.name != QUALITY);
        let quality = is_ours.then(|| own.remove(QUALITY)).flatten().unwrap_or_default();
        let quality = quality.parse::<Quality>().unwrap_or_else(|error| {
            faults.push(json!({ "parameter": QUALITY, "message": error.to_string() }));
            Quality::default()
        });
        if graph.takes_input() && request.input.as_deref().is_none_or(|input| input.trim().is_empty()) {
            faults.push(json!({
                "parameter": "input",
                "message": format!(
                    "is missing: the picture to work on, an http or https address or a path of this server, as in \
                     /graph/{}?input=https%3A%2F%2Fexample.org%2Fphoto.jpg",
                    request.graphspec
                ),
            }));
        }
        let arguments = match graph.arguments(&own) {
            Ok(arguments) => arguments.canonical(),
            Err(wrong) => {
                faults.extend(
                    wrong.iter().map(|fault| json!({ "parameter": fault.parameter, "message": fault.message })),
                );
                String::new()
            }
        };
        if faults.is_empty() { Ok(Parameters { arguments, own, quality }) } else { Err(bad_parameters(graph, faults)) }
    }

    fn source(&self, value: &str, depth: u64, seen: &mut Seen) -> Result<Source, JobError> {
        match input::read(value, &self.own, self.limits)? {
            Input::Source(source) => Ok(source),
            Input::Graph { path, query } => {
                let level = depth + 1;
                if level > self.limits.max_nested {
                    let limit = self.limits.max_nested;
                    return Err(JobError::over("levels of nested /graph addresses", level, limit, "IMGFLO_MAX_NESTED"));
                }
                let full = format!("/graph/{path}");
                let nested = request::parse(&path, query.as_deref(), self.limits)
                    .and_then(|request| self.level(request, &full, level, seen))
                    .map_err(|error| inside(error, &full))?;
                Ok(Source::Graph { job: Box::new(nested.0) })
            }
        }
    }
}

/// Says which of several nested requests failed.
fn inside(mut error: JobError, path: &str) -> JobError {
    let shown: String = path.chars().take(SHOWN).collect();
    error.message = format!("in the input {shown}: {}", error.message);
    error
}

/// Ties a failure to the field `input` of a form.
fn at_input(error: JobError, depth: u64) -> JobError {
    if depth > 0 {
        return error;
    }
    let fault = json!([{ "parameter": "input", "message": error.message }]);
    let mut error = error;
    error.details.insert("faults".into(), fault);
    error
}

fn runtime_name(runtime: RuntimeKind) -> &'static str {
    match runtime {
        RuntimeKind::Imgflo => "imgflo",
        RuntimeKind::Noop => "noop",
    }
}

fn output_type(graph: &ImageGraph, asked: Option<&str>) -> Result<Option<String>, JobError> {
    let (supported, default): (&[&str], _) = match graph.runtime() {
        RuntimeKind::Imgflo => (&*OUTPUT_TYPES, Some(DEFAULT_TYPE)),
        RuntimeKind::Noop => (&PASSED_TYPES, None),
    };
    match asked.or(default) {
        None => Ok(None),
        Some(asked) if supported.contains(&asked) => Ok(Some(asked.to_owned())),
        Some(asked) => Err(JobError::new(
            Category::UnsupportedType,
            format!("'{}' cannot be made as '{asked}'; it can be made as {}", graph.name(), supported.join(", ")),
        )
        .with("supported", supported)),
    }
}

fn bad_parameters(graph: &ImageGraph, faults: Vec<Value>) -> JobError {
    let texts: Vec<String> = faults
        .iter()
        .map(|fault| {
            let text = |name: &str| fault[name].as_str().unwrap_or_default();
            format!("{}: {}", text("parameter"), text("message"))
        })
        .collect();
    JobError::new(Category::InvalidParameter, format!("graph '{}': {}", graph.name(), texts.join("; ")))
        .with("faults", faults)
        .with("parameters", json!(graph.parameters()))
}
