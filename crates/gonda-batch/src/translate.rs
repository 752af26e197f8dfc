//! Windows paths for the script, unix paths for the machine: the drive `C:` is the root folder.
//!
//! A script sees `C:\\opt\\x` where the machine has `/opt/x`. What it hands to real programs goes back: arguments that are
//! paths or hold one, variables that hold paths or lists of them.

/// The Windows path of an absolute unix path.
#[must_use]
pub fn to_windows(path: &str) -> String {
    format!("C:{}", path.replace('/', "\\"))
}

/// The unix path of an absolute Windows path, whatever its drive.
#[must_use]
pub fn to_unix(path: &str) -> String {
    let rest = path.get(2..).filter(|_| path.as_bytes().get(1) == Some(&b':')).unwrap_or(path);
    let path = rest.replace('\\', "/");
    if path.starts_with('/') { path } else { format!("/{path}") }
}

/// An argument as a real program must get it. Absolute Windows paths in it become unix paths; a relative one loses its
/// back slashes where it is all of the argument, or all that follows a flag's `=`, and begins with a dot or is there
/// (`exists` is asked with the path as written).
#[must_use]
pub fn argument(text: &str, exists: &dyn Fn(&str) -> bool) -> String {
    if !text.contains('\\') && !text.contains(':') {
        return text.to_owned();
    }
    let (flag, value) = match text.split_once('=') {
        Some((flag, value)) if flag.starts_with('-') => (&text[..=flag.len()], value),
        _ => ("", text),
    };
    let dotted = [".\\", "..\\"].iter().any(|start| value.starts_with(start));
    if !value.contains([' ', '"', '\'']) && value.contains('\\') && (dotted || (!has_drive(value) && exists(value))) {
        return format!("{flag}{}", value.replace('\\', "/"));
    }
    absolute_paths(text)
}

/// A variable as a real program must get it: a list of paths is joined by `:`, a path for Cygwin is a path.
#[must_use]
pub fn variable(value: &str) -> String {
    let parts: Vec<&str> = value.split(';').filter(|part| !part.is_empty()).collect();
    if parts.iter().any(|part| has_drive(part)) && parts.iter().all(|part| has_drive(part) || !part.contains(' ')) {
        let parts: Vec<String> = parts.iter().map(|part| absolute_paths(part)).collect();
        return parts.join(":");
    }
    if let Some(path) = value.strip_prefix("/cygdrive/c/") {
        return format!("/{path}");
    }
    absolute_paths(value)
}

/// A variable of the machine as the script must see it: paths, and lists of paths joined by `;`.
#[must_use]
pub fn variable_for_script(value: &str) -> String {
    if value.starts_with('/') && value.split(':').all(|part| part.starts_with('/') || part.is_empty()) {
        let parts: Vec<String> = value.split(':').filter(|part| !part.is_empty()).map(to_windows).collect();
        return parts.join(";");
    }
    value.to_owned()
}

fn has_drive(text: &str) -> bool {
    let bytes = text.as_bytes();
    matches!(bytes, [drive, b':', b'\\' | b'/', ..] if drive.is_ascii_alphabetic())
}

/// Replaces each `C:\\…` that begins a word or follows what can't be part of a name. It reaches to a quote, a list's
/// separator, or, where the text holds several words, a blank.
fn absolute_paths(text: &str) -> String {
    // A path with blanks is all of an argument, or all that follows a flag's `=`.
    let after_flag = text.strip_prefix('-').and_then(|_| text.find('=')).map_or(0, |at| at + 1);
    let whole = has_drive(&text[after_flag..]) && !text[after_flag..].contains(" -") && !text.contains('"');
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = (0..rest.len()).find(|at| rest.is_char_boundary(*at) && has_drive(&rest[*at..])) {
        let before = rest[..at].chars().next_back().or_else(|| out.chars().next_back());
        if before.is_some_and(char::is_alphanumeric) {
            // `http://` and the like.
            out.push_str(&rest[..=at]);
            rest = &rest[at + 1..];
            continue;
        }
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.find(|c: char| matches!(c, '"' | '\'' | ';' | ',' | '|') || (c.is_whitespace() && !whole));
        let (path, after) = rest.split_at(end.unwrap_or(rest.len()));
        out.push_str(&to_unix(path));
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments() {
        let check = |text: &str, expected: &str| assert_eq!(argument(text, &|path| path == "bin\\x.exe"), expected);
        check("C:\\opt\\a b\\x.exe", "/opt/a b/x.exe");
        check("c:/opt/x", "/opt/x");
        check("-o=C:\\opt\\x.exe", "-o=/opt/x.exe");
        check("-o=C:\\a b\\x.exe", "-o=/a b/x.exe");
        check(".\\cmd\\x", "./cmd/x");
        check("-o=..\\x\\y", "-o=../x/y");
        check("bin\\x.exe", "bin/x.exe");
        check("some\\text", "some\\text");
        check("-X main.dir=C:\\opt\\x -s", "-X main.dir=/opt/x -s");
        check("-X 'main.name=a\\b'", "-X 'main.name=a\\b'");
        check("https://h/x", "https://h/x");
        check("file:///x", "file:///x");
        check("./...", "./...");
        check("-ldflags=-s -w -X main.v=1", "-ldflags=-s -w -X main.v=1");
        check("a:b", "a:b");
        check("-I=C:\\a;C:\\b", "-I=/a;/b");
    }

    #[test]
    fn variables() {
        let check = |text: &str, expected: &str| assert_eq!(variable(text), expected);
        check("C:\\a\\bin;C:\\b;", "/a/bin:/b");
        check("C:\\a b;C:\\c", "/a b:/c");
        check("C:\\a", "/a");
        check("-ldflags=-X main.v=1", "-ldflags=-X main.v=1");
        check("https://h,direct", "https://h,direct");
        check("a;b", "a;b");
        check("/cygdrive/c/opt/x", "/opt/x");
        let back = |text: &str, expected: &str| assert_eq!(variable_for_script(text), expected);
        back("/a/bin:/b", "C:\\a\\bin;C:\\b");
        back("/a", "C:\\a");
        back("-I/a:/b", "-I/a:/b");
        back("1.2.3", "1.2.3");
        assert_eq!(to_unix("C:\\"), "/");
        assert_eq!(to_windows("/opt/x"), "C:\\opt\\x");
    }
}
