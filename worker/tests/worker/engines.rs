//! Engines that behave as a test wants.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use imgflo_runtime::fbp::info::Component;
use imgflo_runtime::ops::{Image, OpError};
use imgflo_runtime::{Control, Engine, NativeEngine, Plan, RenderError};

/// Renders as the native engine does, but only once its gate is open.
pub struct Gated {
    native: NativeEngine,
    open: AtomicBool,
    /// Renders that have begun.
    pub begun: AtomicUsize,
    at_once: AtomicUsize,
    /// Most renders at the same time.
    pub most_at_once: AtomicUsize,
    /// Why renders were stopped at the gate.
    pub stopped: Mutex<Vec<OpError>>,
}

impl Gated {
    pub fn closed() -> Arc<Gated> {
        Arc::new(Gated {
            native: NativeEngine::new(1),
            open: AtomicBool::new(false),
            begun: AtomicUsize::new(0),
            at_once: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
            stopped: Mutex::default(),
        })
    }

    pub fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
    }

    pub fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }
}

impl Engine for Gated {
    fn describe(&self) -> Vec<Component> {
        self.native.describe()
    }

    fn render(&self, plan: &Plan, input: Option<Image>, control: &Control) -> Result<Image, RenderError> {
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        self.begun.fetch_add(1, Ordering::SeqCst);
        while !self.open.load(Ordering::SeqCst) {
            if let Err(stop) = control.cancel.check() {
                self.stopped.lock().unwrap().push(stop.clone());
                self.at_once.fetch_sub(1, Ordering::SeqCst);
                return Err(RenderError { node: None, kind: stop.into() });
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        // Long enough that two at once would meet.
        std::thread::sleep(Duration::from_millis(5));
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        self.native.render(plan, input, control)
    }
}

/// Panics the first time, then renders.
pub struct Panicking {
    native: NativeEngine,
    panicked: AtomicBool,
}

impl Panicking {
    pub fn once() -> Arc<Panicking> {
        Arc::new(Panicking { native: NativeEngine::new(1), panicked: AtomicBool::new(false) })
    }
}

impl Engine for Panicking {
    fn describe(&self) -> Vec<Component> {
        self.native.describe()
    }

    fn render(&self, plan: &Plan, input: Option<Image>, control: &Control) -> Result<Image, RenderError> {
        assert!(self.panicked.swap(true, Ordering::SeqCst), "a fault with /an/inner/path");
        self.native.render(plan, input, control)
    }
}
