//! Several recipes and targets in one command: one plan, carried out in parallel, and what it says at its end.

use std::fs;

use serde_json::Value;

use crate::support::Lab;

const SEVEN: [&str; 7] = ["linux-64", "linux-aarch64", "linux-ppc64le", "osx-64", "osx-arm64", "win-64", "win-arm64"];

/// The jobs of the last event.
fn jobs(run: &gonda_testkit::Run) -> Vec<Value> {
    let events = run.events();
    let last = events.last().unwrap();
    assert_eq!(last["event"], "summary", "{run}");
    last["jobs"].as_array().unwrap().clone()
}

/// `TARGET NAME STATUS` of each job.
fn statuses(jobs: &[Value]) -> Vec<String> {
    let text = |job: &Value, key: &str| job[key].as_str().unwrap().to_owned();
    let line = |job: &Value| [text(job, "target_platform"), text(job, "name"), text(job, "status")].join(" ");
    jobs.iter().map(line).collect()
}

#[cfg(unix)]
#[test]
fn what_needs_another_is_built_after_it() {
    let lab = Lab::fake();
    let needy = lab.hello("aa-needy", "test -f $PREFIX/bin/zz-base && go build -o $PREFIX/bin/aa-needy .", "");
    let recipe = needy.read("recipe/meta.yaml").replace("requirements:\n", "requirements:\n  host:\n    - zz-base\n");
    needy.write("recipe/meta.yaml", recipe);
    let base = lab.hello("zz-base", "sleep 1; go build -o $PREFIX/bin/zz-base .", "");
    let other = lab.hello("other", "exit 3", "");
    let other = other.root().to_str().unwrap();
    let base = base.root().to_str().unwrap();
    let run = lab.build(needy.root(), &[base, other, "--jobs", "3", "--test", "skip", "--format", "json"]);
    let run = run.fails_with(1);
    let jobs = jobs(&run);
    let words: Vec<&str> = jobs.iter().map(|job| job["status"].as_str().unwrap()).collect();
    assert_eq!(words, ["built", "built", "failed"], "{run}");
}

#[cfg(unix)]
#[test]
fn what_needs_one_that_failed_is_not_tried() {
    let mut lab = Lab::fake();
    lab.world.env("GITHUB_ACTIONS", "true");
    let needy = lab.hello("needy", "go build -o $PREFIX/bin/needy .", "");
    let recipe = needy.read("recipe/meta.yaml").replace("requirements:\n", "requirements:\n  host:\n    - base\n");
    needy.write("recipe/meta.yaml", recipe);
    let base = lab.hello("base", "echo last words; exit 3", "");
    let run = lab.build(needy.root(), &[base.root().to_str().unwrap()]).fails_with(1);
    run.prints("not tried: needs `base`, which is failed").says("::group::log of base for").says("\nlast words\n");
}

#[test]
fn recipes_that_need_each_other_are_refused() {
    let lab = Lab::fake();
    let feedstock = |name: &str, other: &str| {
        let feedstock = lab.hello(name, "true", "");
        let recipe = feedstock.read("recipe/meta.yaml");
        let needs = format!("requirements:\n  host:\n    - {other}\n");
        feedstock.write("recipe/meta.yaml", recipe.replace("requirements:\n", &needs));
        feedstock
    };
    let (one, two) = (feedstock("one", "two"), feedstock("two", "one"));
    let run = lab.build(one.root(), &[two.root().to_str().unwrap()]);
    run.fails_with(2).says("the recipes of `one`, `two` need each other");
}

#[cfg(unix)]
#[test]
fn a_failure_ends_the_others_where_asked_to() {
    let lab = Lab::fake();
    let slow = lab.hello("slow", "sleep 300", "");
    let failing = lab.hello("failing", "sleep 1; exit 3", "");
    let run = lab.build(slow.root(), &[failing.root().to_str().unwrap(), "--jobs", "2", "--fail-fast"]);
    let run = run.fails_with(1).prints("not tried: another job failed");
    assert!(run.elapsed.as_secs() < 200, "{run}");
    lab.has_no_package();
    let left = fs::read_dir(lab.world.cache().join("work")).unwrap().flatten();
    // The failed job's folders stay for a look, those of the ended one don't.
    assert_eq!(left.filter(|entry| entry.path().is_dir()).count(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn all_targets_of_a_feedstock() {
    let lab = Lab::fake();
    let test = "test:\n  commands:\n    - test -f $PREFIX/bin/hello\n";
    let feedstock = lab.hello("hello", "go build -o $PREFIX/bin/hello .", test);
    for target in SEVEN.iter().filter(|target| **target != "osx-arm64") {
        let variant = format!("go_compiler:\n- go-nocgo\ntarget_platform:\n- {target}\n");
        feedstock.write(format!(".ci_support/{}_.yaml", target.replace('-', "_")), variant);
    }
    let run = lab
        .build(
            feedstock.root(),
            &["--all-targets", "--jobs", "2", "--format", "json", "--markdown-summary", "summary.md"],
        )
        .succeeds();
    let jobs = jobs(&run);
    let targets: Vec<&str> = jobs.iter().map(|job| job["target_platform"].as_str().unwrap()).collect();
    assert_eq!(targets, SEVEN);
    for job in &jobs {
        let target = job["target_platform"].as_str().unwrap();
        let derived = job["derived_from"].as_str();
        assert_eq!(derived, (target == "osx-arm64").then_some("osx-64"), "{job}");
        if !target.starts_with("win") {
            assert_eq!(job["status"], "built", "{run}");
            let runs = target == "linux-64" && cfg!(target_arch = "x86_64");
            assert_eq!(job["tests"]["passed"].as_u64().unwrap() > 0, runs, "{job}");
        }
    }
    let warned = run.events().into_iter().filter(|event| event["event"] == "warning");
    let text = "the feedstock has no variant for osx-arm64: it is derived from `osx_64_.yaml`, which is for osx-64";
    assert_eq!(warned.filter(|event| event["text"] == text).count(), 1, "{run}");
    let fetched = run.events().into_iter().filter(|event| event["phase"] == "fetch");
    assert_eq!(fetched.count(), 1, "the source was laid out more than once\n{run}");
    let summary = std::fs::read_to_string(lab.world.path("summary.md")).unwrap();
    for target in SEVEN {
        assert!(summary.contains(&format!("\n| {target} | ")), "{summary}");
    }
}

#[test]
fn targets_that_the_feedstock_names() {
    let lab = Lab::fake();
    let check = |flags: &[&str], recipe: Option<&str>, expected: &[&str]| {
        let feedstock = lab.hello("hello", "go build -o $PREFIX/bin/hello .", "");
        if let Some(extra) = recipe {
            let text = feedstock.read("recipe/meta.yaml");
            feedstock.write("recipe/meta.yaml", format!("{text}\nextra:\n  gonda:\n    targets:\n{extra}"));
        }
        let run = lab.build(feedstock.root(), &[flags, &["--dry-run", "--format", "json"]].concat()).succeeds();
        let found = statuses(&jobs(&run));
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        assert_eq!(found, expected, "{run}");
    };
    check(
        &["--feedstock-targets"],
        Some("      - osx-arm64\n      - linux-64\n"),
        &["osx-arm64 hello planned", "linux-64 hello planned"],
    );
    check(
        &["--target-platform", "osx-64,linux-aarch64"],
        Some("      - linux-64\n"),
        &["osx-64 hello planned", "linux-aarch64 hello planned"],
    );
}
