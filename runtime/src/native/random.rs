//! Random graphs, planned and rendered, against the same graphs worked out pixel by pixel.

use std::fmt::Write;

use imgflo_ops::{Image, Pixels, Rect};

use super::NativeEngine;
use crate::testing::{PLAN_LIMITS, catalogue, image_graph, rgb, shape};
use crate::{Arguments, Control, Plan};

/// A picture of small numbers: no operation here makes them overflow a byte.
#[derive(Clone, Debug)]
struct Grey {
    rect: Rect,
    values: Vec<u32>,
}

impl Grey {
    fn of(rect: Rect, value: impl Fn(i32, i32) -> u32) -> Grey {
        let rows = (0..rect.height as i32).map(|y| rect.y + y);
        let values = rows.flat_map(|y| (0..rect.width as i32).map(move |x| (rect.x + x, y)));
        Grey { rect, values: values.map(|(x, y)| value(x, y)).collect() }
    }

    /// 0 outside.
    fn at(&self, x: i32, y: i32) -> u32 {
        if !self.rect.contains(x, y) {
            return 0;
        }
        self.values[(y - self.rect.y) as usize * self.rect.width as usize + (x - self.rect.x) as usize]
    }

    fn largest(&self, rect: Rect) -> u32 {
        let rect = rect.intersect(&self.rect);
        let rows = rect.y..rect.bottom() as i32;
        rows.flat_map(|y| (rect.x..rect.right() as i32).map(move |x| (x, y)))
            .map(|(x, y)| self.at(x, y))
            .max()
            .unwrap_or(0)
    }
}

/// A generator of numbers; a seed names a graph.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn between(&mut self, low: i32, high: i32) -> i32 {
        low + self.below((high - low + 1) as u64) as i32
    }
}

/// A graph of up to 9 processes as text, and what it makes of `input`.
fn invent(random: &mut Random, input: &Grey) -> (String, Grey) {
    let mut text = String::from("INPORT=n0.INPUT:INPUT\nn0(test/mode)\n");
    let mut pictures = vec![input.clone()];
    let count = 1 + random.below(8) as usize;
    for index in 1..=count {
        // Mostly the latest, so that chains come up; any other, so that branches do.
        let from = if random.below(3) > 0 { index - 1 } else { random.below(index as u64) as usize };
        let source = pictures[from].clone();
        let name = format!("n{index}");
        let mut process = |component: &str, literals: &[(&str, i32)]| {
            writeln!(text, "n{from} OUTPUT -> INPUT {name}({component})").expect("a string");
            for (port, value) in literals {
                writeln!(text, "{value} -> {port} {name}").expect("a string");
            }
        };
        let made = match random.below(8) {
            0 | 1 => {
                let amount = random.between(1, 3) as u32;
                process("test/add", &[]);
                writeln!(text, "{} -> AMOUNT {name}", f64::from(amount) / 255.0).expect("a string");
                Grey::of(source.rect, |x, y| source.at(x, y) + amount)
            }
            2 => {
                let (dx, dy) = (random.between(-4, 4), random.between(-4, 4));
                process("test/shift", &[("DX", dx), ("DY", dy)]);
                let rect = Rect { x: source.rect.x + dx, y: source.rect.y + dy, ..source.rect };
                Grey::of(rect, |x, y| source.at(x - dx, y - dy))
            }
            3 => {
                process("test/peak", &[]);
                Grey::of(source.rect, |x, y| source.largest(Rect::new(x - 1, y - 1, 3, 3)))
            }
            4 => {
                let across = random.between(0, 2);
                process("test/reach", &[("ACROSS", across)]);
                let all = source.rect;
                Grey::of(all, |x, y| {
                    source.largest(match across {
                        0 => Rect { y, height: 1, ..all },
                        1 => Rect { x, width: 1, ..all },
                        _ => all,
                    })
                })
            }
            5 => {
                let by = random.between(0, 3);
                process("test/grow", &[("BY", by)]);
                Grey::of(source.rect.grow(by as u32, by as u32), |x, y| source.at(x, y))
            }
            6 => {
                // Inside, across an edge, or beside.
                let (x, y) = (source.rect.x + random.between(-3, 9), source.rect.y + random.between(-3, 7));
                let (width, height) = (random.between(1, 9), random.between(1, 9));
                process("gegl/crop", &[("X", x), ("Y", y), ("WIDTH", width), ("HEIGHT", height)]);
                Grey::of(Rect::new(x, y, width as u32, height as u32), |x, y| source.at(x, y))
            }
            _ => {
                process("test/join", &[]);
                let aux = random.below(index as u64) as usize;
                writeln!(text, "n{aux} OUTPUT -> AUX {name}").expect("a string");
                let aux = pictures[aux].clone();
                Grey::of(source.rect.union(&aux.rect), |x, y| source.at(x, y) + aux.at(x, y))
            }
        };
        pictures.push(made);
    }
    // Mostly the last; at times an earlier one, and what follows it is dead.
    let output = if random.below(4) > 0 { count } else { random.below(count as u64 + 1) as usize };
    writeln!(text, "OUTPORT=n{output}.OUTPUT:OUTPUT").expect("a string");
    (text, pictures.swap_remove(output))
}

#[test]
fn random_graphs_make_what_they_should() {
    let engines = [(2, 1), (3, 400), (1, u64::MAX)]
        .map(|(threads, tile_bytes)| NativeEngine { tile_bytes, ..NativeEngine::new(threads) });
    let (mut inlined, mut in_place, mut steps) = (0, 0, 0);
    for seed in 0..1500 {
        let mut random = Random(seed);
        let rect = Rect::sized(1 + random.below(12) as u32, 1 + random.below(10) as u32);
        let input = Grey::of(rect, |x, y| ((x * 7 + y * 3) % 5) as u32);
        let (text, expected) = invent(&mut random, &input);
        // Joins double: beyond this a byte would clamp.
        if expected.values.iter().any(|value| *value > 255) {
            continue;
        }
        let graph = image_graph(&text);
        let image = Image::from_rgb8(rect, input.values.iter().map(|value| [*value as u8; 3]).collect());
        let plan = Plan::new(&graph, &Arguments::default(), Some(shape(&image)), &catalogue(), &PLAN_LIMITS)
            .unwrap_or_else(|error| panic!("seed {seed}: {error}\n{text}"));
        let printed = plan.to_string();
        inlined += printed.matches('[').count();
        in_place += printed.matches("in place").count();
        steps += plan.steps.len();
        for engine in &engines {
            let (result, statistics) = engine
                .render_measured(&plan, Some(image.clone()), &Control::default())
                .unwrap_or_else(|error| panic!("seed {seed}: {error}\n{text}{plan}"));
            assert_eq!(statistics.peak_memory, plan.peak_memory(), "seed {seed}\n{text}{plan}");
            assert_eq!(result.rect(), Rect::sized(expected.rect.width, expected.rect.height), "seed {seed}\n{text}");
            assert!(matches!(result.pixels(), Pixels::Rgb8(_)));
            let wrong =
                rgb(&result).iter().zip(&expected.values).position(|(found, value)| *found != [*value as u8; 3]);
            assert_eq!(wrong, None, "seed {seed}\n{text}{plan}");
        }
    }
    // The ways a plan has to save work have all come up.
    assert!(inlined > 100 && in_place > 100 && steps > 1000, "{inlined} {in_place} {steps}");
}
