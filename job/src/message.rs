//! The messages between front end and worker, in the original's JSON with fields of ours added.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize};

use crate::background::Background;
use crate::error::{Category, JobError, shown};
use crate::key;
use crate::quality::Quality;

/// Which lane a job takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Urgency {
    /// A client waits.
    Urgent,
    /// Nobody waits: the cache is being warmed.
    Background,
}

/// A job, as it is queued.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Lane.
    pub urgency: Urgency,
    /// Always `process-image`.
    #[serde(rename = "type")]
    pub kind: String,
    /// UUID, version 4.
    pub id: String,
    /// When it was made, ms since 1970.
    pub created_at: u64,
    /// Always null; the original has it.
    pub callback: Option<String>,
    /// Until when the result is of use, ms since 1970 by the clock of the front end `from`; `None` for background jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_at: Option<u64>,
    /// Participant id of the front end that sent it, whose clock the times above are of ([`Cancel::clock`]); `None` in
    /// jobs of the original.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What to do.
    pub data: JobData,
}

/// What a job asks for. The first fields are the original's; from `source` on they are ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobData {
    /// Last part of the path as written: `crop.png`.
    pub graphspec: String,
    /// Name of the graph.
    pub graph: String,
    /// Input files.
    pub files: Files,
    /// Parameters as given, by public name.
    pub iips: BTreeMap<String, String>,
    /// Output type: `jpg`, `png`, ...; none hands the input's bytes on.
    pub outtype: Option<String>,
    /// Application key of the request.
    pub apikey: Option<String>,
    /// Token of the request.
    pub token: Option<String>,
    /// Key of the result, with its suffix: `6f95...91.png`.
    pub cachekey: String,
    /// Query string as asked, with its `?`; empty if none.
    pub query: String,
    /// Path as asked.
    pub request: String,
    /// True when the cache must not answer.
    #[serde(rename = "noCache")]
    pub no_cache: bool,
    /// The original's page for this request; not used.
    #[serde(rename = "debugUrl")]
    pub debug_url: Option<String>,
    /// `imgflo` or `noop`.
    pub runtime: String,
    /// Where the input comes from; none for graphs without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// The graph itself as FBP JSON, so that every worker evaluates what the key was made from.
    /// Null in a job of the original.
    #[serde(default)]
    pub definition: serde_json::Value,
    /// How the result is written, as it is in the key; nothing is said in a job of the original,
    /// which leaves it to the worker.
    #[serde(default, skip_serializing_if = "Quality::is_default")]
    pub quality: Quality,
    /// The colour behind a result whose type has no alpha, as it is in the key; `None` in a job of
    /// the original, which leaves it to the worker, and for types with alpha.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<Background>,
}

/// The inputs of a job, by port.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Files {
    /// The input picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<InputFile>,
}

/// An input, as the original describes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputFile {
    /// URL as given.
    pub src: String,
    /// Its path's extension with the dot, if one of the known; else empty.
    pub extension: String,
    /// Always null; the original's temporary file.
    pub path: Option<String>,
    /// Media type, in results.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
}

/// Version of a file: a file that was changed is another input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileVersion {
    /// Size.
    pub bytes: u64,
    /// When it was changed, ns since 1970.
    pub modified_ns: u64,
}

/// Where a worker gets an input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "lowercase")]
pub enum Source {
    /// Fetched over http or https.
    Url {
        /// Absolute URL.
        url: String,
    },
    /// Inside the URL itself (`data:`).
    Data {
        /// The whole `data:` URL.
        url: String,
    },
    /// A file that this deployment serves under `/files/`.
    File {
        /// Path below the folder, decoded, without `..`.
        path: String,
        /// Version of the file that the front end saw, which is in the key; `None` if there was no such file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<FileVersion>,
    },
    /// A stored result (`/cache/<key>`).
    Stored {
        /// Its key.
        key: String,
    },
    /// The result of another of our `/graph` URLs: rendered first, in the same worker, unless it
    /// is stored already. So a nested URL never waits for a second worker.
    Graph {
        /// What that URL asks for.
        job: Box<JobData>,
    },
}

/// A finished job: the job itself, when things happened, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobResult {
    /// The job.
    #[serde(flatten)]
    pub job: Job,
    /// When a worker took it, ms since 1970; so are the others. Absent when not reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<u64>,
    /// When the input was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downloaded_at: Option<u64>,
    /// When the picture was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processed_at: Option<u64>,
    /// When the result was measured; the original's step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated_at: Option<u64>,
    /// When it was stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uploaded_at: Option<u64>,
    /// When all was over, well or badly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<u64>,
    /// Pixels across of the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_width: Option<u32>,
    /// Pixels down of the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_height: Option<u32>,
    /// Pixels across of the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_width: Option<u32>,
    /// Pixels down of the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_height: Option<u32>,
    /// Bytes of the input file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_bytes: Option<u64>,
    /// Bytes of the result file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_bytes: Option<u64>,
    /// Pixels worked on, for the quota: the larger one of input and output, of each image made on
    /// the way, those inside the input too. Ours; absent where none was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixels: Option<u64>,
    /// Milliseconds that the clock of the worker is ahead of that of the front end that sent the job, or behind it if
    /// negative. Ours; absent where the two agree within [`CLOCK_TOLERANCE`], or the difference is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_ahead: Option<i64>,
    /// Where the result is.
    #[serde(default)]
    pub results: Results,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "any_error")]
    pub error: Option<JobError>,
}

/// Where a result is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// `./<key>`. Front ends take nothing of it but the key, and look that up in their store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// Jobs that waited in a queue are lost, because somebody deleted the queue on the broker. Each front end sends those
/// again whose results it waits for. Travels where results do; a program that does not know it finds a job without `id`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobsLost {
    /// Tells it from a result.
    #[serde(rename = "type")]
    pub kind: JobsLostType,
}

/// The `type` of [`JobsLost`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobsLostType {
    /// The only one.
    #[serde(rename = "jobs-lost")]
    JobsLost,
}

impl JobsLost {
    /// The message.
    pub const NOTICE: JobsLost = JobsLost { kind: JobsLostType::JobsLost };
}

/// How often a front end tells workers its time ([`Cancel::clock`]).
pub const CLOCK_PERIOD: Duration = Duration::from_secs(2);

/// Difference between the clocks of a worker and a front end from which on it is told.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);

/// Nobody waits for an urgent job any more: a worker drops it if it is still queued, or stops it.
///
/// All workers hear these messages at once, so a front end tells the time by them as well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// Id of the job; empty if the message cancels nothing.
    pub id: String,
    /// Participant id of the front end, in messages that tell the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Time at the front end, ms since 1970, in messages that tell the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<u64>,
}

impl Cancel {
    /// Cancels a job.
    pub fn of(id: impl Into<String>) -> Self {
        Cancel { id: id.into(), ..Cancel::default() }
    }

    /// Cancels nothing, and tells the time at the front end `from`.
    pub fn clock(from: &str) -> Self {
        Cancel { id: String::new(), from: Some(from.to_owned()), sent_at: Some(now()) }
    }
}

/// The time, ms since 1970.
pub fn now() -> u64 {
    // A clock before 1970 is as good as 1970.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

impl Job {
    /// A job made now, with an id of its own. `deadline_at`: until when its result is of use, ms
    /// since 1970.
    pub fn new(urgency: Urgency, data: JobData, deadline_at: Option<u64>) -> Self {
        Job {
            urgency,
            kind: "process-image".into(),
            id: uuid::Uuid::new_v4().to_string(),
            created_at: now(),
            callback: None,
            deadline_at,
            from: None,
            data,
        }
    }
}

impl JobResult {
    /// The result of a job of which nothing is done yet.
    pub fn of(job: Job) -> Self {
        JobResult {
            job,
            started_at: None,
            downloaded_at: None,
            processed_at: None,
            stated_at: None,
            uploaded_at: None,
            completed_at: None,
            input_width: None,
            input_height: None,
            output_width: None,
            output_height: None,
            input_bytes: None,
            output_bytes: None,
            pixels: None,
            clock_ahead: None,
            results: Results::default(),
            error: None,
        }
    }
}

impl JobResult {
    /// What the job counts for: [`JobResult::pixels`], or what the measures of another program's
    /// worker tell.
    pub fn counted_pixels(&self) -> u64 {
        let area = |width: Option<u32>, height: Option<u32>| {
            u64::from(width.unwrap_or_default()) * u64::from(height.unwrap_or_default())
        };
        let measured = area(self.input_width, self.input_height).max(area(self.output_width, self.output_height));
        self.pixels.unwrap_or(measured)
    }
}

impl JobResult {
    /// The key under which the result is said to be stored: that of the job, or [`key::private`] of it. Whatever else a
    /// message names is not believed.
    pub fn key(&self) -> String {
        let own = &self.job.data.cachekey;
        let named = self.results.url.as_deref().and_then(|url| url.strip_prefix("./"));
        match key::private(own) {
            Some(private) if named == Some(&private) => private,
            _ => own.clone(),
        }
    }
}

impl InputFile {
    /// Extensions that the original keeps.
    const EXTENSIONS: [&'static str; 5] = [".png", ".jpg", ".jpeg", ".gif", ".mp4"];

    /// An input that nobody has fetched yet.
    pub fn new(src: &str) -> Self {
        let path = src.split(['?', '#']).next().unwrap_or_default();
        let extension = InputFile::EXTENSIONS.into_iter().find(|extension| path.ends_with(extension));
        let extension = if path.starts_with("data:") { "" } else { extension.unwrap_or_default() };
        InputFile { src: src.into(), extension: extension.into(), path: None, media_type: None }
    }
}

/// Reads an error of ours, or what an original worker makes of one: `{}`, or any object, perhaps
/// with a `message`.
fn any_error<'de, D: Deserializer<'de>>(from: D) -> Result<Option<JobError>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Any {
        Ours(JobError),
        Original(serde_json::Value),
    }
    Ok(Option::<Any>::deserialize(from)?.map(|error| match error {
        Any::Ours(error) => error,
        Any::Original(value) => match value.get("message").and_then(serde_json::Value::as_str) {
            Some(message) => JobError::new(Category::Internal, shown(message)),
            None => JobError::internal(),
        },
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn data() -> JobData {
        JobData {
            graphspec: "crop.png".into(),
            graph: "crop".into(),
            files: Files { input: Some(InputFile::new("http://localhost:8080/files/a.jpg")) },
            iips: BTreeMap::from([("width".into(), "10".into())]),
            outtype: Some("png".into()),
            apikey: None,
            token: None,
            cachekey: "6f95.png".into(),
            query: "?width=10&input=files%2Fa.jpg".into(),
            request: "/graph/crop.png".into(),
            no_cache: false,
            debug_url: None,
            runtime: "imgflo".into(),
            source: Some(Source::File { path: "a.jpg".into(), version: None }),
            definition: json!({"processes": {}}),
            quality: Quality::of(85),
            background: Some(Background::WHITE),
        }
    }

    fn data_json() -> Value {
        json!({
            "graphspec": "crop.png",
            "graph": "crop",
            "files": {"input": {"src": "http://localhost:8080/files/a.jpg", "extension": ".jpg", "path": null}},
            "iips": {"width": "10"},
            "outtype": "png",
            "apikey": null,
            "token": null,
            "cachekey": "6f95.png",
            "query": "?width=10&input=files%2Fa.jpg",
            "request": "/graph/crop.png",
            "noCache": false,
            "debugUrl": null,
            "runtime": "imgflo",
            "source": {"from": "file", "path": "a.jpg"},
            "definition": {"processes": {}},
            "quality": 85,
            "background": "#ffffff",
        })
    }

    #[test]
    fn a_job_in_json() {
        let job = Job::new(Urgency::Urgent, data(), Some(30));
        assert_eq!(uuid::Uuid::parse_str(&job.id).unwrap().get_version_num(), 4);
        assert_ne!(job.id, Job::new(Urgency::Urgent, data(), None).id);
        assert!(job.created_at > 1_600_000_000_000);
        let value = serde_json::to_value(&job).unwrap();
        assert_eq!(
            value,
            json!({
                "urgency": "urgent", "type": "process-image", "id": job.id, "created_at": job.created_at,
                "callback": null, "deadline_at": 30, "data": data_json(),
            })
        );
        assert_eq!(serde_json::from_value::<Job>(value).unwrap(), job);
    }

    #[test]
    fn a_result_in_json() {
        let job = Job { id: "e4".into(), created_at: 1, ..Job::new(Urgency::Background, data(), None) };
        let mut result = JobResult::of(job);
        let unfinished = json!({
            "urgency": "background", "type": "process-image", "id": "e4", "created_at": 1, "callback": null,
            "data": data_json(), "results": {},
        });
        assert_eq!(serde_json::to_value(&result).unwrap(), unfinished);
        result.started_at = Some(4);
        result.output_width = Some(60);
        result.results.url = Some("./6f95.png".into());
        let value = serde_json::to_value(&result).unwrap();
        assert_eq!((&value["started_at"], &value["output_width"]), (&json!(4), &json!(60)));
        assert_eq!(value["results"], json!({"url": "./6f95.png"}));
        assert_eq!(serde_json::from_value::<JobResult>(value).unwrap(), result);
    }

    #[test]
    fn the_originals_result() {
        // As its worker sends it: no fields of ours, but `init_processing`, and the file's type.
        let mut data = data_json();
        data.as_object_mut()
            .unwrap()
            .retain(|name, _| !["source", "definition", "quality", "background"].contains(&name.as_str()));
        data["files"]["input"]["type"] = json!("image/jpeg");
        data["files"]["input"]["path"] = json!("/tmp/a.jpg");
        let result: JobResult = serde_json::from_value(json!({
            "urgency": "urgent", "type": "process-image", "id": "e4..", "created_at": 1, "callback": null,
            "started_at": 4, "downloaded_at": 18, "processed_at": 351, "stated_at": 351, "uploaded_at": 352,
            "completed_at": 352, "input_width": 768, "input_height": 1024, "output_width": 60, "output_height": 80,
            "init_processing": 217.6, "input_bytes": 585879, "output_bytes": 12014,
            "results": {"url": "./6f95..91.png"}, "data": data,
        }))
        .unwrap();
        assert_eq!((result.stated_at, result.output_height, result.input_bytes), (Some(351), Some(80), Some(585_879)));
        // How much it counts for is told only by its measures.
        assert_eq!((result.pixels, result.counted_pixels()), (None, 768 * 1024));
        let ours = JobResult { pixels: Some(5), ..result.clone() };
        assert_eq!((ours.counted_pixels(), &serde_json::to_value(&ours).unwrap()["pixels"]), (5, &json!(5)));
        assert_eq!(result.results.url.as_deref(), Some("./6f95..91.png"));
        let input = result.job.data.files.input.unwrap();
        assert_eq!((input.media_type.as_deref(), input.path.as_deref()), (Some("image/jpeg"), Some("/tmp/a.jpg")));
        let JobData { source, definition, quality, background, .. } = result.job.data;
        assert_eq!((source, definition, quality, background), (None, Value::Null, Quality::default(), None));
        assert_eq!(result.error, None);
    }

    #[test]
    fn errors_in_results() {
        let mut result = JobResult::of(Job::new(Urgency::Urgent, data(), None));
        let ours = JobError::over("input pixels", 2, 1, "IMGFLO_MAX_INPUT_PIXELS");
        result.error = Some(ours.clone());
        let mut value = serde_json::to_value(&result).unwrap();
        let mut read = |error: Value| {
            value["error"] = error;
            serde_json::from_value::<JobResult>(value.clone()).unwrap().error
        };
        assert_eq!(read(serde_json::to_value(&ours).unwrap()), Some(ours));
        assert_eq!(read(Value::Null), None);
        assert_eq!(read(json!({})), Some(JobError::internal()));
        assert_eq!(read(json!({"code": 504, "result": {}})), Some(JobError::internal()));
        assert_eq!(read(json!({"message": "no"})), Some(JobError::new(Category::Internal, "no")));
    }

    #[test]
    fn nested_sources() {
        let source = Source::Graph { job: Box::new(data()) };
        let value = serde_json::to_value(&source).unwrap();
        assert_eq!((&value["from"], &value["job"]), (&json!("graph"), &data_json()));
        assert_eq!(serde_json::from_value::<Source>(value).unwrap(), source);
        assert_eq!(source.identity(), "stored:6f95.png");
    }

    #[test]
    fn extensions_of_inputs() {
        for (src, extension) in [
            ("http://a/b.jpg", ".jpg"),
            ("http://a/b.jpeg?c.png", ".jpeg"),
            ("http://a/b.JPG", ""),
            ("http://a/b.webp", ""),
            ("http://a/b", ""),
            ("data:,x.png", ""),
        ] {
            assert_eq!(InputFile::new(src).extension, extension, "{src}");
        }
    }

    #[test]
    fn a_notice_of_lost_jobs_is_no_result() {
        let notice = serde_json::to_value(JobsLost::NOTICE).unwrap();
        assert_eq!(notice, json!({"type": "jobs-lost"}));
        assert!(serde_json::from_value::<JobResult>(notice.clone()).is_err());
        assert_eq!(serde_json::from_value::<JobsLost>(notice).unwrap(), JobsLost::NOTICE);
        assert!(serde_json::from_value::<JobsLost>(json!({"type": "process-image", "id": "e4"})).is_err());
    }

    #[test]
    fn a_cancel_in_json() {
        assert_eq!(serde_json::to_value(Cancel::of("e4")).unwrap(), json!({"id": "e4"}));
        let clock = Cancel::clock("imgflo_api-1");
        let value = serde_json::to_value(&clock).unwrap();
        assert_eq!(value, json!({"id": "", "from": "imgflo_api-1", "sent_at": clock.sent_at}));
        assert_eq!(serde_json::from_value::<Cancel>(value).unwrap(), clock);
    }

    #[test]
    fn versions_of_files_travel() {
        let version = FileVersion { bytes: 12, modified_ns: 1_700_000_000_123_456_789 };
        let source = Source::File { path: "a.jpg".into(), version: Some(version) };
        let value = serde_json::to_value(&source).unwrap();
        let expected = json!({"bytes": 12, "modified_ns": 1_700_000_000_123_456_789_u64});
        assert_eq!(value, json!({"from": "file", "path": "a.jpg", "version": expected}));
        assert_eq!(serde_json::from_value::<Source>(value).unwrap(), source);
    }

    #[test]
    fn results_name_keys_of_their_job_only() {
        let mut result = JobResult::of(Job::new(Urgency::Urgent, data(), None));
        let (public, private) = (format!("8{}.png", "1".repeat(63)), format!("c{}.png", "1".repeat(63)));
        for (key, url, expected) in [
            ("6f95.png", None, "6f95.png"),
            ("6f95.png", Some("./6f95.png"), "6f95.png"),
            ("6f95.png", Some("./7f95.png"), "6f95.png"),
            ("6f95.png", Some("https://example.org/6f95.png"), "6f95.png"),
            ("6f95.png", Some("javascript:alert(1)"), "6f95.png"),
            (&public, Some(&*format!("./{private}")), &private),
            (&public, Some(&*format!("https://example.org/{private}")), &public),
        ] {
            result.job.data.cachekey = key.into();
            result.results.url = url.map(str::to_owned);
            assert_eq!(result.key(), expected, "{url:?}");
        }
    }
}
