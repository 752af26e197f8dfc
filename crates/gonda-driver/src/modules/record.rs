//! What a proxy served: the lock and the package keep it.

use std::collections::{BTreeMap, BTreeSet};

use gonda_gomod::ModuleVersion;
use serde::{Deserialize, Serialize};

/// What a proxy was asked for, and what it answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyRecord {
    /// Module versions whose go.mod or content was served, as `path@version`.
    pub modules: BTreeMap<String, ServedModule>,
    /// Answers that change with time – `@latest`, version lists, branches – by the request's escaped path, such as
    /// `a.b/!c/@latest`. Only positive ones: what is not here was not found. [`super::ProxySettings::answers`] replays
    /// them.
    pub answers: BTreeMap<String, String>,
    /// What could not be served and why, other than by a plain "not found".
    pub failures: BTreeSet<String>,
}

/// What was served of a module version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedModule {
    /// `h1:…` of its content, if that was served.
    pub zip: Option<String>,
    /// `h1:…` of its go.mod, if that was served.
    pub go_mod: Option<String>,
    /// Whether something of it was not in the store before.
    pub fetched: bool,
}

impl ProxyRecord {
    pub(super) fn module(&mut self, module: &ModuleVersion) -> &mut ServedModule {
        self.modules.entry(module.to_string()).or_default()
    }
}
