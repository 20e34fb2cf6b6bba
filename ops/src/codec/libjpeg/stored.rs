//! The coefficients of files in several scans.

use mozjpeg_sys as ffi;

use super::super::baseline::{Component, Fault, Headers, Stored, ZIGZAG};
use super::{Decompressor, Stop};

/// Coefficients of all blocks, which libjpeg keeps until all scans have been read.
struct Arrays<'a> {
    file: Decompressor<'a>,
    /// An array for each component.
    arrays: *mut *mut ffi::jvirt_barray_control,
    /// Blocks of an MCU along x and y, of each component.
    blocks: Vec<[usize; 2]>,
    /// MCUs along x and y.
    number: [usize; 2],
    /// The row of MCUs that was copied last, and its blocks.
    row: Option<usize>,
    lines: Vec<Vec<[i16; 64]>>,
}

impl<'a> Decompressor<'a> {
    /// Reads all scans: what else the file says of its coefficients, and these themselves.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(in super::super) fn stored(mut self) -> Result<(Headers<'a>, Box<dyn Stored + 'a>), Stop> {
        let (width, height) = self.size();
        // SAFETY: the header has been read, and nothing else.
        let arrays = self.guarded(|state| unsafe { ffi::jpeg_read_coefficients(&mut (*state).cinfo) })?;
        let gray = self.components().len() == 1;
        let (mut components, mut quantisation) = (Vec::new(), [None; 4]);
        for (index, component) in self.components().iter().enumerate().take(4) {
            let blocks = [component.h_samp_factor, component.v_samp_factor].map(|side| side as usize);
            // The only component comes block by block (T.81, A.2.2).
            let blocks = if gray { [1; 2] } else { blocks };
            // SAFETY: libjpeg keeps the steps of each component that it has read; null only of one that it has not.
            let table = unsafe { component.quant_table.as_ref() };
            quantisation[index] = table.map(|table| ZIGZAG.map(|at| table.quantval[usize::from(at)]));
            components.push(Component { id: index as u8, blocks, quantisation: index, tables: [0; 2] });
        }
        let size = [width, height].map(|side| side as usize);
        let (dc, ac) = ([None; 4], [None; 4]);
        let headers = Headers { size, components, quantisation, dc, ac, interval: 0, codes: &[] };
        let blocks: Vec<_> = headers.components.iter().map(|component| component.blocks).collect();
        let lines = vec![Vec::new(); blocks.len()];
        let stored = Arrays { file: self, arrays, blocks, number: headers.mcus(), row: None, lines };
        Ok((headers, Box::new(stored)))
    }
}

impl Stored for Arrays<'_> {
    fn row(&mut self, row: usize) -> Result<&[Vec<[i16; 64]>], Fault> {
        let Arrays { file, arrays, blocks, number, lines, .. } = self;
        if row >= number[1] {
            return Err(Fault);
        }
        if self.row != Some(row) {
            let read = file.guarded(|state| {
                // SAFETY: the memory manager is there as long as `cinfo`.
                let access = unsafe { (*(*state).cinfo.common.mem).access_virt_barray };
                let access = access.unwrap_or_else(|| unreachable!("libjpeg's memory manager has it"));
                for (index, ([across, down], lines)) in blocks.iter().zip(lines.iter_mut()).enumerate() {
                    lines.clear();
                    // SAFETY: there is an array for each component, with rows and columns for whole MCUs; `down` rows
                    // of it can be had at once, and stay until the next call.
                    unsafe {
                        let (first, count) = ((row * down) as u32, *down as u32);
                        let common = &mut (*state).cinfo.common;
                        let blocks = access(common, *arrays.add(index), first, count, 0);
                        for line in 0..*down {
                            let line = std::slice::from_raw_parts(*blocks.add(line), number[0] * across);
                            lines.extend_from_slice(line);
                        }
                    }
                }
            });
            read.map_err(|_| Fault)?;
            self.row = Some(row);
        }
        Ok(&self.lines)
    }
}
