//! `gonda render`: what it says without channels, and what solved environments make of it.

use gonda_testkit::{Feedstock, HandMadeChannel, HandMadePackage, Run, World};

use crate::support::GONDA;

const RECIPE: &str = "package:
  name: counter
  version: '2.1'
build:
  number: 3
requirements:
  build:
    - {{ compiler('c') }}
  host:
    - libsum
  run:
    - {{ pin_compatible('libsum', max_pin='x.x') }}
    - other
";

const VARIANT: &str = "c_compiler:\n  - cc\nc_compiler_version:\n  - 13\nlibsum:\n  - 1.4\n";

fn world() -> (World, Feedstock) {
    let world = World::new(GONDA);
    let feedstock = Feedstock::new(world.path("counter-feedstock"));
    feedstock.write("recipe/meta.yaml", RECIPE);
    feedstock.write("recipe/conda_build_config.yaml", VARIANT);
    (world, feedstock)
}

fn channel(world: &World) -> HandMadeChannel {
    let package = |name: &str, version: &str| HandMadePackage::new(name, version, "linux-64");
    HandMadeChannel::new(
        world.path("channel"),
        &[
            package("cc_linux-64", "13.2").depends_on("cc-parts").exports("strong", &["libcc >=13"]),
            package("cc-parts", "1").exports("strong", &["never >=1"]),
            package("libcc", "13.2"),
            package("libsum", "1.4.7").exports("weak", &["libsum >=1.4.7,<2.0a0"]),
            package("libsum", "1.5.0"),
        ],
    )
}

fn render(world: &World, feedstock: &Feedstock, more: &[&str]) -> Run {
    let mut arguments = vec!["render".to_owned(), feedstock.root().display().to_string()];
    let platform = ["--build-platform", "linux-64", "--target-platform", "linux-64", "--format", "json"];
    arguments.extend(platform.iter().chain(more).map(|argument| (*argument).to_owned()));
    world.gonda(arguments)
}

#[test]
fn solved_environments_make_pins_run_exports_and_the_hash() {
    let (world, feedstock) = world();
    let channel = channel(&world);
    let said = render(&world, &feedstock, &["--finalize", "solve", "-c", &channel.url()]).succeeds().json();
    let output = &said[0];
    assert_eq!(output["requirements"]["build"], serde_json::json!(["cc-parts 1 0", "cc_linux-64 13.2 0"]), "{output}");
    assert_eq!(output["requirements"]["host"], serde_json::json!(["libcc 13.2 0", "libsum 1.4.7 0"]), "{output}");
    let depends = ["libcc >=13", "libsum >=1.4.7,<1.5.0a0", "libsum >=1.4.7,<2.0a0", "other"];
    assert_eq!(output["depends"], serde_json::json!(depends), "{output}");
    let hash = output["hash"].as_str().unwrap();
    assert_eq!(output["build_string"], format!("{hash}_3"), "{output}");
}

#[test]
fn without_solving_no_channel_is_asked() {
    let (world, feedstock) = world();
    let said = render(&world, &feedstock, &["-c", "file:///nowhere/at/all"]).succeeds().json();
    assert_eq!(said[0]["requirements"]["host"], serde_json::json!(["libsum 1.4.*"]));
}

#[test]
fn what_cannot_be_solved_is_said() {
    let (world, feedstock) = world();
    let channel = channel(&world);
    feedstock.write("recipe/conda_build_config.yaml", VARIANT.replace("1.4", "9.9"));
    render(&world, &feedstock, &["--finalize", "solve", "-c", &channel.url()])
        .succeeds()
        .says("is not final, its requirements stay as written: could not solve the host environment of `counter`")
        .says("libsum 9.9.*");
}

#[test]
fn what_nobody_reads_is_told_beside_the_document() {
    let (world, feedstock) = world();
    feedstock.write("recipe/meta.yaml", format!("{RECIPE}\nrequirement:\n  host:\n    - go\n"));
    let run = render(&world, &feedstock, &[]).succeeds();
    let document: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(document.as_array().map(Vec::len), Some(1), "{run}");
    let warning = "`requirement` is no section of a recipe: it is passed over; did you mean `requirements`?";
    assert!(run.stderr.contains(warning), "{run}");
}
