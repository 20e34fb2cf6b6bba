//! The settings of live editing: of `imgflo runtime`, and of `imgflo serve --edit`.

use std::net::SocketAddr;
use std::path::PathBuf;

use url::Url;

use super::{Command, Reader, SHORTEST_SECRET, Setting, of_runtime, secret, setting};

/// What these settings begin with beside those of `serve`; `imgflo runtime` leaves it away.
pub const PREFIX: &str = "edit-";

/// The settings of live editing, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct EditSettings {
    /// Address and port to listen on.
    pub bind: SocketAddr,
    /// What lets one edit.
    pub secret: Option<String>,
    /// What lets one look.
    pub view_secret: Option<String>,
    /// Whether those who edit may write operations in C.
    pub code: bool,
    /// Address that clients see, without a `/` at the end.
    pub url: Option<String>,
    /// Origins of pages that may connect without a secret.
    pub origins: Vec<String>,
    /// The graph to begin with: a name of the folder of graphs, or a file.
    pub graph: Option<String>,
    /// Address of the picture that goes into graphs which were given none.
    pub input: Option<String>,
    /// Bytes of pictures that are remembered between edits.
    pub memory: u64,
    /// Address of the editor that is linked to.
    pub ide: String,
    /// Name for people.
    pub label: String,
    /// Pictures by which graphs are compared before they are saved, and how far apart theirs may be.
    pub samples: Option<(PathBuf, f64)>,
    /// Where this runtime is announced, and for whom.
    pub registry: Option<(String, String)>,
}

/// All of them, in the order of the table.
pub fn all() -> Vec<Setting> {
    let edit = |name: &str, default: &str, help: &str| of_runtime(setting(&format!("{PREFIX}{name}"), default, help));
    vec![
        setting("edit", "false", "Host the live runtime, too, for editors to connect to (true or false)"),
        edit("bind", "127.0.0.1:3569", "Address and port that editors connect to"),
        secret(edit(
            "secret",
            "",
            "Secret with which graphs can be edited; without one everybody on this machine may, and other addresses than loopback need one of 16 characters at least",
        )),
        secret(edit("view-secret", "", "Secret with which graphs and pictures can only be looked at")),
        of_runtime(setting(
            "live-code",
            "false",
            "Let those who may edit write operations in C as well (true or false)",
        )),
        edit("url", "", "Address that editors see (https://edit.example.org); without it the one they ask"),
        edit(
            "origins",
            "https://app.flowhub.io,https://noflojs.org",
            "Origins of pages that may connect without a secret where nothing is asked for one; pages of this machine may in any case",
        ),
        edit("graph", "", "The graph to begin with: a name of the folder of graphs, or a file"),
        edit(
            "input",
            "files/marbles.jpg",
            "The picture that goes into graphs which were given none: an address, or a file under files/",
        ),
        edit("memory", "512MiB", "Bytes of pictures that are remembered between edits"),
        edit("ide", "https://app.flowhub.io", "Address of the editor that is linked to"),
        edit("label", "imgflo", "Name of the runtime in editors"),
        of_runtime(setting(
            "samples",
            "",
            "Folder with pictures; a graph is saved only if what it makes of them is near to what it made before",
        )),
        of_runtime(setting(
            "max-distance",
            "2",
            "How far apart those may be at any place: 0 for not at all, 2 can just be seen, 79 is black and white",
        )),
        edit("registry", "", "Address of a registry of runtimes to announce this one at (http://api.flowhub.io)"),
        edit("user", "", "Id of the user in that registry"),
    ]
}

impl Reader {
    /// The settings of live editing, where it is on.
    pub(super) fn edit(&mut self, which: Command) -> Option<EditSettings> {
        let on = match which {
            Command::Runtime => true,
            Command::Serve => self.boolean("edit"),
            Command::Worker => false,
        };
        if !on {
            return None;
        }
        let bind = match self.text("edit-bind").replace("localhost:", "127.0.0.1:").parse::<SocketAddr>() {
            Ok(bind) => bind,
            Err(_) => {
                self.fault("edit-bind", "address and port (127.0.0.1:3569, [::1]:3569)");
                SocketAddr::from(([127, 0, 0, 1], 0))
            }
        };
        let url = self.web_address("edit-url");
        // Whoever gives it another address lets others in, by a proxy perhaps.
        let elsewhere = url.as_deref().and_then(|url| Url::parse(url).ok()).is_some_and(|url| match url.host() {
            Some(url::Host::Domain(name)) => name != "localhost",
            Some(url::Host::Ipv4(address)) => !address.is_loopback(),
            Some(url::Host::Ipv6(address)) => !address.is_loopback(),
            None => false,
        });
        let open = elsewhere || !bind.ip().is_loopback();
        let secret = self.edit_secret("edit-secret", open);
        let view_secret = self.edit_secret("edit-view-secret", open);
        if open && secret.is_none() {
            self.faults.push(format!(
                "{}: {bind} is open to other machines, and anyone could edit; set IMGFLO_EDIT_SECRET",
                self.values["edit-bind"].0
            ));
        }
        let origins = self.text("edit-origins").split(',').map(str::trim).filter(|origin| !origin.is_empty());
        let origins = origins.map(|origin| origin.trim_end_matches('/').to_owned()).collect();
        let registry = self.web_address("edit-registry");
        let user = self.optional("edit-user");
        if registry.is_some() != user.is_some() {
            self.faults.push("--edit-registry and --edit-user belong together".into());
        }
        Some(EditSettings {
            bind,
            secret,
            view_secret,
            code: self.boolean("live-code"),
            url,
            origins,
            graph: self.optional("edit-graph"),
            input: self.optional("edit-input"),
            memory: self.number("edit-memory", 1 << 20, 1 << 40),
            ide: self.text("edit-ide").trim_end_matches('/').to_owned(),
            label: self.text("edit-label").to_owned(),
            samples: self.samples(),
            registry: registry.zip(user),
        })
    }

    fn edit_secret(&mut self, name: &str, open: bool) -> Option<String> {
        let secret = self.optional(name)?;
        if open && secret.len() < SHORTEST_SECRET {
            let place = &self.values[name].0;
            self.faults.push(format!("{place}: is shorter than {SHORTEST_SECRET} characters"));
        }
        Some(secret)
    }

    fn samples(&mut self) -> Option<(PathBuf, f64)> {
        let distance = self.text("max-distance").parse::<f64>().ok();
        let distance = distance.filter(|distance| distance.is_finite() && *distance >= 0.0);
        if distance.is_none() {
            self.fault("max-distance", "number from 0 upwards");
        }
        self.optional("samples").map(PathBuf::from).zip(distance)
    }

    /// An http or https address without a `/` at its end.
    fn web_address(&mut self, name: &str) -> Option<String> {
        let text = self.optional(name)?;
        match Url::parse(&text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {}
            _ => self.fault(name, "http or https address"),
        }
        Some(text.trim_end_matches('/').to_owned())
    }
}
