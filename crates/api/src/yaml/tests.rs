use expect_test::{Expect, expect};
use serde_json::json;
use tegata_core::name::TenantName;

use super::*;

fn tenant() -> TenantName {
    "aozora".parse().unwrap()
}

fn file(name: &str, text: &str) -> File {
    File { name: name.into(), text: text.into() }
}

fn check_text(text: &str, expected: Expect) {
    let files = [file("f.yaml", text)];
    let shown = match check(&files, &tenant(), &[]) {
        Ok(checked) => format!("{} documents\n", checked.documents.len()),
        Err(findings) => render(&findings, &files),
    };
    expected.assert_eq(&shown);
}

const ISSUER: &str =
    "apiVersion: tegata.dev/v1alpha1\nkind: Issuer\nmetadata: { name: aozora-ca }\nspec: { type: ca, commonName: Aozora CA }\n";
const PROFILE: &str = "apiVersion: tegata.dev/v1alpha1\nkind: CertificateProfile\nmetadata: { name: karte }\nspec:\n  issuer: aozora-ca\n  key: { origin: device }\n  validity: 90d\n  browser: { select: [\"https://karte-{facilitySlug}.example.jp\"] }\n";
const CLINIC: &str = "apiVersion: tegata.dev/v1alpha1\nkind: ClinicNetwork\nmetadata: { name: sakura }\nspec:\n  displayName: さくら内科\n  facilitySlug: sakura\n  devices:\n    - { name: pc-1, platform: windows }\n  certificates:\n    - { profile: karte }\n";

fn all_right() -> String {
    [ISSUER, PROFILE, CLINIC].join("---\n")
}

#[test]
fn what_is_right_passes_without_a_word() {
    check_text(
        &all_right(),
        expect![[r#"
        3 documents
    "#]],
    );
}

#[test]
fn all_errors_come_at_once() {
    let text = all_right()
        .replace("platform: windows", "platfrom: windows, platform: winodws")
        .replace("origin: device", "origin: vendor")
        .replace("name: karte ", "name: Karte_1 ");
    check_text(
        &text,
        expect![[r#"
        error: 'Karte_1' is not a profile name
          --> f.yaml:8:19
           |
        8  | metadata: { name: Karte_1 }
           |                   ^
           = help: a profile name must be 1 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit; did you mean 'karte-1'?

        error: how long a vendor's certificate lives is the vendor's choice
           --> f.yaml:12:3
            |
        12  |   validity: 90d
            |   ^
            = help: move it: expect: { validity: … }

        error: spec.devices[0] has no place for a key 'platfrom'
           --> f.yaml:22:21
            |
        22  |     - { name: pc-1, platfrom: windows, platform: winodws }
            |                     ^
            = help: did you mean 'platform'?

        error: spec.devices[0].platform cannot be 'winodws'
           --> f.yaml:22:50
            |
        22  |     - { name: pc-1, platfrom: windows, platform: winodws }
            |                                                  ^
            = help: did you mean 'windows'?
    "#]],
    );
}

#[test]
fn stored_documents_are_replaced_and_referred_to() {
    let loaded = load(&[file("a", &all_right())], &tenant()).unwrap();
    assert_eq!(loaded.documents[2].body["metadata"], json!({"name": "sakura", "namespace": "aozora"}));
    let stored: Vec<Document> = loaded.documents.iter().map(|document| Document::stored(document.body.clone()).unwrap()).collect();
    assemble(&tenant(), &Loaded { documents: stored.clone() }).unwrap();

    let wider = CLINIC.replace("{ profile: karte }", "{ profile: karte, devices: { names: [pc-2] } }").replace("name: pc-1", "name: pc-2");
    let checked = check(&[file("b", &wider)], &tenant(), &stored).unwrap();
    assert_eq!((checked.documents.len(), checked.tenant.profiles.len(), checked.tenant.clinics.len()), (1, 1, 1));

    let findings = check(&[file("b", &PROFILE.replace("aozora-ca", "aozora-cb"))], &tenant(), &stored).unwrap_err();
    assert_eq!(findings[0].hint.as_deref(), Some("did you mean 'aozora-ca'?"));
    let findings = assemble(&tenant(), &Loaded { documents: stored[1..].to_vec() }).unwrap_err();
    assert_eq!((findings[0].file.as_str(), findings[0].line), ("CertificateProfile/karte (stored)", 0));
}
