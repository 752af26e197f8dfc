//! What fuzzing drives, as ordinary functions: nothing panics, and what is read keeps its promises. The suite runs them
//! over seeds and mutations of them; a fuzzer drives the same functions for longer.

// A promise that isn't kept is to end the run.
#![allow(clippy::unwrap_used)]

use crate::*;

/// Every reader of text on any text.
pub fn read_any_text(text: &str) {
    for result in [GoMod::parse(text), GoMod::parse_lax(text)] {
        match result {
            Ok(file) => {
                let _ = ToolchainFloor::new([&file], None).preferred_spec("go");
                let main = MainModule { folder: "x", go_mod: &file };
                let _ = check_vendor("x", &[main], None, &ModulesTxt::parse(text));
            }
            Err(errors) => check_errors(text, &errors),
        }
    }
    if let Err(errors) = GoWork::parse(text) {
        check_errors(text, &errors);
    }
    if let Err(errors) = GoSum::parse(text) {
        check_errors(text, &errors);
    }
    let _ = ModulesTxt::parse(text);
    let _ = parse_proxy_list(text);
    let _ = matches_prefix_patterns(text, "a.b/c/d");
    let _ = matches_prefix_patterns("*a*b*[!-~]?", text);
    for word in text.split_whitespace() {
        read_any_word(word);
    }
}

fn check_errors(text: &str, errors: &SyntaxErrors) {
    assert!(!errors.0.is_empty());
    for error in &errors.0 {
        assert!(error.place.line >= 1 && error.place.column >= 1, "{error}");
        assert!(error.place.line <= text.split('\n').count(), "{error}");
    }
}

/// Every reader of a word.
pub fn read_any_word(word: &str) {
    if let Ok(escaped) = escape_path(word) {
        assert_eq!(unescape_path(&escaped).as_deref(), Ok(word));
        let (prefix, major) = split_path_version(word).unwrap();
        assert_eq!(format!("{prefix}{major}"), word);
    }
    if let Ok(path) = unescape_path(word) {
        assert_eq!(escape_path(&path).as_deref(), Ok(word));
    }
    if let Ok(escaped) = escape_version(word) {
        assert_eq!(unescape_version(&escaped).as_deref(), Ok(word));
        assert!(!escaped.contains('/') && escaped != ".." && escaped != ".");
    }
    if let Some(canonical) = canonical_version(word) {
        assert!(is_canonical_version(&canonical));
        assert!(compare_versions(word, &canonical).is_eq());
    }
    if let Some(version) = GoVersion::parse(word) {
        assert_eq!(GoVersion::parse(version.as_str()), Some(version.clone()));
        // Before 1.21, `1.20` was a release, and `1.20rc1` less than it.
        assert!(version.is_prerelease() || GoVersion::parse(&version.language()).unwrap() <= version);
    }
    let _ = PseudoVersion::parse(word);
    let _ = check_import_path(word);
    let _ = check_file_path(word);
}

/// The reader of executables on any bytes.
pub fn read_any_bytes(bytes: &[u8]) {
    let _ = read_build_info(bytes);
}

#[cfg(test)]
mod tests;
