//! Operations in child processes, as graphs see them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use imgflo_host::{Fault, HostError, Lease};
use imgflo_ops::c::{Description, Given, Margins, Shape};
use imgflo_ops::{
    Area, Boxes, Cancel, Format, Formats, Info, OpError, Operation, Pass, Properties, Rect, Split, Tile, View,
};

use super::host::{Built, Host, ask, not_described};
use super::message::{Answer, Request};

/// Bytes of output in one call, where a row is no more: what goes to a child and back stays in the processor's cache.
const PIECE: u64 = 2 << 20;
/// Rows below which a band should not be cut: going to a child and back takes a fraction of a millisecond.
const FEWEST_ROWS: u32 = 32;
/// Work a pixel, where the operation says none.
const WEIGHT: f32 = 40.0;

/// `name` is the component: `c/glow`.
fn failed(error: HostError, name: &str, cancel: &Cancel) -> OpError {
    match error {
        HostError::Fault(fault) => OpError::Failed(fault.message),
        HostError::Stopped => cancel.check().err().unwrap_or(OpError::Cancelled),
        error => OpError::Failed(format!("the operation {name} {error}")),
    }
}

/// What an operation shares with the passes made of it: they keep its library.
#[derive(Debug)]
struct Shared {
    description: Description,
    built: Built,
    host: Arc<Host>,
}

/// An operation in child processes: one revision of it.
#[derive(Debug)]
pub(super) struct Hosted {
    info: &'static Info,
    revision: String,
    shared: Arc<Shared>,
}

impl Hosted {
    /// Takes a built operation in, and hears what it says of itself.
    pub fn take_in(host: &Arc<Host>, name: &str, revision: &str, library: &[u8]) -> Result<Hosted, String> {
        // Two of one name and revision may be there at once, each with a file of its own.
        let failed = |error: io::Error| format!("{}: {error}", host.folder().display());
        let file = tempfile::Builder::new().prefix(name).suffix(".so").tempfile_in(host.folder());
        let file = file.map_err(failed)?.into_temp_path().keep().map_err(|error| error.to_string())?;
        let built = Built(file);
        fs::write(&built.0, library).map_err(failed)?;
        let never = || false;
        let mut lease = host.pool.lease(&never).map_err(|error| error.to_string())?;
        let request = Request::Describe { library: built.0.clone() };
        let Answer::Description(description) = ask(&mut lease, &request, &[], &never).map_err(not_described)? else {
            return Err("the operation answered something else than its description".into());
        };
        description.check(name)?;
        let text = serde_json::to_string(&description).map_err(|error| error.to_string())?;
        Ok(Hosted {
            info: kept(text, || description.keep()),
            revision: revision.to_owned(),
            shared: Arc::new(Shared { description, built, host: Arc::clone(host) }),
        })
    }
}

impl Operation for Hosted {
    fn info(&self) -> &'static Info {
        self.info
    }

    fn revision(&self) -> String {
        self.revision.clone()
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        let description = &self.shared.description;
        let values = self.info.properties.iter().enumerate().filter_map(|(index, property)| {
            let (_, value) = properties.iter().find(|(name, _)| *name == property.name)?;
            Some(description.give(index, value))
        });
        let values = values.collect::<Vec<_>>();
        let (mut margins, mut bounds) = (Margins::default(), Rect::INFINITE);
        if description.margins || description.bounds {
            let cancel = Cancel::new();
            let never = || false;
            let request = Request::Measure { library: self.shared.built.0.clone(), values: values.clone() };
            let failed = |error| failed(error, self.info.name, &cancel);
            let mut lease = self.shared.host.pool.lease(&never).map_err(failed)?;
            let answer = ask(&mut lease, &request, &[], &never).map_err(failed)?;
            let Answer::Measured { margins: around, bounds: covered } = answer else {
                return Err(OpError::Failed("the operation answered something else than its margins".into()));
            };
            // A child may say anything.
            margins = around.check().map_err(OpError::Failed)?;
            bounds = covered.intersect(&Rect::INFINITE);
        }
        Ok(vec![Pass::Area(Box::new(Bands {
            name: self.info.name,
            shared: Arc::clone(&self.shared),
            values,
            margins,
            bounds,
        }))])
    }
}

/// An operation with its values: a pass that is made band by band.
#[derive(Debug)]
struct Bands {
    /// The component.
    name: &'static str,
    shared: Arc<Shared>,
    values: Vec<Given>,
    margins: Margins,
    /// Of a source.
    bounds: Rect,
}

impl Bands {
    fn shape(&self) -> Shape {
        self.shared.description.shape
    }

    /// Renders one piece of a band.
    fn piece(
        &self,
        lease: &mut Lease<'_>,
        inputs: &[Option<View<'_>>],
        whole: Rect,
        region: Rect,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), HostError> {
        let around = self.margins.around(region);
        let views = inputs.iter().flatten();
        let parts = views.map(|view| (view, around.intersect(&view.rect()))).collect::<Vec<_>>();
        // An input is in the shared memory, and in the child with its margins; the output is in both, too.
        let bytes = parts.iter().map(|(_, part)| part.area() + around.area()).sum::<u64>() * 16 + region.area() * 32;
        if bytes > self.shared.host.memory / 2 {
            let memory = self.shared.host.memory;
            let message = format!(
                "{bytes} bytes for the rows that the operation reads at once are more than half of {memory} (IMGFLO_CHILD_MEMORY)"
            );
            return Err(Fault::failed(message).into());
        }
        let mut pixels: Vec<&[u8]> = Vec::new();
        for (view, part) in &parts {
            if part.is_empty() {
                continue;
            }
            let from = (i64::from(part.x) - i64::from(view.rect().x)) as usize;
            pixels.extend(rows(*part).map(|y| bytemuck::cast_slice(&view.row(y)[from..from + part.width as usize])));
        }
        let request = Request::Render {
            library: self.shared.built.0.clone(),
            values: self.values.clone(),
            whole,
            inputs: parts.iter().map(|(_, part)| *part).collect(),
            region,
        };
        match ask(lease, &request, &pixels, stop)? {
            Answer::Rendered => Ok(()),
            _ => Err(HostError::Garbage("it is about something else than pixels".into())),
        }
    }
}

impl Area for Bands {
    fn formats(&self, inputs: &[Option<Format>]) -> Formats {
        let opaque = inputs.iter().flatten().all(|format| !format.has_alpha());
        let description = &self.shared.description;
        let output = description.format(opaque && !inputs.is_empty());
        // What is beyond the second input is transparent.
        Formats { inputs: [output, description.format(false)], output }
    }

    fn bounds(&self, boxes: Boxes<'_>) -> Result<Rect, OpError> {
        match self.shape() {
            Shape::Source => Ok(self.bounds),
            _ => boxes.inputs.first().copied().flatten().ok_or(OpError::MissingInput("input")),
        }
    }

    fn needed(&self, _pad: usize, region: Rect, _boxes: Boxes<'_>) -> Rect {
        self.margins.around(region)
    }

    fn split(&self) -> Split {
        // Bands are made for themselves, not in the small tiles of whoever reads them.
        Split::Rows
    }

    fn fewest_rows(&self) -> u32 {
        // Margins are read again by every band.
        FEWEST_ROWS.max(self.margins.top + self.margins.bottom)
    }

    fn weight(&self) -> f32 {
        let weight = self.shared.description.weight;
        if weight > 0.0 { weight } else { WEIGHT }
    }

    fn render(
        &self,
        inputs: &[Option<View<'_>>],
        boxes: Boxes<'_>,
        output: &mut Tile<'_>,
        cancel: &Cancel,
    ) -> Result<(), OpError> {
        let stop = || cancel.check().is_err();
        let whole = self.bounds(boxes)?;
        let rect = output.rect();
        let opaque = !output.format().has_alpha();
        let failed = |error| failed(error, self.name, cancel);
        let mut lease = self.shared.host.pool.lease(&stop).map_err(failed)?;
        // Margins are read again by every piece: no more of them than of what is made.
        let fitting = PIECE / (u64::from(rect.width) * 16).max(1);
        let fewest = (self.margins.top + self.margins.bottom).max(1);
        let height = u32::try_from(fitting).unwrap_or(u32::MAX).max(fewest);
        for top in (0..rect.height).step_by(height as usize) {
            let y = (i64::from(rect.y) + i64::from(top)) as i32;
            let region = Rect { y, height: height.min(rect.height - top), ..rect };
            self.piece(&mut lease, inputs, whole, region, &stop).map_err(failed)?;
            let mut at = 0;
            for y in rows(region) {
                let row = output.row_mut(y);
                let bytes: &mut [u8] = bytemuck::cast_slice_mut(row);
                lease.read(bytes, at).map_err(failed)?;
                at += bytes.len() as u64;
                for pixel in row {
                    *pixel = pixel.map(|component| if component.is_finite() { component } else { 0.0 });
                    if opaque {
                        pixel[3] = 1.0;
                    }
                }
            }
        }
        Ok(())
    }
}

/// A description as a catalogue has it: made once, however many revisions have the same `text`.
pub(super) fn kept(text: String, make: impl FnOnce() -> &'static Info) -> &'static Info {
    static KEPT: Mutex<BTreeMap<String, &'static Info>> = Mutex::new(BTreeMap::new());
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    kept.entry(text).or_insert_with(make)
}

fn rows(rect: Rect) -> impl Iterator<Item = i32> {
    (0..rect.height).map(move |row| (i64::from(rect.y) + i64::from(row)) as i32)
}
