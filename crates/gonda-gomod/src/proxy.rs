//! What GOPROXY, GOPRIVATE and `$GOROOT/go.env` say (<https://go.dev/ref/mod#environment-variables>).

/// One entry of a GOPROXY list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyEntry {
    /// Whom to ask.
    pub target: ProxyTarget,
    /// Whether the next entry is asked after any error (`|`), and not only where this one answers 404 or 410 (`,`).
    pub fall_back_on_error: bool,
}

/// Whom to ask for a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyTarget {
    /// A module proxy, `http://`, `https://` or `file://`.
    Url(String),
    /// The module's own repository.
    Direct,
    /// Nobody.
    Off,
}

/// Reads a GOPROXY list. As in Go, what follows `direct` or `off` does not count, and `https://` may be left out.
///
/// # Errors
///
/// Names the entry whose URL has another scheme than `http`, `https` and `file`, or none; or says that there is none.
pub fn parse_proxy_list(list: &str) -> Result<Vec<ProxyEntry>, String> {
    let mut entries = Vec::new();
    let mut rest = list;
    while !rest.is_empty() {
        let end = rest.find([',', '|']).unwrap_or(rest.len());
        let (name, tail) = rest.split_at(end);
        let fall_back_on_error = tail.starts_with('|');
        rest = tail.get(1..).unwrap_or_default();
        let target = match name.trim() {
            "" => continue,
            "off" => ProxyTarget::Off,
            "direct" => ProxyTarget::Direct,
            url if url.contains(":/") => ProxyTarget::Url(url.to_owned()),
            url if url.contains(['.', ':', '/']) && !url.starts_with(['/', '\\']) => {
                ProxyTarget::Url(format!("https://{url}"))
            }
            url => return Err(format!("invalid proxy URL missing scheme: {url}")),
        };
        if let ProxyTarget::Url(url) = &target {
            let scheme = url.split(':').next().unwrap_or_default();
            if !["http", "https", "file"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
                return Err(format!("invalid proxy URL scheme (must be https, http, file): {url}"));
            }
        }
        let last = !matches!(target, ProxyTarget::Url(_));
        entries.push(ProxyEntry { target, fall_back_on_error });
        if last {
            break;
        }
    }
    if entries.is_empty() {
        return Err("GOPROXY list is not the empty string, but contains no entries".to_owned());
    }
    Ok(entries)
}

/// Whether a prefix of a module path matches one of the comma-separated patterns of GOPRIVATE, GONOPROXY or GONOSUMDB:
/// a pattern of N elements is matched against the path's first N elements. Empty and malformed patterns match nothing.
#[must_use]
pub fn matches_prefix_patterns(patterns: &str, path: &str) -> bool {
    patterns.split(',').map(|pattern| pattern.trim_end_matches('/')).filter(|pattern| !pattern.is_empty()).any(
        |pattern| {
            let elements = pattern.split('/').count();
            let prefix: Vec<&str> = path.split('/').take(elements).collect();
            prefix.len() == elements
                && pattern.split('/').zip(prefix).all(|(pattern, element)| matches_element(pattern, element))
        },
    )
}

/// Go's `path.Match` for one path element: `*`, `?`, `[a-z]`, `[^a-z]`, `\c`.
fn matches_element(pattern: &str, name: &str) -> bool {
    let Some(pattern) = compile(pattern) else { return false };
    let name: Vec<char> = name.chars().collect();
    // Greedy with one point to return to: linear in practice, quadratic at worst.
    let (mut p, mut n) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        match pattern.get(p) {
            Some(Glob::Any) => {
                retry = Some((p, n));
                p += 1;
                continue;
            }
            Some(Glob::One(set)) if name.get(n).is_some_and(|c| set.contains(*c)) => {
                p += 1;
                n += 1;
                continue;
            }
            None if n == name.len() => return true,
            _ => {}
        }
        match retry {
            Some((star, start)) if start < name.len() => {
                retry = Some((star, start + 1));
                p = star + 1;
                n = start + 1;
            }
            _ => return false,
        }
    }
}

enum Glob {
    Any,
    One(Set),
}

struct Set {
    negated: bool,
    ranges: Vec<(char, char)>,
}

impl Set {
    fn contains(&self, c: char) -> bool {
        self.ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != self.negated
    }
}

fn compile(pattern: &str) -> Option<Vec<Glob>> {
    let mut globs = Vec::new();
    let mut characters = pattern.chars().peekable();
    let literal = |c: char| Glob::One(Set { negated: false, ranges: vec![(c, c)] });
    while let Some(c) = characters.next() {
        globs.push(match c {
            '*' => Glob::Any,
            '?' => Glob::One(Set { negated: true, ranges: Vec::new() }),
            '\\' => literal(characters.next()?),
            '[' => {
                let negated = characters.next_if_eq(&'^').is_some();
                let mut ranges = Vec::new();
                while ranges.is_empty() || characters.peek() != Some(&']') {
                    let mut bound = || match characters.next()? {
                        '\\' => characters.next(),
                        '-' | ']' => None,
                        c => Some(c),
                    };
                    let low = bound()?;
                    let high = if characters.next_if_eq(&'-').is_some() {
                        match characters.next()? {
                            '\\' => characters.next()?,
                            '-' | ']' => return None,
                            c => c,
                        }
                    } else {
                        low
                    };
                    ranges.push((low, high));
                }
                characters.next();
                Glob::One(Set { negated, ranges })
            }
            c => literal(c),
        });
    }
    Some(globs)
}

/// The value of a variable in the text of a `go.env` file: `KEY=VALUE` lines, `#` comments, the last one counts.
#[must_use]
pub fn go_env_value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .filter(|(name, _)| *name == key)
        .next_back()
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let check = |list: &str, expected: &str| {
            let show = |entry: &ProxyEntry| {
                let target = match &entry.target {
                    ProxyTarget::Url(url) => url.clone(),
                    ProxyTarget::Direct => "direct".to_owned(),
                    ProxyTarget::Off => "off".to_owned(),
                };
                format!("{target}{}", if entry.fall_back_on_error { "|" } else { "" })
            };
            let answer = parse_proxy_list(list)
                .map_or_else(|error| error, |entries| entries.iter().map(show).collect::<Vec<_>>().join(" "));
            assert_eq!(answer, expected, "{list}");
        };
        check("https://a.b,direct", "https://a.b direct");
        check(
            "a.b/x|file:///srv/p, http://127.0.0.1:1,off,https://never",
            "https://a.b/x| file:///srv/p http://127.0.0.1:1 off",
        );
        check("direct|https://never", "direct|");
        check(", ", "GOPROXY list is not the empty string, but contains no entries");
        check("ftp://a.b", "invalid proxy URL scheme (must be https, http, file): ftp://a.b");
        check("/srv/p", "invalid proxy URL missing scheme: /srv/p");
    }

    #[test]
    fn patterns() {
        let check = |patterns: &str, path: &str, expected: bool| {
            assert_eq!(matches_prefix_patterns(patterns, path), expected, "{patterns} {path}");
        };
        check("*.corp.example.com,rsc.io/private", "git.corp.example.com/xyzzy", true);
        check("*.corp.example.com,rsc.io/private", "rsc.io/private/quux", true);
        check("*.corp.example.com,rsc.io/private", "rsc.io/privateer", false);
        check("rsc.io/private", "rsc.io", false);
        check("github.com/a*c/", "github.com/abbc/x", true);
        check("github.com/a*c", "github.com/abbd", false);
        check("[a-c]?.io", "bx.io/m", true);
        check("[^a-c]?.io", "bx.io/m", false);
        check("[", "[", false);
        check("a[]", "a", false);
        check("", "a.b", false);
    }

    #[test]
    fn go_env() {
        let text = "# x\nGOPROXY=a,b\r\n GOSUMDB=c\nGOPROXY=d\n";
        assert_eq!(go_env_value(text, "GOPROXY"), Some("d"));
        assert_eq!(go_env_value(text, "GOSUMDB"), Some("c"));
        assert_eq!(go_env_value(text, "GOX"), None);
    }
}
