//! The functions that a recipe's template may call, and what they may be called with (jinja_context.py
//! `context_processor`).

use super::python::{Args, PyError};

/// A function of a template's context.
pub(crate) struct TemplateFunction {
    pub(crate) name: &'static str,
    /// Its parameters in their order; without a list, any are taken. Names that conda-build gives itself are left out, as
    /// nobody else should.
    parameters: Option<&'static [&'static str]>,
    /// Whether its result is not settled by the variant alone.
    pub(crate) is_dynamic: bool,
}

const fn function(name: &'static str, parameters: &'static [&'static str]) -> TemplateFunction {
    TemplateFunction { name, parameters: Some(parameters), is_dynamic: false }
}

const fn dynamic(name: &'static str, parameters: &'static [&'static str]) -> TemplateFunction {
    TemplateFunction { name, parameters: Some(parameters), is_dynamic: true }
}

const fn of_any_arguments(name: &'static str) -> TemplateFunction {
    TemplateFunction { name, parameters: None, is_dynamic: false }
}

const FUNCTIONS: &[TemplateFunction] = &[
    function("load_setup_py_data", &["setup_file", "from_recipe_dir", "recipe_dir"]),
    function("load_setuptools", &["setup_file", "from_recipe_dir", "recipe_dir"]),
    function("load_npm", &[]),
    function("load_file_regex", &["load_file", "regex_pattern", "from_recipe_dir", "recipe_dir"]),
    of_any_arguments("load_file_data"),
    of_any_arguments("load_str_data"),
    dynamic(
        "pin_compatible",
        &[
            "package_name",
            "lower_bound",
            "upper_bound",
            "min_pin",
            "max_pin",
            "permit_undefined_jinja",
            "exact",
            "bypass_env_check",
        ],
    ),
    dynamic(
        "pin_subpackage",
        &[
            "subpackage_name",
            "min_pin",
            "max_pin",
            "exact",
            "permit_undefined_jinja",
            "allow_no_other_outputs",
            "skip_build_id",
        ],
    ),
    function("compiler", &["language"]),
    function("stdlib", &["language"]),
    function("cdt", &["package_name"]),
    function("ccache", &["method"]),
    dynamic("resolved_packages", &["env", "bypass_env_check"]),
];

pub(crate) fn find(name: &str) -> Option<&'static TemplateFunction> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

/// Holds a call against the function's parameters.
pub(crate) fn check_arguments(function: &str, args: &Args) -> Result<(), PyError> {
    let Some(parameters) = find(function).and_then(|function| function.parameters) else { return Ok(()) };
    let list = || parameters.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if let Some((name, _)) = args.named.iter().find(|(name, _)| !parameters.contains(&&**name)) {
        return Err(PyError::type_error(format!("`{function}` has no argument `{name}`, but {}", list())));
    }
    if args.positional.len() > parameters.len() {
        return Err(PyError::type_error(format!(
            "`{function}` takes {} arguments at most, not {}",
            parameters.len(),
            args.positional.len()
        )));
    }
    Ok(())
}
