//! The operations that graphs can use, as flags and settings say.

use std::sync::Arc;

use clap::{Arg, ArgMatches, value_parser};
use imgflo_runtime::{Catalogue, ChildLimits, EngineChoice, Gegl};

/// `--engine` and `--gegl-gpl`, of commands that run on this machine alone.
pub fn engine_args() -> [Arg; 2] {
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
    [engine, gpl]
}

/// The catalogue that [`engine_args`] ask for.
pub fn from_flags(matches: &ArgMatches) -> Catalogue {
    let engine = matches.get_one::<EngineChoice>("engine").copied().unwrap_or_default();
    let gpl = matches.get_one::<bool>("gegl-gpl").copied().unwrap_or_default();
    catalogue(engine, gpl, &ChildLimits::new(1))
}

/// The operations of an engine, with children of GEGL within `limits`.
pub fn catalogue(engine: EngineChoice, gpl: bool, limits: &ChildLimits) -> Catalogue {
    Catalogue::native().with_gegl(Arc::new(Gegl::new(limits, gpl)), engine)
}
