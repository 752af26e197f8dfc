//! Every sample feedstock becomes a package that holds what its recipe means.

use std::path::PathBuf;

use gonda_testkit::skipped;
use serde_json::Value;

use crate::support::{Lab, files, here, info, on_linux_64};

/// Builds a sample for linux-64 and checks what is in its packages: `(name-version-build prefix, files)`.
fn check(lab: &Lab, sample: &str, expected: &[(&str, &[&str])]) -> Vec<PathBuf> {
    check_with(lab, sample, &[], expected)
}

/// The same, with more flags for `gonda build`.
fn check_with(lab: &Lab, sample: &str, flags: &[&str], expected: &[(&str, &[&str])]) -> Vec<PathBuf> {
    let feedstock = lab.sample(sample);
    let run = lab.build(&feedstock, flags).succeeds();
    let packages = lab.world.packages();
    assert_eq!(packages.len(), expected.len(), "{packages:?}\n{run}");
    let mut found = Vec::new();
    for (start, content) in expected {
        let name = packages
            .iter()
            .find(|name| name.starts_with(&format!("linux-64/{start}")))
            .unwrap_or_else(|| panic!("no `{start}` among {packages:?}"));
        let path = lab.world.output().join(name);
        assert_eq!(&files(&path), content, "{name}");
        lab.world.gonda(["verify".as_ref(), path.as_os_str()]).succeeds();
        found.push(path);
    }
    found
}

fn index(package: &std::path::Path) -> Value {
    serde_json::from_str(&info(package, "index.json").unwrap()).unwrap()
}

#[test]
fn std_only() {
    if !on_linux_64(here!()) {
        return;
    }
    let Some(lab) = Lab::real(here!()) else { return };
    let packages = check(&lab, "tally", &[("tally-1.2.0-h", &["bin/tally"])]);
    let index = index(&packages[0]);
    assert_eq!(index["name"], "tally");
    assert_eq!(index["build_number"], 1);
    assert_eq!(index["subdir"], "linux-64");
    assert_eq!(index["depends"], serde_json::json!([]));
    assert!(info(&packages[0], "licenses/LICENSE").unwrap().contains("BSD 3-Clause"));
    assert!(info(&packages[0], "recipe/meta.yaml").is_some());
    assert!(lab.logs().contains("go build"), "{}", lab.logs());
    let said = lab.world.gonda(["inspect".as_ref(), packages[0].as_os_str()]).succeeds();
    said.prints("tally").prints("bin/tally");
    lab.world.gonda(["test", &packages[0].to_string_lossy(), "-c", &lab.channel_url()]).succeeds();
}

#[test]
fn version_by_the_linker() {
    if !on_linux_64(here!()) {
        return;
    }
    let Some(lab) = Lab::real(here!()) else { return };
    let packages = check(&lab, "epochal", &[("epochal-0.4.2-h", &["bin/epochal"])]);
    let hash_input: Value = serde_json::from_str(&info(&packages[0], "hash_input.json").unwrap()).unwrap();
    assert_eq!(
        hash_input,
        serde_json::json!({"channel_targets": "conda-forge main", "go_compiler": "go-nocgo", "target_platform": "linux-64"})
    );
}

#[test]
fn two_outputs() {
    if !on_linux_64(here!()) {
        return;
    }
    let Some(lab) = Lab::real(here!()) else { return };
    let packages = check(
        &lab,
        "hexpair",
        &[("hexpair-encode-2.0.1-h", &["bin/tohex"]), ("hexpair-decode-2.0.1-h", &["bin/fromhex"])],
    );
    let encode = index(&packages[0]);
    let pin = format!("hexpair-encode 2.0.1 {}", encode["build"].as_str().unwrap());
    assert_eq!(index(&packages[1])["depends"], serde_json::json!([pin]));
}

#[test]
fn modules_behind_a_proxy() {
    if !on_linux_64(here!()) {
        return;
    }
    let Some(mut lab) = Lab::real(here!()) else { return };
    lab.with_sample_modules();
    check(&lab, "orrery", &[("orrery-0.9.0-h", &["bin/orrery"])]);
}

#[test]
fn vendored_modules() {
    if !on_linux_64(here!()) {
        return;
    }
    let Some(lab) = Lab::real(here!()) else { return };
    let packages = check(&lab, "glossary", &[("glossary-1.0.3-h", &["bin/glossary"])]);
    assert!(info(&packages[0], "licenses/vendor/gonda.invalid/modules/fold/LICENSE").is_some());
}

#[test]
fn v1_recipe() {
    if !on_linux_64(here!()) {
        return;
    }
    let Some(lab) = Lab::real(here!()) else { return };
    let packages = check(&lab, "slugify", &[("slugify-3.1.4-h", &["bin/slugify", "share/man/man1/slugify.1"])]);
    assert!(info(&packages[0], "tests/tests.yaml").unwrap().contains("slugify -version"));
    assert!(info(&packages[0], "recipe/rendered_recipe.yaml").is_some());
}

#[test]
fn licences_and_completions() {
    if !on_linux_64(here!()) {
        return;
    }
    if std::env::var_os(gonda_testkit::GO_LICENSES).is_none() {
        let reason = "no source of go-licenses: `cargo xtask test` fetches it where a Go module proxy can be reached";
        return skipped(here!(), reason);
    }
    let Some(mut lab) = Lab::real(here!()) else { return };
    lab.with_sample_modules();
    let packages = check(
        &lab,
        "lumen",
        &[(
            "lumen-1.5.0-h",
            &[
                "bin/lumen",
                "share/bash-completion/completions/lumen",
                "share/fish/vendor_completions.d/lumen.fish",
                "share/zsh/site-functions/_lumen",
            ],
        )],
    );
    assert!(info(&packages[0], "licenses/license-files/gonda.invalid/modules/fold/LICENSE").is_some());
}

#[test]
fn c_through_cgo() {
    if !on_linux_64(here!()) {
        return;
    }
    let (_, version) = match gonda_testkit::system_cc() {
        Ok(compiler) => compiler,
        Err(reason) => return skipped(here!(), reason),
    };
    let Some(lab) = Lab::real(here!()) else { return };
    // The variant pins conda-forge's version of the compiler, the channel has the machine's.
    let variant = format!("{{c_compiler_version: '{version}'}}");
    let packages = check_with(&lab, "adlersum", &["--variants", &variant], &[("adlersum-0.2.0-h", &["bin/adlersum"])]);
    // Strong run_exports of the cgo toolchain.
    let depends = index(&packages[0])["depends"].to_string();
    assert!(depends.contains("__glibc"), "{depends}");
}

#[test]
fn a_feedstock_has_a_variant_file_for_each_target() {
    let lab = Lab::fake();
    let feedstock = lab.sample("epochal");
    for target in ["linux-64", "linux-aarch64", "linux-ppc64le", "osx-64", "osx-arm64", "win-64", "win-arm64"] {
        let run = lab.world.gonda([
            "render".as_ref(),
            feedstock.as_os_str(),
            "--output".as_ref(),
            "--target-platform".as_ref(),
            target.as_ref(),
        ]);
        let run = run.succeeds();
        let lines: Vec<&str> = run.stdout.lines().collect();
        assert_eq!(lines.len(), 1, "{run}");
        assert!(lines[0].contains(&format!("{target}/epochal-0.4.2-h")) && lines[0].ends_with("_0.conda"), "{run}");
    }
}

#[test]
fn rendering_asks_no_channel() {
    let lab = Lab::fake();
    let feedstock = lab.sample("slugify");
    let run =
        lab.world.gonda(["render".as_ref(), feedstock.as_os_str(), "--format".as_ref(), "json".as_ref()]).succeeds();
    let outputs = run.json();
    let output = &outputs.as_array().unwrap()[0];
    assert_eq!(output["name"], "slugify");
    assert_eq!(output["version"], "3.1.4");
    assert_eq!(output["build_number"], 2);
    assert_eq!(
        output["requirements"]["build"],
        serde_json::json!([format!("go-nocgo_{}", output["target_platform"].as_str().unwrap())])
    );
}

#[test]
fn a_skipped_output_is_no_failure() {
    let lab = Lab::fake();
    let feedstock = lab.hello("hello", "go build -o $PREFIX/bin/hello .", "");
    let recipe = feedstock.read("recipe/meta.yaml").replace("  number: 0\n", "  number: 0\n  skip: true\n");
    feedstock.write("recipe/meta.yaml", recipe);
    lab.build(feedstock.root(), &[]).succeeds();
    lab.has_no_package();
}

#[cfg(unix)]
#[test]
fn both_activation_layouts_say_the_same() {
    let said = |flags: &[&str]| {
        let lab = Lab::fake_with(flags);
        let feedstock = lab.hello("hello", "go build -o $PREFIX/bin/hello .", "");
        lab.build(feedstock.root(), &["--isolation", "env"]).succeeds();
        let logs = lab.logs();
        let line = logs.lines().find(|line| line.contains("fake go:") && line.contains("args: build"));
        let line = line.unwrap_or_else(|| panic!("the fake go was not called\n{logs}")).to_owned();
        // What differs is the job's own folder.
        line.split(" args:").next().unwrap().to_owned()
    };
    let newer = said(&[]);
    assert_eq!(newer, said(&["--layout", "activate.d"]));
    for expected in ["GOOS=linux", "GOARCH=", "CGO_ENABLED=0", "-trimpath", "-modcacherw", "-buildmode=pie"] {
        assert!(newer.contains(expected) || cfg!(not(target_os = "linux")), "`{expected}` is missing: {newer}");
    }
}

#[test]
fn a_second_build_gives_the_same_bytes() {
    let Some(lab) = Lab::real(here!()) else { return };
    let feedstock = lab.sample("tally");
    lab.build(&feedstock, &[]).succeeds();
    let package = lab.world.the_package();
    let first = std::fs::read(&package).unwrap();
    std::fs::remove_file(&package).unwrap();
    lab.build(&feedstock, &[]).succeeds();
    assert_eq!(gonda_testkit::sha256(&first), gonda_testkit::sha256(&std::fs::read(&package).unwrap()));
}

#[test]
fn a_dry_run_shows_the_plan_and_builds_nothing() {
    let lab = Lab::fake();
    let feedstock = lab.hello("hello", "go build -o $PREFIX/bin/hello .", "");
    let run = lab.build(feedstock.root(), &["--dry-run", "--format", "json"]).succeeds();
    let summary = run.events().into_iter().find(|event| event["event"] == "summary").unwrap();
    let plan = summary["jobs"][0]["plan"].to_string();
    assert!(plan.contains("go-nocgo_") && plan.contains("sha256"), "{run}");
    lab.has_no_package();
}
