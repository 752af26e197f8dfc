//! Feedstocks: copies of the samples, and small ones written by a test.

use std::path::{Path, PathBuf};

/// The folder of the project's sample feedstocks.
#[must_use]
pub fn samples_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes").canonicalize().expect("the project's recipes")
}

/// A copy of the sample feedstock `<name>-feedstock` below `folder`, for what lies below the project's repository
/// would be seen by `git` and Go; returns its root.
#[must_use]
pub fn sample(name: &str, folder: &Path) -> PathBuf {
    let target = folder.join(format!("{name}-feedstock"));
    copy_tree(&samples_folder().join(format!("{name}-feedstock")), &target);
    target
}

/// Copies a folder's files and links; the target is made.
pub fn copy_tree(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.expect("a folder that can be read");
        let target = to.join(entry.path().strip_prefix(from).expect("below"));
        if entry.file_type().is_dir() {
            fs_err::create_dir_all(&target).expect("a folder");
        } else if entry.file_type().is_symlink() {
            copy_link(entry.path(), &target);
        } else {
            fs_err::copy(entry.path(), &target).expect("a file");
        }
    }
}

#[cfg(unix)]
fn copy_link(from: &Path, to: &Path) {
    let target = fs_err::read_link(from).expect("a link");
    fs_err::os::unix::fs::symlink(target, to).expect("a link");
}

#[cfg(not(unix))]
fn copy_link(from: &Path, to: &Path) {
    fs_err::copy(from, to).expect("a file");
}

/// A feedstock that a test writes: a recipe folder and what lies beside it.
#[derive(Debug, Clone)]
pub struct Feedstock {
    root: PathBuf,
}

impl Feedstock {
    /// An empty one.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let this = Self { root: root.into() };
        fs_err::create_dir_all(this.recipe()).expect("the recipe folder");
        this
    }

    /// One with a `meta.yaml` whose source is `../src`, a Go program that greets.
    ///
    /// `build` is the text of `build/script`, one line of bash; `rest` is appended to the recipe (a test section, say).
    pub fn hello(root: impl Into<PathBuf>, name: &str, build: &str, rest: &str) -> Self {
        let this = Self::new(root);
        this.write(
            "recipe/meta.yaml",
            format!(
                "package:\n  name: {name}\n  version: 1.0.0\nsource:\n  path: ../src\nbuild:\n  number: 0\n  script:\n    - {build}\n\
                 requirements:\n  build:\n    - {{{{ compiler('go-nocgo') }}}}\n\
                 about:\n  license: BSD-3-Clause\n  license_file: LICENSE\n  summary: Says hello\n{rest}",
                build = serde_json::Value::from(build),
            ),
        );
        this.write("src/LICENSE", "A licence for tests.\n");
        this.write("src/go.mod", format!("module gonda.invalid/tests/{name}\n\ngo 1.20\n"));
        this.write("src/main.go", "package main\n\nfunc main() { println(\"hello\") }\n");
        this
    }

    /// Its root.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Its recipe folder.
    #[must_use]
    pub fn recipe(&self) -> PathBuf {
        self.root.join("recipe")
    }

    /// Writes a file, its folders too.
    pub fn write(&self, relative: impl AsRef<Path>, content: impl AsRef<[u8]>) -> &Self {
        let path = self.root.join(relative);
        fs_err::create_dir_all(path.parent().expect("a file has a folder")).expect("the file's folder");
        fs_err::write(path, content).expect("the file");
        self
    }

    /// The text of a file.
    #[must_use]
    pub fn read(&self, relative: impl AsRef<Path>) -> String {
        fs_err::read_to_string(self.root.join(relative)).expect("the file")
    }
}
