//! Native operations beside GEGL's: 1300 × 768 RGBA, memory to memory, both warm, one thread each.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use imgflo_runtime::{Catalogue, ChildLimits, EngineChoice, Gegl};

use crate::operations::{self, Case};
use crate::process;

/// Runs of each; more than a few seconds of GEGL's tell no more.
const RUNS: usize = 5;

/// A GEGL of one child, which is looked at while it works.
struct Peer {
    gegl: Arc<Gegl>,
    catalogue: Catalogue,
}

impl Peer {
    fn start() -> Result<Peer, Box<dyn Error>> {
        let limits = ChildLimits {
            program: imgflo_tests::program::path(),
            time: Duration::from_secs(300),
            memory: 4 << 30,
            ..ChildLimits::new(1)
        };
        let gegl = Arc::new(Gegl::new(&limits, true));
        gegl.version()?;
        let catalogue = Catalogue::native().with_gegl(Arc::clone(&gegl), EngineChoice::Gegl);
        Ok(Peer { gegl, catalogue })
    }

    /// Its child, and the processor time that it has used, ms; none when a worn one has gone.
    fn used(&self) -> Option<(u32, f64)> {
        let pid = *self.gegl.idle().first()?;
        let told = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
        Some((pid, told.split(' ').next()?.parse::<f64>().ok()? / 1e6))
    }

    /// Median of several runs, ms.
    fn measure(&self, name: &str, picture: &Path) -> Result<f64, Box<dyn Error>> {
        let case = Case::new(name, picture, &self.catalogue)?;
        case.run()?;
        let mut times = Vec::new();
        for _ in 0..4 * RUNS {
            let before = self.used();
            case.run()?;
            if let (Some((child, before)), Some((same, after))) = (before, self.used())
                && child == same
            {
                times.push(after - before);
            }
            if times.len() == RUNS || times.iter().sum::<f64>() > 5000.0 {
                break;
            }
        }
        if times.is_empty() {
            return Err(format!("no child of GEGL's does {name} twice").into());
        }
        Ok(process::median(times))
    }
}

/// The table, and GEGL's version.
///
/// # Errors
/// When GEGL is not there, or an operation fails.
pub fn table(folder: &Path) -> Result<(String, String), Box<dyn Error>> {
    let picture = folder.join("operation.png");
    operations::picture(&picture)?;
    let peer = Peer::start()?;
    let native = Catalogue::native();
    // Pixels go to GEGL's child and come back: what that takes is not GEGL's. A child that has not worked yet gives its
    // memory back to the system after each job, and the next takes longer: what that takes is none of the others'.
    peer.measure("gegl/gaussian-blur", &picture)?;
    let hop = peer.measure("gegl/nop", &picture)?;
    let mut text = format!(
        "### Native operations beside GEGL, 1300 x 768 RGBA, memory to memory, one thread\n\n\
         Median CPU of {RUNS} runs after one to warm up. GEGL's is that of its one thread, without the {hop:.1} ms that it takes for gegl:nop: \
         pixels read from memory that is shared with it, and written there.\n\n\
         | operation | CPU ms | GEGL CPU ms | GEGL over native |\n|---|---|---|---|\n"
    );
    for info in native.infos().filter(|info| peer.gegl.has(info.name) && info.name != "gegl/nop") {
        let case = Case::new(info.name, &picture, &native)?;
        case.run()?;
        let mut times = Vec::new();
        while times.len() < RUNS {
            times.push(case.run()?);
        }
        let (ours, theirs) = (process::median(times), (peer.measure(info.name, &picture)? - hop).max(0.0));
        writeln!(text, "| {} | {ours:.1} | {theirs:.1} | {:.1} |", info.name, theirs / ours)?;
    }
    Ok((text, format!("GEGL {}", peer.gegl.version()?)))
}
