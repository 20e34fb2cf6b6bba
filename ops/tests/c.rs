//! The C interface: the header and the examples as a compiler sees them, and calls into them.

use std::path::{Path, PathBuf};
use std::process::Command;

use imgflo_ops::c::{Given, Input, Loaded, Margins, Part, PropertyKind, Room, RunError, Shape};
use imgflo_ops::{Color, Rect, Value};

const WARNINGS: [&str; 5] = ["-std=c11", "-pedantic", "-Wall", "-Wextra", "-Werror"];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn compile(source: &Path, into: &Path) -> PathBuf {
    let library = into.join(source.file_stem().unwrap()).with_extension("so");
    let done = Command::new("cc")
        .args(WARNINGS)
        .args(["-O1", "-fPIC", "-shared", "-fvisibility=hidden", "-I"])
        .arg(folder().join("include"))
        .arg(source)
        .arg("-o")
        .arg(&library)
        .arg("-lm")
        .output()
        .expect("there is a C compiler");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    library
}

/// An operation of this text, with the header before it.
fn load(name: &str, text: &str) -> Result<Loaded, String> {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join(format!("{name}.c"));
    std::fs::write(&source, format!("#include \"imgflo-op.h\"\n{text}")).unwrap();
    Loaded::open(&compile(&source, folder.path()))
}

fn example(name: &str) -> Loaded {
    let into = tempfile::tempdir().unwrap();
    let loaded = Loaded::open(&compile(&folder().join(format!("c/{name}.c")), into.path())).unwrap();
    assert_eq!(loaded.description().check(name), Ok(()));
    loaded
}

/// The defaults, as calls have them.
fn defaults(loaded: &Loaded) -> Vec<Given> {
    let info = loaded.description().keep();
    let values = info.properties.iter().enumerate();
    values.map(|(index, property)| loaded.description().give(index, &property.kind.default())).collect()
}

/// Renders in memory that another call has left its marks in.
fn render(
    loaded: &Loaded,
    given: &[Given],
    whole: Rect,
    inputs: &[Part<'_>],
    region: Rect,
) -> Result<Vec<f32>, RunError> {
    let inputs = inputs.iter().map(|input| input as &dyn Input).collect::<Vec<_>>();
    let mut room = Room::default();
    let large = Rect { width: region.width + 3, height: region.height + 2, ..region };
    let _ = loaded.render(&mut room, given, whole, &inputs, large);
    loaded.render(&mut room, given, whole, &inputs, region).map(<[f32]>::to_vec)
}

fn pixel(rendered: &[f32], index: usize) -> [f32; 4] {
    rendered[index * 4..index * 4 + 4].try_into().unwrap()
}

#[test]
fn every_example_is_an_operation() {
    let mut shapes = Vec::new();
    for entry in std::fs::read_dir(folder().join("c")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "c") {
            shapes.push(format!("{:?}", example(path.file_stem().unwrap().to_str().unwrap()).description().shape));
        }
    }
    shapes.sort();
    assert_eq!(shapes, ["Area", "Compositor", "Point", "Source"], "one of each");
}

#[test]
fn a_description_arrives_whole() {
    let loaded = load(
        "all",
        r#"
        static const char *const ways[] = {"up", "down", NULL};
        static const imgflo_property properties[] = {
            IMGFLO_NUMBER("a-number", "Number.", 0.25, -1.5, 2.5),
            IMGFLO_INT("an-int", "Int.", -3, -8, 9007199254740992.0),
            IMGFLO_BOOLEAN("a-boolean", "Boolean.", 1),
            IMGFLO_ENUM("an-enum", "Enum.", 1, ways),
            IMGFLO_COLOR("a-color", "Colour.", 0.5f, 0.25f, 0.125f, 1.0f),
            IMGFLO_TEXT("a-text", "Text.", "gr\xc3\xbcn"),
            IMGFLO_END,
        };
        static imgflo_margins margins(const imgflo_value *values) {
            (void)values;
            return (imgflo_margins){1, 2, 3, 4};
        }
        static const char *render(const imgflo_call *call) {
            const imgflo_value *v = call->values;
            if (v[0].number != 0.25 || v[1].integer != -3 || v[2].integer != 1 || v[3].integer != 1) return "values";
            if (v[4].color[0] < 0.21f || v[4].color[0] > 0.22f || v[4].color[3] != 1.0f) return "color";
            if (v[5].text[2] != '\xc3' || v[5].text[5] != 0) return "text";
            if (call->whole.x != -7 || call->whole.height != 99) return "whole";
            if (call->input.box.x != 9 || call->input.box.y != 18 || call->input.box.width != 6) return "input";
            if (call->input.box.height != 8 || call->input.stride != 24 || call->aux.box.height != 8) return "aux";
            if (imgflo_at(&call->input, 11, 21)[1] != 0.5f) return "pixel";
            imgflo_row(&call->output, 21)[5] = 0.75f;
            return NULL;
        }
        static const imgflo_operation all = {
            .kind = IMGFLO_COMPOSITOR, .format = IMGFLO_LINEAR, .weight = 2.5f, .name = "all", .title = "All",
            .description = "All there is.", .categories = "one:two", .properties = properties,
            .render = render, .margins = margins,
        };
        IMGFLO_OPERATION(all);
        "#,
    );
    let loaded = loaded.unwrap();
    let described = loaded.description();
    assert_eq!(described.check("all"), Ok(()));
    assert_eq!((described.shape, described.linear, described.premultiplied), (Shape::Compositor, true, false));
    assert_eq!((described.weight, described.margins, described.bounds), (2.5, true, false));
    let kinds = described.properties.iter().map(|property| property.kind.clone()).collect::<Vec<_>>();
    assert_eq!(
        kinds,
        [
            PropertyKind::Number { default: 0.25, minimum: -1.5, maximum: 2.5 },
            PropertyKind::Int { default: -3, minimum: -8, maximum: 1 << 53 },
            PropertyKind::Boolean { default: true },
            PropertyKind::Enum { default: 1, choices: vec!["up".into(), "down".into()] },
            PropertyKind::Color { default: [0.5, 0.25, 0.125, 1.0] },
            PropertyKind::Text { default: "grün".into() },
        ]
    );
    let given = defaults(&loaded);
    assert_eq!(loaded.margins(&given), Ok(Margins { left: 1, top: 2, right: 3, bottom: 4 }));
    let pixels = [[0.0; 4], [0.25, 0.5, 0.0, 1.0]];
    let input = Part { rect: Rect::new(10, 21, 2, 1), pixels: &pixels };
    let aux = Part { rect: Rect::default(), pixels: &[] };
    let region = Rect::new(10, 20, 2, 2);
    let rendered = render(&loaded, &given, Rect::new(-7, -8, 50, 99), &[input, aux], region).unwrap();
    assert_eq!(pixel(&rendered, 3), [0.0, 0.75, 0.0, 0.0]);
    let few = render(&loaded, &given[1..], region, &[input, aux], region);
    assert_eq!(few, Err(RunError::Said("the values do not fit the properties".into())));
}

#[test]
fn a_point_gets_rows() {
    let duotone = example("duotone");
    let mut given = defaults(&duotone);
    given[0] = duotone.description().give(0, &Value::Color(Color { rgba: [0.0, 0.0, 0.5, 1.0] }));
    given[1] = duotone.description().give(1, &Value::Color(Color { rgba: [1.0, 1.0, 0.5, 1.0] }));
    let pixels = [[0.0, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, 0.5], [0.5, 0.5, 0.5, 1.0], [0.0, 1.0, 0.0, 1.0]];
    let rect = Rect::new(3, -1, 2, 2);
    let rendered = render(&duotone, &given, rect, &[Part { rect, pixels: &pixels }], rect).unwrap();
    for (index, expected) in
        [[0.0, 0.0, 0.5, 1.0], [1.0, 1.0, 0.5, 0.5], [0.5, 0.5, 0.5, 1.0], [0.7152, 0.7152, 0.5, 1.0]]
            .iter()
            .enumerate()
    {
        let near = pixel(&rendered, index).iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(near, "{index}: {:?}", pixel(&rendered, index));
    }
}

#[test]
fn an_area_is_the_same_however_it_is_cut() {
    let sharpen = example("sharpen");
    let given = defaults(&sharpen);
    let margins = sharpen.margins(&given).unwrap();
    let rect = Rect::new(-3, 2, 17, 13);
    let pixels = (0..rect.area()).map(|n| [n as f32 * 0.37 % 1.0, n as f32 * 0.11 % 1.0, 0.5, 1.0]).collect::<Vec<_>>();
    let whole = render(&sharpen, &given, rect, &[Part { rect, pixels: &pixels }], rect).unwrap();
    let region = Rect::new(0, 5, 6, 4);
    let needed = margins.around(region).intersect(&rect);
    let at = |x: i32, y: i32| ((y - rect.y) * rect.width as i32 + x - rect.x) as usize;
    let part = (needed.y..needed.bottom() as i32)
        .flat_map(|y| (needed.x..needed.right() as i32).map(move |x| (x, y)))
        .map(|(x, y)| pixels[at(x, y)])
        .collect::<Vec<_>>();
    let cut = render(&sharpen, &given, rect, &[Part { rect: needed, pixels: &part }], region).unwrap();
    for y in 0..4 {
        for x in 0..6 {
            assert_eq!(pixel(&cut, (y * 6 + x) as usize), pixel(&whole, at(x, y + 5)), "{x} {y}");
        }
    }
    // A plain picture has no edges, its own included.
    let plain = vec![[0.25, 0.5, 0.75, 1.0]; rect.area() as usize];
    let same = render(&sharpen, &given, rect, &[Part { rect, pixels: &plain }], rect).unwrap();
    assert!(same.chunks(4).all(|p| p.iter().zip(plain[0]).all(|(a, b)| (a - b).abs() < 1e-5)));
}

#[test]
fn a_compositor_sees_nothing_beyond_the_second_picture() {
    let mask = example("mask");
    let given = defaults(&mask);
    let (one, white) = ([[1.0, 0.5, 0.25, 1.0]; 2], [[1.0; 4]]);
    let input = Part { rect: Rect::sized(2, 1), pixels: &one };
    let aux = Part { rect: Rect::sized(1, 1), pixels: &white };
    let rendered = render(&mask, &given, Rect::sized(2, 1), &[input, aux], Rect::sized(2, 1)).unwrap();
    assert_eq!(pixel(&rendered, 1), [0.0; 4]);
    assert!(pixel(&rendered, 0).iter().zip(one[0]).all(|(a, b)| (a - b).abs() < 1e-6));
    let inverted = vec![given[0].clone(), Given::Integer(1)];
    let rendered = render(&mask, &inverted, Rect::sized(2, 1), &[input, aux], Rect::sized(2, 1)).unwrap();
    assert_eq!(pixel(&rendered, 1), one[1]);
}

#[test]
fn a_source_covers_what_it_says() {
    let stripes = example("stripes");
    let given = defaults(&stripes);
    assert_eq!(stripes.bounds(&given), Ok(Rect::INFINITE));
    let rendered = render(&stripes, &given, Rect::INFINITE, &[], Rect::new(-16, 0, 32, 1)).unwrap();
    assert_eq!((pixel(&rendered, 8), pixel(&rendered, 24)), ([0.0, 0.0, 0.0, 1.0], [1.0; 4]));
}

#[test]
fn what_is_no_operation_is_refused() {
    let operation = |members: &str| {
        format!(
            "static const imgflo_operation it = {{.name = \"it\", .description = \"It.\", {members}}}; IMGFLO_OPERATION(it);"
        )
    };
    let render = "static const char *render(const imgflo_call *c) { (void)c; return NULL; }\n";
    for (text, told) in [
        ("int other;".into(), "hands out no operation"),
        (operation(".kind = 7, .format = IMGFLO_LINEAR"), "a kind of 7 is none"),
        (operation(".kind = IMGFLO_POINT, .format = 9"), "a format of 9 is none"),
        (operation(".kind = IMGFLO_POINT, .format = IMGFLO_LINEAR"), "has a function `point`"),
        (operation(".kind = IMGFLO_SOURCE, .format = IMGFLO_LINEAR"), "have a function `render`"),
        (
            format!("{render}static const imgflo_operation it = {{.kind = IMGFLO_SOURCE, .format = IMGFLO_LINEAR, .render = render}}; IMGFLO_OPERATION(it);"),
            "has no name",
        ),
        (
            "__attribute__((visibility(\"default\"))) const imgflo_export imgflo_operation_v1 = {2, 8, NULL};".into(),
            "built for version 2",
        ),
        (
            "__attribute__((visibility(\"default\"))) const imgflo_export imgflo_operation_v1 = {1, sizeof(imgflo_operation), NULL};".into(),
            "is NULL",
        ),
    ] {
        // Some of these leave members out on purpose.
        let text = format!("#pragma GCC diagnostic ignored \"-Wmissing-field-initializers\"\n{text}");
        let fault = load("it", &text).expect_err(told);
        assert!(fault.contains(told), "{fault}");
    }
    assert!(Loaded::open(Path::new("/dev/null")).is_err());
}

#[test]
fn messages_margins_and_guards() {
    let text = r#"
        static const imgflo_property properties[] = {IMGFLO_INT("way", "Which.", 0, 0, 9), IMGFLO_END};
        static imgflo_margins margins(const imgflo_value *values) {
            return (imgflo_margins){values[0].integer == 3 ? 5000 : 0, 0, 0, values[0].integer == 4 ? -1 : 0};
        }
        static const char *render(const imgflo_call *call) {
            float *pixels = call->output.pixels;
            int way = (int)call->values[0].integer;
            if (way == 1) pixels[-1] = 0.0f;
            return way == 5 ? "five is not allowed" : NULL;
        }
        static const imgflo_operation it = {
            .kind = IMGFLO_AREA, .format = IMGFLO_CODED, .name = "it", .description = "It.",
            .properties = properties, .render = render, .margins = margins,
        };
        IMGFLO_OPERATION(it);
    "#;
    let it = load("it", text).unwrap();
    let pixels = [[0.0; 4]; 4];
    let rect = Rect::sized(2, 2);
    let run = |way: i64| render(&it, &[Given::Integer(way)], rect, &[Part { rect, pixels: &pixels }], rect);
    assert_eq!(run(0).map(|pixels| pixels.len()), Ok(16));
    assert_eq!(run(1), Err(RunError::Overwritten));
    assert_eq!(run(3), Err(RunError::Said("a margin of 5000 pixels is wider than 1024".into())));
    assert_eq!(run(4), Err(RunError::Said("a margin of -1 pixels is none".into())));
    assert_eq!(run(5), Err(RunError::Said("five is not allowed".into())));
}
