//! Colour profiles to sRGB.
//!
//! A profile that is broken, or made for other components than the picture has, is ignored: the
//! picture is then taken for sRGB, which is what browsers do. So is one that changes no colour by
//! more than one step of 255, which saves the transform for the many files that embed sRGB itself.

use std::sync::Arc;

use moxcms::{
    CicpColorPrimaries, CicpProfile, ColorProfile, DataColorSpace, Layout, MatrixCoefficients, ParsingOptions,
    RenderingIntent, ToneReprCurve, TransferCharacteristics, Transform8BitExecutor, Transform16BitExecutor,
    TransformOptions,
};

/// Profiles longer than this are ignored, bytes. Press profiles have about 2 MB.
pub(super) const MAX_PROFILE: usize = 8 << 20;

/// Bytes that a profile of `length` bytes takes while it is read and used: measured with tables of 16 bits.
pub(super) fn memory(length: usize) -> u64 {
    if length > MAX_PROFILE { 0 } else { length as u64 * 6 }
}

/// The components a picture has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Components {
    Gray,
    GrayAlpha,
    Rgb,
    Rgba,
    /// Ink amounts: 0 is no ink.
    Cmyk,
}

impl Components {
    fn layout(self) -> Layout {
        match self {
            Components::Gray => Layout::Gray,
            Components::GrayAlpha => Layout::GrayAlpha,
            Components::Rgb => Layout::Rgb,
            Components::Rgba | Components::Cmyk => Layout::Rgba,
        }
    }

    fn space(self) -> DataColorSpace {
        match self {
            Components::Gray | Components::GrayAlpha => DataColorSpace::Gray,
            Components::Rgb | Components::Rgba => DataColorSpace::Rgb,
            Components::Cmyk => DataColorSpace::Cmyk,
        }
    }

    /// Samples a pixel has.
    pub(super) fn count(self) -> usize {
        match self {
            Components::Gray => 1,
            Components::GrayAlpha => 2,
            Components::Rgb => 3,
            Components::Rgba | Components::Cmyk => 4,
        }
    }

    /// What a transform to sRGB makes of them: RGB, or RGBA when there is alpha.
    pub(super) fn converted(self) -> Components {
        match self {
            Components::GrayAlpha | Components::Rgba => Components::Rgba,
            Components::Gray | Components::Rgb | Components::Cmyk => Components::Rgb,
        }
    }

    /// A pixel of gray or RGB as RGBA; `opaque` is the largest sample.
    pub(super) fn rgba<T: Copy>(self, pixel: &[T], opaque: T) -> [T; 4] {
        match (self, pixel) {
            (Components::Gray, &[g]) => [g, g, g, opaque],
            (Components::GrayAlpha, &[g, a]) => [g, g, g, a],
            (Components::Rgb, &[r, g, b]) => [r, g, b, opaque],
            (Components::Rgba, &[r, g, b, a]) => [r, g, b, a],
            _ => unreachable!("{self:?} with {} samples", pixel.len()),
        }
    }
}

/// The colours of a picture as its file describes them.
#[derive(Debug)]
pub(super) struct Profile(ColorProfile);

impl Profile {
    /// Reads an ICC profile; `None` when it is broken.
    pub(super) fn parse(bytes: &[u8]) -> Option<Profile> {
        if bytes.len() > MAX_PROFILE {
            return None;
        }
        let options = ParsingOptions { max_profile_size: MAX_PROFILE, ..ParsingOptions::default() };
        ColorProfile::new_from_slice_with_options(&colors_only(bytes)?, options).ok().map(Profile)
    }

    /// sRGB's primaries, or those given as x and y of white, red, green and blue, with components
    /// that are light to the power of `1 / gamma`.
    pub(super) fn from_gamma(gamma: f32, primaries: Option<[(f32, f32); 4]>) -> Option<Profile> {
        if !(0.1..=10.0).contains(&gamma) || !primaries.is_none_or(|p| p.into_iter().all(plausible)) {
            return None;
        }
        let mut profile = ColorProfile::new_srgb();
        profile.cicp = None;
        let curve = ToneReprCurve::Parametric(vec![gamma]);
        profile.red_trc = Some(curve.clone());
        profile.green_trc = Some(curve.clone());
        profile.blue_trc = Some(curve.clone());
        if let Some(primaries) = primaries {
            set_primaries(&mut profile, primaries);
        }
        Some(Profile(profile))
    }

    /// sRGB's curve, and primaries as [`Profile::from_gamma`] takes them.
    pub(super) fn with_primaries(primaries: [(f32, f32); 4]) -> Option<Profile> {
        let mut profile = ColorProfile::new_srgb();
        profile.cicp = None;
        if !primaries.into_iter().all(plausible) {
            return None;
        }
        set_primaries(&mut profile, primaries);
        Some(Profile(profile))
    }

    /// Code points of primaries and transfer (ITU-T H.273) of RGB in full range. `None` for those that are unknown, and
    /// for HDR (PQ, HLG), which cannot be shown without tone mapping.
    pub(super) fn from_code_points(primaries: u8, transfer: u8) -> Option<Profile> {
        let transfer_characteristics = TransferCharacteristics::try_from(transfer).ok()?;
        if matches!(transfer_characteristics, TransferCharacteristics::Smpte2084 | TransferCharacteristics::Hlg) {
            return None;
        }
        let mut profile = ColorProfile::new_srgb();
        profile.red_trc = None;
        let code_points = CicpProfile {
            color_primaries: CicpColorPrimaries::try_from(primaries).ok()?,
            transfer_characteristics,
            matrix_coefficients: MatrixCoefficients::Identity,
            full_range: true,
        };
        // What it returns does not tell whether it knew them.
        let _ = profile.update_rgb_colorimetry_from_cicp(code_points);
        profile.cicp = None;
        profile.red_trc.is_some().then_some(Profile(profile))
    }

    /// The gray profile with the curve of this one, for gray pictures whose curve a file gives
    /// without an ICC profile.
    pub(super) fn into_gray(mut self) -> Profile {
        let mut gray = ColorProfile::new_gray_with_gamma(2.2);
        gray.gray_trc = self.0.red_trc.take();
        Profile(gray)
    }

    /// The way from 8-bit components to 8-bit sRGB; `None` when nothing has to be done.
    pub(super) fn to_srgb_8(&self, components: Components) -> Option<Transform<u8>> {
        if self.0.color_space != components.space() {
            return None;
        }
        let executor: Arc<Transform8BitExecutor> = self
            .0
            .create_transform_8bit(
                components.layout(),
                &ColorProfile::new_srgb(),
                components.converted().layout(),
                OPTIONS,
            )
            .ok()?;
        let transform = Transform { executor, components };
        (!transform.is_identity(|step| step)).then_some(transform)
    }

    /// The way from 16-bit components to 16-bit sRGB; `None` when nothing has to be done.
    pub(super) fn to_srgb_16(&self, components: Components) -> Option<Transform<u16>> {
        if self.0.color_space != components.space() {
            return None;
        }
        let executor: Arc<Transform16BitExecutor> = self
            .0
            .create_transform_16bit(
                components.layout(),
                &ColorProfile::new_srgb(),
                components.converted().layout(),
                OPTIONS,
            )
            .ok()?;
        let transform = Transform { executor, components };
        (!transform.is_identity(|step| u16::from(step) * 257)).then_some(transform)
    }
}

/// Tags of a profile that a way to sRGB can be made of.
const TAGS: [&[u8; 4]; 13] = [
    b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC", b"kTRC", b"wtpt", b"chad", b"cicp", b"A2B0", b"A2B1", b"A2B2",
];

/// A profile with the last of each of these tags, and no other (ICC.1, section 7.3). Any number of tags can lead to the
/// same data, and texts repeat it once more: reading all of them takes the square of the profile's length.
/// `None` where tags are missing.
fn colors_only(profile: &[u8]) -> Option<Vec<u8>> {
    const COUNT: usize = 128;
    const TABLE: usize = COUNT + 4;
    const ENTRY: usize = 12;
    let count = u32::from_be_bytes(*profile.get(COUNT..)?.first_chunk()?) as usize;
    let table = profile.get(TABLE..)?.get(..count.checked_mul(ENTRY)?)?.as_chunks::<ENTRY>().0;
    let last = |tag: &&[u8; 4]| table.iter().rfind(|entry| entry.starts_with(*tag));
    let kept: Vec<&[u8; ENTRY]> = TAGS.iter().filter_map(last).collect();
    let mut colors = profile.to_vec();
    colors[COUNT..TABLE].copy_from_slice(&(kept.len() as u32).to_be_bytes());
    for (to, from) in colors[TABLE..].as_chunks_mut::<ENTRY>().0.iter_mut().zip(kept) {
        *to = *from;
    }
    Some(colors)
}

/// Whether x and y can be those of a colour that is there.
fn plausible((x, y): (f32, f32)) -> bool {
    (0.0..=1.0).contains(&x) && (0.01..=1.0).contains(&y)
}

fn set_primaries(profile: &mut ColorProfile, [white, red, green, blue]: [(f32, f32); 4]) {
    let chromaticity = |(x, y): (f32, f32)| moxcms::Chromaticity { x, y };
    profile.update_rgb_colorimetry(
        moxcms::XyY { x: f64::from(white.0), y: f64::from(white.1), yb: 1.0 },
        moxcms::ColorPrimaries { red: chromaticity(red), green: chromaticity(green), blue: chromaticity(blue) },
    );
}

const OPTIONS: TransformOptions = TransformOptions {
    rendering_intent: RenderingIntent::Perceptual,
    // The curves that go with the CICP tag of a profile may be those of HDR, which cannot be shown
    // without tone mapping; the profile's own curves are meant for this.
    allow_use_cicp_transfer: false,
    prefer_fixed_point: true,
    interpolation_method: moxcms::InterpolationMethod::Linear,
    barycentric_weight_scale: moxcms::BarycentricWeightScale::Low,
};

/// Rows of components to rows of sRGB, three samples a pixel, or four when there is alpha.
pub(super) struct Transform<T: Copy + Default> {
    executor: Arc<dyn moxcms::TransformExecutor<T> + Send + Sync>,
    components: Components,
}

impl<T: Copy + Default + Into<i32>> Transform<T> {
    /// Converts whole pixels; `from` and `to` hold the same number of them.
    ///
    /// # Errors
    /// When they do not.
    pub(super) fn apply(&self, from: &[T], to: &mut [T]) -> Result<(), moxcms::CmsError> {
        self.executor.transform(from, to)
    }

    fn is_identity(&self, sample: impl Fn(u8) -> T) -> bool {
        if self.components == Components::Cmyk {
            return false;
        }
        let channels = self.components.count();
        let target = self.components.converted().layout().channels();
        let colours = match self.components {
            Components::Gray | Components::GrayAlpha => 1,
            _ => 3,
        };
        let mut from = Vec::new();
        let steps: Vec<u8> = (0..=255u8).step_by(15).collect();
        let mut pixel = |colour: [u8; 3]| {
            from.extend(colour.iter().take(colours).map(|&c| sample(c)));
            if channels > colours {
                from.push(sample(255));
            }
        };
        for &r in &steps {
            if colours == 1 {
                pixel([r; 3]);
                continue;
            }
            for &g in &steps {
                for &b in &steps {
                    pixel([r, g, b]);
                }
            }
        }
        let mut to = vec![T::default(); from.len() / channels * target];
        if self.apply(&from, &mut to).is_err() {
            return false;
        }
        let step: i32 = sample(1).into();
        from.chunks_exact(channels).zip(to.chunks_exact(target)).all(|(from, to)| {
            (0..3).all(|c| {
                let (a, b): (i32, i32) = (from[c.min(colours - 1)].into(), to[c].into());
                (a - b).abs() <= step
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(profile: &Profile, colour: [u8; 3]) -> [u8; 3] {
        let mut out = [0; 3];
        match profile.to_srgb_8(Components::Rgb) {
            Some(transform) => transform.apply(&colour, &mut out).unwrap(),
            None => out = colour,
        }
        out
    }

    #[test]
    fn srgb_needs_no_transform() {
        let bytes = ColorProfile::new_srgb().encode().unwrap();
        let profile = Profile::parse(&bytes).unwrap();
        assert!(profile.to_srgb_8(Components::Rgb).is_none());
        assert!(profile.to_srgb_16(Components::Rgba).is_none());
    }

    #[test]
    fn display_p3_becomes_srgb() {
        let bytes = ColorProfile::new_display_p3().encode().unwrap();
        let profile = Profile::parse(&bytes).unwrap();
        assert_eq!(one(&profile, [128, 128, 128]), [128, 128, 128]);
        // Display P3 (200, 100, 50) is sRGB (214.9, 92.6, 31.0) by the matrices of CSS Color 4,
        // section 10.
        let [r, g, b] = one(&profile, [200, 100, 50]);
        assert!(r.abs_diff(215) <= 1 && g.abs_diff(93) <= 1 && b.abs_diff(31) <= 1, "{r} {g} {b}");
    }

    #[test]
    fn gamma_one_is_linear_light() {
        let profile = Profile::from_gamma(1.0, None).unwrap();
        // Half of the light is 188 in sRGB.
        let [r, g, b] = one(&profile, [128, 0, 255]);
        assert!(r.abs_diff(188) <= 1 && g <= 1 && b >= 254, "{r} {g} {b}");
        let gray = profile.into_gray();
        let transform = gray.to_srgb_8(Components::Gray).unwrap();
        let mut out = [0; 3];
        transform.apply(&[128], &mut out).unwrap();
        assert!(out.iter().all(|c| c.abs_diff(188) <= 1), "{out:?}");
    }

    /// Display P3 of so many bytes, and so many tags more that all lead to them: texts in 1000 languages.
    fn with_texts(length: usize, texts: usize) -> Vec<u8> {
        let p3 = ColorProfile::new_display_p3().encode().unwrap();
        let count = u32::from_be_bytes(p3[128..132].try_into().unwrap());
        let shift = (texts * 12) as u32;
        let mut bytes = [&p3[..128], &(count + texts as u32).to_be_bytes()].concat();
        for entry in p3[132..].as_chunks::<12>().0.iter().take(count as usize) {
            let place = u32::from_be_bytes(entry[4..8].try_into().unwrap()) + shift;
            bytes.extend([&entry[..4], &place.to_be_bytes(), &entry[8..]].concat());
        }
        let text = (p3.len() as u32 + shift).to_be_bytes();
        let rest = length as u32 - p3.len() as u32 - shift;
        bytes.extend([&b"desc"[..], &text, &rest.to_be_bytes()].concat().repeat(texts));
        bytes.extend(&p3[132 + 12 * count as usize..]);
        bytes.extend(b"mluc\0\0\0\0");
        bytes.extend([1000_u32.to_be_bytes(), 12_u32.to_be_bytes()].concat());
        bytes.extend([*b"enGB", (rest - 12016).to_be_bytes(), 12016_u32.to_be_bytes()].concat().repeat(1000));
        bytes.resize(length, b'a');
        bytes
    }

    #[test]
    fn texts_are_not_read() {
        // Read, they would take 200 GB.
        let bytes = with_texts(1 << 20, 100);
        let profile = Profile::parse(&bytes).unwrap();
        assert!(profile.0.description.is_none());
        assert_eq!(one(&profile, [128, 128, 128]), [128, 128, 128]);
        assert!(profile.to_srgb_8(Components::Rgb).is_some());
        assert!(Profile::parse(&with_texts(MAX_PROFILE + 1, 1)).is_none());
        assert!(colors_only(&bytes[..132]).is_none() && colors_only(&bytes[..131]).is_none());
    }

    #[test]
    fn profiles_for_other_components_are_ignored() {
        let bytes = ColorProfile::new_display_p3().encode().unwrap();
        let profile = Profile::parse(&bytes).unwrap();
        assert!(profile.to_srgb_8(Components::Cmyk).is_none());
        assert!(profile.to_srgb_8(Components::Gray).is_none());
        assert!(Profile::parse(&bytes[..100]).is_none());
        assert!(Profile::parse(b"").is_none());
        assert!(Profile::from_gamma(0.0, None).is_none());
        assert!(Profile::from_gamma(2.2, Some([(0.3, 0.0); 4])).is_none());
    }
}
