//! YAML as conda-build reads it: PyYAML's YAML 1.1 in three flavours.
//!
//! `meta.yaml` keeps numbers as text but has booleans (`yes`, `on`), null and dates; variant files are text through and
//! through; `load_file_data` has it all. Duplicate keys are allowed, the last one wins; `<<` merges. Documents are data
//! from others: depth, aliases and total size are limited.

mod plain;

use std::borrow::Cow;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use serde_json::{Map, Number, Value};

/// How plain scalars are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavor {
    /// `meta.yaml`: numbers stay text.
    Recipe,
    /// Variant files (PyYAML's `BaseLoader`): everything is text, null is the text that is written, empty is `""`.
    Text,
    /// PyYAML's `safe_load`.
    Full,
}

/// A mistake in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct YamlError {
    /// 0-based.
    pub(crate) line: usize,
    /// 0-based, in characters.
    pub(crate) column: usize,
    pub(crate) message: String,
}

/// How deep collections may nest.
const MAX_DEPTH: usize = 64;
/// How many nodes a document may have, aliases expanded.
const MAX_NODES: usize = 500_000;

/// A node that remembers where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) data: Data,
    /// 0-based.
    pub(crate) line: usize,
    /// 0-based, in characters.
    pub(crate) column: usize,
}

#[derive(Debug, Clone)]
pub(crate) enum Data {
    Scalar(Value),
    Sequence(Vec<Node>),
    Mapping(Vec<(Node, Node)>),
}

/// Reads one document; an empty one is null (`""` as [`Flavor::Text`]).
pub(crate) fn load(text: &str, flavor: Flavor) -> Result<Value, YamlError> {
    match plain::read(text, flavor) {
        Some(value) => Ok(value),
        None => Ok(read(text, flavor)?.unwrap_or(Value::Null)),
    }
}

/// Whether both readers read a document alike, if the quick one reads it at all. For tests.
pub(crate) fn read_alike(text: &str) -> bool {
    [Flavor::Recipe, Flavor::Text, Flavor::Full].into_iter().all(|flavor| match plain::read(text, flavor) {
        Some(quick) => {
            // The text shows the order of keys as well.
            let (full, quick) = (read::<Value>(text, flavor), quick.to_string());
            full.is_ok_and(|full| full.map(|full| full.to_string()) == Some(quick))
        }
        None => true,
    })
}

/// Where the value at `path` stands: 0-based line and column. Keys are text, indices of lists digits.
pub(crate) fn locate(text: &str, flavor: Flavor, path: &[&str]) -> Option<(usize, usize)> {
    let mut node: Node = read(text, flavor).ok()??;
    let mut found = None;
    for part in path {
        node = match node.data {
            Data::Mapping(items) => {
                items
                    .into_iter()
                    .rev()
                    .find(|(key, _)| matches!(&key.data, Data::Scalar(Value::String(key)) if key == part))?
                    .1
            }
            Data::Sequence(items) => items.into_iter().nth(part.parse().ok()?)?,
            Data::Scalar(_) => return None,
        };
        found = Some((node.line, node.column));
    }
    found
}

/// What a document is read into.
trait Tree: Clone {
    fn scalar(value: Value, line: usize, column: usize) -> Self;
    fn sequence(items: Vec<Self>, line: usize, column: usize) -> Self;
    /// Of keys that are given twice, the later wins.
    fn mapping(items: Vec<(Self, Self)>, line: usize, column: usize) -> Self;
    fn parts(self) -> Parts<Self>;
    fn is_scalar(&self) -> bool;
    /// The number of nodes, itself among them.
    fn count(&self) -> usize;
}

/// A node, taken apart.
enum Parts<T> {
    Scalar,
    Sequence(Vec<T>),
    Mapping(Vec<(T, T)>),
}

impl Tree for Node {
    fn scalar(value: Value, line: usize, column: usize) -> Self {
        Self { data: Data::Scalar(value), line, column }
    }

    fn sequence(items: Vec<Self>, line: usize, column: usize) -> Self {
        Self { data: Data::Sequence(items), line, column }
    }

    fn mapping(items: Vec<(Self, Self)>, line: usize, column: usize) -> Self {
        Self { data: Data::Mapping(items), line, column }
    }

    fn parts(self) -> Parts<Self> {
        match self.data {
            Data::Scalar(_) => Parts::Scalar,
            Data::Sequence(items) => Parts::Sequence(items),
            Data::Mapping(items) => Parts::Mapping(items),
        }
    }

    fn is_scalar(&self) -> bool {
        matches!(self.data, Data::Scalar(_))
    }

    fn count(&self) -> usize {
        1 + match &self.data {
            Data::Scalar(_) => 0,
            Data::Sequence(items) => items.iter().map(Self::count).sum(),
            Data::Mapping(items) => items.iter().map(|(key, value)| key.count() + value.count()).sum::<usize>(),
        }
    }
}

impl Tree for Value {
    fn scalar(value: Value, _line: usize, _column: usize) -> Self {
        value
    }

    fn sequence(items: Vec<Self>, _line: usize, _column: usize) -> Self {
        Self::Array(items)
    }

    fn mapping(items: Vec<(Self, Self)>, _line: usize, _column: usize) -> Self {
        let mut map = Map::with_capacity(items.len());
        for (key, value) in items {
            map.insert(key_text(key), value);
        }
        Self::Object(map)
    }

    fn parts(self) -> Parts<Self> {
        match self {
            Self::Array(items) => Parts::Sequence(items),
            Self::Object(map) => {
                Parts::Mapping(map.into_iter().map(|(key, value)| (Self::String(key), value)).collect())
            }
            _ => Parts::Scalar,
        }
    }

    fn is_scalar(&self) -> bool {
        !matches!(self, Self::Array(_) | Self::Object(_))
    }

    fn count(&self) -> usize {
        1 + match self {
            Self::Array(items) => items.iter().map(Self::count).sum(),
            Self::Object(items) => items.values().map(|value| 1 + value.count()).sum::<usize>(),
            _ => 0,
        }
    }
}

/// Reads one document.
fn read<T: Tree>(text: &str, flavor: Flavor) -> Result<Option<T>, YamlError> {
    if let Some((line, column, message)) = what_pyyaml_rejects(text) {
        return Err(YamlError { line, column, message });
    }
    // The parser treats an unfinished last line in ways of its own; so it is given none.
    let (tail, finished) = match text.rsplit('\n').next() {
        None | Some("") => (None, Cow::Borrowed(text)),
        Some(tail) => (Some(Tail::new(text, tail)), Cow::Owned(format!("{text}\n"))),
    };
    let mut reader = Reader { parser: Parser::new_from_str(&finished), flavor, tail, anchors: Vec::new(), nodes: 0 };
    let mut document = None;
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamEnd => return Ok(document),
            Event::DocumentStart(_) if document.is_some() => {
                return Err(error(span, "expected a single document in the stream, but found another document"));
            }
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            event => document = Some(reader.node(event, span, 0)?),
        }
    }
}

/// What YAML 1.1 forbids and the parser lets pass: characters that are not printable, and plain scalars that begin with
/// a reserved indicator are found by the parser itself.
fn what_pyyaml_rejects(text: &str) -> Option<(usize, usize, String)> {
    if text.bytes().all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7e)) {
        return None;
    }
    for (line, content) in text.split('\n').enumerate() {
        for (column, c) in content.chars().enumerate() {
            let printable = matches!(c,
                '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
            if !printable {
                return Some((line, column, format!("special character `\\u{:04x}` is not allowed", c as u32)));
            }
        }
    }
    None
}

fn error(span: Span, message: impl Into<String>) -> YamlError {
    YamlError { line: span.start.line().saturating_sub(1), column: span.start.col(), message: message.into() }
}

/// The last line of a document that does not end with a line break.
struct Tail {
    /// Where the document ends, 1-based, were the line finished.
    end: usize,
    blank: bool,
}

impl Tail {
    fn new(text: &str, last_line: &str) -> Self {
        Self { end: text.matches('\n').count() + 2, blank: last_line.trim().is_empty() }
    }

    /// A block scalar that ends with the document has no line break there if its last line has none.
    fn cut<'t>(&self, text: &'t str, style: ScalarStyle, span: Span) -> &'t str {
        let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
        match text.strip_suffix('\n') {
            Some(cut) if block && span.end.line() >= self.end && (!self.blank || cut.ends_with([' ', '\n'])) => cut,
            _ => text,
        }
    }
}

struct Reader<'a, T> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    flavor: Flavor,
    tail: Option<Tail>,
    anchors: Vec<(usize, T)>,
    nodes: usize,
}

impl<'a, T: Tree> Reader<'a, T> {
    fn next(&mut self) -> Result<(Event<'a>, Span), YamlError> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, span)),
            Some(Err(failure)) => {
                let marker = failure.marker();
                Err(YamlError {
                    line: marker.line().saturating_sub(1),
                    column: marker.col(),
                    message: failure.info().to_owned(),
                })
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<T, YamlError> {
        self.nodes += 1;
        if depth > MAX_DEPTH {
            return Err(error(span, "collections are nested too deeply"));
        }
        if self.nodes > MAX_NODES {
            return Err(error(span, "the document is too large"));
        }
        let (line, column) = (span.start.line().saturating_sub(1), span.start.col());
        let (node, anchor) = match event {
            Event::Alias(id) => {
                let node = self.anchors.iter().rev().find(|(anchor, _)| *anchor == id).map(|(_, node)| node.clone());
                let node = node.ok_or_else(|| error(span, "found an undefined or recursive alias"))?;
                self.nodes += node.count();
                if self.nodes > MAX_NODES {
                    return Err(error(span, "the document is too large: its aliases expand too far"));
                }
                return Ok(node);
            }
            Event::Scalar(text, style, anchor, tag) => {
                let text = match &self.tail {
                    Some(tail) => Cow::Owned(tail.cut(&text, style, span).to_owned()),
                    None => text,
                };
                (T::scalar(self.scalar(text, style, tag.as_deref()), line, column), anchor)
            }
            Event::SequenceStart(anchor, _) => {
                let mut items = Vec::new();
                loop {
                    let (event, span) = self.next()?;
                    if matches!(event, Event::SequenceEnd) {
                        break;
                    }
                    items.push(self.node(event, span, depth + 1)?);
                }
                (T::sequence(items, line, column), anchor)
            }
            Event::MappingStart(anchor, _) => (T::mapping(self.mapping(depth)?, line, column), anchor),
            _ => return Err(error(span, "unexpected end of the document")),
        };
        if anchor > 0 {
            self.anchors.push((anchor, node.clone()));
        }
        Ok(node)
    }

    fn mapping(&mut self, depth: usize) -> Result<Vec<(T, T)>, YamlError> {
        let mut items: Vec<(T, T)> = Vec::new();
        let mut merged: Vec<(T, T)> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let merge = self.flavor != Flavor::Text
                && matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let key = self.node(event, span, depth + 1)?;
            if !key.is_scalar() {
                return Err(error(span, "found an unhashable key: a key must be text"));
            }
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            if !merge {
                items.push((key, value));
                continue;
            }
            match value.parts() {
                Parts::Mapping(pairs) => merged.extend(pairs),
                Parts::Sequence(list) => {
                    // The first of several mappings wins.
                    for node in list.into_iter().rev() {
                        match node.parts() {
                            Parts::Mapping(pairs) => merged.extend(pairs),
                            _ => return Err(error(span, "expected a mapping for merging")),
                        }
                    }
                }
                Parts::Scalar => return Err(error(span, "expected a mapping or list of mappings for merging")),
            }
        }
        if !merged.is_empty() {
            merged.append(&mut items);
            return Ok(merged);
        }
        Ok(items)
    }

    fn scalar(&self, text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>) -> Value {
        let plain = style == ScalarStyle::Plain;
        match tag {
            _ if plain && self.flavor == Flavor::Text => plain_scalar(text, Flavor::Text),
            Some(tag) if self.flavor != Flavor::Text && tag.is_yaml_core_schema() && tag.suffix != "str" => {
                plain_scalar(text, Flavor::Full)
            }
            None if plain => plain_scalar(text, self.flavor),
            _ => Value::String(text.into_owned()),
        }
    }
}

/// Whether a plain scalar reads as this very text.
pub(crate) fn is_text(text: &str) -> bool {
    match text.as_bytes().first() {
        Some(b'0'..=b'9' | b'+' | b'-' | b'.') => number(text).is_none() && timestamp(text).is_none(),
        _ => word(text).is_none(),
    }
}

/// A plain scalar by PyYAML's YAML 1.1 resolvers; `~` stands for an empty value too.
fn plain_scalar(text: Cow<'_, str>, flavor: Flavor) -> Value {
    if flavor == Flavor::Text {
        return Value::String(if text == "~" { String::new() } else { text.into_owned() });
    }
    if let Some(value) = word(&text) {
        return value;
    }
    if flavor == Flavor::Full
        && let Some(number) = number(&text)
    {
        return Value::Number(number);
    }
    Value::String(timestamp(&text).unwrap_or_else(|| text.into_owned()))
}

/// What a word means that is no text.
fn word(text: &str) -> Option<Value> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Some(Value::Null),
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(Value::Bool(true)),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Some(Value::Bool(false)),
        _ => None,
    }
}

/// YAML 1.1's integers and floats, without its base-60 ones.
fn number(text: &str) -> Option<Number> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let sign = if text.starts_with('-') { "-" } else { "" };
    let plain = |digits: &str| digits.replace('_', "");
    let first = digits.chars().next()?;
    if !(first.is_ascii_digit() || first == '.') {
        return None;
    }
    let radix = |digits: &str, radix: u32| i64::from_str_radix(&format!("{sign}{}", plain(digits)), radix).ok();
    if let Some(hex) = digits.strip_prefix("0x") {
        return radix(hex, 16).map(Number::from);
    }
    if let Some(binary) = digits.strip_prefix("0b") {
        return radix(binary, 2).map(Number::from);
    }
    if digits.chars().all(|c| c.is_ascii_digit() || c == '_') {
        let octal = digits.len() > 1 && digits.starts_with('0');
        if octal {
            return radix(digits, 8).map(Number::from);
        }
        return radix(digits, 10).map(Number::from);
    }
    match digits {
        ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN" => return None,
        _ => {}
    }
    // A float needs its point, and an exponent its sign.
    let valid = digits.contains('.')
        && digits.chars().all(|c| c.is_ascii_digit() || "._eE+-".contains(c))
        && digits.matches('.').count() == 1
        && match digits.find(['e', 'E']) {
            Some(at) => {
                digits[at + 1..].starts_with(['+', '-']) && digits[at + 2..].chars().all(|c| c.is_ascii_digit())
            }
            None => !digits.contains(['+', '-']),
        };
    if !valid {
        return None;
    }
    format!("{sign}{}", plain(digits)).parse::<f64>().ok().and_then(Number::from_f64)
}

/// A date or time as Python prints it: YAML 1.1 makes `2024-1-5T…` a time, and text is made of it again later.
fn timestamp(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    if bytes.len() < 8 || !bytes[..4].iter().all(u8::is_ascii_digit) || bytes[4] != b'-' {
        return None;
    }
    let date_end = text.find(['T', 't', ' ', '\t']).unwrap_or(text.len());
    let mut parts = text[..date_end].split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let number = |part: &str, most: usize| -> Option<u32> {
        (!part.is_empty() && part.len() <= most && part.bytes().all(|b| b.is_ascii_digit()))
            .then(|| part.parse().ok())
            .flatten()
    };
    let (year, month, day) = (number(year, 4)?, number(month, 2)?, number(day, 2)?);
    if parts.next().is_some() || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let date = format!("{year:04}-{month:02}-{day:02}");
    if date_end == text.len() {
        // A mere date has two digits each.
        return (text.len() == 10).then_some(date);
    }
    let time = text[date_end..].trim_start_matches(['T', 't', ' ', '\t']);
    let zone_at = time.find(['Z', '+', '-', ' ']).unwrap_or(time.len());
    let (clock, zone) = time.split_at(zone_at);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut parts = clock.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    let (hour, minute, second) = (number(hour, 2)?, number(minute, 2)?, number(second, 2)?);
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut out = format!("{date} {hour:02}:{minute:02}:{second:02}");
    if !fraction.is_empty() {
        if !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        out.push('.');
        out.extend(fraction.chars().chain(std::iter::repeat('0')).take(6));
    }
    match zone.trim() {
        "" => {}
        "Z" => out.push_str("+00:00"),
        zone => {
            let (sign, offset) = match zone.strip_prefix('-') {
                Some(offset) => ('-', offset),
                None => ('+', zone.strip_prefix('+')?),
            };
            let (hours, minutes) = offset.split_once(':').unwrap_or((offset, "0"));
            let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
            out.push_str(&format!("{sign}{hours:02}:{minutes:02}"));
        }
    }
    Some(out)
}

/// A key as text; Python would keep `True` and `None` as they are.
fn key_text(key: Value) -> String {
    match key {
        Value::String(text) => text,
        Value::Bool(flag) => if flag { "True" } else { "False" }.to_owned(),
        Value::Null => "None".to_owned(),
        Value::Array(_) | Value::Object(_) => String::new(),
        other => other.to_string(),
    }
}
