//! What a script's output says of a network that it could not reach: which program tried, and which host.

use std::sync::LazyLock;

use regex::Regex;

/// A program's try to reach the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The program, where its message names it.
    pub program: Option<String>,
    /// The host, or the address; where the message names it.
    pub host: Option<String>,
}

impl std::fmt::Display for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.program {
            Some(program) => write!(f, "`{program}` tried to reach ")?,
            None => f.write_str("the script tried to reach ")?,
        }
        match &self.host {
            Some(host) => write!(f, "`{host}`"),
            None => f.write_str("the network"),
        }
    }
}

/// Reads a script's output line by line.
#[derive(Debug, Default)]
pub struct Attempts(Option<Attempt>);

impl Attempts {
    /// Looks at a line.
    pub fn read(&mut self, line: &str) {
        if let Some(attempt) = attempt(line) {
            self.0 = Some(attempt);
        }
    }

    /// What was tried last, for that is what a script most likely failed with.
    #[must_use]
    pub fn last(&self) -> Option<&Attempt> {
        self.0.as_ref()
    }
}

/// A message, and the program whose message it is where the line doesn't name one.
struct Message {
    pattern: Regex,
    program: Option<&'static str>,
}

/// The messages of programs that build scripts call, the most telling first. A named group holds the host.
static MESSAGES: LazyLock<Vec<Message>> = LazyLock::new(|| {
    const HOST: &str = r"(?P<host>[A-Za-z0-9][A-Za-z0-9.:\-]*[A-Za-z0-9])";
    [
        // git over https, by libcurl.
        (
            r"unable to access '[a-z]+://(?:[^/@']*@)?(?P<host>[^/':]+)[^']*': .*(?:resolve|connect|unreachable)",
            Some("git"),
        ),
        (r"^ssh: Could not resolve hostname HOST: ", Some("ssh")),
        (r"^(?:.*/)?curl: \(\d+\) (?:Could not resolve host: |Failed to connect to |connect to )HOST", Some("curl")),
        (r"unable to resolve host address [‘'`]HOST", Some("wget")),
        (r"^wget: bad address '(?P<host>[^']+)'", Some("wget")),
        (r"^Connecting to HOST.* failed: Network is unreachable", Some("wget")),
        // npm, yarn and others that Node.js runs.
        (r"getaddrinfo (?:EAI_AGAIN|ENOTFOUND) HOST", None),
        (r"connect ENETUNREACH (?P<host>[0-9a-f.:]+)", None),
        // pip, by urllib3.
        (
            r"HTTPS?Connection(?:Pool)?\(host='(?P<host>[^']+)'.*(?:resol|establish a new connection|unreachable)",
            Some("pip"),
        ),
        // Go's own net package, in `go` and in programs written in Go.
        (r"dial tcp: lookup HOST(?: on [^ ]+)?: ", None),
        (r"dial (?:tcp|udp)[46]? (?P<host>[0-9a-f.:\[\]]+): connect: network is unreachable", None),
        // cargo, gem, R and whatever else is built on libcurl.
        (r"(?i)could(?:n't| not) resolve host(?:name)?: HOST", None),
        (r"(?i)temporary failure in name resolution", None),
        (r"(?i)\bnetwork is unreachable\b", None),
    ]
    .into_iter()
    .filter_map(|(pattern, program)| {
        let pattern = Regex::new(&pattern.replace("HOST", HOST)).ok()?;
        Some(Message { pattern, program })
    })
    .collect()
});

fn attempt(line: &str) -> Option<Attempt> {
    MESSAGES.iter().find_map(|message| {
        let found = message.pattern.captures(line)?;
        let host = found.name("host").map(|host| host.as_str().to_owned());
        let program = message.program.map(str::to_owned).or_else(|| named_in(line));
        Some(Attempt { program, host })
    })
}

/// The program that a line begins with, as in `npm error …`, `go: …`, `main.go:3: …` not included.
fn named_in(line: &str) -> Option<String> {
    let word = line.split([':', ' ']).next()?.rsplit('/').next()?;
    let known =
        ["go", "npm", "yarn", "pnpm", "node", "git", "cargo", "gh", "make", "gem", "pip", "rsync", "nc", "ping"];
    known.contains(&word).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line of output, and what it tells.
    fn check(line: &str, expected: &str) {
        assert_eq!(attempt(line).map_or_else(|| "-".to_owned(), |attempt| attempt.to_string()), expected, "{line}");
    }

    #[test]
    fn all_patterns_are_patterns() {
        assert_eq!(MESSAGES.len(), 14);
    }

    #[test]
    fn programs() {
        check("curl: (6) Could not resolve host: example.org", "`curl` tried to reach `example.org`");
        check("curl: (7) Failed to connect to 10.0.0.1 port 80", "`curl` tried to reach `10.0.0.1`");
        check("wget: unable to resolve host address ‘example.org’", "`wget` tried to reach `example.org`");
        check("wget: bad address 'example.org'", "`wget` tried to reach `example.org`");
        check(
            "fatal: unable to access 'https://github.invalid/o/r/': Could not resolve host: github.invalid",
            "`git` tried to reach `github.invalid`",
        );
        check(
            "ssh: Could not resolve hostname github.invalid: Temporary failure in name resolution",
            "`ssh` tried to reach `github.invalid`",
        );
        check(
            "npm error request to https://r.invalid/x failed, reason: getaddrinfo EAI_AGAIN r.invalid",
            "`npm` tried to reach `r.invalid`",
        );
        check(
            "WARNING: Retrying after connection broken by 'NameResolutionError(\"HTTPSConnection(host='p.invalid', \
             port=443): Failed to resolve 'p.invalid'\")': /simple/x/",
            "`pip` tried to reach `p.invalid`",
        );
        check(
            "go: m@v1: Get \"https://proxy.invalid/m/@v/v1.info\": dial tcp: lookup proxy.invalid on 10.0.0.1:53: dial udp \
             10.0.0.1:53: connect: network is unreachable",
            "`go` tried to reach `proxy.invalid`",
        );
        check(
            "Get \"https://a.invalid\": dial tcp 93.184.216.34:443: connect: network is unreachable",
            "the script tried to reach `93.184.216.34:443`",
        );
        check(
            "[6] Couldn't resolve host name (Could not resolve host: i.invalid)",
            "the script tried to reach `i.invalid`",
        );
        check("bash: connect: Network is unreachable", "the script tried to reach the network");
        check(
            "socket.gaierror: [Errno -3] Temporary failure in name resolution",
            "the script tried to reach the network",
        );
    }

    #[test]
    fn other_lines() {
        check("hello", "-");
        check("lookup failed: no such symbol", "-");
        check("resolved host names", "-");
    }

    #[test]
    fn the_last_counts() {
        let mut attempts = Attempts::default();
        assert_eq!(attempts.last(), None);
        for line in ["curl: (6) Could not resolve host: a.invalid", "curl: (6) Could not resolve host: b.invalid", "x"]
        {
            attempts.read(line);
        }
        assert_eq!(attempts.last().unwrap().host.as_deref(), Some("b.invalid"));
    }
}
