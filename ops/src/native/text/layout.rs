//! From a text to outlines of letters on pixels.

use std::collections::HashMap;

use ab_glyph_rasterizer::{Point, Rasterizer, point};
use cosmic_text::fontdb::Query;
use cosmic_text::skrifa::outline::{DrawSettings, OutlinePen};
use cosmic_text::skrifa::prelude::Size;
use cosmic_text::skrifa::{FontRef, GlyphId, MetadataProvider, Tag};
use cosmic_text::{Align, Attrs, Buffer, FontSystem, Hinting, LayoutGlyph, Metrics, Shaping, Wrap};

use super::fonts;
use crate::{Cancel, OpError, Rect, Tile};

/// Most pixels of the box of one letter. The largest of common fonts have a tenth of it.
const LARGEST: u64 = 1 << 26;

/// What is to be drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub text: &'a str,
    pub font: &'a str,
    /// Pixels.
    pub size: f32,
    /// Width of lines, pixels.
    pub wrap: Option<u32>,
    /// 0 left, 1 in the middle, 2 right.
    pub alignment: i64,
}

/// Letters and where they stand.
#[derive(Debug, Default)]
pub(super) struct Drawing {
    /// Each letter once.
    outlines: Vec<Outline>,
    /// Of each letter of the text its outline, and where it stands.
    letters: Vec<(usize, i32, i32)>,
    /// Height of all lines, pixels.
    pub height: u32,
}

/// A letter around (0, 0), y downwards.
#[derive(Debug)]
struct Outline {
    rect: Rect,
    curves: Vec<Curve>,
}

#[derive(Clone, Copy, Debug)]
enum Curve {
    Line([Point; 2]),
    Quadratic([Point; 3]),
    Cubic([Point; 4]),
}

impl Curve {
    fn points(&self) -> &[Point] {
        match self {
            Curve::Line(points) => points,
            Curve::Quadratic(points) => points,
            Curve::Cubic(points) => points,
        }
    }
}

/// Sets a text.
///
/// # Errors
/// [`OpError::Invalid`] for a letter that is too large.
pub(super) fn draw(request: &Request<'_>) -> Result<Drawing, OpError> {
    // Less than this nobody sees, and fonts cannot be scaled to nothing.
    if request.size < 0.01 || request.text.is_empty() {
        return Ok(Drawing::default());
    }
    fonts::with(request.font, request.text, |fonts, attributes| set(request, fonts, attributes))
}

fn set(request: &Request<'_>, fonts: &mut FontSystem, attributes: &Attrs<'_>) -> Result<Drawing, OpError> {
    let size = request.size;
    let (ascent, descent) = extents(fonts, attributes, size);
    let line = (ascent + descent).max(1.0);
    let alignment = match request.alignment {
        1 => Align::Center,
        2 => Align::Right,
        _ => Align::Left,
    };
    let mut buffer = Buffer::new_empty(Metrics::new(size, line));
    buffer.set_hinting(Hinting::Enabled);
    buffer.set_wrap(if request.wrap.is_some() { Wrap::Word } else { Wrap::None });
    buffer.set_size(request.wrap.map(|width| width.max(1) as f32), None);
    buffer.set_text(request.text, attributes, Shaping::Advanced, Some(alignment));
    buffer.shape_until_scroll(fonts, false);
    if request.wrap.is_none() {
        // Lines stand by the widest.
        let width = buffer.layout_runs().map(|run| run.line_w).fold(1.0, f32::max).ceil();
        buffer.set_size(Some(width), None);
        buffer.shape_until_scroll(fonts, false);
    }
    let mut drawing = Drawing::default();
    let mut known = HashMap::new();
    let mut lines = 0;
    for run in buffer.layout_runs() {
        let baseline = lines as f32 * line + ascent;
        lines += 1;
        for glyph in run.glyphs {
            let outline = *known.entry((glyph.font_id, glyph.glyph_id, glyph.font_weight)).or_insert_with(|| {
                drawing.outlines.push(Outline::of(glyph, size, fonts).unwrap_or_default());
                drawing.outlines.len() - 1
            });
            let x = glyph.x + size * glyph.x_offset;
            let y = baseline + glyph.y - size * glyph.y_offset;
            drawing.letters.push((outline, x.round() as i32, y.round() as i32));
        }
    }
    drawing.height = (lines as f32 * line) as u32;
    if let Some(rect) = drawing.outlines.iter().map(|outline| outline.rect).find(|rect| rect.area() > LARGEST) {
        let (width, height) = (rect.width, rect.height);
        return Err(OpError::Invalid(format!("a letter of {width} x {height} pixels has more than {LARGEST} pixels")));
    }
    Ok(drawing)
}

/// How far a font reaches above and below its baseline, whole pixels.
fn extents(fonts: &mut FontSystem, attributes: &Attrs<'_>, size: f32) -> (f32, f32) {
    let Attrs { family, weight, style, stretch, .. } = *attributes;
    let face = fonts.db().query(&Query { families: &[family], weight, stretch, style });
    let font = face.and_then(|id| fonts.get_font(id, weight));
    // As many fonts have it.
    font.map_or(((0.93 * size).ceil(), (0.24 * size).ceil()), |font| {
        let metrics = font.metrics();
        let scale = size / f32::from(metrics.units_per_em.max(1));
        ((metrics.ascent * scale).ceil(), (-metrics.descent * scale).ceil())
    })
}

impl Default for Outline {
    /// Of a letter that has none, as a space.
    fn default() -> Self {
        Outline { rect: Rect::default(), curves: Vec::new() }
    }
}

impl Outline {
    fn of(glyph: &LayoutGlyph, size: f32, fonts: &mut FontSystem) -> Option<Outline> {
        let font = fonts.get_font(glyph.font_id, glyph.font_weight)?;
        let index = fonts.db().face(glyph.font_id)?.index;
        let font = FontRef::from_index(font.data(), index).ok()?;
        let location = font.axes().location([(Tag::new(b"wght"), f32::from(glyph.font_weight.0))]);
        let mut pen = Pen::default();
        let settings = DrawSettings::unhinted(Size::new(size), &location);
        font.outline_glyphs().get(GlyphId::from(glyph.glyph_id))?.draw(settings, &mut pen).ok()?;
        pen.close();
        let points = || pen.curves.iter().flat_map(Curve::points);
        let least = |of: fn(&Point) -> f32| points().map(of).fold(f32::INFINITY, f32::min).floor() as i64;
        let most = |of: fn(&Point) -> f32| points().map(of).fold(f32::NEG_INFINITY, f32::max).ceil() as i64;
        let rect = Rect::from_edges(least(|p| p.x), least(|p| p.y), most(|p| p.x), most(|p| p.y));
        (!rect.is_empty()).then_some(Outline { rect, curves: pen.curves })
    }

    /// How much of each pixel of its box it covers, row by row.
    fn coverage(&self) -> Vec<f32> {
        let Rect { x, y, width, height } = self.rect;
        let (width, height) = (width as usize, height as usize);
        // What ends at the right side is counted beside it.
        let mut rasterizer = Rasterizer::new(width + 1, height);
        let at = |p: Point| point(p.x - x as f32, p.y - y as f32);
        for curve in &self.curves {
            match *curve {
                Curve::Line([a, b]) => rasterizer.draw_line(at(a), at(b)),
                Curve::Quadratic([a, b, c]) => rasterizer.draw_quad(at(a), at(b), at(c)),
                Curve::Cubic([a, b, c, d]) => rasterizer.draw_cubic(at(a), at(b), at(c), at(d)),
            }
        }
        let mut coverage = vec![0.0; width * height];
        rasterizer.for_each_pixel_2d(|x, y, covered| {
            if (x as usize) < width {
                coverage[y as usize * width + x as usize] = covered.clamp(0.0, 1.0);
            }
        });
        coverage
    }
}

impl Drawing {
    /// The same, lower.
    pub fn moved(mut self, down: i32) -> Self {
        for (_, _, y) in &mut self.letters {
            *y += down;
        }
        self
    }

    fn placed(&self, (outline, x, y): (usize, i32, i32)) -> Rect {
        let rect = self.outlines[outline].rect;
        Rect { x: rect.x + x, y: rect.y + y, ..rect }
    }

    /// The box of all that is to be seen.
    pub fn bounds(&self) -> Rect {
        let seen = self.letters.iter().map(|letter| self.placed(*letter)).filter(|rect| !rect.is_empty());
        seen.reduce(|all, rect| all.union(&rect)).unwrap_or_default()
    }

    /// Bytes that the largest letter takes while it is drawn.
    pub fn working_memory(&self) -> u64 {
        self.outlines.iter().map(|outline| outline.rect.area() * 8).max().unwrap_or(0)
    }

    /// Adds to the alpha of `output` how much of each pixel is covered.
    pub fn cover(&self, output: &mut Tile<'_>, cancel: &Cancel) -> Result<(), OpError> {
        for (index, outline) in self.outlines.iter().enumerate() {
            let seen = self.letters.iter().filter(|letter| letter.0 == index).filter_map(|letter| {
                let rect = self.placed(*letter);
                let part = rect.intersect(&output.rect());
                (!part.is_empty()).then_some((rect, part))
            });
            let seen = seen.collect::<Vec<_>>();
            cancel.check()?;
            if seen.is_empty() {
                continue;
            }
            let coverage = outline.coverage();
            for (rect, part) in seen {
                cancel.check()?;
                let left = (part.x - rect.x) as usize;
                let to = (part.x - output.rect().x) as usize;
                for y in part.y..part.y + part.height as i32 {
                    let from = (y - rect.y) as usize * rect.width as usize + left;
                    let covered = &coverage[from..from + part.width as usize];
                    let row = &mut output.row_mut(y)[to..to + part.width as usize];
                    for (pixel, covered) in row.iter_mut().zip(covered) {
                        pixel[3] += covered * (1.0 - pixel[3]);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Takes curves from a font, whose y grows upwards.
#[derive(Debug, Default)]
struct Pen {
    curves: Vec<Curve>,
    start: Point,
    at: Point,
}

impl OutlinePen for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        self.close();
        self.start = point(x, -y);
        self.at = self.start;
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let to = point(x, -y);
        self.curves.push(Curve::Line([self.at, to]));
        self.at = to;
    }

    fn quad_to(&mut self, cx: f32, cy: f32, x: f32, y: f32) {
        let to = point(x, -y);
        self.curves.push(Curve::Quadratic([self.at, point(cx, -cy), to]));
        self.at = to;
    }

    fn curve_to(&mut self, cx: f32, cy: f32, dx: f32, dy: f32, x: f32, y: f32) {
        let to = point(x, -y);
        self.curves.push(Curve::Cubic([self.at, point(cx, -cy), point(dx, -dy), to]));
        self.at = to;
    }

    fn close(&mut self) {
        if self.at != self.start {
            self.curves.push(Curve::Line([self.at, self.start]));
        }
        self.at = self.start;
    }
}
