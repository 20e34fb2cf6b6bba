//! Requests that can never succeed, whatever their input: nobody waits for the result of a `POST`, so the answer has to
//! tell.

use imgflo_job::{Category, JobData, JobError, Limits};
use imgflo_runtime::ops::Format;
use imgflo_runtime::{InputShape, Library, Measure, Plan, PlanError, PlanLimits};

/// Longest side of a picture in any format that is read, pixels.
const LONGEST: u64 = 65_535;

/// Plans a request for inputs of several shapes.
///
/// # Errors
/// The client's fault, if there is no picture for any of them. Blocks for as long as GEGL takes to plan.
pub(crate) fn check(data: &JobData, library: &Library, limits: &Limits) -> Result<(), JobError> {
    let Some(graph) = library.get(&data.graph) else { return Ok(()) };
    let Ok(arguments) = graph.arguments(&data.iips) else { return Ok(()) };
    let plan_limits = PlanLimits { max_output_pixels: limits.max_output_pixels, max_memory: limits.max_job_memory };
    let mut first = None;
    for shape in shapes(limits, graph.takes_input()) {
        let planned = Plan::new(&graph, &arguments, shape, library.catalogue(), &plan_limits);
        let error = match planned {
            Ok(_) => return Ok(()),
            Err(error) => match clients(&error) {
                Some(error) => error,
                None => return Ok(()),
            },
        };
        first.get_or_insert(error);
    }
    first.map_or(Ok(()), Err)
}

/// A usual input, the smallest, and the largest ones: square, wide and high.
fn shapes(limits: &Limits, takes_input: bool) -> Vec<Option<InputShape>> {
    if !takes_input {
        return vec![None];
    }
    let (longest, square) = (limits.max_input_pixels.min(LONGEST), limits.max_input_pixels.isqrt());
    let shortest = limits.max_input_pixels / longest.max(1);
    let sides = [(1200, 800), (1, 1), (square, square), (longest, shortest), (shortest, longest)];
    let side = |side: u64| u32::try_from(side.max(1)).unwrap_or(u32::MAX);
    sides.map(|(width, height)| Some(InputShape::new(side(width), side(height), Format::RGB8))).to_vec()
}

/// Error for the client; `None` for what may be otherwise at another time.
fn clients(error: &PlanError) -> Option<JobError> {
    let job = match error {
        PlanError::TooLarge { what: Measure::OutputPixels, value, limit, .. } => {
            JobError::over("output pixels", *value, *limit, "IMGFLO_MAX_OUTPUT_PIXELS")
        }
        PlanError::TooLarge { what: Measure::Memory, value, limit, .. } => {
            JobError::over("bytes of memory for this job", *value, *limit, "IMGFLO_MAX_JOB_MEMORY")
        }
        PlanError::NoPicture { message, .. } => JobError::new(Category::InvalidParameter, message),
        PlanError::Unbounded { .. } => JobError::new(
            Category::InvalidParameter,
            "the picture has no bounds: give width and height, or crop it in the graph",
        ),
        PlanError::Failed { .. } | PlanError::InputMissing | PlanError::Noop | PlanError::Internal { .. } => {
            return None;
        }
    };
    Some(match error.node() {
        Some(node) => job.at(node),
        None => job,
    })
}
