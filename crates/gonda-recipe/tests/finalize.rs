//! Finalising v0 recipes with solved environments: what the solver is asked for, and what becomes of the answer.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use gonda_recipe::{
    ConfigPlatform, Env, Finalize, MemoryWorld, PinnedOutput, Rendering, Request, Resolved, ResolvedPackage,
    VariantFiles, load,
};
use rattler_conda_types::package::RunExportsJson;

fn open(recipe: &str, config: &str) -> (Rendering, MemoryWorld) {
    let path = PathBuf::from("recipe/meta.yaml");
    let files = MemoryWorld {
        files: BTreeMap::from([
            (path.clone(), recipe.as_bytes().to_vec()),
            (PathBuf::from("recipe/conda_build_config.yaml"), config.as_bytes().to_vec()),
        ]),
        environ: BTreeMap::new(),
    };
    let request = Request {
        recipe: path,
        build_platform: "linux-64".parse().unwrap(),
        target_platform: "linux-64".parse().unwrap(),
        variants: VariantFiles::default(),
        config_platform: ConfigPlatform::Target,
        finalize: Finalize::No,
        trim_skip: true,
    };
    let rendering = load(&request, &files).unwrap_or_else(|errors| panic!("{errors}"));
    (rendering, files)
}

fn package(name: &str, version: &str, direct: bool, exports: RunExportsJson) -> ResolvedPackage {
    ResolvedPackage {
        name: name.to_owned(),
        version: version.to_owned(),
        build: "h0_0".to_owned(),
        direct,
        run_exports: exports,
    }
}

fn list(items: &[&str]) -> Vec<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

fn weak(specs: &[&str]) -> RunExportsJson {
    RunExportsJson { weak: list(specs), ..RunExportsJson::default() }
}

fn strong(specs: &[&str]) -> RunExportsJson {
    RunExportsJson { strong: list(specs), ..RunExportsJson::default() }
}

const GO: &str = r#"
package:
  name: tool
  version: "1.2"
build:
  ignore_run_exports:
    - libunwanted
  ignore_run_exports_from:
    - noisy
requirements:
  build:
    - {{ compiler('cgo') }}
    - {{ stdlib('c') }}
    - make
  host:
    - libfoo
    - noisy
  run:
    - git
    - {{ pin_compatible('libfoo', max_pin='x.x') }}
"#;

const CONFIG: &str = r#"
cgo_compiler: [go-cgo]  #
cgo_compiler_version:
  - 1.25
c_stdlib:
  - sysroot
c_stdlib_version:
  - 2.17
libfoo:
  - 3.1
"#;

#[test]
fn run_exports_enter_host_run_and_hash() {
    let (rendering, files) = open(GO, CONFIG);
    let mut resolved = Resolved::default();
    let build = rendering.specs(0, Env::Build, &resolved, &files).unwrap();
    assert_eq!(build, ["go-cgo_linux-64 1.25.*", "sysroot_linux-64 2.17.*", "make"]);
    resolved.build = vec![
        package("go-cgo_linux-64", "1.25.4", true, strong(&["libgcc >=14"])),
        package("sysroot_linux-64", "2.17", true, strong(&["__glibc >=2.17,<3.0.a0"])),
        package("make", "4.4", true, weak(&["libmake"])),
        package("gcc", "14.2", false, strong(&["never"])),
    ];
    let host = rendering.specs(0, Env::Host, &resolved, &files).unwrap();
    assert_eq!(host, ["__glibc >=2.17,<3.0.a0", "libfoo 3.1.*", "libgcc >=14", "noisy"]);
    let mut of_foo = weak(&["libfoo >=3.1.4,<4.0a0", "libunwanted >=1"]);
    of_foo.weak_constrains = list(&["libbar >=2"]);
    resolved.host = vec![
        package("libfoo", "3.1.4", true, of_foo),
        package("noisy", "1", true, weak(&["noise"])),
        package("libgcc", "14.2", false, RunExportsJson::default()),
    ];
    let output = rendering.finalize(0, &resolved, &files).unwrap();
    assert_eq!(
        output.depends,
        ["__glibc >=2.17,<3.0.a0", "git", "libfoo >=3.1.4,<3.2.0a0", "libfoo >=3.1.4,<4.0a0", "libgcc >=14"]
    );
    assert_eq!(output.constrains, ["libbar >=2"]);
    assert_eq!(output.hash_contents["__glibc"], "__glibc >=2.17,<3.0.a0");
    assert_ne!(output.build_string, rendering.outputs[0].build_string);
    assert!(output.build_string.starts_with('h') && output.build_string.ends_with("_0"));
    assert!(output.requirements.host.contains(&"libfoo 3.1.4 h0_0".to_owned()), "{:?}", output.requirements.host);
}

#[test]
fn noarch_takes_noarch_exports_alone() {
    let recipe = r#"
package:
  name: tool
  version: "1"
build:
  noarch: generic
requirements:
  build:
    - comp
  host:
    - libfoo
"#;
    let (rendering, files) = open(recipe, "{}");
    let mut of_foo = weak(&["libfoo >=3"]);
    of_foo.noarch = list(&["foo-data"]);
    let resolved = Resolved {
        build: vec![package("comp", "1", true, strong(&["libcomp"]))],
        host: vec![package("libfoo", "3", true, of_foo)],
        outputs: Vec::new(),
    };
    let output = rendering.finalize(0, &resolved, &files).unwrap();
    assert_eq!(output.depends, ["foo-data"]);
}

#[test]
fn without_host_strong_exports_reach_run() {
    let recipe = "package:\n  name: tool\n  version: '1'\nrequirements:\n  build:\n    - {{ compiler('go-nocgo') }}\n";
    let (rendering, files) = open(recipe, "{}");
    let mut resolved = Resolved::default();
    assert_eq!(rendering.specs(0, Env::Build, &resolved, &files).unwrap(), ["go-nocgo_linux-64"]);
    assert_eq!(rendering.specs(0, Env::Host, &resolved, &files).unwrap(), [""; 0]);
    let mut exports = strong(&["__glibc >=2.17"]);
    exports.strong_constrains = list(&["old <1"]);
    resolved.build = vec![package("go-nocgo_linux-64", "1.25.4", true, exports)];
    let output = rendering.finalize(0, &resolved, &files).unwrap();
    assert_eq!((output.depends, output.constrains), (list(&["__glibc >=2.17"]), list(&["old <1"])));
}

#[test]
fn run_takes_the_versions_it_was_built_with() {
    let recipe = r#"
package:
  name: tool
  version: "1"
requirements:
  host:
    - python
  run:
    - python
test:
  requires:
    - python
"#;
    let (rendering, files) = open(recipe, "python:\n  - 3.12\n");
    let resolved =
        Resolved { host: vec![package("python", "3.12.5", true, RunExportsJson::default())], ..Resolved::default() };
    let output = rendering.finalize(0, &resolved, &files).unwrap();
    assert_eq!(output.depends, ["python >=3.12,<3.13.0a0"]);
    // Python is in the string, and nothing else is used: there is nothing to hash.
    assert_eq!(output.build_string, "py312_0");
}

#[test]
fn outputs_are_pinned_to_what_was_made() {
    let recipe = r#"
package:
  name: tool-split
  version: "1"
build:
  number: 3
outputs:
  - name: libtool
    requirements:
      build:
        - {{ stdlib('c') }}
    build:
      run_exports:
        - {{ pin_subpackage('libtool', max_pin='x') }}
  - name: tool
    requirements:
      host:
        - {{ pin_subpackage('libtool', exact=True) }}
      run:
        - {{ pin_subpackage('libtool', exact=True) }}
"#;
    let (rendering, files) = open(recipe, "c_stdlib:\n  - sysroot\n");
    let names: Vec<&str> = rendering.outputs.iter().map(|output| output.name.as_str()).collect();
    assert_eq!(names, ["libtool", "tool"]);
    let mut resolved = Resolved {
        build: vec![package("sysroot_linux-64", "2.17", true, strong(&["__glibc >=2.17"]))],
        ..Resolved::default()
    };
    let library = rendering.finalize(0, &resolved, &files).unwrap();
    assert_eq!(library.run_exports.weak, ["libtool >=1,<2.0a0"]);
    assert!(library.hash_contents.contains_key("__glibc"));
    resolved.build.clear();
    resolved.outputs.push(PinnedOutput {
        name: library.name.clone(),
        version: library.version.clone(),
        build_string: library.build_string.clone(),
    });
    let pin = format!("libtool 1 {}", library.build_string);
    assert_eq!(rendering.specs(1, Env::Host, &resolved, &files).unwrap(), [pin.as_str()]);
    resolved.host = vec![ResolvedPackage {
        build: library.build_string.clone(),
        ..package("libtool", "1", true, library.run_exports.clone())
    }];
    let tool = rendering.finalize(1, &resolved, &files).unwrap();
    assert_eq!(tool.depends, [pin]);
    assert_eq!(tool.parent.as_ref().map(|parent| parent.name.as_str()), Some("tool-split"));
}

#[test]
fn a_pin_on_what_is_not_in_host_is_told() {
    let recipe = "package:\n  name: tool\n  version: '1'\nrequirements:\n  host:\n    - a\n  run:\n    - {{ pin_compatible(\"b\") }}\n";
    let (rendering, files) = open(recipe, "{}");
    let resolved = Resolved { host: vec![package("a", "1", true, RunExportsJson::default())], ..Resolved::default() };
    let errors = rendering.finalize(0, &resolved, &files).unwrap_err();
    assert_eq!(errors.0[0].line, Some(8));
    assert!(errors.0[0].message.contains("`b`"), "{errors}");
}
