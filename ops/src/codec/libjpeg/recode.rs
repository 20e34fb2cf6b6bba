//! From one quality to another without pixels: the coefficients are quantised anew.

use std::ffi::{c_int, c_void};

use mozjpeg_sys as ffi;
use mozjpeg_sys::J_COLOR_SPACE;

use super::{Decompressor, Stop, emit_message, error_exit};

/// Coefficients that baseline JPEG can code: ITU-T T.81, tables F.1 and F.2.
const LARGEST: f32 = 1023.0;

/// Added to a small float, it leaves the nearest whole number in the low bits (1.5 × 2^23).
const ROUND: f32 = 12_582_912.0;
/// What makes a half less than a half: more than the steps of a float as large as [`LARGEST`].
const LESS: f32 = 1e-4;

/// Bytes that are written at a time.
const CHUNK: usize = 64 * 1024;

/// Everything that C holds pointers to, at one address.
struct State {
    cinfo: ffi::jpeg_compress_struct,
    errors: ffi::jpeg_error_mgr,
    destination: ffi::jpeg_destination_mgr,
    written: Vec<u8>,
}

/// Writes a file; ends with its owner.
struct Compressor(*mut State);

impl Compressor {
    fn new() -> Self {
        // SAFETY: the C structs are plain data for which zero bytes are valid: null pointers,
        // `None` callbacks, and enums that have a variant 0.
        let state = unsafe {
            State {
                cinfo: std::mem::zeroed(),
                errors: std::mem::zeroed(),
                destination: std::mem::zeroed(),
                written: Vec::new(),
            }
        };
        Compressor(Box::into_raw(Box::new(state)))
    }
}

impl Drop for Compressor {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `Box::into_raw` and is freed here only. `cinfo` is either
        // still all zero, or created; `jpeg_destroy` allows both (a null memory manager).
        unsafe {
            ffi::jpeg_destroy_compress(&mut (*self.0).cinfo);
            drop(Box::from_raw(self.0));
        }
    }
}

/// The state that a `cinfo` of ours is part of.
///
/// # Safety
/// `client_data` was set to it, and nobody else uses its vector at the moment.
unsafe fn state<'a>(cinfo: &ffi::jpeg_compress_struct) -> &'a mut State {
    // SAFETY: see above.
    unsafe { &mut *cinfo.common.client_data.cast::<State>() }
}

/// Room for another chunk.
///
/// # Safety
/// As `state`.
unsafe fn make_room(cinfo: &ffi::jpeg_compress_struct) {
    // SAFETY: libjpeg calls back while it holds no reference into the state.
    let state = unsafe { state(cinfo) };
    let length = state.written.len();
    state.written.resize(length + CHUNK, 0);
    state.destination.next_output_byte = state.written[length..].as_mut_ptr();
    state.destination.free_in_buffer = CHUNK;
}

unsafe extern "C-unwind" fn begin(cinfo: &mut ffi::jpeg_compress_struct) {
    // SAFETY: `recode` set `client_data` before this callback.
    unsafe { make_room(cinfo) }
}

unsafe extern "C-unwind" fn go_on(cinfo: &mut ffi::jpeg_compress_struct) -> ffi::boolean {
    // SAFETY: as above. The chunk is full: that is when libjpeg calls this.
    unsafe { make_room(cinfo) }
    1
}

unsafe extern "C-unwind" fn end(cinfo: &mut ffi::jpeg_compress_struct) {
    // SAFETY: as above.
    let state = unsafe { state(cinfo) };
    let length = state.written.len() - state.destination.free_in_buffer;
    state.written.truncate(length);
}

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

    /// The file at another quality, 1..=100; of the picture alone, without markers, with Huffman
    /// tables of its own.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(in super::super) fn recode(mut self, quality: u8) -> Result<Vec<u8>, Stop> {
        let compressor = Compressor::new();
        let to = compressor.0;
        self.guarded(|from| {
            // SAFETY: `from` has read its header and nothing else; `to` stays where it is until
            // `compressor` is dropped, which is after this. The functions are called in the order
            // that libjpeg asks for in a transcoder.
            unsafe {
                let coefficients = ffi::jpeg_read_coefficients(&mut (*from).cinfo);
                (*to).cinfo.common.err = ffi::jpeg_std_error(&mut (*to).errors);
                (*to).errors.error_exit = Some(error_exit);
                (*to).errors.emit_message = Some(emit_message);
                ffi::jpeg_create_compress(&raw mut (*to).cinfo);
                (*to).cinfo.common.client_data = to.cast::<c_void>();
                (*to).destination.init_destination = Some(begin);
                (*to).destination.empty_output_buffer = Some(go_on);
                (*to).destination.term_destination = Some(end);
                (*to).cinfo.dest = &raw mut (*to).destination;
                let profile = ffi::JINT_COMPRESS_PROFILE_VALUE::JCP_FASTEST as c_int;
                ffi::jpeg_c_set_int_param(&mut (*to).cinfo, ffi::J_INT_PARAM::JINT_COMPRESS_PROFILE, profile);
                ffi::jpeg_copy_critical_parameters(&(*from).cinfo, &mut (*to).cinfo);
                ffi::jpeg_set_quality(&mut (*to).cinfo, c_int::from(quality), 0);
                (*to).cinfo.optimize_coding = 1;
                let count = usize::try_from((*from).cinfo.num_components).unwrap_or_default();
                for index in 0..count {
                    let table = usize::from(index > 0);
                    let component = &*(*from).cinfo.comp_info.add(index);
                    (*(*to).cinfo.comp_info.add(index)).quant_tbl_no = table as c_int;
                    let old = &(*component.quant_table).quantval;
                    let new = &(*(*to).cinfo.quant_tbl_ptrs[table]).quantval;
                    let ratios: [f32; 64] = std::array::from_fn(|k| f32::from(old[k]) / f32::from(new[k]));
                    let (width, height) = (component.width_in_blocks as usize, component.height_in_blocks);
                    let array = *coefficients.add(index);
                    for row in 0..height {
                        let access = (*(*from).cinfo.common.mem).access_virt_barray;
                        let access = access.unwrap_or_else(|| unreachable!("libjpeg's memory manager has it"));
                        let rows = access(&mut (*from).cinfo.common, array, row, 1, 1);
                        let blocks = std::slice::from_raw_parts_mut(*rows, width);
                        blocks.iter_mut().for_each(|block| requantise(block, &ratios));
                    }
                }
                ffi::jpeg_write_coefficients(&mut (*to).cinfo, coefficients);
                ffi::jpeg_finish_compress(&mut (*to).cinfo);
                ffi::jpeg_finish_decompress(&mut (*from).cinfo);
            }
        })?;
        // SAFETY: `to` is alive, and C does not use it any more.
        Ok(std::mem::take(unsafe { &mut (*to).written }))
    }
}

/// Multiplies coefficients and rounds them to nearest, halves towards 0, where they take less: from
/// a table to one of twice its steps every other coefficient is a half. Straight-line code, so that
/// it becomes vector code.
fn requantise(block: &mut [i16; 64], ratios: &[f32; 64]) {
    for (coefficient, ratio) in block.iter_mut().zip(ratios) {
        let value = (f32::from(*coefficient) * ratio).clamp(-LARGEST, LARGEST);
        *coefficient = (value - LESS.copysign(value) + ROUND).to_bits().wrapping_sub(ROUND.to_bits()) as i16;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coefficients_are_rounded_to_nearest_and_stay_within_what_can_be_coded() {
        let mut block = [0; 64];
        block[..8].copy_from_slice(&[1, -1, 3, -3, i16::MAX, i16::MIN, 4, 0]);
        requantise(&mut block, &[0.5; 64]);
        assert_eq!(block[..9], [0, 0, 1, -1, 1023, -1023, 2, 0, 0]);
        requantise(&mut block, &[0.6; 64]);
        assert_eq!(block[..7], [0, 0, 1, -1, 614, -614, 1]);
    }
}
