//! Binaries made by hand, and this test's own.

use sha2::Digest as _;

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
    assert!(binary.role == Role::Program);
}

#[test]
fn this_very_test() {
    let data = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let binary = Binary::parse(&data).unwrap().unwrap();
    assert!(binary.is_for(Subdir::current().unwrap()), "{binary:?}");
    assert!(binary.role == Role::Program);
    if cfg!(all(target_os = "linux", target_env = "gnu")) {
        assert!(binary.interpreter.is_some() && binary.glibc.is_some(), "{binary:?}");
        assert!(binary.needed.iter().any(|library| library.starts_with("libc.so")), "{binary:?}");
    }
}

/// A signed Mach-O program of 2 pages and a bit, its signature right.
fn signed() -> Vec<u8> {
    const LIMIT: usize = 9000;
    let signature = words(&[0x1d, 16, 9008, 20 + 44 + 3 * 32]);
    let mut file = macho_header(0x0100_000c, &[&signature]);
    file.resize(LIMIT, 0x5a);
    let mut directory = Vec::new();
    let length = 44 + 3 * 32;
    let slots = 3;
    for word in [0xfade_0c02, length, 0x2_0001, 2, 44, 44, 0, slots, LIMIT as u32] {
        directory.extend(word.to_be_bytes());
    }
    directory.extend([32, 2, 0, 12, 0, 0, 0, 0]);
    for page in file.chunks(4096) {
        directory.extend(sha2::Sha256::digest(page));
    }
    file.resize(9008, 0);
    for word in [0xfade_0cc0_u32, 20 + length, 1, 0, 20] {
        file.extend(word.to_be_bytes());
    }
    file.extend(directory);
    file
}

#[test]
fn page_hashes_are_recomputed() {
    let check = |file: &[u8]| {
        Binary::parse(file).unwrap().unwrap().signature.map(|signature| (signature.adhoc, signature.intact))
    };
    let good = signed();
    assert_eq!(check(&good), Some((true, Some(true))));
    for at in [100, 5000, 8999] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert_eq!(check(&bad), Some((true, Some(false))), "{at}");
    }
    // Fewer hashes than pages.
    let mut short = good.clone();
    short[9008 + 20 + 31] = 2;
    assert_eq!(check(&short), Some((true, Some(false))));

    // As the second image of a universal file, where it begins elsewhere.
    let mut universal = Vec::new();
    let (first, second) = (128_u32, 16_384_u32);
    let head = macho_header(0x0100_0007, &[]);
    let size = good.len() as u32;
    for word in [0xcafe_babe_u32, 2, 0x0100_0007, 3, first, head.len() as u32, 0, 0x0100_000c, 0, second, size, 0] {
        universal.extend(word.to_be_bytes());
    }
    universal.resize(first as usize, 0);
    universal.extend(head);
    universal.resize(second as usize, 0);
    universal.extend(&good);
    let of_arm = |file: &[u8]| {
        let binary = Binary::parse(file).unwrap().unwrap();
        (binary.to_string(), binary.image_for(Subdir::OsxArm64).unwrap().signature.unwrap().intact)
    };
    assert_eq!(of_arm(&universal), ("macos x86_64+arm64 program".to_owned(), Some(true)));
    universal[second as usize + 5000] ^= 1;
    assert_eq!(of_arm(&universal).1, Some(false));
    // An image that lies outside the file.
    universal[8 + 20 + 8] = 0xff;
    assert!(Binary::parse(&universal).unwrap().is_err());
}

#[test]
fn headers_that_ask_for_too_much() {
    // A load command table of nearly 4 GiB in a file that has as much.
    struct Endless(u64);
    impl std::io::Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let head = macho_header(0x0100_000c, &[]);
            for byte in buffer.iter_mut() {
                *byte = head.get(self.0 as usize).copied().unwrap_or(8);
                if (16..24).contains(&self.0) {
                    *byte = 0xf0;
                }
                self.0 += 1;
            }
            Ok(buffer.len())
        }
    }
    impl std::io::Seek for Endless {
        fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
            self.0 = match to {
                std::io::SeekFrom::Start(at) => at,
                std::io::SeekFrom::End(_) => 1 << 40,
                std::io::SeekFrom::Current(by) => self.0.checked_add_signed(by).unwrap(),
            };
            Ok(self.0)
        }
    }
    let error = Binary::read(&mut Endless(0)).unwrap().unwrap_err();
    assert_eq!(error, "its headers ask for more bytes than those of any real program");
}

#[test]
fn fuzz_over_seeds() {
    let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let head = &own[..own.len().min(1 << 16)];
    let build = words(&[0x32, 24, 1, 11 << 16, 14 << 16, 0]);
    let signature = words(&[0x1d, 16, 80, 40]);
    let mut macho = macho_header(0x0100_000c, &[&build, &signature]);
    macho.extend([
        0xfa, 0xde, 0x0c, 0xc0, 0, 0, 0, 40, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 20, 0xfa, 0xde, 0x0c, 0x02, 0, 0, 0, 20,
    ]);
    macho.resize(200, 0);
    let seeds = [head.to_vec(), elf_header(62, 0), macho, signed()];
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
            // Headers more often than what follows them.
            let reach = if random() % 4 == 0 { bytes.len() } else { bytes.len().min(512) };
            let at = random() as usize % reach;
            bytes[at] = random() as u8;
        }
        if round % 7 == 0 {
            bytes.truncate(random() as usize % bytes.len());
        }
        crate::fuzz::read_any_binary(&bytes);
    }
}
