//! Several recipes and targets in one command: one plan, carried out in parallel, and what it says at its end.

use std::fs;

#[cfg(target_os = "linux")]
use gonda_testkit::{HandMadeChannel, HandMadePackage};
use serde_json::Value;

use crate::support::{Lab, SEVEN};

/// The jobs of the last event.
pub fn jobs(run: &gonda_testkit::Run) -> Vec<Value> {
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

/// What a run makes is seen by the jobs that wait for it, and by no other, whatever came first and whatever an earlier run
/// left.
#[cfg(target_os = "linux")]
#[test]
fn what_is_in_an_environment_does_not_depend_on_the_order_of_jobs() {
    let lab = Lab::fake();
    let subdir = native_subdir();
    let packages = [
        HandMadePackage::new("part", "1.0", subdir).with_file("part-version", "1.0", false),
        HandMadePackage::new("whole", "1.0", subdir).depends_on("part"),
    ];
    let channel = lab.world.path("parts");
    HandMadeChannel::new(&channel, &packages);
    let channel = format!("file://{}", channel.display());
    let feedstock = |name: &str, script: &str, host: &str| {
        let feedstock = lab.hello(name, script, "");
        let recipe = feedstock.read("recipe/meta.yaml").replace("version: 1.0.0", "version: 2.0");
        let needs = format!("requirements:\n  host:\n    - {host}\n");
        feedstock.write(
            "recipe/meta.yaml",
            if host.is_empty() { recipe } else { recipe.replace("requirements:\n", &needs) },
        );
        feedstock.root().to_owned()
    };
    let part = feedstock("part", "printf 2.0 > $PREFIX/part-version", "");
    let script = |name: &str| format!("mkdir -p $PREFIX/share && cp $PREFIX/part-version $PREFIX/share/{name}");
    let stranger = feedstock("stranger", &script("stranger"), "whole");
    let needy = feedstock("needy", &script("needy"), "part");
    let seen = |name: &str| {
        let file = lab.world.packages().into_iter().find(|file| file.contains(&format!("/{name}-2.0-"))).unwrap();
        let members = gonda_testkit::conda_members(&fs::read(lab.world.output().join(file)).unwrap());
        let member = members.into_iter().find(|member| member.path == format!("share/{name}")).unwrap();
        String::from_utf8(member.content).unwrap()
    };
    for recipes in [[&part, &needy, &stranger], [&stranger, &needy, &part]] {
        let [first, second, third] = recipes.map(|path| path.to_str().unwrap());
        let more = [second, third, "-c", &channel, "--jobs", "1", "--test", "skip"];
        lab.build(first.as_ref(), &more).succeeds();
        assert_eq!([seen("stranger"), seen("needy")], ["1.0", "2.0"]);
    }
    // Alone, it takes what the output folder has, as in conda-build.
    lab.build(&stranger, &["-c", &channel, "--test", "skip"]).succeeds();
    assert_eq!(seen("stranger"), "2.0");
}

/// conda's name of this machine's platform, for packages of tests.
#[cfg(target_os = "linux")]
fn native_subdir() -> &'static str {
    if cfg!(target_arch = "aarch64") { "linux-aarch64" } else { "linux-64" }
}

/// The kinds of ends that a job can have, in JSON and in the step summary: a failing job hinders those that need it, and
/// nobody else.
#[cfg(target_os = "linux")]
#[test]
fn how_jobs_end() {
    let lab = Lab::fake();
    let feedstock = |name: &str, script: &str, needs: &str| {
        let feedstock = lab.hello(name, script, "");
        let recipe = feedstock.read("recipe/meta.yaml");
        let recipe = recipe.replace("  number: 0\n", "  number: 0\n  skip: true  # [win]\n");
        feedstock.write("recipe/meta.yaml", recipe.replace("requirements:\n", &format!("requirements:\n{needs}")));
        feedstock.root().to_str().unwrap().to_owned()
    };
    let breaks =
        r#"test "$target_platform" != osx-64 || { echo it is osx-64; exit 3; }; go build -o $PREFIX/bin/breaks ."#;
    let breaks = feedstock("breaks", breaks, "");
    let needs = feedstock("needs", "go build -o $PREFIX/bin/needs .", "  host:\n    - breaks\n");
    let lacks = feedstock("lacks", "go build -o $PREFIX/bin/lacks .", "");
    let recipe = lab.world.path("lacks-feedstock/recipe/meta.yaml");
    let text = fs::read_to_string(&recipe).unwrap();
    fs::write(&recipe, text.replace("    - {{ compiler('go-nocgo') }}\n", "    - {{ compiler('fortran') }}\n"))
        .unwrap();
    let flags = ["--all-targets", "--jobs", "2", "--test", "skip", "--format", "json", "--markdown-summary", "sum.md"];
    let more = [&[needs.as_str(), lacks.as_str()], &flags[..]].concat();
    let run = lab.build(breaks.as_ref(), &more).fails_with(1);

    let jobs = jobs(&run);
    let words = |name: &str| -> Vec<&str> {
        jobs.iter().filter(|job| job["name"] == name).map(|job| job["status"].as_str().unwrap()).collect()
    };
    assert_eq!(words("breaks"), ["built", "built", "built", "failed", "built", "skipped", "skipped"], "{run}");
    assert_eq!(words("needs"), ["built", "built", "built", "not-tried", "built", "skipped", "skipped"], "{run}");
    let none = "no-toolchain";
    assert_eq!(words("lacks"), [none, none, none, none, none, "skipped", "skipped"], "{run}");

    let job = |name: &str, target: &str| {
        jobs.iter().find(|job| job["name"] == name && job["target_platform"] == target).unwrap()
    };
    let built = job("breaks", "linux-aarch64");
    let package = &built["package"];
    assert!(package["path"].as_str().unwrap().contains("/linux-aarch64/breaks-1.0.0-"), "{built}");
    assert!(package["sha256"].as_str().is_some_and(|digest| digest.len() == 64), "{built}");
    assert!(package["size"].as_u64().unwrap() > 0 && built["seconds"].as_f64().unwrap() > 0.0, "{built}");
    assert_eq!(built["tests"]["not_run"][0][1], "tests were switched off", "{built}");
    let failed = job("breaks", "osx-64");
    let error = &failed["error"];
    assert_eq!(error["code"], 1, "{failed}");
    assert!(error["cause"][0].as_str().unwrap().contains("it is osx-64"), "{failed}");
    assert!(fs::read_to_string(failed["log"].as_str().unwrap()).unwrap().contains("it is osx-64"), "{failed}");
    let reason = |name: &str, target: &str| job(name, target)["reason"].as_str().unwrap().to_owned();
    assert_eq!(reason("needs", "osx-64"), "needs `breaks`, which is failed");
    assert_eq!(reason("needs", "win-arm64"), "by the recipe");
    assert_eq!(reason("lacks", "osx-arm64"), "no gfortran_osx-arm64 in the channels");

    let summary = fs::read_to_string(lab.world.path("sum.md")).unwrap();
    let mut lines = summary.lines();
    assert_eq!(lines.next(), Some("| target | package | status | size | tests | time |"));
    assert_eq!(lines.next(), Some("| --- | --- | --- | --- | --- | --- |"));
    assert_eq!(lines.filter(|line| line.starts_with("| ")).count(), jobs.len(), "{summary}");
    for row in [
        "| linux-ppc64le | breaks-1.0.0-0.conda | built |",
        "| 1 not run: tests were switched off |",
        "| failed |",
        "| not tried: needs `breaks`, which is failed |",
        "| skipped by the recipe |",
        "| no toolchain: no gfortran_osx-64 in the channels |",
    ] {
        assert!(summary.contains(row), "`{row}` is missing\n{summary}");
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
    let mut expected = SEVEN.map(|target| format!("{target} hello skipped"));
    expected[4] = "osx-arm64 hello planned".to_owned();
    check(&["--all-targets"], Some("      - osx-arm64\n"), &expected.each_ref().map(String::as_str));
    check(
        &["--target-platform", "osx-64,linux-aarch64"],
        Some("      - linux-64\n"),
        &["osx-64 hello planned", "linux-aarch64 hello planned"],
    );
}
