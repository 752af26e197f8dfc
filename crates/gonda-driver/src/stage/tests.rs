//! Which files are packed.

use gonda_recipe::{FileMatch, PinnedOutput};

use super::*;
use crate::info::tests::output;

/// A prefix with two files that were there before and some that the script added.
struct World {
    root: tempfile::TempDir,
    prior: BTreeSet<String>,
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let world = |path: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        };
        world("prefix/lib/libdep.so");
        world("prefix/etc/dep.conf");
        let prior = gonda_packager::list(&root.path().join("prefix")).unwrap();
        for path in ["bin/tool", "lib/libtool.so", "share/man/tool.1", "share/info/dir", "etc/.hidden"] {
            world(&format!("prefix/{path}"));
        }
        std::fs::create_dir(root.path().join("recipe")).unwrap();
        Self { root, prior }
    }

    fn stage(&self, output: &Output) -> Result<Staged> {
        let (prefix, recipe) = (self.root.path().join("prefix"), self.root.path().join("recipe"));
        stage(&Stage {
            output,
            prefix: &prefix,
            seen_prefix: "/opt/p",
            fixed_prefix: "/opt/p",
            also_seen: &[],
            prior: &self.prior,
            added: None,
            foreign: &[],
            recipe_dir: &recipe,
        })
    }

    /// The chosen paths, `!` after those that must not be linked.
    fn check(&self, output: &Output) -> String {
        match self.stage(output) {
            Ok(staged) => {
                let paths = staged.entries.iter().map(|e| format!("{}{}", e.path, if e.no_link { "!" } else { "" }));
                paths.chain(staged.warnings.iter().cloned()).collect::<Vec<_>>().join(" ")
            }
            Err(error) => format!("{error}; {}", error.help.as_deref().unwrap_or_default()),
        }
    }
}

fn globs(include: &[&str], exclude: &[&str]) -> FileMatch {
    let list = |globs: &[&str]| globs.iter().map(|glob| (*glob).to_owned()).collect();
    FileMatch { include: list(include), exclude: list(exclude), all: false }
}

#[test]
fn new_files_are_packed() {
    let world = World::new();
    let output = output(RecipeFormat::V0);
    assert_eq!(world.check(&output), "bin/tool etc/.hidden lib/libtool.so share/info/dir share/man/tool.1");
    let output = crate::info::tests::output(RecipeFormat::V1);
    assert_eq!(world.check(&output), "bin/tool etc/.hidden lib/libtool.so share/man/tool.1");
}

#[test]
fn lists_of_files_choose() {
    let world = World::new();
    let mut output = output(RecipeFormat::V0);
    output.build.files = Some(globs(&["bin/tool", "lib/*.so", "share/"], &[]));
    assert_eq!(world.check(&output), "bin/tool lib/libdep.so lib/libtool.so share/info/dir share/man/tool.1");
    output.build.files = Some(globs(&["lib/*.so", "share"], &["share/info"]));
    assert_eq!(world.check(&output), "lib/libtool.so share/man/tool.1");
    output.build.files = Some(globs(&["bin/tool", "bin/missing"], &[]));
    assert_eq!(
        world.check(&output),
        "`files` of `tool`: nothing that the script installed matches `bin/missing`; the script installed `bin/tool`, \
         `etc/.hidden`, `etc/dep.conf`, `lib/libdep.so`, `lib/libtool.so`, `share/info/dir`, `share/man/tool.1`"
    );
    output.build.files = None;
    output.build.always_include_files = globs(&["lib/libdep*", "nothing"], &[]);
    output.build.no_link = globs(&["*.so"], &[]);
    assert_eq!(
        world.check(&output),
        "bin/tool etc/.hidden lib/libdep.so! lib/libtool.so! share/info/dir share/man/tool.1 \
         `nothing` of `always_include_files` matches no file of the prefix"
    );
    let mut output = crate::info::tests::output(RecipeFormat::V1);
    output.build.files = Some(globs(&["**/*.so", "share"], &["**/*.1"]));
    assert_eq!(world.check(&output), "lib/libtool.so");
}

#[test]
fn python_files_without_a_platform() {
    let points = vec!["tool = tool:main".to_owned()];
    for (path, expected) in [
        ("lib/python3.12/site-packages/tool/a.py", "site-packages/tool/a.py"),
        ("bin/helper", "python-scripts/helper"),
        ("bin/tool", "bin/tool"),
        ("share/x", "share/x"),
    ] {
        assert_eq!(noarch_python_path(path, &points), expected);
    }
}

#[test]
fn link_scripts_of_the_recipe() {
    let world = World::new();
    std::fs::write(world.root.path().join("recipe/post-link.sh"), "").unwrap();
    std::fs::write(world.root.path().join("recipe/tool-pre-unlink.sh"), "").unwrap();
    let mut output = output(RecipeFormat::V0);
    output.build.files = Some(globs(&["bin/tool"], &[]));
    assert_eq!(world.check(&output), "bin/.tool-post-link.sh bin/tool");
    output.parent = Some(PinnedOutput { name: "top".into(), version: "1".into(), build_string: String::new() });
    assert_eq!(world.check(&output), "bin/.tool-pre-unlink.sh bin/tool");
}

/// From prefix and recipe to a package that verifies, the same from whatever folder.
#[test]
fn the_whole_way() {
    let build = || {
        let world = World::new();
        let (root, prefix) = (world.root.path(), world.root.path().join("prefix"));
        std::fs::write(root.join("recipe/meta.yaml"), "x").unwrap();
        std::fs::write(root.join("recipe/LICENSE"), "x").unwrap();
        let seen = prefix.to_str().unwrap();
        std::fs::write(prefix.join("bin/tool"), format!("#!{seen}/bin/sh\n")).unwrap();
        // A link whose text depends on the folder: it is packed as a relative one.
        #[cfg(unix)]
        std::os::unix::fs::symlink(prefix.join("bin/tool"), prefix.join("share/link")).unwrap();
        let fixed = format!("/opt/{}", "p".repeat(seen.len() - 5));
        let mut output = output(RecipeFormat::V0);
        output.about.license_files = vec!["LICENSE".into()];
        output.rendered_recipe = format!("path: {}\n", root.display());
        let staged = stage(&Stage {
            output: &output,
            prefix: &prefix,
            seen_prefix: seen,
            fixed_prefix: &fixed,
            also_seen: &[],
            prior: &world.prior,
            added: None,
            foreign: &[root.display().to_string()],
            recipe_dir: &root.join("recipe"),
        })
        .unwrap();
        // The text holds the folder above the prefix as well, but only as part of the prefix.
        assert_eq!(staged.remarks, []);
        let info = crate::info::info(&crate::info::Facts {
            output: &output,
            channels: &[format!("file://{}/channel", root.display())],
            recipe_dir: &root.join("recipe"),
            recipe_file: "meta.yaml",
            work_dir: &root.join("work"),
            prefix: &prefix,
            build_prefix: &root.join("build"),
            places: &[],
            hidden: &[(root.display().to_string(), "$BUILD".into())],
            timestamp: 1_700_000_000,
            git: "",
            recipe_files: &[],
            not_recipe: &[],
        })
        .unwrap();
        let artifact = gonda_packager::write(
            &root.join("out"),
            &gonda_packager::Package {
                stem: "tool-1.2-h1234567_0",
                entries: &staged.entries,
                info: &info.files,
                timestamp: 1_700_000_000,
                compression: gonda_packager::Compression::DEFAULT,
                threads: 2,
            },
        )
        .unwrap();
        let verification = gonda_packager::verify(&artifact.path, &gonda_packager::Limits::default()).unwrap();
        assert_eq!(verification.problems, []);
        artifact.sha256
    };
    assert_eq!(build(), build());
}
