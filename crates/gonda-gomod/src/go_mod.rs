//! go.mod files (<https://go.dev/ref/mod#go-mod-file>).

use crate::error::{Place, SyntaxErrors};
use crate::go_version::GoVersion;
use crate::module_path::{check_path_major, is_directory_path, split_path_version};
use crate::module_version::{ModuleVersion, Semver, canonical_version};
use crate::quote::unquote;
use crate::syntax::{self, Block, Line, Statement, comment_text};

/// A directive's value and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive<T> {
    /// What it says.
    pub value: T,
    /// Where its line begins.
    pub place: Place,
}

/// A `module` directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// The module path.
    pub path: String,
    /// The text of a `Deprecated:` paragraph in its comments.
    pub deprecated: Option<String>,
}

/// A `require` directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Require {
    /// The module. The version is canonical, unless it is a query (a branch, a commit), which stands as written.
    pub module: ModuleVersion,
    /// Whether it is marked `// indirect`.
    pub indirect: bool,
}

/// A `replace` directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replace {
    /// What is replaced; without a version, all versions are.
    pub old: ModuleVersion,
    /// What stands in; without a version, a folder.
    pub new: ModuleVersion,
}

/// A `retract` directive: an interval of versions, both ends included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retract {
    /// The lowest version.
    pub low: String,
    /// The highest version.
    pub high: String,
    /// Why, from its comments; or empty.
    pub rationale: String,
}

/// A go.mod file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GoMod {
    /// The module's path.
    pub module: Option<Directive<Module>>,
    /// The least version of Go.
    pub go: Option<Directive<GoVersion>>,
    /// The suggested toolchain's name, such as `go1.22.3` or `default`.
    pub toolchain: Option<Directive<String>>,
    /// Defaults of GODEBUG, key and value.
    pub godebug: Vec<Directive<(String, String)>>,
    /// Dependencies.
    pub require: Vec<Directive<Require>>,
    /// Versions that are not to be chosen.
    pub exclude: Vec<Directive<ModuleVersion>>,
    /// Replacements.
    pub replace: Vec<Directive<Replace>>,
    /// Versions of this module that are not to be used.
    pub retract: Vec<Directive<Retract>>,
    /// Packages that `go tool` runs.
    pub tool: Vec<Directive<String>>,
    /// Folders that package patterns pass over.
    pub ignore: Vec<Directive<String>>,
}

impl GoMod {
    /// Reads the go.mod of a main module. As in Go, a version that is not a semantic version is accepted: it is a query
    /// that the Go command resolves, or refuses.
    ///
    /// # Errors
    ///
    /// All mistakes of the directives, or the first one of syntax, in Go's words.
    pub fn parse(text: &str) -> Result<Self, SyntaxErrors> {
        Self::read(text, true)
    }

    /// Reads the go.mod of a dependency: unknown directives, and those that only matter in a main module, are passed over.
    ///
    /// # Errors
    ///
    /// As [`GoMod::parse`].
    pub fn parse_lax(text: &str) -> Result<Self, SyntaxErrors> {
        Self::read(text, false)
    }

    fn read(text: &str, strict: bool) -> Result<Self, SyntaxErrors> {
        let statements = syntax::parse(text)?;
        let mut reader = Reader { file: Self::default(), strict, mistakes: Vec::new() };
        for statement in &statements {
            match statement {
                Statement::Line(line) => reader.directive(None, line),
                Statement::Block(block) => reader.block(block),
            }
        }
        if reader.mistakes.is_empty() { Ok(reader.file) } else { Err(SyntaxErrors::new(text, reader.mistakes)) }
    }

    /// The replacement of a module, one for its version before one for all versions.
    #[must_use]
    pub fn replacement(&self, module: &ModuleVersion) -> Option<&ModuleVersion> {
        replacement(&self.replace, module)
    }
}

/// The replacement of a module among `replace` directives; the last of equal ones counts.
pub(crate) fn replacement<'a>(replace: &'a [Directive<Replace>], module: &ModuleVersion) -> Option<&'a ModuleVersion> {
    let find = |version: &str| {
        replace
            .iter()
            .rev()
            .map(|directive| &directive.value)
            .find(|replace| replace.old.path == module.path && replace.old.version == version)
            .map(|replace| &replace.new)
    };
    find(&module.version).or_else(|| find(""))
}

struct Reader {
    file: GoMod,
    strict: bool,
    mistakes: Vec<(Place, String)>,
}

impl Reader {
    fn block(&mut self, block: &Block) {
        let known = ["module", "godebug", "require", "exclude", "replace", "retract", "tool", "ignore"].iter();
        match block.tokens.as_slice() {
            [verb] if known.clone().any(|known| known == verb) => {
                for line in &block.lines {
                    self.directive(Some(block), line);
                }
            }
            _ if self.strict => {
                self.mistakes.push((block.place, format!("unknown block type: {}", block.tokens.join(" "))));
            }
            _ => {}
        }
    }

    fn directive(&mut self, block: Option<&Block>, line: &Line) {
        let (verb, arguments) = match (block, line.tokens.as_slice()) {
            (Some(block), arguments) => (block.tokens.first().map_or("", String::as_str), arguments),
            (None, [verb, arguments @ ..]) => (verb.as_str(), arguments),
            (None, []) => return,
        };
        if !self.strict && !matches!(verb, "go" | "module" | "retract" | "require" | "ignore") {
            return;
        }
        if let Err(message) = self.read(verb, arguments, block, line) {
            self.mistakes.push((line.place, message));
        }
    }

    fn read(&mut self, verb: &str, arguments: &[String], block: Option<&Block>, line: &Line) -> Result<(), String> {
        let place = line.place;
        let file = &mut self.file;
        match verb {
            "go" => once(&mut file.go, read_go(arguments, self.strict), verb, place),
            "toolchain" => once(&mut file.toolchain, read_toolchain(arguments), verb, place),
            "module" => {
                let module = match arguments {
                    [path] => read_string(path).map(|path| Module { path, deprecated: deprecation(block, line) }),
                    _ => Err("usage: module module/path".to_owned()),
                };
                once(&mut file.module, module, verb, place)
            }
            "godebug" => read_godebug(arguments).map(|value| file.godebug.push(Directive { value, place })),
            "require" => {
                let module = read_module_version(verb, arguments)?;
                let value = Require { module, indirect: is_indirect(line) };
                file.require.push(Directive { value, place });
                Ok(())
            }
            "exclude" => {
                read_module_version(verb, arguments).map(|value| file.exclude.push(Directive { value, place }))
            }
            "replace" => read_replace(arguments).map(|value| file.replace.push(Directive { value, place })),
            "retract" => match read_interval(arguments) {
                Ok((low, high, rest)) => {
                    if let ([token, ..], true) = (rest, self.strict) {
                        return Err(format!("unexpected token after version: \"{token}\""));
                    }
                    let value = Retract { low, high, rationale: comment_text(block, line) };
                    file.retract.push(Directive { value, place });
                    Ok(())
                }
                // A dependency may use a syntax that is yet to come.
                Err(message) => {
                    if self.strict {
                        Err(message)
                    } else {
                        Ok(())
                    }
                }
            },
            "tool" | "ignore" => {
                let [path] = arguments else { return Err(format!("{verb} directive expects exactly one argument")) };
                let list = if verb == "tool" { &mut file.tool } else { &mut file.ignore };
                list.push(Directive { value: read_string(path)?, place });
                Ok(())
            }
            _ => Err(format!("unknown directive: {verb}")),
        }
    }
}

/// Sets a directive that may stand only once.
pub(crate) fn once<T>(
    slot: &mut Option<Directive<T>>,
    value: Result<T, String>,
    verb: &str,
    place: Place,
) -> Result<(), String> {
    if slot.is_some() {
        return Err(format!("repeated {verb} statement"));
    }
    *slot = Some(Directive { value: value?, place });
    Ok(())
}

pub(crate) fn read_go(arguments: &[String], strict: bool) -> Result<GoVersion, String> {
    let [version] = arguments else { return Err("go directive expects exactly one argument".to_owned()) };
    // `1.N`, at least: a bare `1` is a version, but not here.
    let well_formed = |text: &str| GoVersion::parse(text).filter(|_| text.contains('.'));
    let lax = || {
        // What a dependency says is read as far as it makes sense: `v1.17`, `1.13.x`.
        let text = version.strip_prefix('v').unwrap_or(version);
        let minor = text.find('.')? + 1;
        let length = text[minor..].find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len() - minor);
        (minor + length < text.len()).then(|| well_formed(&text[..minor + length])).flatten()
    };
    well_formed(version)
        .or_else(|| if strict { None } else { lax() })
        .ok_or_else(|| format!("invalid go version '{version}': must match format 1.23.0"))
}

pub(crate) fn read_toolchain(arguments: &[String]) -> Result<String, String> {
    match arguments {
        [name] if name == "default" || name == "go1" || name.starts_with("go1.") => Ok(name.clone()),
        [name] => Err(format!("invalid toolchain version '{name}': must match format go1.23.0 or default")),
        _ => Err("toolchain directive expects exactly one argument".to_owned()),
    }
}

pub(crate) fn read_godebug(arguments: &[String]) -> Result<(String, String), String> {
    match arguments {
        [setting] if !setting.contains(['"', '`', '\'', ',']) => {
            setting.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()))
        }
        _ => None,
    }
    .ok_or_else(|| "usage: godebug key=value".to_owned())
}

/// A token's value. Quotes that are not those of a whole literal are reserved.
pub(crate) fn read_string(token: &str) -> Result<String, String> {
    if token.starts_with(['"', '`']) {
        return unquote(token).ok_or_else(|| "invalid quoted string: invalid syntax".to_owned());
    }
    if token.contains(['"', '\'', '`']) {
        return Err("invalid quoted string: unquoted string cannot contain quote".to_owned());
    }
    Ok(token.to_owned())
}

/// A version in its canonical form, a query as written.
fn read_version(token: &str) -> Result<String, String> {
    let version = read_string(token)?;
    Ok(canonical_version(&version).unwrap_or(version))
}

fn read_module_version(verb: &str, arguments: &[String]) -> Result<ModuleVersion, String> {
    let [path, version] = arguments else { return Err(format!("usage: {verb} module/path v1.2.3")) };
    let module = ModuleVersion::new(read_string(path)?, read_version(version)?);
    check_major(&module).map_err(|reason| format!("{verb} {}: {reason}", module.path))?;
    Ok(module)
}

fn check_major(module: &ModuleVersion) -> Result<(), String> {
    let (_, major) = split_path_version(&module.path).ok_or_else(|| "invalid module path".to_owned())?;
    if Semver::parse(&module.version).is_none() {
        return Ok(());
    }
    check_path_major(&module.version, major)
        .map_err(|reason| format!("version \"{}\" invalid: {reason}", module.version))
}

pub(crate) fn read_replace(arguments: &[String]) -> Result<Replace, String> {
    const USAGE: &str = "usage: replace module/path [v1.2.3] => other/module v1.4\n\t or replace module/path [v1.2.3] => ../local/directory";
    let arrow = if arguments.get(1).is_some_and(|token| token == "=>") { 1 } else { 2 };
    if arguments.get(arrow).is_none_or(|token| token != "=>") {
        return Err(USAGE.to_owned());
    }
    let (left, right) = (&arguments[..arrow], &arguments[arrow + 1..]);
    let mut old = ModuleVersion::new(read_string(&left[0])?, "");
    if let Some(version) = left.get(1) {
        old.version = read_version(version)?;
    }
    check_major(&old).map_err(|reason| format!("replace {}: {reason}", old.path))?;
    let new = match right {
        [path] => {
            let path = read_string(path)?;
            if !is_directory_path(&path) {
                let reason = if path.contains('@') {
                    "replacement module must match format 'path version', not 'path@version'"
                } else {
                    "replacement module without version must be directory path (rooted or starting with . or ..)"
                };
                return Err(reason.to_owned());
            }
            ModuleVersion::new(path, "")
        }
        [path, version] => {
            let path = read_string(path)?;
            if is_directory_path(&path) {
                return Err(format!("replacement module directory path \"{path}\" cannot have version"));
            }
            ModuleVersion::new(path, read_version(version)?)
        }
        _ => return Err(USAGE.to_owned()),
    };
    Ok(Replace { old, new })
}

/// One version, or two in brackets; gives what follows, too.
fn read_interval(arguments: &[String]) -> Result<(String, String, &[String]), String> {
    let version = |tokens: &[String]| match tokens.first() {
        Some(token) if token != "," && token != "]" => {
            read_version(token).and_then(|version| match Semver::parse(&version) {
                Some(_) => Ok(version),
                None => Err(format!("version \"{version}\" invalid: must be of the form v1.2.3")),
            })
        }
        _ => Err("expected version".to_owned()),
    };
    match arguments.first().map(String::as_str) {
        None | Some("(") => Err("expected '[' or version".to_owned()),
        Some("[") => {
            let low = version(&arguments[1..]).map_err(|reason| after(reason, "'['"))?;
            if arguments.get(2).is_none_or(|token| token != ",") {
                return Err("expected ',' after version".to_owned());
            }
            let high = version(&arguments[3..]).map_err(|reason| after(reason, "','"))?;
            if arguments.get(4).is_none_or(|token| token != "]") {
                return Err("expected ']' after version".to_owned());
            }
            Ok((low, high, &arguments[5..]))
        }
        Some(_) => version(arguments).map(|version| (version.clone(), version, &arguments[1..])),
    }
}

fn after(reason: String, mark: &str) -> String {
    if reason == "expected version" { format!("{reason} after {mark}") } else { reason }
}

fn is_indirect(line: &Line) -> bool {
    let Some(comment) = line.suffix.as_deref().and_then(|comment| comment.strip_prefix("//")) else { return false };
    let mut words = comment.split_whitespace();
    match (words.next(), words.next()) {
        (Some(word), None) => word == "indirect",
        (Some(word), Some(_)) => word == "indirect;",
        _ => false,
    }
}

/// The first paragraph of a `module` directive's comments that begins with `Deprecated:`.
fn deprecation(block: Option<&Block>, line: &Line) -> Option<String> {
    comment_text(block, line)
        .split("\n\n")
        .find_map(|paragraph| paragraph.strip_prefix("Deprecated:"))
        .map(|text| text.trim_start_matches(' ').to_owned())
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    fn show(file: &GoMod) -> String {
        let mut out = String::new();
        if let Some(module) = &file.module {
            writeln!(out, "module {} {:?}", module.value.path, module.value.deprecated).unwrap();
        }
        if let Some(go) = &file.go {
            writeln!(out, "go {} at {}:{}", go.value, go.place.line, go.place.column).unwrap();
        }
        if let Some(toolchain) = &file.toolchain {
            writeln!(out, "toolchain {}", toolchain.value).unwrap();
        }
        for godebug in &file.godebug {
            writeln!(out, "godebug {:?}", godebug.value).unwrap();
        }
        for Directive { value, place } in &file.require {
            writeln!(out, "{} require {}{}", place.line, value.module, if value.indirect { " indirect" } else { "" })
                .unwrap();
        }
        for Directive { value, .. } in &file.exclude {
            writeln!(out, "exclude {value}").unwrap();
        }
        for Directive { value, .. } in &file.replace {
            writeln!(out, "replace {} => {}", value.old, value.new).unwrap();
        }
        for Directive { value, .. } in &file.retract {
            writeln!(out, "retract {}..{} {:?}", value.low, value.high, value.rationale).unwrap();
        }
        for Directive { value, .. } in &file.tool {
            writeln!(out, "tool {value}").unwrap();
        }
        for Directive { value, .. } in &file.ignore {
            writeln!(out, "ignore {value}").unwrap();
        }
        out
    }

    fn check(text: &str, expected: &str) {
        let answer = GoMod::parse(text).map_or_else(|errors| format!("{errors}\n"), |file| show(&file));
        assert_eq!(answer.trim_end(), expected.trim());
    }

    fn check_lax(text: &str, expected: &str) {
        let answer = GoMod::parse_lax(text).map_or_else(|errors| format!("{errors}\n"), |file| show(&file));
        assert_eq!(answer.trim_end(), expected.trim());
    }

    #[test]
    fn everything() {
        check(
            r#"// A comment.

// Deprecated: use v2
// instead.
module "example.com/m"

go 1.22.1
toolchain go1.23.4
godebug (
	default=go1.21
	panicnil=1
)

require example.com/a v1.2.3
require (
	example.com/b/v2 v2.0 // indirect
	"example.com/c" v0.0.0-20190101000000-abcdefabcdef // indirect; for x

	example.com/d master // why
	gopkg.in/yaml.v3 v3.0.1
	example.com/old v3.0.0+incompatible
)
exclude example.com/a v1.2.4
replace (
	example.com/a => ../a
	example.com/b/v2 v2.0.0 => example.com/fork/v2 v2.0.1
)
// Published by mistake.
retract v1.0.0
retract [v1.1.0, v1.2.0] // broken
tool example.com/a/cmd/gen
ignore (
	./x
)
retract ()
"#,
            r#"
module example.com/m Some("use v2\ninstead.")
go 1.22.1 at 7:1
toolchain go1.23.4
godebug ("default", "go1.21")
godebug ("panicnil", "1")
14 require example.com/a@v1.2.3
16 require example.com/b/v2@v2.0.0 indirect
17 require example.com/c@v0.0.0-20190101000000-abcdefabcdef indirect
19 require example.com/d@master
20 require gopkg.in/yaml.v3@v3.0.1
21 require example.com/old@v3.0.0+incompatible
exclude example.com/a@v1.2.4
replace example.com/a => ../a
replace example.com/b/v2@v2.0.0 => example.com/fork/v2@v2.0.1
retract v1.0.0..v1.0.0 "Published by mistake."
retract v1.1.0..v1.2.0 "broken"
tool example.com/a/cmd/gen
ignore ./x"#,
        );
    }

    #[test]
    fn odd_but_fine() {
        check("", "");
        check("module\texample.com/m//x\r\ngo 1.21", "module example.com/m None\ngo 1.21 at 2:1");
        check("module `example.com/m`", "module example.com/m None");
        check("module (\n example.com/m\n)", "module example.com/m None");
        check("go 1.18 // é", "go 1.18 at 1:1");
    }

    #[test]
    fn mistakes() {
        check("module a.b\n/* x */", "2:1: mod files must use // comments (not /* */ comments)");
        check(
            "modul a.b\nfoo (\n)\ngo 1",
            "1:1: unknown directive: modul\n2:1: unknown block type: foo\n4:1: invalid go version '1': must match format 1.23.0",
        );
        check("require (\n a.b v1", "2:8: syntax error (unterminated block started at 1:1)");
        check("require (\n) x", "2:3: syntax error (expected newline after closing paren)");
        check("module \"a", "1:8: unexpected EOF in string");
        check("module a\"b", "1:1: invalid quoted string: unquoted string cannot contain quote");
        check("go 1.21\ngo 1.22", "2:1: repeated go statement");
        check("require a.b", "1:1: usage: require module/path v1.2.3");
        check("require a.b v2.0.0", "1:1: require a.b: version \"v2.0.0\" invalid: should be v0 or v1, not v2");
        check(
            "replace a.b => c.d",
            "1:1: replacement module without version must be directory path (rooted or starting with . or ..)",
        );
        check("replace a.b => c.d@v1", "1:1: replacement module must match format 'path version', not 'path@version'");
        check("replace a.b => ./c v1.0.0", "1:1: replacement module directory path \"./c\" cannot have version");
        check("retract [v1.0.0", "1:1: expected ',' after version");
        check("retract [v1.0.0, v1.1.0", "1:1: expected ']' after version");
        check("retract [", "1:1: expected version after '['");
        check("retract [v1.0.0,]", "1:1: expected version after ','");
        check("toolchain 1.22", "1:1: invalid toolchain version '1.22': must match format go1.23.0 or default");
        check("\u{feff}module a.b", "1:1: unexpected input character `\\u{feff}`");
        check(")", "1:1: unknown directive: )");
        check("(\n)", "1:1: unknown directive: (\n2:1: unknown directive: )");
    }

    #[test]
    fn dependencies_are_read_leniently() {
        check_lax(
            "module a.b\nfoo bar\nreplace x\ngo v1.17.x\nretract soon\nnew (\n a\n)",
            "module a.b None\ngo 1.17 at 4:1",
        );
        check_lax("go x", "1:1: invalid go version 'x': must match format 1.23.0");
    }

    #[test]
    fn replacements() {
        let file = GoMod::parse("replace (\n a.b => ./all\n a.b v1.0.0 => ./one\n)").unwrap();
        let find = |version: &str| file.replacement(&ModuleVersion::new("a.b", version)).map(|new| new.path.clone());
        assert_eq!(find("v1.0.0").as_deref(), Some("./one"));
        assert_eq!(find("v1.1.0").as_deref(), Some("./all"));
        assert_eq!(file.replacement(&ModuleVersion::new("a.c", "v1.0.0")), None);
    }
}
