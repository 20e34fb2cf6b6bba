//! Scaling along one axis: which source pixels make up each output pixel, and with what weights.

use std::ops::Range;

use super::sampler::Sampler;

/// What lies beyond the ends of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beyond {
    /// The last pixel, repeated.
    Clamp,
    /// The other end.
    Loop,
    /// A constant; its weight is [`Taps::outside`].
    Constant,
}

/// The mapping of one axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Mapping {
    /// Source pixels per output pixel.
    pub step: f64,
    /// The coordinate that stays where it is.
    pub origin: f64,
    /// Where the source begins elsewhere: source pixels between the two.
    pub shift: f64,
    /// First source pixel.
    pub first: i32,
    /// Source pixels; at least 1.
    pub len: u32,
    /// What lies beyond them.
    pub beyond: Beyond,
    /// How pixels are read.
    pub sampler: Sampler,
}

/// Weighted source pixels of some output pixels in a row.
#[derive(Debug, Default)]
pub(super) struct Taps {
    /// Index of the first entry of each output pixel, and the end of the last.
    starts: Vec<u32>,
    /// Source pixel, or position in a list of them, of each entry; ascending in an output pixel.
    pub sources: Vec<i32>,
    /// Weight of each entry.
    pub weights: Vec<f32>,
    /// For each output pixel the weight of the constant beyond the ends.
    pub outside: Vec<f32>,
}

impl Taps {
    /// Entries of the output pixel number `index`.
    pub(super) fn entries(&self, index: usize) -> Range<usize> {
        self.starts[index] as usize..self.starts[index + 1] as usize
    }

    /// The sources used, ascending, each once; afterwards [`Taps::sources`] are positions in it.
    pub(super) fn compact(&mut self) -> Vec<i32> {
        let mut used = self.sources.clone();
        used.sort_unstable();
        used.dedup();
        let (first, last) = (used.first().copied().unwrap_or(0), used.last().copied().unwrap_or(-1));
        let mut places = vec![0; (i64::from(last) - i64::from(first) + 1) as usize];
        for (place, source) in used.iter().enumerate() {
            places[(source - first) as usize] = place as i32;
        }
        for source in &mut self.sources {
            *source = places[(*source - first) as usize];
        }
        used
    }
}

impl Mapping {
    /// The same on a source that is there reduced: of which a pixel is `step` of those before and
    /// which begins at `start` of them. It has `len` pixels.
    pub(super) fn reduced(&self, step: f64, start: f64, len: u32) -> Mapping {
        let shift = (self.origin * (1.0 - self.step) + self.shift - start) / step;
        Mapping { step: self.step / step, origin: 0.0, shift, first: 0, len, ..*self }
    }

    /// Source pixels that an output pixel is made of, at most.
    pub(super) fn span(&self) -> usize {
        let wide = if self.sampler.widens() { self.step.max(1.0) } else { 1.0 };
        let between = if self.sampler.widens() { 0.0 } else { self.step };
        let span = (2.0 * self.sampler.radius() * wide + between).ceil();
        (span as usize).clamp(1, self.len as usize)
    }

    /// True when the source pixels that an output pixel is made of lie side by side, so that
    /// [`Taps`] have no gaps.
    pub(super) fn is_side_by_side(&self) -> bool {
        let apart = self.step / self.samples();
        self.beyond != Beyond::Loop && (self.sampler.widens() || apart < 2.0 * self.sampler.radius())
    }

    /// Samples that are averaged for an output pixel.
    fn samples(&self) -> f64 {
        self.step.floor().clamp(1.0, f64::from(self.sampler.most_samples()))
    }

    /// The source coordinate of the centre of output pixel `x`, in pixels from the plane's zero.
    fn centre(&self, x: i64) -> f64 {
        (x as f64 + 0.5 - self.origin) * self.step + self.origin + self.shift
    }

    /// The source pixel at index `source`, after what [`Beyond`] says; `None` for the constant.
    fn inside(&self, source: i64) -> Option<i32> {
        let (first, len) = (i64::from(self.first), i64::from(self.len));
        let source = match self.beyond {
            Beyond::Clamp => source.clamp(first, first + len - 1),
            Beyond::Loop => first + (source - first).rem_euclid(len),
            Beyond::Constant if (first..first + len).contains(&source) => source,
            Beyond::Constant => return None,
        };
        Some(source as i32)
    }

    /// The source pixel under the centre of output pixel `x`; `None` for the constant beyond.
    pub(super) fn nearest(&self, x: i64) -> Option<i32> {
        self.inside(self.centre(x).floor() as i64)
    }

    /// The taps of `count` output pixels from `x` on.
    pub(super) fn taps(&self, x: i32, count: u32) -> Taps {
        let mut taps = Taps { starts: vec![0], ..Taps::default() };
        let mut pixel: Vec<(i32, f64)> = Vec::new();
        for x in i64::from(x)..i64::from(x) + i64::from(count) {
            pixel.clear();
            let mut outside = 0.0;
            let mut add = |source: i64, weight: f64| match self.inside(source) {
                Some(source) => pixel.push((source, weight)),
                None => outside += weight,
            };
            self.weights(x, &mut add);
            // One entry a source: a stable order, so that sums do not depend on the tile.
            pixel.sort_by_key(|(source, _)| *source);
            let mut entries = pixel.iter().peekable();
            while let Some((source, mut weight)) = entries.next().copied() {
                while let Some((_, more)) = entries.next_if(|(next, _)| *next == source) {
                    weight += more;
                }
                // A kernel may go through zero; what is left has no gap.
                if weight != 0.0 || self.sampler.widens() {
                    taps.sources.push(source);
                    taps.weights.push(weight as f32);
                }
            }
            taps.starts.push(taps.sources.len() as u32);
            taps.outside.push(outside as f32);
        }
        taps
    }

    /// The first and the last source pixel that `count` output pixels from `x` on may need, if any.
    pub(super) fn ends(&self, x: i32, count: u32) -> Option<(i32, i32)> {
        let (first, last) = (i64::from(x), i64::from(x) + i64::from(count) - 1);
        let mut ends: Option<(i32, i32)> = None;
        let mut add = |source: i64, _weight: f64| {
            if let Some(source) = self.inside(source) {
                let (least, most) = ends.unwrap_or((source, source));
                ends = Some((least.min(source), most.max(source)));
            }
        };
        if self.beyond == Beyond::Clamp {
            // What the others need lies between.
            [first, last].into_iter().filter(|_| count > 0).for_each(|x| self.weights(x, &mut add));
        } else {
            (first..=last).for_each(|x| self.weights(x, &mut add));
        }
        ends
    }

    /// The source pixels, before what [`Beyond`] says, that output pixel `x` is made of, and their
    /// weights.
    fn weights(&self, x: i64, add: &mut impl FnMut(i64, f64)) {
        match self.sampler {
            Sampler::Nearest => add(self.centre(x).floor() as i64, 1.0),
            sampler if sampler.widens() => self.widened(x, add),
            _ => self.averaged(x, add),
        }
    }

    /// GEGL's way: at a step of 2 and more, some samples spread evenly over the output pixel.
    fn averaged(&self, x: i64, add: &mut impl FnMut(i64, f64)) {
        let count = self.samples();
        let radius = self.sampler.radius();
        for sample in 0..count as u32 {
            let offset = (f64::from(sample) + 0.5) / count - 0.5;
            let position = self.centre(x) + offset * self.step - 0.5;
            let base = position.floor();
            for source in (base - radius + 1.0) as i64..=(base + radius) as i64 {
                let weight = self.sampler.weight(position - source as f64, self.step);
                add(source, weight / count);
            }
        }
    }

    /// The kernel, widened by the step when it is more than 1.
    fn widened(&self, x: i64, add: &mut impl FnMut(i64, f64)) {
        let wide = self.step.max(1.0);
        let position = self.centre(x) - 0.5;
        let radius = self.sampler.radius() * wide;
        let sources = (position - radius).ceil() as i64..=(position + radius).floor() as i64;
        let weight = |source: i64| self.sampler.weight((position - source as f64) / wide, self.step);
        let weights: Vec<f64> = sources.clone().map(weight).collect();
        let sum: f64 = weights.iter().sum();
        for (source, weight) in sources.zip(weights) {
            add(source, weight / sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(step: f64, len: u32, sampler: Sampler) -> Mapping {
        Mapping { step, origin: 0.0, shift: 0.0, first: 0, len, beyond: Beyond::Clamp, sampler }
    }

    fn entries(taps: &Taps, index: usize) -> Vec<(i32, f32)> {
        taps.entries(index).map(|i| (taps.sources[i], taps.weights[i])).collect()
    }

    #[test]
    fn linear_taps_by_hand() {
        // Half as many again: 0.5 / 1.5 - 0.5 = -1/6, 1/2, 7/6.
        let taps = mapping(1.0 / 1.5, 4, Sampler::Linear).taps(0, 3);
        assert_eq!(entries(&taps, 0), [(0, 1.0)]);
        assert_eq!(entries(&taps, 1), [(0, 0.5), (1, 0.5)]);
        let third = entries(&taps, 2);
        assert_eq!((third[0].0, third[1].0), (1, 2));
        assert!((third[1].1 - 1.0 / 6.0).abs() < 1e-6);
        // A third: three samples, on the centres of pixels 3, 4 and 5.
        let taps = mapping(3.0, 9, Sampler::Linear).taps(1, 1);
        let weights = entries(&taps, 0);
        assert_eq!(weights.iter().map(|(source, _)| *source).collect::<Vec<_>>(), [3, 4, 5]);
        assert!(weights.iter().all(|(_, w)| (w - 1.0 / 3.0).abs() < 1e-6));
        // A sixteenth: four samples, 4 apart, each between two pixels.
        let taps = mapping(16.0, 16, Sampler::Linear).taps(0, 1);
        let expected = [1, 2, 5, 6, 9, 10, 13, 14].map(|source| (source, 0.125));
        assert_eq!(entries(&taps, 0), expected);
    }

    #[test]
    fn every_pixel_has_a_whole_weight() {
        for sampler in [Sampler::Nearest, Sampler::Linear, Sampler::Cubic, Sampler::Nohalo, Sampler::Lohalo] {
            for beyond in [Beyond::Clamp, Beyond::Loop, Beyond::Constant] {
                for (step, len) in [(0.1, 3), (1.3, 1), (2.7, 20), (100.0, 1000)] {
                    let mapping = Mapping { beyond, first: -7, ..mapping(step, len, sampler) };
                    let taps = mapping.taps(-12, 30);
                    for index in 0..30 {
                        let sum: f32 = entries(&taps, index).iter().map(|(_, w)| w).sum::<f32>() + taps.outside[index];
                        assert!((sum - 1.0).abs() < 1e-5, "{mapping:?} {index}: {sum}");
                    }
                    let inside = taps.sources.iter().all(|s| (-7..-7 + len as i32).contains(s));
                    assert!(inside, "{mapping:?}");
                }
            }
        }
    }

    #[test]
    fn ends_follow_the_policy() {
        let at_start = |beyond| Mapping { beyond, ..mapping(0.5, 4, Sampler::Linear) }.taps(0, 1);
        assert_eq!(entries(&at_start(Beyond::Clamp), 0), [(0, 1.0)]);
        assert_eq!(entries(&at_start(Beyond::Loop), 0), [(0, 0.75), (3, 0.25)]);
        assert_eq!(entries(&at_start(Beyond::Constant), 0), [(0, 0.75)]);
        assert_eq!(at_start(Beyond::Constant).outside, [0.25]);
    }

    #[test]
    fn what_is_needed_lies_between_the_ends() {
        for sampler in [Sampler::Nearest, Sampler::Linear, Sampler::Cubic, Sampler::Nohalo, Sampler::Lanczos] {
            for beyond in [Beyond::Clamp, Beyond::Loop, Beyond::Constant] {
                for (step, len) in [(0.25, 30), (1.0, 40), (1.3, 50), (2.0, 90), (7.7, 400), (90.0, 1)] {
                    let mapping = Mapping { beyond, first: -7, ..mapping(step, len, sampler) };
                    for (x, count) in [(-30, 80), (3, 4), (-2, 1), (5, 0)] {
                        let sources = mapping.taps(x, count).sources;
                        let needed = sources.iter().min().zip(sources.iter().max());
                        match (needed, mapping.ends(x, count)) {
                            (None, _) => {}
                            (Some((least, most)), Some((first, last))) => {
                                assert!(first <= *least && *most <= last, "{mapping:?} {x} {count}");
                                let spare = (least - first).max(last - most);
                                assert!(f64::from(spare) <= step.ceil() + 2.0, "{mapping:?} {x} {count}: {spare}");
                            }
                            (Some(_), None) => panic!("{mapping:?} {x} {count}"),
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn only_used_sources_are_listed() {
        let mut taps = mapping(16.0, 64, Sampler::Linear).taps(1, 2);
        assert_eq!(taps.compact(), [17, 18, 21, 22, 25, 26, 29, 30, 33, 34, 37, 38, 41, 42, 45, 46]);
        assert_eq!(taps.sources[taps.entries(1)], [8, 9, 10, 11, 12, 13, 14, 15]);
        assert!(mapping(2.0, 4, Sampler::Linear).taps(0, 0).compact().is_empty());
    }
}
