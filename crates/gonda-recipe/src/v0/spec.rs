//! Requirements as conda reads them (conda's `MatchSpec`), and conda-build's completions.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

use super::version::check_constraint;

/// A requirement, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spec {
    pub(crate) name: String,
    pub(crate) version: Option<String>,
    pub(crate) build: Option<String>,
}

impl Spec {
    /// Parses a requirement; the error is a sentence about it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let body = text.split('#').next().unwrap_or_default();
        let body = body.split(" if ").next().unwrap_or_default();
        let (body, brackets) = cut(body, '[', ']');
        let (body, _) = cut(&body, '(', ')');
        // `channel:namespace:name`.
        let body = body.rsplit(':').next().unwrap_or_default();
        let end = body.find(|c| " =<>!~".contains(c)).unwrap_or(body.len());
        let (name, rest) = body.split_at(end);
        if name.is_empty() {
            return Err(format!("invalid requirement `{text}`: no package name found"));
        }
        check_name(name).map_err(|reason| format!("invalid requirement `{text}`: {reason}"))?;
        let rest = rest.trim();
        let (mut version, mut build) = (None, None);
        if !rest.is_empty() {
            let (raw_version, raw_build) = split_version_and_build(rest);
            version = Some(sanitize_version(&raw_version, raw_build.is_some()));
            build = raw_build;
        }
        static PAIR: LazyLock<Option<Regex>> =
            LazyLock::new(|| Regex::new(r#"([a-zA-Z0-9_-]+)=(?:"([^'"]*)"|'([^'"]*)'|([^'", ]*))(?:[, ]|$)"#).ok());
        // Nearly none has any, and the pattern need not be made then.
        let pattern = if brackets.is_empty() { None } else { PAIR.as_ref() };
        for pair in pattern.into_iter().flat_map(|pattern| pattern.captures_iter(brackets)) {
            let value = [2, 3, 4].into_iter().find_map(|group| pair.get(group)).map_or("", |value| value.as_str());
            match &pair[1] {
                _ if value.is_empty() => {
                    return Err(format!("invalid requirement `{text}`: `{}` has no value", &pair[1]));
                }
                "version" => version = Some(sanitize_version(value, false)),
                "build" => build = Some(value.to_owned()),
                _ => {}
            }
        }
        let version = match version {
            Some(version) => {
                Some(normal_version(&version).map_err(|reason| format!("invalid requirement `{text}`: {reason}"))?)
            }
            None => None,
        };
        Ok(Self { name: name.to_lowercase(), version, build: build.filter(|build| !build.is_empty()) })
    }

    /// As it stands in `depends`: `name`, `name version` or `name version build`.
    pub(crate) fn text(&self) -> String {
        match (&self.version, &self.build) {
            (version, Some(build)) => format!("{} {} {build}", self.name, version.as_deref().unwrap_or("*")),
            (Some(version), None) => format!("{} {version}", self.name),
            (None, None) => self.name.clone(),
        }
    }
}

/// Takes the last bracketed part out of a text, wherever it stands: `name[extra] >=1` is `name >=1`.
fn cut(text: &str, open: char, close: char) -> (Cow<'_, str>, &str) {
    let found = text.rfind(close).and_then(|end| Some((text[..end].rfind(open)?, end)));
    match found {
        Some((start, end)) => (Cow::Owned(text.replace(&text[start..=end], "")), &text[start + 1..end]),
        None => (Cow::Borrowed(text), ""),
    }
}

/// CEP 26's rule for names; globs are not checked.
fn check_name(name: &str) -> Result<(), String> {
    if name.contains('*') {
        return Ok(());
    }
    let lower = name.to_lowercase();
    let invalid: String =
        lower.chars().filter(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(*c))).collect();
    if !invalid.is_empty() {
        return Err(format!("a package name may not hold `{invalid}`"));
    }
    // Runs of letters and digits with single separators between; one underscore, or two of a virtual package, may lead.
    let body = match lower.strip_prefix("__") {
        Some(body) if body.starts_with(|c: char| c.is_ascii_alphanumeric()) => body,
        Some(_) => return Err("invalid package name".to_owned()),
        None => lower.strip_prefix('_').unwrap_or(&lower),
    };
    if body.starts_with(['.', '-']) {
        return Err("invalid package name".to_owned());
    }
    let mut separators = 0;
    for c in body.chars() {
        separators = if c.is_ascii_alphanumeric() { 0 } else { separators + 1 };
        if separators > 1 {
            return Err("invalid package name".to_owned());
        }
    }
    Ok(())
}

/// `1.2 build`, `1.2=build`, `>=1 , <2 build`: the version without blanks, and the build.
fn split_version_and_build(text: &str) -> (String, Option<String>) {
    // The shortest version such that what follows one blank or `=` is free of operators; the character before that must
    // not be an operator, and neither may the version end in one.
    for (at, c) in text.char_indices() {
        if !(c == ' ' || c == '=') || at == 0 {
            continue;
        }
        let before = text[..at].chars().next_back();
        if before.is_some_and(|c| "=!|,<>~".contains(c)) {
            continue;
        }
        let build = &text[at + 1..];
        if !build.is_empty() && !build.contains(['-', '=', ',', '|', '<', '>', '~']) {
            let version = text[..at].replace(' ', "");
            let build = build.trim();
            if build.is_empty() {
                continue;
            }
            return (version, Some(build.to_owned()));
        }
    }
    (text.replace(' ', ""), None)
}

/// `==1.2` is `1.2`, `=1.2` is `1.2*`.
fn sanitize_version(version: &str, has_build: bool) -> String {
    if version == "==" || version == "=" || !version.starts_with('=') {
        return version.to_owned();
    }
    let bare = version.trim_start_matches('=');
    if version.starts_with("==") && !has_build {
        return bare.to_owned();
    }
    if bare.contains(['=', ',', '|']) {
        return version.to_owned();
    }
    if has_build || bare.ends_with('*') { bare.to_owned() } else { format!("{bare}*") }
}

/// As conda's `VersionSpec` prints itself: `1.2*` is `1.2.*`.
fn normal_version(version: &str) -> Result<String, String> {
    check_constraint(version)?;
    let one = |part: &str| {
        let stripped = part.trim_end_matches('*');
        let plain = !part.starts_with(['=', '<', '>', '!', '~', '^']) && !part.ends_with('$');
        if plain && part != "*" && !stripped.contains('*') && stripped.len() < part.len() && !part.ends_with(".*") {
            format!("{}.*", &part[..part.len() - 1])
        } else {
            part.to_owned()
        }
    };
    // conda prints alternatives without the brackets it read.
    let mut out = String::new();
    for piece in version.split_inclusive(['|', ',']) {
        let (part, operator) = match piece.strip_suffix(['|', ',']) {
            Some(part) => (part, &piece[part.len()..]),
            None => (piece, ""),
        };
        out.push_str(&one(part.trim_matches(['(', ')'])));
        out.push_str(operator);
    }
    Ok(out)
}

/// Adds `.*` to a plain version (utils.py:1912 `ensure_valid_spec`): a name and a version, nothing else.
pub(crate) fn complete(spec: &str) -> String {
    let Some((name, rest)) = spec.split_once(char::is_whitespace) else { return spec.to_owned() };
    let version = rest.trim_start();
    let is_word =
        |word: &str| !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-'));
    if !is_word(name) || !is_word(version) {
        return spec.to_owned();
    }
    if (name == "python" || name == "numpy") && version == "x.x" {
        return format!("{name} {version}");
    }
    format!("{name} {version}.*")
}

/// A line of a `requirements.txt` as a requirement (conda's `spec_from_line`): `name=1.2` and pip's `name>=1.2`.
pub(crate) fn from_requirements_txt(line: &str) -> Option<String> {
    let line = line.split('#').next().unwrap_or_default().trim_end();
    let end = line.find(|c: char| "=<>!".contains(c) || c.is_whitespace()).unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    let (name, rest) = (name.to_lowercase(), rest.trim_start());
    if name.is_empty() {
        return None;
    }
    if rest.is_empty() {
        return Some(name);
    }
    if let Some(parts) = rest.strip_prefix('=').map(|rest| rest.split('=').collect::<Vec<_>>())
        && parts.len() <= 2
        && parts.iter().all(|part| !part.is_empty())
    {
        return Some(format!("{name} {}", parts.join(" ")));
    }
    let operator = ["==", "!=", ">=", "<=", "~=", ">", "<"].into_iter().find(|operator| rest.starts_with(operator))?;
    if rest.len() == operator.len() {
        return None;
    }
    if let Some(version) = rest.strip_prefix("~= ") {
        let (series, _) = version.rsplit_once('.').filter(|_| !version.contains("~="))?;
        return Some(format!("{name} >={version},=={series}.*"));
    }
    Some(format!("{name} {}", rest.replace(' ', "")))
}
