//! Curves, which GEGL holds in objects of their own, as ports.

use imgflo_ops::Image;
use imgflo_runtime::PlanError;
use serde_json::{Value as Json, json};

use super::pictures::{self, Difference};
use super::{GEGL, graph, plan, render};

fn with(curve: Option<&str>) -> Json {
    let curve = curve.map(|curve| json!({"data": curve, "tgt": {"process": "op", "port": "curve"}}));
    json!({
        "inports": {"input": {"process": "op", "port": "input"}},
        "outports": {"output": {"process": "op", "port": "output"}},
        "processes": {"op": {"component": "gegl/contrast-curve"}},
        "connections": curve.into_iter().collect::<Vec<_>>(),
    })
}

fn rendered(curve: Option<&str>) -> Result<Image, PlanError> {
    let (_, image) = pictures::all().swap_remove(0);
    let graph = graph("curve", &with(curve), &GEGL);
    plan(&graph, &[], Some(&image), &GEGL).map(|plan| render(&plan, Some(&image)))
}

#[test]
fn a_curve_is_points() {
    let picture = |curve| rendered(curve).expect("a picture");
    let (straight, same, turned) = (picture(None), picture(Some("0,0 1,1")), picture(Some("0,1 1,0")));
    assert_eq!(straight, same);
    assert!(Difference::between(&straight, &turned).mean() > 10.0);
    let error = rendered(Some("steep")).expect_err("no curve").to_string();
    assert!(error.contains("process 'op'") && error.contains("curve"), "{error}");
}

#[test]
fn older_names_of_operations_are_known() {
    for (old, name) in
        [("gegl/color-reduction", "gegl/dither"), ("gegl/grey", "gegl/gray"), ("gegl/over", "svg/src-over")]
    {
        let operation = GEGL.operation(old).unwrap_or_else(|| panic!("{old} is not known"));
        assert_eq!(operation.info().name, name);
    }
}
