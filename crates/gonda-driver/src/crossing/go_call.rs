//! A call of the `go` command, taken apart as far as a cross build must know it.

/// Flags of `go build`, `go install` and `go run` that take no value (`cmd/go/internal/work`, `AddBuildFlags`). All
/// others do; `go tool`'s and `go generate`'s are among them.
const WITHOUT_VALUE: &[&str] = &[
    "a",
    "asan",
    "buildvcs",
    "cover",
    "i",
    "json",
    "linkshared",
    "modcacherw",
    "msan",
    "n",
    "race",
    "trimpath",
    "v",
    "work",
    "x",
];

/// `go VERB [-C DIR] [FLAGS] REST`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GoCall<'a> {
    /// `build`, `run`, …
    pub(super) verb: &'a str,
    /// The folder that `-C` names, which must be the first flag.
    pub(super) folder: Option<&'a str>,
    /// Flags but for `-C`, as written: each with its value's argument, where that is one of its own.
    pub(super) flags: Vec<Flag<'a>>,
    /// From the first argument on that is no flag: packages, a program's arguments.
    pub(super) rest: &'a [String],
}

/// A flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flag<'a> {
    /// Without its dashes.
    pub(super) name: &'a str,
    /// Its value, if it has one.
    pub(super) value: Option<&'a str>,
    /// As written.
    pub(super) words: &'a [String],
}

impl<'a> GoCall<'a> {
    /// Takes the arguments of a `go` command apart; `None` where there is no verb.
    pub(super) fn parse(args: &'a [String]) -> Option<Self> {
        let (verb, mut left) = args.split_first()?;
        if verb.starts_with('-') {
            return None;
        }
        let mut this = Self { verb, folder: None, flags: Vec::new(), rest: &[] };
        while let Some((flag, rest)) = Flag::parse(left) {
            if flag.name == "C" && this.flags.is_empty() && this.folder.is_none() {
                this.folder = flag.value;
            } else {
                this.flags.push(flag);
            }
            left = rest;
        }
        this.rest = left;
        Some(this)
    }

    /// The value of a flag; of the last one, where it is there several times.
    pub(super) fn value(&self, name: &str) -> Option<&'a str> {
        self.flags.iter().rev().find(|flag| flag.name == name)?.value
    }

    /// Whether a flag is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.flags.iter().any(|flag| flag.name == name)
    }

    /// The arguments again, with other flags.
    pub(super) fn with_flags(&self, flags: impl IntoIterator<Item = String>) -> Vec<String> {
        let folder = self.folder.map(|folder| ["-C".to_owned(), folder.to_owned()]);
        let mut args = vec![self.verb.to_owned()];
        args.extend(folder.into_iter().flatten());
        args.extend(flags);
        args.extend(self.rest.iter().cloned());
        args
    }
}

impl<'a> Flag<'a> {
    /// A flag at the start of the arguments, and what follows it. `--` and `-` alone end the flags (Go's `flag`).
    fn parse(args: &'a [String]) -> Option<(Self, &'a [String])> {
        let first = args.first()?;
        let text = first.strip_prefix("--").or_else(|| first.strip_prefix('-')).filter(|text| !text.is_empty())?;
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        if value.is_some() || WITHOUT_VALUE.contains(&name) {
            return Some((Self { name, value, words: &args[..1] }, &args[1..]));
        }
        let length = args.len().min(2);
        let value = args.get(1).map(String::as_str);
        Some((Self { name, value, words: &args[..length] }, &args[length..]))
    }

    /// As written, as arguments.
    pub(super) fn to_args(self) -> impl Iterator<Item = String> + 'a {
        self.words.iter().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &str) {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let shown = match GoCall::parse(&args) {
            None => "none".to_owned(),
            Some(call) => {
                let flags: Vec<String> = call
                    .flags
                    .iter()
                    .map(|flag| {
                        flag.value.map_or_else(|| flag.name.to_owned(), |value| format!("{}:{value}", flag.name))
                    })
                    .collect();
                format!("{} C={} [{}] {}", call.verb, call.folder.unwrap_or(""), flags.join(" "), call.rest.join(" "))
            }
        };
        assert_eq!(shown.trim_end(), expected, "{line}");
    }

    #[test]
    fn calls() {
        check("", "none");
        check("-h", "none");
        check("version", "version C= []");
        check("build", "build C= []");
        check("build -v -o bin/x ./cmd/x", "build C= [v o:bin/x] ./cmd/x");
        check("build -o=/p/x -ldflags=-s=1 .", "build C= [o:/p/x ldflags:-s=1] .");
        check("build --tags a,b --race=false ./...", "build C= [tags:a,b race:false] ./...");
        check("run -C tools -mod mod ./gen -v -o x", "run C=tools [mod:mod] ./gen -v -o x");
        check("run -v -C tools .", "run C= [v C:tools] .");
        check("install -buildvcs a@v1 b@v1", "install C= [buildvcs] a@v1 b@v1");
        check("build -o", "build C= [o]");
        check("run -- x", "run C= [] -- x");
    }
}
