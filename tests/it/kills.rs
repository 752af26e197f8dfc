//! `kill -9` at random moments of whatever writes: no package and no cache is ever there by half, and the next run works.
//!
//! The moments come from a seed that each test prints; `GONDA_TEST_SEED` repeats it, as far as processes repeat
//! themselves.
#![cfg(unix)]

use std::ffi::OsString;
use std::fs;
use std::hash::{BuildHasher as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gonda_testkit::{HandMadeChannel, HandMadePackage, World};

use crate::offline::Remote;
use crate::support::{Lab, here, walk};

/// Random moments (xorshift).
struct Moments(u64);

impl Moments {
    fn new(test: &str) -> Self {
        let given = std::env::var("GONDA_TEST_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| std::hash::RandomState::new().build_hasher().finish()) | 1;
        println!("{test}: GONDA_TEST_SEED={seed}");
        Self(seed)
    }

    /// The same moments as another's, and yet others.
    fn of_worker(&self, worker: usize) -> Self {
        Self(self.0.rotate_left(8 * worker as u32) ^ 0x9e37_79b9_7f4a_7c15 | 1)
    }

    fn below(&mut self, length: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        length.mul_f64((self.0 >> 11) as f64 / (1_u64 << 53) as f64)
    }
}

/// Starts a command and kills it at a moment of its run; whether it still ran.
fn kill(world: &World, command: Command, moment: Duration) -> bool {
    let running = world.start(command);
    std::thread::sleep(moment);
    let run = running.kill();
    assert!(matches!(run.code, None | Some(0)), "it failed before it was killed\n{run}");
    run.code.is_none()
}

/// How long a run takes that nothing disturbs.
fn length_of(world: &World, command: Command) -> Duration {
    world.run(command).succeeds().elapsed
}

/// Every package below a folder has all its members.
fn packages_are_whole(output: &Path) {
    for file in walk(output) {
        if file.extension().is_some_and(|extension| extension == "conda") {
            let members = gonda_testkit::conda_members(&fs::read(&file).unwrap());
            assert!(members.iter().any(|member| member.path == "bin/hello"), "{}", file.display());
        }
    }
}

/// A hundred moments at which a build really runs: three on one cache, which is warm, and one that begins with an empty
/// cache of its own again and again.
#[test]
fn builds() {
    const KILLS: usize = 100;
    const WORKERS: usize = 4;
    let mut lab = Lab::fake();
    lab.rebuild = false;
    let feedstock = lab.hello("hello", "go build -o $PREFIX/bin/hello .", "");
    let cold_cache = lab.world.path("cold-cache");
    let build = |worker: usize, more: &[&str]| {
        let output = lab.world.path(format!("output-{worker}"));
        let arguments = lab.build_arguments(feedstock.root(), more).into_iter();
        let arguments = arguments.map(|word| if word == lab.world.output() { output.clone().into() } else { word });
        let mut command = lab.world.command(arguments.collect::<Vec<OsString>>());
        if worker == 0 {
            command.env("GONDA_CACHE_DIR", &cold_cache);
        }
        command
    };
    let moments = Moments::new(here!());
    length_of(&lab.world, build(1, &[]));
    let killed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (lab, build, killed, cold_cache) = (&lab, &build, &killed, &cold_cache);
            let mut moments = moments.of_worker(worker);
            scope.spawn(move || {
                let output = lab.world.path(format!("output-{worker}"));
                // As long as it takes beside the others.
                let length = length_of(&lab.world, build(worker, &["--rebuild"]));
                for round in 0.. {
                    if killed.load(Ordering::Relaxed) >= KILLS {
                        break;
                    }
                    assert!(round < KILLS, "most builds end before they are killed");
                    if worker == 0 && round % 3 == 0 {
                        fs::remove_dir_all(cold_cache).unwrap();
                    }
                    let more: &[&str] = if round % 4 == 0 { &[] } else { &["--rebuild"] };
                    if kill(&lab.world, build(worker, more), moments.below(length)) {
                        killed.fetch_add(1, Ordering::Relaxed);
                    }
                    packages_are_whole(&output);
                    if round % 6 == 5 {
                        lab.world.run(build(worker, more)).succeeds();
                    }
                }
                lab.world.run(build(worker, &["--rebuild"])).succeeds();
                lab.world.run(build(worker, &[])).succeeds().prints("unchanged");
                packages_are_whole(&output);
            });
        }
    });
    // What the killed ones left is swept by others; nothing in the making stays.
    lab.world.run(build(1, &["--rebuild"])).succeeds();
    let left: Vec<PathBuf> = fs::read_dir(lab.world.cache().join("finished"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("part-"))
        .collect();
    assert_eq!(left, Vec::<PathBuf>::new(), "{}", here!());
}

/// Over HTTP, so that downloads are cut off too; what the next run fetches is all that a build needs.
#[test]
fn fetches() {
    let remote = Remote::new();
    let world = &remote.lab.world;
    let fetch = || world.command(remote.arguments("fetch", &[]));
    let mut moments = Moments::new(here!());
    let length = length_of(world, fetch());
    for round in 0..16 {
        if round % 4 == 0 {
            fs::remove_dir_all(world.cache()).unwrap();
        }
        kill(world, fetch(), moments.below(length));
        if round % 4 == 3 {
            remote.gonda("fetch", &[]).succeeds();
            remote.gonda("build", &["--offline"]).succeeds();
            packages_are_whole(&world.output());
            fs::remove_dir_all(world.output()).unwrap();
        }
    }
}

/// Whoever makes the caches smaller leaves each entry whole or gone.
#[test]
fn prunes() {
    let mut lab = Lab::fake();
    lab.rebuild = false;
    let feedstock = lab.hello("hello", "go build -o $PREFIX/bin/hello .", "");
    let mut moments = Moments::new(here!());
    lab.build(feedstock.root(), &[]).succeeds();
    let length = length_of(&lab.world, lab.world.command(["cache", "clean"]));
    for round in 0..10 {
        lab.build(feedstock.root(), &[]).succeeds();
        packages_are_whole(&lab.world.output());
        let command: &[&str] = if round % 2 == 0 { &["cache", "prune", "--days", "0"] } else { &["cache", "clean"] };
        kill(&lab.world, lab.world.command(command), moments.below(length));
    }
    lab.build(feedstock.root(), &["--rebuild"]).succeeds();
}

/// An index is the former one or the new one.
#[test]
fn indexes() {
    const PACKAGES: usize = 40;
    let world = World::new(crate::support::GONDA);
    let packages: Vec<_> = (0..PACKAGES)
        .map(|index| HandMadePackage::new(&format!("p{index}"), "1", "noarch").with_file("share/x", "x", false))
        .collect();
    let channel = HandMadeChannel::new(world.path("channel"), &packages);
    let index = || world.command(["channel".as_ref(), "index".as_ref(), channel.folder().as_os_str()]);
    let count = || {
        let text = fs::read(channel.folder().join("noarch/repodata.json")).unwrap();
        serde_json::from_slice::<serde_json::Value>(&text).unwrap()["packages.conda"].as_object().unwrap().len()
    };
    let mut moments = Moments::new(here!());
    let length = length_of(&world, index());
    let (one, aside) = (channel.folder().join("noarch").join(packages[0].file_name()), world.path("aside.conda"));
    for round in 0..20 {
        // It comes and goes, so that there is something to write each time.
        let (from, to) = if round % 2 == 0 { (&one, &aside) } else { (&aside, &one) };
        fs::rename(from, to).unwrap();
        kill(&world, index(), moments.below(length));
        assert!((PACKAGES - 1..=PACKAGES).contains(&count()), "{}", count());
    }
    world.run(index()).succeeds();
    assert_eq!(count(), PACKAGES);
}
