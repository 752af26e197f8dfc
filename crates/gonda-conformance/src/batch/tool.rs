//! The one program that the cases of batch files need, as `tests/conformance/batch/README.md` describes it: it shows what
//! it was called with. A program for Windows, as far as it goes: its paths are Windows paths.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

/// What it is called.
pub const NAMES: [&str; 3] = ["tool", "go", "go-licenses"];

/// Whether a program that was started as `program` is to be this one.
#[must_use]
pub fn is_meant(program: &Path) -> bool {
    program.file_stem().is_some_and(|name| NAMES.iter().any(|known| name.eq_ignore_ascii_case(known)))
}

/// Shows the arguments and does what they ask for; the exit code.
#[must_use]
pub fn run(arguments: &[String]) -> u8 {
    let mut code = 0;
    let mut shown = Vec::new();
    let mut file = None;
    for (index, argument) in arguments.iter().enumerate() {
        shown.extend(format!("[{argument}]\r\n").bytes());
        if let Some(number) = argument.strip_prefix("exit=") {
            code = number.parse::<i32>().map_or(0, |number| u8::try_from(number & 0xff).unwrap_or(1));
        } else if let Some(text) = argument.strip_prefix("stderr=") {
            show(&mut shown);
            // Whoever reads it may be gone.
            let _ = std::io::stderr().write_all(format!("{text}\r\n").as_bytes());
        } else if let Some(name) = argument.strip_prefix("env=") {
            let value = std::env::vars().find(|(known, _)| known.eq_ignore_ascii_case(name));
            let text = value.map_or(format!("{name} is not set"), |(_, value)| format!("{name}={value}"));
            shown.extend(format!("{text}\r\n").bytes());
        } else if argument == "stdin" {
            let _ = std::io::stdin().read_to_end(&mut shown);
        } else if let Some(path) = argument.strip_prefix("-o=") {
            file = Some(path);
        } else if argument == "-o" {
            file = arguments.get(index + 1).map(String::as_str).or(file);
        }
    }
    show(&mut shown);
    match file {
        Some(file) if code == 0 && arguments.first().is_some_and(|first| first == "build") => {
            if write(&unix_path(file)).is_ok() { 0 } else { 99 }
        }
        _ => code,
    }
}

fn show(bytes: &mut Vec<u8>) {
    let mut output = std::io::stdout().lock();
    let _ = output.write_all(bytes).and_then(|()| output.flush());
    bytes.clear();
}

fn write(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder)?;
    }
    fs_err::write(path, "built\r\n")
}

fn unix_path(path: &str) -> PathBuf {
    let rest = path.strip_prefix("C:").or_else(|| path.strip_prefix("c:")).unwrap_or(path);
    PathBuf::from(rest.replace('\\', "/"))
}
