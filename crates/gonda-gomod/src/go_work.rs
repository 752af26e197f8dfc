//! go.work files (<https://go.dev/ref/mod#go-work-file>).

use crate::error::SyntaxErrors;
use crate::go_mod::{self, Directive, Replace};
use crate::go_version::GoVersion;
use crate::module_version::ModuleVersion;
use crate::syntax::{self, Line, Statement};

/// A go.work file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GoWork {
    /// The least version of Go.
    pub go: Option<Directive<GoVersion>>,
    /// The suggested toolchain's name.
    pub toolchain: Option<Directive<String>>,
    /// Defaults of GODEBUG, key and value.
    pub godebug: Vec<Directive<(String, String)>>,
    /// The folders of the workspace's modules, as written.
    pub uses: Vec<Directive<String>>,
    /// Replacements, which override those of the modules.
    pub replace: Vec<Directive<Replace>>,
}

impl GoWork {
    /// Reads a go.work file.
    ///
    /// # Errors
    ///
    /// All mistakes of the directives, or the first one of syntax, in Go's words.
    pub fn parse(text: &str) -> Result<Self, SyntaxErrors> {
        let mut file = Self::default();
        let mut mistakes = Vec::new();
        for statement in syntax::parse(text)? {
            match statement {
                Statement::Line(line) => {
                    let Some((verb, arguments)) = line.tokens.split_first() else { continue };
                    if let Err(message) = file.directive(verb, arguments, &line) {
                        mistakes.push((line.place, message));
                    }
                }
                Statement::Block(block) => match block.tokens.as_slice() {
                    [verb] if ["godebug", "use", "replace"].iter().any(|known| known == verb) => {
                        for line in &block.lines {
                            if let Err(message) = file.directive(verb, &line.tokens, line) {
                                mistakes.push((line.place, message));
                            }
                        }
                    }
                    _ => mistakes.push((block.place, format!("unknown block type: {}", block.tokens.join(" ")))),
                },
            }
        }
        if mistakes.is_empty() { Ok(file) } else { Err(SyntaxErrors::new(text, mistakes)) }
    }

    fn directive(&mut self, verb: &str, arguments: &[String], line: &Line) -> Result<(), String> {
        let place = line.place;
        match verb {
            "go" => go_mod::once(&mut self.go, go_mod::read_go(arguments, true), verb, place),
            "toolchain" => go_mod::once(&mut self.toolchain, go_mod::read_toolchain(arguments), verb, place),
            "godebug" => go_mod::read_godebug(arguments).map(|value| self.godebug.push(Directive { value, place })),
            "use" => {
                let [path] = arguments else { return Err("usage: use local/dir".to_owned()) };
                self.uses.push(Directive { value: go_mod::read_string(path)?, place });
                Ok(())
            }
            "replace" => go_mod::read_replace(arguments).map(|value| self.replace.push(Directive { value, place })),
            _ => Err(format!("unknown directive: {verb}")),
        }
    }

    /// The replacement of a module, one for its version before one for all versions.
    #[must_use]
    pub fn replacement(&self, module: &ModuleVersion) -> Option<&ModuleVersion> {
        go_mod::replacement(&self.replace, module)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let answer = match GoWork::parse(text) {
            Err(errors) => errors.to_string(),
            Ok(file) => format!(
                "go {} toolchain {} use {} replace {}",
                file.go.map_or("-".to_owned(), |go| go.value.to_string()),
                file.toolchain.map_or("-".to_owned(), |toolchain| toolchain.value),
                file.uses.iter().map(|path| path.value.as_str()).collect::<Vec<_>>().join(" "),
                file.replace.len(),
            ),
        };
        assert_eq!(answer, expected);
    }

    #[test]
    fn files() {
        check(
            "go 1.22\ntoolchain default\nuse .\nuse (\n ./a // x\n \"./b c\"\n)\nreplace a.b => ./x",
            "go 1.22 toolchain default use . ./a ./b c replace 1",
        );
        check("", "go - toolchain - use  replace 0");
        check("use", "1:1: usage: use local/dir");
        check(
            "require a.b v1.0.0\ngo v1.22",
            "1:1: unknown directive: require\n2:1: invalid go version 'v1.22': must match format 1.23.0",
        );
        check("require (\n a.b v1.0.0\n)", "1:1: unknown block type: require");
    }
}
