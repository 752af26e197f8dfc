//! Windows targets on unix: batch files on the real disk, with real programs.
#![cfg(unix)]

use std::path::Path;

use gonda_testkit::World;

use crate::support::{GONDA, Lab, files, walk};

/// Runs a batch file as a build would; its output, with the folder as `<W>` and in unix form as `<w>`, and its exit code.
fn run(script: &str) -> String {
    let world = World::new(GONDA);
    run_in(&world, script)
}

fn run_in(world: &World, script: &str) -> String {
    let file = world.write("case.bat", format!("@echo off\r\n{}", script.replace('\n', "\r\n")));
    let mut command = world.command(["__batch".as_ref(), file.as_os_str(), "one".as_ref(), "two words".as_ref()]);
    command.current_dir(world.root());
    let run = world.run(command);
    let folder = world.root().display().to_string();
    let windows = format!("C:{}", folder.replace('/', "\\"));
    let text = run.stdout.replace("\r\n", "\n").replace(&windows, "<W>").replace(&folder, "<w>");
    format!("{text}{}", run.code.map_or("no code".to_owned(), |code| code.to_string()))
}

#[track_caller]
fn check(script: &str, expected: &str) {
    assert_eq!(run(script), expected, "{script}");
}

#[test]
fn files_are_found_whatever_their_case() {
    check(
        "md Some\\Folder\necho text> some\\FOLDER\\File.txt\ntype SOME\\folder\\FILE.TXT\ncopy Some\\folder\\file.txt \
         some\\Folder\\b >nul\ndir /b Some\\Folder\ncd some\necho %CD%\n",
        "text\nb\nFile.txt\n<W>\\Some\n0",
    );
    check("md a\nmove a b >nul\nif exist B\\ echo there\nrd b\nif not exist b echo gone\n", "there\ngone\n0");
}

#[test]
fn programs_get_unix_paths() {
    check(
        "echo %CD%\nprintf \"%%s\\n\" %CD%\\x.exe -o=%CD%\\y \"-X a=%CD%\\z -s\"\n",
        "<W>\n<w>/x.exe\n-o=<w>/y\n-X a=<w>/z -s\n0",
    );
    check(
        "set HERE=%CD%\\b\nset PATH=%CD%\\bin;%PATH%\nsh -c \"echo $HERE ${PATH%%%%:*} $PWD\"\n",
        "<w>/b <w>/bin <w>\n0",
    );
    // The case that the files have.
    check("md Cmd\nsh -c \"printf '%%s\\n' $0\" .\\cmd\n", "./Cmd\n0");
    check("sh.exe -c \"exit 3\" || echo %errorlevel% & exit /b 4\n", "0 \n4");
}

#[test]
fn output_and_errors_go_where_they_are_sent() {
    check("sh -c \"echo a; echo b >&2; echo c\" > log 2>&1\ntype log\n", "a\nb\nc\n0");
    check("for /f %%a in ('sh -c \"echo 1; echo 2\"') do echo [%%a]\n", "[1]\n[2]\n0");
    check("echo text| sh -c \"cat; cat >&2\" 2>nul\n", "text\n0");
    check("sh -c \"kill -9 $$\"\necho %errorlevel%\nexit /b 256\n", "137\n1");
}

#[test]
fn a_read_only_tree_can_be_removed() {
    check("md a\\b\necho x> a\\b\\c\nchmod 500 a/b\nrd /s /q a\nif not exist a echo gone\n", "gone\n0");
}

#[test]
fn a_link_to_a_folder_is_not_walked_through() {
    check("md a\\b kept\necho x> kept\\c\nln -s ../../kept a/b/k\nrd /s /q a\nif exist kept\\c echo kept\n", "kept\n0");
}

#[test]
fn what_cannot_run_is_named_with_its_place() {
    let world = World::new(GONDA);
    world.write("x.exe", b"MZ\0\0not really");
    let file = world.write("case.bat", "@echo off\r\n.\\x.exe --help\r\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(world.path("x.exe"), mode).unwrap();
    let mut command = world.command(["__batch".as_ref(), file.as_os_str()]);
    command.current_dir(world.root());
    world.run(command).fails_with(2).says("case.bat:2:1: ").says("x.exe` can't be run: a program for another platform");
}

fn batch_recipe(lab: &Lab, script: &str) -> gonda_testkit::Feedstock {
    let feedstock = lab.hello("hello", "@", "");
    let recipe = feedstock.read("recipe/meta.yaml");
    feedstock.write("recipe/meta.yaml", recipe.replace("  script:\n    - \"@\"\n", ""));
    feedstock.write("recipe/bld.bat", script.replace('\n', "\r\n"));
    feedstock
}

#[test]
fn a_windows_package_is_built_from_a_batch_file() {
    let lab = Lab::fake();
    let feedstock = batch_recipe(
        &lab,
        "if not exist \"%LIBRARY_BIN%\" md \"%LIBRARY_BIN%\"\ngo build -o %LIBRARY_BIN%\\%PKG_NAME%.exe . || exit 1\n\
         echo %target_platform% %build_platform% %LIBRARY_PREFIX% %CYGWIN_PREFIX%\nbash -c \"mkdir -p ${PREFIX}/share; \
         echo $LIBRARY_BIN > ${PREFIX}/share/place\"\n",
    );
    for isolation in ["auto", "env"] {
        lab.build(feedstock.root(), &["--target-platform", "win-64", "--isolation", isolation]).succeeds();
        let package = lab.world.the_package();
        assert_eq!(files(&package), ["Library/bin/hello.exe", "share/place"]);
        assert!(package.parent().unwrap().ends_with("win-64"));
        let logs = lab.logs();
        assert!(logs.contains("GOOS=windows GOARCH=amd64 CGO_ENABLED=0"), "{logs}");
        assert!(logs.contains("\\Library\\bin\\hello.exe .") && logs.contains("/Library/bin/hello.exe .;"), "{logs}");
        assert!(logs.contains("win-64 linux-64 C:\\") || !cfg!(target_os = "linux"), "{logs}");
        for file in walk(&lab.world.output()) {
            std::fs::remove_file(file).unwrap();
        }
    }
}

#[test]
fn a_mistake_in_a_batch_file_has_its_place() {
    let lab = Lab::fake();
    let feedstock = batch_recipe(&lab, "@echo off\necho one\n  powershell -Command x\n");
    let run = lab.build(feedstock.root(), &["--target-platform", "win-64"]).fails_with(1);
    assert!(run.stderr.contains("\\work\\bld.bat:3:3: "), "{run}");
    lab.has_no_package();
    assert!(Path::new(&lab.world.output()).exists());
}
