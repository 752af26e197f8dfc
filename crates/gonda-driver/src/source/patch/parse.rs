//! Reads patch files: unified diffs as diff, git diff, git format-patch, Mercurial and Subversion write them, with
//! whatever text stands between. Hunks are cut out whole; applying them is the library's business.

/// What a patch does to one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FilePatch {
    /// The line of the patch file where it begins, 1-based.
    pub(super) line: usize,
    /// The names after `---` and `+++`.
    pub(super) old: Side,
    pub(super) new: Side,
    /// It began with `diff --git`.
    pub(super) git: bool,
    /// The names in that line, if they could be told apart.
    pub(super) git_names: Option<(Vec<u8>, Vec<u8>)>,
    /// git's `rename from`/`to`, without prefix.
    pub(super) rename: (Option<Vec<u8>>, Option<Vec<u8>>),
    /// git's `copy from`/`to`, without prefix.
    pub(super) copy: (Option<Vec<u8>>, Option<Vec<u8>>),
    pub(super) created: bool,
    pub(super) deleted: bool,
    pub(super) new_mode: Option<u32>,
    /// The change is not in the form of lines.
    pub(super) binary: bool,
    /// Two binary files differ, and the patch doesn't say how.
    pub(super) lacks_binary: bool,
    pub(super) hunks: Vec<Hunk>,
}

/// A name of a file in a patch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Side {
    /// Not written.
    #[default]
    Missing,
    /// `/dev/null`, or a time stamp of 1970: there is no such file.
    Null(Vec<u8>),
    Name(Vec<u8>),
}

impl Side {
    pub(super) fn name(&self) -> Option<&[u8]> {
        match self {
            Self::Name(name) => Some(name),
            // diff -N without git: the name stands beside the time stamp.
            Self::Null(name) if !name.is_empty() => Some(name),
            _ => None,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Null(_))
    }
}

/// A hunk, with its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hunk {
    /// The line of the patch file where it begins, 1-based.
    pub(super) line: usize,
    /// The line of the old file where it belongs, and how many it covers there.
    pub(super) old_start: usize,
    pub(super) old_len: usize,
    /// Head and lines.
    pub(super) text: Vec<u8>,
}

/// A patch file that can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) line: usize,
    pub(super) why: &'static str,
}

/// All files of a patch, in order.
pub(super) fn parse(text: &[u8]) -> Result<Vec<FilePatch>, Malformed> {
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let mut reader = Reader { lines: &lines, at: 0, files: Vec::new(), current: None };
    while let Some(line) = reader.lines.get(reader.at) {
        reader.line(line)?;
    }
    reader.flush();
    Ok(reader.files)
}

struct Reader<'a> {
    lines: &'a [&'a [u8]],
    at: usize,
    files: Vec<FilePatch>,
    current: Option<FilePatch>,
}

impl Reader<'_> {
    fn line(&mut self, line: &[u8]) -> Result<(), Malformed> {
        let bare = bare(line);
        let next = self.lines.get(self.at + 1).copied().unwrap_or_default();
        if let Some(names) = bare.strip_prefix(b"diff --git ") {
            self.flush();
            let git_names = git_names(names);
            self.current = Some(FilePatch { line: self.at + 1, git: true, git_names, ..FilePatch::default() });
        } else if bare.starts_with(b"--- ") && next.starts_with(b"+++ ") {
            self.names(bare, self::bare(next));
            self.at += 1;
        } else if bare.starts_with(b"@@ -") {
            return self.hunk(bare);
        } else if let Some(file) = self.current.as_mut().filter(|file| file.git && file.hunks.is_empty()) {
            extended_header(file, bare);
        }
        self.at += 1;
        Ok(())
    }

    fn names(&mut self, old: &[u8], new: &[u8]) {
        if !self.current.as_ref().is_some_and(|file| file.old == Side::Missing && file.hunks.is_empty()) {
            self.flush();
            self.current = Some(FilePatch { line: self.at + 1, ..FilePatch::default() });
        }
        if let Some(file) = &mut self.current {
            file.old = side(&old[4..], file.git);
            file.new = side(&new[4..], file.git);
        }
    }

    fn hunk(&mut self, head: &[u8]) -> Result<(), Malformed> {
        let start = self.at;
        let malformed = |why| Malformed { line: start + 1, why };
        let ((old_start, old_len), (_, new_len)) =
            ranges(head).ok_or_else(|| malformed("the head of a hunk can't be read"))?;
        let Some(file) = &mut self.current else {
            return Err(malformed("a hunk stands before any file name"));
        };
        let mut text = self.lines[start].to_vec();
        if text.last() != Some(&b'\n') {
            text.push(b'\n');
        }
        let (mut old, mut new) = (0, 0);
        self.at += 1;
        while let Some(line) = self.lines.get(self.at).copied() {
            let whole = old >= old_len && new >= new_len;
            match line.first() {
                Some(b'\\') => text.extend_from_slice(line),
                // Beyond what its head says, a hunk goes on only with what can be nothing else.
                Some(b' ' | b'+' | b'-') if whole && is_end(&self.lines[self.at..]) => break,
                Some(b' ' | b'+' | b'-') => {
                    old += usize::from(line[0] != b'+');
                    new += usize::from(line[0] != b'-');
                    text.extend_from_slice(line);
                }
                // Programs that strip blanks at line ends make empty lines of the context's.
                Some(b'\n' | b'\r') if !whole => {
                    old += 1;
                    new += 1;
                    text.push(b' ');
                    text.extend_from_slice(line);
                }
                _ => break,
            }
            self.at += 1;
        }
        file.hunks.push(Hunk { line: start + 1, old_start, old_len, text });
        Ok(())
    }

    fn flush(&mut self) {
        if let Some(file) = self.current.take() {
            let says_something = !file.hunks.is_empty()
                || file.binary
                || file.lacks_binary
                || file.created
                || file.deleted
                || file.new_mode.is_some()
                || file.rename.1.is_some()
                || file.copy.1.is_some();
            if says_something {
                self.files.push(file);
            }
        }
    }
}

/// Whether these lines, after a hunk, begin something else: a mail's signature, the next file.
fn is_end(lines: &[&[u8]]) -> bool {
    let first = bare(lines[0]);
    let names = first.starts_with(b"--- ") && lines.get(1).is_some_and(|line| line.starts_with(b"+++ "));
    names || first == b"-- " || first == b"--" || first.starts_with(b" ")
}

fn extended_header(file: &mut FilePatch, line: &[u8]) {
    let after = |prefix: &str| line.strip_prefix(prefix.as_bytes());
    let mode = |text: &[u8]| std::str::from_utf8(text).ok().and_then(|text| u32::from_str_radix(text.trim(), 8).ok());
    if let Some(text) = after("new file mode ") {
        file.created = true;
        file.new_mode = mode(text);
    } else if after("deleted file mode ").is_some() {
        file.deleted = true;
    } else if let Some(text) = after("new mode ") {
        file.new_mode = mode(text);
    } else if let Some(name) = after("rename from ") {
        file.rename.0 = Some(unquoted(name));
    } else if let Some(name) = after("rename to ") {
        file.rename.1 = Some(unquoted(name));
    } else if let Some(name) = after("copy from ") {
        file.copy.0 = Some(unquoted(name));
    } else if let Some(name) = after("copy to ") {
        file.copy.1 = Some(unquoted(name));
    } else if after("GIT binary patch").is_some() {
        file.binary = true;
    } else if after("Binary files ").is_some() && line.ends_with(b" differ") {
        file.lacks_binary = true;
    }
}

/// A line without its end.
fn bare(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// `@@ -start,len +start,len @@`
fn ranges(head: &[u8]) -> Option<((usize, usize), (usize, usize))> {
    let text = String::from_utf8_lossy(head);
    let (old, rest) = text.strip_prefix("@@ -")?.split_once(" +")?;
    let (new, _) = rest.split_once(" @@")?;
    let range = |text: &str| -> Option<(usize, usize)> {
        match text.split_once(',') {
            Some((start, len)) => Some((start.parse().ok()?, len.parse().ok()?)),
            None => Some((text.parse().ok()?, 1)),
        }
    };
    Some((range(old)?, range(new)?))
}

/// The name after `---` or `+++`: before a tab, or before what looks like a time.
fn side(text: &[u8], git: bool) -> Side {
    let (name, stamp) = if text.first() == Some(&b'"') {
        (unquoted(text), &b""[..])
    } else if let Some(tab) = text.iter().position(|byte| *byte == b'\t') {
        (text[..tab].to_vec(), &text[tab + 1..])
    } else if let Some(end) = (!git).then(|| stamp_at(text)).flatten() {
        (text[..end].to_vec(), &text[end + 1..])
    } else {
        (text.trim_ascii_end().to_vec(), &b""[..])
    };
    if name == b"/dev/null" {
        return Side::Null(Vec::new());
    }
    // 1970 in zones behind UTC is the last day of 1969.
    let epoch = stamp.starts_with(b"1970-01-01 ") || stamp.starts_with(b"1969-12-31 ");
    if epoch { Side::Null(name) } else { Side::Name(name) }
}

/// Where a time begins that is parted from the name by a blank only.
fn stamp_at(text: &[u8]) -> Option<usize> {
    (1..text.len()).filter(|at| text[*at] == b' ').find(|at| {
        let rest = &text[at + 1..];
        let year = rest.len() > 10 && rest[..4].iter().all(u8::is_ascii_digit) && rest[4] == b'-' && rest[7] == b'-';
        let day = [b"Mon ", b"Tue ", b"Wed ", b"Thu ", b"Fri ", b"Sat ", b"Sun "];
        year || day.iter().any(|day| rest.starts_with(*day)) || rest.starts_with(b"(revision ")
    })
}

/// The two names of `diff --git a/x b/x`: where one is not quoted, the blank between them is where both sides, without
/// their first folder (or as a whole), are equal.
fn git_names(text: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    if text.first() == Some(&b'"') {
        let end = closing_quote(text)?;
        return Some((unquoted(&text[..=end]), unquoted(text.get(end + 2..)?)));
    }
    let tail = |name: &[u8]| name.iter().position(|byte| *byte == b'/').map(|slash| name[slash + 1..].to_vec());
    let splits = (0..text.len()).filter(|at| text[*at] == b' ');
    let halves = splits.map(|at| (text[..at].to_vec(), unquoted(&text[at + 1..])));
    let same = halves.clone().find(|(old, new)| old == new || (tail(old).is_some() && tail(old) == tail(new)));
    same.or_else(|| halves.into_iter().find(|(_, new)| new.starts_with(b"b/")))
}

fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            b'"' => return Some(at),
            _ => at += 1,
        }
    }
    None
}

/// A name as git writes it: in quotes, with C's escapes, where it has odd characters.
fn unquoted(text: &[u8]) -> Vec<u8> {
    let Some(end) = (text.first() == Some(&b'"')).then(|| closing_quote(text)).flatten() else {
        return text.trim_ascii_end().to_vec();
    };
    let mut name = Vec::new();
    let mut rest = &text[1..end];
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'\\' {
            name.push(*byte);
            continue;
        }
        let octal = rest.iter().take(3).take_while(|byte| (b'0'..=b'7').contains(*byte)).count();
        if octal > 0 {
            let value = rest[..octal].iter().fold(0_u32, |value, byte| value * 8 + u32::from(byte - b'0'));
            name.push(u8::try_from(value & 0xff).unwrap_or_default());
            rest = &rest[octal..];
        } else if let Some((byte, after)) = rest.split_first() {
            rest = after;
            name.push(match byte {
                b'n' => b'\n',
                b't' => b'\t',
                b'r' => b'\r',
                b'a' => 7,
                b'b' => 8,
                b'v' => 11,
                b'f' => 12,
                other => *other,
            });
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_times() {
        let check = |text: &str, git: bool, expected: &str| {
            let shown = match side(text.as_bytes(), git) {
                Side::Missing => "missing".to_owned(),
                Side::Null(name) => format!("null {}", String::from_utf8_lossy(&name)),
                Side::Name(name) => String::from_utf8_lossy(&name).into_owned(),
            };
            assert_eq!(shown, expected, "{text}");
        };
        check("a/x.go\t2024-01-01 10:00:00.0 +0000", false, "a/x.go");
        check("a/x y.go\t", true, "a/x y.go");
        check("a/x y.go 2024-01-01 10:00:00", false, "a/x y.go");
        check("x.go Tue Jan  1 10:00:00 2024", false, "x.go");
        check("x.go (revision 12)", false, "x.go");
        check("/dev/null", true, "null ");
        check("/dev/null\t1970-01-01 00:00:00 +0000", false, "null ");
        check("new/x.go\t1970-01-01 01:00:00.000000000 +0100", false, "null new/x.go");
        check("\"a/\\303\\274\\t.go\"", true, "a/ü\t.go");
    }

    #[test]
    fn git_lines() {
        let check = |text: &str, expected: Option<(&str, &str)>| {
            let owned = expected.map(|(old, new)| (old.as_bytes().to_vec(), new.as_bytes().to_vec()));
            assert_eq!(git_names(text.as_bytes()), owned, "{text}");
        };
        check("a/x b/x", Some(("a/x", "b/x")));
        check("a/x b/y b/x b/y", Some(("a/x b/y", "b/x b/y")));
        check("a/x b/y", Some(("a/x", "b/y")));
        check("x x", Some(("x", "x")));
        check("\"a/\\t\" \"b/\\t\"", Some(("a/\t", "b/\t")));
        check("x", None);
    }

    /// One line a file: names, flags, hunks with their lines.
    fn outline(text: &str) -> String {
        let name = |side: &Side| side.name().map_or("-".to_owned(), |name| String::from_utf8_lossy(name).into_owned());
        match parse(text.as_bytes()) {
            Err(malformed) => format!("line {}: {}", malformed.line, malformed.why),
            Ok(files) => files
                .iter()
                .map(|file| {
                    let hunks: Vec<String> = file
                        .hunks
                        .iter()
                        .map(|hunk| {
                            format!("{}:{}", hunk.line, hunk.text.iter().filter(|byte| **byte == b'\n').count() - 1)
                        })
                        .collect();
                    let flags = [(file.created, "new"), (file.deleted, "gone"), (file.binary, "binary")];
                    let flags: Vec<&str> = flags.iter().filter(|(set, _)| *set).map(|(_, flag)| *flag).collect();
                    format!("{} {} {} [{}]\n", name(&file.old), name(&file.new), flags.join(","), hunks.join(" "))
                })
                .collect(),
        }
    }

    #[test]
    fn outlines() {
        let check = |text: &str, expected: &str| assert_eq!(outline(text), expected);
        check("no patch\n", "");
        check("--- a\n+++ b\n@@ -1 +1 @@\n-x\n+y\n", "a b  [3:2]\n");
        // A mail: a line of dashes before, a signature after.
        check(
            "From 0 Mon\n---\n x | 2 +-\n\ndiff --git a/x b/x\nindex 1..2 100644\n--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n c\n-x\n+y\n-- \n2.39\n",
            "a/x b/x  [9:3]\n",
        );
        // A removed line that looks like a head.
        check(
            "--- a\n+++ b\n@@ -1,2 +1 @@\n--- q\n+++ r\n-x\n--- c\n+++ d\n@@ -1 +1 @@\n-x\n+y\n",
            "a b  [3:3]\nc d  [9:2]\n",
        );
        // Blank context lines that lost their blank.
        check("--- a\n+++ b\n@@ -1,3 +1,3 @@\n\n-x\n+y\n\n", "a b  [3:4]\n");
        check("diff --git a/x b/y\nsimilarity index 100%\nrename from x\nrename to y\n", "- -  []\n");
        check("diff --git a/x b/x\ndeleted file mode 100644\nindex 1..0\n", "- - gone []\n");
        check("diff --git a/x b/x\nindex 1..2 100644\nGIT binary patch\nliteral 1\nIcmY\n", "- - binary []\n");
        check("--- a\n+++ b\n@@ -x +y @@\n", "line 3: the head of a hunk can't be read");
        check("@@ -1 +1 @@\n-x\n+y\n", "line 1: a hunk stands before any file name");
    }
}
