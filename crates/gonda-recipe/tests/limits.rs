//! Hostile recipes end soon and with an error; mutated ones never panic.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gonda_recipe::v0::fuzz;
use gonda_recipe::v1;

fn soon(name: &str, recipe: &str) {
    let start = Instant::now();
    fuzz::recipe(recipe.as_bytes());
    assert!(start.elapsed() < Duration::from_secs(60), "{name} took {:?}", start.elapsed());
}

#[test]
fn hostile_recipes_end() {
    let head = "package:\n  name: x\n  version: '1'\n";
    let summary = |text: &str| format!("{head}about:\n  summary: \"{text}\"\n");
    let long_or = vec!["linux"; 5_000].join(" or ");
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(20_000), close.repeat(20_000));
    let cases: Vec<(&str, String)> = vec![
        (
            "nested loops",
            summary(
                "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}x{% endfor %}{% endfor %}{% endfor %}",
            ),
        ),
        ("recursive macro", format!("{{% macro m(n) %}}{{{{ m(n) }}}}{{% endmacro %}}\n{}", summary("{{ m(1) }}"))),
        (
            "doubling text",
            format!(
                "{{% set ns = namespace(t='x') %}}{{% for i in range(60) %}}{{% set ns.t = ns.t + ns.t %}}{{% endfor %}}\n{}",
                summary("{{ ns.t }}")
            ),
        ),
        (
            "doubling list",
            format!(
                "{{% set l = [1] %}}{{% for i in range(60) %}}{{% set _ = l.extend(l) %}}{{% endfor %}}\n{}",
                summary("{{ l|length }}")
            ),
        ),
        (
            "a list in itself",
            format!(
                "{{% set l = [1] %}}{{% set _ = l.append(l) %}}\n{}",
                summary("{{ l }} {{ l == l }} {{ l|tojson }}")
            ),
        ),
        (
            "lists in lists",
            format!(
                "{{% set ns = namespace(l=['x']) %}}{{% for i in range(60) %}}{{% set ns.l = [ns.l, ns.l] %}}{{% endfor %}}\n{}",
                summary("{{ ns.l }}")
            ),
        ),
        ("power", summary("{{ 9 ** 9 ** 9 ** 9 }}")),
        ("repeat", summary("{{ 'x' * 999999999999 }}")),
        ("width", summary("{{ '%999999999d' % 1 }} {{ 'x'.ljust(999999999999) }} {{ '{:>999999999}'.format(1) }}")),
        ("range", summary("{{ range(9223372036854775807)|length }}")),
        (
            "huge slice",
            summary(
                "{{ 'abc'[-9223372036854775807:9223372036854775807:9223372036854775807] }} {{ 'abc'[::-9223372036854775807] }}",
            ),
        ),
        (
            "least integer",
            summary(
                "{{ -9223372036854775807 - 1 }} {{ (-9223372036854775807 - 1) // -1 }} {{ (-9223372036854775807 - 1) % -1 }} {{ (-9223372036854775807 - 1)|abs }}",
            ),
        ),
        ("deep expression", summary(&format!("{{{{ {} }}}}", deep("(", ")")))),
        ("deep list", summary(&format!("{{{{ {} }}}}", deep("[", "]")))),
        ("many nots", summary(&format!("{{{{ {}1 }}}}", "not ".repeat(20_000)))),
        ("many minuses", summary(&format!("{{{{ {}1 }}}}", "-".repeat(20_000)))),
        ("long sum", summary(&format!("{{{{ {}1 }}}}", "1+".repeat(20_000)))),
        ("long and", summary(&format!("{{{{ {}1 }}}}", "1 and ".repeat(20_000)))),
        ("long else", summary(&format!("{{{{ {}1 }}}}", "1 if 0 else ".repeat(20_000)))),
        ("many filters", summary(&format!("{{{{ 1{} }}}}", "|string".repeat(20_000)))),
        ("deep blocks", format!("{}{}\n{head}", "{% if 1 %}".repeat(20_000), "{% endif %}".repeat(20_000))),
        ("deep flow", format!("{head}extra: {}\n", deep("[", "]"))),
        (
            "deep mappings",
            format!(
                "{head}extra:\n{}",
                (1..3_000).fold(String::new(), |text, depth| text + &" ".repeat(depth) + "a:\n")
            ),
        ),
        (
            "laughs",
            format!(
                "{head}extra:\n  a: &a [x,x,x,x,x,x,x,x,x]\n{}",
                ('b'..='z')
                    .fold((String::new(), 'a'), |(text, last), c| (
                        format!(
                            "{text}  {c}: &{c} [*{last},*{last},*{last},*{last},*{last},*{last},*{last},*{last}] #\n"
                        ),
                        c
                    ))
                    .0
            ),
        ),
        ("alias of itself", format!("{head}extra: &a\n  b: *a\n")),
        ("deep selector", format!("{head}about:\n  summary: a  # [{}]\n", deep("(", ")"))),
        ("long selector", format!("{head}about:\n  summary: a  # [{long_or}]\n")),
        ("selector of nots", format!("{head}about:\n  summary: a  # [{}x]\n", "not ".repeat(20_000))),
        ("selector of minuses", format!("{head}about:\n  summary: a  # [{}1]\n", "-".repeat(20_000))),
        (
            "selector of names",
            format!(
                "{head}about:\n  summary: a  # [{}]\n",
                (0..500).map(|i| format!("n{i}")).collect::<Vec<_>>().join(" or ")
            ),
        ),
        ("selector that grows", format!("{head}about:\n  summary: a  # [F]\n  home: b  # [e or a or l]\n")),
        ("brackets", format!("{head}about:\n  summary: {}\n", "#[".repeat(50_000))),
        ("regex", summary("{{ load_file_regex('meta.yaml', '(a*)*b', from_recipe_dir=True) }}")),
        ("include itself", format!("{{% include 'meta.yaml' %}}\n{head}")),
        (
            "many outputs",
            format!(
                "{head}outputs:\n{}",
                (0..60)
                    .map(|i| format!("  - name: o{i}\n    requirements:\n      run:\n        - o{}\n", i + 1))
                    .collect::<String>()
            ),
        ),
    ];
    for (name, recipe) in cases {
        soon(name, &recipe);
    }
}

#[test]
fn hostile_variant_files_end() {
    let keys = |count: usize| (0..count).map(|i| format!("k{i}:\n  - 1\n  - 2\n")).collect::<String>();
    for text in [keys(40), keys(12), "foo: *a".to_owned(), "zip_keys: [[foo]]\n".to_owned(), "- 1\n".to_owned()] {
        let start = Instant::now();
        fuzz::variant_file(text.as_bytes());
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    }
}

#[test]
fn hostile_v1_recipes_end() {
    let head = "package:\n  name: x\n  version: '1'\n";
    let summary = |text: &str| format!("{head}about:\n  summary: \"{text}\"\n");
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(20_000), close.repeat(20_000));
    let ifs = (0..2_000).fold("x".to_owned(), |inner, _| format!("{{if: unix, then: [{inner}]}}"));
    let cases: Vec<(&str, String)> = vec![
        ("deep flow", format!("{head}extra: {}\n", deep("[", "]"))),
        ("deep list", format!("{head}extra:\n  a:\n    {}x\n", "- ".repeat(20_000))),
        ("deep conditions", format!("{head}requirements:\n  run: [{ifs}]\n")),
        ("deep expression", summary(&format!("${{{{ {} }}}}", deep("(", ")")))),
        ("many nots", summary(&format!("${{{{ {}1 }}}}", "not ".repeat(20_000)))),
        ("long sum", summary(&format!("${{{{ {}1 }}}}", "1+".repeat(5_000)))),
        ("many filters", summary(&format!("${{{{ 1{} }}}}", "|string".repeat(5_000)))),
        ("repeat", summary("${{ 'x' * 999999999999 }}")),
        ("power", summary("${{ 9 ** 9 ** 9 ** 9 }}")),
        ("range", summary("${{ range(9223372036854775807)|length }}")),
        ("alias of itself", format!("{head}extra: &a\n  b: *a\n")),
        ("context that grows", {
            let lines = (1..60).map(|i| format!("  v{i}: ${{{{ v{0} ~ v{0} }}}}\n", i - 1)).collect::<String>();
            format!("context:\n  v0: xxxxxxxx\n{lines}{head}")
        }),
    ];
    for (name, recipe) in cases {
        let start = Instant::now();
        v1::fuzz::recipe(recipe.as_bytes());
        assert!(start.elapsed() < Duration::from_secs(60), "{name} took {:?}", start.elapsed());
    }
    let keys: String = (0..40).map(|i| format!("k{i}: [1, 2]\n")).collect();
    v1::fuzz::variant_file(format!("{keys}c_compiler: [1, 2]\n").as_bytes());
    v1::fuzz::variant_file(deep("[", "]").as_bytes());
}

#[test]
fn mutated_v1_recipes_never_panic() {
    let mut random = Random(0x0dd0_5eed_0dd0_5eed);
    for seed in seeds_in("v1", "recipe.yaml") {
        v1::fuzz::recipe(&mutate(&seed, &mut random));
    }
}

/// A generator that needs no crate: xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }
}

/// A few cuts, copies and changes.
fn mutate(seed: &[u8], random: &mut Random) -> Vec<u8> {
    const PIECES: [&str; 16] = [
        "{{",
        "}}",
        "{% for x in y %}",
        "{%",
        "[",
        "]",
        "#",
        ":",
        "- ",
        "\n",
        "\t",
        "'",
        "\"",
        "é",
        "\u{feff}",
        "&a *a",
    ];
    let mut data = seed.to_vec();
    for _ in 0..1 + random.below(6) {
        let at = random.below(data.len() + 1);
        match random.below(4) {
            0 => {
                let end = (at + random.below(12)).min(data.len());
                data.drain(at..end);
            }
            1 => {
                let piece = PIECES[random.below(PIECES.len())].bytes();
                data.splice(at..at, piece);
            }
            2 if !data.is_empty() => {
                let from = random.below(data.len());
                let copy = data[from..(from + random.below(40)).min(data.len())].to_vec();
                data.splice(at..at, copy);
            }
            _ => {
                if let Some(byte) = data.get_mut(at) {
                    *byte = u8::try_from(random.below(256)).unwrap();
                }
            }
        }
    }
    data
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    seeds_in("v0", &format!("recipe/{name}"))
}

fn seeds_in(part: &str, name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance").join(part);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().join(name))
        .filter(|path| path.is_file())
        .collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
fn yaml_is_read_alike_by_both_readers() {
    let mut random = Random(0x1bad_5eed_cafe_f00d);
    let written = [
        "a: b\n",
        "a:\n- b\n- c\nd:\n",
        "a:\n  - b: 1\n    c: 2\n  -\n  - - x\n    - y\n",
        "a: |\n  x\n\n   y \n\nb: |-\n    z\n",
        "a: 'it''s' # no\nb: \"x\"   # yes\nc: x#y # z\nd: -v\ne: http://x\n",
        "yes: no\nnull: ~\n1: 2.50\n0x1f: 2024-01-05\na: 2024-01-05 10:00:00 +1\na: twice\n",
        "a: b\n  c\n",
        "a:\n    b: 1\n  c: 2\n",
        "a: |\n  x\n# c\n  y\n",
        "- a\n- b: c\n -d\n",
    ];
    for text in written {
        fuzz::yaml(text.as_bytes());
        (0..40).for_each(|_| fuzz::yaml(&mutate(text.as_bytes(), &mut random)));
    }
    for seed in seeds("meta.yaml").into_iter().chain(seeds("conda_build_config.yaml")) {
        let text = String::from_utf8_lossy(&seed);
        // As a template without its statements, for these are no YAML.
        let lines: Vec<&str> = text.lines().filter(|line| !line.contains("{%")).collect();
        let text = lines.join("\n").replace("{{", "").replace("}}", "") + "\n";
        fuzz::yaml(text.as_bytes());
        (0..3).for_each(|_| fuzz::yaml(&mutate(text.as_bytes(), &mut random)));
    }
}

#[test]
fn mutated_recipes_never_panic() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for seed in seeds("meta.yaml") {
        for _ in 0..2 {
            fuzz::recipe(&mutate(&seed, &mut random));
        }
    }
}

#[test]
fn mutated_variant_files_never_panic() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for seed in seeds("conda_build_config.yaml") {
        for _ in 0..20 {
            fuzz::variant_file(&mutate(&seed, &mut random));
        }
    }
}

#[test]
fn mutated_selectors_never_panic() {
    let mut random = Random(0x1234_5678_9abc_def1);
    let table =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/v0/selectors.tsv"))
            .unwrap();
    for row in table.lines().filter(|row| !row.starts_with('#')) {
        let seed = row.split('\t').next().unwrap().as_bytes();
        for _ in 0..60 {
            fuzz::selector(&mutate(seed, &mut random));
        }
    }
}
