//! Chains of point passes and conversions, run row by row so that pixels stay in the cache.

mod table;

use std::cell::Cell;
use std::sync::OnceLock;

use imgflo_ops::format::{Source, Target, convert_in_place, convert_row};
use imgflo_ops::{Alpha, Depth, Format, Image, Point, Rect, Tile, View};

use table::Table;

/// One link of a chain. Conversions to or from 8 bits stand only at its ends.
#[derive(Debug)]
pub(crate) enum Stage {
    /// From one format to another.
    Convert { from: Format, to: Format },
    /// A point pass of process `node`; `bounds` is the box of the picture it is part of.
    Point { point: Box<dyn Point>, node: usize, bounds: Rect },
}

impl Stage {
    /// Work a pixel, where copying one is 1.
    pub fn weight(&self) -> f32 {
        match self {
            Stage::Convert { .. } => 1.0,
            Stage::Point { point, .. } => point.weight(),
        }
    }
}

/// Stages that run one after another on the same pixels.
#[derive(Debug)]
pub(crate) struct Chain {
    pub stages: Vec<Stage>,
    /// What it makes of bytes, where that can be tabulated; made when it first runs.
    table: OnceLock<Option<Box<Table>>>,
}

impl Chain {
    pub fn new(stages: Vec<Stage>) -> Self {
        Chain { stages, table: OnceLock::new() }
    }

    fn table(&self, at: &Cell<usize>) -> Option<&Table> {
        self.table.get_or_init(|| Table::of(&self.stages, at).map(Box::new)).as_deref()
    }
}

/// How pixels lie in memory. Formats of one layout can share a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    Rgb8,
    Rgba8,
    Float,
}

pub(crate) fn layout(format: Format) -> Layout {
    match (format.depth, format.alpha) {
        (Depth::U8, Alpha::None) => Layout::Rgb8,
        (Depth::U8, _) => Layout::Rgba8,
        (Depth::F32, _) => Layout::Float,
    }
}

/// The same pixels under the name of another format of the same layout.
pub(crate) fn renamed(image: Image, format: Format) -> Image {
    let rect = image.rect();
    match image.into_pixels() {
        imgflo_ops::Pixels::Rgb8(pixels) => Image::from_rgb8(rect, pixels),
        imgflo_ops::Pixels::Rgba8(pixels) => Image::from_rgba8(rect, pixels),
        imgflo_ops::Pixels::Float(pixels) => Image::from_float(rect, format, pixels),
    }
}

/// Runs one chain over rows, with a row of memory of its own.
pub(crate) struct Runner<'c> {
    stages: &'c [Stage],
    table: Option<&'c Table>,
    from: Format,
    to: Format,
    row: Vec<[f32; 4]>,
    /// Is set to the process at work, so that a panic can be told to be its.
    at: &'c Cell<usize>,
}

impl<'c> Runner<'c> {
    /// For a chain that reads `from` and leaves `to`.
    pub fn new(chain: &'c Chain, from: Format, to: Format, at: &'c Cell<usize>) -> Self {
        Runner { stages: &chain.stages, table: chain.table(at), from, to, row: Vec::new(), at }
    }

    /// All rows of `tile` from the same places of `view`.
    pub fn run(&mut self, view: &View<'_>, tile: &mut Tile<'_>) {
        let rect = tile.rect();
        for y in rows(rect) {
            let src = view.source(rect.x, y, rect.width);
            if let Some(table) = self.table {
                table.map(src, tile.target(rect.x, y, rect.width));
                continue;
            }
            if let [] | [Stage::Convert { .. }] = self.stages {
                convert_row(self.from, src, self.to, tile.target(rect.x, y, rect.width));
                continue;
            }
            match tile.target(rect.x, y, rect.width) {
                // Floats are worked on where they end up.
                Target::Float(row) => {
                    let rest = load(self.stages, self.from, src, row);
                    work(rest, rect.x, y, row, self.at);
                }
                dst => {
                    self.row.resize(rect.width as usize, [0.0; 4]);
                    let rest = load(self.stages, self.from, src, &mut self.row);
                    self.finish(rest, rect.x, y, dst);
                }
            }
        }
    }

    /// All rows of `tile`, each in place. The first format and the last have one layout.
    pub fn run_in_place(&mut self, tile: &mut Tile<'_>) {
        if self.stages.is_empty() {
            return;
        }
        let rect = tile.rect();
        for y in rows(rect) {
            if let Some(table) = self.table {
                table.map_in_place(tile.target(rect.x, y, rect.width));
                continue;
            }
            let src = match tile.target(rect.x, y, rect.width) {
                Target::Float(row) => {
                    work(self.stages, rect.x, y, row, self.at);
                    continue;
                }
                Target::Rgb8(row) => Source::Rgb8(row),
                Target::Rgba8(row) => Source::Rgba8(row),
            };
            self.row.resize(rect.width as usize, [0.0; 4]);
            let rest = load(self.stages, self.from, src, &mut self.row);
            self.finish(rest, rect.x, y, tile.target(rect.x, y, rect.width));
        }
    }

    /// The rest of the chain on the row at hand, and out to 8 bits.
    fn finish(&mut self, rest: &[Stage], x: i32, y: i32, dst: Target<'_>) {
        let (last, middle) = match rest.split_last() {
            Some((Stage::Convert { from, to }, middle)) if to.depth == Depth::U8 => (*from, middle),
            _ => unreachable!("a chain that ends in 8 bits ends in a conversion"),
        };
        work(middle, x, y, &mut self.row, self.at);
        convert_row(last, Source::Float(&self.row), self.to, dst);
    }
}

fn rows(rect: Rect) -> impl Iterator<Item = i32> {
    (0..rect.height).map(move |row| (i64::from(rect.y) + i64::from(row)) as i32)
}

/// Puts a row into floats, by the chain's first conversion where there is one; the stages left.
fn load<'c>(stages: &'c [Stage], from: Format, src: Source<'_>, row: &mut [[f32; 4]]) -> &'c [Stage] {
    if let [Stage::Convert { from, to }, rest @ ..] = stages
        && to.depth == Depth::F32
    {
        convert_row(*from, src, *to, Target::Float(row));
        return rest;
    }
    convert_row(from, src, from, Target::Float(row));
    stages
}

/// Runs stages on a row of floats.
fn work(stages: &[Stage], x: i32, y: i32, row: &mut [[f32; 4]], at: &Cell<usize>) {
    for stage in stages {
        match stage {
            Stage::Convert { from, to } => convert_in_place(*from, *to, row),
            Stage::Point { point, node, bounds } => {
                at.set(*node);
                point.apply(row, x, y, *bounds);
            }
        }
    }
}
