//! Operations that are written for GEGL (`gegl-op.h`): modules that GEGL's children load.

use std::fs;
use std::io;
use std::sync::Arc;

use imgflo_gegl as gegl;
use imgflo_host::{HostError, Pool};
use imgflo_ops::c::LIBRARY;
use imgflo_ops::{Info, OpError, Operation, Pass, Properties};
use tempfile::TempDir;

use super::Revision;
use super::host::{Host, MOST_LOADED, not_described};
use super::hosted::kept;

/// Most input pads and properties of an operation, and most names of an enum.
const MOST_PADS: usize = 8;
const MOST_PROPERTIES: usize = 64;
const MOST_CHOICES: usize = 256;
/// Longest name, and longest text that is for people, bytes.
const LONGEST_NAME: usize = 64;
const LONGEST_TEXT: usize = 1000;

/// One revision of an operation, as GEGL's children load it. Its file goes with this.
#[derive(Debug)]
pub(crate) struct Module {
    /// The name that this revision has in GEGL.
    operation: String,
    folder: TempDir,
    host: Arc<Host>,
}

impl Module {
    /// Takes a built operation in, and hears what it says of itself.
    pub(super) fn take_in(host: &Arc<Host>, name: &str, revision: &str, library: &[u8]) -> Result<Revision, String> {
        let failed = |error: io::Error| format!("{}: {error}", host.folder().display());
        let folder = tempfile::Builder::new().prefix(name).tempdir_in(host.folder()).map_err(failed)?;
        fs::write(folder.path().join("operation.so"), library).map_err(failed)?;
        let module =
            Module { operation: format!("imgflo:{}", in_gegl(name, revision)), folder, host: Arc::clone(host) };
        let request = gegl::Request::DescribeModule(module.loaded());
        let answer = module.children().lease(&|| false).and_then(|mut child| {
            let gegl::Reply { modules, answer } = child.call(&request, &[], &|| false)?;
            if modules > MOST_LOADED {
                child.retire();
            }
            Ok(answer)
        });
        let gegl::Answer::Operation(description) = answer.map_err(told)? else {
            return Err("GEGL answered something else than a description".into());
        };
        check(&description)?;
        // The name in GEGL is another for each revision.
        let description = gegl::Operation { name: name.to_owned(), aliases: Vec::new(), ..description };
        let text = serde_json::to_string(&description).map_err(|error| error.to_string())?;
        let info = kept(text, || crate::gegl::info(format!("{LIBRARY}/{name}"), description));
        let operation = Arc::new(OnGegl { info, revision: revision.to_owned() });
        Ok(Revision { operation, module: Some(Arc::new(module)) })
    }

    /// What a child loads.
    pub fn loaded(&self) -> gegl::Module {
        gegl::Module { folder: self.folder.path().to_owned(), operation: self.operation.clone() }
    }

    /// The name that this revision has in GEGL.
    pub fn operation(&self) -> &str {
        &self.operation
    }

    /// The children that may load it.
    pub fn children(&self) -> &Pool {
        &self.host.gegl
    }

    /// True when it was written live.
    pub fn is_live(&self) -> bool {
        self.host.live
    }
}

/// A revision as it is in all the names that it has in GEGL.
pub(super) fn in_gegl(name: &str, revision: &str) -> String {
    format!("{name}-{revision}")
}

fn told(error: HostError) -> String {
    match error {
        error @ HostError::Start(_) => format!("GEGL {error}"),
        error => not_described(error),
    }
}

/// A revision of an operation for GEGL; what there is to it is in its [`Module`].
#[derive(Debug)]
struct OnGegl {
    info: &'static Info,
    revision: String,
}

impl Operation for OnGegl {
    fn info(&self) -> &'static Info {
        self.info
    }

    fn revision(&self) -> String {
        self.revision.clone()
    }

    fn prepare(&self, _properties: &Properties) -> Result<Vec<Pass>, OpError> {
        Err(OpError::Failed(format!("{} runs on GEGL only", self.info.name)))
    }
}

/// Says what in a description is not allowed.
fn check(operation: &gegl::Operation) -> Result<(), String> {
    let texts = [&operation.title, &operation.description].into_iter().chain(&operation.categories);
    texts.chain(operation.properties.iter().map(|property| &property.description)).try_for_each(|text| {
        let fits = text.len() <= LONGEST_TEXT;
        if fits { Ok(()) } else { Err(format!("a text of it is longer than {LONGEST_TEXT} bytes")) }
    })?;
    if operation.inputs.len() > MOST_PADS || operation.properties.len() > MOST_PROPERTIES {
        return Err(format!("it has more than {MOST_PADS} inputs or {MOST_PROPERTIES} properties"));
    }
    let names = operation.inputs.iter().chain(operation.properties.iter().map(|property| &property.name));
    names.chain(&operation.categories).try_for_each(|name| is_name(name))?;
    let ports = operation.inputs.iter().map(String::as_str).chain(["output"]);
    let clash = ports.into_iter().find(|port| operation.properties.iter().any(|property| property.name == *port));
    if let Some(port) = clash {
        return Err(format!("there are two ports named '{port}'"));
    }
    operation.properties.iter().try_for_each(|gegl::Property { name, kind, .. }| {
        let fault = match kind {
            gegl::Kind::Number { default, minimum, maximum } => !(minimum <= maximum && default.is_finite()),
            gegl::Kind::Int { minimum, maximum, .. } => minimum > maximum,
            gegl::Kind::Enum { default, values } => {
                values.iter().try_for_each(|value| is_name(value))?;
                values.len() > MOST_CHOICES || !values.contains(default)
            }
            gegl::Kind::Color { default } => !default.iter().all(|part| part.is_finite()),
            gegl::Kind::Text { default } => default.len() > LONGEST_TEXT,
            gegl::Kind::Boolean { .. } => false,
        };
        if fault { Err(format!("property '{name}': its range or default is none")) } else { Ok(()) }
    })
}

fn is_name(name: &str) -> Result<(), String> {
    let fits = (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(|c| c.is_ascii_graphic());
    let shown = name.chars().take(LONGEST_NAME).collect::<String>();
    if fits { Ok(()) } else { Err(format!("'{shown}' is no name of at most {LONGEST_NAME} letters, digits and signs")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(kind: gegl::Kind) -> gegl::Operation {
        let property = gegl::Property { name: "amount".into(), description: String::new(), kind, is_length: false };
        gegl::Operation {
            name: "imgflo:fade".into(),
            aliases: Vec::new(),
            title: "Fade".into(),
            description: "Fades.".into(),
            categories: vec!["color".into()],
            inputs: vec!["input".into()],
            properties: vec![property],
        }
    }

    #[test]
    fn what_a_child_says_is_checked() {
        let number = |default, minimum, maximum| described(gegl::Kind::Number { default, minimum, maximum });
        let right = number(0.5, 0.0, f64::INFINITY);
        assert_eq!(check(&right), Ok(()));
        let named = |name: &str| {
            let mut named = right.clone();
            named.properties[0].name = name.into();
            named
        };
        let values = |default: &str| gegl::Kind::Enum { default: default.into(), values: vec!["up".into()] };
        for (wrong, told) in [
            (number(f64::NAN, 0.0, 1.0), "its range or default is none"),
            (number(0.0, f64::NAN, 1.0), "its range or default is none"),
            (number(0.0, 1.0, 0.0), "its range or default is none"),
            (described(gegl::Kind::Int { default: 0, minimum: 1, maximum: 0 }), "its range or default is none"),
            (described(values("down")), "its range or default is none"),
            (described(gegl::Kind::Text { default: "x".repeat(1001) }), "its range or default is none"),
            (named("input"), "two ports named 'input'"),
            (named("output"), "two ports named 'output'"),
            (named("a b"), "'a b' is no name"),
            (named(&"x".repeat(65)), "is no name"),
            (gegl::Operation { title: "x".repeat(1001), ..right.clone() }, "longer than 1000 bytes"),
            (gegl::Operation { inputs: vec!["x".into(); 9], ..right.clone() }, "more than 8 inputs"),
            (gegl::Operation { properties: vec![right.properties[0].clone(); 65], ..right.clone() }, "64 properties"),
        ] {
            let fault = check(&wrong).expect_err(told);
            assert!(fault.contains(told), "{fault}");
        }
        assert_eq!(check(&described(values("up"))), Ok(()));
    }
}
