//! Pictures at a fraction of their size, as a decoder delivers them that need not read all of them.
//!
//! A JPEG is stored as cosines of 8 × 8 pixels each; with the lowest n of them along each side it
//! becomes n × n pixels, for a fraction of the work. That is a good low-pass, in coded light. Where much is left out the
//! pixels are averaged in light, and the picture is read in full where it is scaled.

use crate::Rect;

/// Eighths that pay: from 5 on, the decoder takes longer than for all of it.
const PAYS: [u32; 4] = [1, 2, 3, 4];

/// A picture that its decoder can make smaller while it reads it, and of which it can leave parts
/// out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reducible {
    /// Width as shown, pixels.
    pub width: u32,
    /// Height as shown, pixels.
    pub height: u32,
    /// True where it is shown the other way round than it is stored, so that a last pixel which is
    /// no whole one comes first: along x, along y.
    pub mirrored: [bool; 2],
    /// Ratio of the size to read to the size that is wanted.
    pub margin: Margin,
}

/// Ratio of the size that is read to the size that is wanted, when a picture is scaled down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Margin {
    /// Not at all: the decoder's way to make it smaller is as good as the exact one. Photos.
    #[default]
    None,
    /// Twice as large, at least. Photos with many edges.
    Twice,
    /// It is read in full. Text, line art.
    All,
}

/// The detail that may be left out of a picture when it is read smaller and then scaled: the largest mean square, in
/// squares of a 255th.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Detail(u32);

impl Detail {
    /// Of a picture that is read `ratio` times as wide as it is wanted. The scaling leaves out more of what is kept, the
    /// wider that is. Measured with photos, text and drawings from test folders of other programs, so that they stay within 38.5 dB
    /// of the picture at full size: large photos leave out 8 to 30; smaller ones with many edges up to 150, text, line art and
    /// patterns 216 to 35,000.
    pub fn at(ratio: f64) -> Detail {
        Detail((30.0 + 240.0 * (ratio - 1.125)).clamp(30.0, 150.0) as u32)
    }

    /// The largest mean square.
    pub(crate) fn most_energy(self) -> f64 {
        f64::from(self.0)
    }
}

impl Reducible {
    /// The same, known to have too much detail for the margin it has.
    pub fn detailed(self) -> Reducible {
        let margin = match self.margin {
            Margin::None => Margin::Twice,
            Margin::Twice | Margin::All => Margin::All,
        };
        Reducible { margin, ..self }
    }

    /// The picture at `eighths`/8 of its size; 1 to 8 of them.
    pub fn by(self, eighths: u32) -> Reduced {
        Reduced { of: self, eighths: eighths.clamp(1, 8), detail: None }
    }

    /// The smallest of which a pixel is at most `step` pixels wide, if it may be
    /// reduced and that pays.
    pub fn within(self, step: f64) -> Option<Reduced> {
        let largest = match self.margin {
            Margin::None => step,
            Margin::Twice => step / 2.0,
            Margin::All => return None,
        };
        self.blurred_within(largest)
            .map(|reduced| Reduced { detail: Some(Detail::at(step / reduced.step())), ..reduced })
    }

    /// As [`Reducible::within`], without a margin: for what is blurred so much that only means matter.
    pub fn blurred_within(self, step: f64) -> Option<Reduced> {
        if self.margin == Margin::All {
            return None;
        }
        PAYS.into_iter().map(|eighths| self.by(eighths)).find(|reduced| reduced.step() <= step)
    }
}

/// A picture at n/8 of its size. Sides are rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reduced {
    of: Reducible,
    eighths: u32,
    detail: Option<Detail>,
}

impl Reduced {
    /// Eighths of the size.
    pub fn eighths(&self) -> u32 {
        self.eighths
    }

    /// The detail that may be left out; `None` where any may, as only means matter.
    pub fn detail(&self) -> Option<Detail> {
        self.detail
    }

    /// The box of the whole picture, unreduced.
    pub fn whole(&self) -> Rect {
        Rect::sized(self.of.width, self.of.height)
    }

    /// The box of the reduced picture.
    pub fn rect(&self) -> Rect {
        let side = |side: u32| (u64::from(side) * u64::from(self.eighths)).div_ceil(8) as u32;
        Rect::sized(side(self.of.width), side(self.of.height))
    }

    /// Unreduced pixels for each reduced one, along each side.
    pub fn step(&self) -> f64 {
        8.0 / f64::from(self.eighths)
    }

    /// Where the reduced picture begins, in unreduced pixels along x and y: 0, or a part of a
    /// reduced pixel less.
    pub fn start(&self) -> [f64; 2] {
        let (whole, rect) = (self.whole(), self.rect());
        let start = |mirrored: bool, whole: u32, reduced: u32| {
            if mirrored { f64::from(whole) - f64::from(reduced) * self.step() } else { 0.0 }
        };
        let [x, y] = self.of.mirrored;
        [start(x, whole.width, rect.width), start(y, whole.height, rect.height)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_pixel_may_be_no_whole_one() {
        let all = Reducible { width: 1001, height: 16, mirrored: [false; 2], margin: Margin::None };
        let eighths = |all: Reducible| {
            [1.9, 2.0, 2.7, 7.9, 8.0, 1e9].map(|step| all.within(step).map(|reduced| reduced.eighths()))
        };
        assert_eq!(eighths(all), [None, Some(4), Some(3), Some(2), Some(1), Some(1)]);
        assert_eq!(eighths(all.detailed()), [None, None, None, Some(3), Some(2), Some(1)]);
        let most = |all: Reducible| {
            [2.0, 2.5, 8.0, 9.6, 15.9]
                .map(|step| all.within(step).and_then(|reduced| Some(reduced.detail()?.most_energy())))
        };
        // 2.5 is served by 4/8 as 2.0 is, 9.6 by 1/8 as 8.0 is.
        assert_eq!(most(all), [Some(30.0), Some(60.0), Some(30.0), Some(47.0), Some(150.0)]);
        assert_eq!(most(all.detailed()), [None, None, Some(150.0), Some(150.0), Some(150.0)]);
        assert_eq!(eighths(all.detailed().detailed()), [None; 6]);
        let reduced = Reducible { mirrored: [true, true], ..all }.by(1);
        assert_eq!((reduced.rect(), reduced.whole()), (Rect::sized(126, 2), Rect::sized(1001, 16)));
        assert_eq!((reduced.step(), reduced.start()), (8.0, [-7.0, 0.0]));
        let reduced = Reducible { width: 10, height: 10, mirrored: [false, true], ..all }.by(3);
        assert_eq!((reduced.rect(), reduced.start()), (Rect::sized(4, 4), [0.0, 10.0 - 32.0 / 3.0]));
    }
}
