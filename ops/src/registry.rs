//! All operations, by component name.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Info, Operation, native};

/// Operations by component name, aliases included.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    operations: BTreeMap<&'static str, Arc<dyn Operation>>,
    aliases: BTreeMap<&'static str, &'static str>,
}

impl Registry {
    /// The native operations.
    pub fn native() -> Self {
        let mut registry = Registry::default();
        for operation in native::all() {
            registry.add(operation);
        }
        registry
    }

    /// Adds an operation; one of the same name is replaced.
    pub fn add(&mut self, operation: Arc<dyn Operation>) {
        let info = operation.info();
        // A name given to an operation of its own is no alias any more.
        self.aliases.retain(|alias, name| *alias != info.name && *name != info.name);
        for alias in info.aliases {
            self.aliases.insert(alias, info.name);
        }
        self.operations.insert(info.name, operation);
    }

    /// The operation of that component name (`gegl/crop`) or alias.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Operation>> {
        let name = self.aliases.get(name).copied().unwrap_or(name);
        self.operations.get(name)
    }

    /// Descriptions of all operations, by name, without aliases.
    pub fn infos(&self) -> impl Iterator<Item = &'static Info> {
        self.operations.values().map(|operation| operation.info())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, OpError, Pad, Pass, Properties};

    #[derive(Debug)]
    struct Named(&'static Info);

    impl Operation for Named {
        fn info(&self) -> &'static Info {
            self.0
        }

        fn prepare(&self, _properties: &Properties) -> Result<Vec<Pass>, OpError> {
            Ok(Vec::new())
        }
    }

    const PLAIN: Info = Info {
        name: "test/plain",
        aliases: &["test/other", "test/simple"],
        categories: &[],
        title: "Plain",
        description: "Nothing.",
        inputs: &[Pad::INPUT],
        properties: &[],
        revision: 1,
    };

    #[test]
    fn names_and_aliases_find_operations() {
        static INFO: Info = PLAIN;
        let mut registry = Registry::default();
        registry.add(Arc::new(Named(&INFO)));
        for name in ["test/plain", "test/other", "test/simple"] {
            assert_eq!(registry.get(name).map(|operation| operation.info().name), Some("test/plain"), "{name}");
        }
        assert!(registry.get("test/none").is_none());
        assert_eq!(registry.infos().count(), 1);
    }

    #[test]
    fn an_operation_replaces_its_namesake_and_a_name_beats_an_alias() {
        static FIRST: Info = PLAIN;
        static SECOND: Info = Info { aliases: &["test/third"], revision: 2, ..PLAIN };
        static OTHER: Info = Info { name: "test/third", aliases: &[], ..PLAIN };
        let mut registry = Registry::default();
        registry.add(Arc::new(Named(&FIRST)));
        registry.add(Arc::new(Named(&SECOND)));
        assert_eq!(registry.get("test/plain").map(|operation| operation.info().revision), Some(2));
        assert!(registry.get("test/simple").is_none(), "an alias of the one replaced");
        assert!(registry.get("test/third").is_some());
        registry.add(Arc::new(Named(&OTHER)));
        assert_eq!(registry.get("test/third").map(|operation| operation.info().name), Some("test/third"));
    }

    #[test]
    fn native_operations_describe_themselves_fully() {
        let registry = Registry::native();
        let mut names = std::collections::BTreeSet::new();
        for info in registry.infos() {
            let name = info.name;
            for name in std::iter::once(&info.name).chain(info.aliases) {
                assert!(names.insert(*name), "{name} twice");
                let (library, operation) = name.split_once('/').expect("library/operation");
                assert!(!library.is_empty() && !operation.is_empty(), "{name}");
            }
            assert!(!info.title.is_empty() && info.description.ends_with('.'), "{name}");
            assert!(info.revision > 0, "{name}");
            assert!(info.inputs.len() <= 2, "{name}");
            assert!(info.inputs.first().is_none_or(|pad| pad.name == "input"), "{name}");
            let mut ports: std::collections::BTreeSet<_> = info.inputs.iter().map(|pad| pad.name).collect();
            for property in info.properties {
                assert!(ports.insert(property.name), "{name}: {} twice", property.name);
                assert!(
                    property.name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-'),
                    "{name} {}",
                    property.name
                );
                assert!(!property.description.is_empty(), "{name} {}", property.name);
                match property.kind {
                    Kind::Int { default, minimum, maximum } => {
                        assert!((minimum..=maximum).contains(&default), "{name}");
                    }
                    Kind::Number { default, minimum, maximum } => {
                        assert!((minimum..=maximum).contains(&default), "{name}");
                        assert!(minimum.is_finite() && maximum.is_finite(), "{name}");
                    }
                    Kind::Enum { default, values } => assert!(values.contains(&default), "{name}"),
                    Kind::Boolean { .. } | Kind::Color { .. } | Kind::Text { .. } => {}
                }
                // The normal spelling of a default reads as that default.
                let default = property.kind.default();
                assert_eq!(property.kind.parse(&default.to_json()).as_ref(), Ok(&default), "{name} {}", property.name);
            }
        }
    }

    #[test]
    fn native_operations_prepare_with_their_defaults() {
        for info in Registry::native().infos() {
            let operation = Registry::native().get(info.name).cloned().unwrap();
            let passes = operation.prepare(&Properties::defaults(info.properties));
            assert!(passes.is_ok(), "{}: {passes:?}", info.name);
            if info.inputs.is_empty() {
                assert!(matches!(passes.unwrap().first(), Some(Pass::Area(_))), "{}", info.name);
            }
        }
    }
}
