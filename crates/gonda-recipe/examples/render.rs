//! Renders a v0 recipe for a platform and prints what comes out: `render RECIPE [PLATFORM [MODE]]`. With `--bench N` as
//! the fourth argument it renders N times on two threads and prints the rate.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use gonda_recipe::{ConfigPlatform, DiskWorld, Finalize, Request, VariantFiles, load};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let platform = args.get(1).map_or("linux-64", String::as_str);
    let Ok(platform) = platform.parse() else {
        eprintln!("unknown platform");
        return;
    };
    let request = Request {
        recipe: PathBuf::from(args.first().map_or("meta.yaml", String::as_str)),
        build_platform: platform,
        target_platform: platform,
        variants: VariantFiles {
            additional: std::env::var_os("VARIANT").map(PathBuf::from).into_iter().collect(),
            ..VariantFiles::default()
        },
        config_platform: ConfigPlatform::Build,
        finalize: match args.get(2).map(String::as_str) {
            Some("bypass") => Finalize::Bypass,
            Some("nosolve") => Finalize::NoSolve,
            _ => Finalize::No,
        },
        trim_skip: false,
    };
    let world = DiskWorld { environ: BTreeMap::new(), git: BTreeMap::new() };
    if let Some(count) = args.get(3).and_then(|count| count.parse::<usize>().ok()) {
        let start = Instant::now();
        let outputs: usize = std::thread::scope(|scope| {
            let run = || {
                (0..count / 2)
                    .map(|_| load(&request, &world).map_or(0, |rendering| rendering.outputs.len()))
                    .sum::<usize>()
            };
            let threads = [scope.spawn(run), scope.spawn(run)];
            threads.into_iter().map(|thread| thread.join().unwrap_or(0)).sum()
        });
        let seconds = start.elapsed().as_secs_f64();
        #[allow(clippy::cast_precision_loss)]
        let rate = outputs as f64 / seconds;
        println!("{outputs} outputs in {seconds:.3} s: {rate:.0} a second");
        return;
    }
    match load(&request, &world) {
        Ok(rendering) => {
            for output in rendering.outputs {
                println!("{} {:?}", output.filename(), output.used_vars);
                println!("  depends {:?}\n{}", output.depends, output.rendered_recipe);
            }
        }
        Err(errors) => {
            for error in &errors.0 {
                let text = error.text.as_deref().unwrap_or_default();
                println!("{error}\n  | {text}\n  help: {}", error.help.as_deref().unwrap_or_default());
            }
        }
    }
}
