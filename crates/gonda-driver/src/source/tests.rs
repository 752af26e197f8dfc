//! Sources from end to end: archives, trees, servers and mirrors made here.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gonda_recipe::{FileMatch, RecipeFormat, Source, SourceKind};

use super::*;
use crate::Event;

/// A recipe folder, a cache and a work folder.
pub(super) struct World {
    folder: tempfile::TempDir,
    pub(super) settings: SourceSettings,
    remarks: Arc<Mutex<Vec<String>>>,
}

impl World {
    pub(super) fn new(format: RecipeFormat) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let recipe = folder.path().join("recipe");
        std::fs::create_dir(&recipe).unwrap();
        let mut settings = SourceSettings::new(folder.path().join("cache"), recipe, format);
        settings.retry = Retry { attempts: 3, wait: Duration::from_millis(1), silence: Duration::from_secs(5) };
        Self { folder, settings, remarks: Arc::default() }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(super) fn events(&self) -> Events {
        let remarks = Arc::clone(&self.remarks);
        Events::new(move |event| {
            if let Event::Warning { text, .. } = event {
                remarks.lock().unwrap().push(text);
            }
        })
    }

    pub(super) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work)
    }

    pub(super) fn fetch(&self, sources: &[Source]) -> Result<Vec<Fetched>> {
        self.run(fetch(sources, &self.settings, &self.events(), "job"))
    }

    pub(super) fn place(&self, fetched: &[Fetched]) -> Result<Placed> {
        self.run(place(fetched, &self.path("work")))
    }

    pub(super) fn provide(&self, sources: &[Source]) -> Result<Placed> {
        self.place(&self.fetch(sources)?)
    }

    /// The work folder as text, or the error with its help and cause.
    pub(super) fn outcome(&self, sources: &[Source]) -> String {
        match self.provide(sources) {
            Ok(_) => tree(&self.path("work")),
            Err(error) => self.tell(&error),
        }
    }

    /// An error as text in which nothing of this machine stands.
    pub(super) fn tell(&self, error: &Error) -> String {
        let mut text = format!("{:?}: {}", error.kind, error.message);
        let mut cause = std::error::Error::source(error);
        while let Some(inner) = cause {
            text.push_str(&format!("\ncause: {inner}"));
            cause = inner.source();
        }
        let here = self.folder.path().display().to_string();
        text.replace(&here, "HERE").replace('\\', "/")
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.remarks.lock().unwrap())
    }
}

/// Each entry of a folder in a line: path, and a file's text or a link's target; `*` marks what can be executed.
pub(super) fn tree(folder: &Path) -> String {
    let mut text = String::new();
    for entry in walkdir::WalkDir::new(folder).sort_by_file_name().min_depth(1) {
        let entry = entry.unwrap();
        let relative = entry.path().strip_prefix(folder).unwrap().display().to_string().replace('\\', "/");
        if relative == ".git" || relative.starts_with(".git/") || relative.contains("/.git/") {
            continue;
        }
        let kind = entry.file_type();
        if kind.is_symlink() {
            text.push_str(&format!("{relative} -> {}\n", std::fs::read_link(entry.path()).unwrap().display()));
        } else if kind.is_file() {
            let mode = if host::mode(&entry.metadata().unwrap()) & 0o111 == 0 { "" } else { "*" };
            let content = std::fs::read(entry.path()).unwrap();
            text.push_str(&format!("{relative}{mode} {:?}\n", String::from_utf8_lossy(&content)));
        } else if std::fs::read_dir(entry.path()).unwrap().next().is_none() {
            text.push_str(&format!("{relative}/\n"));
        }
    }
    text
}

/// A tar of files: `name` → content, a name with `/` at its end is a folder, with `*` a program.
pub(super) fn tar_of(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = ::tar::Builder::new(Vec::new());
    for (index, (name, content)) in files.iter().enumerate() {
        let mut header = ::tar::Header::new_gnu();
        header.set_mtime(1_600_000_000 + index as u64);
        header.set_mode(if name.ends_with('*') || name.ends_with('/') { 0o755 } else { 0o444 });
        header.set_entry_type(if name.ends_with('/') {
            ::tar::EntryType::Directory
        } else {
            ::tar::EntryType::Regular
        });
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, name.trim_end_matches('*'), content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn url(urls: &[&str], content: &[u8]) -> Source {
    Source {
        kind: SourceKind::Url {
            urls: urls.iter().map(ToString::to_string).collect(),
            sha256: Some(digest::sha256_of(content)),
            md5: None,
            sha1: None,
            file_name: None,
        },
        folder: None,
        patches: Vec::new(),
    }
}

pub(super) fn path(path: &str) -> Source {
    Source {
        kind: SourceKind::Path {
            path: path.into(),
            sha256: None,
            md5: None,
            file_name: None,
            use_gitignore: false,
            filter: FileMatch::default(),
        },
        folder: None,
        patches: Vec::new(),
    }
}

fn in_folder(mut source: Source, folder: &str) -> Source {
    source.folder = Some(folder.into());
    source
}

fn file_url(path: &Path) -> String {
    ::url::Url::from_file_path(path).unwrap().to_string()
}

#[test]
fn an_archive_by_file_url_is_stripped_of_its_only_top_folder() {
    let world = World::new(RecipeFormat::V0);
    let bytes = gzip(&tar_of(&[("p-1.0/", ""), ("p-1.0/go.mod", "module p\n"), ("p-1.0/run.sh*", "echo\n")]));
    let at = world.write("up/p-1.0.tar.gz", &bytes);
    let placed = world.provide(&[url(&[&file_url(&at)], &bytes)]).unwrap();
    assert_eq!(tree(&world.path("work")), "go.mod \"module p\\n\"\nrun.sh* \"echo\\n\"\n");
    assert_eq!(placed.newest, Some(1_600_000_002));
    assert_eq!(placed.src_dir, world.path("work"));
    let mode = host::mode(&std::fs::metadata(world.path("work/go.mod")).unwrap());
    assert!(!cfg!(unix) || mode == 0o644, "{mode:o}");
    let time = std::fs::metadata(world.path("work/go.mod")).unwrap().modified().unwrap();
    assert_eq!(time.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs(), 1_600_000_001);
    // From the cache, without the file.
    std::fs::remove_file(at).unwrap();
    assert!(world.fetch(&[url(&["file:///nowhere/p-1.0.tar.gz"], &bytes)]).is_ok());
}

#[test]
fn several_top_entries_stay() {
    let check = |files: &[(&str, &str)], expected: &str| {
        let world = World::new(RecipeFormat::V0);
        let bytes = tar_of(files);
        world.write("recipe/x.tar", &bytes);
        assert_eq!(world.outcome(&[url(&["x.tar"], &bytes)]), expected);
    };
    check(&[("a/x", "1"), ("b/y", "2")], "a/x \"1\"\nb/y \"2\"\n");
    check(&[("a/x", "1"), ("b", "2")], "a/x \"1\"\nb \"2\"\n");
    check(&[("a/b/x", "1")], "b/x \"1\"\n");
    check(&[("./a/x", "1")], "x \"1\"\n");
    check(&[("a/a/x", "1")], "a/x \"1\"\n");
    check(&[("a", "1")], "a \"1\"\n");
    check(&[("a/", "")], "");
    check(&[], "");
}

#[test]
fn paths_are_copied() {
    let world = World::new(RecipeFormat::V0);
    world.write("src/go.mod", "module p\n");
    world.write("src/.git/config", "[core]\n");
    world.write("src/.gitignore", "*.log\n");
    world.write("src/a.log", "");
    std::fs::create_dir(world.path("src/empty")).unwrap();
    world.write("recipe/extra.txt", "extra\n");
    let sources = [path("../src"), path("extra.txt"), in_folder(path("extra.txt"), "sub/x.txt")];
    let expected = ".gitignore \"*.log\\n\"\na.log \"\"\nempty/\nextra.txt \"extra\\n\"\ngo.mod \"module p\\n\"\n\
                    sub/x.txt \"extra\\n\"\n";
    assert_eq!(world.outcome(&sources), expected);
    assert!(world.path("work/.git/config").is_file());
    assert_eq!(world.outcome(&[path("../src")]), expected, "a second time over the first");
    let missing = world.outcome(&[path("../nowhere")]);
    assert!(missing.starts_with("Usage: the recipe's source path `../nowhere` can't be read"), "{missing}");
    let own = world.outcome(&[path("..")]);
    assert_eq!(own, "Usage: the source path `HERE` contains the work folder `HERE/work`");
}
