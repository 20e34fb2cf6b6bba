//! What GEGL's operations say of themselves.

use crate::denied::denied;
use crate::ffi::{Gegl, Held, Spec, Value};
use crate::message::{Description, Kind, Operation, Property};

/// All operations that a graph may use, by name.
pub(crate) fn all(gegl: &Gegl) -> Description {
    let mut names = gegl.operations();
    names.sort();
    let operations =
        names.iter().filter(|name| denied(name).is_none()).filter_map(|name| operation(gegl, name)).collect();
    Description { version: gegl.version(), operations }
}

/// The operation of that name; `None` where GEGL has none.
pub(crate) fn operation(gegl: &Gegl, name: &str) -> Option<Operation> {
    let graph = gegl.graph();
    let inputs = graph.pads(graph.add(name)?);
    let categories = gegl.key(name, "categories").split(':').map(str::to_owned).filter(|c| !c.is_empty()).collect();
    // The key holds one name.
    let aliases = Some(gegl.key(name, "compat-name")).filter(|alias| !alias.is_empty());
    Some(Operation {
        name: name.to_owned(),
        aliases: aliases.into_iter().collect(),
        title: gegl.key(name, "title"),
        description: gegl.key(name, "description"),
        categories,
        inputs,
        properties: gegl.properties(name).iter().filter_map(|spec| property(gegl, name, spec)).collect(),
    })
}

fn property(gegl: &Gegl, operation: &str, spec: &Spec<'_>) -> Option<Property> {
    let (minimum, maximum) = spec.range();
    let kind = match (spec.held(), spec.default()?) {
        (_, Value::Number(default)) => Kind::Number { default, minimum, maximum },
        (_, Value::Int(default)) => Kind::Int { default, minimum: minimum as i64, maximum: maximum as i64 },
        (_, Value::Boolean(default)) => Kind::Boolean { default },
        (Held::Enum, Value::Text(default)) => {
            Kind::Enum { default, values: spec.choices().into_iter().map(|(_, name)| name).collect() }
        }
        (_, Value::Text(default)) => Kind::Text { default },
        (_, Value::Color(default)) => Kind::Color { default: default.map(|part| part as f32) },
    };
    let name = spec.name();
    let is_length = gegl.property_key(operation, &name, "unit").starts_with("pixel-");
    Some(Property { name, description: spec.description(), kind, is_length })
}
