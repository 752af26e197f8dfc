//! The command lines of MSYS2's programs, which batch files have from `posix`, `m2-…` or Git for Windows.
//!
//! They differ from Windows' own programs in three ways, which their namesakes of this machine don't know of: they take
//! single quotes for quotes and expand patterns themselves, as Cygwin's start-up code does (`dcrt0.cc`); and a file
//! `NAME.exe` answers to `NAME` (Cygwin's user guide, "Transparent exe"), so that `mv tool %PREFIX%\bin\tool` moves
//! `tool.exe` to `tool.exe`.

use std::path::Path;

use gonda_batch::split_arguments_of_msys;

/// The programs that read their command line so.
const OF_MSYS: &[&str] = &[
    "awk",
    "basename",
    "bash",
    "cat",
    "chmod",
    "cp",
    "cut",
    "dirname",
    "echo",
    "egrep",
    "env",
    "expr",
    "false",
    "fgrep",
    "find",
    "gawk",
    "grep",
    "gunzip",
    "gzip",
    "head",
    "install",
    "ln",
    "ls",
    "make",
    "md5sum",
    "mkdir",
    "mktemp",
    "mv",
    "patch",
    "printf",
    "pwd",
    "rm",
    "rmdir",
    "sed",
    "seq",
    "sh",
    "sha256sum",
    "sort",
    "tail",
    "tee",
    "test",
    "touch",
    "tr",
    "true",
    "uname",
    "uniq",
    "unxz",
    "wc",
    "which",
    "xargs",
    "xz",
];

/// Those of them whose words are files, flags aside.
const OF_FILES: &[&str] = &["cat", "chmod", "cp", "install", "ln", "ls", "md5sum", "mv", "rm", "sha256sum", "test"];

/// Those of them that name what they make after what they were given: `.exe` goes with it.
const COPYING: &[&str] = &["cp", "install", "ln", "mv"];

/// A program's name, where it is one of MSYS2's.
pub(super) fn program(path: &Path) -> Option<String> {
    let name = path.file_stem()?.to_string_lossy().to_lowercase();
    OF_MSYS.contains(&name.as_str()).then_some(name)
}

/// The arguments that a command line in `folder` gives to one of these programs; `unix` translates the paths of a word.
pub(super) fn arguments(name: &str, line: &str, folder: &Path, unix: &dyn Fn(&str) -> String) -> Vec<String> {
    let words = split_arguments_of_msys(line).into_iter().flat_map(|(word, quoted)| {
        let word = unix(&word);
        let found = if quoted || !word.contains(['*', '?']) { Vec::new() } else { expanded(folder, &word) };
        if found.is_empty() { vec![word] } else { found }
    });
    // A login shell would set PATH anew, from files that know nothing of the environments.
    let mut own = matches!(name, "bash" | "sh");
    let words = words.filter_map(|word| {
        // What follows a command or a file is the script's.
        own &= word.starts_with('-');
        if own { without_login(word) } else { Some(word) }
    });
    let mut words: Vec<String> = words.collect();
    with_extension(name, &mut words, folder);
    words
}

/// Programs get the `.exe` by which they are there.
fn with_extension(name: &str, words: &mut [String], folder: &Path) {
    if !OF_FILES.contains(&name) {
        return;
    }
    let mut meant = false;
    for word in words.iter_mut().filter(|word| !word.starts_with('-') && !word.ends_with(['/', '.'])) {
        let program = format!("{word}.exe");
        if !folder.join(&*word).exists() && folder.join(&program).is_file() {
            *word = program;
            meant = true;
        }
    }
    if meant
        && COPYING.contains(&name)
        && let Some(last) = words.last_mut()
        && !last.ends_with(['/', '.'])
        && !last.to_lowercase().ends_with(".exe")
        && !folder.join(&*last).is_dir()
    {
        last.push_str(".exe");
    }
}

fn without_login(word: String) -> Option<String> {
    match word.as_str() {
        "-l" | "--login" => None,
        _ if word.starts_with('-') && !word.starts_with("--") && word.len() <= 5 => Some(word.replace('l', "")),
        _ => Some(word),
    }
}

/// What a pattern means below a folder, sorted; nothing where nothing fits.
fn expanded(base: &Path, pattern: &str) -> Vec<String> {
    let pattern = pattern.replace('\\', "/");
    let start = if pattern.starts_with('/') { "/" } else { "" };
    let mut found = vec![start.to_owned()];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        let mut next = Vec::new();
        for folder in &found {
            let here = base.join(folder);
            let path = |name: &str| match folder.as_str() {
                "" | "/" => format!("{folder}{name}"),
                folder => format!("{folder}/{name}"),
            };
            if !part.contains(['*', '?']) {
                next.extend(here.join(part).symlink_metadata().is_ok().then(|| path(part)));
                continue;
            }
            let names = std::fs::read_dir(&here).into_iter().flatten().flatten().map(|entry| entry.file_name());
            let names = names.filter_map(|name| name.into_string().ok());
            let hidden = part.starts_with('.');
            let mut fitting: Vec<String> =
                names.filter(|name| hidden == name.starts_with('.') && gonda_batch::fits(part, name)).collect();
            fitting.sort();
            next.extend(fitting.iter().map(|name| path(name)));
        }
        found = next;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &[&str]) {
        let room = tempfile::tempdir().unwrap();
        for name in ["b.go", "a.go", "x.txt", "tool.exe", "both", "both.exe"] {
            std::fs::write(room.path().join(name), "").unwrap();
        }
        std::fs::create_dir(room.path().join("bin")).unwrap();
        let (program, line) = line.split_once(' ').unwrap();
        let unix = |word: &str| word.replace('\\', "/");
        assert_eq!(arguments(program, line, room.path(), &unix), expected, "{program} {line}");
    }

    #[test]
    fn quotes_patterns_and_login_shells() {
        check("sed -i 's/a b/c/' .\\x.txt", &["-i", "s/a b/c/", "./x.txt"]);
        check("rm -f *.go '*.txt' *.none", &["-f", "a.go", "b.go", "*.txt", "*.none"]);
        check("bash -lc \"echo 'a'\"", &["-c", "echo 'a'"]);
        check("bash --login run.sh -l", &["run.sh", "-l"]);
    }

    #[test]
    fn programs_without_their_extension() {
        check("mv tool bin\\tool", &["tool.exe", "bin/tool.exe"]);
        check("mv tool bin", &["tool.exe", "bin"]);
        check("cp ./tool bin/", &["./tool.exe", "bin/"]);
        check("cp tool tool2.exe", &["tool.exe", "tool2.exe"]);
        check("cp -p tool.exe bin\\tool", &["-p", "tool.exe", "bin/tool"]);
        check("mv both bin\\both", &["both", "bin/both"]);
        check("rm tool none", &["tool.exe", "none"]);
        check("cp none bin\\none", &["none", "bin/none"]);
        check("grep tool x.txt", &["tool", "x.txt"]);
        check("mkdir tool", &["tool"]);
    }
}
