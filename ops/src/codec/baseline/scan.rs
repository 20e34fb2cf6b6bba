//! The codes of a file, MCU by MCU (ITU-T T.81, annexes A.2 and F.2).

use std::sync::Arc;

use super::Fault;
use super::bits::{Bits, Reader};
use super::headers::{Codes, Headers};
use super::huffman::{self, Class, Table};

/// How a component is coded.
struct Coded {
    /// Blocks of an MCU.
    blocks: usize,
    dc: Arc<Table>,
    ac: Arc<Table>,
    /// The first coefficient of the block before.
    mean: i32,
}

/// Reads all components of a picture.
pub(super) struct Scan<'a> {
    components: Vec<Coded>,
    bits: Bits<'a>,
    /// MCUs between restarts; 0 without.
    interval: usize,
    /// MCUs up to the next restart.
    left: usize,
    /// The number of that restart.
    next: u8,
    /// Where the last MCU began, and the means before it.
    begin: Option<Reader>,
    means: [i32; 4],
}

/// Takes the blocks of an MCU.
pub(super) trait Sink {
    /// Takes a block.
    type Block<'s>: Coefficients
    where
        Self: 's;

    /// The last place of the zigzag that is wanted of blocks of a component.
    fn last(&self, component: usize) -> usize;

    /// Begins a block.
    fn block(&mut self, component: usize, block: usize) -> Self::Block<'_>;
}

/// Takes the coefficients of a block.
pub(super) trait Coefficients {
    /// Takes the first one.
    fn mean(&mut self, value: i32);

    /// Takes one that is wanted, with its place; places ascend. Those that are left out are 0.
    fn put(&mut self, place: usize, value: i32);

    /// Whether it takes them by two.
    fn pairs(&self) -> bool {
        false
    }

    /// Takes one or two. The second one is at the place of the first if there is none; places up to 255
    /// may be none that is wanted.
    fn put_pair(&mut self, _places: [usize; 2], _values: [i32; 2]) {}

    /// Has taken all that are wanted; behind place `found` there are none but 0.
    fn found(&mut self, found: usize);

    /// Is told of some that are not wanted: the place of the last one, up to 255, and the sum of their squares.
    #[inline(always)]
    fn pass(&mut self, _place: usize, _energy: u16) {}

    /// Ends the block.
    fn end(self);
}

/// Wants none.
pub(super) struct Nothing;

impl Sink for Nothing {
    type Block<'s> = Nothing;

    fn last(&self, _component: usize) -> usize {
        0
    }

    fn block(&mut self, _component: usize, _block: usize) -> Nothing {
        Nothing
    }
}

impl Coefficients for Nothing {
    fn mean(&mut self, _value: i32) {}

    fn put(&mut self, _place: usize, _value: i32) {}

    fn found(&mut self, _found: usize) {}

    fn end(self) {}
}

impl<'a> Scan<'a> {
    /// `skips`: not all coefficients will be wanted.
    ///
    /// # Errors
    /// [`Fault`] when tables are missing, or an MCU has more blocks than it may have.
    pub(super) fn new(headers: &Headers<'a>, skips: bool) -> Result<Scan<'a>, Fault> {
        let mut components = Vec::new();
        // Made once for all components that use them, and only those that are used: it takes time,
        // and a file may have any number.
        let mut made = [const { None }; 8];
        let mut table = |class: Class, codes: &[Option<Codes<'a>>; 4], number: usize| {
            let codes = codes.get(number).copied().flatten().ok_or(Fault)?;
            let made: &mut Option<Arc<Table>> = &mut made[number + 4 * usize::from(class == Class::Ac)];
            if made.is_none() {
                *made = Some(Arc::new(Table::new(class, &codes.lengths, codes.symbols, skips)?));
            }
            made.clone().ok_or(Fault)
        };
        for component in &headers.components {
            let [dc, ac] = component.tables;
            let (dc, ac) = (table(Class::Dc, &headers.dc, dc)?, table(Class::Ac, &headers.ac, ac)?);
            components.push(Coded { blocks: component.blocks[0] * component.blocks[1], dc, ac, mean: 0 });
        }
        if components.iter().map(|component| component.blocks).sum::<usize>() > 10 {
            return Err(Fault);
        }
        let (bits, interval) = (Bits::new(headers.codes), headers.interval);
        Ok(Scan { components, bits, interval, left: interval, next: 0, begin: None, means: [0; 4] })
    }

    /// Reads the next MCU. Blocks are numbered within it.
    ///
    /// # Errors
    /// [`Fault`]: there is none, or it is broken.
    #[inline(always)]
    pub(super) fn mcu(&mut self, sink: &mut impl Sink) -> Result<(), Fault> {
        if self.interval > 0 {
            self.restart()?;
        }
        self.means.iter_mut().zip(&self.components).for_each(|(mean, component)| *mean = component.mean);
        self.blocks(sink)
    }

    /// Reads the last MCU once more.
    ///
    /// # Errors
    /// [`Fault`]: it is broken.
    #[inline(always)]
    pub(super) fn again(&mut self, sink: &mut impl Sink) -> Result<(), Fault> {
        self.bits.go_back(self.begin.ok_or(Fault)?);
        self.components.iter_mut().zip(&self.means).for_each(|(component, mean)| component.mean = *mean);
        self.blocks(sink)
    }

    #[inline(always)]
    fn blocks(&mut self, sink: &mut impl Sink) -> Result<(), Fault> {
        let mut bits = self.bits.cursor();
        self.begin = Some(bits.reader());
        let mut block = 0;
        for (index, Coded { blocks, dc, ac, mean }) in self.components.iter_mut().enumerate() {
            for _ in 0..*blocks {
                let last = sink.last(index);
                huffman::block(&mut bits, dc, ac, last, mean, sink.block(index, block))?;
                block += 1;
            }
        }
        let read = bits.reader();
        self.bits.pass(read)
    }

    /// Before each MCU of a file with restarts (E.2.4).
    fn restart(&mut self) -> Result<(), Fault> {
        if self.left == 0 {
            if self.bits.marker()? != 0xd0 + self.next {
                return Err(Fault);
            }
            (self.left, self.next) = (self.interval, (self.next + 1) % 8);
            self.components.iter_mut().for_each(|component| component.mean = 0);
        }
        self.left -= 1;
        Ok(())
    }
}
