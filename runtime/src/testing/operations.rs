//! Operations for the tests of this crate.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use imgflo_ops::{
    Alpha, Area, Boxes, Cancel, Color, Depth, Encoding, Format, Formats, Info, Kind, OpError, Operand, Operation, Pad,
    Pass, Point, Properties, Property, Rect, Registry, Split, Tile, View,
};

use crate::Catalogue;

/// Pixels that the counting operations saw, by the `id` a test gives them.
fn counters() -> MutexGuard<'static, HashMap<i64, u64>> {
    static COUNTERS: OnceLock<Mutex<HashMap<i64, u64>>> = OnceLock::new();
    COUNTERS.get_or_init(Mutex::default).lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

pub(crate) fn counted(id: i64) -> u64 {
    counters().get(&id).copied().unwrap_or(0)
}

type Prepare = fn(&Properties) -> Vec<Pass>;

#[derive(Debug)]
struct Test {
    info: &'static Info,
    prepare: Prepare,
}

impl Operation for Test {
    fn info(&self) -> &'static Info {
        self.info
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        Ok((self.prepare)(properties))
    }
}

const AUX: Pad = Pad { name: "aux", required: false };
const BOTH: &[Pad] = &[Pad::INPUT, AUX];
const ONE: &[Pad] = &[Pad::INPUT];

macro_rules! operation {
    ($name:expr, $pads:expr, $properties:expr, $prepare:expr) => {{
        static INFO: Info = Info {
            name: $name,
            aliases: &[],
            categories: &[],
            title: $name,
            description: "For tests",
            inputs: $pads,
            properties: $properties,
            revision: 1,
        };
        Arc::new(Test { info: &INFO, prepare: $prepare }) as Arc<dyn Operation>
    }};
}

const fn number(name: &'static str, default: f64, minimum: f64, maximum: f64) -> Property {
    Property { name, description: "A number", kind: Kind::Number { default, minimum, maximum } }
}

const fn int(name: &'static str, default: i64, minimum: i64, maximum: i64) -> Property {
    Property { name, description: "An int", kind: Kind::Int { default, minimum, maximum } }
}

const WINDOW: &[Property] = &[
    number("x", 0.0, f64::MIN, f64::MAX),
    number("y", 0.0, f64::MIN, f64::MAX),
    number("width", 0.0, f64::MIN, f64::MAX),
    number("height", 0.0, f64::MIN, f64::MAX),
];

fn one(pass: Pass) -> Vec<Pass> {
    vec![pass]
}

fn point(encoding: Encoding, change: fn(f32, f32) -> f32, amount: f64) -> Vec<Pass> {
    one(Pass::Point(Box::new(Change { encoding, change, amount: amount as f32 })))
}

fn area(area: impl Area + 'static) -> Vec<Pass> {
    one(Pass::Area(Box::new(area)))
}

/// The catalogue of test operations.
pub(crate) fn catalogue() -> Catalogue {
    let mut registry = Registry::default();
    static ADD: Info = Info {
        name: "test/add",
        aliases: &["test/plus"],
        categories: &[],
        title: "Add",
        description: "Adds to coded colour",
        inputs: ONE,
        properties: &[number("amount", 0.25, -1.0, 1.0)],
        revision: 3,
    };
    let add: Prepare = |p| point(Encoding::Coded, |c, amount| c + amount, p.number("amount"));
    registry.add(Arc::new(Test { info: &ADD, prepare: add }));
    for operation in [
        operation!("test/light", ONE, &[number("gain", 2.0, 0.0, f64::MAX)], |p| {
            point(Encoding::Linear, |c, gain| c * gain, p.number("gain"))
        }),
        operation!(
            "test/mode",
            ONE,
            &[
                Property {
                    name: "mode",
                    description: "What to do",
                    kind: Kind::Enum { default: "none", values: &["none", "all"] }
                },
                Property { name: "tint", description: "A colour", kind: Kind::Color { default: Color::WHITE } },
                Property { name: "on", description: "A switch", kind: Kind::Boolean { default: false } },
                int("steps", 4, 0, 32),
            ],
            |_| vec![]
        ),
        operation!("test/shift", ONE, &[int("dx", 0, -1000, 1000), int("dy", 0, -1000, 1000)], |p| {
            area(Shift { dx: p.int("dx") as i32, dy: p.int("dy") as i32 })
        }),
        operation!("test/peak", ONE, &[], |_| area(Peak)),
        operation!("test/reach", ONE, &[int("across", 0, 0, 2)], |p| {
            let split = [Split::Rows, Split::Columns, Split::Whole][p.int("across") as usize];
            area(Reach { split })
        }),
        operation!("test/join", BOTH, &[], |_| area(Join)),
        operation!("test/wired", ONE, &[], |_| {
            let join = |inputs: [Operand; 2]| Pass::Wired { area: Box::new(Join), inputs: inputs.to_vec() };
            vec![
                Pass::Area(Box::new(Shift { dx: 3, dy: -2 })),
                join([Operand::Pass(0), Operand::Input(0)]),
                Pass::Area(Box::new(Shift { dx: 1, dy: 1 })),
                join([Operand::Pass(2), Operand::Pass(0)]),
            ]
        }),
        operation!("test/fill", &[], &[int("value", 64, 0, 255), int("id", -1, -1, 1_000_000)], |p| {
            area(Fill { value: p.int("value") as f32 / 255.0, id: p.int("id") })
        }),
        operation!("test/count", ONE, &[int("id", -1, -1, 1_000_000), int("sleep", 0, 0, 100)], |p| {
            area(Count { id: p.int("id"), sleep: p.int("sleep") as u64 })
        }),
        operation!("test/grow", ONE, &[int("by", 1, 0, 1_000_000_000)], |p| area(Grow { by: p.int("by") as u32 })),
        operation!("test/broken", ONE, &[], |_| { point(Encoding::Coded, |_, _| panic!("broken on purpose"), 0.0) }),
        operation!("test/refuse", ONE, &[], |_| area(Refuse)),
        operation!("gegl/crop", BOTH, WINDOW, |p| {
            let [x, y, width, height] = ["x", "y", "width", "height"].map(|name| p.number(name) as i64);
            area(Window { rect: Rect::from_edges(x, y, x + width, y + height) })
        }),
        operation!("imgflo/resize", ONE, &[int("width", 0, 0, 9000), int("height", 0, 0, 9000)], |p| area(Resize {
            width: p.int("width") as f64,
            height: p.int("height") as f64
        })),
    ] {
        registry.add(operation);
    }
    Catalogue::new(registry)
}

fn working(encoding: Encoding, input: Format) -> Format {
    Format { depth: Depth::F32, encoding, alpha: Alpha::Straight }.opaque_like(input)
}

fn coded(inputs: &[Option<Format>]) -> Formats {
    let alpha = inputs.iter().flatten().any(|format| format.has_alpha());
    let format = if alpha { Format::GAM } else { Format::GAM_OPAQUE };
    Formats { inputs: [format; 2], output: format }
}

/// Sets each pixel of a tile from its place.
fn fill(tile: &mut Tile<'_>, pixel: impl Fn(i32, i32) -> [f32; 4]) {
    let rect = tile.rect();
    for y in rect.y..rect.bottom() as i32 {
        for (x, out) in (rect.x..).zip(tile.row_mut(y)) {
            *out = pixel(x, y);
        }
    }
}

#[derive(Debug)]
struct Change {
    encoding: Encoding,
    change: fn(f32, f32) -> f32,
    amount: f32,
}

impl Point for Change {
    fn format(&self, input: Format) -> Format {
        working(self.encoding, input)
    }

    fn apply(&self, row: &mut [[f32; 4]], _x: i32, _y: i32, _bounds: Rect) {
        for [r, g, b, _] in row {
            [*r, *g, *b] = [*r, *g, *b].map(|c| (self.change)(c, self.amount));
        }
    }

    fn weight(&self) -> f32 {
        2.0
    }
}

/// Moves the picture.
#[derive(Debug)]
struct Shift {
    dx: i32,
    dy: i32,
}

impl Area for Shift {
    fn formats(&self, inputs: &[Option<Format>]) -> Formats {
        coded(inputs)
    }

    fn bounds(&self, boxes: Boxes<'_>) -> Result<Rect, OpError> {
        let rect = boxes.inputs[0].unwrap();
        Ok(Rect { x: rect.x + self.dx, y: rect.y + self.dy, ..rect })
    }

    fn passthrough(&self, _boxes: Boxes<'_>) -> Option<usize> {
        (self.dx == 0 && self.dy == 0).then_some(0)
    }

    fn needed(&self, _pad: usize, region: Rect, _boxes: Boxes<'_>) -> Rect {
        Rect { x: region.x - self.dx, y: region.y - self.dy, ..region }
    }

    fn weight(&self) -> f32 {
        1.0
    }

    fn render(
        &self,
        inputs: &[Option<View<'_>>],
        _boxes: Boxes<'_>,
        output: &mut Tile<'_>,
        _cancel: &Cancel,
    ) -> Result<(), OpError> {
        let view = inputs[0].unwrap();
        fill(output, |x, y| view.get(x - self.dx, y - self.dy).unwrap());
        Ok(())
    }
}

/// The largest values in a box.
fn largest(view: View<'_>, rect: Rect) -> [f32; 4] {
    let mut all = [0.0f32; 4];
    for y in rect.y..rect.bottom() as i32 {
        for x in rect.x..rect.right() as i32 {
            let pixel = view.get(x, y).unwrap();
            all = [0, 1, 2, 3].map(|c| all[c].max(pixel[c]));
        }
    }
    all
}

/// The largest of 3 by 3 pixels, of those inside.
#[derive(Debug)]
struct Peak;

impl Area for Peak {
    fn formats(&self, inputs: &[Option<Format>]) -> Formats {
        coded(inputs)
    }

    fn bounds(&self, boxes: Boxes<'_>) -> Result<Rect, OpError> {
        Ok(boxes.inputs[0].unwrap())
    }

    fn needed(&self, _pad: usize, region: Rect, _boxes: Boxes<'_>) -> Rect {
        region.grow(1, 1)
    }

    fn weight(&self) -> f32 {
        9.0
    }

    fn render(
        &self,
        inputs: &[Option<View<'_>>],
        boxes: Boxes<'_>,
        output: &mut Tile<'_>,
        _cancel: &Cancel,
    ) -> Result<(), OpError> {
        let (view, bounds) = (inputs[0].unwrap(), boxes.inputs[0].unwrap());
        fill(output, |x, y| largest(view, Rect::new(x - 1, y - 1, 3, 3).intersect(&bounds)));
        Ok(())
    }
}

/// Each pixel is the largest of its whole row, column or picture.
#[derive(Debug)]
struct Reach {
    split: Split,
}

impl Reach {
    fn all(&self, rect: Rect, bounds: Rect) -> Rect {
        match self.split {
            Split::Rows => Rect { x: bounds.x, width: bounds.width, ..rect },
            Split::Columns => Rect { y: bounds.y, height: bounds.height, ..rect },
            _ => bounds,
        }
    }
}

impl Area for Reach {
    fn formats(&self, inputs: &[Option<Format>]) -> Formats {
        coded(inputs)
    }

    fn bounds(&self, boxes: Boxes<'_>) -> Result<Rect, OpError> {
        Ok(boxes.inputs[0].unwrap())
    }

    fn needed(&self, _pad: usize, region: Rect, boxes: Boxes<'_>) -> Rect {
        self.all(region, boxes.inputs[0].unwrap())
    }

    fn split(&self) -> Split {
        self.split
    }

    fn weight(&self) -> f32 {
        3.0
    }

    fn render(
        &self,
        inputs: &[Option<View<'_>>],
        boxes: Boxes<'_>,
        output: &mut Tile<'_>,
        _cancel: &Cancel,
    ) -> Result<(), OpError> {
        let (view, bounds) = (inputs[0].unwrap(), boxes.inputs[0].unwrap());
        fill(output, |x, y| largest(view, self.all(Rect::new(x, y, 1, 1), bounds)));
        Ok(())
    }
}

/// The sum of two pictures; where one is not, the other.
#[derive(Debug)]
struct Join;

impl Area for Join {
    fn formats(&self, inputs: &[Option<Format>]) -> Formats {
        coded(inputs)
    }

    fn bounds(&self, boxes: Boxes<'_>) -> Result<Rect, OpError> {
        Ok(boxes.inputs.iter().flatten().fold(Rect::default(), |all, rect| all.union(rect)))
    }

    fn passthrough(&self, boxes: Boxes<'_>) -> Option<usize> {
        boxes.inputs[1].is_none().then_some(0)
    }

    fn needed(&self, _pad: usize, region: Rect, _boxes: Boxes<'_>) -> Rect {
        region
    }

    fn weight(&self) -> f32 {
        2.0
    }

    fn render(
        &self,
        inputs: &[Option<View<'_>>],
        _boxes: Boxes<'_>,
        output: &mut Tile<'_>,
        _cancel: &Cancel,
    ) -> Result<(), OpError> {
        fill(output, |x, y| {
            let at = |view: &Option<View<'_>>| view.and_then(|view| view.get(x, y)).unwrap_or_default();
            let (a, b) = (at(&inputs[0]), at(&inputs[1]));
            [a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3].max(b[3])]
        });
        Ok(())
    }
}

/// One grey value without bounds.
#[derive(Debug)]
struct Fill {
    value: f32,
    id: i64,
}

impl Area for Fill {
    fn formats(&self, _inputs: &[Option<Format>]) -> Formats {
        Formats { inputs: [Format::GAM_OPAQUE; 2], output: Format::GAM_OPAQUE }
    }

    fn bounds(&self, _boxes: Boxes<'_>) -> Result<Rect, OpError> {
        Ok(Rect::INFINITE)
    }

    fn needed(&self, _pad: usize, _region: Rect, _boxes: Boxes<'_>) -> Rect {
        Rect::default()
    }

    fn weight(&self) -> f32 {
        1.0
    }

    fn render(
        &self,
        _inputs: &[Option<View<'_>>],
        _boxes: Boxes<'_>,
        output: &mut Tile<'_>,
        _cancel: &Cancel,
    ) -> Result<(), OpError> {
        *counters().entry(self.id).or_default() += output.rect().area();
        fill(output, |_, _| [self.value, self.value, self.value, 1.0]);
        Ok(())
    }
}

/// The picture itself; counts its pixels.
#[derive(Debug)]
struct Count {
    id: i64,
    sleep: u64,
}

impl Area for Count {
    fn formats(&self, inputs: &[Option<Format>]) -> Formats {
        coded(inputs)
    }

    fn bounds(&self, boxes: Boxes<'_>) -> Result<Rect, OpError> {
        Ok(boxes.inputs[0].unwrap())
    }

    fn needed(&self, _pad: usize, region: Rect, _boxes: Boxes<'_>) -> Rect {
        region
    }

    fn weight(&self) -> f32 {
        1.0
    }

    fn render(
        &self,
        inputs: &[Option<View<'_>>],
        _boxes: Boxes<'_>,
        output: &mut Tile<'_>,
        _cancel: &Cancel,
    ) -> Result<(), OpError> {
        *counters().entry(self.id).or_default() += output.rect().area();
        std::thread::sleep(std::time::Duration::from_millis(self.sleep));
        let view = inputs[0].unwrap();
        fill(output, |x, y| view.get(x, y).unwrap());
        Ok(())
    }
}

/// The picture in a wide frame of zeros.
#[derive(Debug)]
struct Grow {
    by: u32,
}

impl Area for Grow {
    fn formats(&self, inputs: &[Option<Format>]) -> Formats {
        coded(inputs)
    }

    fn bounds(&self, boxes: Boxes<'_>) -> Result<Rect, OpError> {
        Ok(boxes.inputs[0].unwrap().grow(self.by, self.by))
    }

    fn needed(&self, _pad: usize, region: Rect, _boxes: Boxes<'_>) -> Rect {
        region
    }

    fn weight(&self) -> f32 {
        1.0
    }

    fn render(
        &self,
        inputs: &[Option<View<'_>>],
        _boxes: Boxes<'_>,
        output: &mut Tile<'_>,
        _cancel: &Cancel,
    ) -> Result<(), OpError> {
        let view = inputs[0].unwrap();
        fill(output, |x, y| view.get(x, y).unwrap_or_default());
        Ok(())
    }
}

/// Finds out too late that it makes no picture.
#[derive(Debug)]
struct Refuse;

impl Area for Refuse {
    fn formats(&self, inputs: &[Option<Format>]) -> Formats {
        coded(inputs)
    }

    fn bounds(&self, boxes: Boxes<'_>) -> Result<Rect, OpError> {
        Ok(boxes.inputs[0].unwrap())
    }

    fn needed(&self, _pad: usize, region: Rect, _boxes: Boxes<'_>) -> Rect {
        region
    }

    fn weight(&self) -> f32 {
        1.0
    }

    fn render(
        &self,
        _inputs: &[Option<View<'_>>],
        _boxes: Boxes<'_>,
        _output: &mut Tile<'_>,
        _cancel: &Cancel,
    ) -> Result<(), OpError> {
        Err(OpError::Invalid("not this picture".into()))
    }
}

/// Cuts a window out; zeros outside. All zero: the box at the start of the chain.
#[derive(Debug)]
struct Window {
    rect: Rect,
}

impl Area for Window {
    fn formats(&self, inputs: &[Option<Format>]) -> Formats {
        coded(inputs)
    }

    fn bounds(&self, boxes: Boxes<'_>) -> Result<Rect, OpError> {
        let start = boxes.inputs[1].or(boxes.origin);
        Ok(if self.rect == Rect::default() { start.unwrap_or_default() } else { self.rect })
    }

    fn window(&self, boxes: Boxes<'_>) -> bool {
        boxes.inputs[0].unwrap().contains_rect(&self.bounds(boxes).unwrap())
    }

    fn needed(&self, pad: usize, region: Rect, _boxes: Boxes<'_>) -> Rect {
        if pad == 0 { region } else { Rect::default() }
    }

    fn weight(&self) -> f32 {
        1.0
    }

    fn render(
        &self,
        inputs: &[Option<View<'_>>],
        _boxes: Boxes<'_>,
        output: &mut Tile<'_>,
        _cancel: &Cancel,
    ) -> Result<(), OpError> {
        let view = inputs[0].unwrap();
        fill(output, |x, y| view.get(x, y).unwrap_or_default());
        Ok(())
    }
}

/// The nearest pixel, at another size.
#[derive(Debug)]
struct Resize {
    width: f64,
    height: f64,
}

impl Area for Resize {
    fn formats(&self, inputs: &[Option<Format>]) -> Formats {
        coded(inputs)
    }

    fn bounds(&self, boxes: Boxes<'_>) -> Result<Rect, OpError> {
        let rect = boxes.inputs[0].unwrap();
        let (width, height) = (f64::from(rect.width), f64::from(rect.height));
        let factor = if self.width > 0.0 { self.width / width } else { self.height / height };
        let side = |asked: f64, side: f64| if asked > 0.0 { asked as u32 } else { (side * factor).round() as u32 };
        Ok(Rect::sized(side(self.width, width), side(self.height, height)))
    }

    fn needed(&self, _pad: usize, _region: Rect, boxes: Boxes<'_>) -> Rect {
        boxes.inputs[0].unwrap()
    }

    fn weight(&self) -> f32 {
        1.0
    }

    fn render(
        &self,
        inputs: &[Option<View<'_>>],
        boxes: Boxes<'_>,
        output: &mut Tile<'_>,
        _cancel: &Cancel,
    ) -> Result<(), OpError> {
        let (view, from) = (inputs[0].unwrap(), boxes.inputs[0].unwrap());
        let to = self.bounds(boxes)?;
        let along = |at: i32, from: u32, to: u32| (i64::from(at) * i64::from(from) / i64::from(to)) as i32;
        fill(output, |x, y| view.get(along(x, from.width, to.width), along(y, from.height, to.height)).unwrap());
        Ok(())
    }
}
