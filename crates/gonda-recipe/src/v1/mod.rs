//! stub

use crate::{Env, Output, RecipeErrors, Request, Resolved, World};

/// What stays of a rendered recipe for finalising.
pub struct Rendered {}

pub(crate) type Loaded = (Vec<Output>, Option<Vec<String>>, Rendered);

pub(crate) fn render(_request: &Request, _world: &dyn World) -> Result<Loaded, RecipeErrors> {
    todo!()
}

pub(crate) fn specs(_state: &Rendered, _outputs: &[Output], _index: usize, _env: Env, _resolved: &Resolved, _world: &dyn World) -> Result<Vec<String>, RecipeErrors> {
    todo!()
}

pub(crate) fn finalize(_state: &Rendered, _outputs: &[Output], _index: usize, _resolved: &Resolved, _world: &dyn World) -> Result<Output, RecipeErrors> {
    todo!()
}
