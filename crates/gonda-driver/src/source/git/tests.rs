use std::path::Path;
use std::process::Command;

use gonda_recipe::FileMatch;
use gonda_recipe::RecipeFormat::{V0, V1};

use super::super::tests::{World, filter, path, tree};
use super::super::{describe_git, git_report};
use super::*;

/// Runs git as a user would, at a fixed time.
pub(in super::super) fn git(folder: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(folder)
        .args(["-c", "protocol.file.allow=always", "-c", "init.defaultBranch=main", "-c", "core.autocrlf=false"])
        .args(args)
        .env("GIT_CONFIG_GLOBAL", folder.join("no such file"))
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs([("GIT_AUTHOR_NAME", "A"), ("GIT_AUTHOR_EMAIL", "a@b.invalid"), ("GIT_AUTHOR_DATE", "1600000000 +0000")])
        .envs([("GIT_COMMITTER_NAME", "C"), ("GIT_COMMITTER_EMAIL", "c@d.invalid")])
        .env("GIT_COMMITTER_DATE", "1600000100 +0000")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A repository with the tag v1.0, one commit more on main, and a branch `old` at the tag; returns both commits.
pub(in super::super) fn repository(world: &World, name: &str) -> (String, String) {
    let at = world.path(name);
    world.write(&format!("{name}/go.mod"), "module p\n");
    git(&at, &["init", "--quiet"]);
    git(&at, &["add", "."]);
    git(&at, &["commit", "--quiet", "-m", "one"]);
    git(&at, &["tag", "v1.0"]);
    git(&at, &["branch", "old"]);
    let first = git(&at, &["rev-parse", "HEAD"]);
    world.write(&format!("{name}/new.go"), "package p\n");
    git(&at, &["add", "."]);
    git(&at, &["commit", "--quiet", "-m", "two"]);
    (first, git(&at, &["rev-parse", "HEAD"]))
}

pub(in super::super) fn source(url: &str, rev: Option<&str>) -> Source {
    Source {
        kind: SourceKind::Git {
            url: url.into(),
            rev: rev.map(str::to_owned),
            depth: None,
            lfs: false,
            submodules: true,
            expected_commit: None,
        },
        folder: None,
        patches: Vec::new(),
        filter: FileMatch::default(),
    }
}

#[test]
fn filters_of_v1_checkouts() {
    let world = World::new(V1);
    let (_, second) = repository(&world, "up");
    world.write("recipe/mine", "");
    let mut filtered = source("../up", None);
    filtered.filter = filter(&["*.go"], &[]);
    let placed = world.provide(&[path("mine"), filtered]).unwrap();
    assert_eq!(placed.git.unwrap().info.full_hash, second);
    let names = std::fs::read_dir(world.path("work")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.collect();
    names.sort();
    assert_eq!(names, ["mine", "new.go"]);
}

#[test]
fn revisions() {
    let world = World::new(V0);
    let (first, second) = repository(&world, "up");
    let check = |rev: Option<&str>, commit: &str, branch: &str| {
        let _ = std::fs::remove_dir_all(world.path("work"));
        let placed = world.provide(&[source("../up", rev)]).unwrap();
        let facts = placed.git.unwrap();
        assert_eq!(facts.info.full_hash, commit, "{rev:?}");
        assert_eq!(placed.newest, Some(1_600_000_100));
        assert_eq!(git(&world.path("work"), &["rev-parse", "--abbrev-ref", "HEAD"]), branch, "{rev:?}");
        assert_eq!(world.path("work/new.go").is_file(), commit == second, "{rev:?}");
        assert_eq!(git(&world.path("work"), &["status", "--porcelain"]), "");
    };
    check(None, &second, "main");
    check(Some("v1.0"), &first, "HEAD");
    check(Some("old"), &first, "old");
    check(Some(&first), &first, "HEAD");
    check(Some(&first[..10]), &first, "HEAD");
    check(Some("main~1"), &first, "HEAD");
    check(Some("origin/old"), &first, "HEAD");
    let text = world.outcome(&[source("../up", Some("v9"))]);
    assert_eq!(text, "Unavailable: `HERE/up` has no `v9`");
    let text = world.outcome(&[source("../up", Some(&"0".repeat(40)))]);
    assert!(text.starts_with("Unavailable: `HERE/up` has no `000"), "{text}");
    let text = world.outcome(&[source("../up", Some("--upload-pack=x"))]);
    assert_eq!(text, "Usage: `--upload-pack=x` is neither a repository nor a revision");
    let text = world.outcome(&[source("../nowhere", None)]);
    assert!(text.starts_with("Unavailable: the repository `HERE/recipe/../nowhere` could not be fetched"), "{text}");
}

#[test]
fn a_moved_branch_is_followed_and_a_commit_needs_no_network() {
    let mut world = World::new(V0);
    let (first, second) = repository(&world, "up");
    let commit = |world: &World, rev| match &world.fetch(&[source("../up", rev)]).unwrap()[0].found {
        super::super::Found::Git(fetched) => fetched.commit.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(commit(&world, Some("old")), first);
    git(&world.path("up"), &["branch", "--force", "old", &second]);
    git(&world.path("up"), &["branch", "next", &first]);
    git(&world.path("up"), &["symbolic-ref", "HEAD", "refs/heads/next"]);
    assert_eq!(commit(&world, Some("old")), second);
    assert_eq!(commit(&world, None), first);
    // The upstream is gone: a commit is found, and so is all when offline.
    let url = format!("file://{}/up", world.path("").display());
    std::fs::rename(world.path("up"), world.path("gone")).unwrap();
    let entry = |name: &str| std::fs::read_dir(world.path(name)).unwrap().count();
    assert_eq!(entry("cache/git"), 2, "one repository, one folder of locks");
    assert!(world.fetch(&[source(&url, Some(&first))]).is_err(), "another url");
    world.settings.offline = true;
    let text = world.outcome(&[source("https://h.invalid/o/r", Some("v1"))]);
    assert_eq!(text, "Unavailable: `v1` of `https://h.invalid/o/r` is not in the cache, and gonda is offline");
}

#[test]
fn a_damaged_cache_is_made_again() {
    let world = World::new(V0);
    let (_, second) = repository(&world, "up");
    world.fetch(&[source("../up", None)]).unwrap();
    let entry = std::fs::read_dir(world.path("cache/git")).unwrap().flatten();
    let entry = entry.map(|entry| entry.path()).find(|path| path.join("HEAD").is_file()).unwrap();
    std::fs::remove_dir_all(entry.join("objects")).unwrap();
    let placed = world.provide(&[source("../up", None)]).unwrap();
    assert_eq!(placed.git.unwrap().info.full_hash, second);
}

#[test]
fn the_checkout_stands_alone() {
    let world = World::new(V0);
    repository(&world, "up");
    world.provide(&[source("../up", None)]).unwrap();
    let work = world.path("work");
    assert_eq!(
        git(&work, &["remote", "get-url", "origin"]),
        world.path("up").canonicalize().unwrap().display().to_string()
    );
    assert!(!work.join(".git/objects/info/alternates").exists());
    #[cfg(unix)]
    for entry in walkdir::WalkDir::new(work.join(".git")) {
        let entry = entry.unwrap();
        let links = std::os::unix::fs::MetadataExt::nlink(&entry.metadata().unwrap());
        assert!(entry.file_type().is_dir() || links == 1, "{} is linked", entry.path().display());
    }
    std::fs::remove_dir_all(world.path("cache")).unwrap();
    assert_eq!(git(&work, &["log", "--format=%s"]), "two\none");
}

#[test]
fn descriptions() {
    let world = World::new(V0);
    let (first, second) = repository(&world, "up");
    let facts = describe_git(&world.path("up")).unwrap().unwrap();
    assert_eq!(facts.info.describe_tag, "v1.0");
    assert_eq!(facts.info.describe_number, "1");
    assert_eq!(facts.info.describe_hash, format!("g{}", &second[..7]));
    assert_eq!(facts.info.full_hash, second);
    git(&world.path("up"), &["tag", "-d", "v1.0"]);
    let facts = describe_git(&world.path("up")).unwrap().unwrap();
    assert_eq!((facts.info.describe_tag.as_str(), facts.info.describe_number.as_str()), ("", ""));
    assert_eq!(facts.info.describe_hash, format!("g{}", &second[..7]));
    // Not of a repository that encloses the folder.
    world.write("up/sub/x", "");
    assert_eq!(describe_git(&world.path("up/sub")).unwrap(), None);
    let report = git_report(&world.path("up")).unwrap();
    assert!(report.starts_with(&format!("==> git log -n1 <==\ncommit {second}")), "{report}");
    assert!(report.contains("==> git describe --tags --dirty <==\n\n==> git status <==\nOn branch main"), "{report}");
    let _ = first;
}

#[test]
fn expected_commits() {
    let world = World::new(V1);
    let (first, second) = repository(&world, "up");
    let check = |expected: &str, outcome: &str| {
        let mut source = source("../up", Some("v1.0"));
        if let SourceKind::Git { expected_commit, .. } = &mut source.kind {
            *expected_commit = Some(expected.into());
        }
        assert_eq!(world.outcome(&[source]), outcome);
    };
    check(&first, "go.mod \"module p\\n\"\n");
    check(
        &second,
        &format!("Unavailable: `v1.0` of `HERE/up` is the commit `{first}`, but the recipe expects `{second}`"),
    );
}

#[test]
fn submodules_relative_absolute_and_nested() {
    let world = World::new(V0);
    repository(&world, "deep");
    repository(&world, "inner");
    let deep = world.path("deep").display().to_string();
    git(&world.path("inner"), &["submodule", "--quiet", "add", &deep, "deep"]);
    git(&world.path("inner"), &["commit", "--quiet", "-m", "three"]);
    let (_, _) = repository(&world, "outer");
    git(&world.path("outer"), &["remote", "add", "origin", &world.path("outer").display().to_string()]);
    git(&world.path("outer"), &["submodule", "--quiet", "add", "--name", "odd name", "../inner", "third party/inner"]);
    git(&world.path("outer"), &["commit", "--quiet", "-m", "three"]);
    // The inner repository moves on; the commit that the outer one wants is on no branch.
    git(&world.path("inner"), &["reset", "--quiet", "--hard", "HEAD~1"]);
    git(&world.path("inner"), &["config", "uploadpack.allowAnySHA1InWant", "true"]);

    let fetched = world.fetch(&[source("../outer", None)]).unwrap();
    for name in ["outer", "inner", "deep"] {
        std::fs::rename(world.path(name), world.path(&format!("{name}-gone"))).unwrap();
    }
    world.place(&fetched).unwrap();
    let work = world.path("work");
    assert!(work.join("third party/inner/deep/go.mod").is_file());
    let inner = world.path("").canonicalize().unwrap().join("inner").display().to_string();
    assert_eq!(git(&work, &["config", "submodule.odd name.url"]), inner);
    assert_eq!(git(&work, &["status", "--porcelain", "--ignore-submodules=none"]), "");

    // v1 asks for them, or not.
    let mut without = source("../outer-gone", None);
    if let SourceKind::Git { submodules, .. } = &mut without.kind {
        *submodules = false;
    }
    let world_v1 = World::new(V1);
    std::fs::rename(world.path("outer-gone"), world_v1.path("outer-gone")).unwrap();
    let text = world_v1.outcome(&[without]);
    assert!(text.contains("third party/inner/\n"), "{text}");
}

#[test]
fn mirrors_have_owner_plus_repository() {
    let mut world = World::new(V0);
    let (first, second) = repository(&world, "up");
    let mirror = world.path("mirror/git");
    std::fs::create_dir_all(&mirror).unwrap();
    git(&world.path("up"), &["clone", "--quiet", "--bare", ".", &mirror.join("o+r").display().to_string()]);
    world.settings.mirrors = vec![world.path("mirror").display().to_string()];
    world.settings.offline = true;
    let url = "https://code.invalid/o/r.git";
    let placed = world.provide(&[source(url, Some("v1.0"))]).unwrap();
    let facts = placed.git.unwrap();
    assert_eq!((facts.info.full_hash, facts.url), (first, url.to_owned()));
    std::fs::remove_dir_all(world.path("work")).unwrap();
    let placed = world.provide(&[source(url, Some(&second))]).unwrap();
    assert_eq!(placed.git.unwrap().info.full_hash, second);
    let text = world.outcome(&[source(url, Some(&"1".repeat(40)))]);
    assert!(text.ends_with("is not in the cache, and gonda is offline"), "{text}");
    let warnings = world.warnings();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("doesn't have `1111"), "{warnings:?}");
}

#[test]
fn shallow_and_beside_others() {
    let world = World::new(V0);
    let (first, _) = repository(&world, "up");
    let url = ::url::Url::from_file_path(world.path("up")).unwrap().to_string();
    let mut shallow = source(&url, None);
    if let SourceKind::Git { depth, .. } = &mut shallow.kind {
        *depth = Some(1);
    }
    world.provide(&[shallow.clone()]).unwrap();
    assert_eq!(git(&world.path("work"), &["log", "--format=%s"]), "two");
    if let SourceKind::Git { rev, .. } = &mut shallow.kind {
        *rev = Some(first.clone());
    }
    std::fs::remove_dir_all(world.path("work")).unwrap();
    world.write("work/already", "");
    world.provide(&[shallow]).unwrap();
    assert_eq!(tree(&world.path("work")), "already \"\"\ngo.mod \"module p\\n\"\n");
}

#[test]
fn urls() {
    let check = |outer: &str, url: &str, expected: &str| assert_eq!(relative_to(outer, url), expected, "{outer} {url}");
    check("https://h/o/r.git", "../s", "https://h/o/s");
    check("https://h/o/r", "../../p/s.git", "https://h/p/s.git");
    check("https://h/o/r", "./s", "https://h/o/r/s");
    check("git@h:o/r", "../s", "git@h:o/s");
    check("git@h:r", "../s", "git@h:s");
    check("/a/r", "../s", "/a/s");
    check("https://h/o/r", "https://g/x", "https://g/x");
    let names = |url: &str, expected: Option<&str>| assert_eq!(mirror_name(url).as_deref(), expected, "{url}");
    names("https://h/o/r.git", Some("git/o+r"));
    names("git@h:o/r", Some("git/o+r"));
    names("https://h/group/o/r/", Some("git/o+r"));
    names("r", None);
    for (url, path) in [("../up", true), ("/up", true), ("https://h/x", false), ("git@h:o/r", false), ("a/b:c", true)] {
        assert_eq!(is_path(url), path, "{url}");
    }
}
