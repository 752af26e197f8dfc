//! Quoting for the two shells that scripts run in.

/// A word of a POSIX shell that stands for exactly this text.
pub(crate) fn sh(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:,=@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// `export NAME=value` for a POSIX shell. Names that no shell can set are left out.
pub(crate) fn sh_export(name: &str, value: &str) -> String {
    if is_name(name) { format!("export {name}={}\n", sh(value)) } else { String::new() }
}

/// `set "NAME=value"` for cmd.exe in a batch file: `%` is doubled, for it would name a variable; nothing else is
/// special between these quotes, but line ends, which no value can have there.
pub(crate) fn bat_set(name: &str, value: &str) -> String {
    let value = value.replace('%', "%%").replace(['\r', '\n'], " ");
    format!("set \"{name}={value}\"\r\n")
}

/// A quoted path for cmd.exe in a batch file.
pub(crate) fn bat(text: &str) -> String {
    format!("\"{}\"", text.replace('%', "%%").replace('"', ""))
}

/// Whether a shell can have a variable of this name.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Puts variables in the place of `$NAME` and `${NAME}`, as a shell does between double quotes; unknown ones are
/// empty. `\$` is a dollar. Commands are not run.
pub(crate) fn expand<'a>(text: &str, value: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['$', '\\']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        if let Some(after) = from.strip_prefix("\\$") {
            out.push('$');
            rest = after;
            continue;
        }
        let length = |text: &str| text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
        let braced = from.strip_prefix("${").and_then(|inner| inner.split_once('}')).filter(|(name, _)| is_name(name));
        let plain = from.strip_prefix('$').map(|inner| inner.split_at(length(inner))).filter(|(name, _)| is_name(name));
        if let Some((name, after)) = braced.or(plain) {
            out.push_str(value(name).unwrap_or_default());
            rest = after;
        } else {
            out.push_str(&from[..1]);
            rest = &from[1..];
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let check = |text: &str, expected: &str| assert_eq!(sh(text), expected);
        check("/opt/a-b_c.1", "/opt/a-b_c.1");
        check("", "''");
        check("it's $HOME", r"'it'\''s $HOME'");
        check("-I a", "'-I a'");
        assert_eq!(sh_export("A", "x y"), "export A='x y'\n");
        assert_eq!(sh_export("A-B", "x"), "");
        assert_eq!(sh_export("1A", "x"), "");
        assert_eq!(bat_set("A", "50% of \"x\"\n"), "set \"A=50%% of \"x\" \"\r\n");
        assert_eq!(bat(r"C:\a b%"), "\"C:\\a b%%\"");
    }

    #[test]
    fn expansion() {
        let check = |text: &str, expected: &str| {
            let value = |name: &str| (name == "PREFIX").then_some("/p");
            assert_eq!(expand(text, value), expected);
        };
        check("-I$PREFIX/include -L${PREFIX}/lib", "-I/p/include -L/p/lib");
        check("$NONE.", ".");
        check(r"\$PREFIX $ ${ $1 ${a-b} \n", r"$PREFIX $ ${ $1 ${a-b} \n");
        check("ä$PREFIXä", "ä/pä");
    }
}
