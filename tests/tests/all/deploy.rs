//! The files that deploy imgflo: they name settings and roles that there are, and what they start starts.

mod container;
mod kubernetes;
mod nginx;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};

use imgflo_tests::{program, repository};
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

const FILES: &[&str] = &[
    "Dockerfile",
    "compose.yaml",
    "heroku.yml",
    "app.json",
    "deploy/kubernetes/config.yaml",
    "deploy/kubernetes/secret.example.yaml",
    "deploy/kubernetes/keda/scaling.yaml",
    "deploy/kubernetes/web.yaml",
    "deploy/kubernetes/urgent.yaml",
    "deploy/kubernetes/background.yaml",
];

/// Documents that name settings. All of a service are meant by `IMGFLO_`, and what Kubernetes sets by an example.
const DOCUMENTS: &[&str] = &["README.md", "docs/DEPLOYMENT.md", "docs/OPERATIONS.md", "deploy/kubernetes/README.md"];
const NO_SETTINGS: &[&str] = &["IMGFLO_", "IMGFLO_PORT"];

/// Words of a text that begin so.
fn words(text: &str, start: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !is_part(c)).filter(|word| word.starts_with(start)).map(str::to_owned).collect()
}

fn read(file: &str) -> String {
    std::fs::read_to_string(repository().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn deploy_files_name_settings_that_there_are() {
    let table = String::from_utf8(program::run(&["settings"]).stdout).unwrap();
    let known = words(&table, "IMGFLO_");
    let mut seen = 0;
    for file in FILES.iter().chain(DOCUMENTS) {
        for variable in words(&read(file), "IMGFLO_") {
            if DOCUMENTS.contains(file) && NO_SETTINGS.contains(&variable.as_str()) {
                continue;
            }
            assert!(known.contains(&variable), "{file}: there is no setting {variable}");
            seen += 1;
        }
    }
    assert!(seen >= 60, "only {seen} settings were seen");
}

#[test]
fn deploy_files_name_roles_that_there_are() {
    let known = words(&read("graphs/imgflo.fbp"), "imgflo_");
    let mut seen = BTreeSet::new();
    for file in FILES {
        for role in words(&read(file), "imgflo_") {
            assert!(known.contains(&role), "{file}: there is no role {role}");
            seen.insert(role);
        }
    }
    for role in ["imgflo_urgentworker", "imgflo_backgroundworker"] {
        assert!(seen.contains(role), "nothing starts {role}");
    }
}

/// The documents of a YAML file, merge keys (`<<`) resolved.
fn documents(file: &str) -> Vec<Value> {
    let text = read(file);
    let documents = serde_yaml_ng::Deserializer::from_str(&text).map(|document| {
        let mut value = serde_yaml_ng::Value::deserialize(document).unwrap_or_else(|error| panic!("{file}: {error}"));
        value.apply_merge().unwrap_or_else(|error| panic!("{file}: {error}"));
        serde_json::to_value(value).unwrap_or_else(|error| panic!("{file}: {error}"))
    });
    documents.collect()
}

/// A port that nothing listens on.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap().port()
}

/// The program by the words of a container's command, in an empty folder, with nothing but this environment.
fn command(words: &[String], environment: &BTreeMap<String, String>, folder: &TempDir) -> Command {
    assert_eq!(words[0], "imgflo", "{words:?}");
    let mut command = Command::new(program::path());
    command.args(&words[1..]).env_clear().envs(environment).current_dir(folder.path());
    command.env("IMGFLO_DATA_DIR", folder.path().join("data"));
    command
}

/// Runs a command of a container to its end.
fn run(words: &[String], environment: &BTreeMap<String, String>) -> Output {
    command(words, environment, &tempfile::tempdir().unwrap()).output().unwrap()
}

/// A process that was started as a container would be.
struct Started {
    child: Child,
    /// What it said on standard output until it was up: all that a front end says, a line of a worker.
    lines: Vec<String>,
    _folder: TempDir,
}

impl Started {
    fn new(words: &[String], environment: &BTreeMap<String, String>) -> Started {
        Started::try_new(words, environment).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// What it said on standard error when it did not start.
    fn try_new(words: &[String], environment: &BTreeMap<String, String>) -> Result<Started, String> {
        let folder = tempfile::tempdir().unwrap();
        let mut command = command(words, environment, &folder);
        let errors = tempfile::tempfile().unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(errors.try_clone().unwrap()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut lines = Vec::new();
        for _ in 0..if words[1] == "serve" { 2 } else { 1 } {
            let mut line = String::new();
            if output.read_line(&mut line).unwrap() == 0 {
                use std::io::Seek as _;
                child.wait().unwrap();
                let (mut errors, mut told) = (errors, String::new());
                errors.rewind().unwrap();
                errors.read_to_string(&mut told).unwrap();
                return Err(told);
            }
            lines.push(line.trim_end().to_owned());
        }
        // Keep the pipe empty for as long as the process runs.
        std::thread::spawn(move || output.read_to_end(&mut Vec::new()));
        Ok(Started { child, lines, _folder: folder })
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// As `docker compose up` would, with services that are nowhere.
#[test]
fn services_of_compose_start() {
    let compose = &documents("compose.yaml")[0];
    let mut seen = 0;
    for (name, service) in compose["services"].as_object().unwrap() {
        if service.get("build").is_none() {
            continue;
        }
        let variables = service["environment"].as_object().unwrap().iter();
        let mut environment: BTreeMap<String, String> =
            variables.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
        environment.insert("PORT".into(), free_port().to_string());
        let command = service.get("command").unwrap_or(&Value::Null);
        let words = match command.as_array() {
            Some(words) => words.iter().map(|word| word.as_str().unwrap().to_owned()).collect(),
            None => vec!["imgflo".to_owned(), "serve".to_owned()],
        };
        let started = Started::new(&words, &environment);
        assert!(started.lines[0].starts_with("imgflo "), "{name}: {:?}", started.lines);
        seen += 1;
    }
    assert_eq!(seen, 3);
}

/// As Heroku would: the variables of `app.json` and of its add-ons, and `PORT`.
#[test]
fn processes_of_heroku_start() {
    let app: Value = serde_json::from_str(&read("app.json")).unwrap();
    let variables = app["env"].as_object().unwrap().iter();
    let value = |definition: &Value| definition["value"].as_str().unwrap_or("given-by-hand-and-long").to_owned();
    let mut environment: BTreeMap<String, String> =
        variables.map(|(name, definition)| (name.clone(), value(definition))).collect();
    for (name, value) in
        [("CLOUDAMQP_URL", "amqp://127.0.0.1:1"), ("REDIS_URL", "redis://127.0.0.1:1"), ("DYNO", "web.1")]
    {
        environment.insert(name.into(), value.into());
    }
    let manifest = &documents("heroku.yml")[0];
    let mut seen = BTreeSet::new();
    for (name, process) in manifest["run"].as_object().unwrap() {
        let line = process.as_str().or_else(|| process["command"][0].as_str()).unwrap();
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        environment.insert("PORT".into(), free_port().to_string());
        let started = Started::new(&words, &environment);
        assert!(started.lines[0].starts_with("imgflo "), "{name}: {:?}", started.lines);
        if name == "web" {
            assert!(started.lines[0].contains("on all addresses"), "{:?}", started.lines);
            environment.remove("IMGFLO_API_KEY");
            environment.remove("IMGFLO_API_SECRET");
            let refused = Started::try_new(&words, &environment).err().expect("nobody would reach it");
            assert!(refused.contains("PORT: ") && refused.contains("IMGFLO_API_KEY"), "{refused}");
        }
        seen.insert(name.as_str());
    }
    let formation = app["formation"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(seen, formation);
}
