//! Archives as nobody should make them.

use std::io::Write;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::*;
use crate::extract::{Extent, extract};
use crate::fuzz::{read_any_archive, read_any_tar};
use crate::inspect::inspect;

const INDEX: &str = r#"{"build":"0","build_number":0,"depends":[],"name":"t","subdir":"noarch","version":"1"}"#;

/// A member of a tar stream; its path is written as it is.
fn member(tar: &mut Vec<u8>, path: &str, kind: tar::EntryType, link: &str, content: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    tar.extend(header.as_bytes());
    tar.extend(content);
    tar.resize(tar.len().next_multiple_of(512), 0);
}

fn file(tar: &mut Vec<u8>, path: &str, content: &[u8]) {
    member(tar, path, tar::EntryType::Regular, "", content);
}

fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, content) in members {
        zip.start_file(*name, options).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn conda(pkg: &[u8], info: &[u8]) -> Vec<u8> {
    let zst = |tar: &[u8]| zstd::encode_all(tar, 3).unwrap();
    zip(&[
        ("metadata.json", br#"{"conda_pkg_format_version": 2}"#),
        ("pkg-t-1-0.tar.zst", &zst(pkg)),
        ("info-t-1-0.tar.zst", &zst(info)),
    ])
}

fn info(paths: &str) -> Vec<u8> {
    let mut tar = Vec::new();
    file(&mut tar, "info/index.json", INDEX.as_bytes());
    file(&mut tar, "info/paths.json", format!(r#"{{"paths":[{paths}],"paths_version":1}}"#).as_bytes());
    tar.resize(tar.len() + 1024, 0);
    tar
}

fn entry(path: &str, content: &[u8]) -> String {
    let sha256 = hex::encode(Sha256::digest(content));
    let size = content.len();
    format!(r#"{{"_path":"{path}","path_type":"hardlink","sha256":"{sha256}","size_in_bytes":{size}}}"#)
}

fn on_disk(bytes: &[u8], name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// What verifying says, a problem a line.
fn check(bytes: &[u8], expected: &[&str]) {
    let (_folder, path) = on_disk(bytes, "t-1-0.conda");
    let found: Vec<String> = match verify(&path, &Limits::default()) {
        Ok(verification) => verification.problems.iter().map(ToString::to_string).collect(),
        Err(error) => vec![error.to_string().rsplit(": ").next().unwrap().to_owned()],
    };
    assert_eq!(found, expected);
}

#[test]
fn a_good_package() {
    let mut pkg = Vec::new();
    file(&mut pkg, "bin/a", b"a");
    check(&conda(&pkg, &info(&entry("bin/a", b"a"))), &[]);
}

#[test]
fn members_against_paths_json() {
    let mut pkg = Vec::new();
    file(&mut pkg, "a", b"a");
    check(&conda(&pkg, &info("")), &["`a`: not declared in `info/paths.json`"]);
    check(
        &conda(&pkg, &info(&format!("{},{}", entry("a", b"a"), entry("b", b"")))),
        &["`b`: declared in `info/paths.json`, but missing"],
    );
    check(&conda(&pkg, &info(&format!("{0},{0}", entry("a", b"a")))), &["`a`: declared twice in `info/paths.json`"]);
    check(
        &conda(&pkg, &info(&entry("a", b"a").replace("hardlink", "softlink"))),
        &["`a`: declared as link, but it is none"],
    );
    check(
        &conda(&pkg, &info(&entry("a", b"bb"))),
        &[
            "`a`: declared 2 bytes, has 1",
            "`a`: declared sha256 `3b64db95cb55c763391c707108489ae18b4112d783300de38e033b4c98c3deaf`, has `ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb`",
        ],
    );
}

#[test]
fn declared_prefixes_are_there() {
    let with = |content: &str| {
        let mut pkg = Vec::new();
        file(&mut pkg, "a", content.as_bytes());
        let declared = entry("a", content.as_bytes());
        let declared = declared.replace('}', r#","prefix_placeholder":"/long/prefix","file_mode":"text"}"#);
        conda(&pkg, &info(&declared))
    };
    check(&with("x /long/prefix"), &[]);
    for before in (8192 - 13..8194).chain([(1 << 16) - 3, (1 << 17) - 5]) {
        check(&with(&format!("{}/long/prefix", "y".repeat(before))), &[]);
    }
    check(&with("x /long/prefi"), &["`a`: declared to hold a prefix that is not in it"]);
}

#[test]
fn paths_that_lead_out() {
    for (name, problem) in [
        ("../a", "a path with `..`"),
        ("/a", "an absolute path"),
        ("a/../../b", "a path with `..`"),
        ("C:\\a", "an absolute path"),
        ("a\\..\\..\\b", "a path with `..`"),
        ("a//b", "a path with empty parts or `.`"),
        ("./a", "a path with empty parts or `.`"),
    ] {
        let mut pkg = Vec::new();
        file(&mut pkg, name, b"");
        let bytes = conda(&pkg, &info(&entry(&name.replace('\\', "\\\\"), b"")));
        check(&bytes, &[&format!("`{name}`: {problem}")]);
        let (folder, path) = on_disk(&bytes, "t-1-0.conda");
        let error = extract(&path, &folder.path().join("to/here"), Extent::All, &Limits::default()).unwrap_err();
        assert!(error.to_string().contains(problem), "{error}");
    }
}

#[test]
fn links_lead_nowhere_but_inside() {
    let mut pkg = Vec::new();
    member(&mut pkg, "a", tar::EntryType::Symlink, "../../outside", b"");
    file(&mut pkg, "a/b", b"");
    let bytes = conda(&pkg, &info(&entry("a/b", b"")));
    let (folder, path) = on_disk(&bytes, "t-1-0.conda");
    let target = folder.path().join("x/y/z");
    extract(&path, &target, Extent::All, &Limits::default()).unwrap();
    assert!(
        target.join("a/b").is_file() && !target.join("a").is_symlink() && !folder.path().join("x/outside").exists()
    );
    let verification = verify(&path, &Limits::default()).unwrap();
    assert!(!verification.ok());

    let mut pkg = Vec::new();
    member(&mut pkg, "a", tar::EntryType::Link, "etc/passwd", b"");
    check(&conda(&pkg, &info(&entry("a", b""))), &["`a`: a hard link to `etc/passwd`, which is no file before it"]);
    let mut pkg = Vec::new();
    member(&mut pkg, "a", tar::EntryType::Char, "", b"");
    check(
        &conda(&pkg, &info(&entry("a", b""))),
        &["`a`: declared as file, but it is none", "`a`: neither file, link nor folder (tar type `3`)"],
    );
}

#[test]
fn duplicates_and_misplaced_members() {
    let mut pkg = Vec::new();
    file(&mut pkg, "a", b"1");
    file(&mut pkg, "a", b"2");
    check(&conda(&pkg, &info(&entry("a", b"2"))), &["`a`: there twice"]);
    let mut pkg = Vec::new();
    file(&mut pkg, "info/evil", b"");
    check(
        &conda(&pkg, &info(&entry("info/evil", b""))),
        &["`info/evil`: belongs to `info-*.tar.zst`, but stands in `pkg-*.tar.zst`"],
    );
    let mut pkg = vec![0; 1024];
    file(&mut pkg, "hidden", b"");
    check(&conda(&pkg, &info("")), &["there is data after the end of a tar stream"]);
    let mut pkg = Vec::new();
    file(&mut pkg, "Readme", b"");
    file(&mut pkg, "README", b"");
    let declared = format!("{},{}", entry("Readme", b""), entry("README", b""));
    check(&conda(&pkg, &info(&declared)), &["`README`: differs from `Readme` in case only"]);
}

#[test]
fn two_members_of_one_name_in_the_zip() {
    let mut bytes = conda(&[], &info(""));
    // The zip writer refuses two equal names: the second is renamed afterwards, in both of its headers.
    let extra = zip(&[("metadata.json", b"{}"), ("metadatA.json", b"{}")]);
    let renamed: Vec<u8> = String::from_utf8_lossy(&extra)
        .contains("metadatA")
        .then(|| {
            let mut extra = extra.clone();
            while let Some(at) = memchr::memmem::find(&extra, b"metadatA") {
                extra[at + 7] = b'a';
            }
            extra
        })
        .unwrap();
    let (_folder, path) = on_disk(&renamed, "t-1-0.conda");
    let text = match verify(&path, &Limits::default()) {
        Ok(verification) => format!("{:?}", verification.problems),
        Err(error) => error.to_string(),
    };
    assert!(text.contains("2 members, but 1 names") || text.contains("not a readable package"), "{text}");
    bytes.truncate(bytes.len() / 2);
    let (_folder, path) = on_disk(&bytes, "t-1-0.conda");
    assert!(verify(&path, &Limits::default()).is_err());
}

#[test]
fn bombs_end_early() {
    let tar = {
        let mut tar = Vec::new();
        file(&mut tar, "zeros", &vec![0; 32 << 20]);
        tar
    };
    let (folder, path) = on_disk(&conda(&tar, &info("")), "t-1-0.conda");
    let limits = Limits { ratio_from: 1 << 20, ratio: 100, ..Limits::default() };
    let error = verify(&path, &limits).unwrap_err().to_string();
    assert!(error.ends_with("it unpacks to more than 100 times its size"), "{error}");
    let limits = Limits { unpacked: 1 << 20, ..Limits::default() };
    let error = extract(&path, &folder.path().join("to"), Extent::All, &limits).unwrap_err().to_string();
    assert!(error.ends_with("it unpacks to more than 1048576 bytes"), "{error}");
    // A header that asks for a name of a gigabyte.
    let mut tar = Vec::new();
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(1 << 30);
    header.set_cksum();
    tar.extend(header.as_bytes());
    tar.resize(1 << 22, b'a');
    check(&conda(&tar, &info("")), &["a tar extension header is longer than 1 MiB"]);
    let limits = Limits { members: 1, ..Limits::default() };
    let (_folder, path) = on_disk(&conda(&[], &info("")), "t-1-0.conda");
    assert!(verify(&path, &limits).unwrap_err().to_string().ends_with("it has more than 1 members"));
}

#[test]
fn the_older_format() {
    let mut tar = Vec::new();
    file(&mut tar, "info/index.json", INDEX.as_bytes());
    file(&mut tar, "info/files", b"a\nmissing\n");
    file(&mut tar, "a", b"a");
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
    encoder.write_all(&tar).unwrap();
    let (folder, path) = on_disk(&encoder.finish().unwrap(), "t-1-0.tar.bz2");
    let verification = verify(&path, &Limits::default()).unwrap();
    let problems: Vec<String> = verification.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        ["`missing`: declared in `info/files`, but missing", "`info/paths.json`: missing: an old package"]
    );
    let inspection = inspect(&path, &Limits::default()).unwrap();
    assert_eq!((inspection.files.len(), inspection.info.len()), (1, 2));
    assert_eq!(crate::record::repodata_record(&path).unwrap()["name"], "t");
    extract(&path, &folder.path().join("to"), Extent::Info, &Limits::default()).unwrap();
    assert!(folder.path().join("to/info/files").is_file() && !folder.path().join("to/a").exists());
}

#[test]
fn links_and_depth() {
    for (path, target, out) in [
        ("a/b", "../c", false),
        ("a/b", "../../c", true),
        ("a", "b/../../c", true),
        ("a", "/etc", true),
        ("a/b/c", "../../x/../y", false),
        ("a", "C:\\x", true),
    ] {
        assert_eq!(leaves_package(path, target), out, "{path} -> {target}");
    }
}

#[test]
fn fuzz_archives_over_seeds() {
    let mut pkg = Vec::new();
    file(&mut pkg, "bin/a", b"\x7fELF and more");
    member(&mut pkg, "bin/b", tar::EntryType::Symlink, "a", b"");
    member(&mut pkg, "bin/c", tar::EntryType::Link, "bin/a", b"");
    member(&mut pkg, "x", tar::EntryType::XHeader, "", b"13 path=abcd\n");
    file(&mut pkg, "y", b"1");
    let good = conda(&pkg, &info(&entry("bin/a", b"")));
    let mut plain = zip(&[("metadata.json", b"{}"), ("pkg-t-1-0.tar.zst", b"x"), ("info-t-1-0.tar.zst", b"x")]);
    plain.extend([0; 30]);
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..150 {
        let mut bytes = if round % 5 == 0 { plain.clone() } else { good.clone() };
        for _ in 0..=random() % 4 {
            let at = random() as usize % bytes.len();
            match random() % 4 {
                0 => bytes.truncate(at.max(1)),
                1 => bytes[at] ^= 1 << (random() % 8),
                2 => bytes[at] = random() as u8,
                _ => {
                    let from = random() as usize % bytes.len();
                    let piece: Vec<u8> = bytes[from..].iter().take(random() as usize % 64).copied().collect();
                    bytes.splice(at..at, piece);
                }
            }
        }
        read_any_archive(&bytes);
    }
    read_any_archive(b"");
    read_any_archive(b"PK\x03\x04");
    read_any_archive(b"BZh9");
}

/// Mutations of the tar streams themselves, which checksums of the layers above would hide.
#[test]
fn fuzz_tar_over_seeds() {
    let mut good = Vec::new();
    member(&mut good, "x", tar::EntryType::XHeader, "", b"13 path=abcd\n20 size=99999999999\n");
    file(&mut good, "a", b"content");
    member(&mut good, "././@LongLink", tar::EntryType::GNULongName, "", b"name\0");
    file(&mut good, "b", b"");
    let mut state = 88_172_645_463_325_252_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..3000 {
        let mut bytes = good.clone();
        for _ in 0..=random() % 3 {
            let at = random() as usize % bytes.len();
            bytes[at] = random() as u8;
        }
        // With valid checksums, so that fields are looked at.
        for block in 0..bytes.len() / 512 {
            let mut header: [u8; 512] = bytes[block * 512..][..512].try_into().unwrap();
            let mut parsed = tar::Header::new_old();
            parsed.as_mut_bytes().copy_from_slice(&header);
            parsed.set_cksum();
            header.copy_from_slice(parsed.as_bytes());
            if header[257..262] == *b"ustar" {
                bytes[block * 512..][..512].copy_from_slice(&header);
            }
        }
        read_any_tar(&bytes);
    }
}
