//! The coefficients of a part of a picture, a few MCUs at a time.

use std::ops::Range;

use multiversion::multiversion;

use super::headers::Headers;
use super::scan::{Coefficients, Nothing, Scan, Sink};
use super::{Fault, ZIGZAG};

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
}

impl Order {
    /// For the lowest coefficients, `width` × `height` of them, row by row. With their steps in the
    /// same order.
    pub(super) fn new(width: usize, height: usize, steps: &[u16; 64]) -> (Order, [u16; 64]) {
        let at = |place: usize| (usize::from(ZIGZAG[place] % 8), usize::from(ZIGZAG[place] / 8));
        let matters = |place: usize| at(place).0 < width && at(place).1 < height;
        // What does not matter comes behind what does, where nobody looks.
        let target = |place| if place < 64 && matters(place) { at(place).1 * width + at(place).0 } else { 63 };
        let mut ordered = [0; 64];
        (0..64).filter(|place| matters(*place)).for_each(|place| ordered[target(place)] = steps[place]);
        let last = (0..64).rfind(|place| matters(*place)).unwrap_or(0);
        (Order { last, target: std::array::from_fn(|place| target(place) as u8) }, ordered)
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
}

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
        Target { target: &self.orders[component].target, block: &mut self.blocks[block] }
    }
}

/// Where the coefficients of a block go.
struct Target<'a> {
    target: &'a [u8; 256],
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
    fn end(self, found: usize) {
        self.block.found = found;
    }
}

/// Reads a picture, row by row of MCUs.
pub(super) struct Mcus<'a> {
    scan: Scan<'a>,
    /// MCUs along x and y.
    number: [usize; 2],
    /// Rows that have been read.
    pub(super) row: usize,
    /// Those of a row that are wanted.
    wanted: Range<usize>,
    orders: Vec<Order>,
    /// Blocks of an MCU.
    blocks: usize,
    group: Vec<Block>,
}

impl<'a> Mcus<'a> {
    /// `wanted`: which of each row. `rows`: whether there are rows to be passed over. An order for each
    /// component.
    ///
    /// # Errors
    /// [`Fault`] as in [`Scan::new`].
    pub(super) fn new(
        headers: &Headers<'a>,
        wanted: Range<usize>,
        rows: bool,
        orders: Vec<Order>,
    ) -> Result<Mcus<'a>, Fault> {
        let skips = rows || wanted.len() < headers.mcus()[0] || orders.iter().any(|order| order.last < 63);
        let scan = Scan::new(headers, skips)?;
        let blocks = headers.components.iter().map(|component| component.blocks[0] * component.blocks[1]).sum();
        let group = vec![Block { values: [0; 64], found: 0 }; blocks * GROUP];
        Ok(Mcus { scan, number: headers.mcus(), row: 0, wanted, orders, blocks, group })
    }

    /// Passes over a row.
    ///
    /// # Errors
    /// [`Fault`]: there is none, or it is broken.
    pub(super) fn pass(&mut self) -> Result<(), Fault> {
        self.row += 1;
        pass(&mut self.scan, self.number[0])
    }

    /// Reads a row. `to` gets wanted MCUs block by block, and the number of the first among all that
    /// are wanted; it has to leave the blocks empty.
    ///
    /// # Errors
    /// [`Fault`]: there is none, or it is broken.
    pub(super) fn read(&mut self, mut to: impl FnMut(&mut [Block], usize)) -> Result<(), Fault> {
        let Mcus { scan, wanted, orders, blocks, group, .. } = self;
        pass(scan, wanted.start)?;
        for first in wanted.clone().step_by(GROUP) {
            let group = &mut group[..(wanted.end - first).min(GROUP) * *blocks];
            read(scan, orders, group, *blocks)?;
            to(group, first - wanted.start);
        }
        pass(scan, self.number[0] - wanted.end)?;
        self.row += 1;
        Ok(())
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
fn read(scan: &mut Scan<'_>, orders: &[Order], group: &mut [Block], blocks: usize) -> Result<(), Fault> {
    for blocks in group.chunks_exact_mut(blocks) {
        scan.mcu(&mut Mcu { orders, blocks })?;
    }
    Ok(())
}
