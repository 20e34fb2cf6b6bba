//! Whether a graph may take the place of another: by the pictures that both make of samples.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use imgflo_ops::codec::{self, DecodeLimits, FileFormat};
use imgflo_ops::{Cancel, Image, OpError};

use crate::{
    Catalogue, Control, Distance, Engine, ImageGraph, InputShape, Plan, PlanLimits, RuntimeKind, distance, read_input,
};

/// Sides of the picture of a graph that makes one of its own and is not told how large.
const OWN_SIDE: u32 = 512;

/// What renders graphs to compare their pictures, and within which limits.
#[derive(Clone, Copy)]
pub struct Renderer<'r> {
    /// The operations.
    pub catalogue: &'r Catalogue,
    /// What renders plans.
    pub engine: &'r dyn Engine,
    /// What an input must keep.
    pub decode: DecodeLimits,
    /// What a plan must keep.
    pub plan: PlanLimits,
    /// Most bytes of a sample's file.
    pub max_file_bytes: u64,
    /// Most samples.
    pub max_samples: usize,
}

/// What a graph makes of an input.
#[derive(Clone, Debug, PartialEq)]
pub enum Picture {
    /// A picture.
    Image(Image),
    /// None, and why.
    None(String),
}

/// The pictures that two graphs make of one sample, compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// The sample's file name; empty for the picture of graphs without input.
    pub sample: String,
    /// How they differ.
    pub difference: Difference,
}

/// How two pictures differ.
#[derive(Clone, Debug, PartialEq)]
pub enum Difference {
    /// They are of one size.
    Distance(Distance),
    /// They are not: width and height of both, pixels.
    Size([(u32, u32); 2]),
    /// At least one of the graphs makes none, and why.
    Picture(String),
}

impl Difference {
    /// Whether it is none that is larger than `limit`, on the scale of [`Distance::largest`].
    pub fn is_within(&self, limit: f64) -> bool {
        matches!(self, Difference::Distance(distance) if distance.largest <= limit)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Distance(distance) => distance.fmt(f),
            Difference::Size([(w, h), (width, height)]) => write!(f, "{w} x {h} pixels became {width} x {height}"),
            Difference::Picture(why) => f.write_str(why),
        }
    }
}

/// Why graphs could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// There is no sample to compare them by.
    #[error("{0}: there is no picture in it (.jpg, .png, .webp or .gif)")]
    Empty(PathBuf),
    /// There are too many.
    #[error("{path}: {count} pictures are more than the limit of {limit}")]
    TooMany {
        /// The folder.
        path: PathBuf,
        /// How many there are.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// A sample cannot be read.
    #[error("{path}: {message}")]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// The work was cancelled, or ran past its deadline.
    #[error("{0}")]
    Stopped(OpError),
}

/// Compares the pictures that `old` and `new` make of each sample: the pictures in the folder `samples`, in
/// the order of their names, at their own size, with the defaults of each graph. Of two graphs without input
/// there is one picture each, and no sample is looked at.
///
/// # Errors
/// [`SampleError`]; soon after `cancel` says so.
pub fn check(
    old: &ImageGraph,
    new: &ImageGraph,
    samples: &Path,
    renderer: &Renderer<'_>,
    cancel: &Cancel,
) -> Result<Vec<Compared>, SampleError> {
    let given = BTreeMap::new();
    let compare = |sample: String, input: Option<&[u8]>| {
        let old = renderer.picture(old, &given, input, cancel)?;
        let new = renderer.picture(new, &given, input, cancel)?;
        Ok(Compared { sample, difference: difference(&old, &new, cancel)? })
    };
    if !old.takes_input() && !new.takes_input() {
        return Ok(vec![compare(String::new(), None)?]);
    }
    let files = renderer.files(samples)?;
    let each = files.into_iter().map(|path| {
        let bytes = renderer.read(&path)?;
        compare(path.file_name().unwrap_or_default().to_string_lossy().into_owned(), Some(&bytes))
    });
    each.collect()
}

/// How two pictures differ.
///
/// # Errors
/// When `cancel` says so.
pub fn difference(old: &Picture, new: &Picture, cancel: &Cancel) -> Result<Difference, SampleError> {
    let (old, new) = match (old, new) {
        (Picture::Image(old), Picture::Image(new)) => (old, new),
        (Picture::None(why), _) => return Ok(Difference::Picture(format!("there was no picture: {why}"))),
        (_, Picture::None(why)) => return Ok(Difference::Picture(format!("there is no picture any more: {why}"))),
    };
    let size = |image: &Image| (image.rect().width, image.rect().height);
    let distance = distance(old, new, cancel).map_err(SampleError::Stopped)?;
    Ok(distance.map_or_else(|| Difference::Size([size(old), size(new)]), Difference::Distance))
}

impl Renderer<'_> {
    /// What `graph` makes of the file `input`, with the parameters `given`. A graph without input ignores it, and
    /// makes a picture of 512 × 512 pixels unless told otherwise.
    ///
    /// # Errors
    /// [`SampleError::Stopped`] only: a picture that cannot be made is [`Picture::None`].
    pub fn picture(
        &self,
        graph: &ImageGraph,
        given: &BTreeMap<String, String>,
        input: Option<&[u8]>,
        cancel: &Cancel,
    ) -> Result<Picture, SampleError> {
        let image = self.render(graph, given, input, cancel);
        cancel.check().map_err(SampleError::Stopped)?;
        Ok(image.map_or_else(Picture::None, Picture::Image))
    }

    fn render(
        &self,
        graph: &ImageGraph,
        given: &BTreeMap<String, String>,
        input: Option<&[u8]>,
        cancel: &Cancel,
    ) -> Result<Image, String> {
        let told = |error: &dyn fmt::Display| error.to_string();
        let input = input.filter(|_| graph.takes_input());
        if graph.runtime() == RuntimeKind::Noop {
            let bytes = input.ok_or("it needs an input")?;
            return codec::decode(bytes, self.decode, cancel).map_err(|error| told(&error));
        }
        let mut given = given.clone();
        if !graph.takes_input() && !given.contains_key("width") && !given.contains_key("height") {
            given.extend(["width", "height"].map(|name| (name.to_owned(), OWN_SIDE.to_string())));
        }
        let arguments = graph.arguments(&given).map_err(|faults| {
            faults.iter().map(|fault| format!("{}: {}", fault.parameter, fault.message)).collect::<Vec<_>>().join("; ")
        })?;
        let header = input.map(codec::read_header).transpose().map_err(|error| told(&error))?;
        if let Some(header) = &header {
            self.decode.check(header.width, header.height).map_err(|error| told(&error))?;
        }
        let shape = header.as_ref().map(InputShape::from);
        let plan = Plan::new(graph, &arguments, shape, self.catalogue, &self.plan).map_err(|error| told(&error))?;
        let again = |shape| Plan::new(graph, &arguments, Some(shape), self.catalogue, &self.plan).ok();
        let (plan, image) = match input {
            Some(bytes) => {
                let read = read_input(plan, bytes, self.decode, cancel, again).map_err(|error| told(&error))?;
                (read.0, Some(read.1))
            }
            None => (plan, None),
        };
        let control = Control { cancel: cancel.clone(), progress: None };
        self.engine.render(&plan, image, &control).map_err(|error| told(&error))
    }

    /// The pictures of a folder, by name; hidden ones are left alone.
    fn files(&self, folder: &Path) -> Result<Vec<PathBuf>, SampleError> {
        let unreadable = |error: io::Error| SampleError::Unreadable { path: folder.into(), message: error.to_string() };
        let is_sample = |path: &PathBuf| {
            let extension =
                path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_lowercase();
            let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            !hidden && FileFormat::from_extension(&extension).is_some_and(FileFormat::can_decode)
        };
        let entries = fs::read_dir(folder).map_err(unreadable)?.map(|entry| Ok(entry?.path()));
        let paths = entries.collect::<io::Result<Vec<_>>>().map_err(unreadable)?;
        let mut files: Vec<PathBuf> = paths.into_iter().filter(is_sample).collect();
        files.sort();
        match files.len() {
            // Nothing to compare by would let anything pass.
            0 => Err(SampleError::Empty(folder.into())),
            count if count > self.max_samples => {
                Err(SampleError::TooMany { path: folder.into(), count, limit: self.max_samples })
            }
            _ => Ok(files),
        }
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, SampleError> {
        let unreadable = |message: String| SampleError::Unreadable { path: path.into(), message };
        let file = File::open(path).map_err(|error| unreadable(error.to_string()))?;
        let mut bytes = Vec::new();
        let most = self.max_file_bytes.saturating_add(1);
        file.take(most).read_to_end(&mut bytes).map_err(|error| unreadable(error.to_string()))?;
        if bytes.len() as u64 > self.max_file_bytes {
            return Err(unreadable(format!("larger than the limit of {} bytes", self.max_file_bytes)));
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests;
