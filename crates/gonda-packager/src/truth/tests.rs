//! Binaries as they might be read, held against packages.

use super::*;
use crate::binary::{Machine, Signature};

/// A program for linux-64 of which nothing is wrong.
fn program() -> Binary {
    Binary {
        format: Format::Elf,
        machine: Machine::X86_64,
        os: Os::Linux,
        role: Role::Program,
        pie: true,
        dynamic: true,
        interpreter: Some("/lib64/ld-linux-x86-64.so.2".to_owned()),
        needed: Vec::new(),
        rpaths: Vec::new(),
        glibc: None,
        min_os: None,
        subsystem: None,
        signature: None,
        images: Vec::new(),
    }
}

fn for_macos(machine: Machine, signature: Option<Signature>) -> Binary {
    Binary {
        format: Format::MachO,
        machine,
        os: Os::MacOs,
        interpreter: Some("/usr/lib/dyld".to_owned()),
        min_os: Some("12.0".to_owned()),
        signature,
        ..program()
    }
}

fn for_windows() -> Binary {
    Binary {
        format: Format::Pe,
        os: Os::Windows,
        interpreter: None,
        subsystem: Some(Subsystem::Console),
        needed: vec!["KERNEL32.dll".to_owned()],
        ..program()
    }
}

fn claims(subdir: Subdir, depends: &[&str]) -> Claims {
    Claims {
        subdir: Some(subdir),
        depends: depends.iter().map(|spec| (*spec).to_owned()).collect(),
        ..Claims::default()
    }
}

/// The findings: `error|warning: message`, a line each.
fn check_with(path: &str, binary: &Binary, claims: &Claims) -> String {
    let findings = check(path, binary, claims);
    let word = |severity| if severity == Severity::Error { "error" } else { "warning" };
    findings.iter().map(|finding| format!("{}: {}\n", word(finding.severity), finding.message)).collect()
}

fn check_plain(path: &str, binary: &Binary, subdir: Subdir) -> String {
    check_with(path, binary, &claims(subdir, &["__osx >=12"]))
}

#[test]
fn what_is_as_it_should_be() {
    assert_eq!(check_plain("bin/tool", &program(), Subdir::Linux64), "");
    assert_eq!(check_plain("Library/bin/tool.exe", &for_windows(), Subdir::Win64), "");
    let signed = Some(Signature { adhoc: true, intact: Some(true) });
    assert_eq!(check_plain("bin/tool", &for_macos(Machine::Arm64, signed), Subdir::OsxArm64), "");
    assert_eq!(check_plain("bin/tool", &for_macos(Machine::X86_64, None), Subdir::Osx64), "");
    // A package for all platforms may hold files for any.
    assert_eq!(check_with("x", &program(), &Claims::default()), "");
}

#[test]
fn platforms() {
    let wrong = "error: is a linux x86_64 program, and the package is for `win-64`\n";
    assert_eq!(check_plain("bin/tool", &program(), Subdir::Win64), wrong);
    assert_eq!(check_plain("bin/tool.exe", &program(), Subdir::Win64), wrong);
    assert_eq!(check_plain("share/testdata/x", &program(), Subdir::Win64), wrong.replace("error", "warning"));
    let object = Binary { role: Role::Object, ..program() };
    assert!(check_plain("x.o", &object, Subdir::OsxArm64).starts_with("warning: is a linux x86_64 object file"));
    // One image of a universal file is enough, and it is the one that is looked at.
    let mut fat = for_macos(Machine::X86_64, None);
    fat.images.push(for_macos(Machine::Arm64, None));
    assert_eq!(
        check_plain("bin/tool", &fat, Subdir::OsxArm64),
        "error: has no code signature, so macOS on arm64 won't run it\n"
    );
}

#[test]
fn suffixes() {
    let missing = "error: is a program for Windows without the suffix `.exe`, so it can't be started\n";
    assert_eq!(check_plain("bin/tool", &for_windows(), Subdir::Win64), missing);
    assert_eq!(check_plain("Library/bin/tool-1.2", &for_windows(), Subdir::Win64), missing);
    let library = Binary { role: Role::Library, ..for_windows() };
    assert_eq!(check_plain("Library/bin/tool.node", &library, Subdir::Win64), "");
    let superfluous = "ends in `.exe`, but is a program for `linux-64`\n";
    assert_eq!(check_plain("bin/tool.exe", &program(), Subdir::Linux64), format!("error: {superfluous}"));
    assert_eq!(check_plain("lib/x/tool.exe", &program(), Subdir::Linux64), format!("warning: {superfluous}"));
}

#[test]
fn loaders_of_other_systems() {
    let with = |loader: Option<&str>| Binary { interpreter: loader.map(str::to_owned), ..program() };
    let of = |loader: &str| check_plain("bin/tool", &with(Some(loader)), Subdir::Linux64);
    assert!(of("/nix/store/abc-glibc/lib/ld-linux-x86-64.so.2").starts_with("error: names the loader `/nix/store/"));
    assert!(of("/lib/ld-linux-aarch64.so.1").starts_with("error: "));
    assert!(of("/lib/ld-musl-x86_64.so.1").starts_with("warning: is linked for musl"));
    assert_eq!(check_plain("bin/tool", &with(None), Subdir::Linux64), "");
    let lost = Binary { needed: vec!["libc.so.6".to_owned()], pie: false, ..with(None) };
    assert!(check_plain("bin/tool", &lost, Subdir::Linux64).starts_with("error: needs libc.so.6 but names no loader"));
}

#[test]
fn oldest_systems() {
    let of = |glibc: &str, subdir, depends: &[&str]| {
        let machine = if subdir == Subdir::Linux64 { Machine::X86_64 } else { Machine::Arm64 };
        let loader =
            if subdir == Subdir::Linux64 { "/lib64/ld-linux-x86-64.so.2" } else { "/lib/ld-linux-aarch64.so.1" };
        let binary =
            Binary { glibc: Some(glibc.to_owned()), machine, interpreter: Some(loader.to_owned()), ..program() };
        check_with("bin/tool", &binary, &claims(subdir, depends))
    };
    let missing = "warning: needs glibc 2.34 or newer, but the package has no `__glibc` constraint\n";
    assert_eq!(of("2.34", Subdir::Linux64, &[]), missing);
    assert_eq!(
        of("2.34", Subdir::Linux64, &["__glibc >=2.17,<3.0.a0"]),
        "warning: needs glibc 2.34 or newer, but the package says `__glibc >=2.17,<3.0.a0`\n"
    );
    assert_eq!(of("2.34", Subdir::Linux64, &["__glibc >=2.34,<3.0.a0"]), "");
    assert_eq!(of("2.14", Subdir::Linux64, &["a", "__glibc >=2.17"]), "");
    // arm64 has had no older glibc.
    assert_eq!(of("2.17", Subdir::LinuxAarch64, &[]), "");

    let signed = Some(Signature { adhoc: true, intact: Some(true) });
    let of = |min_os: &str, subdir, depends: &[&str], constrains: &[&str]| {
        let machine = if subdir == Subdir::Osx64 { Machine::X86_64 } else { Machine::Arm64 };
        let binary = Binary { min_os: Some(min_os.to_owned()), ..for_macos(machine, signed) };
        let mut claims = claims(subdir, depends);
        claims.constrains = constrains.iter().map(|spec| (*spec).to_owned()).collect();
        let findings = check("bin/tool", &binary, &claims);
        findings.iter().map(|finding| finding.help.clone().unwrap()).collect::<String>()
    };
    let line = "add this line to the recipe's run requirements: `- __osx >=12.0`";
    assert_eq!(of("12.0", Subdir::OsxArm64, &[], &[]), line);
    assert_eq!(of("12.0", Subdir::Osx64, &[], &["__osx >=10.12"]), line);
    assert_eq!(of("12.0", Subdir::Osx64, &["__osx >=12"], &[]), "");
    assert_eq!(of("11.0", Subdir::OsxArm64, &[], &[]), "");
}

#[test]
fn libraries() {
    let needs = |library: &str| Binary { needed: vec![library.to_owned()], ..program() };
    let alone = claims(Subdir::Linux64, &["__glibc >=2.17"]);
    for library in ["libc.so.6", "libpthread.so.0", "ld-linux-x86-64.so.2"] {
        assert_eq!(check_with("bin/tool", &needs(library), &alone), "", "{library}");
    }
    let foreign = "warning: needs `libz.so.1`, but the package depends on nothing that could have it\n";
    assert_eq!(check_with("bin/tool", &needs("libz.so.1"), &alone), foreign);
    assert_eq!(check_with("bin/tool", &needs("libz.so.1"), &claims(Subdir::Linux64, &["libzlib"])), "");
    let mut own = alone.clone();
    own.file_names.insert("libz.so.1".to_owned());
    assert_eq!(check_with("bin/tool", &needs("libz.so.1"), &own), "");

    let mut known = alone;
    let provider = |at_run_time| Provider { package: "libzlib".to_owned(), at_run_time };
    known.environment = Some(BTreeMap::from([("libz.so.1".to_owned(), provider(false))]));
    let findings = check("bin/tool", &needs("libz.so.1"), &known);
    assert_eq!(findings[0].message, "needs `libz.so.1` of `libzlib`, on which the package doesn't depend");
    assert_eq!(findings[0].help.as_deref(), Some("add this line to the recipe's run requirements: `- libzlib`"));
    known.environment = Some(BTreeMap::from([("libz.so.1".to_owned(), provider(true))]));
    assert_eq!(check_with("bin/tool", &needs("libz.so.1"), &known), "");
    assert!(
        check_with("bin/tool", &needs("libq.so.1"), &known).contains("which neither the package, its host environment")
    );

    let signed = Some(Signature { adhoc: true, intact: Some(true) });
    let on_macos = |library: &str| {
        let binary = Binary { needed: vec![library.to_owned()], ..for_macos(Machine::Arm64, signed) };
        check_with("bin/tool", &binary, &claims(Subdir::OsxArm64, &["__osx >=12"]))
    };
    assert_eq!(on_macos("/usr/lib/libSystem.B.dylib"), "");
    assert_eq!(on_macos("/System/Library/Frameworks/Security.framework/Versions/A/Security"), "");
    assert!(on_macos("/opt/homebrew/lib/libz.1.dylib").contains("is not one of `osx-arm64`'s own"));
    let windows = |library: &str| {
        let binary = Binary { needed: vec![library.to_owned()], ..for_windows() };
        check_with("bin/tool.exe", &binary, &claims(Subdir::Win64, &[]))
    };
    for library in ["KERNEL32.dll", "api-ms-win-crt-runtime-l1-1-0.dll", "ws2_32.DLL", "bcryptprimitives.dll"] {
        assert_eq!(windows(library), "", "{library}");
    }
    assert!(windows("VCRUNTIME140.dll").starts_with("warning: "));
}

#[test]
fn signatures_and_subsystems() {
    let with = |intact| Some(Signature { adhoc: true, intact });
    let of = |machine, signature, subdir| check_plain("bin/tool", &for_macos(machine, signature), subdir);
    let broken = "has a code signature whose page hashes are not those of the file\n";
    assert_eq!(of(Machine::Arm64, with(Some(false)), Subdir::OsxArm64), format!("error: {broken}"));
    assert_eq!(of(Machine::X86_64, with(Some(false)), Subdir::Osx64), format!("warning: {broken}"));
    assert!(of(Machine::Arm64, with(None), Subdir::OsxArm64).starts_with("warning: "));
    let driver = Binary { subsystem: Some(Subsystem::Other), ..for_windows() };
    assert!(check_plain("x.exe", &driver, Subdir::Win64).contains("none of Windows' subsystems"));
}
