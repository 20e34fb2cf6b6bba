//! The Porter-Duff compositors beside `svg/src-over`: what shows where two pictures overlap.
//!
//! With premultiplied colour and alpha cA of source `aux` and cB of backdrop `input`, and their
//! alphas aA, aB (SVG compositing; GEGL 0.4, `svg-12-porter-duff`):
//!
//! - `src-in`: cA aB, in the box of `input`; `src-out`: cA (1 - aB).
//! - `src-atop`: cA aB + cB (1 - aA); `dst-over`: cB + cA (1 - aB).
//! - `xor`: cA (1 - aB) + cB (1 - aA).
//!
//! A picture is transparent outside its box, and where it is not connected. GEGL has it so too,
//! except that its `src-in` hands `input` on where the boxes do not meet.

use multiversion::multiversion;

use super::compose::{PADS, SRGB, Stays, SvgCompositor, blend_row};
use crate::Info;

/// All of them.
pub(super) static ALL: [SvgCompositor; 5] = [
    SvgCompositor {
        info: &Info {
            name: "svg/src-in",
            aliases: &["gegl/src-in"],
            title: "Src-in",
            description: "Cuts the picture at aux to the shape of the one at input.",
            ..OPERATION
        },
        formula: src_in,
        stays: Stays::Neither,
        weight: 2.0,
    },
    SvgCompositor {
        info: &Info {
            name: "svg/src-out",
            aliases: &["gegl/src-out"],
            title: "Src-out",
            description: "Cuts the shape of the picture at input out of the one at aux.",
            ..OPERATION
        },
        formula: src_out,
        stays: Stays::Aux,
        weight: 2.0,
    },
    SvgCompositor {
        info: &Info {
            name: "svg/src-atop",
            aliases: &["gegl/src-atop"],
            title: "Src-atop",
            description: "Lays the picture at aux over the one at input, within its shape.",
            ..OPERATION
        },
        formula: src_atop,
        stays: Stays::Input,
        weight: 2.0,
    },
    SvgCompositor {
        info: &Info {
            name: "svg/dst-over",
            aliases: &["gegl/dst-over"],
            title: "Dst-over",
            description: "Lays the picture at aux under the one at input.",
            ..OPERATION
        },
        formula: dst_over,
        stays: Stays::Both,
        weight: 2.0,
    },
    SvgCompositor {
        info: &Info {
            name: "svg/xor",
            aliases: &["gegl/xor"],
            title: "Xor",
            description: "Shows each of two pictures where the other is not.",
            ..OPERATION
        },
        formula: xor,
        stays: Stays::Both,
        weight: 2.0,
    },
];

/// What they have in common.
const OPERATION: Info = Info {
    name: "",
    aliases: &[],
    categories: &["compositors:porter-duff"],
    title: "",
    description: "",
    inputs: PADS,
    properties: &[SRGB],
    revision: 1,
};

/// `a` times `of_a` plus `b` times `of_b`, alpha like colour.
#[inline(always)]
fn sum(a: [f32; 4], of_a: f32, b: [f32; 4], of_b: f32) -> [f32; 4] {
    std::array::from_fn(|c| a[c] * of_a + b[c] * of_b)
}

#[multiversion(targets("x86_64+avx2"))]
fn src_in(row: &mut [[f32; 4]], aux: &[[f32; 4]]) {
    blend_row(row, aux, |a, b| a.map(|c| c * b[3]));
}

#[multiversion(targets("x86_64+avx2"))]
fn src_out(row: &mut [[f32; 4]], aux: &[[f32; 4]]) {
    blend_row(row, aux, |a, b| a.map(|c| c * (1.0 - b[3])));
}

#[multiversion(targets("x86_64+avx2"))]
fn src_atop(row: &mut [[f32; 4]], aux: &[[f32; 4]]) {
    // Alpha aA aB + aB (1 - aA) is aB but for rounding.
    blend_row(row, aux, |a, b| sum(a, b[3], b, 1.0 - a[3]));
}

#[multiversion(targets("x86_64+avx2"))]
fn dst_over(row: &mut [[f32; 4]], aux: &[[f32; 4]]) {
    blend_row(row, aux, |a, b| sum(a, 1.0 - b[3], b, 1.0));
}

#[multiversion(targets("x86_64+avx2"))]
fn xor(row: &mut [[f32; 4]], aux: &[[f32; 4]]) {
    blend_row(row, aux, |a, b| sum(a, 1.0 - b[3], b, 1.0 - a[3]));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::compose::check_boxes;
    use crate::native::testing::{assert_pixel, assert_same, check, noise_image, pixel, render};
    use crate::{Format, Image, OpError, Rect};

    fn named(name: &str) -> &'static SvgCompositor {
        ALL.iter().find(|operation| operation.info.name.ends_with(name)).unwrap()
    }

    #[test]
    fn pixels_by_hand() {
        let image = |pixel| Image::from_float(Rect::sized(1, 1), Format::LINP, vec![pixel]);
        let (aux, input) = (image([0.2, 0.1, 0.0, 0.4]), image([0.1, 0.0, 0.5, 0.5]));
        for (name, expected) in [
            ("src-in", [0.1, 0.05, 0.0, 0.2]),
            ("src-out", [0.1, 0.05, 0.0, 0.2]),
            ("src-atop", [0.16, 0.05, 0.3, 0.5]),
            ("dst-over", [0.2, 0.05, 0.5, 0.7]),
            ("xor", [0.16, 0.05, 0.3, 0.5]),
        ] {
            assert_pixel(&check(named(name), &[], &[Some(&input), Some(&aux)]), 0, 0, expected, 1e-6);
        }
        // With a backdrop of alpha 0.75 each is told from the others.
        let input = image([0.5, 0.5, 0.5, 0.75]);
        for (name, alpha) in [("src-in", 0.3), ("src-out", 0.1), ("src-atop", 0.75), ("dst-over", 0.85), ("xor", 0.55)]
        {
            let found = pixel(&check(named(name), &[], &[Some(&input), Some(&aux)]), 0, 0);
            assert!((found[3] - alpha).abs() < 1e-6, "{name}: {found:?}");
        }
    }

    #[test]
    fn what_stays_alone() {
        let input = noise_image(Rect::new(-3, -2, 8, 6), Format::LINP);
        let aux = noise_image(Rect::new(1, 1, 9, 7), Format::LINP);
        // At (-3, -2) there is only input, at (9, 7) only aux.
        for (name, input_stays, aux_stays) in [("src-out", false, true), ("src-atop", true, false)] {
            let out = check(named(name), &[], &[Some(&input), Some(&aux)]);
            assert_eq!(out.rect(), Rect::new(-3, -2, 13, 10), "{name}");
            let or_nothing = |stays, pixel| if stays { pixel } else { [0.0; 4] };
            assert_pixel(&out, -3, -2, or_nothing(input_stays, pixel(&input, -3, -2)), 0.0);
            assert_pixel(&out, 9, 7, or_nothing(aux_stays, pixel(&aux, 9, 7)), 0.0);
            for (pictures, stays) in [([Some(&input), None], input_stays), ([None, Some(&aux)], aux_stays)] {
                let only = pictures[0].or(pictures[1]).unwrap();
                let out = check(named(name), &[], &pictures);
                let expected = if stays { only.clone() } else { Image::new(only.rect(), Format::LINP).unwrap() };
                assert_same(&out, &expected, name);
            }
        }
    }

    #[test]
    fn src_in_keeps_the_box_of_input() {
        let input = noise_image(Rect::new(-3, -2, 8, 6), Format::LINP);
        let nothing = Image::new(input.rect(), Format::LINP).unwrap();
        let meeting = noise_image(Rect::new(1, 1, 9, 7), Format::LINP);
        let out = check(named("src-in"), &[], &[Some(&input), Some(&meeting)]);
        assert_eq!(out.rect(), input.rect());
        assert_pixel(&out, -3, -2, [0.0; 4], 0.0);
        let apart = noise_image(Rect::new(20, 1, 2, 2), Format::LINP);
        for aux in [Some(&apart), None] {
            assert_same(&check(named("src-in"), &[], &[Some(&input), aux]), &nothing, "nothing of aux");
        }
        let found = render(named("src-in"), &[], &[None, Some(&input)]);
        assert_eq!(found, Err(OpError::MissingInput("input")));
    }

    #[test]
    fn boxes() {
        check_boxes(named("dst-over"));
        check_boxes(named("xor"));
    }
}
