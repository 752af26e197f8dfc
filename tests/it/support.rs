//! What the tests share: worlds with a toolchain, real or fake.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use gonda_testkit::{
    FakeGo, Feedstock, ModuleProxy, Run, World, go_root, sample, samples_folder, skipped, toolchain_channel,
};

/// The binary under test.
pub const GONDA: &str = env!("CARGO_BIN_EXE_gonda");

/// The targets of `--all-targets`, in their order.
pub const SEVEN: [&str; 7] =
    ["linux-64", "linux-aarch64", "linux-ppc64le", "osx-64", "osx-arm64", "win-64", "win-arm64"];

/// The name of the test function that the macro stands in.
macro_rules! here {
    () => {{
        fn place() {}
        std::any::type_name_of_val(&place).trim_end_matches("::place").trim_start_matches("it::")
    }};
}
pub(crate) use here;

/// Whether this machine is linux-64; where a test's expectations are of that platform, it says elsewhere that it is
/// skipped.
pub fn on_linux_64(test: &str) -> bool {
    let native = cfg!(all(target_os = "linux", target_arch = "x86_64"));
    if !native {
        skipped(test, "its expectations are those of linux-64");
    }
    native
}

/// A world and a channel to build from.
pub struct Lab {
    pub world: World,
    pub channel: PathBuf,
    /// Whether [`Lab::build`] builds even what was built before: worlds share caches, and most tests are about building.
    pub rebuild: bool,
}

impl Lab {
    /// With the real Go toolchain and the cache that all such labs share; `None` says that the test is skipped.
    pub fn real(test: &str) -> Option<Self> {
        let scratch = scratch();
        match go_root().and_then(|_| toolchain_channel(Path::new(GONDA), &scratch)) {
            Ok(channel) => {
                let mut world = World::new(GONDA);
                // Beside the channel, so that it goes when the binary changes.
                world.share_cache(shared_cache(&channel)).share_go_std(go_std());
                no_module_network(&mut world);
                Some(Self { world, channel, rebuild: true })
            }
            Err(reason) => {
                skipped(test, reason);
                None
            }
        }
    }

    /// With a toolchain that only pretends, and a cache of its own: quick, for what happens around the compiler.
    pub fn fake() -> Self {
        Self::fake_with(&[])
    }

    /// The same, with more flags for `gonda channel bootstrap`.
    pub fn fake_with(flags: &[&str]) -> Self {
        let mut world = World::new(GONDA);
        no_module_network(&mut world);
        let go = FakeGo::new(world.path("fake-go"), "1.99.0");
        let channel = world.path("channel");
        let mut arguments: Vec<OsString> =
            ["channel", "bootstrap", "--go-root"].into_iter().map(OsString::from).collect();
        arguments.push(go.root().into());
        arguments.push("--output".into());
        arguments.push(channel.clone().into());
        arguments.extend(flags.iter().map(OsString::from));
        world.gonda(arguments).succeeds();
        Self { world, channel, rebuild: true }
    }

    /// Gives a lab a cache of its own, the compiled standard library excepted: for what may hurt a cache.
    pub fn own_cache(&mut self) -> &mut Self {
        let cache = self.world.path("own-cache");
        self.world.share_cache(cache).share_go_std(go_std());
        self
    }

    /// A copy of a sample feedstock.
    pub fn sample(&self, name: &str) -> PathBuf {
        sample(name, &self.world.root())
    }

    /// A feedstock of a small program; see [`Feedstock::hello`].
    pub fn hello(&self, name: &str, build: &str, rest: &str) -> Feedstock {
        Feedstock::hello(self.world.path(format!("{name}-feedstock")), name, build, rest)
    }

    /// `gonda build FEEDSTOCK -c CHANNEL --output-dir OUTPUT MORE…`
    pub fn build(&self, feedstock: &Path, more: &[&str]) -> Run {
        self.world.gonda(self.build_arguments(feedstock, more))
    }

    /// The arguments of [`Lab::build`].
    pub fn build_arguments(&self, feedstock: &Path, more: &[&str]) -> Vec<OsString> {
        let mut arguments: Vec<OsString> =
            vec!["build".into(), feedstock.into(), "-c".into(), self.channel_url().into()];
        arguments.extend(["--output-dir".into(), self.world.output().into()]);
        arguments.extend(self.rebuild.then(|| "--rebuild".into()));
        arguments.extend(more.iter().map(OsString::from));
        arguments
    }

    /// The channel's url.
    pub fn channel_url(&self) -> String {
        format!("file://{}", self.channel.display())
    }

    /// Lets Go modules come from the proxy of the samples' own modules.
    pub fn with_sample_modules(&mut self) -> &mut Self {
        let proxy = ModuleProxy::of_modules(self.world.path("module-proxy"), &samples_folder().join("modules"));
        self.world.env("GONDA_GOPROXY", proxy.url());
        self
    }

    /// The text of all logs.
    pub fn logs(&self) -> String {
        let mut text = String::new();
        for entry in walk(&self.world.output().join("logs")) {
            text.push_str(&String::from_utf8_lossy(&std::fs::read(entry).unwrap()));
        }
        text
    }

    /// Nothing that a client could take for a package, and nothing half-written.
    pub fn has_no_package(&self) {
        assert_eq!(self.world.packages(), Vec::<String>::new());
    }
}

/// All files below a folder, sorted.
pub fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return found };
    for entry in entries.map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(walk(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

/// A member of a package's `info/`, read without gonda.
pub fn info(package: &Path, member: &str) -> Option<String> {
    let bytes = gonda_testkit::conda_members(&std::fs::read(package).unwrap());
    let wanted = format!("info/{member}");
    bytes.into_iter().find(|entry| entry.path == wanted).map(|entry| String::from_utf8(entry.content).unwrap())
}

/// The paths of a package's files outside `info/`, sorted.
pub fn files(package: &Path) -> Vec<String> {
    let members = gonda_testkit::conda_members(&std::fs::read(package).unwrap());
    let mut names: Vec<String> =
        members.into_iter().map(|entry| entry.path).filter(|path| !path.starts_with("info/")).collect();
    names.sort();
    names
}

/// A folder that lasts from run to run, below cargo's target folder.
pub fn scratch() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn shared_cache(channel: &Path) -> PathBuf {
    channel.with_extension("cache")
}

/// The standard library as gonda compiled it, once for each target and toolchain.
fn go_std() -> PathBuf {
    scratch().join("go-std")
}

/// What isn't in a test's own proxy must not be asked for anywhere.
fn no_module_network(world: &mut World) {
    world.env("GONDA_GOPROXY", "off").env("GONDA_GOSUMDB", "off");
}
