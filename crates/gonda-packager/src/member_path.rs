//! What a member's path, and a link's text, may be.

/// What is wrong with a member's path: it must stay below the folder it is extracted to, on every system.
pub(crate) fn path_problem(path: &str) -> Option<&'static str> {
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        return Some("an empty path");
    }
    if path.starts_with(['/', '\\']) || path.as_bytes().get(1) == Some(&b':') {
        return Some("an absolute path");
    }
    if path.split(['/', '\\']).any(|name| name == "..") {
        return Some("a path with `..`");
    }
    if path.split('/').any(|name| name.is_empty() || name == ".") {
        return Some("a path with empty parts or `.`");
    }
    if path.contains(['\0', '\n', '\r']) {
        return Some("a path with a control character");
    }
    None
}

/// Whether a link's text leads out of the folder that the package is extracted to.
pub(crate) fn leaves_package(path: &str, target: &str) -> bool {
    if target.starts_with(['/', '\\']) || target.as_bytes().get(1) == Some(&b':') {
        return true;
    }
    let mut depth = path.split('/').count() as i64 - 1;
    for name in target.split(['/', '\\']) {
        depth += match name {
            "" | "." => 0,
            ".." => -1,
            _ => 1,
        };
        if depth < 0 {
            return true;
        }
    }
    false
}
