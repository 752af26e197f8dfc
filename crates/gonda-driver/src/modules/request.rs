//! What a Go command asks a module proxy for (<https://go.dev/ref/mod#goproxy-protocol>), read from a URL's path.

use gonda_gomod::{
    ModuleVersion, check_module, escape_path, escape_version, is_canonical_version, unescape_path, unescape_version,
};

/// One file of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Part {
    /// Metadata as JSON.
    Info,
    /// go.mod.
    Mod,
    /// The content.
    Zip,
}

impl Part {
    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Mod => "mod",
            Self::Zip => "zip",
        }
    }
}

/// A request; paths and versions are unescaped and valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    /// `@v/list`: the known versions.
    List(String),
    /// `@latest`.
    Latest(String),
    /// `@v/<query>.info` of a branch, a commit or a version prefix: which version that is changes with time.
    Query(String, String),
    /// A file of a version: immutable.
    File(ModuleVersion, Part),
    /// `sumdb/<name>/<path>`, the checksum database.
    SumDb(String, String),
}

impl Request {
    /// Reads a URL's path, percent-encoded as HTTP has it. `None` for whatever is no request to a module proxy.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let path = decode(path)?;
        let path = path.strip_prefix('/')?;
        if let Some(rest) = path.strip_prefix("sumdb/") {
            return sumdb(rest);
        }
        if let Some(module) = path.strip_suffix("/@latest") {
            return Some(Self::Latest(unescape_path(module).ok()?));
        }
        let (module, file) = path.split_once("/@v/")?;
        let module = unescape_path(module).ok()?;
        if file == "list" {
            return Some(Self::List(module));
        }
        let (version, extension) = file.rsplit_once('.')?;
        let version = unescape_version(version).ok()?;
        let part = match extension {
            "info" => Part::Info,
            "mod" => Part::Mod,
            "zip" => Part::Zip,
            _ => return None,
        };
        if is_canonical_version(&version) && check_module(&module, &version).is_ok() {
            return Some(Self::File(ModuleVersion::new(module, version), part));
        }
        (part == Part::Info).then_some(Self::Query(module, version))
    }

    /// The path below a proxy's URL or in the store, escaped.
    pub(super) fn path(&self) -> String {
        // What was read was valid, so it can be escaped again.
        let module = |path: &str| escape_path(path).unwrap_or_default();
        let version = |version: &str| escape_version(version).unwrap_or_default();
        match self {
            Self::List(path) => format!("{}/@v/list", module(path)),
            Self::Latest(path) => format!("{}/@latest", module(path)),
            Self::Query(path, query) => format!("{}/@v/{}.info", module(path), version(query)),
            Self::File(of, part) => {
                format!("{}/@v/{}.{}", module(&of.path), version(&of.version), part.extension())
            }
            Self::SumDb(name, path) => format!("sumdb/{name}/{path}"),
        }
    }

    /// The module that it is about.
    pub(super) fn module(&self) -> Option<&str> {
        match self {
            Self::List(path) | Self::Latest(path) | Self::Query(path, _) => Some(path),
            Self::File(module, _) => Some(&module.path),
            Self::SumDb(..) => None,
        }
    }
}

/// `<name>/supported`, `<name>/latest`, `<name>/lookup/…` or `<name>/tile/…`; a name may contain slashes.
fn sumdb(rest: &str) -> Option<Request> {
    let split = ["/lookup/", "/tile/"].iter().filter_map(|mark| rest.find(mark)).min().or_else(|| {
        ["/supported", "/latest"].iter().find(|mark| rest.ends_with(**mark)).map(|mark| rest.len() - mark.len())
    })?;
    let (name, path) = (&rest[..split], &rest[split + 1..]);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
    let clean = |text: &str| {
        text.split('/').all(|part| !part.is_empty() && part != "." && part != "..") && !text.starts_with('/')
    };
    let name_is_host = clean(name) && name.chars().all(plain);
    let path_is_safe = clean(path) && path.chars().all(|c| plain(c) || matches!(c, '@' | '+' | '!' | '~'));
    (name_is_host && path_is_safe).then(|| Request::SumDb(name.to_owned(), path.to_owned()))
}

/// Takes percent-encoding off. `None` where it is malformed or hides something that is no UTF-8.
fn decode(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|byte| (byte as char).to_digit(16));
        let (high, low) = (digit()?, digit()?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: &str) {
        let answer =
            Request::parse(path).map_or_else(|| "none".to_owned(), |request| format!("{request:?} {}", request.path()));
        assert_eq!(answer, expected, "{path}");
    }

    #[test]
    fn requests() {
        check("/a.b/!c/@v/list", r#"List("a.b/C") a.b/!c/@v/list"#);
        check("/a.b/%21c/@latest", r#"Latest("a.b/C") a.b/!c/@latest"#);
        check("/a.b/@v/master.info", r#"Query("a.b", "master") a.b/@v/master.info"#);
        check("/a.b/@v/v1.info", r#"Query("a.b", "v1") a.b/@v/v1.info"#);
        check("/a.b/@v/v2.0.0.info", r#"Query("a.b", "v2.0.0") a.b/@v/v2.0.0.info"#);
        check(
            "/a.b/@v/v1.0.0-!r!c.zip",
            r#"File(ModuleVersion { path: "a.b", version: "v1.0.0-RC" }, Zip) a.b/@v/v1.0.0-!r!c.zip"#,
        );
        check(
            "/a.b/@v/v2.0.0+incompatible.mod",
            r#"File(ModuleVersion { path: "a.b", version: "v2.0.0+incompatible" }, Mod) a.b/@v/v2.0.0+incompatible.mod"#,
        );
        check("/sumdb/sum.a.b/supported", r#"SumDb("sum.a.b", "supported") sumdb/sum.a.b/supported"#);
        check(
            "/sumdb/sum.a.b/x/lookup/a.b/!c@v1.0.0",
            r#"SumDb("sum.a.b/x", "lookup/a.b/!c@v1.0.0") sumdb/sum.a.b/x/lookup/a.b/!c@v1.0.0"#,
        );
        check(
            "/sumdb/sum.a.b/tile/8/0/x001/234.p/56",
            r#"SumDb("sum.a.b", "tile/8/0/x001/234.p/56") sumdb/sum.a.b/tile/8/0/x001/234.p/56"#,
        );
        for bad in [
            "",
            "/",
            "/a.b",
            "/a.b/@v/",
            "/a.b/@v/list/x",
            "/../@v/list",
            "/a.b/../c/@v/list",
            "/a.b/%2e%2e/@v/list",
            "/a.b/@v/..%2f..%2fx.info",
            "/a.b/@v/master.mod",
            "/a.b/@v/v1.0.0.exe",
            "/A.b/@v/list",
            "/a.b/@v/v1.0.0.zip%00",
            "/sumdb/../lookup/x",
            "/sumdb/a.b/lookup/../x",
            "/sumdb//lookup/x",
            "/sumdb/user@a.b/supported",
            "/a%zz/@v/list",
            "/%ff/@v/list",
        ] {
            check(bad, "none");
        }
    }
}
