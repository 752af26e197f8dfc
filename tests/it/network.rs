//! What a build script reaches, and what it is told when that isn't enough.

use std::net::TcpListener;
use std::path::Path;

use gonda_testkit::skipped;

use crate::support::{Lab, here};

const GO_BUILD: &str = "go build -o $PREFIX/bin/hello .";

/// Whether scripts can be kept from the network here; else the test is skipped.
fn closes_network(test: &str, lab: &Lab) -> bool {
    // gonda itself is asked, for namespaces are made by its own program.
    let feedstock = lab.hello("probe", "true", "");
    let run = lab.build(feedstock.root(), &["--isolation", "strict"]);
    if run.code == Some(5) {
        skipped(test, format!("scripts can't be isolated here: {}", run.stderr.trim()));
        return false;
    }
    std::fs::remove_dir_all(lab.world.output()).unwrap();
    true
}

/// A listener of the machine, and a line of bash that connects to it.
fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let line = format!("exec 3<>/dev/tcp/127.0.0.1/{}", listener.local_addr().unwrap().port());
    (listener, line)
}

#[test]
fn a_script_reaches_nothing_but_modules() {
    let lab = Lab::fake();
    if !closes_network(here!(), &lab) {
        return;
    }
    let (_listener, connect) = listener();
    let script = format!("echo GOPROXY is $GOPROXY, GOVCS is $GOVCS && {connect} && {GO_BUILD}");
    let feedstock = lab.hello("hello", &script, "");
    for mode in ["modules", "off"] {
        lab.build(feedstock.root(), &["--network", mode]).fails_with(1).says("Connection refused");
        lab.has_no_package();
        let logs = lab.logs();
        assert!(logs.contains("GOPROXY is http://127.0.0.1:7080, GOVCS is *:off"), "{logs}");
    }
    lab.build(feedstock.root(), &["--network", "on"]).succeeds();
}

#[test]
fn a_recipe_can_ask_for_the_network() {
    let lab = Lab::fake();
    if !closes_network(here!(), &lab) {
        return;
    }
    let (_listener, connect) = listener();
    let script = format!("{connect} && {GO_BUILD}");
    let feedstock = lab.hello("hello", &script, "extra:\n  gonda:\n    network: true\n");
    lab.build(feedstock.root(), &["--network", "off"]).fails_with(1);
    assert!(lab.logs().contains("the network is off"), "{}", lab.logs());
    lab.build(feedstock.root(), &[]).succeeds();
    assert!(lab.logs().contains("its script reaches the network"), "{}", lab.logs());
}

#[test]
fn a_script_that_wants_more_is_told_the_ways_out() {
    let lab = Lab::fake();
    if !closes_network(here!(), &lab) {
        return;
    }
    let check = |name: &str, line: &str, words: &str| {
        let feedstock = lab.hello(name, &format!("{line} && {GO_BUILD}"), "");
        let run = lab.build(feedstock.root(), &[]).fails_with(1).says(words);
        run.says("--network=on").says("extra: gonda: network: true");
        lab.has_no_package();
    };
    check("address", "exec 3<>/dev/tcp/192.0.2.1/80", "the script tried to reach the network");
    for (program, line) in [
        ("curl", "curl -fsS https://files.invalid/x"),
        ("git", "git clone https://repositories.invalid/o/r"),
        ("wget", "wget https://files.invalid/x"),
    ] {
        let there = ["/usr/bin", "/bin"].iter().any(|folder| Path::new(folder).join(program).is_file());
        if there {
            check(program, line, &format!("`{program}` tried to reach `"));
        } else {
            skipped(&format!("{} ({program})", here!()), "there is no such program here");
        }
    }
}

#[test]
fn a_proxy_of_the_recipes_own_is_replaced() {
    let lab = Lab::fake();
    let feedstock = lab.hello("hello", &format!("echo GOPROXY is $GOPROXY && {GO_BUILD}"), "");
    let recipe = feedstock.read("recipe/meta.yaml");
    let recipe =
        recipe.replace("  number: 0\n", "  number: 0\n  script_env:\n    - GOPROXY=https://p.invalid,direct\n");
    feedstock.write("recipe/meta.yaml", recipe);
    lab.build(feedstock.root(), &[]).succeeds();
    let logs = lab.logs();
    assert!(logs.contains("GOPROXY is `https://p.invalid,direct`, but scripts don't reach the network"), "{logs}");
    assert!(logs.contains("GOPROXY is http://127.0.0.1:"), "{logs}");
    lab.build(feedstock.root(), &["--network", "on"]).succeeds();
    assert!(lab.logs().contains("GOPROXY is https://p.invalid,direct"), "{}", lab.logs());
}

#[test]
fn offline_excludes_an_open_network() {
    let lab = Lab::fake();
    let feedstock = lab.hello("hello", GO_BUILD, "");
    lab.build(feedstock.root(), &["--offline", "--network", "on"]).fails_with(2).says("exclude each other");
    lab.build(feedstock.root(), &["--network", "sometimes"]).fails_with(2).says("sometimes");
}

#[test]
fn a_proxy_of_the_scripts_own_is_replaced_too() {
    let lab = Lab::fake();
    if !closes_network(here!(), &lab) {
        return;
    }
    // The real `go` of this toolchain says what it is given.
    let feedstock = lab.hello("hello", &format!("export GOPROXY=https://p.invalid GOVCS=public:git && {GO_BUILD}"), "");
    lab.build(feedstock.root(), &[]).succeeds();
    let logs = lab.logs();
    assert!(logs.contains("GOPROXY is `https://p.invalid`, but scripts don't reach the network"), "{logs}");
    assert!(logs.contains("GOPROXY=http://127.0.0.1:7080 GOVCS=*:off"), "{logs}");
    lab.build(feedstock.root(), &["--network", "on"]).succeeds();
    assert!(lab.logs().contains("GOPROXY=https://p.invalid GOVCS=public:git"), "{}", lab.logs());
}

/// A line of bash that asks the module proxy of its job, and prints the answer.
fn ask(path: &str) -> String {
    let address = "${GOPROXY#http://}";
    format!(
        "a={address}; exec 3<>/dev/tcp/${{a%:*}}/${{a#*:}} && printf 'GET /{path} HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3"
    )
}

#[test]
fn the_module_proxy_answers_in_the_room() {
    let mut lab = Lab::fake();
    lab.with_sample_modules();
    let module = "gonda.invalid/modules/fold";
    let check = |lab: &Lab, version: &str, flags: &[&str], expected: &str| {
        let feedstock = lab.hello("hello", &format!("{} && {GO_BUILD}", ask(version)), "");
        lab.build(feedstock.root(), flags).succeeds();
        assert!(lab.logs().contains(expected), "{flags:?}: {}", lab.logs());
    };
    let list = format!("{module}/@v/list");
    let missing = "not in gonda's module store, and nobody else may be asked; `gonda fetch` fills it";
    check(&lab, &list, &["--network", "off"], missing);
    check(&lab, &list, &[], "200 OK");
    // The last answer serves when nobody can be asked.
    check(&lab, &list, &["--network", "off"], "200 OK");
    check(&lab, &list, &["--offline", "--isolation", "env"], "200 OK");
    check(&lab, &format!("{module}/@latest"), &["--offline"], missing);
}
