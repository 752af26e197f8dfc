//! How fast recipes render: `cargo bench -p gonda-recipe --bench render`, which `cargo xtask bench render` shows beside
//! the targets. Prints one line of JSON: name to what was measured.
//!
//! All inputs stand in memory, as a driver that renders for many targets has them.
//!
//! For a profiler, `-- --times N v0|pinned|v1` renders one of the inputs N times and prints nothing:
//! `valgrind --tool=callgrind --toggle-collect='*Case::render' target/release/deps/render-… --times 20 v0`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "render/inputs.rs"]
mod inputs;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use gonda_recipe::{ConfigPlatform, Finalize, MemoryWorld, Request, VariantFiles, load};
use rattler_build_jinja::JinjaConfig;
use rattler_build_recipe::stage0;
use rattler_build_recipe::variant_render::{RenderConfig, render_recipe_with_variant_config};
use rattler_build_variant_config::parse_conda_build_config;
use rattler_conda_types::Subdir;
use serde_json::json;

/// Rounds of each measurement; the median counts.
const ROUNDS: usize = 7;
/// How long a round lasts.
const ROUND: Duration = Duration::from_millis(400);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, times, name] = arguments.as_slice()
        && flag == "--times"
    {
        let (recipe, text, variant) = match name.as_str() {
            "v1" => ("recipe.yaml", inputs::GO_V1, inputs::SMALL_VARIANT.to_owned()),
            "pinned" => ("meta.yaml", inputs::GO_V0, inputs::pinning_file()),
            _ => ("meta.yaml", inputs::GO_V0, inputs::SMALL_VARIANT.to_owned()),
        };
        let case = Case::new(recipe, text, variant);
        (0..times.parse().unwrap()).for_each(|_: usize| assert_eq!(case.render(), 1));
        return;
    }
    // Cargo runs benches as tests too, for one quick round.
    let quick = arguments.iter().any(|argument| argument == "--test");
    let (rounds, round) = if quick { (1, Duration::ZERO) } else { (ROUNDS, ROUND) };
    let rate = |threads: usize, render: &(dyn Fn() -> usize + Sync)| {
        median((0..rounds).map(|_| outputs_a_second(threads, round, render)).collect())
    };
    let milliseconds = |render: &(dyn Fn() -> usize + Sync)| 1000.0 / rate(1, render);

    let small = Case::new("meta.yaml", inputs::GO_V0, inputs::SMALL_VARIANT.to_owned());
    let pinned = Case::new("meta.yaml", inputs::GO_V0, inputs::pinning_file());
    let v1 = Case::new("recipe.yaml", inputs::GO_V1, inputs::SMALL_VARIANT.to_owned());
    for case in [&small, &pinned, &v1] {
        assert_eq!(case.render(), 1, "each input renders to one output");
    }
    let measured = json!({
        "v0_outputs_per_second_two_threads": rate(2, &|| small.render()),
        "v0_outputs_per_second_one_thread": rate(1, &|| small.render()),
        "v0_pinning_file_ms": milliseconds(&|| pinned.render()),
        "pinning_file_lines": inputs::pinning_file().lines().count(),
        "v1_outputs_per_second": rate(1, &|| v1.render()),
        "v1_crates_outputs_per_second": rate(1, &crates_alone),
    });
    println!("{measured}");
}

/// Renders on each thread for the time of a round; outputs a second, of all threads.
fn outputs_a_second(threads: usize, round: Duration, render: &(dyn Fn() -> usize + Sync)) -> f64 {
    let work = || {
        let start = Instant::now();
        let mut outputs = 0;
        loop {
            outputs += render();
            let elapsed = start.elapsed();
            if elapsed >= round {
                return f64::from(u32::try_from(outputs).unwrap()) / elapsed.as_secs_f64();
            }
        }
    };
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A recipe and the variant file that is given with `-m`.
struct Case {
    request: Request,
    world: MemoryWorld,
}

impl Case {
    fn new(name: &str, recipe: &str, variant: String) -> Self {
        let recipe_file = Path::new("feedstock/recipe").join(name);
        let variant_file = PathBuf::from("feedstock/conda_build_config.yaml");
        let request = Request {
            recipe: recipe_file.clone(),
            build_platform: Subdir::Linux64,
            target_platform: Subdir::Linux64,
            variants: VariantFiles { additional: vec![variant_file.clone()], ..VariantFiles::default() },
            config_platform: ConfigPlatform::Target,
            finalize: Finalize::No,
            trim_skip: false,
        };
        let files = BTreeMap::from([(recipe_file, recipe.as_bytes().to_vec()), (variant_file, variant.into_bytes())]);
        let environ = [("HOME", "/home/someone"), ("LANG", "C.UTF-8"), ("PATH", "/usr/bin:/bin")];
        let environ = environ.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Self { request, world: MemoryWorld { files, environ } }
    }

    /// The number of outputs.
    #[inline(never)]
    fn render(&self) -> usize {
        load(&self.request, &self.world).unwrap().outputs.len()
    }
}

/// The same v1 recipe through the recipe crates, without what gonda makes of their results.
fn crates_alone() -> usize {
    let jinja = JinjaConfig {
        target_platform: Subdir::Linux64,
        host_platform: Subdir::Linux64,
        build_platform: Subdir::Linux64,
        ..JinjaConfig::default()
    };
    let recipe = stage0::parse_recipe_or_multi_from_source(inputs::GO_V1).unwrap();
    let variants = parse_conda_build_config(inputs::SMALL_VARIANT, &jinja).unwrap();
    let config = RenderConfig::new().with_target_platform(Subdir::Linux64).with_build_platform(Subdir::Linux64);
    render_recipe_with_variant_config(&recipe, &variants, config).unwrap().len()
}
