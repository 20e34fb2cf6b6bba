//! The decompressor of libjpeg (mozjpeg's), behind a safe interface.
//!
//! libjpeg reports faults by calling back and not expecting a return; here the callback unwinds
//! through the C frames (which `mozjpeg-sys` compiles for that) to [`Decompressor::guarded`]. No
//! panic is started, so the panic hook stays silent. Unlike the wrapper in the `mozjpeg` crate,
//! this one decides by warning code what a file may get away with, and looks at the cancel flag
//! inside long calls.

mod recode;
mod stored;

use std::any::Any;
use std::ffi::{CStr, c_char, c_int, c_uint, c_ulong, c_void};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use mozjpeg_sys as ffi;
use mozjpeg_sys::J_COLOR_SPACE;

use super::jpeg::MAX_SCANS;
use crate::{Cancel, OpError};

/// Why libjpeg stopped.
#[derive(Debug)]
pub(super) enum Stop {
    /// Its words, and whether it is a variant of the format that it cannot read.
    File { reason: String, unsupported: bool },
    /// Told to, or out of memory.
    Operation(OpError),
}

/// Everything that C holds pointers to, at one address.
struct State {
    cinfo: ffi::jpeg_decompress_struct,
    errors: ffi::jpeg_error_mgr,
    progress: ffi::jpeg_progress_mgr,
    cancel: Cancel,
    /// True while codes are read that tell themselves when there are too few of them: then the file may
    /// end without its end marker.
    may_end: bool,
    /// True when the file ended so.
    ended: bool,
    /// True where the file may end anywhere: what is missing is made up, gray.
    may_be_cut: bool,
}

/// A JPEG file whose header has been read, then its rows. What follows the last row is not read.
pub(super) struct Decompressor<'a> {
    state: *mut State,
    /// True if codes are Huffman's. Arithmetic ones (ITU-T T.81, annex D) go on as zeroes where the file ends.
    huffman: bool,
    bytes: PhantomData<&'a [u8]>,
}

impl<'a> Decompressor<'a> {
    /// Reads up to the first scan of a file whose markers have been looked through. `huffman`: its codes are Huffman's.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(super) fn open(bytes: &'a [u8], huffman: bool, cancel: &Cancel) -> Result<Self, Stop> {
        // SAFETY: the three C structs are plain data for which zero bytes are valid: null
        // pointers, `None` callbacks, and enums that have a variant 0.
        let state = unsafe {
            State {
                cinfo: std::mem::zeroed(),
                errors: std::mem::zeroed(),
                progress: std::mem::zeroed(),
                cancel: cancel.clone(),
                may_end: false,
                ended: false,
                may_be_cut: false,
            }
        };
        let state = Box::into_raw(Box::new(state));
        let mut this = Decompressor { state, huffman, bytes: PhantomData };
        let length =
            c_ulong::try_from(bytes.len()).map_err(|_| Stop::File { reason: "too long".into(), unsupported: true })?;
        this.guarded(|state| {
            // SAFETY: `state` and all in it stay where they are until `drop`, which destroys
            // `cinfo` first; `bytes` outlives `self`. `client_data` is only read back as a `State`
            // by the callbacks below.
            unsafe {
                (*state).cinfo.common.err = ffi::jpeg_std_error(&mut (*state).errors);
                (*state).errors.error_exit = Some(error_exit);
                (*state).errors.emit_message = Some(emit_message);
                ffi::jpeg_create_decompress(&raw mut (*state).cinfo);
                (*state).cinfo.common.client_data = state.cast::<c_void>();
                (*state).progress.progress_monitor = Some(progress_monitor);
                (*state).cinfo.common.progress = &raw mut (*state).progress;
                ffi::jpeg_mem_src(&mut (*state).cinfo, bytes.as_ptr(), length);
                ffi::jpeg_read_header(&mut (*state).cinfo, 1);
            }
        })?;
        Ok(this)
    }

    fn cinfo(&self) -> &ffi::jpeg_decompress_struct {
        // SAFETY: `state` is valid until `drop`, and only methods that take `&mut self` change it.
        unsafe { &(*self.state).cinfo }
    }

    /// Runs C code and turns what it throws into an error.
    fn guarded<T>(&mut self, call: impl FnOnce(*mut State) -> T) -> Result<T, Stop> {
        let state = self.state;
        catch_unwind(AssertUnwindSafe(|| call(state))).map_err(|thrown: Box<dyn Any + Send>| {
            match thrown.downcast::<Stop>() {
                Ok(stop) => *stop,
                // A panic of our own: none of libjpeg's business.
                Err(other) => resume_unwind(other),
            }
        })
    }

    /// Lets the file end anywhere from here on.
    pub(super) fn accept_cut(&mut self) {
        // SAFETY: `state` is valid until `drop`, and C holds no reference to the field.
        unsafe { (*self.state).may_be_cut = true };
    }

    /// Stored width and height, pixels.
    pub(super) fn size(&self) -> (u32, u32) {
        (self.cinfo().image_width, self.cinfo().image_height)
    }

    /// The colours the file is coded in.
    pub(super) fn color_space(&self) -> J_COLOR_SPACE {
        self.cinfo().jpeg_color_space
    }

    /// Bytes of coefficients that are kept while it is read: 0 for a file with a single scan.
    pub(super) fn coefficients(&self) -> u64 {
        let cinfo = self.cinfo();
        // SAFETY: the header has been read.
        if unsafe { ffi::jpeg_has_multiple_scans(cinfo) } == 0 {
            return 0;
        }
        let blocks = |component: &ffi::jpeg_component_info| {
            u64::from(component.width_in_blocks) * u64::from(component.height_in_blocks)
        };
        self.components().iter().map(blocks).sum::<u64>() * 64 * 2
    }

    fn components(&self) -> &[ffi::jpeg_component_info] {
        let count = usize::try_from(self.cinfo().num_components).unwrap_or_default();
        // SAFETY: libjpeg keeps that many components at `comp_info` once the header has been read.
        unsafe { std::slice::from_raw_parts(self.cinfo().comp_info, count) }
    }

    /// Starts with rows in `colors`, which must be gray, RGB or CMYK, at `eighths`/8 of the size.
    /// All scans of a file with several are read here.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(super) fn start(&mut self, colors: J_COLOR_SPACE, eighths: u32) -> Result<(), Stop> {
        let may_end = self.huffman;
        self.guarded(|state| {
            // SAFETY: the header has been read, which is all that `jpeg_start_decompress` asks for. With several
            // scans and `buffered_image` it returns before the first, and `jpeg_start_output` comes after the last.
            unsafe {
                (*state).may_end = may_end;
                (*state).cinfo.out_color_space = colors;
                (*state).cinfo.scale_num = eighths;
                (*state).cinfo.scale_denom = 8;
                let several = ffi::jpeg_has_multiple_scans(&(*state).cinfo) != 0;
                (*state).cinfo.buffered_image = several.into();
                ffi::jpeg_start_decompress(&mut (*state).cinfo);
                if several {
                    read_scans(state);
                    ffi::jpeg_start_output(&mut (*state).cinfo, (*state).cinfo.input_scan_number);
                }
            }
        })
    }

    /// Width and height of the rows that are read, pixels; after [`Decompressor::start`].
    pub(super) fn output_size(&self) -> (u32, u32) {
        (self.cinfo().output_width, self.cinfo().output_height)
    }

    /// Reads only some columns: at least those from `left` on, of which there are `width`. Returns
    /// the first that is read. To be called before any row is read.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(super) fn crop(&mut self, left: u32, width: u32) -> Result<u32, Stop> {
        let (mut left, mut width) = (left, width);
        self.guarded(|state| {
            // SAFETY: decompression has started, and no row has been read; libjpeg checks the rest.
            unsafe { ffi::jpeg_crop_scanline(&mut (*state).cinfo, &mut left, &mut width) };
        })?;
        Ok(left)
    }

    /// Passes over rows, `at_once` in each call that cannot be stopped: whole rows of MCUs.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(super) fn skip(&mut self, rows: u32, at_once: u32) -> Result<(), Stop> {
        let mut left = rows;
        while left > 0 {
            let some = left.min(at_once);
            self.guarded(|state| {
                // SAFETY: decompression has started; no more rows are skipped than there are.
                let skipped = unsafe {
                    progress_monitor(&mut (*state).cinfo.common);
                    ffi::jpeg_skip_scanlines(&mut (*state).cinfo, some)
                };
                if skipped != some {
                    throw(Stop::File { reason: "no more rows".into(), unsupported: false });
                }
            })?;
            left -= some;
        }
        Ok(())
    }

    /// Reads as many rows as fit `rows` exactly: `rows.len()` is a multiple of width × components.
    ///
    /// # Errors
    /// What is wrong with the file.
    ///
    /// # Panics
    /// When `rows` has another length, or the picture fewer rows left.
    pub(super) fn read(&mut self, rows: &mut [u8]) -> Result<(), Stop> {
        let cinfo = self.cinfo();
        let stride = cinfo.output_width as usize * cinfo.output_components as usize;
        let left = (cinfo.output_height - cinfo.output_scanline) as usize;
        assert!(stride > 0 && rows.len().is_multiple_of(stride) && rows.len() / stride <= left);
        let mut pointers: Vec<*mut u8> = rows.chunks_exact_mut(stride).map(<[u8]>::as_mut_ptr).collect();
        self.guarded(|state| {
            let mut done = 0;
            while done < pointers.len() {
                // SAFETY: decompression has started (`stride` is not 0); the pointers from `done`
                // on lead to that many rows of `stride` bytes each.
                let read = unsafe {
                    ffi::jpeg_read_scanlines(
                        &mut (*state).cinfo,
                        pointers.as_mut_ptr().add(done),
                        (pointers.len() - done) as c_uint,
                    )
                };
                if read == 0 {
                    throw(Stop::File { reason: "no more rows".into(), unsupported: false });
                }
                done += read as usize;
            }
        })
    }
}

/// Reads scans until nothing is missing of the picture, or up to the end of the file.
///
/// # Safety
/// Decompression with `buffered_image` has been started, and no output.
unsafe fn read_scans(state: *mut State) {
    const REACHED_EOI: c_int = 2;
    const SCAN_COMPLETED: c_int = 4;
    loop {
        // SAFETY: as this function's; `progress_monitor` only reads.
        unsafe {
            match ffi::jpeg_consume_input(&mut (*state).cinfo) {
                SCAN_COMPLETED if is_complete(&(*state).cinfo) => return,
                REACHED_EOI if (*state).ended && !(*state).may_be_cut && !is_complete(&(*state).cinfo) => {
                    throw(Stop::File { reason: "it ends before its last scan".into(), unsupported: false })
                }
                REACHED_EOI => return,
                _ => progress_monitor(&mut (*state).cinfo.common),
            }
        }
    }
}

/// True if scans have been there for all components and, in a progressive file, for all bits of all coefficients.
///
/// # Safety
/// The header has been read, and scans as a whole.
unsafe fn is_complete(cinfo: &ffi::jpeg_decompress_struct) -> bool {
    let count = usize::try_from(cinfo.num_components).unwrap_or_default();
    // SAFETY: libjpeg keeps that many components at `comp_info`, and as many rows of 64 at `coef_bits`, which is null
    // where the file is not progressive: -1 for a coefficient that has not been there, else its missing bits.
    unsafe {
        if !cinfo.coef_bits.is_null() {
            return std::slice::from_raw_parts(cinfo.coef_bits.cast::<c_int>(), count * 64)
                .iter()
                .all(|bits| *bits == 0);
        }
        // A component's steps are kept when its first scan begins.
        std::slice::from_raw_parts(cinfo.comp_info, count).iter().all(|component| !component.quant_table.is_null())
    }
}

impl Drop for Decompressor<'_> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `Box::into_raw` and is freed here only. `cinfo` is either
        // still all zero, or created; `jpeg_destroy` allows both (a null memory manager).
        unsafe {
            ffi::jpeg_destroy_decompress(&mut (*self.state).cinfo);
            drop(Box::from_raw(self.state));
        }
    }
}

fn throw(stop: Stop) -> ! {
    // Unlike `panic!` this does not run the panic hook.
    resume_unwind(Box::new(stop))
}

/// libjpeg's text for the message that is set.
fn message(cinfo: &mut ffi::jpeg_common_struct) -> String {
    // SAFETY: `err` was set in `open` to a manager that `jpeg_std_error` filled.
    let Some(format) = (unsafe { (*cinfo.err).format_message }) else { return String::new() };
    // jerror.h: JMSG_LENGTH_MAX is 200; the binding's 80 is too short.
    let mut buffer = [0 as c_char; 256];
    // SAFETY: the function writes a C string of 200 bytes at most to its second argument; only the
    // binding says it is a shared reference to 80.
    unsafe {
        type Format = unsafe extern "C-unwind" fn(*mut ffi::jpeg_common_struct, *mut c_char);
        let format: Format = std::mem::transmute::<*const c_void, Format>(format as *const c_void);
        format(cinfo, buffer.as_mut_ptr());
        CStr::from_ptr(buffer.as_ptr()).to_string_lossy().into_owned()
    }
}

unsafe extern "C-unwind" fn error_exit(cinfo: &mut ffi::jpeg_common_struct) {
    // SAFETY: `err` was set in `open`.
    let code = unsafe { (*cinfo.err).msg_code };
    if code == ffi::JERR_OUT_OF_MEMORY as c_int {
        // libjpeg does not say how much it asked for.
        throw(Stop::Operation(OpError::OutOfMemory { bytes: 0 }));
    }
    const UNSUPPORTED: [c_int; 8] = [
        ffi::JERR_SOF_UNSUPPORTED as c_int,
        ffi::JERR_ARITH_NOTIMPL as c_int,
        ffi::JERR_BAD_PRECISION as c_int,
        ffi::JERR_CCIR601_NOTIMPL as c_int,
        ffi::JERR_COMPONENT_COUNT as c_int,
        ffi::JERR_CONVERSION_NOTIMPL as c_int,
        ffi::JERR_FRACT_SAMPLE_NOTIMPL as c_int,
        ffi::JERR_NOTIMPL as c_int,
    ];
    throw(Stop::File { reason: message(cinfo), unsupported: UNSUPPORTED.contains(&code) })
}

unsafe extern "C-unwind" fn emit_message(cinfo: &mut ffi::jpeg_common_struct, level: c_int) {
    const WARNING: c_int = -1;
    if level != WARNING {
        return;
    }
    // Those after which libjpeg would make up pixels. The others (bytes between markers, an
    // unknown Adobe transform or JFIF version, unusual scan parameters) lose none.
    // jerror.h: the third after JWRN_TOO_MUCH_DATA with arithmetic codes, which the binding does not count.
    const JWRN_ARITH_BAD_CODE: c_int = ffi::JWRN_TOO_MUCH_DATA as c_int + 3;
    const FATAL: [c_int; 5] = [
        JWRN_ARITH_BAD_CODE,
        ffi::JWRN_HIT_MARKER as c_int,
        ffi::JWRN_HUFF_BAD_CODE as c_int,
        ffi::JWRN_JPEG_EOF as c_int,
        ffi::JWRN_MUST_RESYNC as c_int,
    ];
    // SAFETY: `err` was set in `open`, and `client_data` as `progress_monitor` has it, before anything is read; C holds
    // no references to the two fields.
    let (code, state) = unsafe { ((*cinfo.err).msg_code, cinfo.client_data.cast::<State>()) };
    // SAFETY: as above.
    if unsafe { (*state).may_be_cut } {
        return;
    }
    // An end marker is put in for the one that is missing. Bits that are missing before it are JWRN_HIT_MARKER.
    // SAFETY: as above.
    if code == ffi::JWRN_JPEG_EOF as c_int && unsafe { (*state).may_end } {
        // SAFETY: as above.
        unsafe { (*state).ended = true };
        return;
    }
    if FATAL.contains(&code) {
        throw(Stop::File { reason: message(cinfo), unsupported: false });
    }
}

unsafe extern "C-unwind" fn progress_monitor(cinfo: &mut ffi::jpeg_common_struct) {
    // SAFETY: `open` set `client_data` to the `State` this `cinfo` is part of, before it set this
    // callback. Only fields that C does not hold references to are read.
    let (scan, stopped) = unsafe {
        let state = cinfo.client_data.cast::<State>();
        ((*state).cinfo.input_scan_number, (*state).cancel.check())
    };
    if let Err(error) = stopped {
        throw(Stop::Operation(error));
    }
    // Scans have been counted before; this holds where libjpeg finds more.
    if u64::try_from(scan).is_ok_and(|scan| scan > MAX_SCANS) {
        throw(Stop::File { reason: format!("more than {MAX_SCANS} scans"), unsupported: true });
    }
}

unsafe extern "C" {
    /// Part of libjpeg-turbo's SIMD interface (simd/jsimd.h); the version in `jsimd_none.c`
    /// returns 0.
    fn jsimd_can_rgb_ycc() -> c_int;
}

pub(super) fn simd() -> bool {
    // SAFETY: takes no argument, reads the processor's features.
    unsafe { jsimd_can_rgb_ycc() != 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRESSIVE: &[u8] = include_bytes!("../../tests/corpus/progressive.jpg");

    #[test]
    fn a_long_call_is_stopped_from_inside() {
        let cancel = Cancel::new();
        let mut file = Decompressor::open(PROGRESSIVE, true, &cancel).unwrap();
        cancel.cancel();
        let stop = file.start(J_COLOR_SPACE::JCS_RGB, 8);
        assert!(matches!(stop, Err(Stop::Operation(OpError::Cancelled))), "{stop:?}");
    }

    #[test]
    fn faults_are_in_the_words_of_libjpeg() {
        let cut = Decompressor::open(&PROGRESSIVE[..40], true, &Cancel::new()).err();
        let Some(Stop::File { reason, unsupported: false }) = cut else { panic!("{cut:?}") };
        assert_eq!(reason, "Premature end of JPEG file");
    }
}
