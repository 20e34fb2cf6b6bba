//! The coefficients of files that only libjpeg reads, at another quality.

use std::ffi::c_int;

use mozjpeg_sys as ffi;
use mozjpeg_sys::J_COLOR_SPACE;

use super::super::baseline::{Recoder, ZIGZAG};
use super::{Decompressor, Stop, is_complete, throw};

impl Decompressor<'_> {
    /// True when the file holds what our encoder would write as well: gray, or YCbCr with colours
    /// at half the size.
    pub(in super::super) fn can_be_recoded(&self) -> bool {
        let samplings: Vec<(c_int, c_int)> =
            self.components().iter().map(|component| (component.h_samp_factor, component.v_samp_factor)).collect();
        match self.color_space() {
            J_COLOR_SPACE::JCS_GRAYSCALE => samplings == [(1, 1)],
            J_COLOR_SPACE::JCS_YCbCr => samplings == [(2, 2), (1, 1), (1, 1)],
            _ => false,
        }
    }

    /// The file at another quality, 1..=100, if it [can be](Decompressor::can_be_recoded).
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(in super::super) fn recode(mut self, quality: u8) -> Result<Vec<u8>, Stop> {
        let (width, height) = self.size();
        let may_end = self.huffman;
        self.guarded(|state| {
            // SAFETY: the header has been read, and nothing else. `coefficients` has an array for
            // each component.
            let (cinfo, coefficients) = unsafe {
                (*state).may_end = may_end;
                let coefficients = ffi::jpeg_read_coefficients(&mut (*state).cinfo);
                if (*state).ended && !is_complete(&(*state).cinfo) {
                    throw(Stop::File { reason: "it ends before its last scan".into(), unsupported: false });
                }
                (&mut (*state).cinfo, coefficients)
            };
            let count = usize::try_from(cinfo.num_components).unwrap_or_default();
            // SAFETY: libjpeg keeps that many components at `comp_info`, and what it read of each
            // is still there: the table of its steps, row by row, too.
            let components = unsafe { std::slice::from_raw_parts(cinfo.comp_info, count) };
            let steps = components.iter().map(|component| {
                // SAFETY: as above.
                let table = unsafe { &(*component.quant_table).quantval };
                ZIGZAG.map(|at| table[usize::from(at)])
            });
            let steps: Vec<[u16; 64]> = steps.collect();
            let mut recoder = Recoder::new([width, height].map(|side| side as usize), &steps, quality);
            // SAFETY: the memory manager is there as long as `cinfo`.
            let access = unsafe { (*cinfo.common.mem).access_virt_barray };
            let access = access.unwrap_or_else(|| unreachable!("libjpeg's memory manager has it"));
            let columns = components[0].width_in_blocks.div_ceil(components[0].h_samp_factor as u32) as usize;
            let rows = components[0].height_in_blocks.div_ceil(components[0].v_samp_factor as u32);
            let mut blocks: Vec<Vec<[i16; 64]>> = vec![Vec::new(); count];
            for row in 0..rows {
                for (index, (component, blocks)) in components.iter().zip(&mut blocks).enumerate() {
                    let (across, down) = (component.h_samp_factor as usize, component.v_samp_factor as u32);
                    blocks.clear();
                    // SAFETY: the array has rows and columns for whole MCUs; `down` rows of it can be
                    // had at once, and stay until the next call.
                    unsafe {
                        let lines = access(&mut cinfo.common, *coefficients.add(index), row * down, down, 0);
                        for line in 0..down as usize {
                            let line = std::slice::from_raw_parts(*lines.add(line), columns * across);
                            blocks.extend_from_slice(line);
                        }
                    }
                }
                for column in 0..columns {
                    for (index, (component, blocks)) in components.iter().zip(&blocks).enumerate() {
                        let across = component.h_samp_factor as usize;
                        for line in blocks.chunks_exact(columns * across) {
                            let mcu = &line[column * across..][..across];
                            mcu.iter().for_each(|block| recoder.take(index, block));
                        }
                    }
                }
            }
            recoder.finish()
        })
    }
}
