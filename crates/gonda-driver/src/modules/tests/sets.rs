//! Sets of modules, made with a `go` that only pretends.

use super::*;

/// A `go` that knows one module and writes what the real one would.
#[derive(Default)]
struct FakeGo {
    runs: Mutex<Vec<String>>,
    error: Option<String>,
}

impl GoRunner for FakeGo {
    async fn go(&self, args: &[&str], dir: &Path, env: &[(&str, String)]) -> crate::Result<Output> {
        let value = |key: &str| env.iter().find(|(name, _)| *name == key).map(|(_, value)| value.clone()).unwrap();
        let go_mod = std::fs::read_to_string(dir.join("go.mod")).unwrap_or_default();
        crate::modules::store::lock(&self.runs).push(format!(
            "{} [{}] GOWORK={}",
            args.join(" "),
            go_mod.trim(),
            value("GOWORK") != "off"
        ));
        let cache = PathBuf::from(value("GOMODCACHE"));
        let module = cache.join("a.b/c@v1.0.0");
        write(module.join("c.go"), "package c\n");
        write(cache.join("cache/download/a.b/c/@v/v1.0.0.zip"), "x");
        write(cache.join("cache/download/a.b/c/@v/v1.0.0.ziphash"), "h1:AAAA");
        write(cache.join("cache/download/a.b/c/@v/v1.0.0.lock"), "");
        write(cache.join("cache/lock"), "");
        let answer = serde_json::json!({
            "Path": "a.b/c", "Version": "v1.0.0", "Dir": module, "Sum": "h1:AAAA", "GoModSum": "h1:BBBB",
            "Error": self.error.clone().unwrap_or_default(),
        });
        let status = std::process::ExitStatus::default();
        Ok(Output { status, stdout: answer.to_string().into_bytes(), stderr: Vec::new() })
    }
}

#[tokio::test]
async fn sets() {
    let world = tempfile::tempdir().unwrap();
    let settings = SetSettings { folder: world.path().join("modsets"), goproxy: "http://127.0.0.1:1".to_owned() };
    let go = FakeGo::default();
    let text = "module x.y\nrequire a.b/c v1.0.0\nreplace x.z => ./z";
    let files = [("go.mod", text), ("z/go.mod", "module x.z"), ("z/z.go", "")];
    let one = source(&world.path().join("one"), &files);
    let set = module_set(&settings, &one, &go).await.unwrap().unwrap();
    let cache = set.folder.join("gopath/pkg/mod");
    let left: Vec<String> = walkdir::WalkDir::new(&set.folder)
        .sort_by_file_name()
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| entry.path().strip_prefix(&cache).unwrap().display().to_string())
        .collect();
    assert_eq!(left, ["a.b/c@v1.0.0/c.go", "cache/download/a.b/c/@v/v1.0.0.ziphash"]);
    assert_eq!(set.modules[0].module.to_string(), "a.b/c@v1.0.0");
    assert_eq!((set.modules[0].sum.as_str(), set.modules[0].go_mod_sum.as_str()), ("h1:AAAA", "h1:BBBB"));

    // The same elsewhere is the same set, and is not made again.
    let again = source(&world.path().join("elsewhere"), &files);
    assert_eq!(module_set(&settings, &again, &go).await.unwrap().unwrap(), set);
    assert_eq!(go.runs.lock().unwrap().len(), 1);
    // What go.mod replaces counts; the other set shares the files.
    let files = [("go.mod", text), ("z/go.mod", "module x.z\nrequire x.w v1.0.0")];
    let other = source(&world.path().join("other"), &files);
    let other = module_set(&settings, &other, &go).await.unwrap().unwrap();
    assert_ne!(other.key, set.key);
    let same = |set: &ModuleSet| same_file(&set.folder.join("gopath/pkg/mod/a.b/c@v1.0.0/c.go"));
    assert_eq!(same(&set), same(&other));
    // A damaged set is made anew.
    std::fs::write(other.folder.parent().unwrap().join("modules.json"), "[").unwrap();
    let files_again = source(&world.path().join("other"), &[]);
    assert_eq!(module_set(&settings, &files_again, &go).await.unwrap().unwrap(), other);
    assert_eq!(go.runs.lock().unwrap().len(), 3);
    assert_eq!(std::fs::read_dir(settings.folder.join(".part")).unwrap().count(), 0);
}

#[cfg(unix)]
fn same_file(file: &Path) -> u64 {
    std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(file).unwrap())
}

#[cfg(not(unix))]
fn same_file(_: &Path) -> u64 {
    0
}

#[tokio::test]
async fn sets_that_are_not_needed_or_fail() {
    let world = tempfile::tempdir().unwrap();
    let settings = SetSettings { folder: world.path().join("modsets"), goproxy: String::new() };
    let none: [&[(&str, &str)]; 3] = [
        &[("x.go", "")],
        &[("go.mod", "module x.y\ngo 1.22")],
        &[
            ("go.mod", "module x.y\ngo 1.22\nrequire a.b v1.0.0"),
            ("vendor/modules.txt", "# a.b v1.0.0\n## explicit\na.b\n"),
        ],
    ];
    for (index, files) in none.iter().enumerate() {
        let modules = source(&world.path().join(index.to_string()), files);
        assert_eq!(module_set(&settings, &modules, &FakeGo::default()).await.unwrap(), None);
    }
    let go = FakeGo { error: Some("a.b/c@v1.0.0: checksum mismatch".to_owned()), ..FakeGo::default() };
    let modules = source(&world.path().join("bad"), &[("go.mod", "module x.y\nrequire a.b/c v1.0.0")]);
    let error = module_set(&settings, &modules, &go).await.unwrap_err();
    assert_eq!(error.kind, crate::Kind::Unavailable);
    assert!(error.message.starts_with("could not download the modules of `"), "{}", error.message);
    assert_eq!(error.help.as_deref(), Some("`go mod download` says: a.b/c@v1.0.0: checksum mismatch"));
    assert_eq!(std::fs::read_dir(settings.folder.join(".part")).unwrap().count(), 0);
}
