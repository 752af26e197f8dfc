//! Windows paths as text, and wildcards.

/// An absolute path with back slashes, without `.`, `..` and a slash at its end (but `C:\`).
pub(crate) fn absolute(path: &str, folder: &str) -> String {
    let path = path.replace('/', "\\").replace('"', "");
    let drive = |text: &str| text.get(..2).filter(|text| text.ends_with(':')).map(str::to_owned);
    let (base, rest) = match drive(&path) {
        Some(own) => {
            let rest = path[2..].to_owned();
            let same = drive(folder).is_some_and(|drive| drive.eq_ignore_ascii_case(&own));
            if rest.starts_with('\\') || !same { (own, rest) } else { (folder.to_owned(), rest) }
        }
        None if path.starts_with('\\') => (drive(folder).unwrap_or_default(), path),
        None => (folder.to_owned(), path),
    };
    let mut parts: Vec<&str> = Vec::new();
    let whole = format!("{base}\\{rest}");
    let mut all = whole.split('\\').filter(|part| !part.is_empty());
    let first = all.next().unwrap_or("C:");
    for part in all {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part.trim_end_matches([' ', '.'])),
        }
    }
    if parts.is_empty() { format!("{first}\\") } else { format!("{first}\\{}", parts.join("\\")) }
}

/// `folder\name`.
pub(crate) fn join(folder: &str, name: &str) -> String {
    format!("{}\\{name}", folder.trim_end_matches('\\'))
}

/// The folder of an absolute path, with a back slash at its end, and the last name.
pub(crate) fn split(path: &str) -> (&str, &str) {
    match path.rfind(['\\', '/', ':']) {
        Some(at) => path.split_at(at + 1),
        None => ("", path),
    }
}

/// A name without its extension, and the extension with its dot.
pub(crate) fn split_extension(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(at) => name.split_at(at),
        None => (name, ""),
    }
}

pub(crate) fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// Whether a name fits a pattern; `*.*` fits all.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    if pattern == "*.*" || pattern == "*" {
        return true;
    }
    let pattern: Vec<char> = pattern.to_lowercase().chars().collect();
    let name: Vec<char> = name.to_lowercase().chars().collect();
    // The last star, and where what it stands for begins: enough to try again from.
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        if p < pattern.len() && pattern[p] == '*' {
            star = Some((p, n));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == '?' || pattern[p] == name[n]) {
            p += 1;
            n += 1;
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            p = at + 1;
            n = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| matches!(c, '*' | '?' | '.'))
}
