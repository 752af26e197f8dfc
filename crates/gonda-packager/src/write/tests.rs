//! Packages written and read back.

use super::*;
use crate::prefix::{Detection, PrefixMap};
use crate::scan::{list, scan};
use crate::verify::verify;
use std::sync::Arc;

const INDEX: &str = r#"{"build": "0", "build_number": 0, "depends": [], "name": "tool", "subdir": "linux-64", "version": "1.0"}"#;

pub(crate) fn package<'a>(entries: &'a [Entry], info: &'a [InfoFile], threads: u32) -> Package<'a> {
    Package { stem: "tool-1.0-0", entries, info, timestamp: 1_700_000_001, compression: Compression::DEFAULT, threads }
}

#[test]
fn zip_times() {
    let check = |timestamp, expected: &str| assert_eq!(zip_time(timestamp).to_string(), expected);
    check(0, "1980-01-01 00:00:00");
    check(315_532_800, "1980-01-01 00:00:00");
    check(951_868_799, "2000-02-29 23:59:58");
    check(1_700_000_001, "2023-11-14 22:13:20");
    check(i64::MAX, "1980-01-01 00:00:00");
}

#[test]
fn a_prefix_is_packed_and_verified() {
    let root = tempfile::tempdir().unwrap();
    let prefix = root.path().join("prefix");
    std::fs::create_dir_all(prefix.join("bin")).unwrap();
    std::fs::create_dir_all(prefix.join("empty")).unwrap();
    std::fs::write(prefix.join("bin/tool"), b"#!/bin/sh\n").unwrap();
    let paths = list(&prefix).unwrap();
    let detection = Detection::of(prefix.to_str().unwrap(), false);
    let scanned = scan(&prefix, prefix.to_str().unwrap(), paths, &|_| false, &detection).unwrap();
    let info = [InfoFile::bytes("index.json", INDEX)];
    let artifact = write(&root.path().join("out"), &package(&scanned.entries, &info, 2)).unwrap();
    let verification = verify(&artifact.path, &Limits::default()).unwrap();
    assert_eq!(verification.problems, []);
    assert_eq!((verification.files, verification.info), (1, 3));
    let record = crate::record::repodata_record(&artifact.path).unwrap();
    assert_eq!(record["sha256"], artifact.sha256);
    let _ = Arc::new(PrefixMap::new("a", "b").unwrap());
}
