//! Building and rendering: what is in the samples' packages beside their programs, and how a build is told what to do.

use serde_json::Value;

use crate::samples::Samples;
use crate::support::{Lab, here, info};

fn index(package: &std::path::Path) -> Value {
    serde_json::from_str(&info(package, "index.json").unwrap()).unwrap()
}

#[test]
fn std_only() {
    let Some(samples) = Samples::built(here!()) else { return };
    let package = samples.package("tally", "linux-64");
    let index = index(&package);
    assert_eq!(index["name"], "tally");
    assert_eq!(index["build_number"], 1);
    assert_eq!(index["subdir"], "linux-64");
    assert_eq!(index["depends"], serde_json::json!([]));
    assert!(info(&package, "licenses/LICENSE").unwrap().contains("BSD 3-Clause"));
    assert!(info(&package, "recipe/meta.yaml").is_some());
    let log = samples.log("tally", "linux-64");
    assert!(log.contains("go build"), "{log}");
    let Some(lab) = samples.lab(here!()) else { return };
    let said = lab.world.gonda(["inspect".as_ref(), package.as_os_str()]).succeeds();
    said.prints("tally").prints("bin/tally");
    lab.world.gonda(["test", &package.to_string_lossy(), "-c", &lab.channel_url()]).succeeds();
}

#[test]
fn version_by_the_linker() {
    let Some(samples) = Samples::built(here!()) else { return };
    let package = samples.package("epochal", "linux-64");
    let hash_input: Value = serde_json::from_str(&info(&package, "hash_input.json").unwrap()).unwrap();
    assert_eq!(
        hash_input,
        serde_json::json!({"channel_targets": "conda-forge main", "go_compiler": "go-nocgo", "target_platform": "linux-64"})
    );
}

#[test]
fn two_outputs() {
    let Some(samples) = Samples::built(here!()) else { return };
    for target in ["linux-64", "win-arm64"] {
        let [encode, decode] = ["hexpair-encode", "hexpair-decode"].map(|name| index(&samples.package(name, target)));
        let pin = format!("hexpair-encode 2.0.1 {}", encode["build"].as_str().unwrap());
        assert_eq!(decode["depends"], serde_json::json!([pin]), "{target}");
    }
}

#[test]
fn vendored_modules() {
    let Some(samples) = Samples::built(here!()) else { return };
    let licence = info(&samples.package("glossary", "linux-64"), "licenses/vendor/gonda.invalid/modules/fold/LICENSE");
    assert!(licence.is_some());
}

#[test]
fn v1_recipe() {
    let Some(samples) = Samples::built(here!()) else { return };
    let package = samples.package("slugify", "linux-64");
    assert!(info(&package, "tests/tests.yaml").unwrap().contains("slugify -version"));
    assert!(info(&package, "recipe/rendered_recipe.yaml").is_some());
}

#[test]
fn licences_of_modules() {
    let Some(samples) = Samples::with("lumen", here!()) else { return };
    for target in ["linux-64", "osx-arm64", "win-64"] {
        let licence =
            info(&samples.package("lumen", target), "licenses/license-files/gonda.invalid/modules/fold/LICENSE");
        assert!(licence.is_some(), "{target}");
    }
}

#[test]
fn c_through_cgo() {
    let Some(samples) = Samples::with("adlersum", here!()) else { return };
    // Strong run_exports of the cgo toolchain.
    let depends = index(&samples.package("adlersum", "linux-64"))["depends"].to_string();
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
fn a_dry_run_shows_the_plan_and_builds_nothing() {
    let lab = Lab::fake();
    let feedstock = lab.hello("hello", "go build -o $PREFIX/bin/hello .", "");
    let run = lab.build(feedstock.root(), &["--dry-run", "--format", "json"]).succeeds();
    let summary = run.events().into_iter().find(|event| event["event"] == "summary").unwrap();
    let plan = summary["jobs"][0]["plan"].to_string();
    assert!(plan.contains("go-nocgo_") && plan.contains("sha256"), "{run}");
    lab.has_no_package();
}
