//! Jobs can't hurt one another or the caches, with mounts and without; several gonda at once work on one cache.

use std::fs;

use gonda_testkit::{private_mounts, skipped};

use crate::support::{Lab, here};

/// What a job tries to do to what it shares with others, on its way to a package. Each line is one that real recipes
/// have in some form.
const HOSTILE: &str = r#"#!/bin/bash
set -ex
go build -o "$PREFIX/bin/orrery" .
(export GOPATH=$(mktemp -d); go build -o "$SRC_DIR/elsewhere" .; ls "$GOPATH/pkg/mod/gonda.invalid")
go list ./... | grep -x gonda.invalid/samples/orrery
go mod vendor
test -f vendor/gonda.invalid/legacy/units/units.go
rm -r vendor
go mod tidy
go build -o "$SRC_DIR/again" .
chmod -R a-x,u+w "$GOPATH/pkg/mod/gonda.invalid/legacy" || true
chmod -R u+rwX "$GOPATH"
echo 'package units; this is not Go' > "$GOPATH/pkg/mod/gonda.invalid/legacy/units@v1.0.1/units.go"
go clean -modcache
rm -rf "$GOPATH"
echo hostile > "$BUILD_PREFIX/hostile"
rm "$BUILD_PREFIX/go/bin/gofmt"
echo hostile > "$BUILD_PREFIX/go/VERSION"
find "$BUILD_PREFIX/conda-meta" -name '*.json' -delete
echo hostile > "$HOME/hostile"
find "$(go env GOCACHE)" -type f -exec sh -c 'echo hostile > "$1"' - {} \;
"#;

/// What the next job must find.
const HONEST: &str = r#"#!/bin/bash
set -ex
test ! -e "$BUILD_PREFIX/hostile"
test ! -e "$HOME/hostile"
test -x "$BUILD_PREFIX/go/bin/gofmt"
! grep -q hostile "$BUILD_PREFIX/go/VERSION"
ls "$BUILD_PREFIX"/conda-meta/go-*.json
go install -v .
"#;

fn hostile_then_honest(lab: &mut Lab, isolation: &str) {
    lab.with_sample_modules();
    // What is hurt here must not be what other tests use, nor lie in a repository, as the build folder does.
    lab.own_cache();
    let feedstock = lab.sample("orrery");
    let build = |lab: &Lab, script: &str| {
        fs::write(feedstock.join("recipe/build.sh"), script).unwrap();
        lab.build(&feedstock, &["--isolation", isolation]).succeeds();
    };
    build(lab, HONEST);
    build(lab, HOSTILE);
    build(lab, HONEST);
}

#[cfg(target_os = "linux")]
#[test]
fn a_hostile_script_with_mounts() {
    if !private_mounts() {
        skipped(here!(), "no mounts of one's own here");
        return;
    }
    let Some(mut lab) = Lab::real(here!()) else { return };
    hostile_then_honest(&mut lab, "strict");
}

#[cfg(unix)]
#[test]
fn a_hostile_script_without_mounts() {
    let Some(mut lab) = Lab::real(here!()) else { return };
    hostile_then_honest(&mut lab, "env");
}

#[cfg(unix)]
#[test]
fn a_job_sees_nothing_of_the_caller() {
    for isolation in ["auto", "env"] {
        let mut lab = Lab::fake();
        lab.world
            .env("CALLERS_SECRET", "hush")
            .env("GOFLAGS", "-mod=mod")
            .env("CGO_ENABLED", "1")
            .env("GOPATH", "/nowhere");
        let feedstock = lab.hello("hello", "env | sort; echo home=$HOME; go build -o $PREFIX/bin/hello .", "");
        lab.build(feedstock.root(), &["--isolation", isolation]).succeeds();
        let log = lab.logs();
        for absent in ["CALLERS_SECRET", "hush", "-mod=mod", "GOPATH=/nowhere", "CGO_ENABLED=1"] {
            assert!(!log.contains(absent), "`{absent}` reached the script\n{log}");
        }
        let store = lab.world.cache().join("gomod").to_string_lossy().into_owned();
        assert!(!log.contains(&store), "the module store's path reached the script\n{log}");
        let home = format!("home={}", lab.world.path("home").display());
        assert!(!log.lines().any(|line| line == home), "the script got the caller's HOME\n{log}");
        for (name, value) in [("GOTOOLCHAIN", "local"), ("GOENV", "off"), ("LANG", "C.UTF-8"), ("CONDA_BUILD", "1")] {
            assert!(log.contains(&format!("{name}={value}\n")), "`{name}={value}` is missing\n{log}");
        }
    }
}

#[cfg(unix)]
#[test]
fn script_env_names_what_comes_from_the_caller() {
    let mut lab = Lab::fake();
    lab.world.env("WANTED", "from-outside").env("UNWANTED", "not-this");
    let feedstock = lab.hello("hello", "env | sort; go build -o $PREFIX/bin/hello .", "");
    let recipe = feedstock.read("recipe/meta.yaml");
    let recipe = recipe.replace("  number: 0\n", "  number: 0\n  script_env:\n    - WANTED\n    - FIXED=value\n");
    feedstock.write("recipe/meta.yaml", recipe);
    lab.build(feedstock.root(), &[]).succeeds();
    let log = lab.logs();
    assert!(log.contains("WANTED=from-outside\n") && log.contains("FIXED=value\n"), "{log}");
    assert!(!log.contains("not-this"), "{log}");
}

#[cfg(unix)]
#[test]
fn the_recipe_folder_is_a_copy() {
    let lab = Lab::fake();
    let feedstock = lab.hello("hello", "touch $RECIPE_DIR/written && go build -o $PREFIX/bin/hello .", "");
    lab.build(feedstock.root(), &[]).succeeds();
    assert!(!feedstock.recipe().join("written").exists());
}

#[test]
fn the_same_recipe_twice_at_once() {
    let lab = Lab::fake();
    let feedstock = lab.hello("hello", "go build -o $PREFIX/bin/hello .", "");
    let start = || lab.world.start(lab.world.command(lab.build_arguments(feedstock.root(), &[])));
    let both = [start(), start()];
    for running in both {
        running.wait().succeeds();
    }
    lab.world.gonda(["verify".as_ref(), lab.world.the_package().as_os_str()]).succeeds();
}

#[test]
fn different_recipes_at_once() {
    let lab = Lab::fake();
    let names = ["one", "two", "three"];
    let running: Vec<_> = names
        .iter()
        .map(|name| {
            let feedstock = lab.hello(name, &format!("go build -o $PREFIX/bin/{name} ."), "");
            lab.world.start(lab.world.command(lab.build_arguments(feedstock.root(), &[])))
        })
        .collect();
    for running in running {
        running.wait().succeeds();
    }
    let packages = lab.world.packages();
    assert_eq!(packages.iter().filter(|name| name.ends_with(".conda")).count(), names.len(), "{packages:?}");
    // None of the three forgot another in the index.
    for entry in fs::read_dir(lab.world.output()).unwrap().map(Result::unwrap) {
        let repodata = entry.path().join("repodata.json");
        if entry.file_name() != "noarch" && repodata.exists() {
            let repodata = fs::read_to_string(repodata).unwrap();
            for name in names {
                assert!(repodata.contains(&format!("{name}-1.0.0-")), "{repodata}");
            }
        }
    }
}
