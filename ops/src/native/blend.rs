//! SVG's blend modes: compositors that make something of the colours of two pictures.
//!
//! With premultiplied colour cA, cB and alphas aA, aB of source `aux` and backdrop `input`:
//! a = aA + aB - aA aB and c = f + cA (1 - aB) + cB (1 - aA), clamped to 0..=a, where f is what the
//! mode makes of the part that both cover (SVG compositing; GEGL 0.4, `svg-12-blend`):
//!
//! - `darken`: min(cA aB, cB aA); `lighten`: max(cA aB, cB aA).
//! - `difference`: |cA aB - cB aA|; `exclusion`: cA aB + cB aA - 2 cA cB.
//! - `hard-light`: 2 cA cB where 2 cA < aA, else aA aB - 2 (aB - cB) (aA - cA).
//! - `overlay`: 2 cA cB where 2 cB > aB, else aA aB - 2 (aB - cB) (aA - cA). SVG has the two the other
//!   way round; this is how GEGL has it, and graphs made with it expect it.
//! - `color-burn`: 0 where cA aB + cB aA <= aA aB, else aA (cA aB + cB aA - aA aB) / cA. Where `input`
//!   is transparent a black `aux` stays black; in GEGL what babl leaves of the colour under alpha 0 makes
//!   it white.
//! - `soft-light`: with t = cB / aB and s = 2 cA - aA, cB (aA - (1 - t) s) where s < 0, else
//!   cB (aA - (1 - t) s (3 - 8 t)) where 8 cB <= aB, else aA cB + (sqrt(t) aB - cB) s: the draft of
//!   SVG 1.2, whose first two cases later standards corrected.
//! - `plus`: c = cA + cB and a = aA + aB, up to 1.

use multiversion::multiversion;

use super::compose::{PADS, SRGB, Stays, SvgCompositor, blend_row, clamp_to};
use crate::Info;

/// All of them.
pub(super) static ALL: [SvgCompositor; 9] = [
    SvgCompositor {
        info: &Info {
            name: "svg/overlay",
            aliases: &["gegl/overlay"],
            title: "Overlay",
            description: "Darkens where input is bright and brightens where it is dark.",
            ..MODE
        },
        formula: overlay,
        stays: Stays::Both,
        weight: 4.0,
    },
    SvgCompositor {
        info: &Info {
            name: "svg/darken",
            aliases: &["gegl/darken"],
            title: "Darken",
            description: "Shows the darker of two pictures, channel by channel.",
            ..MODE
        },
        formula: darken,
        stays: Stays::Both,
        weight: 3.0,
    },
    SvgCompositor {
        info: &Info {
            name: "svg/lighten",
            aliases: &["gegl/lighten"],
            title: "Lighten",
            description: "Shows the brighter of two pictures, channel by channel.",
            ..MODE
        },
        formula: lighten,
        stays: Stays::Both,
        weight: 3.0,
    },
    SvgCompositor {
        info: &Info {
            name: "svg/hard-light",
            aliases: &["gegl/hard-light"],
            title: "Hard-light",
            description: "Lights input by the picture at aux as by a hard spotlight.",
            ..MODE
        },
        formula: hard_light,
        stays: Stays::Both,
        weight: 4.0,
    },
    SvgCompositor {
        info: &Info {
            name: "gegl/soft-light",
            aliases: &[],
            title: "Soft-light",
            description: "Lights input by the picture at aux as by a soft lamp.",
            ..MODE
        },
        formula: soft_light,
        stays: Stays::Both,
        weight: 8.0,
    },
    SvgCompositor {
        info: &Info {
            name: "svg/color-burn",
            aliases: &["gegl/color-burn"],
            title: "Color burn",
            description: "Darkens the picture at input where the one at aux is dark.",
            ..MODE
        },
        formula: color_burn,
        stays: Stays::Both,
        weight: 5.0,
    },
    SvgCompositor {
        info: &Info {
            name: "svg/difference",
            aliases: &["gegl/difference"],
            title: "Difference",
            description: "Shows how far apart two pictures are, channel by channel.",
            ..MODE
        },
        formula: difference,
        stays: Stays::Both,
        weight: 3.0,
    },
    SvgCompositor {
        info: &Info {
            name: "svg/exclusion",
            aliases: &["gegl/exclusion"],
            title: "Exclusion",
            description: "Shows how far apart two pictures are, with less contrast.",
            ..MODE
        },
        formula: exclusion,
        stays: Stays::Both,
        weight: 3.0,
    },
    SvgCompositor {
        info: &Info {
            name: "svg/plus",
            aliases: &["gegl/plus"],
            title: "Plus",
            description: "Adds the pictures up, alpha too.",
            ..MODE
        },
        formula: plus,
        stays: Stays::Both,
        weight: 2.0,
    },
];

/// What they have in common.
const MODE: Info = Info {
    name: "",
    aliases: &[],
    categories: &["compositors:svgfilter"],
    title: "",
    description: "",
    inputs: PADS,
    properties: &[SRGB],
    revision: 1,
};

/// A component of colour with its picture's alpha.
#[derive(Clone, Copy)]
struct Part {
    c: f32,
    alpha: f32,
}

/// Applies f = `mode(source, backdrop)` to a row, with all that is the same in every mode; inlined, so
/// that each has a loop of its own.
#[inline(always)]
fn separable(row: &mut [[f32; 4]], aux: &[[f32; 4]], mode: impl Fn(Part, Part) -> f32) {
    blend_row(row, aux, |source, backdrop| {
        let (alpha_a, alpha_b) = (source[3], backdrop[3]);
        let alpha = alpha_a + alpha_b - alpha_a * alpha_b;
        // Alpha goes along with the colours, for the sake of vector code, and is put right at the end.
        let mut blended: [f32; 4] = std::array::from_fn(|c| {
            let (a, b) = (Part { c: source[c], alpha: alpha_a }, Part { c: backdrop[c], alpha: alpha_b });
            clamp_to(mode(a, b) + a.c * (1.0 - alpha_b) + b.c * (1.0 - alpha_a), alpha)
        });
        blended[3] = alpha;
        blended
    });
}

/// 2 cA cB where `low`, else the same of what is missing to full colour.
#[inline(always)]
fn doubled(a: Part, b: Part, low: bool) -> f32 {
    let below = 2.0 * a.c * b.c;
    let above = a.alpha * b.alpha - 2.0 * (b.alpha - b.c) * (a.alpha - a.c);
    if low { below } else { above }
}

/// Where dividing by 0 is harmless, since the quotient is not used.
#[inline(always)]
fn or_one(divisor: f32) -> f32 {
    if divisor == 0.0 { 1.0 } else { divisor }
}

#[multiversion(targets("x86_64+avx2"))]
fn overlay(row: &mut [[f32; 4]], aux: &[[f32; 4]]) {
    separable(row, aux, |a, b| doubled(a, b, 2.0 * b.c > b.alpha));
}

#[multiversion(targets("x86_64+avx2"))]
fn darken(row: &mut [[f32; 4]], aux: &[[f32; 4]]) {
    separable(row, aux, |a, b| {
        let (a, b) = (a.c * b.alpha, b.c * a.alpha);
        if a < b { a } else { b }
    });
}

#[multiversion(targets("x86_64+avx2"))]
fn lighten(row: &mut [[f32; 4]], aux: &[[f32; 4]]) {
    separable(row, aux, |a, b| {
        let (a, b) = (a.c * b.alpha, b.c * a.alpha);
        if a > b { a } else { b }
    });
}

#[multiversion(targets("x86_64+avx2"))]
fn hard_light(row: &mut [[f32; 4]], aux: &[[f32; 4]]) {
    separable(row, aux, |a, b| doubled(a, b, 2.0 * a.c < a.alpha));
}

#[multiversion(targets("x86_64+avx2"))]
fn soft_light(row: &mut [[f32; 4]], aux: &[[f32; 4]]) {
    separable(row, aux, |a, b| {
        let share = if b.alpha == 0.0 { 0.0 } else { b.c / or_one(b.alpha) };
        let light = 2.0 * a.c - a.alpha;
        let dark = (1.0 - share) * light;
        let root = if share > 0.0 { share } else { 0.0 }.sqrt();
        let darker = b.c * (a.alpha - dark);
        let brighter_dark = b.c * (a.alpha - dark * (3.0 - 8.0 * share));
        let brighter = a.alpha * b.c + (root * b.alpha - b.c) * light;
        let brighter = if 8.0 * b.c <= b.alpha { brighter_dark } else { brighter };
        if light < 0.0 { darker } else { brighter }
    });
}

#[multiversion(targets("x86_64+avx2"))]
fn color_burn(row: &mut [[f32; 4]], aux: &[[f32; 4]]) {
    separable(row, aux, |a, b| {
        let rest = a.c * b.alpha + b.c * a.alpha - a.alpha * b.alpha;
        let burnt = if a.c == 0.0 { 1.0 } else { a.alpha * rest / or_one(a.c) };
        if rest <= 0.0 { 0.0 } else { burnt }
    });
}

#[multiversion(targets("x86_64+avx2"))]
fn difference(row: &mut [[f32; 4]], aux: &[[f32; 4]]) {
    separable(row, aux, |a, b| (a.c * b.alpha - b.c * a.alpha).abs());
}

#[multiversion(targets("x86_64+avx2"))]
fn exclusion(row: &mut [[f32; 4]], aux: &[[f32; 4]]) {
    separable(row, aux, |a, b| a.c * b.alpha + b.c * a.alpha - 2.0 * a.c * b.c);
}

#[multiversion(targets("x86_64+avx2"))]
fn plus(row: &mut [[f32; 4]], aux: &[[f32; 4]]) {
    blend_row(row, aux, |a, b| {
        let alpha = (a[3] + b[3]).min(1.0);
        [clamp_to(a[0] + b[0], alpha), clamp_to(a[1] + b[1], alpha), clamp_to(a[2] + b[2], alpha), alpha]
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::compose::check_boxes;
    use crate::native::testing::{assert_pixel, check};
    use crate::{Format, Image, Rect};

    /// One pixel of `aux` over one of `input`, by the mode of that name.
    fn blended(name: &str, aux: [f32; 4], input: [f32; 4]) -> Image {
        let mode = ALL.iter().find(|mode| mode.info.name.ends_with(name)).unwrap();
        let image = |pixel| Image::from_float(Rect::sized(1, 1), Format::LINP, vec![pixel]);
        check(mode, &[], &[Some(&image(input)), Some(&image(aux))])
    }

    #[test]
    fn opaque_pixels_by_hand() {
        let (aux, input) = ([0.25, 0.75, 0.5, 1.0], [0.5, 0.04, 0.8, 1.0]);
        for (name, rgb) in [
            // 0.5 is not above a half: 1 - 2 0.5 0.75; 1 - 2 0.96 0.25; 2 0.5 0.8.
            ("overlay", [0.25, 0.52, 0.8]),
            ("darken", [0.25, 0.04, 0.5]),
            ("lighten", [0.5, 0.75, 0.8]),
            ("hard-light", [0.25, 0.52, 0.8]),
            // s = -0.5, 0.5, 0; t = 0.5, 0.04 (below an eighth), 0.8: 0.5 (1 + 0.5 0.5);
            // 0.04 (1 - 0.96 0.5 2.68), which is below 0; 0.8.
            ("soft-light", [0.625, 0.0, 0.8]),
            // 0.75 <= 1; 0.79 <= 1; 0.3 / 0.5.
            ("color-burn", [0.0, 0.0, 0.6]),
            ("difference", [0.25, 0.71, 0.3]),
            ("exclusion", [0.5, 0.73, 0.5]),
            ("plus", [0.75, 0.79, 1.0]),
        ] {
            assert_pixel(&blended(name, aux, input), 0, 0, [rgb[0], rgb[1], rgb[2], 1.0], 1e-6);
        }
        // Soft light above an eighth: s = 0.5, sqrt(0.25) = 0.5.
        assert_pixel(
            &blended("soft-light", [0.75, 0.0, 0.0, 1.0], [0.25, 0.0, 0.0, 1.0]),
            0,
            0,
            [0.375, 0.0, 0.0, 1.0],
            1e-6,
        );
    }

    #[test]
    fn alpha_by_hand() {
        // What one covers alone is added: 0.2 (1 - 0.5) + 0.1 (1 - 0.4) = 0.16; 0.7 in all.
        let (aux, input) = ([0.2, 0.2, 0.4, 0.4], [0.1, 0.1, 0.5, 0.5]);
        for (name, [r, b], alpha) in [
            // 2 0.2 0.2 is not below 0.4: 0.2 - 2 0.4 0.2.
            ("hard-light", [0.04, 0.2], 0.7),
            // 0.2 is not above 0.5: the same; 1 is: 2 0.4 0.5.
            ("overlay", [0.04, 0.4], 0.7),
            ("darken", [0.04, 0.2], 0.7),
            ("lighten", [0.1, 0.2], 0.7),
            ("difference", [0.06, 0.0], 0.7),
            ("exclusion", [0.1, 0.0], 0.7),
            ("color-burn", [0.0, 0.2], 0.7),
        ] {
            let (r, b) = (r + 0.16, f32::min(b + 0.5, alpha));
            let expected = [r, r, b, alpha];
            assert_pixel(&blended(name, aux, input), 0, 0, expected, 1e-6);
        }
        assert_pixel(&blended("plus", aux, input), 0, 0, [0.3, 0.3, 0.9, 0.9], 1e-6);
    }

    #[test]
    fn nothing_on_nothing_is_nothing() {
        for mode in &ALL {
            assert_pixel(&blended(mode.info.name, [0.0; 4], [0.0; 4]), 0, 0, [0.0; 4], 0.0);
        }
    }

    #[test]
    fn boxes() {
        for mode in &ALL {
            check_boxes(mode);
        }
    }
}
