//! The `go` of this machine through the proxy and from sets, where there is one.

use super::*;

/// The real `go` from PATH, with nothing else of this machine; `None` where there is none.
struct RealGo {
    program: PathBuf,
    home: TempDir,
}

impl RealGo {
    fn find(test: &str) -> Option<Self> {
        let name = if cfg!(windows) { "go.exe" } else { "go" };
        let path = std::env::var_os("PATH").unwrap_or_default();
        match std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file()) {
            Some(program) => Some(Self { program, home: tempfile::tempdir().unwrap() }),
            None => {
                println!("skipped: {test}: no go on PATH");
                None
            }
        }
    }

    fn run(&self, args: &[&str], dir: &Path, env: &[(&str, String)]) -> Output {
        let home = self.home.path();
        std::process::Command::new(&self.program)
            .args(args)
            .current_dir(dir)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", home)
            .env("GOPATH", home.join("go"))
            .env("GOCACHE", home.join("cache"))
            .env("GOTOOLCHAIN", "local")
            .env("GOENV", "off")
            .env("GOWORK", "off")
            .env("GOSUMDB", "off")
            .env("CGO_ENABLED", "0")
            .envs(env.iter().map(|(key, value)| (key, value)))
            .output()
            .unwrap()
    }
}

impl GoRunner for RealGo {
    async fn go(&self, args: &[&str], dir: &Path, env: &[(&str, String)]) -> crate::Result<Output> {
        Ok(tokio::task::block_in_place(|| self.run(args, dir, env)))
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

const MAIN: &str = "package main\n\nimport \"a.b/c\"\n\nfunc main() { println(c.C) }\n";

#[tokio::test(flavor = "multi_thread")]
async fn real_go_through_the_proxy_and_from_a_set() {
    let Some(go) = RealGo::find("real_go_through_the_proxy_and_from_a_set") else { return };
    let world = World::new();
    let proxy = world.serve(&world.file_url()).await;
    let top = world.0.path().join("src");
    let go_mod = "module x.y\n\ngo 1.20\n\nrequire a.b/c v1.0.0\n";
    let modules = source(&top, &[("go.mod", go_mod), ("main.go", MAIN)]);

    // Go writes go.sum with the sums that we have.
    let through = [
        ("GOPROXY", proxy.goproxy(false)),
        ("GOMODCACHE", world.0.path().join("own").display().to_string()),
        ("GOFLAGS", "-modcacherw".to_owned()),
    ];
    let output = go.run(&["mod", "tidy"], &top, &through);
    assert!(output.status.success(), "{}", text(&output));
    let sums = gonda_gomod::GoSum::parse(&std::fs::read_to_string(top.join("go.sum")).unwrap()).unwrap();
    let served = proxy.record().modules["a.b/c@v1.0.0"].clone();
    let module = gonda_gomod::ModuleVersion::new("a.b/c", "v1.0.0");
    assert_eq!(sums.zips()[&module], [served.zip.clone().unwrap()]);
    assert_eq!(sums.go_mods()[&module], [served.go_mod.unwrap()]);

    let settings = SetSettings { folder: world.0.path().join("modsets"), goproxy: proxy.goproxy(false) };
    let set = module_set(&settings, &modules, &go).await.unwrap().unwrap();
    assert_eq!(set.modules[0].sum, served.zip.unwrap());
    // A set serves with nobody to ask, though its zips are gone.
    let alone =
        [("GOPROXY", "off".to_owned()), ("GOMODCACHE", set.folder.join("gopath/pkg/mod").display().to_string())];
    for args in [&["build", "-o", "out", "."][..], &["list", "-deps", "./..."], &["mod", "vendor"]] {
        let output = go.run(args, &top, &alone);
        assert!(output.status.success(), "{args:?}: {}", text(&output));
    }
    let info = gonda_gomod::read_build_info(&std::fs::read(top.join("out")).unwrap()).unwrap();
    assert_eq!(info.path, "x.y");
    assert_eq!(info.deps[0].sum, set.modules[0].sum);

    // The vendor folder that Go made is one that it uses, and our words about a broken one are Go's.
    let vendored = source(&top, &[]);
    assert_eq!(vendored[0].vendoring, Vendoring::Used);
    assert_eq!(module_set(&settings, &vendored, &go).await.unwrap(), None);
    let vendored = source(&top, &[("go.mod", &go_mod.replace("v1.0.0", "v1.0.1"))]);
    let Vendoring::Inconsistent(error) = &vendored[0].vendoring else { panic!("{:?}", vendored[0].vendoring) };
    let output = go.run(&["build", "."], &top, &alone);
    let canonical = top.canonicalize().unwrap();
    let expected = error.to_string().replace(&*top.to_string_lossy(), &canonical.to_string_lossy());
    assert_eq!(
        text(&output).trim().replace(&*top.to_string_lossy(), &canonical.to_string_lossy()),
        format!("go: {expected}")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn real_go_in_a_workspace() {
    let Some(go) = RealGo::find("real_go_in_a_workspace") else { return };
    let world = World::new();
    let proxy = world.serve(&world.file_url()).await;
    let top = world.0.path().join("src");
    let modules = source(
        &top,
        &[
            ("go.work", "go 1.20\n\nuse ./app\nuse ./lib\n\nreplace x.y/lib v0.0.0 => ./lib\n"),
            ("app/go.mod", "module x.y/app\n\ngo 1.20\n\nrequire x.y/lib v0.0.0\n\nrequire a.b/c v1.0.0 // indirect\n"),
            ("app/main.go", "package main\n\nimport \"x.y/lib\"\n\nfunc main() { println(lib.L) }\n"),
            ("lib/go.mod", "module x.y/lib\n\ngo 1.20\n\nrequire a.b/c v1.0.0\n"),
            ("lib/lib.go", "package lib\n\nimport \"a.b/c\"\n\nconst L = c.C\n"),
        ],
    );
    let settings = SetSettings { folder: world.0.path().join("modsets"), goproxy: proxy.goproxy(false) };
    let set = module_set(&settings, &modules, &go).await.unwrap().unwrap();
    assert_eq!(set.modules.len(), 1);
    let env = [
        ("GOPROXY", "off".to_owned()),
        ("GOWORK", String::new()),
        ("GONOSUMDB", "*".to_owned()),
        ("GOFLAGS", "-modcacherw".to_owned()),
        ("GOMODCACHE", set.folder.join("gopath/pkg/mod").display().to_string()),
    ];
    // go.sum files belong to the source; this one has none yet.
    let sums = gonda_gomod_sums(&set);
    std::fs::write(top.join("go.work.sum"), sums).unwrap();
    let output = go.run(&["list", "-deps", "./app"], &top, &env);
    assert!(output.status.success(), "{}", text(&output));

    // Modules that require one another at versions that nobody published: there is nothing to download, and no error.
    let modules = source(
        &world.0.path().join("unpublished"),
        &[
            ("go.work", "go 1.20\nuse ./app\nuse ./lib"),
            ("app/go.mod", "module x.y/app\ngo 1.20\nrequire x.y/lib v0.0.0\n"),
            ("lib/go.mod", "module x.y/lib\ngo 1.20\n"),
        ],
    );
    assert_eq!(module_set(&settings, &modules, &go).await.unwrap(), None);
}

/// The go.sum lines of a set.
fn gonda_gomod_sums(set: &ModuleSet) -> String {
    set.modules
        .iter()
        .map(|SetModule { module, sum, go_mod_sum }| {
            let (path, version) = (&module.path, &module.version);
            format!("{path} {version} {sum}\n{path} {version}/go.mod {go_mod_sum}\n")
        })
        .collect()
}
