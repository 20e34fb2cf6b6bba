//! The native engine against GEGL: the same graphs, the same pictures.

mod differences;
mod faults;
mod originals;
mod pictures;
mod ports;
mod served;
mod two_inputs;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use imgflo_fbp::Graph;
use imgflo_ops::{Cancel, Image};
use imgflo_runtime::{
    Catalogue, ChildLimits, Control, Engine, EngineChoice, Gegl, ImageGraph, InputShape, LibraryLimits, NativeEngine,
    Plan, PlanError, PlanLimits,
};
use imgflo_tests::program;
use serde_json::Value as Json;

const LIMITS: LibraryLimits = LibraryLimits { max_nodes: 200, max_bytes: 1 << 20 };
const PLAN_LIMITS: PlanLimits = PlanLimits { max_output_pixels: 12_000_000, max_memory: 3 << 30 };

fn limits() -> ChildLimits {
    ChildLimits { program: program::path(), ..ChildLimits::new(2) }
}

static NATIVE: LazyLock<Catalogue> = LazyLock::new(Catalogue::native);
/// All of GEGL, the operations under the GPL included: as an oracle.
static GEGL: LazyLock<Catalogue> = LazyLock::new(oracle);
static ENGINE: LazyLock<NativeEngine> = LazyLock::new(|| NativeEngine::new(2));

fn oracle() -> Catalogue {
    Catalogue::native().with_gegl(Arc::new(Gegl::new(&limits(), true)), EngineChoice::Gegl)
}

fn graph(name: &str, json: &Json, catalogue: &Catalogue) -> ImageGraph {
    let graph = Graph::from_json(json).unwrap_or_else(|error| panic!("{name}: {error}"));
    ImageGraph::new(name, graph, catalogue, &LIMITS).unwrap_or_else(|faults| panic!("{name}: {faults:?}"))
}

fn plan(
    graph: &ImageGraph,
    parameters: &[(&str, &str)],
    input: Option<&Image>,
    catalogue: &Catalogue,
) -> Result<Plan, PlanError> {
    let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let arguments = graph.arguments(&parameters.collect::<BTreeMap<_, _>>()).expect("parameters that are right");
    let shape = input.map(|image| InputShape::new(image.rect().width, image.rect().height, image.format()));
    Plan::new(graph, &arguments, shape, catalogue, &PLAN_LIMITS)
}

fn render(plan: &Plan, input: Option<&Image>) -> Image {
    let control = Control { cancel: Cancel::new(), progress: None };
    ENGINE.render(plan, input.cloned(), &control).unwrap_or_else(|error| panic!("{plan}{error}"))
}
