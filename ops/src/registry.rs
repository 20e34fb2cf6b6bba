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
