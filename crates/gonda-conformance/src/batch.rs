//! Batch files, held against what cmd.exe makes of them: run by `gonda __batch`, as in a build, on the real disk, with
//! real processes. The set's one program ([`tool`]) is written for Windows, so nothing is translated for it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::Tree;
use crate::case::{entries, file_name, on_all_cores};
use crate::report::{Difference, Group, Verdict};

pub mod tool;

/// What the batch files of a tree are run with.
#[derive(Debug, Clone)]
pub struct Programs {
    /// gonda.
    pub gonda: PathBuf,
    /// A program that calls [`tool::run`] when it is started under one of [`tool::NAMES`].
    pub tool: PathBuf,
}

/// A script that doesn't end is ended.
const LONGEST: Duration = Duration::from_secs(60);

struct Case<'p> {
    programs: &'p Programs,
    /// The folder of the programs.
    tools: &'p Path,
    /// The folder of all cases' folders.
    scratch: &'p Path,
    about: Value,
}

/// One group for each file of cases.
pub(crate) fn groups(tree: &Tree<'_>) -> Result<Vec<Group>> {
    let folder = tree.folder.join("batch");
    let Some(programs) = tree.programs.filter(|_| folder.is_dir()) else { return Ok(Vec::new()) };
    let scratch = tempfile::Builder::new().prefix("gonda").tempdir()?;
    let tools = scratch.path().join("tools");
    fs_err::create_dir(&tools)?;
    for name in tool::NAMES {
        let place = tools.join(format!("{name}.exe"));
        fs_err::hard_link(&programs.tool, &place).or_else(|_| fs_err::copy(&programs.tool, &place).map(drop))?;
    }
    let mut groups = Vec::new();
    for file in entries(&folder)?.into_iter().filter(|file| file.extension().is_some_and(|end| end == "jsonl")) {
        let text = fs_err::read_to_string(&file)?;
        let mut cases = Vec::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let about: Value = serde_json::from_str(line).with_context(|| format!("`{}`", file.display()))?;
            if tree.wants(about["id"].as_str().unwrap_or_default()) {
                cases.push(Case { programs, tools: &tools, scratch: scratch.path(), about });
            }
        }
        let name = format!("batch {}", file_name(&file).trim_end_matches(".jsonl"));
        groups.push(Group::new(name, on_all_cores(&cases, Case::id, Case::verdict)));
    }
    Ok(groups)
}

impl Case<'_> {
    fn text(&self, key: &str) -> &str {
        self.about[key].as_str().unwrap_or_default()
    }

    fn id(&self) -> String {
        self.text("id").to_owned()
    }

    fn verdict(&self) -> Result<Verdict> {
        let folder = self.scratch.join("w").join(self.text("id"));
        fs_err::create_dir_all(&folder)?;
        let text = self.differences(&folder)?;
        let difference = (!text.is_empty()).then(|| Difference { case: self.id(), text, excuse: None });
        Ok(Verdict { equal: usize::from(difference.is_none()), total: 1, difference })
    }

    /// Runs the case in its folder; what differs, a line each.
    fn differences(&self, folder: &Path) -> Result<String> {
        for (path, content) in self.about["files"].as_object().into_iter().flatten() {
            let path = folder.join(path.replace('\\', "/"));
            fs_err::create_dir_all(path.parent().unwrap_or(folder))?;
            fs_err::write(&path, content.as_str().unwrap_or_default().replace('\n', "\r\n"))?;
        }
        let script = self.text("script");
        let script = if self.about["eol"] == "lf" { script.to_owned() } else { script.replace('\n', "\r\n") };
        let name = self.about["name"].as_str().unwrap_or("case.bat");
        fs_err::write(folder.join(name), script)?;
        let (code, output, errors) = self.run(folder, name)?;

        let windows = windows_path(folder);
        let plain = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace("\r\n", "\n").replace(&windows, "<W>");
        let expected = &self.about["expected"];
        let mut found = String::new();
        let output = plain(&output);
        if let Some(wanted) = expected["stdout"].as_str().filter(|wanted| *wanted != output) {
            found += &format!("  prints   {output:?}\n  expected {wanted:?}\n");
        }
        if let Some(wanted) = expected["exit"].as_i64().filter(|wanted| Some(*wanted) != code.map(i64::from)) {
            let code = code.map_or("no code".to_owned(), |code| code.to_string());
            found += &format!("  ends with {code}, expected {wanted}\n");
        }
        for (path, wanted) in expected["files"].as_object().into_iter().flatten() {
            let is = match whatever_case(folder, path) {
                None => "nothing".to_owned(),
                Some(path) if path.is_dir() => "dir".to_owned(),
                Some(path) => plain(&fs_err::read(path)?),
            };
            if wanted.as_str() != Some(&is) {
                found += &format!("  {path} is {is:?}, expected {wanted}\n");
            }
        }
        for path in expected["absent"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if whatever_case(folder, path).is_some() {
                found += &format!("  {path} is there\n");
            }
        }
        if !found.is_empty() && !errors.is_empty() {
            found += &format!("  standard error: {:?}\n", plain(&errors));
        }
        Ok(found)
    }

    /// Exit code, standard output, standard error.
    fn run(&self, folder: &Path, name: &str) -> Result<(Option<i32>, Vec<u8>, Vec<u8>)> {
        let id = self.text("id");
        let streams = ["out", "err"].map(|end| self.scratch.join(format!("{id}.{end}")));
        let (windows, tools) = (windows_path(folder), windows_path(self.tools));
        let mut command = Command::new(&self.programs.gonda);
        command.args(["__batch", "--untranslated", name]).args(self.about["args"].as_str());
        command.current_dir(folder).env_clear().stdin(Stdio::null());
        command.stdout(fs_err::File::create(&streams[0])?.into_file());
        command.stderr(fs_err::File::create(&streams[1])?.into_file());
        command.env("PATH", format!("{tools};C:\\Windows\\system32")).env("TOOLDIR", &tools).env("W", &windows);
        for (name, value) in self.about["env"].as_object().into_iter().flatten() {
            command.env(name, value.as_str().unwrap_or_default().replace("%W%", &windows));
        }
        let mut child = command.spawn().context("gonda can't be started")?;
        let started = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if started.elapsed() > LONGEST {
                child.kill()?;
                bail!("still running after {LONGEST:?}");
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        Ok((status.code(), fs_err::read(&streams[0])?, fs_err::read(&streams[1])?))
    }
}

/// As gonda shows it to a script: the drive `C:` is the root folder.
fn windows_path(path: &Path) -> String {
    format!("C:{}", path.to_string_lossy().replace('/', "\\"))
}

/// A file below a folder, whatever the case of its names.
fn whatever_case(folder: &Path, path: &str) -> Option<PathBuf> {
    path.split(['/', '\\']).filter(|name| !name.is_empty()).try_fold(folder.to_owned(), |folder, name| {
        let names = entries(&folder).unwrap_or_default();
        names.into_iter().find(|path| file_name(path).to_lowercase() == name.to_lowercase())
    })
}
