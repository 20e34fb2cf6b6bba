//! The coefficients of a part of a picture, a few MCUs at a time.

use std::ops::Range;

use multiversion::multiversion;

use super::headers::Headers;
use super::scan::{Coefficients, Nothing, Scan, Sink};
use super::{Fault, ZIGZAG, huffman};

/// MCUs whose coefficients are read before pixels are made of them: each of the two has the registers and
/// the branch predictor to itself for a while, and the blocks, 30 kB with chroma of half the size, stay in
/// the cache. With 8 it takes a twentieth more time.
const GROUP: usize = 32;

/// Where the coefficients of a component go.
pub(super) struct Order {
    /// The last place of the zigzag that matters.
    last: usize,
    /// For each place where its coefficient comes in a block, also for those that no block has.
    target: [u8; 256],
    /// For each place what the square of a coefficient behind the last one adds to the energy that is left out.
    weights: [u32; 64],
    /// The same for each coefficient up to the last one; 0 for those that matter as they are.
    left_out: [f32; 64],
    /// True if any of these is not 0.
    leaves_out: bool,
}

/// Energy is counted in parts of the square of a 255th: 64 for the pixels of a block, 16 for what shares are rounded to.
const ENERGY: f32 = 16.0 * 64.0;

impl Order {
    /// For the lowest coefficients, `width` × `height` of them, row by row. With their steps in the
    /// same order. `share`: the part of the square of a pixel's value in the energy of an MCU. `smooth`: whether values are
    /// made smooth between pixels at full size, along x and y, so that the upper half of what matters counts as left out.
    pub(super) fn new(
        [width, height]: [usize; 2],
        steps: &[u16; 64],
        share: f32,
        smooth: [bool; 2],
    ) -> (Order, [u16; 64]) {
        let at = |place: usize| (usize::from(ZIGZAG[place] % 8), usize::from(ZIGZAG[place] / 8));
        let matters = |place: usize| at(place).0 < width && at(place).1 < height;
        let last = (0..64).rfind(|place| matters(*place)).unwrap_or(0);
        let weight = |place: usize| 16.0 * share * f32::from(steps[place]).powi(2);
        let (mut ordered, mut target, mut left_out) = ([0; 64], [63; 256], [0.0; 64]);
        // What does not matter comes behind what does, and what is beyond the last place at the end.
        let mut beside = width * height;
        for place in 0..=last {
            if matters(place) {
                let (column, row) = at(place);
                target[place] = (row * width + column) as u8;
                ordered[row * width + column] = steps[place];
                if smooth[0] && column >= 4 || smooth[1] && row >= 4 {
                    left_out[row * width + column] = weight(place);
                }
            } else {
                target[place] = beside as u8;
                left_out[beside] = weight(place);
                beside += 1;
            }
        }
        let weights = std::array::from_fn(|place| weight(place) as u32);
        let leaves_out = left_out.iter().any(|weight| *weight > 0.0);
        (Order { last, target, weights, left_out, leaves_out }, ordered)
    }

    /// The energy of a block that is left out.
    #[inline(always)]
    fn energy(&self, block: &Block) -> f32 {
        let mut sum = block.passed as f32;
        if block.found > 0 && self.leaves_out {
            // Loops, so that this becomes the vector code of who calls it.
            let mut sums = [0.0; 8];
            for (values, weights) in block.values.as_chunks::<8>().0.iter().zip(self.left_out.as_chunks::<8>().0) {
                for lane in 0..8 {
                    let value = f32::from(values[lane]);
                    sums[lane] += value * value * weights[lane];
                }
            }
            for lane in sums {
                sum += lane;
            }
        }
        sum
    }
}

/// Columns and rows that coefficients up to each place are in, of `width` × `height`.
pub(super) fn extents([width, height]: [usize; 2]) -> [(u8, u8); 64] {
    let mut extents = [(1, 1); 64];
    for place in 1..64 {
        let (columns, rows) = extents[place - 1];
        let (column, row) = (ZIGZAG[place] % 8, ZIGZAG[place] / 8);
        let matters = usize::from(column) < width && usize::from(row) < height;
        extents[place] = if matters { (columns.max(column + 1), rows.max(row + 1)) } else { (columns, rows) };
    }
    extents
}

/// The wanted coefficients of a block, as stored; all 0 before it is read.
#[derive(Clone, Copy)]
#[repr(align(32))]
pub(super) struct Block {
    pub(super) values: [i16; 64],
    /// Behind this place, at most 63, all are 0.
    pub(super) found: usize,
    /// The energy of those that were passed over, in parts of [`ENERGY`].
    passed: u64,
}

const EMPTY: Block = Block { values: [0; 64], found: 0, passed: 0 };

impl Block {
    /// Makes it ready for being read.
    #[inline(always)]
    pub(super) fn empty(&mut self) {
        // The first one is always read.
        if self.found > 0 {
            self.values = [0; 64];
        }
    }
}

/// Blocks of an MCU.
struct Mcu<'a> {
    orders: &'a [Order],
    blocks: &'a mut [Block],
}

impl Sink for Mcu<'_> {
    type Block<'s>
        = Target<'s>
    where
        Self: 's;

    #[inline(always)]
    fn last(&self, component: usize) -> usize {
        self.orders[component].last
    }

    #[inline(always)]
    fn block(&mut self, component: usize, block: usize) -> Target<'_> {
        let Order { target, weights, .. } = &self.orders[component];
        let block = &mut self.blocks[block];
        block.passed = 0;
        Target { target, weights, block }
    }
}

/// Where the coefficients of a block go.
struct Target<'a> {
    target: &'a [u8; 256],
    weights: &'a [u32; 64],
    block: &'a mut Block,
}

impl Coefficients for Target<'_> {
    #[inline(always)]
    fn mean(&mut self, value: i32) {
        self.block.values[0] = value as i16;
    }

    #[inline(always)]
    fn put(&mut self, place: usize, value: i32) {
        let place = place & 63;
        self.block.values[usize::from(self.target[place] & 63)] = value as i16;
    }

    #[inline(always)]
    fn pairs(&self) -> bool {
        true
    }

    #[inline(always)]
    fn put_pair(&mut self, places: [usize; 2], values: [i32; 2]) {
        // The last one first: the other one stays where they meet.
        for index in [1, 0] {
            let target = self.target[places[index] & 255] & 63;
            self.block.values[usize::from(target)] = values[index] as i16;
        }
    }

    #[inline(always)]
    fn found(&mut self, found: usize) {
        self.block.found = found;
    }

    #[inline(always)]
    fn pass(&mut self, place: usize, energy: u16) {
        self.block.passed += u64::from(energy) * u64::from(self.weights[place & 63]);
    }

    #[inline(always)]
    fn end(self) {}
}

/// The coefficients of a file that is not read MCU by MCU.
pub(in super::super) trait Stored {
    /// The blocks of a row of MCUs, for each component: row by row, of whole MCUs. Coefficients lie row by row, too.
    ///
    /// # Errors
    /// [`Fault`]: there is none.
    fn row(&mut self, row: usize) -> Result<&[Vec<[i16; 64]>], Fault>;
}

/// Where MCUs come from.
pub(super) enum Source<'a> {
    Scan(Box<Scan<'a>>),
    Stored(Box<dyn Stored + 'a>),
}

/// MCUs that are read with all their coefficients, row by row, since too much would be left out.
pub(super) struct Details {
    orders: Vec<Order>,
    /// True for all MCUs.
    all: bool,
    /// True where the last MCUs of rows, and the last row of MCUs, hold more than the picture.
    partial: [bool; 2],
    /// Blocks of the first component, and the brightness that its steps are worth.
    luma: (usize, f32),
    /// Their numbers in the group, and their blocks one after the other.
    pub(super) mcus: Vec<usize>,
    pub(super) blocks: Vec<Block>,
    /// The energy of all MCUs, and how many they are.
    energy: f64,
    read: f64,
}

/// By how much the mean of an MCU in coded light may differ from that in light: of 255. It is rare in photos, whose areas
/// stay within a fraction of it.
const MOST_CHANGE: f32 = 4.0;

impl Details {
    /// `all`: for all MCUs.
    pub(super) fn new(headers: &Headers<'_>, all: bool) -> Result<Details, Fault> {
        let steps = |index: usize| headers.quantisation[headers.components[index].quantisation].ok_or(Fault);
        let order = |index| Ok(Order::new([8; 2], &steps(index)?, 0.0, [false; 2]).0);
        let orders = (0..headers.components.len()).map(order).collect::<Result<_, _>>()?;
        let most = headers.most();
        let partial = [0, 1].map(|axis: usize| !headers.size[axis].is_multiple_of(8 * most[axis]));
        let blocks = headers.components[0].blocks;
        let luma = (blocks[0] * blocks[1], f32::from(steps(0)?[0]) / 8.0 / (blocks[0] * blocks[1]) as f32);
        Ok(Details { orders, all, partial, luma, mcus: Vec::new(), blocks: Vec::new(), energy: 0.0, read: 0.0 })
    }

    /// Returns true if an MCU is to be read with all coefficients.
    #[inline(always)]
    fn wants(&mut self, orders: &[Order], blocks: &[Block], components: &[usize]) -> bool {
        let (mut energy, mut first) = (0.0, 0);
        for (order, number) in orders.iter().zip(components) {
            for block in &blocks[first..first + number] {
                energy += order.energy(block);
            }
            first += number;
        }
        energy /= ENERGY;
        self.energy += f64::from(energy);
        self.read += 1.0;
        let mut sum = 0;
        for block in &blocks[..self.luma.0] {
            sum += i32::from(block.values[0]);
        }
        let brightness = (sum as f32 * self.luma.1 + 128.0).clamp(0.0, 255.0);
        // The mean of light is above the light of the mean, by the second derivative of the curve: for that of sRGB,
        // ((v + 0.055) / 1.055)^2.4, 0.7 times the mean square over v + 0.055.
        0.7 * energy > MOST_CHANGE * (brightness + 0.055 * 255.0)
    }
}

/// Reads a picture, row by row of MCUs.
pub(super) struct Mcus<'a> {
    source: Source<'a>,
    /// MCUs along x and y.
    number: [usize; 2],
    /// Rows that have been read.
    pub(super) row: usize,
    /// Those of a row that are wanted.
    wanted: Range<usize>,
    orders: Vec<Order>,
    /// Blocks of an MCU along x and y, of each component, and of all.
    components: Vec<[usize; 2]>,
    blocks: usize,
    group: Vec<Block>,
    details: Option<Details>,
}

impl<'a> Mcus<'a> {
    /// `wanted`: which of each row. `rows`: whether there are rows to be passed over. An order for each
    /// component. Without `stored` coefficients those of the file are read.
    ///
    /// # Errors
    /// [`Fault`] as in [`Scan::new`].
    pub(super) fn new(
        headers: &Headers<'a>,
        stored: Option<Box<dyn Stored + 'a>>,
        wanted: Range<usize>,
        rows: bool,
        (orders, details): (Vec<Order>, Option<Details>),
    ) -> Result<Mcus<'a>, Fault> {
        let skips = rows || wanted.len() < headers.mcus()[0] || orders.iter().any(|order| order.last < 63);
        let source = match stored {
            Some(stored) => Source::Stored(stored),
            None => Source::Scan(Box::new(Scan::new(headers, skips)?)),
        };
        let components: Vec<_> = headers.components.iter().map(|component| component.blocks).collect();
        let blocks = components.iter().map(|[across, down]| across * down).sum();
        let group = vec![EMPTY; blocks * GROUP];
        Ok(Mcus { source, number: headers.mcus(), row: 0, wanted, orders, components, blocks, group, details })
    }

    /// Passes over a row.
    ///
    /// # Errors
    /// [`Fault`]: there is none, or it is broken.
    pub(super) fn pass(&mut self) -> Result<(), Fault> {
        self.row += 1;
        self.source.pass(self.number[0])
    }

    /// Reads a row. `to` gets wanted MCUs block by block, the number of the first among all that
    /// are wanted, and those that are there with all coefficients; it has to leave the blocks empty.
    ///
    /// # Errors
    /// [`Fault`]: there is none, or it is broken.
    pub(super) fn read(&mut self, mut to: impl FnMut(&mut [Block], usize, Option<&mut Details>)) -> Result<(), Fault> {
        let Mcus { source, wanted, orders, components, blocks, group, details, number, row } = self;
        source.pass(wanted.start)?;
        let numbers: Vec<usize> = components.iter().map(|[across, down]| across * down).collect();
        for first in wanted.clone().step_by(GROUP) {
            let group = &mut group[..(wanted.end - first).min(GROUP) * *blocks];
            if let Some(details) = details {
                details.mcus.clear();
                details.blocks.clear();
            }
            let last = [number[0] - 1, number[1] - 1];
            let mut read = Reading { orders, numbers: &numbers, details: details.as_mut(), at: [first, *row], last };
            match source {
                Source::Scan(scan) => of_scan(scan, &mut read, group, *blocks)?,
                Source::Stored(stored) => of_stored(stored.row(*row)?, &mut read, group, components, number[0]),
            }
            to(group, first - wanted.start, details.as_mut());
        }
        source.pass(number[0] - wanted.end)?;
        *row += 1;
        Ok(())
    }

    /// The mean energy that was left out of MCUs, in squares of a 255th.
    pub(super) fn energy(&self) -> (f64, f64) {
        self.details.as_ref().map_or((0.0, 0.0), |details| (details.energy, details.read))
    }
}

impl Source<'_> {
    fn pass(&mut self, number: usize) -> Result<(), Fault> {
        match self {
            Source::Scan(scan) => pass(scan, number),
            Source::Stored(_) => Ok(()),
        }
    }
}

/// State of reading MCUs.
struct Reading<'a> {
    orders: &'a [Order],
    /// Blocks of an MCU, of each component.
    numbers: &'a [usize],
    details: Option<&'a mut Details>,
    /// Column and row of the MCU that is next, and of the last one.
    at: [usize; 2],
    last: [usize; 2],
}

impl Reading<'_> {
    /// Returns true if the next MCU is read in full whatever is in it.
    #[inline(always)]
    fn in_full(&self) -> bool {
        let Some(details) = &self.details else { return false };
        let ends = |axis: usize| details.partial[axis] && self.at[axis] == self.last[axis];
        details.all || ends(0) || ends(1)
    }

    /// Returns true if the MCU that was read has too much that is left out.
    #[inline(always)]
    fn wants(&mut self, blocks: &[Block]) -> bool {
        let Reading { orders, numbers, details, .. } = self;
        match details {
            Some(details) => details.wants(orders, blocks, numbers),
            None => false,
        }
    }

    /// To read the MCU of that number in the group in full.
    fn full(&mut self, number: usize, blocks: usize) -> Option<Mcu<'_>> {
        let details = self.details.as_mut()?;
        details.mcus.push(number);
        let before = details.blocks.len();
        details.blocks.resize(before + blocks, EMPTY);
        Some(Mcu { orders: &details.orders, blocks: &mut details.blocks[before..] })
    }
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt"))]
fn pass(scan: &mut Scan<'_>, number: usize) -> Result<(), Fault> {
    for _ in 0..number {
        scan.mcu(&mut Nothing)?;
    }
    Ok(())
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt"))]
fn of_scan(scan: &mut Scan<'_>, read: &mut Reading<'_>, group: &mut [Block], number: usize) -> Result<(), Fault> {
    for (index, blocks) in group.chunks_exact_mut(number).enumerate() {
        let in_full = read.in_full();
        scan.mcu(&mut Mcu { orders: read.orders, blocks })?;
        read.at[0] += 1;
        if (read.wants(blocks) || in_full)
            && let Some(mut full) = read.full(index, number)
        {
            scan.again(&mut full)?;
        }
    }
    Ok(())
}

/// From blocks of a row, of which each component has so many for an MCU along x and y.
fn of_stored(
    lines: &[Vec<[i16; 64]>],
    read: &mut Reading<'_>,
    group: &mut [Block],
    components: &[[usize; 2]],
    across_all: usize,
) {
    let number = components.iter().map(|[across, down]| across * down).sum();
    for (index, blocks) in group.chunks_exact_mut(number).enumerate() {
        let (in_full, column) = (read.in_full(), read.at[0]);
        let take = |sink: &mut Mcu<'_>| {
            let mut block = 0;
            for (component, (lines, [across, down])) in lines.iter().zip(components).enumerate() {
                for (y, x) in (0..*down).flat_map(|y| (0..*across).map(move |x| (y, x))) {
                    let stored = &lines[y * across_all * across + column * across + x];
                    let last = sink.last(component);
                    put(stored, last, sink.block(component, block));
                    block += 1;
                }
            }
        };
        take(&mut Mcu { orders: read.orders, blocks });
        read.at[0] += 1;
        if (read.wants(blocks) || in_full)
            && let Some(mut full) = read.full(index, number)
        {
            take(&mut full);
        }
    }
}

/// Hands on the coefficients of a block, which lie row by row.
fn put(stored: &[i16; 64], last: usize, mut to: impl Coefficients) {
    to.mean(stored[0].into());
    let mut found = 0;
    for (place, at) in ZIGZAG.iter().enumerate().skip(1) {
        let value = stored[usize::from(*at)];
        if value == 0 {
            continue;
        }
        if place <= last {
            to.put(place, value.into());
            found = place;
        } else {
            to.pass(place, huffman::square(value.into()));
        }
    }
    to.found(found);
    to.end();
}
