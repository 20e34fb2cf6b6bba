//! Backwards through the values: what of each is needed, which join into one step, in which order
//! they run and when buffers go.

use std::collections::HashSet;

use imgflo_ops::{Format, Rect, Split};

use super::values::{Definition, Expansion, Id, Value};
use super::{Buffer, Measure, Plan, PlanError, PlanLimits, Read, Source, Step, Task, Work, boxes};
use crate::chain::{Chain, Stage, layout};

/// How much more work a chain may be when each tile does its own part of it, beside the saving of
/// a buffer that is written and read again.
const MOST_OVERLAP: f64 = 1.2;

/// How many groups done on the fly may stand in each other below one of an area pass: each takes a
/// tile's memory, which should stay in the cache.
const MOST_DEPTH: u32 = 3;

/// Rows or columns of the tiles that overlap is measured with, in a large picture.
const TYPICAL_TILE: u32 = 16;

/// Tiles that a small picture is taken to be cut into, for the threads' sake.
const FEWEST_TILES: u32 = 16;

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
    /// How many groups done on the fly stand in each other below it.
    depth: u32,
}

/// Makes the plan of an expanded graph.
pub(super) fn schedule(expansion: Expansion, limits: &PlanLimits) -> Result<Plan, PlanError> {
    let Expansion { nodes, values, input, given, eighths, detail, output, .. } = expansion;
    let in_parts = input.is_some_and(|(shape, _)| shape.reducible.is_some());
    let needs = needs(&values, output, in_parts, |value| nodes[value.node].process.clone())?;
    let groups = groups(&values, &needs);

    // Buffers: the input, and the tail of each group that is not done on the fly.
    let mut buffers = Vec::new();
    let mut buffer_of = vec![None; values.len()];
    let mut make_buffer = |id: Id, rect: Rect| {
        buffer_of[id] = Some(buffers.len());
        buffers.push(Buffer { rect, bounds: values[id].bounds, format: values[id].format });
    };
    let input_used = input.and_then(|(_, id)| needs.computed(id).map(|rect| (id, rect)));
    if let Some((id, rect)) = input_used {
        make_buffer(id, rect);
    }
    let given_used = given.iter().map(|id| needs.computed(*id).map(|rect| (*id, rect))).collect::<Vec<_>>();
    for (id, rect) in given_used.iter().flatten() {
        make_buffer(*id, *rect);
    }
    for group in groups.iter().filter(|group| !group.inlined) {
        make_buffer(group.tail, needs.computed(group.head).unwrap_or_default());
    }
    let input_buffer = input_used.and_then(|(id, _)| buffer_of[id]);
    let given = given_used.iter().map(|used| used.and_then(|(id, _)| buffer_of[id])).collect::<Vec<_>>();
    let result = buffer_of[output];

    let facts = values.iter().map(Facts::of).collect();
    let definitions = values.into_iter().map(|value| Some(value.definition)).collect();
    let mut scheduler = Scheduler { needs, groups: &groups, buffer_of, facts, definitions };
    let mut steps = Vec::new();
    for group in groups.iter().filter(|group| !group.inlined) {
        let (task, cost) = scheduler.task(group);
        let split = match &task.work {
            Work::Area { area, .. } => area.split(),
            Work::Map(_) => Split::Free,
        };
        let output = scheduler.buffer_of[group.tail].unwrap_or_default();
        steps.push(Step { task, split, output, in_place: false, cost, frees: Vec::new() });
    }

    let result = result.ok_or_else(|| PlanError::Internal {
        node: nodes[scheduler.facts[output].node].process.clone(),
        message: "the output is not in memory".into(),
    })?;
    // What was given stays: it is not ours alone.
    let kept = given.iter().flatten().copied().chain([result]).collect::<Vec<_>>();
    assign_lifetimes(&mut steps, &buffers, &kept);
    let held = held(&steps, &buffers, input_buffer.into_iter().chain(given.iter().flatten().copied()));
    let peak_memory = held.iter().copied().max().unwrap_or(0);
    // An input that is only handed on may never be in memory as pixels: that is for its decoder to say.
    if let (false, Some(over)) = (steps.is_empty(), held.iter().position(|held| *held > limits.max_memory)) {
        let node = over.checked_sub(1).map_or("input", |step| &nodes[steps[step].task.node].process);
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
    Ok(Plan {
        graph,
        nodes,
        input,
        eighths,
        detail,
        input_buffer,
        given,
        buffers,
        steps,
        result,
        origin: None,
        cost,
        peak_memory,
    })
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

struct Scheduler<'g> {
    needs: Needs,
    groups: &'g [Group],
    buffer_of: Vec<Option<usize>>,
    facts: Vec<Facts>,
    /// Each is taken by the one group it is in.
    definitions: Vec<Option<Definition>>,
}

impl Scheduler<'_> {
    /// What runs a group, and its cost. Goes into the groups that are done on the fly, which stand
    /// in each other [`MOST_DEPTH`] deep at most.
    fn task(&mut self, group: &Group) -> (Task, f64) {
        let region = self.needs.computed(group.head).unwrap_or_default();
        let Facts { node, format, .. } = self.facts[group.head];
        let mut cost = 0.0;
        let mut work = match group.source {
            Some(source) => Work::Map(self.buffer_of[source].unwrap_or_default()),
            None => match self.definitions[group.head].take() {
                Some(Definition::Area { area, inputs, boxes, origin }) => {
                    cost += f64::from(area.weight()) * region.area() as f64;
                    let mut reads = Vec::with_capacity(inputs.len());
                    for (pad, input) in inputs.iter().enumerate() {
                        reads.push(input.map(|input| {
                            let (source, more) = self.source(group.head, pad, input);
                            cost += more;
                            let Facts { bounds, format, .. } = self.facts[input];
                            Read { source, bounds, format }
                        }));
                    }
                    Work::Area { area, boxes, origin, reads, format }
                }
                _ => unreachable!("a group without source begins with an area pass"),
            },
        };
        let mut chain = group.chain.iter().filter_map(|id| self.stage(*id)).collect::<Vec<_>>();
        // A pass that is asked for nothing but other pixels of the same picture may make those at once.
        if let (Work::Area { area, format, .. }, [Stage::Convert { to, .. }]) = (&mut work, &chain[..])
            && area.leaves(*to)
        {
            *format = *to;
            chain.clear();
        }
        let weight = chain.iter().map(|stage| f64::from(stage.weight())).sum::<f64>();
        (Task { node, work, chain: Chain::new(chain) }, cost + weight * region.area() as f64)
    }

    /// Where an area pass (the value `reader`) finds its input, and the cost of making it there.
    fn source(&mut self, reader: Id, pad: usize, input: Id) -> (Source, f64) {
        if !self.needs.reads.contains(&(reader, pad)) {
            return (Source::Nothing, 0.0);
        }
        if let Some(buffer) = self.buffer_of[input] {
            return (Source::Buffer(buffer), 0.0);
        }
        let groups = self.groups;
        match groups.iter().find(|group| group.tail == input) {
            Some(group) => {
                let (task, cost) = self.task(group);
                (Source::Tile(Box::new(task)), cost)
            }
            None => unreachable!("a value that is read is the last of a group or the input"),
        }
    }

    fn stage(&mut self, id: Id) -> Option<Stage> {
        let Facts { node, bounds, format } = self.facts[id];
        match self.definitions[id].take()? {
            Definition::Convert { input } => Some(Stage::Convert { from: self.facts[input].format, to: format }),
            Definition::Point { point, .. } => Some(Stage::Point { point, node, bounds }),
            // A window is no work: only the pixels inside are asked for.
            Definition::Window { .. } | Definition::Area { .. } | Definition::Input | Definition::Given => None,
        }
    }
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

impl Needs {
    /// The region of a value that must be computed, if any of it must.
    fn computed(&self, id: Id) -> Option<Rect> {
        self.regions[id].filter(|region| !region.is_empty())
    }
}

/// Goes back from the whole of the output.
/// `in_parts`: the input need not be read as a whole.
fn needs(values: &[Value], output: Id, in_parts: bool, process: impl Fn(&Value) -> String) -> Result<Needs, PlanError> {
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
            Definition::Input if in_parts => region,
            Definition::Input | Definition::Given => value.bounds,
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
fn groups(values: &[Value], needs: &Needs) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut group_of: Vec<Option<usize>> = vec![None; values.len()];
    for (id, value) in values.iter().enumerate() {
        if needs.computed(id).is_none() {
            continue;
        }
        let (source, chain) = match &value.definition {
            Definition::Input | Definition::Given => continue,
            Definition::Area { .. } => (None, vec![]),
            Definition::Convert { input } | Definition::Window { input } | Definition::Point { input, .. } => {
                // After a pass that is not cut, a tile is the whole picture: better a step of its
                // own, which works in place or is cut, than a second picture in the cache's stead.
                let whole = split(&values[*input]) == Some(Split::Whole);
                if let (Some(group), 1, false) = (group_of[*input], needs.uses[*input], whole) {
                    groups[group].chain.push(id);
                    groups[group].tail = id;
                    group_of[id] = Some(group);
                    continue;
                }
                (Some(*input), vec![id])
            }
        };
        group_of[id] = Some(groups.len());
        groups.push(Group { source, head: id, tail: id, chain, inlined: false, depth: 0 });
    }
    for (id, value) in values.iter().enumerate() {
        let Definition::Area { inputs, .. } = &value.definition else { continue };
        let Some(group) = group_of[id] else { continue };
        for (pad, input) in inputs.iter().enumerate() {
            let read = input.filter(|input| needs.reads.contains(&(id, pad)) && needs.uses[*input] == 1);
            let Some(input) = read else { continue };
            let Some(made) = group_of[input].filter(|made| groups[*made].tail == input) else { continue };
            if can_be_inlined(values, needs, &groups[made], (id, pad), input) {
                groups[made].inlined = true;
                groups[group].depth = groups[group].depth.max(groups[made].depth + 1);
            }
        }
    }
    groups
}

/// How an area pass may be cut; `None` for other values.
fn split(value: &Value) -> Option<Split> {
    match &value.definition {
        Definition::Area { area, .. } => Some(area.split()),
        _ => None,
    }
}

/// True when the tiles of the area pass `reader` had better make their parts of `input`, the tail
/// of `group`, themselves.
fn can_be_inlined(values: &[Value], needs: &Needs, group: &Group, (reader, pad): (Id, usize), input: Id) -> bool {
    let Definition::Area { area, boxes: rects, origin, .. } = &values[reader].definition else { return false };
    let (Some(region), Some(needed)) = (needs.computed(reader), needs.computed(input)) else { return false };
    let most = match split(&values[group.head]) {
        // A chain.
        None => MOST_OVERLAP,
        // An area pass, which may be much work: only if none is done twice. Bands suit it; strips
        // of a few columns would not.
        Some(Split::Free) if area.split() != Split::Columns && group.depth < MOST_DEPTH => 1.0,
        Some(_) => return false,
    };
    let read = |tile: Rect| {
        let part = area.needed(pad, tile, boxes(rects, *origin));
        part.intersect(&values[input].bounds).area()
    };
    overlap(area.split(), region, needed, read) <= most
}

/// Pixels that tiles read, all added up, as a multiple of the pixels that they read together.
/// Where there are many tiles, a sample of them answers for all.
fn overlap(split: Split, region: Rect, needed: Rect, read: impl Fn(Rect) -> u64) -> f64 {
    let length = match split {
        Split::Whole => return f64::INFINITY,
        Split::Free | Split::Rows => region.height,
        Split::Columns => region.width,
    };
    let typical = (length / FEWEST_TILES).clamp(1, TYPICAL_TILE);
    let tile = |index: u32| {
        let start = index * typical;
        let extent = typical.min(length - start);
        match split {
            Split::Columns => Rect { x: region.x + start as i32, width: extent, ..region },
            _ => Rect { y: region.y + start as i32, height: extent, ..region },
        }
    };
    let tiles = length.div_ceil(typical);
    let stride = tiles.div_ceil(MOST_SAMPLES).max(1) as usize;
    let (pixels, reads) = (0..tiles)
        .step_by(stride)
        .map(tile)
        .fold((0.0, 0.0), |(pixels, reads), tile| (pixels + tile.area() as f64, reads + read(tile) as f64));
    reads / pixels * region.area() as f64 / needed.area() as f64
}

/// The buffers a task reads.
fn reads(task: &Task) -> Vec<usize> {
    match &task.work {
        Work::Map(buffer) => vec![*buffer],
        Work::Area { reads: pads, .. } => {
            let of = |read: &Read| match &read.source {
                Source::Nothing => vec![],
                Source::Buffer(buffer) => vec![*buffer],
                Source::Tile(task) => reads(task),
            };
            pads.iter().flatten().flat_map(of).collect()
        }
    }
}

/// Frees each buffer but those to be `kept` after its last reader, or lets the last reader work in it.
fn assign_lifetimes(steps: &mut [Step], buffers: &[Buffer], kept: &[usize]) {
    let mut seen = vec![false; buffers.len()];
    kept.iter().for_each(|buffer| seen[*buffer] = true);
    for step in steps.iter_mut().rev() {
        for buffer in reads(&step.task) {
            if !seen[buffer] {
                seen[buffer] = true;
                step.frees.push(buffer);
            }
        }
        if let (Work::Map(buffer), [last]) = (&step.task.work, &step.frees[..]) {
            let (source, output) = (buffers[*buffer], buffers[step.output]);
            if last == buffer && source.rect == output.rect && layout(source.format) == layout(output.format) {
                step.in_place = true;
                step.frees.clear();
            }
        }
    }
}

/// Bytes of the table of rows while a picture is cut into tiles: next to nothing, but for those
/// that are all rows and hardly a pixel in each.
fn row_table(rect: Rect) -> u64 {
    let rows = u64::from(rect.height);
    if rect.width < 64 && rows > 1 << 16 { rows * size_of::<&[u8]>() as u64 } else { 0 }
}

/// Bytes held before the first step, where `there` are the buffers that are there, and while each step runs.
fn held(steps: &[Step], buffers: &[Buffer], there: impl Iterator<Item = usize>) -> Vec<u64> {
    let mut held = there.fold(0, |sum: u64, buffer| sum.saturating_add(buffers[buffer].bytes()));
    let mut all = vec![held];
    for step in steps {
        if !step.in_place {
            held = held.saturating_add(buffers[step.output].bytes());
        }
        let beside = row_table(buffers[step.output].rect).saturating_add(step.task.working_memory());
        all.push(held.saturating_add(beside));
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
        let region = Rect::new(-5, -7, 100, 1600);
        let margin = |by: u32| move |tile: Rect| tile.grow(0, by).intersect(&region).area();
        assert_eq!(overlap(Split::Free, region, region, margin(0)), 1.0);
        // 16 rows read one row more above and below, where that is not outside.
        let rows = overlap(Split::Rows, region, region, margin(1));
        assert!((rows - 18.0 / 16.0).abs() < 0.002, "{rows}");
        // 8 rows are cut into single ones, which read three.
        let small = Rect::sized(50, 8);
        let rows = overlap(Split::Free, small, small, |tile| tile.grow(0, 1).intersect(&small).area());
        assert_eq!(rows, 22.0 / 8.0);
        assert_eq!(overlap(Split::Whole, region, region, margin(0)), f64::INFINITY);
        // Strips of 6 columns that read everything do so 17 times.
        let strips = overlap(Split::Columns, region, region, |_| region.area());
        assert!((strips - 17.0).abs() < 1e-9, "{strips}");
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
