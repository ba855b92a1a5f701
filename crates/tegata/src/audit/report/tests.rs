use serde_json::json;
use tegata_tlog::entry;
use tegata_tlog::merkle::Frontier;
use tegata_tlog::note::{Kind, SignerKey};

use super::*;
use crate::audit::source::{PERIOD, RECORDS};

/// Whatever somebody may have written somewhere: lines, colours, directions, markup, formulas, and a great deal of it.
fn corpus() -> Vec<String> {
    let mut texts: Vec<String> = [
        "plain",
        "さくら内科クリニック",
        "two\nlines\r\n8,forged,row",
        "{\"sequence\":9}\n{\"sequence\":10,\"action\":\"certificate.issue\"}",
        "\u{1b}[2J\u{1b}]0;title\u{7}",
        "\u{9b}31mred",
        "abc\u{202e}fdp.exe",
        "\u{2066}a\u{2069}\u{200f}\u{feff}\u{ad}",
        "\u{2028}line\u{2029}paragraph\u{85}next",
        "\u{0}nul\u{8}back\u{7f}",
        "=HYPERLINK(\"http://a.example\",\"x\")",
        "+1+1",
        "-1",
        "@SUM(A1:A9)",
        "\t=1",
        "＝1+1",
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "</td></tr></table><h2>All is well</h2>",
        "{{ 7 * 7 }}{% for a in b %}",
        "'; DROP TABLE audit; --",
        "`rm -rf ~`$(id)",
        "..\\..\\x:y|z",
        "\u{e0041}\u{e0042}tag",
    ]
    .map(str::to_owned)
    .into();
    texts.push("長".repeat(64 * 1024 / 3));
    texts
}

fn record(sequence: u64, text: &str) -> Record {
    Record {
        sequence,
        at: 1_795_000_000,
        stage: Stage::Done,
        actor: text.into(),
        action: if sequence.is_multiple_of(2) { "certificate.issue".into() } else { "access.refuse".into() },
        object: text.into(),
        details: json!({ "serial": text, "note": text, text: text }),
    }
}

/// An export of these records.
fn export(records: &[Record]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<_> = records.iter().map(|record| serde_json::to_string(record).unwrap()).collect();
    let entries: Vec<_> = lines.iter().map(|line| entry::of(line)).collect();
    let root = entries.iter().map(|entry| &entry[..]).collect::<Frontier>().root();
    let checkpoint = Checkpoint { origin: "tegata/00/aozora".into(), size: lines.len() as u64, root };
    let mut note = Note::new(checkpoint.to_string()).unwrap();
    SignerKey::new("tegata/00/aozora", Kind::Log, &[1; 32]).unwrap().sign(&mut note, 0);
    let about = About { since: None, until: None, zone: "Asia/Tokyo".into(), version: env!("CARGO_PKG_VERSION").into() };
    let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
    write(RECORDS, lines.join("\n") + "\n");
    write(CHECKPOINT, note.to_string());
    write(PERIOD, Period::whole(lines.len() as u64).to_string());
    write(ABOUT, serde_json::to_string(&about).unwrap());
    folder
}

fn text(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap()
}

/// Nothing that somebody has written makes another record, another row, a formula, markup, or hides something.
#[test]
fn no_text_changes_a_view_or_the_end_of_a_record() {
    let records: Vec<_> = (1..).zip(corpus()).map(|(sequence, text)| record(sequence, &text)).collect();
    let folder = export(&records);
    make(folder.path(), folder.path()).unwrap();
    assert_eq!(text(folder.path(), RECORDS).lines().count(), records.len(), "a record is a line");

    let sheet = text(folder.path(), SHEET);
    let mut rows = csv::Reader::from_reader(sheet.trim_start_matches('\u{feff}').as_bytes());
    let rows: Vec<_> = rows.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), records.len());
    for cell in rows.iter().flatten() {
        assert!(!cell.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋']), "{cell:?}");
        assert_eq!(visible(cell), cell);
    }
    for (name, _) in REPORTS {
        let page = text(folder.path(), name);
        assert!(!page.contains("<script") && !page.contains("<img"), "{name}");
        assert_eq!(page.matches("<h2>").count(), 5, "{name}: no chapter but its own");
        assert_eq!(page.matches("<tr><td class=\"n\">").count(), records.len(), "{name}: a row for each record");
        let hidden = page.lines().find(|line| visible(line) != *line);
        assert_eq!(hidden, None, "{name}");
    }
    let shown = crate::audit::table(&records, &crate::output::test_look());
    assert_eq!(shown.lines().count(), records.len() + 1);
    assert!(shown.lines().all(|line| visible(line) == line));
}

#[test]
fn a_report_is_what_its_records_come_to_or_is_told() {
    let folder = export(&[record(1, "plain"), record(2, "plain")]);
    make(folder.path(), folder.path()).unwrap();
    assert!(check(folder.path()).unwrap());
    for name in [SHEET, REPORTS[0].0, REPORTS[1].0] {
        let whole = text(folder.path(), name);
        fs::write(folder.path().join(name), whole.replacen("plain", "other", 1)).unwrap();
        assert!(matches!(check(folder.path()), Err(Failure::NotDerived { name: told }) if told == name));
        fs::write(folder.path().join(name), whole).unwrap();
    }
    let about = text(folder.path(), ABOUT).replace(env!("CARGO_PKG_VERSION"), "0.0.1");
    fs::write(folder.path().join(ABOUT), about).unwrap();
    assert!(!check(folder.path()).unwrap(), "another version may have made it otherwise");
}
