//! Text as Python cuts it.

/// Lines as `str.splitlines` sees them, each with its line end (empty at the end of the text).
pub(crate) fn lines_with_ends(text: &str) -> impl Iterator<Item = (&str, &str)> {
    // Nearly all texts have line feeds alone. Without a way out before the end, many bytes are looked at together.
    let may_end_line = |byte: u8| matches!(byte, b'\r' | 0x0b | 0x0c | 0x1c..=0x1e | 0xc2 | 0xe2);
    let unusual = text.bytes().fold(false, |found, byte| found | may_end_line(byte));
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = if unusual { find_line_end(rest) } else { memchr::memchr(b'\n', rest.as_bytes()).map(|at| (at, 1)) };
        let Some((at, length)) = end else {
            let line = rest;
            rest = "";
            return Some((line, ""));
        };
        let (line, end) = (&rest[..at], &rest[at..at + length]);
        rest = &rest[at + length..];
        Some((line, end))
    })
}

/// Lines as `str.splitlines` sees them.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = &str> {
    lines_with_ends(text).map(|(line, _)| line)
}

/// Where the first line end begins and how many bytes it has.
fn find_line_end(text: &str) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let length = match byte {
            b'\n' | 0x0b | 0x0c | 0x1c..=0x1e => 1,
            b'\r' => 1 + usize::from(bytes.get(at + 1) == Some(&b'\n')),
            // U+0085, U+2028 and U+2029.
            0xc2 if bytes.get(at + 1) == Some(&0x85) => 2,
            0xe2 if bytes[at..].starts_with(&[0xe2, 0x80, 0xa8]) || bytes[at..].starts_with(&[0xe2, 0x80, 0xa9]) => 3,
            _ => continue,
        };
        return Some((at, length));
    }
    None
}

/// The bytes of a recipe file as text: UTF-8 with or without a mark, UTF-16 with one, else Windows' Western encoding,
/// which is what conda-build's guess comes down to. Line ends become `\n`, as jinja2 makes them.
pub(crate) fn decode(bytes: Vec<u8>) -> String {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units)
    };
    let text = match bytes.as_slice() {
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ => String::from_utf8(bytes).unwrap_or_else(|error| error.into_bytes().into_iter().map(char::from).collect()),
    };
    if memchr::memchr(b'\r', text.as_bytes()).is_some() { text.replace("\r\n", "\n").replace('\r', "\n") } else { text }
}
