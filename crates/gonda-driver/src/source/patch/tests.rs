use gonda_recipe::RecipeFormat::{V0, V1};

use super::super::git::tests as repository;
use super::super::tests::{World, path, tree};
use super::*;

/// Files before, a patch, and the files after or the error, with the line it points at.
fn check_as(format: RecipeFormat, files: &[(&str, &str)], patch: &str, expected: &str) {
    let world = World::new(format);
    std::fs::create_dir(world.path("src")).unwrap();
    for (name, content) in files {
        world.write(&format!("src/{name}"), content);
    }
    world.write("recipe/x.patch", patch);
    let mut source = path("../src");
    source.patches = vec!["x.patch".into()];
    let text = match world.provide(&[source]) {
        Ok(placed) => {
            let remarks: String = placed.remarks.iter().map(|remark| format!("remark: {remark}\n")).collect();
            format!("{}{remarks}", tree(&world.path("work")))
        }
        Err(error) => {
            let line = error.place.as_ref().and_then(|place| place.line).map(|line| format!(" (line {line})"));
            assert_eq!(tree(&world.path("work")), tree(&world.path("src")), "a patch that fails changes nothing");
            format!("{}{}", world.tell(&error), line.unwrap_or_default())
        }
    };
    let prefix = "Build: the patch `x.patch` doesn't apply: ";
    assert_eq!(text.strip_prefix(prefix).unwrap_or(&text), expected);
}

fn check(files: &[(&str, &str)], patch: &str, expected: &str) {
    check_as(V0, files, patch, expected);
    check_as(V1, files, patch, expected);
}

const OLD: &str = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
const HUNK: &str = "@@ -3,3 +3,3 @@\n 3\n-4\n+four\n 5\n";
const NEW: &str = "x \"1\\n2\\n3\\nfour\\n5\\n6\\n7\\n8\\n9\\n\"\n";

#[test]
fn strip_levels() {
    let check = |old: &str, new: &str| check(&[("x", OLD)], &format!("--- {old}\n+++ {new}\n{HUNK}"), NEW);
    check("x", "x");
    check("a/x", "b/x");
    check("p-1.0.orig/x", "p-1.0/x");
    check("/tmp/p.orig/x", "/tmp/p/x");
    check("./x\t2024-01-01 00:00:00", "./x\t2024-01-02 00:00:00");
    check("x.orig", "x");
}

#[test]
fn the_level_by_which_most_files_exist() {
    let patch = format!("--- a/a/x\n+++ b/a/x\n{HUNK}--- a/y\n+++ b/y\n{HUNK}");
    let text = NEW.replacen('x', "y", 1);
    check(&[("a/x", OLD), ("y", OLD)], &patch, &format!("a/{NEW}{text}"));
    let deep = format!("--- a/src/x\n+++ b/src/x\n{HUNK}");
    check(&[("src/x", OLD)], &deep, &format!("src/{NEW}"));
}

#[test]
fn other_lines_and_fuzz() {
    let moved = format!("0\n0\n0\n{OLD}");
    check(&[("x", &moved)], &format!("--- a/x\n+++ b/x\n{HUNK}"), &NEW.replace("\"1", "\"0\\n0\\n0\\n1"));
    // One of three context lines differs at each side.
    let patch = "--- a/x\n+++ b/x\n@@ -2,7 +2,7 @@\n two\n 3\n 4\n-5\n+five\n 6\n 7\n eight\n";
    check(&[("x", OLD)], patch, &NEW.replace("four", "4").replace("\\n5\\n", "\\nfive\\n"));
    // A removed line that differs never fits.
    let wrong = "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n-one\n+eins\n 2\n@@ -4,2 +4,2 @@\n 4\n-five\n+fünf\n";
    check(&[("x", OLD)], wrong, "hunk 1 of 2 for `x` (line 1) finds no place (line 3)");
    let second = "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n-1\n+eins\n 2\n@@ -4,2 +4,2 @@\n 4\n-five\n+fünf\n";
    check(&[("x", OLD)], second, "hunk 2 of 2 for `x` (line 4) finds no place (line 7)");
}

#[test]
fn blanks_differ() {
    let patch = "--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n func f() {\n-    return 1\n+    return 2\n }\n";
    let file = "func f() {\n\treturn 1\n}\n";
    check_as(V0, &[("x", file)], patch, "hunk 1 of 1 for `x` (line 1) finds no place (line 3)");
    check_as(V1, &[("x", file)], patch, "x \"func f() {\\n    return 2\\n}\\n\"\n");
}

#[test]
fn new_and_removed_files() {
    let new = "diff --git a/d/new.go b/d/new.go\nnew file mode 100755\nindex 0..1\n--- /dev/null\n+++ b/d/new.go\n@@ -0,0 +1,2 @@\n+package d\n+// end\n\\ No newline at end of file\n";
    check(&[("x", "1\n")], new, "d/new.go* \"package d\\n// end\"\nx \"1\\n\"\n");
    let gone = "diff --git a/d/x b/d/x\ndeleted file mode 100644\n--- a/d/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-1\n";
    check(&[("d/x", "1\n"), ("y", "")], gone, "y \"\"\n");
    let more = "--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-1\n";
    check(&[("x", "1\n2\n")], more, "`x` holds more than the lines that are to go with it (line 1)");
    // As diff -N writes it, without git.
    let epoch = "--- old/x\t2024-01-01 00:00:00 +0000\n+++ new/x\t1970-01-01 00:00:00 +0000\n@@ -1 +0,0 @@\n-1\n";
    check(&[("x", "1\n"), ("y", "")], epoch, "y \"\"\n");
    let made = "--- old/z\t1970-01-01 00:00:00 +0000\n+++ new/z\t2024-01-01 00:00:00 +0000\n@@ -0,0 +1 @@\n+1\n--- old/x\n+++ new/x\n@@ -1 +1 @@\n-1\n+2\n";
    check(&[("x", "1\n")], made, "x \"2\\n\"\nz \"1\\n\"\n");
    let empty = "diff --git a/e b/e\nnew file mode 100644\nindex 0..e\n";
    check(&[("x", "")], empty, "e \"\"\nx \"\"\n");
}

#[test]
fn renames_and_modes() {
    let pure = "diff --git a/x b/d/y\nsimilarity index 100%\nrename from x\nrename to d/y\n";
    check(&[("x", "1\n")], pure, "d/y \"1\\n\"\n");
    let changed =
        format!("diff --git a/x b/y\nsimilarity index 90%\nrename from x\nrename to y\n--- a/x\n+++ b/y\n{HUNK}");
    check(&[("x", OLD)], &changed, &NEW.replacen('x', "y", 1));
    let mode = "diff --git a/x b/x\nold mode 100644\nnew mode 100755\n";
    check(&[("x", "1\n")], mode, "x* \"1\\n\"\n");
    let link = "diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+x\n\\ No newline at end of file\n";
    check(&[("x", "1\n")], link, "l -> x\nx \"1\\n\"\n");
}

#[test]
fn a_file_changed_twice() {
    let patch = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-1\n+2\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-2\n+3\n";
    check(&[("x", "1\n")], patch, "x \"3\\n\"\n");
}

#[test]
fn line_ends() {
    let crlf = OLD.replace('\n', "\r\n");
    let patch = format!("--- a/x\n+++ b/x\n{HUNK}");
    let new = NEW.replace("\\n", "\\r\\n").replace("\"\r\n", "\"\n");
    check(&[("x", &crlf)], &patch, &new);
    check(&[("x", &crlf)], &patch.replace('\n', "\r\n"), &new);
    check(&[("x", OLD)], &patch.replace('\n', "\r\n"), NEW);
    // A patch that is about line ends.
    check(&[("x", "1\r\n2\r\n")], "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n-1\r\n+1\n 2\r\n", "x \"1\\n2\\r\\n\"\n");
    // The end of the file.
    let end = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-1\n\\ No newline at end of file\n+1\n";
    check(&[("x", "1")], end, "x \"1\\n\"\n");
}

#[test]
fn what_is_there_already() {
    let patch = format!("--- a/x\n+++ b/x\n{HUNK}");
    let done = OLD.replace('4', "four");
    check_as(V0, &[("x", &done)], &patch, "its change of `x` is in the source already (line 1)");
    check_as(
        V1,
        &[("x", &done)],
        &patch,
        &format!("{NEW}remark: the patch `x.patch`: its change of `x` is in the source already\n"),
    );
}

#[test]
fn what_is_to_come_stands_elsewhere() {
    let patch = "--- a/x\n+++ b/x\n@@ -2,3 +2,3 @@\n {\n-old\n+new\n }\n";
    check(&[("x", "1\n{\nold\n}\n{\nnew\n}\n")], patch, "x \"1\\n{\\nnew\\n}\\n{\\nnew\\n}\\n\"\n");
    let adds = "--- a/x\n+++ b/x\n@@ -1,2 +1,3 @@\n 1\n 2\n+3\n";
    check(&[("x", "1\n2\n")], adds, "x \"1\\n2\\n3\\n\"\n");
    check_as(V0, &[("x", "1\n2\n3\n")], adds, "its change of `x` is in the source already (line 1)");
}

#[test]
fn binary_files_without_content() {
    let patch = format!(
        "diff --git a/b b/b\nindex 1..2\nBinary files a/b and b/b differ\ndiff --git a/x b/x\n--- a/x\n+++ b/x\n{HUNK}"
    );
    let remark = "remark: the patch `x.patch` lacks the content of the binary file `b/b`, which is left as it is\n";
    check(&[("b", "1"), ("x", OLD)], &patch, &format!("b \"1\"\n{NEW}{remark}"));
}

#[test]
fn mistakes() {
    check(&[("x", OLD)], "nothing\n", "it holds no change that can be read");
    check(&[("y", "")], &format!("--- a/x\n+++ b/x\n{HUNK}"), "there is no file `x` (line 1)");
    check(&[("x", OLD)], "--- a/x\n+++ b/x\n@@ -a +b @@\n-1\n", "the head of a hunk can't be read (line 3)");
    let out = "--- a/../../../x\n+++ b/../../../x\n@@ -0,0 +1 @@\n+1\n";
    check(&[("y", "")], out, "the name `a/../../../x` can't be used (line 1)");
    let world = World::new(V0);
    let mut source = path(".");
    source.patches = vec!["no.patch".into()];
    let text = world.outcome(&[source]);
    assert_eq!(text, "Usage: the recipe names a patch `no.patch`, but there is no such file");
}

#[test]
fn nothing_is_written_through_links() {
    let world = World::new(V0);
    world.write("outside/x", "1\n");
    std::fs::create_dir(world.path("src")).unwrap();
    host::symlink(&world.path("outside"), &world.path("src/l")).unwrap();
    host::symlink(&world.path("outside/x"), &world.path("src/x")).unwrap();
    for (patch, name) in [("--- a/l/x\n+++ b/l/x\n", "l/x"), ("--- /dev/null\n+++ b/l/y\n", "l/y")] {
        let body = if name == "l/x" { "@@ -1 +1 @@\n-1\n+2\n" } else { "@@ -0,0 +1 @@\n+2\n" };
        world.write("recipe/x.patch", format!("{patch}{body}"));
        let mut source = path("../src");
        source.patches = vec!["x.patch".into()];
        let text = world.outcome(&[source]);
        assert!(text.contains("lies behind a link"), "{text}");
    }
    assert_eq!(tree(&world.path("outside")), "x \"1\\n\"\n");
}

#[test]
fn binary_patches_go_to_git() {
    let world = World::new(V0);
    repository::repository(&world, "up");
    world.write("up/b.bin", [0_u8, 1, 2, 255].repeat(20));
    repository::git(&world.path("up"), &["add", "."]);
    let patch = repository::git(&world.path("up"), &["diff", "--cached", "--binary"]);
    world.write("recipe/x.patch", format!("{patch}\n\n"));
    std::fs::create_dir(world.path("src")).unwrap();
    let mut source = path("../src");
    source.patches = vec!["x.patch".into()];
    world.provide(&[source]).unwrap();
    assert_eq!(std::fs::read(world.path("work/b.bin")).unwrap().len(), 80);
}

#[test]
fn a_mail_becomes_a_commit_in_v0() {
    let check = |format, described: &str| {
        let world = World::new(format);
        let (_, second) = repository::repository(&world, "up");
        let mail = repository::git(&world.path("up"), &["format-patch", "--stdout", "-1", &second]);
        world.write("recipe/0001.patch", format!("{mail}\n"));
        let mut source = repository::source("../up", Some("v1.0"));
        source.patches = vec!["0001.patch".into()];
        let placed = world.provide(&[source]).unwrap();
        assert_eq!(placed.git.unwrap().info.describe_number, "0", "said before the patch");
        assert!(world.path("work/new.go").is_file());
        let now = super::super::describe_git(&world.path("work")).unwrap().unwrap();
        assert_eq!(now.info.describe_number, described);
    };
    check(V0, "1");
    check(V1, "0");
}

#[test]
fn places_known_late() {
    let world = World::new(V1);
    world.write("src/x", OLD);
    world.write("src/fix/x.patch", format!("--- a/x\n+++ b/x\n{HUNK}"));
    let mut source = path("../src");
    source.patches = vec!["${{ SRC_DIR }}/fix/x.patch".into()];
    assert!(world.outcome(&[source]).ends_with(NEW));
}
