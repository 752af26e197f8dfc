//! `pack PREFIX FOLDER LEVEL THREADS` packs a folder once, for `cargo xtask bench pack`, which measures the whole process
//! beside the peers'. LEVEL is a number, or `default`. `zstd` in place of FOLDER only compresses the files, which shows what
//! memory zstd itself holds.

use std::error::Error;
use std::fs::File;
use std::io;
use std::path::Path;

use gonda_packager::{Compression, Detection, InfoFile, Package, list, scan, write};

/// The time of all members.
const TIME: i64 = 315_532_800;
/// A prefix that is searched for and not found.
const PREFIX: &str = "/opt/placehold_placehold_placehold";
const INDEX: &str = r#"{"arch": null, "build": "0", "build_number": 0, "depends": [], "name": "packed", "platform": null,
    "subdir": "noarch", "timestamp": 315532800000, "version": "1"}"#;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [prefix, folder, level, threads] = arguments.as_slice() else {
        return Err("PREFIX FOLDER LEVEL THREADS are wanted".into());
    };
    let compression = level.parse().map_or(Compression::DEFAULT, Compression::of_level);
    let (prefix, threads) = (Path::new(prefix), threads.parse()?);
    match folder.as_str() {
        "zstd" => compress(prefix, compression, threads),
        folder => pack(prefix, Path::new(folder), compression, threads),
    }
}

/// All that happens to files between a build script and a finished package.
fn pack(prefix: &Path, folder: &Path, compression: Compression, threads: u32) -> Result<(), Box<dyn Error>> {
    let detection = Detection {
        prefixes: vec![PREFIX.to_owned()],
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
    let entries = scan(prefix, PREFIX, list(prefix)?, &|_| false, &detection)?.entries;
    let info = [InfoFile::bytes("index.json", INDEX)];
    let package = Package { stem: "packed-1-0", entries: &entries, info: &info, timestamp: TIME, compression, threads };
    write(folder, &package)?;
    Ok(())
}

/// What zstd alone does of that.
fn compress(prefix: &Path, compression: Compression, threads: u32) -> Result<(), Box<dyn Error>> {
    let files: Vec<_> = list(prefix)?.into_iter().map(|path| prefix.join(path)).collect();
    let mut total = 0;
    for path in &files {
        total += path.metadata()?.len();
    }
    let mut encoder = compression.encoder(io::sink(), total, threads)?;
    for path in files {
        io::copy(&mut File::open(path)?, &mut encoder)?;
    }
    encoder.finish()?;
    Ok(())
}
