use imgflo_ops::{Encoding, Image, Pass, Point, Properties, Rect, Registry};

use super::super::{Chain, Runner, Stage};
use super::*;

/// The passes of an operation with some properties, which are points all.
fn points(name: &str, given: &[(&'static str, f64)]) -> Vec<Box<dyn Point>> {
    let registry = Registry::native();
    let operation = registry.get(name).unwrap();
    let mut properties = Properties::defaults(operation.info().properties);
    for &(name, value) in given {
        properties.set(name, imgflo_ops::Value::Number(value));
    }
    let passes = operation.prepare(&properties).unwrap();
    passes.into_iter().map(|pass| if let Pass::Point(point) = pass { point } else { panic!("{name}") }).collect()
}

/// A chain of these passes with the conversions that they need.
fn chain(from: Format, passes: Vec<Box<dyn Point>>, to: Format) -> Vec<Stage> {
    let mut stages = Vec::new();
    let mut format = from;
    for point in passes {
        let works = point.format(format);
        if works != format {
            stages.push(Stage::Convert { from: format, to: works });
        }
        stages.push(Stage::Point { point, node: 7, bounds: Rect::sized(64, 64) });
        format = works;
    }
    stages.push(Stage::Convert { from: format, to });
    stages
}

fn levels_and_more() -> Vec<Box<dyn Point>> {
    let mut passes = points("gegl/levels", &[("in-low", 0.05), ("in-high", 0.9)]);
    passes.extend(points("gegl/posterize", &[]));
    passes.extend(points("gegl/color-temperature", &[("original-temperature", 5000.0)]));
    passes
}

/// Every byte in every channel, beside others.
fn picture(format: Format) -> Image {
    let bytes = |i: u32| [i, i * 7 + 3, i * 31 + 11, i * 5 + i / 256].map(|byte| byte as u8);
    let rect = Rect::new(-2, 5, 64, 16);
    if format.has_alpha() {
        Image::from_rgba8(rect, (0..1024).map(bytes).collect())
    } else {
        Image::from_rgb8(rect, (0..1024).map(bytes).map(|[r, g, b, _]| [r, g, b]).collect())
    }
}

#[test]
fn looking_up_gives_the_bits_of_the_chain() {
    let at = Cell::new(0);
    for from in [Format::RGB8, Format::RGBA8] {
        for to in [Format::RGB8, Format::RGBA8] {
            let image = picture(from);
            let run = |chain: &Chain, tabulated: bool| {
                assert_eq!(chain.table(&at).is_some(), tabulated, "{from:?} to {to:?}");
                let mut output = Image::new(image.rect(), to).unwrap();
                for mut tile in output.tiles(64, 16) {
                    Runner::new(chain, from, to, &at).run(&image.view(image.rect()), &mut tile);
                }
                output
            };
            let tabulated = run(&Chain::new(chain(from, levels_and_more(), to)), true);
            let plain = Chain::new(chain(from, levels_and_more(), to));
            plain.table.set(None).unwrap();
            assert_eq!(tabulated, run(&plain, false), "{from:?} to {to:?}");
            assert_ne!(tabulated, imgflo_ops::format::convert(&image, to).unwrap());
            if from == to {
                let mut output = image.clone();
                for mut tile in output.tiles(9, 4) {
                    Runner::new(&Chain::new(chain(from, levels_and_more(), to)), from, to, &at).run_in_place(&mut tile);
                }
                assert_eq!(output, tabulated, "{from:?} in place");
            }
        }
    }
}

#[test]
fn what_mixes_channels_is_not_tabulated() {
    let at = Cell::new(0);
    let tabulated = |stages: Vec<Stage>| Table::of(&stages, &at).is_some();
    let rgba = Format::RGBA8;
    assert!(tabulated(chain(rgba, levels_and_more(), rgba)));
    assert!(!tabulated(chain(rgba, points("gegl/saturation", &[("scale", 2.0)]), rgba)));
    assert!(!tabulated(chain(rgba, levels_and_more(), Format::LIN)));
    let works = Format { encoding: Encoding::Linear, ..Format::LINP };
    let multiplied = vec![
        Stage::Convert { from: rgba, to: works },
        Stage::Convert { from: works, to: Format::GAM },
        Stage::Convert { from: Format::GAM, to: rgba },
    ];
    assert!(!tabulated(multiplied));
    assert!(!tabulated(vec![Stage::Convert { from: rgba, to: Format::RGB8 }]));
}
