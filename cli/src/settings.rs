//! Every setting, declared once: its flag, its environment variables, its default and its help.
//!
//! Flags, variables, validation and the table in `docs/SETTINGS.md` all derive from [`all`]. Values
//! are read as text and checked together, so that every fault is reported at once.

mod edit;
mod environment;
mod origins;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgMatches};
use imgflo_apps::Place;
use imgflo_cache::{Delivery, S3Options};
use imgflo_job::limits::LimitSetting;
use imgflo_job::{Background, FleetSecrets, Limits};
use imgflo_runtime::{ChildLimits, EngineChoice};
use imgflo_server::{Application, Origins};
use ipnet::IpNet;
use url::Url;

use crate::{apps, render};
pub use edit::EditSettings;
pub use environment::Environment;

/// Shortest secret for live code or a fleet, bytes.
const SHORTEST_SECRET: usize = 16;

/// For how long a presigned address is good.
const PRESIGNED: Duration = Duration::from_secs(3600);

/// Which command a setting is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `imgflo serve`.
    Serve,
    /// `imgflo worker`.
    Worker,
    /// `imgflo runtime`.
    Runtime,
}

/// One setting.
pub struct Setting {
    /// Flag without dashes: `data-dir`.
    pub name: String,
    /// Environment variables, the first that is set wins.
    pub variables: Vec<String>,
    /// Default as text; empty when there is none.
    pub default: String,
    /// What it does, with its unit.
    pub help: String,
    /// True for a value that must not be printed.
    pub secret: bool,
    /// True when workers use it, too.
    pub workers: bool,
    /// True when the live runtime uses it, too.
    pub runtime: bool,
}

impl Setting {
    fn is_for(&self, command: Command) -> bool {
        match command {
            Command::Serve => true,
            Command::Worker => self.workers,
            Command::Runtime => self.runtime,
        }
    }

    /// Its flag, without dashes. What `serve` calls `edit-bind` beside its own is all that `runtime` binds.
    fn flag(&self, command: Command) -> &str {
        match command {
            Command::Runtime => self.name.strip_prefix(edit::PREFIX).unwrap_or(&self.name),
            Command::Serve | Command::Worker => &self.name,
        }
    }
}

/// All settings of a server, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Address and port to listen on.
    pub bind: SocketAddr,
    /// Folder for results.
    pub data_dir: PathBuf,
    /// Folder with graphs.
    pub graphs: PathBuf,
    /// True when that folder was named, and must be there.
    pub graphs_named: bool,
    /// True if the graphs in the program are served beside those of the folder.
    pub shipped_graphs: bool,
    /// Folder served under `/files/`.
    pub files: PathBuf,
    /// True when that folder was named, and must be there.
    pub files_named: bool,
    /// Address that clients see.
    pub public_url: Option<Url>,
    /// Other sites whose scripts may read what is served.
    pub origins: Origins,
    /// API clients beside those of the database.
    pub applications: Vec<Application>,
    /// The database of API clients; none: a file in the data folder, if there is one.
    pub database: Option<String>,
    /// Whether everything is allowed as long as there is no API client at all.
    pub open_when_empty: bool,
    /// Address ranges that inputs may be fetched from although they are private.
    pub allow_addresses: Vec<IpNet>,
    /// Bytes that stored results may take.
    pub cache_bytes: u64,
    /// Jobs worked on at once.
    pub workers: usize,
    /// Bytes that all jobs at work may take together.
    pub memory_bytes: u64,
    /// What runs graphs.
    pub engine: EngineChoice,
    /// Whether GEGL's GPL-3 operations are offered.
    pub gegl_gpl: bool,
    /// Folder with operations in C.
    pub ops: Option<PathBuf>,
    /// Secret with which operations in C may be written live.
    pub live_secret: Option<String>,
    /// What compiles those.
    pub cc: String,
    /// What processes with foreign code may take.
    pub children: ChildLimits,
    /// Quality of JPEG and WebP results, 1 to 100.
    pub quality: u8,
    /// The colour behind results whose type has no alpha.
    pub background: Background,
    /// True where inputs that end early are read as far as they go.
    pub accept_cut_inputs: bool,
    /// Whether who asks for AVIF waits for it.
    pub urgent_avif: bool,
    /// Filter of log messages.
    pub log: String,
    /// True: log lines are JSON.
    pub log_json: bool,
    /// Limits on what strangers control.
    pub limits: Limits,
    /// Address of the broker; none: front end and workers are one process.
    pub broker: Option<String>,
    /// Longest time that the broker may take to confirm a message.
    pub broker_timeout: Duration,
    /// Signs and checks messages between front ends and workers.
    pub fleet_secrets: FleetSecrets,
    /// Address of Redis.
    pub redis: Option<String>,
    /// After what time Redis forgets a result, seconds.
    pub redis_ttl: u64,
    /// Where results are kept, unless in the data folder.
    pub s3: Option<S3Options>,
    /// Live editing; none where it is off.
    pub edit: Option<EditSettings>,
}

fn setting(name: &str, default: &str, help: &str) -> Setting {
    Setting {
        name: name.to_owned(),
        variables: vec![format!("IMGFLO_{}", name.to_uppercase().replace('-', "_"))],
        default: default.to_owned(),
        help: help.to_owned(),
        secret: false,
        workers: false,
        runtime: false,
    }
}

fn secret(setting: Setting) -> Setting {
    Setting { secret: true, ..setting }
}

/// With further names of its variable, which platforms set.
fn also(mut setting: Setting, variables: &[&str]) -> Setting {
    setting.variables.extend(variables.iter().map(|variable| (*variable).to_owned()));
    setting
}

fn of_workers(setting: Setting) -> Setting {
    Setting { workers: true, ..setting }
}

fn of_runtime(setting: Setting) -> Setting {
    Setting { runtime: true, ..setting }
}

/// All settings, in the order of the table.
pub fn all() -> Vec<Setting> {
    let mut bind = setting(
        "bind",
        "127.0.0.1:8080",
        "Address and port to listen on; any other address than loopback needs application keys, or allow-unsigned. PORT, which platforms set, stands for that port on all addresses",
    );
    bind.variables.push("PORT".into());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut settings = vec![
        bind,
        of_runtime(of_workers(setting("data-dir", "imgflo-data", "Folder for results; it is made if missing"))),
        of_runtime(of_workers(setting(
            "graphs",
            "graphs",
            "Folder with graphs (.json and .fbp), which take the place of those in the program that have the same name; what changes in it is served within a few seconds. Workers read it when they start, for jobs that hold no graph, as those of imgflo-server's own front ends",
        ))),
        of_runtime(of_workers(setting(
            "shipped-graphs",
            "true",
            "Serve the graphs in the program, too, that have no file in the folder of graphs (true or false)",
        ))),
        of_runtime(of_workers(setting(
            "files",
            "files",
            "Folder with pictures, served under /files/; without it, and without a folder named files, the samples in the program are served",
        ))),
        setting("public-url", "", "Address that clients see (https://img.example.org); redirects name it"),
        setting(
            "origins",
            "",
            "Origins of other sites whose scripts may read graphs, files and results (https://app.example.org,https://b.example), or * for all; none of them may without it. Pages can show pictures in any case",
        ),
        setting("api-key", "", "Key of the one ordinary application"),
        secret(setting("api-secret", "", "Its secret; without one its requests need no token")),
        setting("admin-key", "", "Key of the one application that may ask for _nocache"),
        secret(setting("admin-secret", "", "Its secret")),
        setting("allow-md5", "false", "Accept the original's MD5 tokens beside HMAC-SHA256 (true or false)"),
        setting(
            "allow-unsigned",
            "false",
            "Serve without application keys on other addresses than loopback (true or false)",
        ),
        secret(Setting {
            variables: vec!["DATABASE_URL".into()],
            ..setting(
                "database",
                "",
                "Database of applications: postgres://user:password@host/database, or sqlite:///path; without one the file imgflo.db in the data folder, once `imgflo apps add` has made it",
            )
        }),
        of_runtime(of_workers(setting(
            "allow-addresses",
            "",
            "Private address ranges that inputs may come from (10.1.0.0/16,fd00::/8)",
        ))),
        of_workers(setting(
            "cache-bytes",
            "10GiB",
            "Bytes that results in the data folder may take; the least recently used go first",
        )),
        of_runtime(of_workers(setting(
            "workers",
            &cores.to_string(),
            "Jobs that compute at once, and one more without a broker, at most 256; those that wait for origins come on top (max-fetches); the default is the number of cores, and 0 for a front end with a broker, whose workers are other processes",
        ))),
        of_workers(setting("memory-bytes", "4GiB", "Bytes that all jobs at work may take together; others wait")),
        of_runtime(of_workers(setting(
            "engine",
            "auto",
            "What runs graphs: native, gegl, or auto: natively where all operations of a graph are, else on GEGL where it is installed; the same for front ends and workers",
        ))),
        of_runtime(of_workers(setting(
            "gegl-gpl",
            "false",
            "Offer those of GEGL's operations, too, that are under the GPL-3 (true or false)",
        ))),
        of_runtime(of_workers(setting(
            "ops",
            "",
            "Folder with operations in C, as `imgflo ops build` built them; without it there are none; the same for front ends and workers",
        ))),
        secret(setting(
            "live-secret",
            "",
            "Secret with which operations in C may be written while the server runs (PUT /ops/NAME), of 16 characters at least; without it they cannot; not with a broker",
        )),
        Setting {
            variables: vec!["CC".into()],
            runtime: true,
            ..setting("cc", "cc", "The C compiler for operations that are written while the server runs")
        },
        of_runtime(of_workers(setting(
            "child-memory",
            "1GiB",
            "Bytes that a process with GEGL, or with operations in C, may take",
        ))),
        of_runtime(of_workers(setting(
            "child-seconds",
            "30",
            "Seconds that a job may take in a process with GEGL, and a band of a picture in one with operations in C; also of its processor time",
        ))),
        setting(
            "urgent-avif",
            "false",
            "Make AVIF while the client waits; else it is made in the background, and clients get WebP until it is there (true or false)",
        ),
        of_workers(setting("quality", "85", "Quality of JPEG and WebP results whose request says none, 1 to 100")),
        of_workers(setting(
            "background",
            "white",
            "Colour behind transparent pictures that are written as JPEG: #rrggbb or a name of CSS such as beige",
        )),
        of_runtime(of_workers(setting(
            "accept-cut-inputs",
            "false",
            "Read an input that ends early as far as it goes; the rest is gray in a JPEG, else transparent or black (true or false)",
        ))),
        of_runtime(of_workers(setting(
            "log",
            "info",
            "Which messages are logged: error, warn, info, debug, or a tracing filter; those of the library for AMQP only where the filter names lapin",
        ))),
        of_runtime(of_workers(setting("log-format", "text", "text or json"))),
        of_workers(secret(also(
            Setting {
                variables: vec!["IMGFLO_BROKER_URL".into()],
                ..setting(
                    "broker",
                    "",
                    "Broker between front ends and workers: amqp://user:password@host/virtual-host, or mqtt://user:password@host, which keeps no queues; without one they are one process",
                )
            },
            &["CLOUDAMQP_URL"],
        ))),
        of_workers(setting(
            "broker-timeout",
            "5000",
            "Milliseconds that the broker may take to confirm a message; then its sender is told that the broker does not answer. A broker that is away or takes no messages is noticed at once",
        )),
        of_workers(secret(setting(
            "fleet-secret",
            "",
            "Secret that signs messages between front ends and workers, the same for all of them; messages with another signature or none are refused. Several, separated by commas, while it is replaced: the first one signs, all are accepted",
        ))),
        of_workers(setting(
            "fleet-accept-unsigned",
            "false",
            "Accept messages that are not signed with a fleet secret, while participants without it are to join (true or false)",
        )),
        of_workers(secret(also(
            Setting {
                variables: vec!["IMGFLO_REDIS_URL".into()],
                ..setting(
                    "redis",
                    "",
                    "Redis for making each result only once and, with S3, for an index of them: redis://:password@host:6379",
                )
            },
            &["REDIS_URL", "REDISCLOUD_URL"],
        ))),
        of_workers(setting(
            "redis-ttl",
            "86400",
            "Seconds after which Redis forgets that a result is in S3; S3 does not",
        )),
        of_workers(setting(
            "s3-bucket",
            "",
            "Bucket for results, instead of the data folder; credentials as the AWS SDK finds them (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)",
        )),
        of_workers(setting("s3-endpoint", "", "Another server than Amazon's that speaks S3: http://minio:9000")),
        of_workers(setting(
            "s3-region",
            "",
            "Region of the bucket; without it AWS_REGION, the profile's, or us-east-1",
        )),
        of_workers(setting("s3-prefix", "p", "Folder in the bucket")),
        of_workers(setting(
            "s3-path-style",
            "auto",
            "Name the bucket in the path instead of the host (true, false, or auto: where there is an endpoint)",
        )),
        setting(
            "results",
            "stream",
            "How clients get results from a bucket: stream (through the front end), public (redirected to s3-public-url, or else to the bucket itself) or presigned (redirected to an address signed for an hour)",
        ),
        setting("s3-public-url", "", "Address of the bucket, or of a CDN before it, for results=public"),
    ];
    settings.extend(Limits::SETTINGS.iter().map(|limit| {
        let default = (limit.get)(&Limits::default());
        of_runtime(of_workers(setting(limit.name, &default.to_string(), &format!("{} ({})", limit.help, limit.unit))))
    }));
    settings.extend(edit::all());
    settings
}

/// Adds a flag for each setting of a command. Flags take text; [`read`] checks it.
pub fn flags(mut command: clap::Command, which: Command) -> clap::Command {
    for setting in all().into_iter().filter(|setting| setting.is_for(which)) {
        let mut help = setting.help.clone();
        let _ = write!(help, " [env: {}]", setting.variables.join(", "));
        if !setting.default.is_empty() {
            let _ = write!(help, " [default: {}]", setting.default);
        }
        let flag = setting.flag(which).to_owned();
        let mut arg = Arg::new(setting.name).long(flag).value_name("VALUE").help(help);
        if setting.default == "false" {
            // The flag alone turns it on.
            arg = arg.num_args(0..=1).default_missing_value("true");
        }
        command = command.arg(arg);
    }
    command
}

/// The table of all settings, as Markdown.
pub fn table() -> String {
    let mut text = String::from("| flag | environment | default | of | what |\n|---|---|---|---|---|\n");
    for setting in all() {
        let default = match setting.name.as_str() {
            "workers" => "cores",
            _ => &setting.default,
        };
        let variables: Vec<String> = setting.variables.iter().map(|v| format!("`{v}`")).collect();
        let default = if default.is_empty() { String::new() } else { format!("`{default}`") };
        let of = match (setting.workers, setting.runtime) {
            (false, false) => "serve",
            (true, false) => "serve, worker",
            (false, true) => "serve, runtime",
            (true, true) => "serve, worker, runtime",
        };
        let (name, variables, help) = (&setting.name, variables.join(", "), &setting.help);
        let _ = writeln!(text, "| `--{name}` | {variables} | {default} | {of} | {help} |");
    }
    text
}

/// Reads all settings: flags before environment before defaults.
///
/// # Errors
/// Every fault, one line each.
pub fn read(matches: &ArgMatches, environment: &Environment, which: Command) -> Result<Settings, Vec<String>> {
    let mut reader = Reader { values: BTreeMap::new(), secrets: Vec::new(), faults: environment::unknown(environment) };
    for setting in all() {
        if setting.secret {
            reader.secrets.push(setting.name.clone());
        }
        let flag = matches.try_get_one::<String>(&setting.name).ok().flatten();
        let flag = flag.map(|v| (format!("--{}", setting.name), v.clone()));
        let variable = || {
            setting
                .variables
                .iter()
                .find_map(|v| environment.get(v).filter(|t| !t.is_empty()).map(|t| (v.clone(), t.clone())))
        };
        let value = flag.or_else(variable).unwrap_or((format!("--{}", setting.name), setting.default));
        reader.values.insert(setting.name, value);
    }
    let settings = reader.settings(which);
    if reader.faults.is_empty() { Ok(settings) } else { Err(reader.faults) }
}

struct Reader {
    /// Name of the setting to where its value was found, and the value.
    values: BTreeMap<String, (String, String)>,
    /// Names of those whose value is not shown.
    secrets: Vec<String>,
    faults: Vec<String>,
}

impl Reader {
    fn text(&self, name: &str) -> &str {
        &self.values[name].1
    }

    fn optional(&self, name: &str) -> Option<String> {
        Some(self.text(name).to_owned()).filter(|text| !text.is_empty())
    }

    fn fault(&mut self, name: &str, wanted: &str) {
        let (place, value) = &self.values[name];
        let value = if self.secrets.iter().any(|secret| secret == name) { "the value" } else { &format!("'{value}'") };
        self.faults.push(format!("{place}: {value} is no {wanted}"));
    }

    fn boolean(&mut self, name: &str) -> bool {
        match self.text(name) {
            "true" | "1" => true,
            "false" | "0" => false,
            _ => {
                self.fault(name, "true or false");
                false
            }
        }
    }

    fn number(&mut self, name: &str, minimum: u64, maximum: u64) -> u64 {
        match parse_size(self.text(name)) {
            Some(value) if (minimum..=maximum).contains(&value) => value,
            _ => {
                self.fault(name, &format!("whole number from {minimum} to {maximum} (KiB, MiB and GiB may follow)"));
                minimum
            }
        }
    }

    fn background(&mut self) -> Background {
        render::background(self.text("background")).unwrap_or_else(|_| {
            self.fault("background", "opaque colour: #rrggbb or a name of CSS such as beige");
            Background::WHITE
        })
    }

    fn application(&mut self, kind: &str, admin: bool, allow_md5: bool) -> Option<Application> {
        let secret = self.optional(&format!("{kind}-secret"));
        let Some(key) = self.optional(&format!("{kind}-key")) else {
            if secret.is_some() {
                let place = &self.values[&format!("{kind}-secret")].0;
                self.faults.push(format!("{place}: a secret without a key; set --{kind}-key"));
            }
            return None;
        };
        if admin && secret.is_none() {
            self.faults.push(format!("--{kind}-key: an admin key needs a secret; set --{kind}-secret"));
        }
        Some(Application { key, secret, admin, allow_md5 })
    }

    fn bind(&mut self) -> SocketAddr {
        let (place, value) = self.values["bind"].clone();
        if place == "PORT" {
            if let Ok(port) = value.parse() {
                return SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
            }
            self.fault("bind", "port");
        } else if let Ok(address) = value.replace("localhost:", "127.0.0.1:").parse::<SocketAddr>() {
            return address;
        } else {
            self.fault("bind", "address and port (127.0.0.1:8080, [::1]:8080)");
        }
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)
    }

    fn limits(&mut self) -> Limits {
        let mut limits = Limits::default();
        for LimitSetting { name, set, minimum, maximum, .. } in Limits::SETTINGS {
            let value = self.number(name, *minimum, *maximum);
            set(&mut limits, value);
        }
        limits
    }

    /// True when a flag or a variable gave it.
    fn is_given(&self, name: &str) -> bool {
        let default = all().into_iter().find(|setting| setting.name == name).map(|setting| setting.default);
        self.values[name].0 != format!("--{name}") || default.as_deref() != Some(self.text(name))
    }

    /// An address with one of these schemes.
    fn address(&mut self, name: &str, schemes: &[&str]) -> Option<String> {
        let text = self.optional(name)?;
        let known = text.split_once("://").is_some_and(|(scheme, rest)| schemes.contains(&scheme) && !rest.is_empty());
        if !known {
            self.fault(name, &format!("address that begins with {}://", schemes.join(":// or ")));
        }
        Some(text)
    }

    fn s3(&mut self) -> Option<S3Options> {
        let endpoint = self.address("s3-endpoint", &["http", "https"]);
        let public = self.address("s3-public-url", &["http", "https"]);
        let path_style = match self.text("s3-path-style") {
            "auto" => endpoint.is_some(),
            _ => self.boolean("s3-path-style"),
        };
        let delivery = match (self.text("results"), public) {
            ("stream", None) => Delivery::Stream,
            ("presigned", None) => Delivery::Presigned(PRESIGNED),
            ("public", Some(url)) => Delivery::Public(url),
            ("public", None) => Delivery::Bucket,
            ("stream" | "presigned", Some(_)) => {
                self.faults.push("--s3-public-url: is used with --results public only".into());
                Delivery::Stream
            }
            _ => {
                self.fault("results", "stream, public or presigned");
                Delivery::Stream
            }
        };
        let Some(bucket) = self.optional("s3-bucket") else {
            for name in ["s3-endpoint", "s3-region"] {
                if self.optional(name).is_some() {
                    self.faults.push(format!("{}: there is no bucket; set --s3-bucket", self.values[name].0));
                }
            }
            if delivery != Delivery::Stream {
                self.faults.push("--results: results are in the data folder; set --s3-bucket".into());
            }
            return None;
        };
        let prefix = self.text("s3-prefix").trim_matches('/').to_owned();
        Some(S3Options { bucket, prefix, endpoint, region: self.optional("s3-region"), path_style, delivery })
    }

    fn workers(&mut self, which: Command, broker: bool) -> usize {
        if which == Command::Serve && broker && !self.is_given("workers") {
            return 0;
        }
        let least = u64::from(which == Command::Worker || !broker);
        self.number("workers", least, 256) as usize
    }

    fn engine(&mut self) -> EngineChoice {
        self.text("engine").parse().unwrap_or_else(|_| {
            self.fault("engine", "engine: auto, native or gegl");
            EngineChoice::default()
        })
    }

    fn live_secret(&mut self, broker: bool) -> Option<String> {
        let secret = self.optional("live-secret")?;
        let place = &self.values["live-secret"].0;
        if secret.len() < SHORTEST_SECRET {
            self.faults.push(format!("{place}: is shorter than {SHORTEST_SECRET} characters"));
        }
        if broker {
            self.faults.push(format!(
                "{place}: operations cannot be written live where there is a broker: workers elsewhere would not have them; build them into the folder of --ops on all machines"
            ));
        }
        Some(secret)
    }

    fn fleet_secrets(&mut self, broker: bool) -> FleetSecrets {
        let accepts_unsigned = self.boolean("fleet-accept-unsigned");
        let text = self.optional("fleet-secret").unwrap_or_default();
        let secrets: Vec<String> =
            text.split(',').map(str::trim).filter(|secret| !secret.is_empty()).map(str::to_owned).collect();
        if secrets.iter().any(|secret| secret.len() < SHORTEST_SECRET) {
            let place = &self.values["fleet-secret"].0;
            self.faults.push(format!("{place}: a fleet secret must have {SHORTEST_SECRET} characters or more"));
        }
        // One process alone sends no messages.
        if broker { FleetSecrets::new(secrets, accepts_unsigned) } else { FleetSecrets::default() }
    }

    fn children(&mut self, workers: usize) -> ChildLimits {
        ChildLimits {
            memory: self.number("child-memory", 64 << 20, 1 << 40),
            time: Duration::from_secs(self.number("child-seconds", 1, 3600)),
            ..ChildLimits::new(workers)
        }
    }

    fn settings(&mut self, which: Command) -> Settings {
        let allow_md5 = self.boolean("allow-md5");
        let allow_unsigned = self.boolean("allow-unsigned");
        let ordinary = self.application("api", false, allow_md5);
        let admin = self.application("admin", true, allow_md5);
        let applications: Vec<Application> = ordinary.into_iter().chain(admin).collect();
        let data_dir = PathBuf::from(self.text("data-dir"));
        let database = self.optional("database");
        let has_database = match apps::place(database.as_deref(), &data_dir) {
            Ok(Place::Sqlite(path)) => database.is_some() || path.exists(),
            Ok(Place::Postgres(_)) => true,
            // The value itself may hold a password.
            Err(error) => {
                if which == Command::Serve {
                    self.faults.push(format!("{}: {error}", self.values["database"].0));
                }
                true
            }
        };
        let signed = has_database || !applications.is_empty();
        let bind = self.bind();
        if which == Command::Serve && !bind.ip().is_loopback() && !signed && !allow_unsigned {
            let place = &self.values["bind"].0;
            self.faults.push(format!(
                "{place}: {bind} is open to other machines, and requests would be unsigned; add an application with `imgflo apps add`, set IMGFLO_API_KEY and IMGFLO_API_SECRET, or IMGFLO_ALLOW_UNSIGNED=true to let anyone use this server; --bind 127.0.0.1:{} serves this machine alone",
                bind.port()
            ));
        }
        let public_url = self.optional("public-url").and_then(|text| match Url::parse(&text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Some(url),
            _ => {
                self.fault("public-url", "http or https address");
                None
            }
        });
        let mut allow_addresses = Vec::new();
        let ranges = self.text("allow-addresses").to_owned();
        for range in ranges.split(',').map(str::trim).filter(|r| !r.is_empty()) {
            match range.parse::<IpNet>().or_else(|_| range.parse::<IpAddr>().map(IpNet::from)) {
                Ok(net) => allow_addresses.push(net),
                Err(_) => self.fault("allow-addresses", "list of address ranges (10.1.0.0/16,fd00::/8)"),
            }
        }
        let log_json = match self.text("log-format") {
            "text" => false,
            "json" => true,
            _ => {
                self.fault("log-format", "text or json");
                false
            }
        };
        let broker = self.address("broker", &["amqp", "amqps", "mqtt", "mqtts"]);
        let log = self.text("log").to_owned();
        if log.parse::<tracing_subscriber::EnvFilter>().is_err() {
            self.fault("log", "log filter");
        }
        let workers = self.workers(which, broker.is_some());
        Settings {
            bind,
            data_dir,
            graphs: self.text("graphs").into(),
            graphs_named: self.is_given("graphs"),
            shipped_graphs: self.boolean("shipped-graphs"),
            files: self.text("files").into(),
            files_named: self.is_given("files"),
            public_url,
            origins: self.origins(),
            applications,
            database,
            open_when_empty: allow_unsigned || bind.ip().is_loopback(),
            allow_addresses,
            cache_bytes: self.number("cache-bytes", 1 << 20, 1 << 50),
            workers,
            memory_bytes: self.number("memory-bytes", 64 << 20, 1 << 44),
            engine: self.engine(),
            gegl_gpl: self.boolean("gegl-gpl"),
            ops: self.optional("ops").map(PathBuf::from),
            live_secret: self.live_secret(broker.is_some()),
            cc: self.text("cc").to_owned(),
            children: self.children(workers),
            quality: self.number("quality", 1, 100) as u8,
            background: self.background(),
            accept_cut_inputs: self.boolean("accept-cut-inputs"),
            urgent_avif: self.boolean("urgent-avif"),
            log,
            log_json,
            limits: self.limits(),
            fleet_secrets: self.fleet_secrets(broker.is_some()),
            broker,
            broker_timeout: Duration::from_millis(self.number("broker-timeout", 100, 60_000)),
            redis: self.address("redis", &["redis", "rediss"]),
            redis_ttl: self.number("redis-ttl", 1, 10 * 365 * 86400),
            s3: self.s3(),
            edit: self.edit(which),
        }
    }
}

/// A whole number, with KiB, MiB or GiB after it if need be.
fn parse_size(text: &str) -> Option<u64> {
    let (digits, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(end) => text.split_at(end),
        None => (text, ""),
    };
    let factor = match unit.trim() {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests;
