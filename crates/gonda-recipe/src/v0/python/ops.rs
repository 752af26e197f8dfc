//! Python's operators.

use std::cmp::Ordering;
use std::rc::Rc;

use super::value::{ErrorKind, Key, PyError, PyResult, Undefined, Value};
use super::{MAX_LENGTH, methods, percent_format};

/// Arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    FloorDiv,
    Mod,
    Pow,
}

impl BinaryOp {
    fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::FloorDiv => "//",
            Self::Mod => "%",
            Self::Pow => "** or pow()",
        }
    }
}

/// Comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CompareOp {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
    NotIn,
    Is,
    IsNot,
}

/// Python's `bool(x)`.
pub(crate) fn truth(value: &Value) -> PyResult<bool> {
    Ok(match value {
        Value::Undefined(undefined) => {
            undefined.passed()?;
            false
        }
        Value::None => false,
        Value::Bool(flag) => *flag,
        Value::Int(number) => *number != 0,
        Value::Float(number) => *number != 0.0,
        Value::Str(text) => !text.is_empty(),
        Value::List(items) => !items.borrow().is_empty(),
        Value::Tuple(items) => !items.is_empty(),
        Value::Dict(items) => !items.borrow().is_empty(),
        Value::Object(_) => true,
    })
}

/// A whole number; a truth value is one too.
fn to_index(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Bool(flag) => Some(i64::from(*flag)),
        _ => None,
    }
}

/// Numbers of both operands, if both are.
enum Numbers {
    Int(i64, i64),
    Float(f64, f64),
}

fn numbers(a: &Value, b: &Value) -> Option<Numbers> {
    let int = to_index;
    #[allow(clippy::cast_precision_loss)]
    let float = |value: &Value| match value {
        Value::Float(number) => Some(*number),
        other => int(other).map(|number| number as f64),
    };
    match (int(a), int(b)) {
        (Some(a), Some(b)) => Some(Numbers::Int(a, b)),
        _ => Some(Numbers::Float(float(a)?, float(b)?)),
    }
}

/// `==` for values that hold no strict undefined.
pub(super) fn plain_equal(a: &Value, b: &Value) -> bool {
    equal_at(a, b, 0).unwrap_or(false)
}

/// Python's `==`.
pub(crate) fn equal(a: &Value, b: &Value) -> PyResult<bool> {
    equal_at(a, b, 0)
}

#[allow(clippy::float_cmp)]
fn equal_at(a: &Value, b: &Value, depth: usize) -> PyResult<bool> {
    if depth > 50 {
        return Err(PyError::limit("a value is nested too deeply"));
    }
    let all = |a: &[Value], b: &[Value]| -> PyResult<bool> {
        if a.len() != b.len() {
            return Ok(false);
        }
        for (a, b) in a.iter().zip(b) {
            if !equal_at(a, b, depth + 1)? {
                return Ok(false);
            }
        }
        Ok(true)
    };
    for value in [a, b] {
        if let Value::Undefined(undefined) = value {
            undefined.passed()?;
        }
    }
    if let Some(numbers) = numbers(a, b) {
        return Ok(match numbers {
            Numbers::Int(a, b) => a == b,
            Numbers::Float(a, b) => a == b,
        });
    }
    match (a, b) {
        (Value::Undefined(_), Value::Undefined(_)) | (Value::None, Value::None) => Ok(true),
        (Value::Str(a), Value::Str(b)) => Ok(a == b),
        (Value::List(a), Value::List(b)) => Ok(Rc::ptr_eq(a, b) || all(&a.borrow(), &b.borrow())?),
        (Value::Tuple(a), Value::Tuple(b)) => all(a, b),
        (Value::Dict(a), Value::Dict(b)) => {
            if Rc::ptr_eq(a, b) {
                return Ok(true);
            }
            let (a, b) = (a.borrow(), b.borrow());
            if a.len() != b.len() {
                return Ok(false);
            }
            for (key, value) in a.iter() {
                match b.get(key) {
                    Some(other) if equal_at(value, other, depth + 1)? => {}
                    _ => return Ok(false),
                }
            }
            Ok(true)
        }
        (Value::Object(a), Value::Object(other)) => Ok(Rc::ptr_eq(a, other) || a.compare(b) == Some(Ordering::Equal)),
        _ => Ok(false),
    }
}

/// How two values stand to one another; an error if Python has no order for them.
pub(crate) fn order(a: &Value, b: &Value, sign: &str) -> PyResult<Ordering> {
    let unordered = || {
        PyError::type_error(format!(
            "'{sign}' not supported between instances of '{}' and '{}'",
            a.type_name(),
            b.type_name()
        ))
    };
    let sequences = |a: &[Value], b: &[Value]| -> PyResult<Ordering> {
        for (x, y) in a.iter().zip(b) {
            if !equal(x, y)? {
                return order(x, y, sign);
            }
        }
        Ok(a.len().cmp(&b.len()))
    };
    if let Some(numbers) = numbers(a, b) {
        return match numbers {
            Numbers::Int(a, b) => Ok(a.cmp(&b)),
            Numbers::Float(a, b) => Ok(a.partial_cmp(&b).unwrap_or(Ordering::Less)),
        };
    }
    match (a, b) {
        (Value::Str(a), Value::Str(b)) => Ok(a.chars().cmp(b.chars())),
        (Value::List(a), Value::List(b)) => sequences(&a.borrow(), &b.borrow()),
        (Value::Tuple(a), Value::Tuple(b)) => sequences(a, b),
        (Value::Object(object), _) => object.compare(b).ok_or_else(unordered),
        _ => Err(unordered()),
    }
}

/// Python's comparison operators.
pub(crate) fn compare(op: CompareOp, a: &Value, b: &Value) -> PyResult {
    let sign = match op {
        CompareOp::Eq => return equal(a, b).map(Value::Bool),
        CompareOp::Ne => return equal(a, b).map(|equal| Value::Bool(!equal)),
        CompareOp::In => return contains(b, a).map(Value::Bool),
        CompareOp::NotIn => return contains(b, a).map(|found| Value::Bool(!found)),
        CompareOp::Is | CompareOp::IsNot => {
            let same = match (a, b) {
                (Value::None, Value::None) => true,
                (Value::Bool(a), Value::Bool(b)) => a == b,
                (Value::Int(a), Value::Int(b)) => a == b,
                (Value::Str(a), Value::Str(b)) => a == b,
                (Value::List(a), Value::List(b)) => Rc::ptr_eq(a, b),
                (Value::Dict(a), Value::Dict(b)) => Rc::ptr_eq(a, b),
                (Value::Object(a), Value::Object(b)) => Rc::ptr_eq(a, b),
                _ => false,
            };
            return Ok(Value::Bool(same == (op == CompareOp::Is)));
        }
        CompareOp::Lt => "<",
        CompareOp::Le => "<=",
        CompareOp::Gt => ">",
        CompareOp::Ge => ">=",
    };
    if let Some(undefined) = undefined_operand(a, b)? {
        return Ok(undefined);
    }
    let order = order(a, b, sign)?;
    Ok(Value::Bool(match op {
        CompareOp::Lt => order.is_lt(),
        CompareOp::Le => order.is_le(),
        CompareOp::Gt => order.is_gt(),
        _ => order.is_ge(),
    }))
}

/// `UndefinedNeverFail` swallows the other operand of arithmetic and order.
fn undefined_operand(a: &Value, b: &Value) -> PyResult<Option<Value>> {
    for value in [a, b] {
        if let Value::Undefined(undefined) = value {
            undefined.used()?;
            return Ok(Some(value.clone()));
        }
    }
    Ok(None)
}

/// Python's `needle in haystack`.
pub(crate) fn contains(haystack: &Value, needle: &Value) -> PyResult<bool> {
    match haystack {
        Value::Undefined(undefined) => {
            undefined.passed()?;
            Ok(false)
        }
        Value::Str(text) => match needle {
            Value::Str(part) => Ok(text.contains(&**part)),
            // jinja2's UndefinedNeverFail is not a string, and conda-build dies of it: it means the empty text.
            Value::Undefined(undefined) => undefined.used().map(|()| true),
            other => Err(PyError::type_error(format!(
                "'in <string>' requires string as left operand, not {}",
                other.type_name()
            ))),
        },
        Value::Dict(items) => Ok(items.borrow().contains_key(&Key::new(needle)?)),
        _ => {
            for item in iterate(haystack)? {
                if equal(&item, needle)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
    }
}

/// Python's `list(x)`.
pub(crate) fn iterate(value: &Value) -> PyResult<Vec<Value>> {
    match value {
        Value::Undefined(undefined) => {
            undefined.passed()?;
            Ok(Vec::new())
        }
        Value::Str(text) => Ok(text.chars().map(|c| Value::from(c.to_string())).collect()),
        Value::List(items) => Ok(items.borrow().clone()),
        Value::Tuple(items) => Ok(items.to_vec()),
        Value::Dict(items) => Ok(items.borrow().keys().map(|key| key.0.clone()).collect()),
        Value::Object(object) => object
            .iterate()
            .ok_or_else(|| PyError::type_error(format!("'{}' object is not iterable", value.type_name()))),
        other => Err(PyError::type_error(format!("'{}' object is not iterable", other.type_name()))),
    }
}

/// Python's `len(x)`.
pub(crate) fn length(value: &Value) -> PyResult<usize> {
    match value {
        Value::Str(text) => Ok(text.chars().count()),
        Value::List(items) => Ok(items.borrow().len()),
        Value::Tuple(items) => Ok(items.len()),
        Value::Dict(items) => Ok(items.borrow().len()),
        Value::Undefined(_) => iterate(value).map(|items| items.len()),
        Value::Object(object) => object
            .iterate()
            .map(|items| items.len())
            .ok_or_else(|| PyError::type_error(format!("object of type '{}' has no len()", value.type_name()))),
        other => Err(PyError::type_error(format!("object of type '{}' has no len()", other.type_name()))),
    }
}

/// Python's unary minus (`+` with `plus`).
pub(crate) fn negate(value: &Value, plus: bool) -> PyResult {
    match value {
        Value::Int(number) if plus => Ok(Value::Int(*number)),
        Value::Int(number) => number.checked_neg().map(Value::Int).ok_or_else(too_large),
        Value::Bool(flag) => Ok(Value::Int(if plus { i64::from(*flag) } else { -i64::from(*flag) })),
        Value::Float(number) => Ok(Value::Float(if plus { *number } else { -number })),
        Value::Undefined(undefined) => undefined.used().map(|()| value.clone()),
        other => Err(PyError::type_error(format!(
            "bad operand type for unary {}: '{}'",
            if plus { "+" } else { "-" },
            other.type_name()
        ))),
    }
}

fn too_large() -> PyError {
    PyError::limit("the result of an integer operation is too large")
}

/// Python's arithmetic.
pub(crate) fn binary(op: BinaryOp, a: &Value, b: &Value) -> PyResult {
    // `"…" % undefined` formats; everything else with an undefined operand is undefined.
    if let (BinaryOp::Mod, Value::Str(format)) = (op, a) {
        return percent_format(format, b).map(Value::from);
    }
    if let Some(undefined) = undefined_operand(a, b)? {
        return Ok(undefined);
    }
    if let Some(numbers) = numbers(a, b) {
        return match numbers {
            Numbers::Int(a, b) => integers(op, a, b),
            Numbers::Float(a, b) => floats(op, a, b),
        };
    }
    match (op, a, b) {
        (BinaryOp::Add, Value::Str(x), Value::Str(y)) => {
            limit(x.len() + y.len())?;
            let mut text = String::with_capacity(x.len() + y.len());
            text.push_str(x);
            text.push_str(y);
            Ok(Value::from(text))
        }
        (BinaryOp::Add, Value::List(x), Value::List(y)) => {
            limit(x.borrow().len() + y.borrow().len())?;
            let mut items = x.borrow().clone();
            items.extend(y.borrow().iter().cloned());
            Ok(Value::from(items))
        }
        (BinaryOp::Add, Value::Tuple(x), Value::Tuple(y)) => {
            Ok(Value::tuple(x.iter().chain(y.iter()).cloned().collect()))
        }
        (BinaryOp::Add, Value::Str(_), other) => {
            Err(PyError::type_error(format!("can only concatenate str (not \"{}\") to str", other.type_name())))
        }
        (BinaryOp::Mul, Value::Str(_) | Value::List(_) | Value::Tuple(_), Value::Int(_) | Value::Bool(_)) => {
            repeat(a, to_index(b).unwrap_or(0))
        }
        (BinaryOp::Mul, Value::Int(_) | Value::Bool(_), Value::Str(_) | Value::List(_) | Value::Tuple(_)) => {
            repeat(b, to_index(a).unwrap_or(0))
        }
        (BinaryOp::Add | BinaryOp::Sub, Value::Object(object), other) => {
            let args = super::Args { positional: vec![other.clone()], named: Vec::new() };
            let method = if op == BinaryOp::Add { "__add__" } else { "__sub__" };
            object.call_method(method, &args).unwrap_or_else(|| Err(unsupported(op, a, b)))
        }
        _ => Err(unsupported(op, a, b)),
    }
}

fn unsupported(op: BinaryOp, a: &Value, b: &Value) -> PyError {
    PyError::type_error(format!(
        "unsupported operand type(s) for {}: '{}' and '{}'",
        op.sign(),
        a.type_name(),
        b.type_name()
    ))
}

fn limit(length: usize) -> PyResult<()> {
    if length > MAX_LENGTH {
        return Err(PyError::limit(format!("a value would be longer than {MAX_LENGTH}")));
    }
    Ok(())
}

fn repeat(value: &Value, times: i64) -> PyResult {
    let times = usize::try_from(times).unwrap_or(0);
    match value {
        Value::Str(text) => {
            limit(text.len().saturating_mul(times))?;
            Ok(Value::from(text.repeat(times)))
        }
        other => {
            let items = iterate(other)?;
            limit(items.len().saturating_mul(times))?;
            let repeated: Vec<Value> =
                std::iter::repeat_n(&items, if items.is_empty() { 0 } else { times }).flatten().cloned().collect();
            Ok(if matches!(other, Value::Tuple(_)) { Value::tuple(repeated) } else { Value::from(repeated) })
        }
    }
}

#[allow(clippy::cast_precision_loss)]
fn integers(op: BinaryOp, a: i64, b: i64) -> PyResult {
    let zero = || PyError::new(ErrorKind::ZeroDivision, "division by zero");
    let result = match op {
        BinaryOp::Add => a.checked_add(b),
        BinaryOp::Sub => a.checked_sub(b),
        BinaryOp::Mul => a.checked_mul(b),
        BinaryOp::Div => {
            if b == 0 {
                return Err(zero());
            }
            return Ok(Value::Float(a as f64 / b as f64));
        }
        BinaryOp::FloorDiv => {
            if b == 0 {
                return Err(PyError::new(ErrorKind::ZeroDivision, "integer division or modulo by zero"));
            }
            a.checked_div(b).map(|quotient| if a % b != 0 && (a < 0) != (b < 0) { quotient - 1 } else { quotient })
        }
        BinaryOp::Mod => {
            if b == 0 {
                return Err(PyError::new(ErrorKind::ZeroDivision, "integer division or modulo by zero"));
            }
            a.checked_rem(b).map(|rest| if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest })
        }
        BinaryOp::Pow => {
            if b < 0 {
                return floats(op, a as f64, b as f64);
            }
            u32::try_from(b).ok().and_then(|b| a.checked_pow(b))
        }
    };
    result.map(Value::Int).ok_or_else(too_large)
}

fn floats(op: BinaryOp, a: f64, b: f64) -> PyResult {
    let zero = || PyError::new(ErrorKind::ZeroDivision, "float division by zero");
    Ok(Value::Float(match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div if b == 0.0 => return Err(zero()),
        BinaryOp::FloorDiv | BinaryOp::Mod if b == 0.0 => return Err(zero()),
        BinaryOp::Div => a / b,
        BinaryOp::FloorDiv => {
            let rest = remainder(a, b);
            let quotient = (a - rest) / b;
            let whole = quotient.floor();
            if quotient - whole > 0.5 { whole + 1.0 } else { whole }
        }
        BinaryOp::Mod => remainder(a, b),
        BinaryOp::Pow => a.powf(b),
    }))
}

/// What is left of a float, with the divisor's sign (CPython's `float_rem`).
fn remainder(a: f64, b: f64) -> f64 {
    let rest = a % b;
    if rest == 0.0 {
        0.0_f64.copysign(b)
    } else if (b < 0.0) != (rest < 0.0) {
        rest + b
    } else {
        rest
    }
}

/// Python's `x[key]`; `Ok(None)` where there is no such item.
pub(crate) fn get_item(value: &Value, key: &Value) -> PyResult<Option<Value>> {
    let at = |length: usize| -> Option<usize> {
        let index = match key {
            Value::Int(index) => *index,
            Value::Bool(flag) => i64::from(*flag),
            _ => return None,
        };
        let index = if index < 0 { index + i64::try_from(length).ok()? } else { index };
        usize::try_from(index).ok().filter(|index| *index < length)
    };
    Ok(match value {
        Value::Undefined(undefined) => {
            undefined.used()?;
            Some(value.clone())
        }
        Value::Str(text) => {
            at(text.chars().count()).and_then(|index| text.chars().nth(index)).map(|c| Value::from(c.to_string()))
        }
        Value::List(items) => at(items.borrow().len()).map(|index| items.borrow()[index].clone()),
        Value::Tuple(items) => at(items.len()).map(|index| items[index].clone()),
        Value::Dict(items) => items.borrow().get(&Key::new(key)?).cloned(),
        Value::Object(object) => object.item(key),
        _ => None,
    })
}

/// Python's `x[start:stop:step]`.
pub(crate) fn get_slice(value: &Value, start: Option<&Value>, stop: Option<&Value>, step: Option<&Value>) -> PyResult {
    if let Value::Undefined(undefined) = value {
        undefined.used()?;
        return Ok(value.clone());
    }
    let bound = |bound: Option<&Value>| -> PyResult<Option<i64>> {
        match bound {
            None | Some(Value::None) => Ok(None),
            Some(Value::Int(number)) => Ok(Some(*number)),
            Some(Value::Bool(flag)) => Ok(Some(i64::from(*flag))),
            // An undefined bound bounds nothing.
            Some(Value::Undefined(undefined)) => undefined.used().map(|()| None),
            Some(_) => Err(PyError::type_error("slice indices must be integers or None or have an __index__ method")),
        }
    };
    let (start, stop, step) = (bound(start)?, bound(stop)?, bound(step)?.unwrap_or(1));
    if step == 0 {
        return Err(PyError::value_error("slice step cannot be zero"));
    }
    let items = match value {
        Value::Str(_) | Value::List(_) | Value::Tuple(_) => iterate(value)?,
        other => return Err(PyError::type_error(format!("'{}' object is not subscriptable", other.type_name()))),
    };
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let clamp = |index: i64| {
        let index = if index < 0 { index.saturating_add(length) } else { index };
        index.clamp(low, high)
    };
    let mut index = start.map_or(if step > 0 { 0 } else { high }, clamp);
    let end = stop.map_or(if step > 0 { high } else { -1 }, clamp);
    let mut picked = Vec::new();
    while (step > 0 && index < end) || (step < 0 && index > end) {
        if let Some(item) = usize::try_from(index).ok().and_then(|index| items.get(index)) {
            picked.push(item.clone());
        }
        index = index.saturating_add(step);
    }
    Ok(match value {
        Value::Str(_) => Value::from(picked.iter().filter_map(Value::as_str).collect::<String>()),
        Value::Tuple(_) => Value::tuple(picked),
        _ => Value::from(picked),
    })
}

/// A method taken without being called.
struct BoundMethod {
    value: Value,
    name: Rc<str>,
}

impl super::Object for BoundMethod {
    fn type_name(&self) -> &str {
        "builtin_function_or_method"
    }

    fn call(&self, args: &super::Args) -> PyResult {
        methods::call_method(&self.value, &self.name, args).unwrap_or(Ok(Value::None))
    }

    fn is_callable(&self) -> bool {
        true
    }

    fn repr(&self) -> String {
        format!("<built-in method {} of {} object at 0x0>", self.name, self.value.type_name())
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// Python's `x.name`; `Ok(None)` where there is no such attribute.
pub(crate) fn get_attribute(value: &Value, name: &str) -> PyResult<Option<Value>> {
    match value {
        Value::Undefined(undefined) => {
            // UndefinedNeverFail's __getattr__ forgets to return what it makes: an attribute of an undefined is None.
            note_attribute(undefined)?;
            Ok(Some(Value::None))
        }
        Value::Object(object) => Ok(object.attribute(name)),
        Value::Int(_) | Value::Bool(_) | Value::Float(_) => Ok(part_of_number(value, name)),
        other if methods::has_method(other, name) => {
            Ok(Some(Value::object(BoundMethod { value: other.clone(), name: Rc::from(name) })))
        }
        _ => Ok(None),
    }
}

fn part_of_number(value: &Value, name: &str) -> Option<Value> {
    match (value, name) {
        (Value::Float(_), "real") => Some(value.clone()),
        (Value::Float(_), "imag") => Some(Value::Float(0.0)),
        (Value::Float(_), _) => None,
        (_, "real" | "numerator") => to_index(value).map(Value::Int),
        (_, "imag") => Some(Value::Int(0)),
        (_, "denominator") => Some(Value::Int(1)),
        _ => None,
    }
}

fn note_attribute(undefined: &Undefined) -> PyResult<()> {
    undefined.used()
}
