//! Python's values as far as recipes meet them: selectors are Python expressions, and templates call Python's
//! methods on strings, lists and dicts. One value type and one set of operators serve both, so that `1 < "2"` fails
//! in either as it does in conda-build, and `{{ none }}` prints `None`.
//!
//! Integers are 64 bit: an overflow is an error, not a wrong number. Repetition and padding are limited, for their
//! size can be written in a few characters of a recipe.

mod builtins;
mod format;
mod methods;
mod ops;
mod translation;
mod value;

pub(crate) use builtins::{convert, parse_int, to_float, to_int};
pub(crate) use format::{float_repr, format_method, percent_format};
pub(crate) use methods::{call_method, sort};
pub(crate) use ops::{
    BinaryOp, CompareOp, binary, compare, contains, equal, get_attribute, get_item, get_slice, iterate, length, negate,
    order, truth,
};
pub(crate) use value::{
    Args, Dict, ErrorKind, Key, Object, PyError, PyResult, Recorder, Undefined, Value, from_json, to_json,
};

/// The longest string or list that an operator or method may make.
pub(crate) const MAX_LENGTH: usize = 4_000_000;
