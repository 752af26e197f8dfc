//! `load_setup_py_data`: what a `setup.py` hands to `setup(…)`. conda-build runs the file; here it is read: literal
//! arguments, names that are assigned a literal before, and calls of functions that do nothing but return one, are
//! taken; everything else is left out.

use std::collections::HashMap;

use super::python::{Dict, Key, Value};

/// What was read of a file.
pub(crate) struct Read {
    /// The literal arguments of its last `setup(…)` call.
    pub(crate) data: Value,
    /// The names of its other arguments, whose values only Python knows.
    pub(crate) computed: Vec<String>,
}

/// Reads a `setup.py`.
pub(crate) fn read(text: &str) -> Read {
    let mut names: HashMap<String, Value> = HashMap::new();
    let mut function: Option<&str> = None;
    for line in text.lines() {
        if !line.trim().is_empty() && !line.starts_with([' ', '\t', '#']) {
            function = line.strip_prefix("def ").and_then(|head| head.trim_end().strip_suffix("():"));
        } else if let Some(name) = function
            && let Some(value) = line.trim_start().strip_prefix("return ")
        {
            // What a call gives is known by the call itself. The first `return` must be the body's own.
            let mut reader = Reader { rest: value, names: &names, depth: 0 };
            let value = reader.value();
            if let Some(value) = value {
                names.insert(format!("{name}()"), value);
            }
            function = None;
        }
        if let Some((name, value)) = line.split_once('=') {
            let name = name.trim();
            let plain = !name.is_empty() && name.chars().all(|c| c == '_' || c.is_alphanumeric());
            if plain && !value.starts_with('=') {
                let mut reader = Reader { rest: value, names: &names, depth: 0 };
                if let Some(value) = reader.value() {
                    names.insert(name.to_owned(), value);
                }
            }
        }
    }
    let call =
        text.rmatch_indices("setup(").find(|(at, _)| !text[..*at].ends_with(|c: char| c == '_' || c.is_alphanumeric()));
    let mut found = Dict::default();
    let mut computed = Vec::new();
    if let Some((at, word)) = call {
        let mut reader = Reader { rest: &text[at + word.len()..], names: &names, depth: 0 };
        reader.arguments(&mut found, &mut computed);
    }
    Read { data: Value::from(found), computed }
}

struct Reader<'a> {
    rest: &'a str,
    names: &'a HashMap<String, Value>,
    depth: usize,
}

impl Reader<'_> {
    fn blanks(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            match self.rest.strip_prefix('#') {
                Some(comment) => self.rest = comment.find('\n').map_or("", |end| &comment[end..]),
                None => match self.rest.strip_prefix("\\\n") {
                    Some(rest) => self.rest = rest,
                    None => return,
                },
            }
        }
    }

    fn sign(&mut self, sign: char) -> bool {
        self.blanks();
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn word(&mut self) -> Option<String> {
        self.blanks();
        let end = self.rest.find(|c: char| !(c == '_' || c.is_alphanumeric())).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        if word.is_empty() || word.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        self.rest = rest;
        Some(word.to_owned())
    }

    /// `name=value, …)`.
    fn arguments(&mut self, found: &mut Dict, computed: &mut Vec<String>) {
        while !self.sign(')') && !self.rest.is_empty() {
            let before = self.rest;
            if let Some(name) = self.word()
                && self.sign('=')
            {
                let start = self.rest;
                match self.value() {
                    Some(value) if self.at_end() => {
                        found.insert(Key::text(&name), value);
                    }
                    _ => {
                        self.rest = start;
                        self.skip();
                        computed.push(name);
                    }
                }
            } else {
                self.rest = before;
                self.skip();
            }
            if !self.sign(',') && !self.rest.starts_with(')') {
                return;
            }
        }
    }

    fn at_end(&mut self) -> bool {
        self.blanks();
        self.rest.starts_with([',', ')', ']', '}', ':']) || self.rest.is_empty()
    }

    /// Goes to the end of an argument that is no literal.
    fn skip(&mut self) {
        let mut level = 0_usize;
        let mut quote = None;
        let mut escaped = false;
        for (at, c) in self.rest.char_indices() {
            if escaped {
                escaped = false;
                continue;
            }
            match (quote, c) {
                (Some(_), '\\') => escaped = true,
                (Some(open), c) if c == open => quote = None,
                (Some(_), _) => {}
                (None, '\'' | '"') => quote = Some(c),
                (None, '(' | '[' | '{') => level += 1,
                (None, ')' | ']' | '}') if level > 0 => level -= 1,
                (None, ')' | ',') if level == 0 => {
                    self.rest = &self.rest[at..];
                    return;
                }
                _ => {}
            }
        }
        self.rest = "";
    }

    fn value(&mut self) -> Option<Value> {
        self.depth += 1;
        let value = if self.depth > 40 { None } else { self.literal() };
        self.depth -= 1;
        value
    }

    fn literal(&mut self) -> Option<Value> {
        self.blanks();
        let first = self.rest.chars().next()?;
        if first == '\'' || first == '"' {
            let mut text = String::new();
            // Literals side by side are one.
            while self.rest.starts_with(['\'', '"']) {
                text.push_str(&self.text()?);
                self.blanks();
            }
            return Some(Value::from(text));
        }
        if first.is_ascii_digit() || first == '-' {
            let end = self.rest[1..]
                .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_'))
                .map_or(self.rest.len(), |end| end + 1);
            let (number, rest) = self.rest.split_at(end);
            self.rest = rest;
            let number = number.replace('_', "");
            return number.parse().map(Value::Int).ok().or_else(|| number.parse().map(Value::Float).ok());
        }
        for (open, close) in [('[', ']'), ('(', ')'), ('{', '}')] {
            if self.sign(open) {
                return self.collection(open, close);
            }
        }
        let word = self.word()?;
        match word.as_str() {
            "True" => Some(Value::Bool(true)),
            "False" => Some(Value::Bool(false)),
            "None" => Some(Value::None),
            _ if self.rest.starts_with(['\'', '"']) && matches!(word.as_str(), "r" | "u" | "b") => self.literal(),
            _ if self.rest.starts_with("()") => {
                self.rest = &self.rest[2..];
                self.names.get(&format!("{word}()")).cloned()
            }
            _ => self.names.get(&word).cloned(),
        }
    }

    fn collection(&mut self, open: char, close: char) -> Option<Value> {
        let mut items = Vec::new();
        let mut dict = Dict::default();
        let mut commas = 0;
        while !self.sign(close) {
            let item = self.value()?;
            if open == '{' && self.sign(':') {
                dict.insert(Key::new(&item).ok()?, self.value()?);
            } else {
                items.push(item);
            }
            if self.sign(',') {
                commas += 1;
            } else if !{
                self.blanks();
                self.rest.starts_with(close)
            } {
                return None;
            }
        }
        Some(match open {
            '{' if items.is_empty() => Value::from(dict),
            '(' if items.len() == 1 && commas == 0 => items.swap_remove(0),
            '(' => Value::tuple(items),
            _ => Value::from(items),
        })
    }

    fn text(&mut self) -> Option<String> {
        let quote = self.rest.chars().next()?;
        let triple: String = std::iter::repeat_n(quote, 3).collect();
        let delimiter = if self.rest.starts_with(&triple) { triple } else { quote.to_string() };
        let mut rest = &self.rest[delimiter.len()..];
        let mut text = String::new();
        loop {
            if let Some(after) = rest.strip_prefix(&*delimiter) {
                self.rest = after;
                return Some(text);
            }
            let mut chars = rest.chars();
            match chars.next()? {
                '\\' => match chars.next()? {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    '\n' => {}
                    other => text.push(other),
                },
                c => text.push(c),
            }
            rest = chars.as_str();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, data: &str, computed: &[&str]) {
        let read = read(text);
        assert_eq!(
            (read.data.repr(), read.computed),
            (data.to_owned(), computed.iter().map(ToString::to_string).collect())
        );
    }

    #[test]
    fn what_is_written_out_and_what_is_computed() {
        check(
            "setup(name='a', version='1.' '2', py_modules=['a'])",
            "{'name': 'a', 'version': '1.2', 'py_modules': ['a']}",
            &[],
        );
        check("V = '3'\ndef n():\n    return 'x'\nsetup(name=n(), version=V)", "{'name': 'x', 'version': '3'}", &[]);
        check(
            "from m import v\nsetup(\n  name='a',\n  version=v(),\n  install_requires=open('r').read().split(),\n)",
            "{'name': 'a'}",
            &["version", "install_requires"],
        );
        check("print('no call')", "{}", &[]);
    }
}
