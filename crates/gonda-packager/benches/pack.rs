//! How fast a staged prefix becomes a package: `cargo bench -p gonda-packager --bench pack -- PREFIX FOLDER LEVEL THREADS`
//! packs a folder once, so that whoever starts it measures a whole process; `cargo xtask bench pack` does so beside the
//! peers. LEVEL is a number, or `default`. `zstd` in place of FOLDER only compresses the files, which shows what memory zstd
//! itself holds. Without arguments it packs its own source, to see that it works.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fs::File;
use std::io;
use std::path::Path;

use gonda_packager::{Compression, Detection, InfoFile, Package, list, scan, write};

fn main() {
    // Cargo adds flags of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [prefix, folder, level, threads] => {
            let compression = level.parse().map_or(Compression::DEFAULT, Compression::of_level);
            let threads = threads.parse().expect("a number of threads");
            match *folder {
                "zstd" => compress(Path::new(prefix), compression, threads),
                folder => pack(Path::new(prefix), Path::new(folder), compression, threads),
            }
        }
        [] => {
            let folder = tempfile::tempdir().unwrap();
            pack(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), folder.path(), Compression::DEFAULT, 2);
        }
        _ => panic!("PREFIX FOLDER LEVEL THREADS"),
    }
}

/// All that happens to files between a build script and a finished package.
fn pack(prefix: &Path, folder: &Path, compression: Compression, threads: u32) {
    let seen = "/opt/placehold_placehold_placehold";
    let detection = Detection {
        prefixes: vec![seen.to_owned()],
        foreign: Vec::new(),
        map: None,
        binaries: None,
        windows: false,
        ignore: &|_| false,
        text_files: &|_| false,
        binary_files: &|_| false,
        only_text: Vec::new(),
        only_binary: Vec::new(),
    };
    let scanned = scan(prefix, seen, list(prefix).unwrap(), &|_| false, &detection).unwrap();
    let index = br#"{"arch": null, "build": "0", "build_number": 0, "depends": [], "name": "packed", "platform": null,
        "subdir": "noarch", "timestamp": 315532800000, "version": "1"}"#;
    let info = [InfoFile::bytes("index.json", index.as_slice())];
    let package = Package {
        stem: "packed-1-0",
        entries: &scanned.entries,
        info: &info,
        timestamp: 315_532_800,
        compression,
        threads,
    };
    write(folder, &package).unwrap();
}

/// What zstd alone does of that.
fn compress(prefix: &Path, compression: Compression, threads: u32) {
    let files: Vec<_> = list(prefix).unwrap().into_iter().map(|path| prefix.join(path)).collect();
    let total = files.iter().map(|path| path.metadata().unwrap().len()).sum();
    let mut encoder = compression.encoder(io::sink(), total, threads).unwrap();
    for path in files {
        io::copy(&mut File::open(path).unwrap(), &mut encoder).unwrap();
    }
    encoder.finish().unwrap();
}
