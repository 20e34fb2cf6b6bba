//! The operations that graphs can use, as flags and settings say.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Arg, ArgMatches, value_parser};
use imgflo_runtime::{COperations, Catalogue, ChildLimits, EngineChoice, Gegl};

use crate::settings::Settings;
use crate::{Failure, shipped};

/// `--engine`, `--gegl-gpl` and `--ops`, of commands that run on this machine alone.
pub fn engine_args() -> [Arg; 3] {
    let engine = Arg::new("engine")
        .long("engine")
        .env("IMGFLO_ENGINE")
        .default_value("auto")
        .value_name("ENGINE")
        .value_parser(value_parser!(EngineChoice))
        .help("What runs graphs: native, gegl, or auto: natively where all operations are, else on GEGL where it is installed");
    let gpl = Arg::new("gegl-gpl")
        .long("gegl-gpl")
        .env("IMGFLO_GEGL_GPL")
        .value_name("BOOLEAN")
        .default_value("false")
        .value_parser(value_parser!(bool))
        .help("Offer those of GEGL's operations, too, that are under the GPL-3 (true or false)");
    let ops =
        ops_arg().help("Folder with operations in C, as `imgflo ops build` built them; without it there are none");
    [engine, gpl, ops]
}

/// `--ops DIR`.
pub fn ops_arg() -> Arg {
    Arg::new("ops").long("ops").env("IMGFLO_OPS").value_name("DIR").value_parser(value_parser!(PathBuf))
}

/// The catalogue that [`engine_args`] ask for.
pub fn from_flags(matches: &ArgMatches) -> Result<Catalogue, Failure> {
    let engine = matches.get_one::<EngineChoice>("engine").copied().unwrap_or_default();
    let gpl = matches.get_one::<bool>("gegl-gpl").copied().unwrap_or_default();
    let limits = ChildLimits::new(1);
    let catalogue = catalogue(engine, gpl, &limits);
    Ok(match matches.get_one::<PathBuf>("ops") {
        Some(folder) => catalogue.with_c(operations(Some(folder), &limits, gpl, |fault| errln!("imgflo: {fault}"))?),
        None => catalogue,
    })
}

/// The operations in C that are built of a folder, in children within `limits`; none without a folder. What does not
/// load is left out and told.
pub fn operations(
    folder: Option<&Path>,
    limits: &ChildLimits,
    gpl: bool,
    tell: impl Fn(&str),
) -> Result<Arc<COperations>, Failure> {
    let operations = COperations::new(limits, gpl).map_err(|error| vec![error.to_string()])?;
    if let Some(folder) = folder {
        let (loaded, faults) =
            operations.load(folder).map_err(|error| vec![format!("{}: {error}", folder.display())])?;
        for fault in faults {
            tell(&format!("an operation is left out: {fault}"));
        }
        tracing::info!(operations = loaded, folder = %folder.display(), "operations in C are loaded");
    }
    Ok(Arc::new(operations))
}

/// The operations of an engine, with children of GEGL within `limits`; and the shipped graphs.
fn catalogue(engine: EngineChoice, gpl: bool, limits: &ChildLimits) -> Catalogue {
    let catalogue = Catalogue::native().with_gegl(Arc::new(Gegl::new(limits, gpl)), engine);
    catalogue.with_graphs(shipped::graphs())
}

/// The operations that settings ask for, without those in C; and the shipped graphs, where they are wanted.
pub fn of(settings: &Settings) -> Catalogue {
    let catalogue = catalogue(settings.engine, settings.gegl_gpl, &settings.children);
    if settings.shipped_graphs { catalogue } else { catalogue.with_graphs(&[]) }
}
