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
        filter: FileMatch::default(),
    }
}

pub(super) fn path(path: &str) -> Source {
    Source {
        kind: SourceKind::Path { path: path.into(), sha256: None, md5: None, file_name: None, use_gitignore: false },
        folder: None,
        patches: Vec::new(),
        filter: FileMatch::default(),
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

/// A server on loopback: raw answers by path, each path's last one again and again; 404 for the rest.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(answers: &[(&str, Vec<Vec<u8>>)]) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&asked);
        let mut answers: Vec<(String, Vec<Vec<u8>>)> =
            answers.iter().map(|(path, answers)| ((*path).to_owned(), answers.clone())).collect();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = Vec::new();
                let mut byte = [0];
                while !request.ends_with(b"\r\n\r\n")
                    && std::io::Read::read(&mut stream, &mut byte).is_ok_and(|n| n == 1)
                {
                    request.push(byte[0]);
                }
                let text = String::from_utf8_lossy(&request);
                let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
                seen.lock().unwrap().push(path.clone());
                let answer = match answers.iter_mut().find(|(known, _)| *known == path) {
                    Some((_, answers)) if answers.len() > 1 => answers.remove(0),
                    Some((_, answers)) => answers[0].clone(),
                    None => reply("404 Not Found", b""),
                };
                let _ = stream.write_all(&answer);
            }
        });
        Self { url, asked }
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    fn asked(&self) -> String {
        std::mem::take(&mut *self.asked.lock().unwrap()).join(" ")
    }
}

fn reply(status: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[test]
fn transient_failures_are_tried_again() {
    let good = tar_of(&[("p/x", "1")]);
    let mut cut = reply("200 OK", &good);
    cut.truncate(700);
    let server = Server::new(&[("/x.tar", vec![reply("503 Busy", b""), cut, reply("200 OK", &good)])]);
    let world = World::new(RecipeFormat::V0);
    assert_eq!(world.outcome(&[url(&[&server.at("/x.tar")], &good)]), "x \"1\"\n");
    assert_eq!(server.asked(), "/x.tar /x.tar /x.tar");
    world.outcome(&[url(&[&server.at("/x.tar")], &good)]);
    assert_eq!(server.asked(), "", "the cache has it");
}

#[test]
fn a_transfer_that_always_breaks_is_an_error() {
    let good = tar_of(&[("p/x", "1")]);
    let mut cut = reply("200 OK", &good);
    cut.truncate(600);
    let server = Server::new(&[("/x.tar", vec![cut])]);
    let world = World::new(RecipeFormat::V0);
    let text = world.outcome(&[url(&[&server.at("/x.tar")], &good)]);
    assert!(text.starts_with("Unavailable: the source `x.tar` could not be fetched"), "{text}");
    assert!(text.contains("the transfer broke after"), "{text}");
    assert_eq!(server.asked(), "/x.tar /x.tar /x.tar");
    let parts = std::fs::read_dir(world.path("cache/sources")).unwrap();
    let left: Vec<_> = parts.flatten().filter(|entry| entry.file_type().unwrap().is_file()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn urls_are_tried_in_order() {
    let good = tar_of(&[("p/x", "1")]);
    let server = Server::new(&[("/b.tar", vec![reply("200 OK", b"other")]), ("/c.tar", vec![reply("200 OK", &good)])]);
    let world = World::new(RecipeFormat::V0);
    let urls = [server.at("/a.tar"), server.at("/b.tar"), server.at("/c.tar")];
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    assert_eq!(world.outcome(&[url(&urls, &good)]), "x \"1\"\n");
    assert_eq!(server.asked(), "/a.tar /b.tar /b.tar /c.tar");
}

#[test]
fn a_wrong_hash_names_expected_got_and_url() {
    let server = Server::new(&[("/x.tar", vec![reply("200 OK", b"<!DOCTYPE html><title>gone</title>")])]);
    let world = World::new(RecipeFormat::V0);
    let source = url(&[&server.at("/x.tar")], b"right");
    let error = world.fetch(std::slice::from_ref(&source)).unwrap_err();
    let got = digest::sha256_of(b"<!DOCTYPE html><title>gone</title>");
    let expected = digest::sha256_of(b"right");
    let url = server.at("/x.tar");
    assert_eq!(
        error.message,
        format!("the file that came from `{url}` has sha256 `{got}`, but the recipe says `{expected}`")
    );
    assert_eq!(error.help.unwrap(), "what came is a web page: the url is not that of a file any more");
    assert_eq!(error.kind, Kind::Unavailable);
}

#[test]
fn other_digests_hold_too() {
    let bytes = b"content".as_slice();
    let world = World::new(RecipeFormat::V0);
    world.write("recipe/x.txt", bytes);
    let check = |md5: Option<&str>, sha1: Option<&str>, expected: &str| {
        let mut source = url(&["x.txt"], bytes);
        if let SourceKind::Url { sha256, md5: m, sha1: s, .. } = &mut source.kind {
            (*sha256, *m, *s) = (None, md5.map(str::to_owned), sha1.map(str::to_owned));
        }
        let text = world.outcome(&[source]);
        assert!(text.starts_with(expected), "{text}");
    };
    let fine = "x.txt \"content\"\n";
    check(Some("9A0364B9E99BB480DD25E1F0284C8555"), None, fine);
    check(None, Some("040f06fd774092478d450774f5ba30c5da78acc8"), fine);
    assert!(world.warnings().is_empty());
    check(None, None, fine);
    assert_eq!(world.warnings(), ["the recipe gives no digest for `x.txt`: whatever comes is taken"]);
    check(Some(&"0".repeat(32)), None, "Unavailable: the file that came from `HERE/recipe/x.txt` has md5 `9a0364b9");
    check(Some("xyz"), None, "Usage: `xyz` is no md5 digest");
}

#[test]
fn a_damaged_cache_entry_is_fetched_again() {
    let good = tar_of(&[("p/x", "1")]);
    let world = World::new(RecipeFormat::V0);
    world.write("recipe/x.tar", &good);
    let source = url(&["x.tar"], &good);
    world.fetch(std::slice::from_ref(&source)).unwrap();
    let entry = format!("cache/sources/{}", digest::sha256_of(&good));
    world.write(&entry, &good[..100]);
    world.fetch(std::slice::from_ref(&source)).unwrap();
    assert_eq!(std::fs::read(world.path(&entry)).unwrap(), good);
    world.write(&entry, &good[..100]);
    std::fs::remove_file(world.path("recipe/x.tar")).unwrap();
    let text = world.outcome(&[source]);
    assert!(text.starts_with("Unavailable: the source `x.tar` could not be fetched\ncause: asked:"), "{text}");
}

#[test]
fn mirrors_are_asked_first() {
    let good = tar_of(&[("p/x", "1")]);
    let sha256 = digest::sha256_of(&good);
    let server = Server::new(&[("/m/x.tar", vec![reply("200 OK", &good)])]);
    // By the file's name from an http mirror.
    let mut world = World::new(RecipeFormat::V0);
    world.settings.mirrors = vec![server.at("/m")];
    assert_eq!(world.outcome(&[url(&["http://nowhere.invalid/x.tar"], &good)]), "x \"1\"\n");
    assert_eq!(server.asked(), format!("/m/{sha256} /m/x.tar"));
    // By the digest from a folder; a wrong file there is passed over.
    let mut world = World::new(RecipeFormat::V0);
    world.write("bad/x.tar", "bad");
    world.write(&format!("good/{sha256}"), &good);
    let mirrors = ["bad", "good"].map(|name| world.path(name).display().to_string());
    world.settings.mirrors = mirrors.to_vec();
    world.settings.offline = true;
    assert_eq!(world.outcome(&[url(&["http://nowhere.invalid/x.tar"], &good)]), "x \"1\"\n");
}

#[test]
fn offline_says_what_is_missing() {
    let mut world = World::new(RecipeFormat::V0);
    world.settings.offline = true;
    let source = url(&["http://nowhere.invalid/x.tar"], b"");
    let error = world.fetch(&[source]).unwrap_err();
    assert_eq!(error.message, "the source `x.tar` is not in the cache, and gonda is offline");
}

#[test]
fn two_at_once_share_one_download() {
    let good = tar_of(&[("p/x", "1")]);
    let server = Server::new(&[("/x.tar", vec![reply("200 OK", &good)])]);
    let world = World::new(RecipeFormat::V0);
    let source = [url(&[&server.at("/x.tar")], &good)];
    let events = world.events();
    world.run(async {
        let (one, two) = tokio::join!(
            fetch(&source, &world.settings, &events, "one"),
            fetch(&source, &world.settings, &events, "two")
        );
        one.unwrap();
        two.unwrap();
    });
    assert_eq!(server.asked(), "/x.tar");
}

#[test]
fn what_v0_and_v1_do_differently() {
    let archive = gzip(&tar_of(&[("p/x", "1")]));
    let named = |mut source: Source, name: &str| {
        if let SourceKind::Url { file_name, .. } = &mut source.kind {
            *file_name = Some(name.into());
        }
        source
    };
    let check = |format, source: Source, expected: &str| {
        let world = World::new(format);
        world.write("recipe/x.tar.gz", &archive);
        world.write("recipe/download", &archive);
        let text = world.outcome(&[source]);
        assert!(text.starts_with(expected), "{text}");
    };
    // A given name: its ending counts in v0, in v1 the file stays packed.
    check(RecipeFormat::V0, named(url(&["download"], &archive), "x.tgz"), "x \"1\"\n");
    check(RecipeFormat::V1, named(url(&["x.tar.gz"], &archive), "x.tar.gz"), "x.tar.gz \"");
    check(RecipeFormat::V0, url(&["download"], &archive), "download \"");
    // An archive as a path is unpacked in v1 alone.
    check(RecipeFormat::V1, path("x.tar.gz"), "x \"1\"\n");
    check(RecipeFormat::V0, path("x.tar.gz"), "x.tar.gz \"");
    check(RecipeFormat::V0, in_folder(path("x.tar.gz"), "../x"), "Usage: the source folder `../x` lies outside");
}

#[test]
fn two_sources_with_the_same_folder() {
    let check = |format, expected: &str| {
        let world = World::new(format);
        let one = tar_of(&[("doc/a", "1"), ("top", "1")]);
        let two = tar_of(&[("doc/b", "2"), ("top", "2")]);
        world.write("recipe/1.tar", &one);
        world.write("recipe/2.tar", &two);
        assert_eq!(world.outcome(&[url(&["1.tar"], &one), url(&["2.tar"], &two)]), expected);
    };
    check(RecipeFormat::V0, "doc/a \"1\"\ndoc/doc/b \"2\"\ntop \"2\"\n");
    check(RecipeFormat::V1, "doc/a \"1\"\ndoc/b \"2\"\ntop \"2\"\n");
}

#[test]
fn a_source_does_not_write_through_the_link_of_another() {
    let world = World::new(RecipeFormat::V0);
    std::fs::create_dir(world.path("outside")).unwrap();
    let mut builder = ::tar::Builder::new(Vec::new());
    let mut header = ::tar::Header::new_gnu();
    header.set_entry_type(::tar::EntryType::Symlink);
    header.set_size(0);
    builder.append_link(&mut header, "p/out", "../outside").unwrap();
    let mut header = ::tar::Header::new_gnu();
    header.set_size(0);
    builder.append_data(&mut header, "p/x", &b""[..]).unwrap();
    let link = builder.into_inner().unwrap();
    let file = tar_of(&[("evil", "1")]);
    world.write("recipe/1.tar", &link);
    world.write("recipe/2.tar", &file);
    world.write("recipe/evil", "");
    for second in [url(&["2.tar"], &file), path("evil")] {
        let text = world.outcome(&[url(&["1.tar"], &link), in_folder(second, "out/sub")]);
        assert!(text.contains("would be written through `out`, which is no folder"), "{text}");
        let _ = std::fs::remove_dir_all(world.path("work"));
    }
    assert_eq!(tree(&world.path("outside")), "");
}

/// A `filter` of a source.
pub(super) fn filter(include: &[&str], exclude: &[&str]) -> FileMatch {
    let list = |globs: &[&str]| globs.iter().map(ToString::to_string).collect();
    FileMatch { include: list(include), exclude: list(exclude), all: false }
}

#[test]
fn filters_of_v1_archives() {
    let members = ["p/a.go", "p/sub/c.go", "p/sub/d.txt", "p/docs/e.md", "p/empty/"];
    let archive = gzip(&tar_of(&members.map(|name| (name, ""))));
    let check = |include: &[&str], exclude: &[&str], expected: &str| {
        let world = World::new(RecipeFormat::V1);
        world.write("recipe/mine", "");
        std::fs::create_dir_all(world.path("mirror")).unwrap();
        std::fs::write(world.path("mirror/p.tar.gz"), &archive).unwrap();
        let mut source = url(&[&file_url(&world.path("mirror/p.tar.gz"))], &archive);
        source.filter = filter(include, exclude);
        // What another source brought stays.
        assert_eq!(world.outcome(&[path("mine"), source]).replace(" \"\"\n", " ").replace('\n', " "), expected);
    };
    check(&[], &[], "a.go docs/e.md empty/ mine sub/c.go sub/d.txt ");
    check(&["*.go"], &[], "a.go mine sub/c.go ");
    check(&["sub/"], &["*.txt"], "mine sub/c.go ");
    check(&[], &["docs/*"], "a.go empty/ mine sub/c.go sub/d.txt ");
    check(&["nothing"], &[], "mine ");
}

#[test]
fn filters_of_v1_paths() {
    let check = |include: &[&str], exclude: &[&str], gitignore, expected: &str| {
        let world = World::new(RecipeFormat::V1);
        for file in ["src/a.go", "src/b.log", "src/sub/c.go", "src/sub/d.txt", "src/skip.me"] {
            world.write(file, "");
        }
        world.write("src/.gitignore", "*.log\n");
        world.write("src/.condapackageignore", "skip.me\n");
        let mut source = path("../src");
        source.filter = filter(include, exclude);
        if let SourceKind::Path { use_gitignore, .. } = &mut source.kind {
            *use_gitignore = gitignore;
        }
        assert_eq!(world.outcome(&[source]).replace(" \"\"\n", " "), expected);
    };
    let hidden = ".condapackageignore \"skip.me\\n\"\n.gitignore \"*.log\\n\"\n";
    check(&[], &[], false, &format!("{hidden}a.go b.log sub/c.go sub/d.txt "));
    check(&[], &[], true, &format!("{hidden}a.go sub/c.go sub/d.txt "));
    check(&["*.go"], &[], true, "a.go sub/c.go ");
    check(&["sub"], &["*.txt"], true, "sub/c.go ");
    check(&["sub/"], &[], true, "sub/c.go sub/d.txt ");
}
