//! The bodies over seeds and mutations of them.

use proptest::prelude::*;

use super::*;

const TEXTS: &[&str] = &[
    "module a.b/m // Deprecated: x\ngo 1.22rc1\ntoolchain go1.22.3\nrequire (\n\ta.b/c/v2 v2.0.0 // indirect\n)\nreplace a.b/c => ../c\nretract [v1.0.0, v1.1.0]\n",
    "go 1.22\nuse (\n\t./a\n\t\"./b\\u00e9\"\n)\nreplace a.b v1.0.0 => c.d v1.0.0-20190101000000-abcdefabcdef\n",
    "a.b v1.0.0 h1:x=\na.b v1.0.0/go.mod h1:y=\n",
    "## workspace\n# a.b v1.0.0 => ./x\n## explicit; go 1.20\na.b/c\n# c.d => e.f v1.0.0\n",
    "https://a.b|direct",
    "gopkg.in/yaml.v3-unstable github.com/!burnt/x gopkg.in/.v1 gopkg.in/v gopkg.in/a.v v1.2.3-0.20190101000000-abcdef+incompatible v1.2-. -- é",
    "(\n)\n)((\"`\\",
    "1.20rc1 1.2c 1.21rc1 1.22",
    "retract [\nretract [,\nretract (\nrequire ()\n",
];

#[test]
fn seeds() {
    for text in TEXTS {
        read_any_text(text);
        for (index, _) in text.char_indices() {
            read_any_text(&text[..index]);
            read_any_text(&text[index..]);
        }
    }
    let file = crate::buildinfo::tests::elf(&crate::buildinfo::tests::blob("go1.22.3", "path\tx\n"));
    for index in 0..file.len() {
        read_any_bytes(&file[..index]);
        for value in [0, 1, 0x7f, 0xff] {
            let mut file = file.clone();
            file[index] = value;
            read_any_bytes(&file);
        }
    }
    for magic in [&b"MZ"[..], b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf"] {
        for filler in [0, 1, 0x19, 0x40, 0xff] {
            let mut file = vec![filler; 512];
            file[..magic.len()].copy_from_slice(magic);
            read_any_bytes(&file);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in "[ -~\n\t\"`(){},é\u{feff}]{0,200}") {
        read_any_text(&text);
    }

    #[test]
    fn likely_text(words in proptest::collection::vec(prop_oneof![
        Just("module"), Just("go"), Just("require"), Just("replace"), Just("retract"), Just("use"), Just("("), Just(")"),
        Just("\n"), Just("=>"), Just("["), Just("]"), Just(","), Just("v1.2.3"), Just("a.b/c"), Just("./x"), Just("//x"),
        Just("# "), Just("## explicit"), Just("\"q\""), Just("1.22"),
    ], 0..40)) {
        read_any_text(&words.join(" "));
        read_any_text(&words.concat());
    }

    #[test]
    fn any_word(word in "[a-zA-Z0-9./!~+v-]{0,24}") {
        read_any_word(&word);
    }

    #[test]
    fn version_order_is_total(a in version(), b in version(), c in version()) {
        prop_assert_eq!(compare_versions(&a, &b), compare_versions(&b, &a).reverse());
        if compare_versions(&a, &b).is_le() && compare_versions(&b, &c).is_le() {
            prop_assert!(compare_versions(&a, &c).is_le());
        }
    }

    #[test]
    fn go_version_order_is_total(a in go_version(), b in go_version(), c in go_version()) {
        let [a, b, c] = [a, b, c].map(|text| GoVersion::parse(&text).unwrap());
        prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        if a <= b && b <= c {
            prop_assert!(a <= c);
        }
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300), magic in 0..6_usize) {
        let magics: [&[u8]; 6] = [b"\x7fELF\x02\x01", b"\x7fELF\x01\x02", b"MZ", b"\xcf\xfa\xed\xfe", b"\xfe\xed\xfa\xce", b"\xca\xfe\xba\xbe"];
        let mut file = magics[magic].to_vec();
        file.extend(bytes);
        read_any_bytes(&file);
    }
}

fn version() -> impl Strategy<Value = String> {
    "v[0-3](\\.[0-3](\\.(0|1|10)(-(0|1|a|rc)(\\.(0|2|b))?)?)?)?"
}

fn go_version() -> impl Strategy<Value = String> {
    "1\\.(2[0-2]|9)(\\.[0-2]|rc[1-2]|beta1)?"
}
