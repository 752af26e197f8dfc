//! Recipes in, text out: what finalising does with solved environments, and what errors say.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rattler_conda_types::package::RunExportsJson;

use crate::{
    ConfigPlatform, Env, Finalize, MemoryWorld, Output, RecipeErrors, Rendering, Request, Resolved, ResolvedPackage,
    Tests, VariantFiles, load,
};

fn world(files: &[(&str, &str)]) -> MemoryWorld {
    let files = files.iter().map(|(name, text)| (Path::new("r").join(name), text.as_bytes().to_vec()));
    MemoryWorld { files: files.collect(), environ: BTreeMap::new() }
}

fn render(files: &[(&str, &str)], target: &str) -> Result<Rendering, RecipeErrors> {
    let additional = files.iter().filter(|(name, _)| name.starts_with("ci")).map(|(name, _)| Path::new("r").join(name));
    let request = Request {
        recipe: PathBuf::from("r/recipe.yaml"),
        build_platform: "linux-64".parse().unwrap(),
        target_platform: target.parse().unwrap(),
        variants: VariantFiles { additional: additional.collect(), ..VariantFiles::default() },
        config_platform: ConfigPlatform::Target,
        finalize: Finalize::No,
        trim_skip: true,
    };
    load(&request, &world(files))
}

fn package(name: &str, version: &str, run_exports: &RunExportsJson) -> ResolvedPackage {
    ResolvedPackage {
        name: name.to_owned(),
        version: version.to_owned(),
        build: "h0_0".to_owned(),
        direct: true,
        run_exports: run_exports.clone(),
    }
}

fn exports(pick: impl Fn(&mut RunExportsJson) -> &mut Vec<String>, spec: &str) -> RunExportsJson {
    let mut exports = RunExportsJson::default();
    pick(&mut exports).push(spec.to_owned());
    exports
}

/// An environment in which every kind of run export occurs.
fn resolved() -> Resolved {
    let strong = RunExportsJson {
        strong: vec!["libgcc >=13".to_owned()],
        strong_constrains: vec!["oldgcc <13".to_owned()],
        ..RunExportsJson::default()
    };
    Resolved {
        build: vec![package("tool", "1.0", &exports(|e| &mut e.weak, "tool-weak")), package("cc", "13.1", &strong)],
        host: vec![
            package("zlib", "1.3.1", &exports(|e| &mut e.weak, "zlib >=1.3.1,<2.0a0")),
            package("python", "3.11.4", &exports(|e| &mut e.noarch, "python >=3.11")),
            package("transitive", "1", &exports(|e| &mut e.weak, "transitive >=1")),
        ],
        outputs: Vec::new(),
    }
}

/// The finalized requirements of every output, as text.
fn check(files: &[(&str, &str)], expected: &str) {
    let rendering = render(files, "linux-64").unwrap();
    let world = world(files);
    let mut text = String::new();
    for index in 0..rendering.outputs.len() {
        let solved = resolved();
        let build = rendering.specs(index, Env::Build, &Resolved::default(), &world).unwrap();
        let host = rendering.specs(index, Env::Host, &Resolved { host: Vec::new(), ..solved.clone() }, &world).unwrap();
        let output = rendering.finalize(index, &solved, &world).unwrap();
        let id = format!("{} {} {}", output.name, output.version, output.build_string);
        for (what, list) in [
            ("build", &build),
            ("host", &host),
            ("depends", &output.depends),
            ("constrains", &output.constrains),
            ("weak", &output.run_exports.weak),
        ] {
            if !list.is_empty() {
                text.push_str(&format!("{id}: {what}: {}\n", list.join(" | ")));
            }
        }
    }
    assert_eq!(text, expected);
}

const LIBRARY: &str = "
package: {name: lib, version: 1.2.3}
requirements:
  build: [cc, tool]
  host: [zlib, python]
  run: [foo >=2, \"${{ pin_compatible('zlib', upper_bound='x.x') }}\"]
  run_constraints: [bar <3]
  run_exports: [\"${{ pin_subpackage('lib', upper_bound='x.x') }}\"]
";

#[test]
fn run_exports_of_what_was_asked_for() {
    check(
        &[("recipe.yaml", LIBRARY), ("ci.yaml", "python: ['3.11']\nzlib: ['1.3 *_1']\ntarget_platform: [linux-64]\n")],
        "lib 1.2.3 py311hb86ad7c_0: build: cc | tool\n\
         lib 1.2.3 py311hb86ad7c_0: host: zlib ==1.3 *_1 | python 3.11.* | libgcc >=13\n\
         lib 1.2.3 py311hb86ad7c_0: depends: foo >=2 | zlib >=1.3.1,<1.4.0a0 | libgcc >=13 | zlib >=1.3.1,<2.0a0\n\
         lib 1.2.3 py311hb86ad7c_0: constrains: bar <3 | oldgcc <13\n\
         lib 1.2.3 py311hb86ad7c_0: weak: lib >=1.2.3,<1.3.0a0\n",
    );
}

#[test]
fn noarch_takes_noarch_exports_alone() {
    check(
        &[("recipe.yaml", &LIBRARY.replace("requirements:", "build: {noarch: generic}\nrequirements:"))],
        "lib 1.2.3 h4616a5c_0: build: cc | tool\n\
         lib 1.2.3 h4616a5c_0: host: zlib | python | libgcc >=13\n\
         lib 1.2.3 h4616a5c_0: depends: foo >=2 | zlib >=1.3.1,<1.4.0a0 | python >=3.11\n\
         lib 1.2.3 h4616a5c_0: constrains: bar <3\n\
         lib 1.2.3 h4616a5c_0: weak: lib >=1.2.3,<1.3.0a0\n",
    );
}

#[test]
fn ignored_exports() {
    let ignore = "  ignore_run_exports: {by_name: [libgcc], from_package: [zlib]}\n";
    check(
        &[("recipe.yaml", &format!("{LIBRARY}{ignore}"))],
        "lib 1.2.3 hb0f4dca_0: build: cc | tool\n\
         lib 1.2.3 hb0f4dca_0: host: zlib | python\n\
         lib 1.2.3 hb0f4dca_0: depends: foo >=2 | zlib >=1.3.1,<1.4.0a0\n\
         lib 1.2.3 hb0f4dca_0: constrains: bar <3 | oldgcc <13\n\
         lib 1.2.3 hb0f4dca_0: weak: lib >=1.2.3,<1.3.0a0\n",
    );
}

#[test]
fn merged_environments() {
    check(
        &[(
            "recipe.yaml",
            &LIBRARY.replace("requirements:", "build: {merge_build_and_host_envs: true}\nrequirements:"),
        )],
        "lib 1.2.3 hb0f4dca_0: host: zlib | python | cc | tool\n\
         lib 1.2.3 hb0f4dca_0: depends: foo >=2 | zlib >=1.3.1,<1.4.0a0 | zlib >=1.3.1,<2.0a0\n\
         lib 1.2.3 hb0f4dca_0: constrains: bar <3\n\
         lib 1.2.3 hb0f4dca_0: weak: lib >=1.2.3,<1.3.0a0\n",
    );
}

#[test]
fn exact_pins_follow_their_variant() {
    check(
        &[
            (
                "recipe.yaml",
                "
recipe: {name: two, version: 1}
outputs:
  - package: {name: py-lib}
    requirements: {host: [python]}
  - package: {name: user}
    requirements:
      host: [python]
      run: [\"${{ pin_subpackage('py-lib', exact=true) }}\"]
",
            ),
            ("variants.yaml", "python: ['3.11', '3.12']\n"),
        ],
        "py-lib 1 py311h48b7412_0: host: python 3.11.*\n\
         user 1 py311hfe10c1d_0: host: python 3.11.*\n\
         user 1 py311hfe10c1d_0: depends: py-lib ==1 py311h48b7412_0\n\
         py-lib 1 py312h738df08_0: host: python 3.12.*\n\
         user 1 py312hc71879b_0: host: python 3.12.*\n\
         user 1 py312hc71879b_0: depends: py-lib ==1 py312h738df08_0\n",
    );
}

fn output(files: &[(&str, &str)], target: &str) -> Output {
    let rendering = render(files, target).unwrap();
    rendering.finalize(0, &resolved(), &world(files)).unwrap()
}

/// The tests that are packed, as JSON lines.
fn check_tests(files: &[(&str, &str)], target: &str, expected: &str) {
    let Tests::List(list) = output(files, target).tests else { panic!("no list") };
    let lines: Vec<String> = list.iter().map(|test| test.spec.to_string()).collect();
    assert_eq!(lines.join("\n"), expected);
}

const TESTED: &str = "
context: {version: 1.5.0}
package: {name: tested, version: \"${{ version }}\"}
tests:
  - package_contents: {bin: [tested], strict: true}
  - script: ['tested --version | grep ${{ version }}', 'echo ${{ PREFIX }} ${{ unix }}']
    files: {recipe: [data/]}
  - script: smoke
    requirements: {run: [\"${{ pin_subpackage('tested', exact=true) }}\"]}
  - script: {file: check.py}
  - script:
      - if: win
        then: never
  - python: {imports: [tested]}
";

#[test]
fn tests_are_packed_with_their_text() {
    let files = [
        ("recipe.yaml", TESTED),
        ("smoke.sh", "echo ${{ version }}\n"),
        ("smoke.bat", "@echo on\n"),
        ("check.py", "import tested\n"),
    ];
    let linux = r#"{"package_contents":{"bin":["tested"],"strict":true}}
{"script":{"content":["tested --version | grep 1.5.0","echo  true"],"cwd":"etc/conda/test-files/tested/0"},"files":{"recipe":["data/"]}}
{"script":{"interpreter":"bash","content":"echo ${{ version }}\n"},"requirements":{"run":["tested ==1.5.0 hb0f4dca_0"]}}
{"script":{"interpreter":"python","content":"import tested\n"}}
{"python":{"imports":["tested"]}}"#;
    check_tests(&files, "linux-64", linux);
    let windows = r#"{"package_contents":{"bin":["tested"],"strict":true}}
{"script":{"content":["tested --version | grep 1.5.0","echo  false"],"cwd":"etc/conda/test-files/tested/0"},"files":{"recipe":["data/"]}}
{"script":{"interpreter":"cmd","content":"@echo on\n"},"requirements":{"run":["tested ==1.5.0 h9490d1a_0"]}}
{"script":{"interpreter":"python","content":"import tested\n"}}
{"script":{"content":"never"}}
{"python":{"imports":["tested"]}}"#;
    check_tests(&files, "win-64", windows);
}

/// What goes wrong, as text: where, what, the line, help.
fn check_errors(cases: &[&[(&str, &str)]], expected: &str) {
    let mut text = String::new();
    for files in cases {
        let world = world(files);
        let result = render(files, "linux-64").and_then(|rendering| {
            rendering.specs(0, Env::Host, &Resolved::default(), &world)?;
            rendering.finalize(0, &resolved(), &world)
        });
        let error = result.expect_err("an error").0.remove(0);
        text.push_str(&format!("{error}\n").replace('\\', "/"));
        for (what, line) in [("  | ", &error.text), ("  help: ", &error.help)] {
            if let Some(line) = line {
                text.push_str(&format!("{what}{line}\n"));
            }
        }
    }
    assert_eq!(text, expected);
}

#[test]
fn errors_say_where_and_what_to_do() {
    const PACKAGE: &str = "package: {name: a, version: 1}\n";
    let run = |item: &str| format!("{PACKAGE}requirements:\n  run:\n    - {item}\n");
    let pins = [run("${{ pin_compatible('nothere') }}"), run("${{ pin_subpackage('other') }}")];
    let zlib = format!("{PACKAGE}requirements:\n  host: [zlib]\n");
    let gone = format!("{PACKAGE}tests:\n  - script: {{file: gone.sh}}\n");
    check_errors(
        &[
            &[("recipe.yaml", &pins[0])],
            &[("recipe.yaml", &pins[1])],
            &[("recipe.yaml", &zlib), ("ci.yaml", "zlib: ['>= >=']\n")],
            &[("recipe.yaml", PACKAGE), ("ci.yaml", "zlib: 1\n")],
            &[("recipe.yaml", PACKAGE), ("ci.yaml", "zlib:\n  - if: linux and\n    then: ['1']\n")],
            &[("recipe.yaml", PACKAGE), ("conda_build_config.yaml", "zlib:\n - 1\n- 2\n")],
            &[("recipe.yaml", &gone)],
            &[("recipe.yaml", "package: {name: a, version: 1\n")],
            &[("recipe.yaml", "")],
            &[],
        ],
        r#"r/recipe.yaml:4:11: `pin_compatible` names `nothere`, which is not in the build or host environment
  |     - ${{ pin_compatible('nothere') }}
  help: add `nothere` to the host requirements
r/recipe.yaml:4:11: `pin_subpackage` names `other`, which is no output of this recipe
  |     - ${{ pin_subpackage('other') }}
  help: use `pin_compatible` for packages of other recipes
r/recipe.yaml:3:10: `>= >=`, the variant's value for `zlib`, is no version: unable to parse version spec: >= >=
  |   host: [zlib]
r/ci.yaml:1:7: variant values for `zlib` must be a list
  | zlib: 1
  help: write the values as a list, also a single one
r/ci.yaml:2:9: failed to parse if: Failed to parse Jinja expression: syntax error: unexpected end of input, expected expression
  |   - if: linux and
r/conda_build_config.yaml: did not find expected key at line 3 column 1, while parsing a block mapping
r/recipe.yaml:3:20: the test script `gone.sh` is not in the recipe folder
  |   - script: {file: gone.sh}
r/recipe.yaml:2:1: while parsing a flow mapping, did not find expected `,` or `}`
r/recipe.yaml:1:1: the required field `package` is missing
r/recipe.yaml: can't be read: entity not found
"#,
    );
}

#[test]
fn script_text_is_rendered_late() {
    let files = [(
        "recipe.yaml",
        "context: {v: '7'}\npackage: {name: a, version: 1}\nbuild: {script: 'x ${{ v }} ${{ PREFIX }} ${{ unix }}'}\n",
    )];
    let rendering = render(&files, "linux-64").unwrap();
    let environment = BTreeMap::from([("PREFIX".to_owned(), "/p".to_owned())]);
    let text = "x ${{ v }} ${{ PREFIX }} ${{ unix }} ${{ nothing }}|$PREFIX {{.Dir}}";
    assert_eq!(rendering.render_script(0, text, &environment).unwrap(), "x 7 /p true |$PREFIX {{.Dir}}");
    assert!(rendering.render_script(0, "${{ v", &environment).is_err());
}

/// What py-rattler-build 0.73 was given; what it made of it stands in the test below.
const PEER: &str = r#"
schema_version: 1
context: {version: 1.2.3}
recipe: {name: lib, version: "${{ version }}"}
source:
  - path: data
build: {number: 2}
outputs:
  - package: {name: lib}
    build: {script: "mkdir -p $PREFIX/lib; touch $PREFIX/lib/x"}
    requirements:
      build: [cc, tool]
      host: [zlib, python]
      run: [foo >=2, "${{ pin_compatible('zlib', upper_bound='x.x') }}"]
      run_constraints: [bar <3]
      run_exports: ["${{ pin_subpackage('lib', upper_bound='x.x') }}"]
    tests:
      - package_contents: {files: ['lib/x', 'etc/**'], strict: true}
      - script: ['tested --version | grep ${{ version }}', 'echo ${{ PREFIX }} ${{ unix }}', 'echo a "b" ''c''']
        files: {recipe: [data/]}
      - script: smoke
        requirements: {run: ["${{ pin_subpackage('lib', exact=true) }}"], build: [cc]}
      - script: {file: check.py}
      - script:
          - if: win
            then: never
      - python: {imports: [tested]}
      - script: |
          one ${{ version }}
          two
      - script: {content: [x, y], env: {K: v}, interpreter: bash}
      - downstream: other
      - perl: {uses: [A::B]}
    about:
      license: MIT
      homepage: https://example.org/
  - package: {name: user}
    build: {noarch: generic, script: "mkdir -p $PREFIX/lib; touch $PREFIX/lib/y"}
    requirements:
      build: [cc]
      host: [python, zlib]
      run: ["${{ pin_subpackage('lib', exact=true) }}"]
  - package: {name: ign}
    build: {script: "mkdir -p $PREFIX/lib; touch $PREFIX/lib/z"}
    requirements:
      build: [cc]
      host: [zlib, python]
      ignore_run_exports: {by_name: [libgcc], from_package: [python]}
"#;

#[test]
fn packages_say_what_rattler_builds_say() {
    let files = [
        ("recipe.yaml", PEER),
        ("variants.yaml", "python: ['3.11']\nzlib: ['1.3.1']\n"),
        ("smoke.sh", "echo ${{ version }}\n"),
        ("check.py", "import tested\n"),
    ];
    let rendering = render(&files, "linux-64").unwrap();
    let strong = RunExportsJson {
        strong: vec!["libgcc >=13".to_owned()],
        strong_constrains: vec!["oldgcc <13".to_owned()],
        ..RunExportsJson::default()
    };
    let zlib = RunExportsJson {
        weak: vec!["zlib >=1.3.1,<2.0a0".to_owned()],
        weak_constrains: vec!["zz >=2".to_owned()],
        ..RunExportsJson::default()
    };
    let python = RunExportsJson {
        noarch: vec!["python >=3.11".to_owned()],
        weak: vec!["python_abi 3.11.*".to_owned()],
        ..RunExportsJson::default()
    };
    let solved = Resolved {
        build: vec![
            package("cc", "13.1", &strong),
            package("tool", "1.0", &exports(|exports| &mut exports.weak, "toolweak")),
        ],
        host: vec![
            package("zlib", "1.3.1", &zlib),
            package("python", "3.11.4", &python),
            package("libgcc", "13.2", &RunExportsJson::default()),
        ],
        outputs: Vec::new(),
    };
    let world = world(&files);
    let mut text = String::new();
    for index in 0..rendering.outputs.len() {
        let output = rendering.finalize(index, &solved, &world).unwrap();
        text.push_str(&format!("{}/{}\n", output.subdir(), output.filename()));
        for (what, list) in
            [("depends", &output.depends), ("constrains", &output.constrains), ("weak", &output.run_exports.weak)]
        {
            text.push_str(&format!("{what}: {}\n", list.join(" | ")));
        }
        let contents = serde_json::to_string(&output.hash_contents).unwrap();
        text.push_str(&format!("hash: {contents}\n"));
        let Tests::List(tests) = output.tests else { panic!("no list") };
        let packed: Vec<_> = tests.iter().filter(|test| test.is_packed()).map(|test| &test.spec).collect();
        text.push_str(&serde_yaml::to_string(&packed).unwrap());
    }
    assert_eq!(
        text,
        r#"linux-64/lib-1.2.3-py311h46ba3a8_2.conda
depends: foo >=2 | zlib >=1.3.1,<1.4.0a0 | libgcc >=13 | python_abi 3.11.* | zlib >=1.3.1,<2.0a0
constrains: bar <3 | oldgcc <13 | zz >=2
weak: lib >=1.2.3,<1.3.0a0
hash: {"python":"3.11","target_platform":"linux-64","zlib":"1.3.1"}
- script:
    content:
    - tested --version | grep 1.2.3
    - echo  true
    - echo a "b" 'c'
    cwd: etc/conda/test-files/lib/0
  files:
    recipe:
    - data/
- script:
    interpreter: bash
    content: |
      echo ${{ version }}
  requirements:
    run:
    - lib ==1.2.3 py311h46ba3a8_2
    build:
    - cc
- script:
    interpreter: python
    content: |
      import tested
- python:
    imports:
    - tested
- script:
    content: |-
      one 1.2.3
      two
- script:
    interpreter: bash
    env:
      K: v
    content:
    - x
    - y
- downstream: other
- perl:
    uses:
    - A::B
noarch/user-1.2.3-py311h72c4e29_2.conda
depends: lib ==1.2.3 py311h46ba3a8_2 | python >=3.11
constrains: 
weak: 
hash: {"lib":"1.2.3 py311h46ba3a8_2","python":"3.11","target_platform":"noarch","zlib":"1.3.1"}
[]
linux-64/ign-1.2.3-py311h46ba3a8_2.conda
depends: zlib >=1.3.1,<2.0a0
constrains: oldgcc <13 | zz >=2
weak: 
hash: {"python":"3.11","target_platform":"linux-64","zlib":"1.3.1"}
[]
"#
    );
}
