//! Binaries made by hand, and this test's own.

use super::*;

fn check(data: &[u8]) -> String {
    match Binary::parse(data) {
        None => "none".to_owned(),
        Some(Err(error)) => format!("error: {error}"),
        Some(Ok(binary)) => {
            let subdirs = [
                Subdir::Linux64,
                Subdir::LinuxAarch64,
                Subdir::LinuxPpc64le,
                Subdir::Osx64,
                Subdir::OsxArm64,
                Subdir::Win64,
                Subdir::WinArm64,
            ];
            let fits: Vec<String> =
                subdirs.iter().filter(|subdir| binary.is_for(**subdir)).map(ToString::to_string).collect();
            format!("{} {} {}", binary.os, binary.machine, fits.join(","))
        }
    }
}

/// An ELF header without segments and sections.
fn elf_header(machine: u16, os_abi: u8) -> Vec<u8> {
    let mut header = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, os_abi];
    header.resize(16, 0);
    header.extend(2u16.to_le_bytes());
    header.extend(machine.to_le_bytes());
    header.extend(1u32.to_le_bytes());
    header.resize(52, 0);
    header.extend(64u16.to_le_bytes());
    header.extend(56u16.to_le_bytes());
    header.resize(64, 0);
    header
}

fn macho_header(cpu: u32, commands: &[&[u8]]) -> Vec<u8> {
    let mut header = Vec::new();
    let size: usize = commands.iter().map(|command| command.len()).sum();
    for word in [0xfeed_facf, cpu, 0, 2, commands.len() as u32, size as u32, 0, 0] {
        header.extend(word.to_le_bytes());
    }
    header.extend(commands.concat());
    header
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[test]
fn machines_and_systems() {
    assert_eq!(check(&elf_header(62, 0)), "linux x86_64 linux-64");
    assert_eq!(check(&elf_header(183, 3)), "linux arm64 linux-aarch64");
    assert_eq!(check(&elf_header(21, 0)), "linux ppc64le linux-ppc64le");
    assert_eq!(check(&elf_header(62, 9)), "freebsd x86_64 ");
    assert_eq!(check(&macho_header(0x0100_000c, &[])), "macos arm64 osx-arm64");
    assert_eq!(check(&macho_header(0x0100_0007, &[&words(&[0x32, 24, 2, 0, 0, 0])])), "another system x86_64 ");
    assert_eq!(check(b"#!/bin/sh\n"), "none");
    assert_eq!(check(b"MZ"), "none");
    assert_eq!(check(b"\x7fELF"), "none");
    assert_eq!(check(b"\xca\xfe\xba\xbe\x00\x00\x00\x41java"), "none");
}

#[test]
fn minimum_macos_and_broken_signature() {
    let build = words(&[0x32, 24, 1, 11 << 16, 14 << 16, 0]);
    let signature = words(&[0x1d, 16, 0, 8]);
    let binary = Binary::parse(&macho_header(0x0100_000c, &[&build, &signature])).unwrap().unwrap();
    assert_eq!(binary.min_os.as_deref(), Some("11.0"));
    assert_eq!(binary.signature, Some(Signature { adhoc: false, intact: Some(false) }));
    assert!(binary.executable);
}

#[test]
fn this_very_test() {
    let data = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let binary = Binary::parse(&data).unwrap().unwrap();
    assert!(binary.is_for(Subdir::current().unwrap()), "{binary:?}");
    assert!(binary.executable);
    if cfg!(all(target_os = "linux", target_env = "gnu")) {
        assert!(binary.interpreter.is_some() && binary.glibc.is_some(), "{binary:?}");
        assert!(binary.needed.iter().any(|library| library.starts_with("libc.so")), "{binary:?}");
    }
}

/// The fuzz body: whatever the bytes, an answer without panic.
#[test]
fn fuzz_over_seeds() {
    let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let head = &own[..own.len().min(1 << 16)];
    let build = words(&[0x32, 24, 1, 11 << 16, 14 << 16, 0]);
    let signature = words(&[0x1d, 16, 80, 40]);
    let mut macho = macho_header(0x0100_000c, &[&build, &signature]);
    macho.extend([0xfa, 0xde, 0x0c, 0xc0, 0, 0, 0, 40, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 20, 0xfa, 0xde, 0x0c, 0x02, 0, 0, 0, 20]);
    macho.resize(200, 0);
    let seeds = [head.to_vec(), elf_header(62, 0), macho];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..1500 {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..=random() % 6 {
            let at = random() as usize % bytes.len().min(4096);
            bytes[at] = random() as u8;
        }
        let _ = Binary::parse(&bytes);
    }
}
