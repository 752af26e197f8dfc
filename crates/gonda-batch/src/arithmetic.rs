//! `set /a`: whole numbers of 32 bits, with C's operators.

/// Names are looked up and set through these; the value of the last expression.
pub(crate) fn evaluate(
    text: &str,
    get: &dyn Fn(&str) -> Option<String>,
    set: &mut dyn FnMut(&str, i32),
) -> Result<i32, String> {
    let text: String = text.chars().filter(|c| *c != '"').collect();
    let mut value = 0;
    let mut mine: Vec<(String, i32)> = Vec::new();
    for part in split(&text) {
        let chars: Vec<char> = part.chars().collect();
        let mut reader = Reader { chars: &chars, at: 0, depth: 0, get, mine: &mut mine };
        value = reader.assignment()?;
        reader.skip();
        if reader.at < chars.len() {
            return Err("missing operator".into());
        }
    }
    for (name, value) in mine {
        set(&name, value);
    }
    Ok(value)
}

/// At commas outside parentheses.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = parts.last_mut() {
            last.push(c);
        }
    }
    parts
}

struct Reader<'a> {
    chars: &'a [char],
    at: usize,
    depth: usize,
    get: &'a dyn Fn(&str) -> Option<String>,
    mine: &'a mut Vec<(String, i32)>,
}

const LEVELS: [&[&str]; 6] = [&["|"], &["^"], &["&"], &["<<", ">>"], &["+", "-"], &["*", "/", "%"]];

impl Reader<'_> {
    fn skip(&mut self) {
        while self.chars.get(self.at).is_some_and(|c| c.is_whitespace()) {
            self.at += 1;
        }
    }

    fn eat(&mut self, text: &str) -> bool {
        // Blanks may stand within an operator, too.
        let start = self.at;
        for c in text.chars() {
            self.skip();
            if self.chars.get(self.at) != Some(&c) {
                self.at = start;
                return false;
            }
            self.at += 1;
        }
        true
    }

    fn name(&mut self) -> Option<String> {
        self.skip();
        let begins = self.chars.get(self.at).is_some_and(|c| c.is_alphabetic() || matches!(c, '_' | '$' | '#' | '@'));
        if !begins {
            return None;
        }
        let start = self.at;
        while self
            .chars
            .get(self.at)
            .is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '$' | '#' | '@' | '.' | '?'))
        {
            self.at += 1;
        }
        Some(self.chars[start..self.at].iter().collect())
    }

    fn value(&self, name: &str) -> i32 {
        let own = self.mine.iter().rev().find(|(known, _)| known.eq_ignore_ascii_case(name));
        match own {
            Some((_, value)) => *value,
            None => (self.get)(name).and_then(|text| number(text.trim())).unwrap_or(0),
        }
    }

    fn assignment(&mut self) -> Result<i32, String> {
        let start = self.at;
        if let Some(name) = self.name() {
            for operator in ["=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>="] {
                if self.eat(operator) {
                    let right = self.assignment()?;
                    let value = match operator.strip_suffix('=').unwrap_or_default() {
                        "" => right,
                        operator => apply(operator, self.value(&name), right)?,
                    };
                    self.mine.push((name, value));
                    return Ok(value);
                }
            }
        }
        self.at = start;
        self.level(0)
    }

    fn level(&mut self, level: usize) -> Result<i32, String> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.level(level + 1)?;
        while let Some(operator) = operators.iter().find(|operator| self.eat(operator)) {
            let right = self.level(level + 1)?;
            left = apply(operator, left, right)?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<i32, String> {
        self.depth += 1;
        if self.depth > 100 {
            return Err("an expression is nested too deeply".into());
        }
        let value = if self.eat("-") {
            self.unary()?.wrapping_neg()
        } else if self.eat("+") {
            self.unary()?
        } else if self.eat("~") {
            !self.unary()?
        } else if self.eat("!") {
            i32::from(self.unary()? == 0)
        } else if self.eat("(") {
            let mut value = self.assignment()?;
            while self.eat(",") {
                value = self.assignment()?;
            }
            if !self.eat(")") {
                return Err("unbalanced parenthesis".into());
            }
            value
        } else if let Some(name) = self.name() {
            self.value(&name)
        } else {
            let start = self.at;
            while self.chars.get(self.at).is_some_and(char::is_ascii_alphanumeric) {
                self.at += 1;
            }
            let text: String = self.chars[start..self.at].iter().collect();
            match number(&text) {
                Some(value) => value,
                None if text.is_empty() => return Err("missing operand".into()),
                None if text.len() > 9 && text.chars().all(|c| c.is_ascii_digit()) => {
                    return Err("numbers are limited to 32 bits".into());
                }
                None => return Err("invalid number: numbers are decimal, hexadecimal (0x11) or octal (021)".into()),
            }
        };
        self.depth -= 1;
        Ok(value)
    }
}

/// errorlevel after a mistake (the texts and numbers of cmd's own message table).
pub(crate) fn code(why: &str) -> i32 {
    match why.split_once(' ').map_or(why, |(first, _)| first) {
        "unbalanced" => 1_073_750_988,
        "missing" if why.contains("operand") => 1_073_750_989,
        "invalid" => 1_073_750_991,
        "numbers" => 1_073_750_992,
        "divide" => 1_073_750_993,
        _ => 1_073_750_990,
    }
}

fn apply(operator: &str, left: i32, right: i32) -> Result<i32, String> {
    let shift = |right: i32| u32::try_from(right).ok().filter(|right| *right < 32);
    Ok(match operator {
        "+" => left.wrapping_add(right),
        "-" => left.wrapping_sub(right),
        "*" => left.wrapping_mul(right),
        "/" if right == 0 => return Err("divide by zero".into()),
        "%" if right == 0 => return Err("divide by zero".into()),
        "/" => left.wrapping_div(right),
        "%" => left.wrapping_rem(right),
        "&" => left & right,
        "|" => left | right,
        "^" => left ^ right,
        "<<" => shift(right).map_or(0, |right| left.wrapping_shl(right)),
        _ => shift(right).map_or(-i32::from(left < 0), |right| left.wrapping_shr(right)),
    })
}

/// A number as `set /a` and `if` read it: decimal, `0x…`, octal with a leading 0.
pub(crate) fn number(text: &str) -> Option<i32> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let lower = digits.to_ascii_lowercase();
    let value = if let Some(hex) = lower.strip_prefix("0x") {
        i64::from_str_radix(hex, 16).ok()?
    } else if lower.len() > 1 && lower.starts_with('0') {
        i64::from_str_radix(&lower, 8).ok()?
    } else {
        lower.parse().ok()?
    };
    let value = if negative { -value } else { value };
    i32::try_from(value).ok().or_else(|| u32::try_from(value).ok().map(u32::cast_signed))
}
