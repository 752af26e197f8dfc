//! Go's string literals, as they stand in go.mod and in build information (the Go specification, "String literals").

/// Takes the quotes off an interpreted (`"…"`) or a raw (`` `…` ``) literal that is the whole of `literal`.
/// `None` where it is malformed or its bytes are not UTF-8.
pub(crate) fn unquote(literal: &str) -> Option<String> {
    let (value, rest) = quoted_prefix(literal)?;
    rest.is_empty().then_some(value)
}

/// Reads a literal from the beginning of `text`; gives its value and what follows it.
pub(crate) fn quoted_prefix(text: &str) -> Option<(String, &str)> {
    if let Some(raw) = text.strip_prefix('`') {
        let (value, rest) = raw.split_once('`')?;
        // Carriage returns in raw literals are dropped.
        return Some((value.replace('\r', ""), rest));
    }
    let mut rest = text.strip_prefix('"')?;
    let mut bytes = Vec::new();
    loop {
        let c = rest.chars().next()?;
        rest = &rest[c.len_utf8()..];
        match c {
            '"' => return Some((String::from_utf8(bytes).ok()?, rest)),
            '\n' => return None,
            '\\' => rest = escape(rest, &mut bytes)?,
            c => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// Reads what follows a backslash.
fn escape<'a>(rest: &'a str, bytes: &mut Vec<u8>) -> Option<&'a str> {
    let c = rest.chars().next()?;
    let rest = &rest[c.len_utf8()..];
    let number = |digits: usize, radix: u32, text: &str| -> Option<u32> {
        let text = text.get(..digits)?;
        text.bytes().all(|b| (b as char).is_digit(radix)).then(|| u32::from_str_radix(text, radix).ok()).flatten()
    };
    let simple = match c {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' => b'\\',
        '"' => b'"',
        'x' => {
            bytes.push(u8::try_from(number(2, 16, rest)?).ok()?);
            return rest.get(2..);
        }
        '0'..='7' => {
            let first = c.to_digit(8)?;
            bytes.push(u8::try_from(first * 64 + number(2, 8, rest)?).ok()?);
            return rest.get(2..);
        }
        'u' | 'U' => {
            let digits = if c == 'u' { 4 } else { 8 };
            let c = char::from_u32(number(digits, 16, rest)?)?;
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            return rest.get(digits..);
        }
        _ => return None,
    };
    bytes.push(simple);
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(literal: &str, expected: Option<&str>) {
        assert_eq!(unquote(literal).as_deref(), expected, "{literal}");
    }

    #[test]
    fn literals() {
        check(r#""a b""#, Some("a b"));
        check(r#""\x41\101\u00e9\U0001F600\n\"""#, Some("AAé😀\n\""));
        check("`a\\b`", Some("a\\b"));
        for bad in
            ["", "\"", "\"\\", "\"a\"b", r#""\q""#, r#""\x4""#, r#""\xff""#, r#""\777""#, "\"\n\"", "`a", r#""\xé""#]
        {
            check(bad, None);
        }
    }
}
