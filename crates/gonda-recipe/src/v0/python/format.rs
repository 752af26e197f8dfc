//! Python's three ways to format: `%`, `str.format` and the format specification both `format()` and `{:…}` take.

use super::methods::pad;
use super::ops::{get_attribute, get_item};
use super::value::{Args, ErrorKind, PyError, PyResult, Value};

/// `repr` of a float.
pub(crate) fn float_repr(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let magnitude = number.abs();
    if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) {
        // Rust writes `1e16` and `1.5e-7`; Python has a sign and two digits.
        let text = format!("{number:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        return format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs());
    }
    let text = format!("{number}");
    if text.contains('.') { text } else { text + ".0" }
}

/// A format specification: `[[fill]align][sign][#][0][width][,][.precision][type]`.
#[derive(Default)]
struct Spec {
    fill: Option<char>,
    align: Option<char>,
    sign: Option<char>,
    alternate: bool,
    zero: bool,
    width: usize,
    grouping: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

impl Spec {
    fn parse(text: &str) -> PyResult<Self> {
        let chars: Vec<char> = text.chars().collect();
        let mut spec = Self::default();
        let mut i = 0;
        let is_align = |c: Option<&char>| c.is_some_and(|c| "<>=^".contains(*c));
        if is_align(chars.get(1)) {
            (spec.fill, spec.align) = (Some(chars[0]), Some(chars[1]));
            i = 2;
        } else if is_align(chars.first()) {
            spec.align = Some(chars[0]);
            i = 1;
        }
        let take = |wanted: &str, i: &mut usize| {
            let found = chars.get(*i).copied().filter(|c| wanted.contains(*c));
            *i += usize::from(found.is_some());
            found
        };
        spec.sign = take("+- ", &mut i);
        spec.alternate = take("#", &mut i).is_some();
        spec.zero = take("0", &mut i).is_some();
        let digits = |i: &mut usize| -> PyResult<Option<usize>> {
            let start = *i;
            while chars.get(*i).is_some_and(char::is_ascii_digit) {
                *i += 1;
            }
            let digits: String = chars[start..*i].iter().collect();
            if digits.is_empty() {
                return Ok(None);
            }
            digits
                .parse()
                .ok()
                .filter(|number| *number <= 10_000)
                .map(Some)
                .ok_or_else(|| PyError::limit(format!("a width or precision of {digits} is too large")))
        };
        spec.width = digits(&mut i)?.unwrap_or(0);
        spec.grouping = chars.get(i).copied().filter(|c| ",_".contains(*c));
        i += usize::from(spec.grouping.is_some());
        if chars.get(i) == Some(&'.') {
            i += 1;
            spec.precision = digits(&mut i)?;
        }
        spec.kind = chars.get(i).copied();
        i += usize::from(spec.kind.is_some());
        if i < chars.len() {
            return Err(PyError::value_error("Invalid format specifier"));
        }
        Ok(spec)
    }

    fn finish(&self, sign: &str, body: &str, numeric: bool) -> PyResult<String> {
        let align = self.align.unwrap_or(if self.zero && numeric {
            '='
        } else if numeric {
            '>'
        } else {
            '<'
        });
        let fill = self.fill.unwrap_or(if self.zero { '0' } else { ' ' });
        if align == '=' {
            let missing = self.width.saturating_sub(sign.chars().count() + body.chars().count());
            return Ok(format!("{sign}{}{body}", std::iter::repeat_n(fill, missing).collect::<String>()));
        }
        let text = format!("{sign}{body}");
        match align {
            '<' => pad(&text, "ljust", self.width, fill),
            '>' => pad(&text, "rjust", self.width, fill),
            _ => {
                let missing = self.width.saturating_sub(text.chars().count());
                let left: String = std::iter::repeat_n(fill, missing / 2).collect();
                let right: String = std::iter::repeat_n(fill, missing - missing / 2).collect();
                Ok(format!("{left}{text}{right}"))
            }
        }
    }
}

/// Python's `format(value, spec)`.
pub(crate) fn format_value(value: &Value, spec: &str) -> PyResult<String> {
    if spec.is_empty() {
        return value.to_text().map(|text| text.to_string());
    }
    let spec = Spec::parse(spec)?;
    let unknown = |kind: char| {
        PyError::value_error(format!("Unknown format code '{kind}' for object of type '{}'", value.type_name()))
    };
    match value {
        Value::Int(_) | Value::Bool(_) if !matches!(spec.kind, Some('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%')) => {
            if spec.precision.is_some() {
                return Err(PyError::value_error("Precision not allowed in integer format specifier"));
            }
            let number = match value {
                Value::Int(number) => *number,
                Value::Bool(flag) => i64::from(*flag),
                _ => 0,
            };
            let magnitude = number.unsigned_abs();
            let body = match spec.kind {
                None | Some('d' | 'n') => group(&magnitude.to_string(), spec.grouping),
                Some('x') => format!("{}{magnitude:x}", if spec.alternate { "0x" } else { "" }),
                Some('X') => format!("{}{magnitude:X}", if spec.alternate { "0X" } else { "" }),
                Some('o') => format!("{}{magnitude:o}", if spec.alternate { "0o" } else { "" }),
                Some('b') => format!("{}{magnitude:b}", if spec.alternate { "0b" } else { "" }),
                Some('c') => {
                    u32::try_from(magnitude).ok().and_then(char::from_u32).map(String::from).unwrap_or_default()
                }
                Some(other) => return Err(unknown(other)),
            };
            spec.finish(sign_text(number < 0, spec.sign), &body, true)
        }
        Value::Float(_) | Value::Int(_) | Value::Bool(_) => {
            #[allow(clippy::cast_precision_loss)]
            let number = match value {
                Value::Float(number) => *number,
                Value::Int(number) => *number as f64,
                other => f64::from(u8::from(super::truth(other)?)),
            };
            let body = match spec.kind {
                None if spec.precision.is_none() => float_repr(number.abs()),
                Some(kind) if !"eEfFgG%n".contains(kind) => return Err(unknown(kind)),
                kind => float_body(number.abs(), kind.unwrap_or('g'), spec.precision.unwrap_or(6), spec.alternate),
            };
            let body = match body.split_once('.') {
                Some((whole, rest)) => format!("{}.{rest}", group(whole, spec.grouping)),
                None => group(&body, spec.grouping),
            };
            spec.finish(sign_text(number.is_sign_negative(), spec.sign), &body, true)
        }
        Value::Object(object) if object.type_name() == "datetime" || object.type_name() == "date" => {
            Err(PyError::type_error("unsupported format string passed to datetime.__format__"))
        }
        other => {
            if let Some(kind) = spec.kind.filter(|kind| *kind != 's') {
                return Err(unknown(kind));
            }
            if !matches!(other, Value::Str(_) | Value::Undefined(_)) {
                let name = other.type_name();
                return Err(PyError::type_error(format!("unsupported format string passed to {name}.__format__")));
            }
            if spec.sign.is_some() || spec.align == Some('=') || spec.alternate || spec.grouping.is_some() {
                return Err(PyError::value_error("a format for numbers was given for text"));
            }
            let text = other.to_text()?;
            let text: String = match spec.precision {
                Some(precision) => text.chars().take(precision).collect(),
                None => text.to_string(),
            };
            spec.finish("", &text, false)
        }
    }
}

fn sign_text(negative: bool, sign: Option<char>) -> &'static str {
    match (negative, sign) {
        (true, _) => "-",
        (false, Some('+')) => "+",
        (false, Some(' ')) => " ",
        _ => "",
    }
}

fn group(digits: &str, separator: Option<char>) -> String {
    let Some(separator) = separator else { return digits.to_owned() };
    // Of `1e-07`, nothing.
    let (digits, exponent) = digits.split_at(digits.find(['e', 'E']).unwrap_or(digits.len()));
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(separator);
        }
        out.push(c);
    }
    out + exponent
}

fn float_body(number: f64, kind: char, precision: usize, alternate: bool) -> String {
    let exponent_form = |precision: usize, number: f64| {
        let text = format!("{number:.precision$e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        (mantissa.to_owned(), exponent)
    };
    match kind {
        'f' | 'F' => format!("{number:.precision$}"),
        '%' => format!("{:.precision$}%", number * 100.0),
        'e' | 'E' => {
            let (mantissa, exponent) = exponent_form(precision, number);
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}{kind}{sign}{:02}", exponent.abs())
        }
        _ => {
            let precision = precision.max(1);
            let (mantissa, exponent) = exponent_form(precision - 1, number);
            let trim = |text: String| {
                if alternate || !text.contains('.') {
                    text
                } else {
                    text.trim_end_matches('0').trim_end_matches('.').to_owned()
                }
            };
            let digits = i32::try_from(precision).unwrap_or(i32::MAX);
            if exponent < -4 || exponent >= digits {
                let sign = if exponent < 0 { '-' } else { '+' };
                format!("{}{}{sign}{:02}", trim(mantissa), if kind == 'G' { 'E' } else { 'e' }, exponent.abs())
            } else {
                let places = usize::try_from(digits - 1 - exponent).unwrap_or(0);
                trim(format!("{number:.places$}"))
            }
        }
    }
}

/// Python's `format % values`.
pub(crate) fn percent_format(format: &str, values: &Value) -> PyResult<String> {
    let positional: Vec<Value> = match values {
        Value::Tuple(items) => items.to_vec(),
        other => vec![other.clone()],
    };
    let mut next = positional.iter();
    let mut used_key = false;
    let chars: Vec<char> = format.chars().collect();
    let mut out = String::new();
    let mut i = 0;
    while i < chars.len() {
        if chars[i] != '%' {
            out.push(chars[i]);
            i += 1;
            continue;
        }
        i += 1;
        let mut keyed = None;
        if chars.get(i) == Some(&'(') {
            let end = chars[i..].iter().position(|c| *c == ')').map(|end| i + end);
            let end = end.ok_or_else(|| PyError::value_error("incomplete format key"))?;
            let key: String = chars[i + 1..end].iter().collect();
            let Value::Dict(items) = values else { return Err(PyError::type_error("format requires a mapping")) };
            let value = items.borrow().get(&*key).cloned();
            keyed = Some(value.ok_or_else(|| PyError::new(ErrorKind::Lookup, format!("'{key}'")))?);
            used_key = true;
            i = end + 1;
        }
        let start = i;
        while chars.get(i).is_some_and(|c| "#0- +".contains(*c)) {
            i += 1;
        }
        let flags: String = chars[start..i].iter().collect();
        let mut number = |i: &mut usize| -> PyResult<Option<usize>> {
            if chars.get(*i) == Some(&'*') {
                *i += 1;
                return match next.next() {
                    Some(Value::Int(number)) => Ok(usize::try_from(*number).ok().filter(|number| *number <= 10_000)),
                    _ => Err(PyError::type_error("* wants int")),
                };
            }
            let start = *i;
            while chars.get(*i).is_some_and(char::is_ascii_digit) {
                *i += 1;
            }
            let digits: String = chars[start..*i].iter().collect();
            if digits.is_empty() {
                return Ok(None);
            }
            digits
                .parse()
                .ok()
                .filter(|number| *number <= 10_000)
                .map(Some)
                .ok_or_else(|| PyError::limit(format!("a width or precision of {digits} is too large")))
        };
        let given_width = number(&mut i)?;
        let width = given_width.unwrap_or(0);
        let precision = if chars.get(i) == Some(&'.') {
            i += 1;
            Some(number(&mut i)?.unwrap_or(0))
        } else {
            None
        };
        while chars.get(i).is_some_and(|c| "hlL".contains(*c)) {
            i += 1;
        }
        let kind = *chars.get(i).ok_or_else(|| PyError::value_error("incomplete format"))?;
        i += 1;
        if kind == '%' && flags.is_empty() && given_width.is_none() && precision.is_none() && keyed.is_none() {
            out.push('%');
            continue;
        }
        let value = match keyed {
            Some(value) => value,
            None => {
                next.next().cloned().ok_or_else(|| PyError::type_error("not enough arguments for format string"))?
            }
        };
        out.push_str(&percent_item(&value, kind, &flags, width, precision)?);
        if out.len() > super::MAX_LENGTH {
            return Err(PyError::limit("a formatted text is too long"));
        }
    }
    // All that has items but for text and tuples may be a mapping to Python, and need not be used up.
    let may_be_mapping = matches!(values, Value::Dict(_) | Value::List(_) | Value::Undefined(_) | Value::Object(_));
    if !used_key && next.next().is_some() && !may_be_mapping {
        return Err(PyError::type_error("not all arguments converted during string formatting"));
    }
    Ok(out)
}

fn percent_item(value: &Value, kind: char, flags: &str, width: usize, precision: Option<usize>) -> PyResult<String> {
    let spec = Spec {
        align: if flags.contains('-') { Some('<') } else { Some('>').filter(|_| !flags.contains('0')) },
        sign: if flags.contains('+') { Some('+') } else { Some(' ').filter(|_| flags.contains(' ')) },
        zero: flags.contains('0') && !flags.contains('-'),
        alternate: flags.contains('#'),
        width,
        ..Spec::default()
    };
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    match kind {
        's' | 'r' | 'a' => {
            let text = if kind == 's' { value.to_text()?.to_string() } else { value.repr() };
            let text: String = match precision {
                Some(precision) => text.chars().take(precision).collect(),
                None => text,
            };
            Spec { zero: false, align: spec.align.or(Some('>')), ..spec }.finish("", &text, false)
        }
        'd' | 'i' | 'u' | 'x' | 'X' | 'o' | 'c' => {
            let number = match value {
                Value::Int(number) => *number,
                Value::Bool(flag) => i64::from(*flag),
                Value::Float(number) if matches!(kind, 'd' | 'i' | 'u') => number.trunc() as i64,
                Value::Undefined(undefined) => undefined.used().map(|()| 0)?,
                Value::Str(text) if kind == 'c' && text.chars().count() == 1 => return spec.finish("", text, false),
                _ if kind == 'c' => return Err(PyError::type_error("%c requires int or char")),
                other => {
                    return Err(PyError::type_error(format!(
                        "%{kind} format: a real number is required, not {}",
                        other.type_name()
                    )));
                }
            };
            let magnitude = number.unsigned_abs();
            let body = match kind {
                'x' => format!("{magnitude:x}"),
                'X' => format!("{magnitude:X}"),
                'o' => format!("{magnitude:o}"),
                // Of a code, the character.
                'c' => u32::try_from(magnitude).ok().and_then(char::from_u32).map(String::from).unwrap_or_default(),
                _ => magnitude.to_string(),
            };
            let body = match precision {
                Some(precision) => pad(&body, "rjust", precision, '0')?,
                None => body,
            };
            let base = match kind {
                'x' if spec.alternate => "0x",
                'X' if spec.alternate => "0X",
                'o' if spec.alternate => "0o",
                _ => "",
            };
            spec.finish(&format!("{}{base}", sign_text(number < 0, spec.sign)), &body, true)
        }
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' => {
            let number = match value {
                Value::Float(number) => *number,
                Value::Int(number) => *number as f64,
                Value::Bool(flag) => f64::from(u8::from(*flag)),
                Value::Undefined(undefined) => undefined.used().map(|()| 0.0)?,
                other => {
                    return Err(PyError::type_error(format!("must be real number, not {}", other.type_name())));
                }
            };
            let body = float_body(number.abs(), kind, precision.unwrap_or(6), spec.alternate);
            spec.finish(sign_text(number.is_sign_negative(), spec.sign), &body, true)
        }
        other => Err(PyError::value_error(format!("unsupported format character '{other}'"))),
    }
}

/// Python's `text.format(…)`.
pub(crate) fn format_method(text: &str, args: &Args) -> PyResult<String> {
    format_fields(text, args, &mut Numbering::default(), 0)
}

/// How the fields of a format are numbered: all by their order, or all by their names.
#[derive(Default)]
struct Numbering {
    automatic: usize,
    manual: bool,
}

fn format_fields(text: &str, args: &Args, numbering: &mut Numbering, depth: usize) -> PyResult<String> {
    if depth > 2 {
        return Err(PyError::value_error("Max string recursion exceeded"));
    }
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::new();
    let mut i = 0;
    while i < chars.len() {
        match chars[i] {
            '{' if chars.get(i + 1) == Some(&'{') => {
                out.push('{');
                i += 2;
            }
            '}' if chars.get(i + 1) == Some(&'}') => {
                out.push('}');
                i += 2;
            }
            '}' => return Err(PyError::value_error("Single '}' encountered in format string")),
            '{' => {
                let mut level = 1;
                let mut end = i + 1;
                while end < chars.len() {
                    match chars[end] {
                        '{' => level += 1,
                        '}' => level -= 1,
                        _ => {}
                    }
                    if level == 0 {
                        break;
                    }
                    end += 1;
                }
                if level != 0 {
                    return Err(PyError::value_error("expected '}' before end of string"));
                }
                let field: String = chars[i + 1..end].iter().collect();
                out.push_str(&format_field(&field, args, numbering, depth)?);
                if out.len() > super::MAX_LENGTH {
                    return Err(PyError::limit("a formatted text is too long"));
                }
                i = end + 1;
            }
            c => {
                out.push(c);
                i += 1;
            }
        }
    }
    Ok(out)
}

fn format_field(field: &str, args: &Args, numbering: &mut Numbering, depth: usize) -> PyResult<String> {
    let (head, spec) = field.split_once(':').unwrap_or((field, ""));
    let (head, conversion) = match head.split_once('!') {
        Some((head, conversion)) => (head, Some(conversion)),
        None => (head, None),
    };
    let split = head.find(['.', '[']).unwrap_or(head.len());
    let (name, mut path) = head.split_at(split);
    let missing = |name: &str| PyError::new(ErrorKind::Lookup, format!("'{name}'"));
    let out_of_range = || PyError::new(ErrorKind::Lookup, "Replacement index out of range for positional args tuple");
    let switched = |from: &str, to: &str| PyError::value_error(format!("cannot switch from {from} to {to}"));
    const AUTOMATIC: &str = "automatic field numbering";
    const MANUAL: &str = "manual field specification";
    let mut value = if name.is_empty() {
        if numbering.manual {
            return Err(switched(MANUAL, AUTOMATIC));
        }
        numbering.automatic += 1;
        args.positional.get(numbering.automatic - 1).cloned().ok_or_else(out_of_range)?
    } else if let Ok(index) = name.parse::<usize>() {
        if numbering.automatic > 0 {
            return Err(switched(AUTOMATIC, MANUAL));
        }
        numbering.manual = true;
        args.positional.get(index).cloned().ok_or_else(out_of_range)?
    } else {
        args.named(name).cloned().ok_or_else(|| missing(name))?
    };
    while !path.is_empty() {
        if let Some(rest) = path.strip_prefix('.') {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            value = get_attribute(&value, &rest[..end])?.ok_or_else(|| missing(&rest[..end]))?;
            path = &rest[end..];
        } else if let Some(rest) = path.strip_prefix('[') {
            let end = rest.find(']').ok_or_else(|| PyError::value_error("Missing ']' in format string"))?;
            let key = &rest[..end];
            let key_value = key.parse::<i64>().map_or_else(|_| Value::from(key), Value::Int);
            value = get_item(&value, &key_value)?.ok_or_else(|| missing(key))?;
            path = &rest[end + 1..];
        } else {
            return Err(PyError::value_error("Only '.' or '[' may follow ']' in format field specifier"));
        }
    }
    match conversion {
        None => {}
        Some("r" | "a") => value = Value::from(value.repr()),
        Some("s") => value = Value::Str(value.to_text()?),
        Some(_) => return Err(PyError::value_error("bad conversion in format string")),
    }
    let spec = if spec.contains('{') { format_fields(spec, args, numbering, depth + 1)? } else { spec.to_owned() };
    format_value(&value, &spec)
}
