//! What a result should be: the input at its full size, filtered by the definition, without a
//! codec's loss. Slow and plain; what is measured shares no code with it.

use std::f64::consts::PI;

/// A picture of 8-bit sRGB pixels with straight alpha.
pub struct Picture {
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// The pixels, row by row.
    pub pixels: Vec<[u8; 4]>,
}

/// A picture in floats: sRGB and straight alpha, all 0..=1.
pub struct Exact {
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// The pixels, row by row.
    pub pixels: Vec<[f64; 4]>,
}

/// Which values are averaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Light {
    /// Amounts of light, as ours.
    Linear,
    /// The values as stored, as most other programs.
    Coded,
}

impl Light {
    /// From a stored value to what is averaged, both 0..=1.
    fn read(self, coded: f64) -> f64 {
        match self {
            Light::Coded => coded,
            Light::Linear if coded <= 0.04045 => coded / 12.92,
            Light::Linear => ((coded + 0.055) / 1.055).powf(2.4),
        }
    }

    /// The way back.
    fn write(self, value: f64) -> f64 {
        let value = value.clamp(0.0, 1.0);
        match self {
            Light::Coded => value,
            Light::Linear if value <= 0.003_130_8 => value * 12.92,
            Light::Linear => 1.055 * value.powf(1.0 / 2.4) - 0.055,
        }
    }
}

/// What one line of an output is made of: inputs from `first` on, and their shares.
pub struct Taps {
    first: usize,
    weights: Vec<f64>,
}

impl Taps {
    /// Shares of the inputs around `centre`, up to `reach` away, of `length` ones; beyond the ends
    /// lies the last one again.
    fn around(centre: f64, reach: f64, length: usize, weight: impl Fn(f64) -> f64) -> Taps {
        let inside = |index: f64| index.clamp(0.0, (length - 1) as f64) as usize;
        let (from, to) = ((centre - reach).ceil(), (centre + reach).floor());
        let first = inside(from);
        let mut weights = vec![0.0; inside(to) - first + 1];
        let mut index = from;
        while index <= to {
            weights[inside(index) - first] += weight(index - centre);
            index += 1.0;
        }
        let sum: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= sum);
        Taps { first, weights }
    }

    /// Of a scale from `from` to `to` pixels: Lanczos with three lobes, as wide as the step.
    pub fn scale(from: usize, to: usize) -> Vec<Taps> {
        let step = from as f64 / to as f64;
        let width = step.max(1.0);
        let sinc = |x: f64| if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) };
        let lanczos = |distance: f64| sinc(distance / width) * sinc(distance / width / 3.0);
        (0..to).map(|x| Taps::around((x as f64 + 0.5) * step - 0.5, 3.0 * width, from, lanczos)).collect()
    }

    /// Of a Gaussian blur with this standard deviation in pixels, out to five of them.
    pub fn blur(length: usize, deviation: f64) -> Vec<Taps> {
        let gaussian = |distance: f64| (-0.5 * (distance / deviation).powi(2)).exp();
        (0..length).map(|x| Taps::around(x as f64, 5.0 * deviation, length, gaussian)).collect()
    }

    /// Of `length` pixels from `first` on, as they are.
    pub fn part(first: usize, length: usize) -> Vec<Taps> {
        (first..first + length).map(|x| Taps { first: x, weights: vec![1.0] }).collect()
    }

    fn mix(&self, at: impl Fn(usize) -> [f64; 4]) -> [f64; 4] {
        let mut sum = [0.0; 4];
        for (offset, weight) in self.weights.iter().enumerate() {
            let pixel = at(self.first + offset);
            (0..4).for_each(|channel| sum[channel] += pixel[channel] * weight);
        }
        sum
    }
}

/// The picture filtered across by `columns` and down by `rows`, in this light, premultiplied.
pub fn filter(picture: &Picture, columns: &[Taps], rows: &[Taps], light: Light) -> Exact {
    let values: Vec<f64> = (0..=255u8).map(|byte| light.read(f64::from(byte) / 255.0)).collect();
    let mut across = Vec::with_capacity(columns.len() * picture.height);
    for row in picture.pixels.chunks(picture.width) {
        let row: Vec<[f64; 4]> = row
            .iter()
            .map(|&[r, g, b, a]| {
                let alpha = f64::from(a) / 255.0;
                let value = |byte: u8| values[usize::from(byte)] * alpha;
                [value(r), value(g), value(b), alpha]
            })
            .collect();
        across.extend(columns.iter().map(|taps| taps.mix(|x| row[x])));
    }
    let mut pixels = Vec::with_capacity(columns.len() * rows.len());
    for taps in rows {
        pixels.extend((0..columns.len()).map(|x| {
            let [r, g, b, a] = taps.mix(|y| across[y * columns.len() + x]);
            let value = |value: f64| if a > 0.0 { light.write(value / a) } else { 0.0 };
            [value(r), value(g), value(b), a.clamp(0.0, 1.0)]
        }));
    }
    Exact { width: columns.len(), height: rows.len(), pixels }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Columns of dark gray and white in turn.
    fn stripes() -> Picture {
        let pixels = (0..64 * 64).map(|n| if n % 2 == 0 { [64, 64, 64, 255] } else { [255; 4] }).collect();
        Picture { width: 64, height: 64, pixels }
    }

    #[test]
    fn stripes_too_fine_for_the_result_are_averaged_in_each_light() {
        let picture = stripes();
        for (light, expected) in [(Light::Coded, 0.6255), (Light::Linear, 0.7523)] {
            let small = filter(&picture, &Taps::scale(64, 8), &Taps::scale(64, 8), light);
            let [value, .., alpha] = small.pixels[4 * 8 + 4];
            assert!((value - expected).abs() < 0.002, "{light:?}: {value}");
            assert!((alpha - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn a_blur_spreads_a_point_as_the_gaussian_says() {
        let mut picture = Picture { width: 41, height: 41, pixels: vec![[0, 0, 0, 255]; 41 * 41] };
        picture.pixels[20 * 41 + 20] = [255; 4];
        let blurred = filter(&picture, &Taps::blur(41, 2.0), &Taps::blur(41, 2.0), Light::Coded);
        let at = |x: usize, y: usize| blurred.pixels[y * 41 + x][0];
        assert!((at(20, 20) - 1.0 / (2.0 * PI * 4.0)).abs() < 1e-4, "{}", at(20, 20));
        assert!((at(22, 20) / at(20, 20) - (-0.5f64).exp()).abs() < 1e-6);
    }

    #[test]
    fn a_part_is_as_it_was() {
        let part = filter(&stripes(), &Taps::part(3, 5), &Taps::part(60, 4), Light::Linear);
        assert_eq!((part.width, part.height), (5, 4));
        let row: Vec<u8> = part.pixels[..5].iter().map(|pixel| (pixel[0] * 255.0).round() as u8).collect();
        assert_eq!(row, [255, 64, 255, 64, 255]);
    }
}
