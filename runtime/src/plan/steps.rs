//! Backwards through the values: what of each is needed, which join into one step, in which order
//! they run and when buffers go.

use std::collections::HashSet;

use imgflo_ops::{Format, Rect, Split};

use super::values::{Definition, Expansion, Id, Value};
use super::{Buffer, Measure, Plan, PlanError, PlanLimits, Read, Step, Work, boxes};
use crate::chain::{Stage, layout};

/// How much more work a chain may be when each tile does its own part of it, beside the saving of
/// a buffer that is written and read again.
const MOST_OVERLAP: f64 = 1.2;

/// Rows or columns of the tiles that overlap is measured with.
const TYPICAL_TILE: u32 = 16;

/// Tiles looked at for that.
const MOST_SAMPLES: u32 = 64;

/// Values that run as one: an area pass or the read of another value, and the point passes and
/// conversions that follow it and whose only reader is the next.
struct Group {
    /// The value a chain starts from; `None` for an area pass.
    source: Option<Id>,
    /// The area pass, or the first of the chain.
    head: Id,
    /// The last: what is left in memory.
    tail: Id,
    chain: Vec<Id>,
    /// True when it is done on the fly, by the tiles of its only reader.
    inlined: bool,
}

/// Makes the plan of an expanded graph.
pub(super) fn schedule(expansion: Expansion, limits: &PlanLimits) -> Result<Plan, PlanError> {
    let Expansion { nodes, values, input, output, .. } = expansion;
    let process = |value: &Value| nodes[value.node].process.clone();
    let Needs { regions, uses, reads } = needs(&values, output, process)?;
    let computed = |id: Id| regions[id].filter(|region| !region.is_empty());
    let groups = groups(&values, &uses, &reads, &computed);

    // Buffers: the input, and the tail of each group that is not done on the fly.
    let mut buffers = Vec::new();
    let mut buffer_of = vec![None; values.len()];
    let mut make_buffer = |id: Id, rect: Rect| {
        buffer_of[id] = Some(buffers.len());
        buffers.push(Buffer { rect, bounds: values[id].bounds, format: values[id].format });
    };
    let input_used = input.and_then(|(_, id)| computed(id).map(|rect| (id, rect)));
    if let Some((id, rect)) = input_used {
        make_buffer(id, rect);
    }
    for group in groups.iter().filter(|group| !group.inlined) {
        make_buffer(group.tail, computed(group.head).unwrap_or_default());
    }
    let input_buffer = input_used.and_then(|(id, _)| buffer_of[id]);

    let facts = values.iter().map(Facts::of).collect::<Vec<_>>();
    let mut definitions = values.into_iter().map(|value| Some(value.definition)).collect::<Vec<_>>();
    let mut steps = Vec::new();
    for group in groups.iter().filter(|group| !group.inlined) {
        let region = computed(group.head).unwrap_or_default();
        let head = &facts[group.head];
        let mut cost = 0.0;
        let work = match definitions[group.head].take() {
            Some(Definition::Area { area, inputs, boxes, origin }) => {
                cost += f64::from(area.weight()) * region.area() as f64;
                let reads = inputs
                    .iter()
                    .enumerate()
                    .map(|(pad, input)| {
                        let input = (*input)?;
                        let Facts { bounds, format, .. } = facts[input];
                        let mut read = Read { buffer: buffer_of[input], bounds, format, chain: None };
                        if !reads.contains(&(group.head, pad)) {
                            read.buffer = None;
                            return Some(read);
                        }
                        if let (None, Some(needed)) = (read.buffer, computed(input))
                            && let Some(group) = groups.iter().find(|group| group.tail == input)
                        {
                            read.buffer = group.source.and_then(|source| buffer_of[source]);
                            let chain = stages(group, &mut definitions, &facts);
                            cost += chain_weight(&chain) * needed.area() as f64;
                            read.chain = Some(chain);
                        }
                        Some(read)
                    })
                    .collect();
                let split = area.split();
                Work::Area { area, boxes, origin, reads, split, format: head.format }
            }
            definition => {
                definitions[group.head] = definition;
                let source = group.source.and_then(|source| buffer_of[source]);
                let buffer = source.ok_or_else(|| PlanError::Internal {
                    node: nodes[head.node].process.clone(),
                    message: "reads what is not in memory".into(),
                })?;
                Work::Map { buffer, in_place: false }
            }
        };
        let chain = stages(group, &mut definitions, &facts);
        cost += chain_weight(&chain) * region.area() as f64;
        let output = buffer_of[group.tail].unwrap_or_default();
        steps.push(Step { node: head.node, work, chain, output, cost, frees: Vec::new() });
    }

    let result = buffer_of[output].ok_or_else(|| PlanError::Internal {
        node: nodes[facts[output].node].process.clone(),
        message: "the output is not in memory".into(),
    })?;
    assign_lifetimes(&mut steps, &buffers, input_buffer, result);
    let held = held(&steps, &buffers, input_buffer);
    let peak_memory = held.iter().copied().max().unwrap_or(0);
    if let Some(over) = held.iter().position(|held| *held > limits.max_memory) {
        let node = over.checked_sub(1).map_or("input", |step| &nodes[steps[step].node].process);
        return Err(PlanError::TooLarge {
            node: node.into(),
            what: Measure::Memory,
            value: peak_memory,
            limit: limits.max_memory,
        });
    }
    let cost = steps.iter().fold(0.0, |sum, step| sum + step.cost);
    let graph = String::new();
    let input = input.map(|(shape, _)| shape);
    Ok(Plan { graph, nodes, input, input_buffer, buffers, steps, result, cost, peak_memory })
}

/// What is known of a value apart from how it is made.
#[derive(Clone, Copy)]
struct Facts {
    node: usize,
    bounds: Rect,
    format: Format,
}

impl Facts {
    fn of(value: &Value) -> Self {
        Facts { node: value.node, bounds: value.bounds, format: value.format }
    }
}

fn chain_weight(chain: &[Stage]) -> f64 {
    chain.iter().map(|stage| f64::from(stage.weight())).sum()
}

fn stages(group: &Group, definitions: &mut [Option<Definition>], facts: &[Facts]) -> Vec<Stage> {
    let stage = |id: &Id| match definitions[*id].take()? {
        Definition::Convert { input } => Some(Stage::Convert { from: facts[input].format, to: facts[*id].format }),
        Definition::Point { point, .. } => {
            Some(Stage::Point { point, node: facts[*id].node, bounds: facts[*id].bounds })
        }
        // A window is no work: only the pixels inside are asked for.
        Definition::Window { .. } | Definition::Area { .. } | Definition::Input => None,
    };
    group.chain.iter().filter_map(stage).collect()
}

/// What is needed of each value.
struct Needs {
    /// The region that must be computed; `None` or empty for nothing.
    regions: Vec<Option<Rect>>,
    /// How many pads read any of it.
    uses: Vec<u32>,
    /// The pads (of the value that an area pass makes) that read anything.
    reads: HashSet<(Id, usize)>,
}

/// Goes back from the whole of the output.
fn needs(values: &[Value], output: Id, process: impl Fn(&Value) -> String) -> Result<Needs, PlanError> {
    let mut regions: Vec<Option<Rect>> = vec![None; values.len()];
    let mut uses = vec![0; values.len()];
    let mut reads = HashSet::new();
    regions[output] = Some(values[output].bounds);
    uses[output] = 1;
    for id in (0..=output).rev() {
        let Some(region) = regions[id].filter(|region| !region.is_empty()) else { continue };
        let value = &values[id];
        let mut need = |pad: usize, input: Id, needed: Rect| {
            let needed = needed.intersect(&values[input].bounds);
            if !needed.is_empty() {
                uses[input] += 1;
                reads.insert((id, pad));
                let before = regions[input].unwrap_or_default();
                regions[input] = Some(before.union(&needed));
            }
        };
        let computed = match &value.definition {
            Definition::Input => value.bounds,
            Definition::Convert { input } | Definition::Window { input } | Definition::Point { input, .. } => {
                need(0, *input, region);
                region
            }
            Definition::Area { area, inputs, boxes: rects, origin } => {
                if region.is_infinite() {
                    return Err(PlanError::Unbounded { node: process(value) });
                }
                for (pad, input) in inputs.iter().enumerate() {
                    if let Some(input) = input {
                        need(pad, *input, area.needed(pad, region, boxes(rects, *origin)));
                    }
                }
                region
            }
        };
        regions[id] = Some(computed);
    }
    Ok(Needs { regions, uses, reads })
}

/// Joins values into groups, in the order in which they can run.
fn groups(
    values: &[Value],
    uses: &[u32],
    reads: &HashSet<(Id, usize)>,
    computed: &impl Fn(Id) -> Option<Rect>,
) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut group_of: Vec<Option<usize>> = vec![None; values.len()];
    for (id, value) in values.iter().enumerate() {
        if computed(id).is_none() {
            continue;
        }
        let (source, chain) = match &value.definition {
            Definition::Input => continue,
            Definition::Area { .. } => (None, vec![]),
            Definition::Convert { input } | Definition::Window { input } | Definition::Point { input, .. } => {
                // After a pass that is not cut, a tile is the whole picture: better a step of its
                // own, which works in place or is cut, than a second picture in the cache's stead.
                let whole = matches!(&values[*input].definition,
                    Definition::Area { area, .. } if area.split() == Split::Whole);
                if let (Some(group), 1, false) = (group_of[*input], uses[*input], whole) {
                    groups[group].chain.push(id);
                    groups[group].tail = id;
                    group_of[id] = Some(group);
                    continue;
                }
                (Some(*input), vec![id])
            }
        };
        group_of[id] = Some(groups.len());
        groups.push(Group { source, head: id, tail: id, chain, inlined: false });
    }
    for (id, value) in values.iter().enumerate() {
        let (Some(region), Definition::Area { area, inputs, boxes: rects, origin }) = (computed(id), &value.definition)
        else {
            continue;
        };
        for (pad, input) in inputs.iter().enumerate() {
            let read = input.filter(|_| reads.contains(&(id, pad)));
            let Some((input, needed)) = read.and_then(|input| Some((input, computed(input)?))) else { continue };
            let Some(group) = group_of[input].map(|group| &mut groups[group]) else { continue };
            if group.source.is_some() && group.tail == input && uses[input] == 1 {
                let cut = |tile: Rect| {
                    let part = area.needed(pad, tile, boxes(rects, *origin));
                    part.intersect(&values[input].bounds).area()
                };
                group.inlined = overlap(area.split(), region, needed, cut) <= MOST_OVERLAP;
            }
        }
    }
    groups
}

/// Pixels that tiles read, all added up, as a multiple of the pixels that they read together.
/// Where there are many tiles, a sample of them answers for all.
fn overlap(split: Split, region: Rect, needed: Rect, read: impl Fn(Rect) -> u64) -> f64 {
    let length = match split {
        Split::Whole => return f64::INFINITY,
        Split::Free | Split::Rows => region.height,
        Split::Columns => region.width,
    };
    let tile = |index: u32| {
        let start = index * TYPICAL_TILE;
        let extent = TYPICAL_TILE.min(length - start);
        match split {
            Split::Columns => Rect { x: region.x + start as i32, width: extent, ..region },
            _ => Rect { y: region.y + start as i32, height: extent, ..region },
        }
    };
    let tiles = length.div_ceil(TYPICAL_TILE);
    let stride = tiles.div_ceil(MOST_SAMPLES).max(1) as usize;
    let (pixels, reads) = (0..tiles)
        .step_by(stride)
        .map(tile)
        .fold((0.0, 0.0), |(pixels, reads), tile| (pixels + tile.area() as f64, reads + read(tile) as f64));
    reads / pixels * region.area() as f64 / needed.area() as f64
}

/// The buffers a step reads.
fn reads(step: &Step) -> Vec<usize> {
    match &step.work {
        Work::Area { reads, .. } => reads.iter().flatten().filter_map(|read| read.buffer).collect(),
        Work::Map { buffer, .. } => vec![*buffer],
    }
}

/// Frees each buffer after its last reader, or lets the last reader work in it.
fn assign_lifetimes(steps: &mut [Step], buffers: &[Buffer], input: Option<usize>, result: usize) {
    let mut seen = vec![false; buffers.len()];
    seen[result] = true;
    for step in steps.iter_mut().rev() {
        let output = buffers[step.output];
        let mut frees = Vec::new();
        for buffer in reads(step) {
            if !seen[buffer] {
                seen[buffer] = true;
                frees.push(buffer);
            }
        }
        if let Work::Map { buffer, in_place } = &mut step.work {
            let source = buffers[*buffer];
            if frees.contains(buffer) && source.rect == output.rect && layout(source.format) == layout(output.format) {
                *in_place = true;
                frees.clear();
            }
        }
        step.frees = frees;
    }
    debug_assert!(input.is_none_or(|input| seen[input]), "an input that nobody reads has no buffer");
}

/// Bytes of the table of rows while a picture is cut into tiles: next to nothing, but for those
/// that are all rows and hardly a pixel in each.
fn row_table(rect: Rect) -> u64 {
    let rows = u64::from(rect.height);
    if rect.width < 64 && rows > 1 << 16 { rows * size_of::<&[u8]>() as u64 } else { 0 }
}

/// Bytes held before the first step, and while each step runs.
fn held(steps: &[Step], buffers: &[Buffer], input: Option<usize>) -> Vec<u64> {
    let mut held = input.map_or(0, |input| buffers[input].bytes());
    let mut all = vec![held];
    for step in steps {
        if !matches!(step.work, Work::Map { in_place: true, .. }) {
            held = held.saturating_add(buffers[step.output].bytes());
        }
        all.push(held.saturating_add(row_table(buffers[step.output].rect)));
        for freed in &step.frees {
            held = held.saturating_sub(buffers[*freed].bytes());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn overlap_is_what_tiles_read_beyond_their_share() {
        let region = Rect::new(-5, -7, 100, 160);
        let margin = |by: u32| move |tile: Rect| tile.grow(0, by).intersect(&region).area();
        assert_eq!(overlap(Split::Free, region, region, margin(0)), 1.0);
        // 10 bands of 16 rows read one row more above and below, but not outside.
        assert_eq!(overlap(Split::Rows, region, region, margin(1)), 178.0 / 160.0);
        assert_eq!(overlap(Split::Whole, region, region, margin(0)), f64::INFINITY);
        // Strips of columns that read everything do so 7 times.
        let strips = overlap(Split::Columns, region, region, |_| region.area());
        assert!((strips - 7.0).abs() < 1e-9, "{strips}");
    }

    #[test]
    fn a_huge_region_is_sampled() {
        let calls = Cell::new(0);
        let region = Rect::sized(3, 1_000_000_000);
        let found = overlap(Split::Free, region, region, |tile| {
            calls.set(calls.get() + 1);
            tile.grow(0, 1).area()
        });
        assert!((found - 18.0 / 16.0).abs() < 1e-9, "{found}");
        assert!(calls.get() <= 64, "{}", calls.get());
    }
}
