//! The command line as written. What it means together with configuration stands in `config.rs`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use rattler_conda_types::Subdir;

/// Builds conda packages from Go feedstocks.
#[derive(Debug, Parser)]
#[command(name = "gonda", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    #[command(flatten)]
    pub(crate) global: Global,
}

/// Flags of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// How to print results and errors
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,

    /// Print less: only results, warnings and errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,

    /// Print scripts' output as it comes
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
    Yaml,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build packages from recipes
    Build(BuildArgs),
    /// Bring all that builds take from elsewhere into the caches
    Fetch(FetchArgs),
    /// Write down what builds take from elsewhere, beside the recipe
    Lock(FetchArgs),
    /// Show what a recipe would build
    Render(RenderArgs),
    /// Run the tests that packages carry
    Test(TestArgs),
    /// Show what a package holds
    Inspect(InspectArgs),
    /// Check packages: file lists, hashes, structure
    Verify(VerifyArgs),
    /// Build packages again from what they carry, and compare
    Rebuild(RebuildArgs),
    /// The caches: what they take, and making them smaller
    #[command(subcommand)]
    Cache(CacheCommand),
    /// A Go build cache that machines share
    #[command(subcommand)]
    Gocache(GoCacheCommand),
    /// Make and index local channels
    #[command(subcommand)]
    Channel(ChannelCommand),
}

/// Which recipes, variants and platforms.
#[derive(Debug, Args)]
pub(crate) struct Selection {
    /// Recipe folders, recipe files or feedstock roots
    #[arg(required = true, value_name = "RECIPE")]
    pub(crate) recipes: Vec<PathBuf>,

    /// Variant file read after the recipe's own; repeatable
    #[arg(long, short = 'm', value_name = "FILE")]
    pub(crate) variant_config_files: Vec<PathBuf>,

    /// Variant file read instead of the user's own
    #[arg(long, short = 'e', value_name = "FILE")]
    pub(crate) exclusive_config_file: Option<PathBuf>,

    /// Variant values that win over all files, as a YAML mapping
    #[arg(long, value_name = "YAML")]
    pub(crate) variants: Option<String>,

    /// Platforms to build for; the build platform by default
    #[arg(long, value_name = "P", value_delimiter = ',')]
    pub(crate) target_platform: Vec<Subdir>,

    /// Build for linux-64, linux-aarch64, linux-ppc64le, osx-64, osx-arm64, win-64 and win-arm64
    #[arg(long, conflicts_with = "target_platform")]
    pub(crate) all_targets: bool,

    /// Build for the platforms that the recipe's `extra.gonda.targets` names, else the feedstock's `.ci_support`
    #[arg(long, conflicts_with_all = ["target_platform", "all_targets"])]
    pub(crate) feedstock_targets: bool,

    /// The platform that builds
    #[arg(long, value_name = "P")]
    pub(crate) build_platform: Option<Subdir>,
}

/// Which channels, and how they are reached.
#[derive(Debug, Args, Default)]
pub(crate) struct ChannelArgs {
    /// Channel to take packages from: a name, a url or a folder; repeatable, the first has priority
    #[arg(long = "channel", short = 'c', value_name = "CHANNEL")]
    pub(crate) channels: Vec<String>,

    /// Use only what is in the caches
    #[arg(long)]
    pub(crate) offline: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,

    #[command(flatten)]
    pub(crate) channels: ChannelArgs,

    /// Where packages and logs go
    #[arg(long, value_name = "DIR")]
    pub(crate) output_dir: Option<PathBuf>,

    /// Whether packages are tested
    #[arg(long, value_enum)]
    pub(crate) test: Option<TestArg>,

    /// What build scripts may reach
    #[arg(long, value_enum)]
    pub(crate) network: Option<NetworkArg>,

    /// How jobs are kept apart from the machine and one another
    #[arg(long, value_enum)]
    pub(crate) isolation: Option<IsolationArg>,

    /// What a job's GOCACHE starts with: `private`, the standard library as gonda compiled it; `shared`, whatever jobs
    /// before it left there, for recipes that you trust; or, beside what is private, a store that machines share, by its
    /// `http`, `https` or `s3` url, for stores whose writers you trust
    #[arg(long, value_name = "MODE|URL")]
    pub(crate) go_cache: Option<String>,

    /// The C compiler of recipes with cgo: `conda`, the channel's, as they ask for it; `zig`, one `zig` package for all
    /// Linux and Windows targets. Without it, the recipe's `extra.gonda.cgo` decides
    #[arg(long, value_name = "COMPILER")]
    pub(crate) cgo_compiler: Option<String>,

    /// Folder or url asked first for every source; repeatable
    #[arg(long, value_name = "DIR|URL")]
    pub(crate) source_mirror: Vec<String>,

    /// Build with what `gonda.conda-lock.yml` says, and fail where that has changed
    #[arg(long)]
    pub(crate) locked: bool,

    /// Leave out packages that are there already
    #[arg(long)]
    pub(crate) skip_existing: bool,

    /// Build even what was built before from the same inputs
    #[arg(long)]
    pub(crate) rebuild: bool,

    /// Show what would be done, with solved environments
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Processors that all jobs share
    #[arg(long, short, value_name = "N")]
    pub(crate) jobs: Option<usize>,

    /// How many processes and threads the scripts of a job may have at once, in namespaces
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(64..))]
    pub(crate) max_processes: Option<u32>,

    /// How much memory the scripts of a job may have at once, `2G` for example, in namespaces; a job that takes more is ended
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_memory: Option<String>,

    /// How much of the cache's disk a job leaves free, `500M` or `1G`; a job that leaves less is ended
    #[arg(long, value_name = "SIZE")]
    pub(crate) min_free_disk: Option<String>,

    /// End all other jobs as soon as one fails
    #[arg(long)]
    pub(crate) fail_fast: bool,

    /// Append the closing table to a file as Markdown, for GitHub's `$GITHUB_STEP_SUMMARY`
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown_summary: Option<PathBuf>,

    /// Keep the folders of successful jobs
    #[arg(long)]
    pub(crate) keep_work: bool,

    /// Refuse packages whose metadata lack what their programs need (`__glibc`, `__osx`, libraries)
    #[arg(long)]
    pub(crate) strict_metadata: bool,

    /// zstd level of the archives
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=22))]
    pub(crate) compression_level: Option<i32>,
}

#[derive(Debug, Args)]
pub(crate) struct FetchArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,

    #[command(flatten)]
    pub(crate) channels: ChannelArgs,

    /// Where packages lie that were built before; their channel is asked first
    #[arg(long, value_name = "DIR")]
    pub(crate) output_dir: Option<PathBuf>,

    /// The C compiler of recipes with cgo, as builds will have it: `conda` or `zig`
    #[arg(long, value_name = "COMPILER")]
    pub(crate) cgo_compiler: Option<String>,

    /// Folder or url asked first for every source; repeatable
    #[arg(long, value_name = "DIR|URL")]
    pub(crate) source_mirror: Vec<String>,

    /// Whether to fetch what packages' tests need
    #[arg(long, value_enum)]
    pub(crate) test: Option<TestArg>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TestArg {
    /// Packages that this machine can run
    Native,
    /// Those too that an installed emulator can run: qemu's user mode, wine
    NativeAndEmulated,
    /// None
    Skip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NetworkArg {
    /// Go modules, through gonda's own proxy, which fetches what its store lacks
    Modules,
    /// Go modules of gonda's store
    Off,
    /// Everything
    On,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum IsolationArg {
    /// Namespaces where they can be had, else a clean environment and one warning
    Auto,
    /// Namespaces, or fail
    Strict,
    /// A clean environment only
    Env,
}

#[derive(Debug, Args)]
pub(crate) struct RenderArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,

    /// Print only the packages' paths below the channel
    #[arg(long)]
    pub(crate) output: bool,

    #[command(flatten)]
    pub(crate) channels: ChannelArgs,

    /// How far to render; without it no environment is known and no channel asked
    #[arg(long, value_enum)]
    pub(crate) finalize: Option<FinalizeArg>,

    /// For which platform a recipe's own variant file is read
    #[arg(long, value_enum, default_value_t = ConfigPlatformArg::Target)]
    pub(crate) config_platform: ConfigPlatformArg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FinalizeArg {
    /// Strict about names; exact pins without a hash
    Bypass,
    /// Environments taken to be the requirements as written
    Nosolve,
    /// Environments solved from channels, as for a build: pins, run exports and the hash are final
    Solve,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ConfigPlatformArg {
    Target,
    Build,
}

#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Packages: `.conda` or `.tar.bz2` files
    #[arg(required = true, value_name = "PKG")]
    pub(crate) packages: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) channels: ChannelArgs,

    /// Where logs go
    #[arg(long, value_name = "DIR")]
    pub(crate) output_dir: Option<PathBuf>,

    /// Which packages are tested: those that this machine can run, or those too that an emulator can
    #[arg(long, value_enum)]
    pub(crate) test: Option<TestArg>,

    /// How tests are kept apart from the machine
    #[arg(long, value_enum)]
    pub(crate) isolation: Option<IsolationArg>,
}

#[derive(Debug, Args)]
pub(crate) struct RebuildArgs {
    /// Packages that gonda built
    #[arg(required = true, value_name = "PKG")]
    pub(crate) packages: Vec<PathBuf>,

    /// Recipe or feedstock to build from in place of the package's own copy, for packages whose source lies beside it
    #[arg(long, value_name = "RECIPE")]
    pub(crate) recipe: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) channels: ChannelArgs,

    /// What scripts may reach
    #[arg(long, value_enum)]
    pub(crate) network: Option<NetworkArg>,

    /// How the job is kept apart from the machine
    #[arg(long, value_enum)]
    pub(crate) isolation: Option<IsolationArg>,

    /// Folder or url asked first for every source; repeatable
    #[arg(long, value_name = "DIR|URL")]
    pub(crate) source_mirror: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// Show what each part takes
    Size,
    /// Remove what has not been used for some time; waits for running builds
    Prune {
        /// How long, in days
        #[arg(long, value_name = "N", default_value_t = 30)]
        days: u64,
    },
    /// Remove everything; waits for running builds
    Clean,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GoCacheCommand {
    /// Serve a folder to `--go-cache http://…`; whoever reaches it can read it and write to it
    Serve(ServeArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7090")]
    pub(crate) listen: std::net::SocketAddr,

    /// Where compiled packages are kept; a folder of the caches by default
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// A `.conda` or `.tar.bz2` file
    #[arg(value_name = "PKG")]
    pub(crate) package: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// `.conda` or `.tar.bz2` files
    #[arg(required = true, value_name = "PKG")]
    pub(crate) packages: Vec<PathBuf>,

    /// Refuse packages whose metadata lack what their programs need (`__glibc`, `__osx`, libraries)
    #[arg(long)]
    pub(crate) strict_metadata: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ChannelCommand {
    /// Make a local channel with the Go toolchain, from a Go SDK folder
    Bootstrap(BootstrapArgs),
    /// Write repodata for a folder of packages
    Index(IndexArgs),
}

#[derive(Debug, Args)]
pub(crate) struct BootstrapArgs {
    /// The Go SDK: a folder with `bin/go` and `VERSION`
    #[arg(long, value_name = "DIR", required_unless_present = "zig")]
    pub(crate) go_root: Option<PathBuf>,

    /// The channel's folder
    #[arg(long, value_name = "DIR")]
    pub(crate) output: PathBuf,

    /// How packages set the environment when activated
    #[arg(long, value_enum, default_value_t = LayoutArg::EnvVars)]
    pub(crate) layout: LayoutArg,

    /// The machine that the SDK runs on
    #[arg(long, value_name = "P")]
    pub(crate) build_platform: Option<Subdir>,

    /// Source folder of go-licenses, or its feedstock, to build into the channel
    #[arg(long, value_name = "DIR")]
    pub(crate) go_licenses: Option<PathBuf>,

    /// Also package a C compiler of this machine as `gcc_<target>`, for recipes with cgo
    #[arg(long, value_name = "GCC")]
    pub(crate) system_cc: Option<PathBuf>,

    /// Also package a zig distribution as `zig`, for `--cgo-compiler zig`: an unpacked release, or the folder `ziglang` of
    /// the Python package of that name
    #[arg(long, value_name = "DIR")]
    pub(crate) zig: Option<PathBuf>,

    /// Folder or url asked first for sources; repeatable
    #[arg(long, value_name = "DIR|URL")]
    pub(crate) source_mirror: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LayoutArg {
    /// `etc/conda/env_vars.d/*.json`, conda-forge's since September 2026
    #[value(name = "env_vars.d")]
    EnvVars,
    /// `etc/conda/activate.d/*`, with `_go_select`
    #[value(name = "activate.d")]
    Activate,
}

#[derive(Debug, Args)]
pub(crate) struct IndexArgs {
    /// The channel's folder
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
}
