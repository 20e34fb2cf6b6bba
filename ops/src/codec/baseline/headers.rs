//! What comes before the codes of a file (ITU-T T.81, annex B).

use super::Fault;

/// A component as the frame and the scan have it.
pub(in super::super) struct Component {
    pub(in super::super) id: u8,
    /// Blocks of an MCU along x and y.
    pub(in super::super) blocks: [usize; 2],
    pub(in super::super) quantisation: usize,
    pub(in super::super) tables: [usize; 2],
}

/// How many codes there are of 1 to 16 bits, and what they stand for.
#[derive(Clone, Copy)]
pub(in super::super) struct Codes<'a> {
    pub(super) lengths: [u8; 16],
    pub(super) symbols: &'a [u8],
}

/// All that comes before the codes.
pub(in super::super) struct Headers<'a> {
    pub(in super::super) size: [usize; 2],
    pub(in super::super) components: Vec<Component>,
    /// Steps of the coefficients, by place.
    pub(in super::super) quantisation: [Option<[u16; 64]>; 4],
    /// Codes for means and for the other coefficients; the last ones count where there are several.
    pub(in super::super) dc: [Option<Codes<'a>>; 4],
    pub(in super::super) ac: [Option<Codes<'a>>; 4],
    /// MCUs between restarts; 0 without.
    pub(in super::super) interval: usize,
    pub(in super::super) codes: &'a [u8],
}

/// Bytes of a marker segment.
struct Segment<'a>(&'a [u8]);

impl<'a> Segment<'a> {
    fn take(&mut self, number: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.0.split_at_checked(number).ok_or(Fault)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        self.take(N)?.try_into().map_err(|_| Fault)
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        self.array().map(|[byte]| byte)
    }

    fn word(&mut self) -> Result<u16, Fault> {
        self.array().map(u16::from_be_bytes)
    }
}

impl<'a> Headers<'a> {
    /// Reads a file up to its first scan.
    ///
    /// # Errors
    /// [`Fault`]: broken, or not of the kind that is read here.
    pub(super) fn read(file: &'a [u8]) -> Result<Headers<'a>, Fault> {
        let mut headers = Headers {
            size: [0; 2],
            components: Vec::new(),
            quantisation: [None; 4],
            dc: [None; 4],
            ac: [None; 4],
            interval: 0,
            codes: &[],
        };
        let mut file = Segment(file);
        if file.array()? != [0xff, 0xd8] {
            return Err(Fault);
        }
        loop {
            if file.byte()? != 0xff {
                return Err(Fault);
            }
            let mut marker = file.byte()?;
            while marker == 0xff {
                marker = file.byte()?;
            }
            let length = usize::from(file.word()?).checked_sub(2).ok_or(Fault)?;
            let mut segment = Segment(file.take(length)?);
            match marker {
                0xc0 | 0xc1 => headers.frame(&mut segment)?,
                0xc4 => headers.codes(&mut segment)?,
                0xdb => headers.steps(&mut segment)?,
                0xdd => headers.interval = usize::from(segment.word()?),
                0xda => {
                    headers.scan(&mut segment)?;
                    headers.codes = file.0;
                    return Ok(headers);
                }
                // Those of applications, and comments.
                0xe0..=0xef | 0xfe => {}
                _ => return Err(Fault),
            }
        }
    }

    /// B.2.2.
    fn frame(&mut self, segment: &mut Segment<'_>) -> Result<(), Fault> {
        let precision = segment.byte()?;
        let [height, width] = [segment.word()?, segment.word()?].map(usize::from);
        let number = segment.byte()?;
        if precision != 8 || width == 0 || height == 0 || !matches!(number, 1 | 3) || !self.components.is_empty() {
            return Err(Fault);
        }
        self.size = [width, height];
        for _ in 0..number {
            let [id, sampling, table] = segment.array()?;
            let blocks = [sampling >> 4, sampling & 15].map(usize::from);
            if !blocks.iter().all(|blocks| (1..=4).contains(blocks)) || table > 3 {
                return Err(Fault);
            }
            // The only component of a scan comes block by block (A.2.2).
            let blocks = if number == 1 { [1; 2] } else { blocks };
            self.components.push(Component { id, blocks, quantisation: table.into(), tables: [0; 2] });
        }
        Ok(())
    }

    /// B.2.4.2.
    fn codes(&mut self, segment: &mut Segment<'a>) -> Result<(), Fault> {
        while !segment.0.is_empty() {
            let which = segment.byte()?;
            let lengths: [u8; 16] = segment.array()?;
            let symbols = segment.take(lengths.iter().map(|number| usize::from(*number)).sum())?;
            let tables = match which >> 4 {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return Err(Fault),
            };
            *tables.get_mut(usize::from(which & 15)).ok_or(Fault)? = Some(Codes { lengths, symbols });
        }
        Ok(())
    }

    /// B.2.4.1.
    fn steps(&mut self, segment: &mut Segment<'_>) -> Result<(), Fault> {
        while !segment.0.is_empty() {
            let which = segment.byte()?;
            let mut steps = [0; 64];
            for step in &mut steps {
                *step = match which >> 4 {
                    0 => u16::from(segment.byte()?),
                    1 => segment.word()?,
                    _ => return Err(Fault),
                };
            }
            *self.quantisation.get_mut(usize::from(which & 15)).ok_or(Fault)? = Some(steps);
        }
        Ok(())
    }

    /// B.2.3.
    fn scan(&mut self, segment: &mut Segment<'_>) -> Result<(), Fault> {
        let number = usize::from(segment.byte()?);
        if number == 0 || number != self.components.len() {
            return Err(Fault);
        }
        for component in &mut self.components {
            let [id, tables] = segment.array()?;
            if id != component.id {
                return Err(Fault);
            }
            component.tables = [tables >> 4, tables & 15].map(usize::from);
        }
        if segment.array()? == [0, 63, 0] { Ok(()) } else { Err(Fault) }
    }

    /// Blocks of an MCU along x and y, of the component that has most.
    pub(super) fn most(&self) -> [usize; 2] {
        [0, 1].map(|axis: usize| self.components.iter().map(|component| component.blocks[axis]).max().unwrap_or(1))
    }

    /// MCUs along x and y.
    pub(in super::super) fn mcus(&self) -> [usize; 2] {
        let most = self.most();
        [0, 1].map(|axis: usize| self.size[axis].div_ceil(8 * most[axis]))
    }
}
