//! `build.script` and `build.steps`: which text runs, and where it comes from.

use std::path::Path;

use rattler_build_script::{Script as RecipeScript, ScriptContent as RecipeContent};
use rattler_conda_types::Subdir;

use super::find_script;
use crate::{Script, ScriptContent, World};

/// A script as this crate has it. A lone line that names a file of the recipe folder means that file; a file that is
/// not there keeps its name as written, for the error of who runs it.
pub(super) fn script(script: &RecipeScript, recipe_dir: &Path, platform: Subdir, world: &dyn World) -> Script {
    let find = |name: &Path| find_script(recipe_dir, name, platform, world);
    let content = match &script.content {
        RecipeContent::Default => ScriptContent::Default,
        RecipeContent::Path(path) => ScriptContent::File(find(path).unwrap_or_else(|| path.clone())),
        RecipeContent::CommandOrPath(text) if text.contains('\n') => ScriptContent::Lines(vec![text.clone()]),
        RecipeContent::CommandOrPath(text) => match find(Path::new(text)) {
            Some(file) => ScriptContent::File(file),
            None => ScriptContent::Lines(vec![text.clone()]),
        },
        RecipeContent::Commands(lines) => ScriptContent::Lines(lines.clone()),
        RecipeContent::Command(text) => ScriptContent::Lines(vec![text.clone()]),
    };
    Script {
        content,
        interpreter: script.interpreter.clone(),
        env: script.env.clone(),
        secrets: script.secrets.clone(),
        cwd: script.cwd.clone(),
    }
}
