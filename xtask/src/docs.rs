//! `cargo xtask docs`: the crates' documentation, the book, and whether the book is whole.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::project::{cargo, root, run as run_command, which};

pub(crate) fn run() -> Result<()> {
    check_book(&root().join("docs/src"))?;
    run_command(cargo(["doc", "--workspace", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    match which("mdbook") {
        Some(mdbook) => run_command(Command::new(mdbook).arg("build").arg(root().join("docs")))?,
        None => println!("mdbook is not installed: the book was checked, not built"),
    }
    Ok(())
}

/// Every page stands in the summary, and every relative link leads to a file.
fn check_book(book: &Path) -> Result<()> {
    let mut pages = BTreeSet::new();
    let mut reached = BTreeSet::from([book.join("SUMMARY.md")]);
    let mut broken = Vec::new();
    for entry in walkdir::WalkDir::new(book) {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "md") {
            pages.insert(entry.path().to_owned());
        }
    }
    for page in &pages {
        let folder = page.parent().unwrap_or(book);
        for link in links(&fs_err::read_to_string(page)?) {
            let target = clean(&folder.join(&link));
            if !target.exists() {
                broken.push(format!("{}: `{link}` leads nowhere", page.display()));
            } else if page.ends_with("SUMMARY.md") {
                reached.insert(target);
            }
        }
    }
    broken.extend(pages.difference(&reached).map(|page| format!("{}: not in SUMMARY.md", page.display())));
    if !broken.is_empty() {
        bail!("the book is not whole:\n{}", broken.join("\n"));
    }
    Ok(())
}

/// Targets of `](…)` that are files of the book; fragments are cut off.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for rest in text.split("](").skip(1) {
        let Some((target, _)) = rest.split_once(')') else { continue };
        let target = target.split('#').next().unwrap_or_default();
        if !target.is_empty() && !target.contains("://") {
            found.push(target.to_owned());
        }
    }
    found
}

/// Resolves `..` without asking the disk.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                clean.pop();
            }
            std::path::Component::CurDir => {}
            part => clean.push(part),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_links() {
        assert_eq!(links("[a](b.md) [c](../d/e.md#f) [g](https://h.invalid) [i](#j)"), ["b.md", "../d/e.md"]);
        assert_eq!(clean(Path::new("/a/b/../c/./d")), Path::new("/a/c/d"));
    }
}
