//! Flags of Go's as they are for the build machine: what is meant for the target's system alone is left out.

/// The machine that builds, beside the target.
#[derive(Debug, Clone, Copy)]
pub(super) struct Native {
    /// Its system is the target's.
    pub(super) same_system: bool,
    /// C is compiled for it.
    pub(super) cgo: bool,
}

impl Native {
    /// What the linker is told (`-ldflags`), without a file format of another system, and without a C linker where no C is
    /// compiled.
    pub(super) fn ldflags(self, value: &str) -> String {
        let mut left_out: Vec<&str> = Vec::new();
        if !self.same_system {
            left_out.push("H");
        }
        if !self.cgo {
            left_out.extend(["linkmode", "extld", "extldflags"]);
        }
        // `PATTERN=FLAGS` is for some packages only.
        let (pattern, words) = match value.split_once('=') {
            Some((pattern, words)) if !pattern.starts_with('-') && !pattern.contains(char::is_whitespace) => {
                (format!("{pattern}="), words)
            }
            _ => (String::new(), value),
        };
        let mut kept: Vec<&str> = Vec::new();
        let mut words = words_of(words).into_iter();
        while let Some(word) = words.next() {
            let name = word.trim_matches(['\'', '"']).trim_start_matches('-');
            let (name, has_value) = name.split_once('=').map_or((name, false), |(name, _)| (name, true));
            if !(word.contains('-') && left_out.contains(&name)) {
                kept.push(word);
            } else if !has_value {
                words.next();
            }
        }
        format!("{pattern}{}", kept.join(" "))
    }

    /// Whether a flag that isn't `-ldflags` can be as it is: programs are made, and what needs C is not asked for.
    pub(super) fn takes(self, name: &str, value: Option<&str>) -> bool {
        match name {
            "buildmode" => matches!(value, Some("pie" | "exe" | "default")),
            "race" | "msan" | "asan" | "linkshared" => self.cgo,
            _ => true,
        }
    }

    /// GOFLAGS; `None` where it can stay as it is.
    pub(super) fn goflags(self, value: &str) -> Option<String> {
        let words = words_of(value);
        let kept = words.iter().filter_map(|word| self.of_goflags(word));
        let new = kept.collect::<Vec<_>>().join(" ");
        (new != words.join(" ")).then_some(new)
    }

    fn of_goflags(self, word: &str) -> Option<String> {
        let text = word.strip_prefix(['\'', '"']).map_or(word, |inner| &inner[..inner.len().saturating_sub(1)]);
        let flag = text.trim_start_matches('-');
        let (name, value) = flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
        match value.filter(|_| name == "ldflags") {
            None => self.takes(name, value).then(|| word.to_owned()),
            Some(value) => {
                let new = self.ldflags(value);
                if new == value { Some(word.to_owned()) } else { quoted(&format!("-ldflags={new}")) }
            }
        }
    }
}

/// Words as Go splits them (`cmd/internal/quoted`), with their quotes.
fn words_of(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut left = text.trim_start();
    while let Some(first) = left.chars().next() {
        let end = if first == '\'' || first == '"' {
            left[1..].find(first).map_or(left.len(), |end| end + 2)
        } else {
            left.find(char::is_whitespace).unwrap_or(left.len())
        };
        words.push(&left[..end]);
        left = left[end..].trim_start();
    }
    words
}

/// A word so that Go splits it off again (`cmd/internal/quoted`); `None` where it can't be written so.
pub(super) fn quoted(word: &str) -> Option<String> {
    let plain = !word.is_empty() && !word.chars().any(|c| c.is_whitespace() || c == '\'' || c == '"');
    match (plain, word.contains('\''), word.contains('"')) {
        (true, ..) => Some(word.to_owned()),
        (_, false, _) => Some(format!("'{word}'")),
        (_, true, false) => Some(format!("\"{word}\"")),
        (_, true, true) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_is_gos() {
        assert_eq!(quoted("a b").unwrap(), "'a b'");
        assert_eq!(quoted("it's b").unwrap(), "\"it's b\"");
        assert_eq!(quoted("a'b\" c"), None);
    }

    #[test]
    fn goflags() {
        let check = |same_system: bool, value: &str, expected: &str| {
            let native = Native { same_system, cgo: false };
            assert_eq!(native.goflags(value).as_deref().unwrap_or("as it is"), expected, "{value}");
        };
        check(true, "-modcacherw -buildmode=pie -trimpath", "as it is");
        check(false, "-mod=mod '-ldflags=-s -w -X main.v=1'", "as it is");
        check(false, "-mod=mod '-ldflags=-H=windowsgui -s -w'", "-mod=mod '-ldflags=-s -w'");
        check(false, "-ldflags=-H=windowsgui", "-ldflags=");
        check(true, "-trimpath \"-ldflags=-linkmode=external -extldflags '-static -lm' -s\"", "-trimpath -ldflags=-s");
        check(true, "-buildmode=c-shared -race -tags=x", "-tags=x");
        check(true, "", "as it is");
    }
}
