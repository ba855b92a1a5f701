//! The documents in force: a list, or files that can be applied again.

use tegata_api::v1::fleet::DocumentInForce;

use crate::failure::Failure;
use crate::output::{self, Look};
use crate::table::{Field, Table};

/// Documents as a table.
pub fn table(documents: &[DocumentInForce], look: &Look) -> String {
    let mut table = Table::new(look, ["KIND", "NAME", "REVISION", "APPLIED BY", "APPLIED"]);
    for document in documents {
        table.row([
            (*document.kind).into(),
            (*document.name).into(),
            document.revision.to_string().into(),
            (*document.author).into(),
            Field::Moment(document.applied_at),
        ]);
    }
    table.or("No documents.")
}

/// Documents as `tegata apply -f -` takes them: should the folder that they came from be lost, this is what there is.
pub fn yaml(documents: &[DocumentInForce]) -> Result<String, Failure> {
    let texts: Vec<String> = documents.iter().map(|document| output::yaml(&document.document)).collect::<Result<_, _>>()?;
    Ok(texts.join("---\n"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use expect_test::expect;
    use serde_json::json;
    use tegata_api::v1::fleet::File;
    use tegata_api::yaml as policy;

    use super::*;
    use crate::documents;
    use crate::output::test_look;

    fn in_force(kind: &str, name: &str, document: serde_json::Value) -> DocumentInForce {
        let (kind, name, author) = (kind.into(), name.into(), "folder:/etc/\u{1b}[31m".into());
        DocumentInForce { kind, name, revision: 3, author, applied_at: test_look().now.unix() - 600, document }
    }

    #[test]
    fn a_document_says_who_put_it_in_force_and_when() {
        expect![[r#"
            KIND           NAME    REVISION  APPLIED BY              APPLIED
            ClinicNetwork  sakura  3         folder:/etc/\u{1b}[31m  2026-11-18 19:56 (10 min ago)"#]]
        .assert_eq(&table(&[in_force("ClinicNetwork", "sakura", json!({}))], &test_look()));
    }

    #[test]
    fn every_example_comes_back_as_it_was_applied() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let tenant = "aozora".parse().unwrap();
        for folder in ["examples/aozora-group", "policies"] {
            let mut files = documents::read(&[root.join(folder)]).unwrap();
            // What a person has to fill in before the first use.
            let fill_in =
                |file: &mut File| file.text = file.text.replace("<the SHA-1 thumbprint on page 9 of the manual>", &"0".repeat(40));
            files.iter_mut().for_each(fill_in);
            let applied = policy::load(&files, &tenant).unwrap().documents;
            let documents: Vec<_> = applied.iter().map(|one| in_force(one.kind.as_str(), &one.name, one.body.clone())).collect();
            let text = yaml(&documents).unwrap();
            let again = policy::load(&[File { name: "-".into(), text }], &tenant).unwrap().documents;
            let bodies = |documents: &[policy::Document]| documents.iter().map(|one| one.body.clone()).collect::<Vec<_>>();
            assert!(applied.len() > 1);
            assert_eq!(bodies(&again), bodies(&applied), "{folder}");
        }
    }

    #[test]
    fn words_that_yaml_reads_in_its_own_way_come_back() {
        let words =
            ["no", "012", "1e3", "~", "null", "0x1f", "09:00-18:00", "2026-08-13", " a: b # c", "- x", "受付\n1番", "'\"", "", "---"];
        let labels: serde_json::Map<_, _> = words.iter().map(|word| (word.to_string(), json!(word))).collect();
        let body = json!({ "metadata": { "annotations": labels }, "n": 7, "on": true });
        let text = yaml(&[in_force("x", "y", body.clone())]).unwrap();
        assert_eq!(serde_yaml::from_str::<serde_json::Value>(&text).unwrap(), body, "{text}");
    }
}
