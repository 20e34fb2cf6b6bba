//! `gegl/perlin-noise`: clouds of noise, without end.
//!
//! Layers of the gradient noise of K. Perlin, "An image synthesizer", SIGGRAPH 1985: cells of 50 pixels
//! in the first, each further one in steps of `scale` finer and by `alpha` weaker; `zoff` is where the
//! plane cuts the noise in space, and below 0 the noise is that of a plane. Light is half of the sum
//! and a half, gray, not clamped (GEGL 0.4, `perlin-noise.c`).
//!
//! The gradients are those of GEGL: from the Mersenne Twister, and such that a component drawn below
//! zero is a large positive one, since GEGL computes it without a sign.

use std::sync::LazyLock;

use super::compose::rows;
use crate::{
    Area, Boxes, Cancel, Format, Formats, Info, Kind, OpError, Operation, Pass, Properties, Property, Rect, Tile, View,
};

const fn number(name: &'static str, description: &'static str, default: f64) -> Property {
    Property { name, description, kind: Kind::Number { default, minimum: -f64::MAX, maximum: f64::MAX } }
}

const INFO: Info = Info {
    name: "gegl/perlin-noise",
    aliases: &[],
    categories: &["render"],
    title: "Perlin Noise",
    description: "Makes endless clouds of noise, for a crop to cut from.",
    inputs: &[],
    properties: &[
        number("alpha", "How much weaker each layer is than the one before, as a divisor", 1.2),
        number("scale", "How much finer each layer is than the one before, as a factor", 1.8),
        number("zoff", "Where the plane lies in a space of noise; below 0 the noise has no third dimension", -1.0),
        Property { name: "n", description: "Layers of noise", kind: Kind::Int { default: 3, minimum: 0, maximum: 20 } },
    ],
    revision: 1,
};

/// The operation `gegl/perlin-noise`.
#[derive(Debug)]
pub struct PerlinNoise;

impl Operation for PerlinNoise {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        Ok(vec![Pass::Area(Box::new(Clouds {
            alpha: properties.number("alpha"),
            scale: properties.number("scale"),
            depth: Some(properties.number("zoff")).filter(|depth| *depth >= 0.0),
            layers: properties.int("n") as u8,
        }))])
    }
}

/// Width of a cell of the first layer, pixels.
const CELL: f64 = 50.0;

/// Gradients at the corners of cells, and the order they are found in.
struct Lattice {
    order: [u8; 256],
    plane: [[f64; 2]; 256],
    space: [[f64; 3]; 256],
}

/// The seed of GEGL's gradients.
const SEED: u32 = 1_234_567_890;

static LATTICE: LazyLock<Lattice> = LazyLock::new(|| {
    let mut random = rand_mt::Mt::new(SEED);
    let mut lattice = Lattice { order: [0; 256], plane: [[0.0; 2]; 256], space: [[0.0; 3]; 256] };
    let mut component = || f64::from((random.next_u32() % 512).wrapping_sub(256));
    for index in 0..=255u8 {
        let place = usize::from(index);
        lattice.order[place] = index;
        // One for the noise of a line, which is not used.
        component();
        lattice.plane[place] = unit([component(), component()]);
        lattice.space[place] = unit([component(), component(), component()]);
    }
    for index in (1..256).rev() {
        lattice.order.swap(index, (random.next_u32() % 256) as usize);
    }
    lattice
});

fn unit<const N: usize>(vector: [f64; N]) -> [f64; N] {
    let length = vector.iter().map(|v| v * v).sum::<f64>().sqrt();
    vector.map(|v| v / length)
}

/// A coordinate in a cell: the lattice before and after, the distances from both, and the weight of
/// the second.
#[derive(Clone, Copy)]
struct Along {
    corners: [usize; 2],
    distances: [f64; 2],
    weight: f64,
}

impl Along {
    fn new(at: f64) -> Self {
        let at = at + 4096.0;
        // Towards zero, as in C: far to the left cells are mirrored.
        let cell = at as i32;
        let first = (cell & 255) as usize;
        let distance = at - f64::from(cell);
        Along {
            corners: [first, (first + 1) & 255],
            distances: [distance, distance - 1.0],
            weight: distance * distance * (3.0 - 2.0 * distance),
        }
    }

    fn mix(self, [first, second]: [f64; 2]) -> f64 {
        first + self.weight * (second - first)
    }
}

impl Lattice {
    /// Where the corner of a cell lies in the order.
    fn hash(&self, x: usize, y: usize) -> usize {
        usize::from(self.order[(usize::from(self.order[x]) + y) & 255])
    }

    fn plane(&self, x: Along, y: Along) -> f64 {
        y.mix([0, 1].map(|j| {
            x.mix([0, 1].map(|i| {
                let [gx, gy] = self.plane[self.hash(x.corners[i], y.corners[j])];
                gx * x.distances[i] + gy * y.distances[j]
            }))
        }))
    }

    fn space(&self, x: Along, y: Along, z: Along) -> f64 {
        z.mix([0, 1].map(|k| {
            y.mix([0, 1].map(|j| {
                x.mix([0, 1].map(|i| {
                    let corner = (self.hash(x.corners[i], y.corners[j]) + z.corners[k]) & 255;
                    let [gx, gy, gz] = self.space[corner];
                    gx * x.distances[i] + gy * y.distances[j] + gz * z.distances[k]
                }))
            }))
        }))
    }
}

#[derive(Debug)]
struct Clouds {
    alpha: f64,
    scale: f64,
    /// `None` for the noise of a plane.
    depth: Option<f64>,
    layers: u8,
}

impl Clouds {
    /// Adds the layers of a row that begins at (x, y).
    fn row(&self, x: i32, y: i32, sums: &mut [f64]) {
        let lattice = &*LATTICE;
        let (mut fine, mut weak) = (1.0, 1.0);
        for _ in 0..self.layers {
            let row = Along::new(f64::from(y) / CELL * fine);
            let depth = self.depth.map(|depth| Along::new(depth * fine));
            for (x, sum) in (x..).zip(sums.iter_mut()) {
                let column = Along::new(f64::from(x) / CELL * fine);
                let noise = match depth {
                    Some(depth) => lattice.space(column, row, depth),
                    None => lattice.plane(column, row),
                };
                *sum += noise / weak;
            }
            fine *= self.scale;
            weak *= self.alpha;
        }
    }
}

impl Area for Clouds {
    fn formats(&self, _inputs: &[Option<Format>]) -> Formats {
        Formats { inputs: [Format::LIN_OPAQUE; 2], output: Format::LIN_OPAQUE }
    }

    fn bounds(&self, _boxes: Boxes<'_>) -> Result<Rect, OpError> {
        Ok(Rect::INFINITE)
    }

    fn needed(&self, _pad: usize, _region: Rect, _boxes: Boxes<'_>) -> Rect {
        Rect::default()
    }

    fn weight(&self) -> f32 {
        let layer = if self.depth.is_some() { 20.0 } else { 10.0 };
        2.0 + layer * f32::from(self.layers)
    }

    fn render(
        &self,
        _inputs: &[Option<View<'_>>],
        _boxes: Boxes<'_>,
        output: &mut Tile<'_>,
        cancel: &Cancel,
    ) -> Result<(), OpError> {
        let rect = output.rect();
        let mut sums = vec![0.0; rect.width as usize];
        for y in rows(rect) {
            cancel.check()?;
            sums.fill(0.0);
            self.row(rect.x, y, &mut sums);
            for (pixel, sum) in output.row_mut(y).iter_mut().zip(&sums) {
                let light = (sum * 0.5 + 0.5) as f32;
                *pixel = [light, light, light, 1.0];
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::testing::{Tiling, assert_pixel, check, run};

    fn gray(v: f32) -> [f32; 4] {
        [v, v, v, 1.0]
    }

    #[test]
    fn the_noise_is_that_of_gegl() {
        // Read from GEGL 0.4.42.
        let out = check(&PerlinNoise, &[], &[]);
        for (x, y, light) in [(0, 0, 0.5), (1, 0, 0.537_77), (5, 3, 0.631), (11, 2, 0.537_53)] {
            assert_pixel(&out, x, y, gray(light), 2e-5);
        }
        let out = check(&PerlinNoise, &[("n", "1"), ("zoff", "0.5")], &[]);
        for (x, y, light) in [(0, 0, 0.375), (-3, -2, 0.362_75), (7, 3, 0.401_07)] {
            assert_pixel(&out, x, y, gray(light), 2e-5);
        }
        assert_pixel(&check(&PerlinNoise, &[("n", "0")], &[]), 4, 4, gray(0.5), 0.0);
    }

    #[test]
    fn it_goes_through_the_middle_at_the_corners_of_cells() {
        let region = Rect::new(-100, 50, 301, 1);
        let given = [("n", "1")];
        let out = run(&PerlinNoise, &given, &[], Some(region), Tiling::Whole, &Cancel::new()).unwrap();
        for x in [-100, -50, 0, 50, 200] {
            assert_pixel(&out, x, 50, gray(0.5), 1e-6);
        }
    }

    #[test]
    fn numbers_without_end_are_no_fault() {
        for given in [[("scale", "1e300"), ("n", "20")], [("alpha", "0"), ("n", "3")], [("zoff", "1e300"), ("n", "2")]]
        {
            check(&PerlinNoise, &given, &[]);
        }
    }
}
