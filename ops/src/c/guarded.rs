//! Pixels between pages that nothing may touch.

use std::io;
use std::mem::MaybeUninit;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering};

use libc::{c_int, c_void};

/// Address space on each side of the pixels, bytes: a row that is written beyond the last one hits it however wide the
/// picture is. It takes no memory.
const APART: usize = 2 << 20;
/// Bytes between the pixels and the page before them hold this.
const UNTOUCHED: u8 = 0xa5;

/// Exit statuses of a process that touched such a page, and what each means. Not every processor tells the two apart.
pub const ENDINGS: &[(i32, &str)] =
    &[(WROTE, "wrote past its pixels"), (READ, "read past its pixels"), (TOUCHED, "wrote or read past its pixels")];
const WROTE: c_int = 117;
const READ: c_int = 118;
const TOUCHED: c_int = 119;

/// Where such pages are: begin and length of mappings, 0 for none. A mapping that finds no place is guarded all the same,
/// only what hits it is an ordinary crash.
static MAPPINGS: [(AtomicUsize, AtomicUsize); 64] = [const { (AtomicUsize::new(0), AtomicUsize::new(0)) }; 64];

/// Floats that end where a page begins that cannot be touched, and begin less than a page after another. The room is
/// used again.
#[derive(Debug, Default)]
pub(super) struct Guarded {
    mapping: Option<Mapping>,
    /// Floats in use.
    floats: usize,
}

impl Guarded {
    /// Makes room for so many floats; what they hold is left over.
    pub fn open(&mut self, floats: usize) -> io::Result<&mut [f32]> {
        let bytes = floats.checked_mul(size_of::<f32>()).ok_or(io::ErrorKind::OutOfMemory)?;
        self.floats = 0;
        if self.mapping.as_ref().is_none_or(|mapping| mapping.room < bytes) {
            // The one that is too small goes first.
            self.mapping = None;
            self.mapping = Some(Mapping::new(bytes)?);
        }
        if let Some(mapping) = &mut self.mapping {
            mapping.open(bytes)?;
        }
        self.floats = floats;
        self.gap().fill(UNTOUCHED);
        Ok(self.floats_mut())
    }

    /// The floats.
    pub fn floats(&self) -> &[f32] {
        match &self.mapping {
            // SAFETY: the floats at the end of the room are open, and any bits are a float.
            Some(mapping) => unsafe {
                std::slice::from_raw_parts(mapping.end().sub(self.floats * size_of::<f32>()).cast(), self.floats)
            },
            None => &[],
        }
    }

    /// The floats.
    pub fn floats_mut(&mut self) -> &mut [f32] {
        match &self.mapping {
            // SAFETY: as in `floats`; the mapping is this one's own.
            Some(mapping) => unsafe {
                std::slice::from_raw_parts_mut(mapping.end().sub(self.floats * size_of::<f32>()).cast(), self.floats)
            },
            None => &mut [],
        }
    }

    /// True while nothing was written between the floats and the page before them.
    pub fn is_intact(&mut self) -> bool {
        self.gap().iter().all(|byte| *byte == UNTOUCHED)
    }

    /// What is open before the floats, less than a page.
    fn gap(&mut self) -> &mut [u8] {
        match &self.mapping {
            // SAFETY: the mapping is this one's own, and open from there on.
            Some(mapping) => unsafe {
                let gap = mapping.open - self.floats * size_of::<f32>();
                std::slice::from_raw_parts_mut(mapping.end().sub(mapping.open), gap)
            },
            None => &mut [],
        }
    }
}

/// Room for pixels, with address space on both sides that cannot be touched.
#[derive(Debug)]
struct Mapping {
    begin: NonNull<u8>,
    /// Bytes between the two sides, whole pages.
    room: usize,
    /// Bytes that can be touched, whole pages at the end of the room.
    open: usize,
}

// SAFETY: memory of a process, which belongs to whoever has this.
unsafe impl Send for Mapping {}
// SAFETY: nothing changes behind a shared reference.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(bytes: usize) -> io::Result<Mapping> {
        let room = whole_pages(bytes)?;
        let length = room.checked_add(2 * APART).ok_or(io::ErrorKind::OutOfMemory)?;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: new memory at a place that the kernel chooses.
        let begin = unsafe { libc::mmap(null_mut(), length, libc::PROT_NONE, flags, -1, 0) };
        if begin == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let begin = NonNull::new(begin.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let address = begin.as_ptr() as usize;
        let free = MAPPINGS
            .iter()
            .find(|(place, _)| place.compare_exchange(0, address, Ordering::Relaxed, Ordering::Relaxed).is_ok());
        if let Some((_, place)) = free {
            place.store(length, Ordering::Relaxed);
        }
        Ok(Mapping { begin, room, open: 0 })
    }

    /// Has the last pages that hold `bytes` be open, and no others.
    fn open(&mut self, bytes: usize) -> io::Result<()> {
        let wanted = whole_pages(bytes)?;
        let (protection, from, until) = if wanted > self.open {
            (libc::PROT_READ | libc::PROT_WRITE, wanted, self.open)
        } else {
            (libc::PROT_NONE, self.open, wanted)
        };
        if from > until {
            // SAFETY: whole pages of the room, which nothing borrows: `self` is borrowed for change.
            let done = unsafe { libc::mprotect(self.end().sub(from).cast(), from - until, protection) };
            if done != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        self.open = wanted;
        Ok(())
    }

    /// Where the room ends.
    fn end(&self) -> *mut u8 {
        // SAFETY: within the mapping.
        unsafe { self.begin.as_ptr().add(APART + self.room) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let address = self.begin.as_ptr() as usize;
        for (begin, length) in &MAPPINGS {
            if begin.load(Ordering::Relaxed) == address {
                length.store(0, Ordering::Relaxed);
                begin.store(0, Ordering::Relaxed);
            }
        }
        // SAFETY: the mapping is ours, and nothing borrows of it any more.
        unsafe { libc::munmap(self.begin.as_ptr().cast(), self.room + 2 * APART) };
    }
}

fn whole_pages(bytes: usize) -> io::Result<usize> {
    // SAFETY: reads a constant of the system.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    let page = usize::try_from(page).map_err(io::Error::other)?;
    bytes.checked_next_multiple_of(page).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
}

/// Has this process end with a status of [`ENDINGS`] when its code touches what lies around pixels. Other faults end it
/// as they would.
///
/// # Errors
/// When the signal cannot be handled.
pub fn watch() -> io::Result<()> {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: zero bytes are a valid action. The handler calls nothing but what signal handlers may call; it has a stack
    // of its own where the runtime made one.
    let done = unsafe {
        (*action.as_mut_ptr()).sa_sigaction = on_fault as *const () as usize;
        (*action.as_mut_ptr()).sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigaction(libc::SIGSEGV, action.as_ptr(), null_mut())
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel gives both. The process ends, or meets the same fault again, without a handler.
    unsafe {
        let address = (*info).si_addr() as usize;
        let hit = MAPPINGS.iter().any(|(begin, length)| {
            let (begin, length) = (begin.load(Ordering::Relaxed), length.load(Ordering::Relaxed));
            (begin..begin.saturating_add(length)).contains(&address)
        });
        if hit {
            libc::_exit(access(context));
        }
        libc::signal(signal, libc::SIG_DFL);
    }
}

/// What the code did that was interrupted.
#[cfg(target_arch = "x86_64")]
unsafe fn access(context: *mut c_void) -> c_int {
    /// Bit of the processor's error code that is set for writes.
    const WRITE: i64 = 2;
    // SAFETY: the kernel gives a context of this type.
    let error = unsafe { (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs[libc::REG_ERR as usize] };
    if error & WRITE == 0 { READ } else { WROTE }
}
#[cfg(not(target_arch = "x86_64"))]
unsafe fn access(_context: *mut c_void) -> c_int {
    TOUCHED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_end_at_a_page_and_what_is_before_them_is_watched() {
        let mut guarded = Guarded::default();
        assert!(guarded.floats().is_empty() && guarded.is_intact());
        for floats in [4, 0, 1024, 5000, 1028, 3, 70_000] {
            let open = guarded.open(floats).unwrap();
            assert_eq!(open.len(), floats);
            assert_eq!(open.as_ptr_range().end as usize % 4096, 0, "{floats}");
            open.fill(0.5);
            assert!(guarded.is_intact());
            assert!(guarded.floats().iter().all(|float| *float == 0.5));
        }
        guarded.open(3).unwrap();
        let gap = guarded.gap();
        assert_eq!(gap.len() % 4096, 4096 - 12);
        if let Some(last) = gap.last_mut() {
            *last = 0;
        }
        assert!(!guarded.is_intact());
        guarded.open(3).unwrap();
        assert!(guarded.is_intact(), "the next call begins anew");
        assert!(guarded.open(usize::MAX / 8).is_err());
        assert_eq!(guarded.floats().len(), 0, "what failed left nothing");
    }
}
