//! The conformance set, against files and programs that exist only here.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde_json::Value;

use super::*;

/// Files in memory, by lower-case path; `None` is a folder. `tool`, `go` and `go-licenses` are the one program that the set's
/// README describes.
#[derive(Default)]
struct Memory {
    files: BTreeMap<String, (String, Option<Vec<u8>>)>,
    output: Vec<u8>,
}

fn not_found() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "not found")
}

impl Memory {
    fn key(path: &str) -> String {
        path.trim_end_matches('\\').to_lowercase()
    }

    fn above(path: &str) -> &str {
        path.trim_end_matches('\\').rsplit_once('\\').map_or("", |(above, _)| above)
    }

    fn make_all(&mut self, folder: &str) {
        let mut path = String::new();
        for part in folder.split('\\').filter(|part| !part.is_empty()) {
            path = if path.is_empty() { part.to_owned() } else { format!("{path}\\{part}") };
            self.files.entry(Self::key(&path)).or_insert((path.clone(), None));
        }
    }

    fn put(&mut self, path: &str, bytes: &[u8]) {
        self.make_all(Self::above(path));
        self.files.insert(Self::key(path), (path.to_owned(), Some(bytes.to_vec())));
    }

    fn is_folder(&self, path: &str) -> bool {
        self.files.get(&Self::key(path)).is_some_and(|(_, content)| content.is_none())
    }
}

impl Host for Memory {
    fn stat(&self, path: &str) -> Option<Entry> {
        let (path, content) = self.files.get(&Self::key(path))?;
        let name = path.rsplit('\\').next().unwrap_or_default().to_owned();
        let size = content.as_ref().map_or(0, |content| content.len() as u64);
        Some(Entry { name, folder: content.is_none(), link: false, size, modified: None })
    }

    fn list(&self, folder: &str) -> Vec<Entry> {
        let inside = format!("{}\\", Self::key(folder));
        let names = self.files.keys().filter(|key| key.strip_prefix(&inside).is_some_and(|rest| !rest.contains('\\')));
        names.filter_map(|key| self.stat(key)).collect()
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.files.get(&Self::key(path)).and_then(|(_, content)| content.clone()).ok_or_else(not_found)
    }

    fn write(&mut self, path: &str, bytes: &[u8], append: bool) -> io::Result<()> {
        if !self.is_folder(Self::above(path)) || self.is_folder(path) {
            return Err(not_found());
        }
        let entry = self.files.entry(Self::key(path)).or_insert((path.to_owned(), Some(Vec::new())));
        let content = entry.1.get_or_insert_default();
        if !append {
            content.clear();
        }
        content.extend_from_slice(bytes);
        Ok(())
    }

    fn make_folder(&mut self, path: &str) -> io::Result<()> {
        if !self.is_folder(Self::above(path)) {
            return Err(not_found());
        }
        self.files.insert(Self::key(path), (path.to_owned(), None));
        Ok(())
    }

    fn remove(&mut self, path: &str) -> io::Result<()> {
        if !self.list(path).is_empty() {
            return Err(io::Error::other("not empty"));
        }
        self.files.remove(&Self::key(path)).map(|_| ()).ok_or_else(not_found)
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        if !self.is_folder(Self::above(to)) {
            return Err(not_found());
        }
        let (from_key, to_key) = (Self::key(from), Self::key(to));
        let moved: Vec<String> = self
            .files
            .keys()
            .filter(|key| **key == from_key || key.starts_with(&format!("{from_key}\\")))
            .cloned()
            .collect();
        for key in moved {
            if let Some((path, content)) = self.files.remove(&key) {
                let path = format!("{to}{}", &path[from_key.len()..]);
                self.files.insert(format!("{to_key}{}", &key[from_key.len()..]), (path, content));
            }
        }
        Ok(())
    }

    fn copy(&mut self, from: &str, to: &str) -> io::Result<()> {
        let bytes = self.read(from)?;
        self.write(to, &bytes, false)
    }

    fn link(&mut self, _: Link, link: &str, target: &str) -> io::Result<()> {
        let target = paths::absolute(target, Self::above(link));
        if !self.is_folder(&target) {
            return self.copy(&target, link);
        }
        self.make_all(link);
        self.list(&target)
            .iter()
            .try_for_each(|entry| self.copy(&paths::join(&target, &entry.name), &paths::join(link, &entry.name)))
    }

    fn run(&mut self, call: &Call<'_>, keep: &mut Keep<'_>) -> io::Result<i32> {
        let arguments = split_arguments(call.arguments);
        let mut code = 0;
        let mut printed: Vec<(Stream, Vec<u8>)> = Vec::new();
        for argument in &arguments {
            let mut line = format!("[{argument}]\r\n").into_bytes();
            if let Some(number) = argument.strip_prefix("exit=") {
                code = number.parse().unwrap();
            } else if let Some(text) = argument.strip_prefix("stderr=") {
                printed.push((Stream::Error, format!("{text}\r\n").into_bytes()));
            } else if let Some(name) = argument.strip_prefix("env=") {
                let value = call.variables.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
                let text = value.map_or(format!("{name} is not set"), |(_, value)| format!("{name}={value}"));
                line.extend(format!("{text}\r\n").bytes());
            } else if argument == "stdin" {
                line.extend(&call.input);
            }
            printed.push((Stream::Output, line));
        }
        if code == 0 && arguments.first().is_some_and(|first| first == "build") {
            let after = arguments.iter().position(|argument| argument == "-o").and_then(|at| arguments.get(at + 1));
            let file = arguments.iter().find_map(|argument| argument.strip_prefix("-o=")).or(after.map(String::as_str));
            if let Some(file) = file {
                self.put(&paths::absolute(file, call.folder), b"built\r\n");
            }
        }
        for (stream, bytes) in printed {
            match if stream == Stream::Output { call.output } else { call.error } {
                Target::Script(stream) => self.print(stream, &bytes),
                Target::File(path) => self.write(path, &bytes, true)?,
                Target::Null => {}
                Target::Kept => {
                    let _ = keep(if call.joined { Stream::Output } else { stream }, &bytes);
                }
            }
        }
        Ok(code)
    }

    fn print(&mut self, stream: Stream, bytes: &[u8]) {
        if stream == Stream::Output {
            self.output.extend_from_slice(bytes);
        }
    }
}

/// What differs from a case's expectation; empty if nothing does.
fn differences(case: &Value) -> String {
    let text = |key: &str| case[key].as_str().unwrap_or_default().to_owned();
    let (w, tools) = (format!("C:\\w\\{}", text("id")), "C:\\tools");
    let mut host = Memory::default();
    host.make_all(&w);
    for tool in ["tool.exe", "go.exe", "go-licenses.exe"] {
        host.put(&format!("{tools}\\{tool}"), b"MZ");
    }
    for (path, content) in case["files"].as_object().into_iter().flatten() {
        let content = content.as_str().unwrap().replace('\n', "\r\n");
        host.put(&format!("{w}\\{}", path.replace('/', "\\")), content.as_bytes());
    }
    let script = text("script");
    let script = if case["eol"] == "lf" { script } else { script.replace('\n', "\r\n") };
    let name = case["name"].as_str().unwrap_or("case.bat");
    let path = format!("{w}\\{name}");
    host.put(&path, script.as_bytes());
    let mut variables = vec![
        ("PATH".to_owned(), format!("{tools};C:\\Windows\\system32")),
        ("TOOLDIR".to_owned(), tools.to_owned()),
        ("W".to_owned(), w.clone()),
        ("PATHEXT".to_owned(), ".COM;.EXE;.BAT;.CMD".to_owned()),
    ];
    for (name, value) in case["env"].as_object().into_iter().flatten() {
        variables.push((name.clone(), value.as_str().unwrap().replace("%W%", &w)));
    }
    let script = Script { path: &path, name, arguments: &text("args"), folder: &w, variables: &variables };
    let outcome = match run(&script, &mut host) {
        Ok(outcome) => outcome,
        Err(error) => return format!("  {error}\n"),
    };
    let plain = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace("\r\n", "\n").replace(&w, "<W>");
    let mut found = String::new();
    let expected = &case["expected"];
    let output = plain(&host.output);
    if let Some(wanted) = expected["stdout"].as_str().filter(|wanted| *wanted != output) {
        found += &format!("  stdout {output:?}\n  wanted {wanted:?}\n");
    }
    if let Some(wanted) = expected["exit"].as_i64().filter(|wanted| *wanted != i64::from(outcome.exit_code)) {
        found += &format!("  exit {}, wanted {wanted}\n", outcome.exit_code);
    }
    for (path, wanted) in expected["files"].as_object().into_iter().flatten() {
        let full = format!("{w}\\{}", path.replace('/', "\\"));
        let is = match host.files.get(&Memory::key(&full)) {
            None => "nothing".to_owned(),
            Some((_, None)) => "dir".to_owned(),
            Some((_, Some(bytes))) => plain(bytes),
        };
        if wanted.as_str() != Some(&is) {
            found += &format!("  {path} is {is:?}, wanted {wanted}\n");
        }
    }
    for path in expected["absent"].as_array().into_iter().flatten() {
        let full = format!("{w}\\{}", path.as_str().unwrap().replace('/', "\\"));
        if host.files.contains_key(&Memory::key(&full)) {
            found += &format!("  {path} is there\n");
        }
    }
    found
}

#[test]
fn conformance() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/batch");
    let mut groups: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    groups.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    groups.sort();
    let (mut cases, mut report) = (0, String::new());
    for line in groups.iter().flat_map(|path| {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    }) {
        let case: Value = serde_json::from_str(&line).unwrap();
        let found = differences(&case);
        cases += 1;
        if !found.is_empty() {
            report += &format!("{}\n{}{found}", case["id"].as_str().unwrap(), case["script"].as_str().unwrap());
        }
    }
    assert!(report.is_empty(), "of {cases} cases:\n{report}");
    assert!(cases > 200, "{cases} cases");
}

/// What a script prints, or its error.
fn check(script: &str, expected: &str) {
    let mut host = Memory::default();
    host.make_all("C:\\w\\d");
    host.put("C:\\tools\\tool.exe", b"MZ");
    host.put("C:\\w\\case.bat", format!("@echo off\n{script}").as_bytes());
    let variables = [("PATH".to_owned(), "C:\\tools".to_owned())];
    let script =
        Script { path: "C:\\w\\case.bat", name: "case.bat", arguments: "", folder: "C:\\w", variables: &variables };
    let text = match run(&script, &mut host) {
        Ok(outcome) => format!("{}{}", String::from_utf8_lossy(&host.output), outcome.exit_code),
        Err(error) => error.to_string(),
    };
    assert_eq!(text.replace("\r\n", "\n"), expected);
}

#[test]
fn what_gonda_does_not_know_is_an_error_with_its_place() {
    check("echo a\n  dpath a b\n", "C:\\w\\case.bat:3:3: gonda doesn't know the command `dpath`");
    check("findstr /f:x a x\n", "C:\\w\\case.bat:2:1: gonda doesn't know `findstr /f:x`");
    check(
        "powershell -c x\n",
        "C:\\w\\case.bat:2:1: gonda doesn't know the program `powershell`, which comes with Windows",
    );
    check("(\necho a\n", "C:\\w\\case.bat:2:1: a block is never closed");
    check("if a b c\n", "C:\\w\\case.bat:2:1: `b` was unexpected at this time");
    check("for %%i in (a) echo\n", "C:\\w\\case.bat:2:1: `for` without `do`");
    check("echo a &&\n", "C:\\w\\case.bat:2:1: the syntax of the command is incorrect");
    check("for /f \"tokens=x\" %%i in (a) do echo\n", "C:\\w\\case.bat:2:1: `tokens=x` was unexpected at this time");
}

#[test]
fn switches() {
    check("del /p x\n", "C:\\w\\case.bat:2:1: gonda doesn't know `del /p`");
    check("xcopy /p d e\n", "C:\\w\\case.bat:2:1: gonda doesn't know `xcopy /p`");
    check("robocopy d e /mon:1\n", "C:\\w\\case.bat:2:1: gonda doesn't know `robocopy /mon:1`");
    check("dir /z\n", "C:\\w\\case.bat:2:1: gonda doesn't know `dir /z`");
    check("where /t x\n", "C:\\w\\case.bat:2:1: gonda doesn't know `where /t`");
    check("dir /b /a-d\ndir /b /ad\n", "case.bat\nd\n0");
    check("rd/s/q d\nif exist d echo there\n", "0");
    check("where /q tool && echo here\n", "here\n0");
}

#[test]
fn endless_scripts_end() {
    check(":a\ncall :a\n", "C:\\w\\case.bat:3:1: scripts call one another too deeply");
    check("call case.bat\n", "C:\\w\\case.bat:2:1: scripts call one another too deeply");
    let deep = format!("{}echo a{}\n", "(".repeat(5000), ")".repeat(5000));
    check(&deep, "C:\\w\\case.bat:2:1: commands are nested too deeply");
    let sum = format!("set /a X={}1{}\necho %X%\n", "(".repeat(5000), ")".repeat(5000));
    check(&sum, "ECHO is off.\n1073750990");
    let chain = format!("echo a{}\n", " && echo a".repeat(5000));
    check(&chain, "C:\\w\\case.bat:2:1: a chain of `&&`, `||` or `|` is too long");
    let many = format!("{}echo a\n", "cd .&".repeat(5000));
    check(&many, "a\n0");
}

#[test]
fn paths_of_windows() {
    let check = |path: &str, expected: &str| assert_eq!(paths::absolute(path, "C:\\w\\d"), expected, "{path}");
    check("x", "C:\\w\\d\\x");
    check("..\\x/y", "C:\\w\\x\\y");
    check("\\x", "C:\\x");
    check("D:\\x\\..", "D:\\");
    check("c:x", "C:\\w\\d\\x");
    check("../../../..", "C:\\");
    check("\"a b\"\\c", "C:\\w\\d\\a b\\c");
    let fits = |pattern: &str, name: &str, expected: bool| {
        assert_eq!(paths::fits(pattern, name), expected, "{pattern} {name}")
    };
    fits("*.TXT", "a.txt", true);
    fits("*.*", "a", true);
    fits("a?c", "abc", true);
    fits("a*b*c", "aXbYbZc", true);
    fits("a*b", "abc", false);
    fits("LICENSE*", "license", true);
}

#[test]
fn arguments_as_the_c_runtime_reads_them() {
    let check = |line: &str, expected: &[&str]| assert_eq!(split_arguments(line), expected, "{line}");
    check("a  \"b c\" d", &["a", "b c", "d"]);
    check("\"\" x", &["", "x"]);
    check("\"a\\\\\" b", &["a\\", "b"]);
    check("a\\\"b", &["a\"b"]);
}

#[test]
fn arguments_as_msys_reads_them() {
    let check = |line: &str, expected: &[(&str, bool)]| {
        let found = split_arguments_of_msys(line);
        let found: Vec<(&str, bool)> = found.iter().map(|(text, quoted)| (text.as_str(), *quoted)).collect();
        assert_eq!(found, expected, "{line}");
    };
    check("-i 's/a b/c/' cli\\x.go", &[("-i", false), ("s/a b/c/", true), ("cli\\x.go", false)]);
    check("-c \"echo 'a b' \\\"c\\\"\"", &[("-c", false), ("echo 'a b' \"c\"", true)]);
    check("\"C:\\a b\\\" *.go", &[("C:\\a b\\", true), ("*.go", false)]);
    check("'open", &[("open", true)]);
}

#[test]
fn findstr_and_where() {
    check("echo one> f\necho two>> f\nfindstr /i ONE f\nfindstr /c:\"x y\" f\n", "one\n1");
    check("echo one two | findstr two\n", "one two \n0");
    check("where tool\nwhere nope 2>nul\n", "C:\\tools\\tool.exe\n1");
}

#[test]
fn expressions_of_findstr() {
    let check = |options: &str, expected: &str| {
        let script = format!("(echo module a.b/c& echo go 1.20& echo Ab_1& echo v1.2.3)> f\nfindstr {options} f\n");
        check(&script, expected);
    };
    check("/r /c:\"^go [0-9]*\\.[0-9][0-9]*$\"", "go 1.20\n0");
    check("/r \"^go [0-9]*\\.[0-9][0-9]*$\"", "go 1.20\nv1.2.3\n0");
    check("/r /c:\"v[^0].*3\"", "v1.2.3\n0");
    check("/i \"AB_\"", "Ab_1\n0");
    check("/r \"\\<b/\"", "module a.b/c\n0");
    check("\"a.b v1.2\"", "module a.b/c\nv1.2.3\n0");
    check("/l \"go.\"", "1");
    check("/x /c:\"go 1.20\"", "go 1.20\n0");
    check("/n /v \"a go\"", "3:Ab_1\n4:v1.2.3\n0");
    check("/b v", "v1.2.3\n0");
    check("/m go", "f\n0");
    check("/vni /c:\"A\"", "2:go 1.20\n4:v1.2.3\n0");
    check("\"[x\"", "C:\\w\\case.bat:3:1: `findstr`: `[x` has an open `[`");
    let slow = format!("/r \"{}b\"", "a*".repeat(500));
    check(&slow, "module a.b/c\nAb_1\n0");
}

#[test]
fn programs_of_windows() {
    check("echo b> f\necho A>> f\nsort f\nfind \"b\" f\ntype f | find /c \"b\"\n", "A\nb\n\n---------- F\nb\n1\n0");
    check("start \"title\" /wait tool x\nstart /b tool y\n", "[x]\n[y]\n0");
    check("cmd /c \"echo a & exit 3\"\necho %errorlevel%\nset X=1\ncmd /d /c set X=2\necho %X%\n", "a \n3\n1\n0");
    check("cmd /c tool \"a b\" c\n", "[a b]\n[c]\n0");
    check("md d\\e\nfor /d /r %%i in (*) do echo %%i\n", "C:\\w\\d\nC:\\w\\d\\e\n0");
    check("echo x> f\nfc f f >nul && echo same\n", "same\n0");
}

/// Seeds from the set, each with characters changed: whatever comes, an error or a result.
#[test]
fn any_text() {
    let seed = "@echo off\nsetlocal enabledelayedexpansion\nfor /f \"tokens=1,2* delims=,\" %%a in (\"x,y,z\") do (\n\
                if not \"%%~nxa\"==\"!B:~1,-1!\" (echo ^& %X:a=b% >f 2>&1) else call :s %%~dpb || exit /b 3\n)\n\
                set /a N=(1+2)*3,M=1<<N & set \"P=%~dp0;%PATH:*;=%\"\ntype f | tool stdin & del f\n:s\ngoto :eof\n";
    let pool: Vec<char> = "%!^&|<>()\"'`=,;:*~@/\\ \n0a-é".chars().collect();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move |most: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % most.max(1) as u64).unwrap()
    };
    for _ in 0..3000 {
        let mut text: Vec<char> = seed.chars().collect();
        for _ in 0..=next(8) {
            let at = next(text.len());
            match next(3) {
                0 => text[at] = pool[next(pool.len())],
                1 => text.insert(at, pool[next(pool.len())]),
                _ => drop(text.remove(at)),
            }
        }
        let text: String = text.into_iter().collect();
        if text.matches("goto").count() > 1 || text.contains("goto s") {
            continue;
        }
        let mut host = Memory::default();
        host.put("C:\\tools\\tool.exe", b"MZ");
        host.put("C:\\w\\case.bat", text.as_bytes());
        let variables = [("PATH".to_owned(), "C:\\tools".to_owned()), ("X".to_owned(), "banana".to_owned())];
        let script = Script {
            path: "C:\\w\\case.bat",
            name: "case.bat",
            arguments: "a \"b c\"",
            folder: "C:\\w",
            variables: &variables,
        };
        drop(run(&script, &mut host));
    }
}
