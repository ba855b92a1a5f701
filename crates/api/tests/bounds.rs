//! Whatever is thrown at the reader, it answers soon, in little memory, and without falling over.
//!
//! Large inputs are made here instead of lying in the repository. How long they take is measured, not asserted.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tegata_api::v1::fleet::File;
use tegata_api::v1::problem::Finding;
use tegata_api::yaml::{FILE_MAX, check, from_bytes, render};

fn found(text: String) -> Vec<Finding> {
    let file = File { name: "f.yaml".into(), text };
    let findings = check(std::slice::from_ref(&file), &"aozora".parse().unwrap(), &[]).err().unwrap_or_default();
    let lines = u32::try_from(file.text.split('\n').count()).unwrap();
    for finding in &findings {
        assert!(finding.line <= lines + 1, "{finding:?}");
        assert!(finding.message.len() < 1000 && finding.hint.as_ref().is_none_or(|hint| hint.len() < 1000), "{finding:?}");
    }
    let shown = render(&findings, std::slice::from_ref(&file));
    assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "what is shown could move a cursor");
    findings
}

/// As much of `unit` as fits into a file, after `head`.
fn filled(head: &str, unit: &str) -> String {
    format!("{head}{}", unit.repeat((FILE_MAX - head.len()) / unit.len()))
}

const CLINIC: &str =
    "apiVersion: tegata.dev/v1alpha1\nkind: ClinicNetwork\nmetadata: { name: sakura }\nspec:\n  displayName: S\n  facilitySlug: sakura\n";

#[test]
fn a_file_that_is_too_long_is_not_even_looked_at() {
    assert!(found("#".repeat(FILE_MAX + 1))[0].message.contains("1048577 bytes"));
    assert!(from_bytes("f", &vec![b'#'; FILE_MAX + 1]).unwrap_err().message.contains("1048577 bytes"));
}

#[test]
fn bytes_that_are_no_text_are_shown_their_place() {
    let shift_jis = b"spec:\n  displayName: \x82\xb3\x82\xad\n";
    let finding = from_bytes("f", shift_jis).unwrap_err();
    assert_eq!((finding.line, finding.column), (2, 16));
    assert_eq!(from_bytes("f", "さくら".as_bytes()).unwrap().text, "さくら");
}

#[test]
fn nesting_bombs() {
    for open in ["[", "{", "- ", "? ", "{a: ", "[{a: "] {
        assert!(!found(filled("", open)).is_empty(), "{open}");
        assert!(!found(filled(&format!("{CLINIC}  contacts: "), open)).is_empty(), "{open}");
    }
    let mut stairs = String::new();
    for depth in 0..1000 {
        writeln!(stairs, "{}a:", " ".repeat(depth)).unwrap();
    }
    assert!(!found(stairs).is_empty());
}

#[test]
fn alias_bombs() {
    let mut laughs = String::from("a0: &a0 [x, x]\n");
    for level in 1..30 {
        let before = level - 1;
        writeln!(laughs, "a{level}: &a{level} [*a{before}, *a{before}]").unwrap();
    }
    let findings = found(laughs);
    assert_eq!((findings.len(), findings[0].line), (1, 1));
    assert!(findings[0].message.contains("anchors"));
}

#[test]
fn endless_keys_texts_and_comments() {
    for (head, unit) in [
        ("", "k"),
        ("", "k "),
        ("\"", "k"),
        ("'", "''"),
        ("a: |\n", " x\n"),
        ("#", "x"),
        ("", "\n"),
        ("", "\r"),
        ("", "\t"),
        ("a: ", "\\"),
        ("", "!"),
        ("", "&"),
        ("", "*a "),
        ("", "%"),
        ("", "\u{feff}"),
        ("", "\0"),
        ("", "\u{202e}"),
        ("", "---\n"),
        ("", "...\n"),
        ("", "--- a\n"),
        ("", ","),
        ("", "a: 1\n"),
        ("", "<<: {}\n"),
        ("", "? a\n"),
    ] {
        let findings = found(filled(head, unit));
        assert!((1..=101).contains(&findings.len()), "{head:?} {unit:?}: {} findings", findings.len());
    }
}

#[test]
fn many_mistakes_in_one_document() {
    for unit in ["    - { name: a, b: 1 }\n", "    - { name: A, platform: linux }\n", "    - x\n", "    - { name: a, platform: linux }\n"] {
        let findings = found(filled(&format!("{CLINIC}  devices:\n"), unit));
        assert!((1..=101).contains(&findings.len()), "{unit}: {}", findings.len());
    }
    let keys: String = (0..20_000).map(|number| format!("  k{number}: 1\n")).collect();
    assert_eq!(found(format!("{CLINIC}{keys}")).len(), 101);
    let labels: String = (0..20_000).map(|number| format!("    \"l {number}\": x\n")).collect();
    assert_eq!(found(CLINIC.replace("metadata: { name: sakura }", &format!("metadata:\n  name: sakura\n  labels:\n{labels}"))).len(), 101);
}

#[test]
fn many_references_to_nothing() {
    let devices: String = (0..4_000).map(|number| format!("    - {{ name: device-{number}, platform: linux }}\n")).collect();
    let names: String = (0..20_000).map(|number| format!("devise-{number}, ")).collect();
    let text = format!("{CLINIC}  devices:\n{devices}  certificates:\n    - {{ profile: karte, devices: {{ names: [{names}] }} }}\n");
    assert_eq!(found(text).len(), 101);
}

/// Few lines that ask for very much: every profile on every device.
#[test]
fn more_slots_than_a_clinic_can_have() {
    let mut text =
        String::from("apiVersion: tegata.dev/v1alpha1\nkind: Issuer\nmetadata: { name: ca }\nspec: { type: ca, commonName: CA }\n");
    for number in 0..400 {
        write!(text, "---\napiVersion: tegata.dev/v1alpha1\nkind: CertificateProfile\nmetadata: {{ name: p{number} }}\nspec: {{ issuer: ca, key: {{ origin: device }}, validity: 90d, browser: {{ select: [\"https://p{number}.example.jp\"] }} }}\n").unwrap();
    }
    write!(text, "---\n{CLINIC}  devices:\n").unwrap();
    (0..4_000).for_each(|number| writeln!(text, "    - {{ name: d{number}, platform: linux }}").unwrap());
    text.push_str("  certificates:\n");
    (0..400).for_each(|number| writeln!(text, "    - {{ profile: p{number} }}").unwrap());
    let findings = found(text);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].message.contains("more than 10000 certificates"));
}

/// A text like those that people write.
fn seed() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/aozora-group");
    ["group.yaml", "sakura-naika.yaml"].map(|name| fs::read_to_string(folder.join(name)).unwrap()).join("---\n")
}

/// A change as a slip of the hand would make it.
#[derive(Debug, Clone)]
enum Slip {
    Delete(usize, usize),
    Insert(usize, String),
    Double(usize, usize),
}

fn slips() -> impl Strategy<Value = Vec<Slip>> {
    let words = prop_oneof![
        "[\\[\\]{}:,&*!|>'\"%@`#?<~-]{1,4}",
        "[ \t\r\n]{1,5}",
        "\\PC{1,8}",
        ".{1,4}",
        Just("---\n".to_owned()),
        Just("<<: *a\n".to_owned()),
        Just("0755".to_owned()),
        Just("\u{feff}".to_owned()),
        Just("1e999".to_owned()),
        Just("null".to_owned()),
    ];
    let slip = prop_oneof![
        (any::<usize>(), 1..40_usize).prop_map(|(at, length)| Slip::Delete(at, length)),
        (any::<usize>(), words).prop_map(|(at, text)| Slip::Insert(at, text)),
        (any::<usize>(), 1..200_usize).prop_map(|(at, length)| Slip::Double(at, length)),
    ];
    prop::collection::vec(slip, 1..6)
}

fn slipped(text: &str, slips: &[Slip]) -> String {
    let mut text: Vec<char> = text.chars().collect();
    for slip in slips {
        let place = |at: usize| at % (text.len() + 1);
        match slip {
            Slip::Delete(at, length) => drop(text.drain(place(*at)..(place(*at) + length).min(text.len()))),
            Slip::Insert(at, word) => drop(text.splice(place(*at)..place(*at), word.chars())),
            Slip::Double(at, length) => {
                let range = place(*at)..(place(*at) + length).min(text.len());
                let copy: Vec<char> = text[range.clone()].to_vec();
                drop(text.splice(range.end..range.end, copy));
            }
        }
    }
    text.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn slips_of_the_hand_never_panic(slips in slips()) {
        found(slipped(&seed(), &slips));
    }

    #[test]
    fn noise_never_panics(text in "\\PC{0,200}|.{0,200}") {
        found(text);
    }
}
