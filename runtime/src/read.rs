//! Reading what a plan needs of its input.

use imgflo_ops::codec::{self, CodecError, DecodeLimits};
use imgflo_ops::{Cancel, Image};

use crate::{InputShape, Plan};

/// Decodes what a plan needs of its input, and returns it with the plan it is for. An input with too much detail for a
/// plan that [leaves detail out](Plan::detail) is read as the plan that `again` makes for its shape says, twice
/// as large or in full; a plan stays where `again` makes none, because that would be over a limit.
///
/// # Errors
/// As [`codec::decode`].
pub fn read_input(
    plan: Plan,
    bytes: &[u8],
    limits: DecodeLimits,
    cancel: &Cancel,
    again: impl Fn(InputShape) -> Option<Plan>,
) -> Result<(Plan, Image), CodecError> {
    let mut plan = plan;
    while let (Some(detail), Some(shape)) = (plan.detail(), plan.input()) {
        if let Some(image) = codec::decode_smooth(bytes, plan.part(), detail, limits, cancel)? {
            return Ok((plan, image));
        }
        match again(shape.detailed()) {
            Some(larger) => plan = larger,
            None => break,
        }
    }
    let image = codec::decode_part(bytes, plan.part(), limits, cancel)?;
    Ok((plan, image))
}
