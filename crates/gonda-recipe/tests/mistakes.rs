//! Each kind of recipe mistake with its message, place and help. The recipes are the `bad-` cases of the conformance
//! set; `UPDATE_SNAPSHOTS=1` writes what they say now.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use gonda_recipe::{ConfigPlatform, DiskWorld, Finalize, Request, VariantFiles, load};

#[test]
fn mistakes_are_told_with_place_and_help() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/v0");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("bad-"))
        .collect();
    cases.sort();
    let mut said = String::new();
    for case in cases {
        let info: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(case.join("case.json")).unwrap()).unwrap();
        let variant = case.join("variant.yaml");
        let request = Request {
            recipe: case.join("recipe/meta.yaml"),
            build_platform: "linux-64".parse().unwrap(),
            target_platform: "linux-64".parse().unwrap(),
            variants: VariantFiles {
                additional: variant.is_file().then_some(variant).into_iter().collect(),
                ..VariantFiles::default()
            },
            config_platform: ConfigPlatform::Target,
            finalize: match info["mode"].as_str() {
                Some("bypass") => Finalize::Bypass,
                Some("nosolve") => Finalize::NoSolve,
                _ => Finalize::No,
            },
            trim_skip: true,
        };
        let world = DiskWorld { environ: BTreeMap::new(), git: BTreeMap::new() };
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        writeln!(said, "# {name}").unwrap();
        match load(&request, &world) {
            Ok(rendering) => {
                let names: Vec<String> = rendering.outputs.iter().map(gonda_recipe::Output::filename).collect();
                writeln!(said, "renders: {}", names.join(" ")).unwrap();
            }
            Err(errors) => {
                for error in &errors.0 {
                    let place =
                        error.file.strip_prefix(&case).unwrap_or(&error.file).to_string_lossy().replace('\\', "/");
                    let at = |number: Option<usize>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
                    writeln!(said, "{place}:{}:{}: {}", at(error.line), at(error.column), error.message).unwrap();
                    if let Some(text) = &error.text {
                        writeln!(said, "    | {text}").unwrap();
                    }
                    if let Some(help) = &error.help {
                        writeln!(said, "    help: {help}").unwrap();
                    }
                }
            }
        }
    }
    let snapshot = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mistakes.txt");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&snapshot, &said).unwrap();
    }
    let expected = std::fs::read_to_string(&snapshot).unwrap_or_default().replace("\r\n", "\n");
    assert!(said == expected, "what mistakes say has changed; UPDATE_SNAPSHOTS=1 takes it:\n{said}");
}
