//! The value type, its errors, and its way from and to JSON.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use foldhash::fast::RandomState;
use indexmap::{Equivalent, IndexMap};

use super::ops::iterate;

/// Which Python exception an error stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// `AttributeError`.
    Attribute,
    /// `IndexError` or `KeyError`.
    Lookup,
    /// `NameError`; the message is the name.
    Name,
    /// `TypeError`.
    Type,
    /// jinja2's `UndefinedError`: a template error, unlike the others.
    Undefined,
    /// Any other jinja2 template error raised while rendering.
    Template,
    /// `ValueError`.
    Value,
    /// `ZeroDivisionError`.
    ZeroDivision,
    /// A `RuntimeError` of a conda-build function.
    Runtime,
    /// Not Python's: a limit against run-away recipes.
    Limit,
}

impl ErrorKind {
    /// The exception's name in Python.
    pub(crate) fn python_name(self) -> &'static str {
        match self {
            Self::Attribute => "AttributeError",
            Self::Lookup => "KeyError",
            Self::Name => "NameError",
            Self::Type => "TypeError",
            Self::Undefined => "UndefinedError",
            Self::Template => "TemplateError",
            Self::Value => "ValueError",
            Self::ZeroDivision => "ZeroDivisionError",
            Self::Runtime => "RuntimeError",
            Self::Limit => "limit",
        }
    }
}

/// A Python exception.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PyError {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
}

impl PyError {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn type_error(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Type, message)
    }

    pub(crate) fn value_error(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Value, message)
    }

    pub(crate) fn limit(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Limit, message)
    }
}

impl fmt::Display for PyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

pub(crate) type PyResult<T = Value> = Result<T, PyError>;

/// An undefined name of a template. With a recorder it is conda-build's `UndefinedNeverFail`, which goes through nearly
/// every operation and notes that it was used; without one it is jinja2's `StrictUndefined`.
#[derive(Debug)]
pub(crate) struct Undefined {
    /// The name as jinja2 reports it.
    pub(crate) name: String,
    /// What to say when it is used.
    pub(crate) message: String,
    /// What becomes of uses; `None` if strict.
    pub(crate) recorder: Option<Rc<Recorder>>,
}

/// What was undefined in a lenient rendering.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    /// Names that were used though undefined.
    pub(crate) names: RefCell<Vec<String>>,
    /// Whether something undefined was asked what `UndefinedNeverFail` answers without a note of it, such as whether it
    /// is true. `StrictUndefined` fails there.
    pub(crate) passed: Cell<bool>,
}

impl Undefined {
    /// Notes a use, or fails if strict.
    pub(crate) fn used(&self) -> PyResult<()> {
        match &self.recorder {
            Some(recorder) => {
                let mut names = recorder.names.borrow_mut();
                if !names.contains(&self.name) {
                    names.push(self.name.clone());
                }
                Ok(())
            }
            None => Err(PyError::new(ErrorKind::Undefined, self.message.clone())),
        }
    }

    /// As [`Undefined::used`], where conda-build notes nothing.
    pub(crate) fn passed(&self) -> PyResult<()> {
        match &self.recorder {
            Some(recorder) => {
                recorder.passed.set(true);
                Ok(())
            }
            None => self.used(),
        }
    }
}

/// Arguments of a call.
#[derive(Debug, Clone, Default)]
pub(crate) struct Args {
    pub(crate) positional: Vec<Value>,
    pub(crate) named: Vec<(Rc<str>, Value)>,
}

impl Args {
    pub(crate) fn named(&self, name: &str) -> Option<&Value> {
        self.named.iter().find(|(key, _)| &**key == name).map(|(_, value)| value)
    }

    /// The argument at `index`, or by name.
    pub(crate) fn get(&self, index: usize, name: &str) -> Option<&Value> {
        self.positional.get(index).or_else(|| self.named(name))
    }

    /// As [`Args::get`], `None` standing for nothing.
    pub(crate) fn get_some(&self, index: usize, name: &str) -> Option<&Value> {
        self.get(index, name).filter(|value| !matches!(value, Value::None))
    }

    pub(crate) fn str(&self, index: usize, name: &str, function: &str) -> PyResult<Rc<str>> {
        match self.get(index, name) {
            Some(Value::Str(text)) => Ok(text.clone()),
            Some(Value::Undefined(undefined)) => undefined.used().map(|()| Rc::from("")),
            Some(other) => Err(PyError::type_error(format!(
                "{function}() argument '{name}' must be str, not {}",
                other.type_name()
            ))),
            None => Err(PyError::type_error(format!("{function}() missing required argument: '{name}'"))),
        }
    }

    pub(crate) fn int(&self, index: usize, name: &str, default: i64) -> PyResult<i64> {
        match self.get(index, name) {
            Some(Value::Int(number)) => Ok(*number),
            Some(Value::Bool(flag)) => Ok(i64::from(*flag)),
            Some(other) => {
                Err(PyError::type_error(format!("'{}' object cannot be interpreted as an integer", other.type_name())))
            }
            None => Ok(default),
        }
    }

    pub(crate) fn bool(&self, index: usize, name: &str, default: bool) -> PyResult<bool> {
        self.get(index, name).map_or(Ok(default), super::truth)
    }
}

/// Anything that is neither a plain value nor a container: functions, modules, dates.
pub(crate) trait Object {
    /// As Python's `type(x).__name__`.
    fn type_name(&self) -> &str;

    fn attribute(&self, _name: &str) -> Option<Value> {
        None
    }

    fn item(&self, _key: &Value) -> Option<Value> {
        None
    }

    fn set_attribute(&self, _name: &str, _value: Value) -> bool {
        false
    }

    fn call(&self, _args: &Args) -> PyResult {
        Err(PyError::type_error(format!("'{}' object is not callable", self.type_name())))
    }

    fn is_callable(&self) -> bool {
        false
    }

    fn call_method(&self, _name: &str, _args: &Args) -> Option<PyResult> {
        None
    }

    fn iterate(&self) -> Option<Vec<Value>> {
        None
    }

    fn repr(&self) -> String {
        format!("<{} object>", self.type_name())
    }

    fn compare(&self, _other: &Value) -> Option<std::cmp::Ordering> {
        None
    }

    /// For looking at what an object is.
    fn as_any(&self) -> &dyn std::any::Any;
}

/// Keys need no protection against those who choose them beyond a random start.
pub(crate) type Dict = IndexMap<Key, Value, RandomState>;

/// A Python value.
#[derive(Clone)]
pub(crate) enum Value {
    Undefined(Rc<Undefined>),
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Rc<str>),
    List(Rc<RefCell<Vec<Value>>>),
    Tuple(Rc<Vec<Value>>),
    Dict(Rc<RefCell<Dict>>),
    Object(Rc<dyn Object>),
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undefined(undefined) => write!(f, "<undefined {}>", undefined.name),
            other => f.write_str(&other.repr()),
        }
    }
}

/// A hashable value.
#[derive(Debug, Clone)]
pub(crate) struct Key(pub(crate) Value);

impl Key {
    pub(crate) fn new(value: &Value) -> PyResult<Self> {
        match value {
            Value::Undefined(undefined) => undefined.used().map(|()| Self(value.clone())),
            Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_) | Value::Object(_) => {
                Ok(Self(value.clone()))
            }
            Value::Tuple(items) => {
                for item in items.iter() {
                    Self::new(item)?;
                }
                Ok(Self(value.clone()))
            }
            Value::List(_) | Value::Dict(_) => {
                Err(PyError::type_error(format!("unhashable type: '{}'", value.type_name())))
            }
        }
    }

    pub(crate) fn text(text: &str) -> Self {
        Self(Value::from(text))
    }
}

impl std::hash::Hash for Key {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        match &self.0 {
            Value::Str(text) => text.hash(state),
            Value::Int(number) => number.hash(state),
            Value::Bool(flag) => i64::from(*flag).hash(state),
            #[allow(clippy::cast_possible_truncation, clippy::float_cmp)]
            Value::Float(number) => {
                let whole = *number as i64;
                if whole as f64 == *number { whole.hash(state) } else { number.to_bits().hash(state) }
            }
            Value::Tuple(items) => {
                for item in items.iter() {
                    Self(item.clone()).hash(state);
                }
            }
            _ => 0_u8.hash(state),
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        super::ops::plain_equal(&self.0, &other.0)
    }
}

impl Eq for Key {}

/// Text is looked up without becoming a value.
impl Equivalent<Key> for str {
    fn equivalent(&self, key: &Key) -> bool {
        key.0.as_str() == Some(self)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Str(Rc::from(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Str(Rc::from(text))
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        Self::List(Rc::new(RefCell::new(items)))
    }
}

impl From<Dict> for Value {
    fn from(items: Dict) -> Self {
        Self::Dict(Rc::new(RefCell::new(items)))
    }
}

impl Value {
    pub(crate) fn tuple(items: Vec<Value>) -> Self {
        Self::Tuple(Rc::new(items))
    }

    pub(crate) fn object(object: impl Object + 'static) -> Self {
        Self::Object(Rc::new(object))
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn is_undefined(&self) -> bool {
        matches!(self, Self::Undefined(_))
    }

    /// As Python's `type(x).__name__`.
    pub(crate) fn type_name(&self) -> &str {
        match self {
            Self::Undefined(_) => "UndefinedNeverFail",
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Str(_) => "str",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Dict(_) => "dict",
            Self::Object(object) => object.type_name(),
        }
    }

    /// Python's `str(x)`.
    pub(crate) fn to_text(&self) -> PyResult<Rc<str>> {
        match self {
            Self::Undefined(undefined) => undefined.used().map(|()| Rc::from("")),
            Self::Str(text) => Ok(text.clone()),
            other => Ok(Rc::from(other.checked_repr()?)),
        }
    }

    fn checked_repr(&self) -> PyResult<String> {
        let mut out = String::new();
        self.write_repr(&mut out, 0);
        if out.len() > super::MAX_LENGTH { Err(PyError::limit("a printed value is too long")) } else { Ok(out) }
    }

    /// Python's `repr(x)`.
    pub(crate) fn repr(&self) -> String {
        let mut out = String::new();
        self.write_repr(&mut out, 0);
        out
    }

    fn write_repr(&self, out: &mut String, depth: usize) {
        // A list can hold itself, and a few lines can make one that is long beyond measure: cut both.
        if depth > 50 || out.len() > super::MAX_LENGTH {
            out.push_str("...");
            return;
        }
        let sequence = |out: &mut String, items: &[Value]| {
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                item.write_repr(out, depth + 1);
            }
        };
        match self {
            Self::Undefined(undefined) => {
                if undefined.used().is_err() {
                    out.push_str("Undefined");
                }
            }
            Self::None => out.push_str("None"),
            Self::Bool(true) => out.push_str("True"),
            Self::Bool(false) => out.push_str("False"),
            Self::Int(number) => out.push_str(&number.to_string()),
            Self::Float(number) => out.push_str(&super::float_repr(*number)),
            Self::Str(text) => write_quoted(out, text),
            Self::List(items) => {
                out.push('[');
                sequence(out, &items.borrow());
                out.push(']');
            }
            Self::Tuple(items) => {
                out.push('(');
                sequence(out, items);
                if items.len() == 1 {
                    out.push(',');
                }
                out.push(')');
            }
            Self::Dict(items) => {
                out.push('{');
                for (i, (key, value)) in items.borrow().iter().enumerate() {
                    if i > 0 {
                        out.push_str(", ");
                    }
                    key.0.write_repr(out, depth + 1);
                    out.push_str(": ");
                    value.write_repr(out, depth + 1);
                }
                out.push('}');
            }
            Self::Object(object) => out.push_str(&object.repr()),
        }
    }
}

fn write_quoted(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if (c as u32) < 0x20 || (0x7f..0xa0).contains(&(c as u32)) => {
                out.push_str(&format!("\\x{:02x}", c as u32));
            }
            c => out.push(c),
        }
    }
    out.push(quote);
}

/// JSON as Python's `json.load` reads it.
pub(crate) fn from_json(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::None,
        serde_json::Value::Bool(flag) => Value::Bool(*flag),
        serde_json::Value::Number(number) => {
            number.as_i64().map_or_else(|| Value::Float(number.as_f64().unwrap_or(f64::NAN)), Value::Int)
        }
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => Value::from(items.iter().map(from_json).collect::<Vec<_>>()),
        serde_json::Value::Object(items) => {
            Value::from(items.iter().map(|(key, value)| (Key::text(key), from_json(value))).collect::<Dict>())
        }
    }
}

/// The value as JSON; what JSON has no form for becomes text.
pub(crate) fn to_json(value: &Value) -> PyResult<serde_json::Value> {
    fn convert(value: &Value, depth: usize) -> PyResult<serde_json::Value> {
        if depth > 50 {
            return Err(PyError::limit("a value is nested too deeply"));
        }
        Ok(match value {
            Value::None => serde_json::Value::Null,
            Value::Bool(flag) => (*flag).into(),
            Value::Int(number) => (*number).into(),
            Value::Float(number) => serde_json::Number::from_f64(*number)
                .map_or_else(|| serde_json::Value::String(super::float_repr(*number)), serde_json::Value::Number),
            Value::List(_) | Value::Tuple(_) => serde_json::Value::Array(
                iterate(value)?.iter().map(|item| convert(item, depth + 1)).collect::<PyResult<_>>()?,
            ),
            Value::Dict(items) => {
                let mut map = serde_json::Map::new();
                for (key, value) in items.borrow().iter() {
                    map.insert(key.0.to_text()?.to_string(), convert(value, depth + 1)?);
                }
                serde_json::Value::Object(map)
            }
            other => serde_json::Value::String(other.to_text()?.to_string()),
        })
    }
    convert(value, 0)
}
