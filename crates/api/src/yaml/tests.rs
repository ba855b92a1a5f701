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

/// Which of them the browser shows, people choose on the PC.
#[test]
fn the_clinics_of_a_guest_may_share_a_site() {
    let shared = PROFILE.replace("karte-{facilitySlug}", "karte");
    let momiji = CLINIC
        .replace("sakura", "momiji")
        .replace("devices:\n    - { name: pc-1, platform: windows }", "guests: [{ clinic: sakura, device: pc-1 }]");
    check_text(
        &[ISSUER, &shared, CLINIC, &momiji].join("---\n"),
        expect![[r#"
            4 documents
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
            8 | metadata: { name: Karte_1 }
              |                   ^
              = help: a profile name must be 1 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit; did you mean 'karte-1'?

            error: how long a vendor's certificate lives is the vendor's choice
              --> f.yaml:12:3
               |
            12 |   validity: 90d
               |   ^
               = help: move it: expect: { validity: … }

            error: spec.devices[0] has no place for a key 'platfrom'
              --> f.yaml:22:21
               |
            22 |     - { name: pc-1, platfrom: windows, platform: winodws }
               |                     ^
               = help: did you mean 'platform'?

            error: spec.devices[0].platform cannot be 'winodws'
              --> f.yaml:22:50
               |
            22 |     - { name: pc-1, platfrom: windows, platform: winodws }
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

/// Documents in every kind and with every field: the examples, the library, and what they leave out.
fn everything() -> Vec<File> {
    let targets = "apiVersion: tegata.dev/v1alpha1\nkind: BackupTarget\nmetadata: { name: offsite, labels: { a: b }, annotations: { x: y } }\nspec:\n  \
        s3: { endpoint: https://s3.example.jp, region: jp-1, bucket: tegata, prefix: a/, pathStyle: false, credentials: far }\n  \
        recipients: [age1cfu0fxay9ycj72346xye9uudcasj4x4m254l69pwhtqzy5lk6yuqnthk0q]\n  retention: 5y\n---\n\
        apiVersion: tegata.dev/v1alpha1\nkind: BackupTarget\nmetadata: { name: far }\nspec:\n  \
        sftp: { host: nas.example.jp, port: 2222, user: tegata, path: /srv, hostKey: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJz2hFaHOp7nMYvUW9gOd7kQLoSTOi8tF3Vv1bT0PyH }\n  \
        recipients: [age1cfu0fxay9ycj72346xye9uudcasj4x4m254l69pwhtqzy5lk6yuqnthk0q]\n  retention: 1d\n  drill: { every: 30d }\n---\n\
        apiVersion: tegata.dev/v1alpha1\nkind: BackupTarget\nmetadata: { name: nas }\nspec:\n  \
        directory: { path: /mnt/nas, marker: .here }\n  \
        recipients: [age1cfu0fxay9ycj72346xye9uudcasj4x4m254l69pwhtqzy5lk6yuqnthk0q]\n  retention: 1d\n";
    let vendor = "apiVersion: tegata.dev/v1alpha1\nkind: Issuer\nmetadata: { name: portal }\nspec: { type: vendor }\n---\n\
        apiVersion: tegata.dev/v1alpha1\nkind: CertificateProfile\nmetadata: { name: weborca }\nspec:\n  issuer: portal\n  key: { origin: vendor }\n  \
        expect:\n    { issuer: { CN: Intermediate CA, O: ORCA }, validity: 3y, validityTolerance: 7d, subject: anything, sharing: many-devices,\n      \
        fileName: \"{digits}.p12\", anchors: [\"01 23 45 67 89 ab cd ef 01 23 45 67 89 ab cd ef 01 23 45 67\"] }\n  \
        pin: { digits: 4, tries: 3 }\n  code: { digits: 6, life: 10min }\n  renewal: { window: 90d, when: late }\n  \
        install: { stores: [browser, file], keepFileName: true }\n  trust: [0000000000000000000000000000000000000000000000000000000000000000]\n";
    let group = include_str!("../../../../examples/aozora-group/group.yaml");
    let clinics = [
        include_str!("../../../../examples/aozora-group/sakura-naika.yaml"),
        include_str!("../../../../examples/aozora-group/momiji-shonika.yaml"),
        include_str!("../../../../examples/aozora-group/tsubaki-shika.yaml"),
    ];
    let access = include_str!("../../../../examples/aozora-group/access.yaml");
    [group, targets, vendor, access].into_iter().chain(clinics).enumerate().map(|(index, text)| file(&index.to_string(), text)).collect()
}

#[test]
fn types_become_yaml_and_the_same_types_again() {
    use crate::v1::policy::{AccessBindingSpec, BackupTargetSpec, CertificateProfileSpec, ClinicNetworkSpec, Envelope, IssuerSpec};
    fn written<Spec: serde::de::DeserializeOwned + serde::Serialize>(body: &Value) -> String {
        serde_yaml::to_string(&serde_json::from_value::<Envelope<Spec>>(body.clone()).unwrap()).unwrap()
    }
    let checked = check(&everything(), &tenant(), &[]).unwrap();
    assert_eq!(checked.documents.len(), 15);
    for document in checked.documents {
        let text = match document.kind {
            Kind::Issuer => written::<IssuerSpec>(&document.body),
            Kind::CertificateProfile => written::<CertificateProfileSpec>(&document.body),
            Kind::BackupTarget => written::<BackupTargetSpec>(&document.body),
            Kind::ClinicNetwork => written::<ClinicNetworkSpec>(&document.body),
            Kind::AccessBinding => written::<AccessBindingSpec>(&document.body),
        };
        let again = load(&[file("again", &text)], &tenant()).unwrap_or_else(|findings| panic!("{findings:#?}\n{text}"));
        assert_eq!(again.documents[0].body, document.body, "{text}");
    }
}

/// Kubernetes takes only structural schemas: a type everywhere, nothing to choose between, no references.
#[test]
fn schemas_are_structural() {
    fn walk(schema: &Value, at: &str) {
        let object = schema.as_object().unwrap();
        for odd in ["anyOf", "oneOf", "allOf", "not", "$ref", "$defs"] {
            assert!(!object.contains_key(odd), "{at} has {odd}");
        }
        assert!(object["type"].is_string(), "{at} has no single type: {schema}");
        assert!(at.is_empty() || at.ends_with('*') || object["description"].is_string(), "{at} says nothing about itself");
        for (name, property) in object.get("properties").and_then(Value::as_object).into_iter().flatten() {
            walk(property, &format!("{at}/{name}"));
        }
        if let Some(items) = object.get("items") {
            walk(items, &format!("{at}/*"));
        }
        if object["type"] == "object" {
            assert!(object["additionalProperties"] == json!(false) || object["additionalProperties"].is_object(), "{at} takes any key");
        }
    }
    let schemas = schemas();
    assert_eq!(schemas.len(), Kind::ALL.len() + 2, "those of policies, that of playbooks, and that of providers");
    schemas.values().for_each(|schema| walk(schema, ""));
}

/// Editors must not accept less than Tegata does: whatever is read is written as the schema's patterns say.
#[test]
fn patterns_for_editors_accept_what_is_read() {
    for (pattern_of, accepted) in [
        ("/properties/spec/properties/validity", ["90d", "1min", "2h"].as_slice()),
        ("/properties/spec/properties/trust/items", &[&"aB".repeat(32), &["0f"; 32].join(":")]),
        ("/properties/spec/properties/notices/items", &["daily", "7d"]),
        ("/properties/spec/properties/browser/properties/select/items", &["https://{facilitySlug}.example.jp:8443"]),
    ] {
        let schema = schema::of(Kind::CertificateProfile);
        let validator = jsonschema::draft202012::new(schema.pointer(pattern_of).unwrap()).unwrap();
        accepted.iter().for_each(|text| assert!(validator.is_valid(&json!(text)), "{text}"));
    }
}

#[test]
fn a_stored_document_that_is_none_is_told_so() {
    for body in [
        json!(null),
        json!({"kind": "Secret", "metadata": {"name": "a", "namespace": "b"}}),
        json!({"kind": "Issuer", "metadata": {"name": "a"}}),
    ] {
        assert_eq!(Document::stored(body).unwrap_err().line, 0);
    }
    let foreign = json!({"apiVersion": "tegata.dev/v1alpha1", "kind": "Issuer", "metadata": {"name": "a", "namespace": "midori"}, "spec": {"type": "vendor"}});
    let loaded = Loaded { documents: vec![Document::stored(foreign).unwrap()] };
    assert!(assemble(&tenant(), &loaded).unwrap_err()[0].message.contains("belongs to tenant 'midori'"));
}

/// What a broken document would have declared is not missed elsewhere.
#[test]
fn one_mistake_is_reported_once() {
    for broken in [
        ISSUER.replace("Issuer", "Isuer"),
        ISSUER.replace("type: ca", "type: cq"),
        ISSUER.replace("name: aozora-ca", "nam: aozora-ca"),
        "kind: [\n".to_owned(),
        ISSUER.replace("{ name: aozora-ca }", "{}"),
    ] {
        let text = [&broken, PROFILE, CLINIC].join("---\n");
        let findings = check(&[file("f", &text)], &tenant(), &[]).unwrap_err();
        let lines: BTreeSet<u32> = findings.iter().map(|finding| finding.line).collect();
        assert!(lines.len() == 1 && findings[0].line <= 4, "{broken}: {findings:#?}");
    }
}

/// A rule that came later refuses what is written now, and stops nobody's renewals.
#[test]
fn what_was_accepted_before_a_rule_stays_in_force() {
    let clinic = CLINIC
        .replace("  devices:", "  accounts:\n    - { name: staff, quota: { certificates: 5, per: 730d } }\n  devices:")
        .replace("profile: karte", "profile: karte, account: staff");
    let text = [ISSUER, PROFILE, &clinic].join("---\n");
    let refused = check(&[file("f.yaml", &text)], &tenant(), &[]).unwrap_err();
    assert!(refused.len() == 1 && refused[0].message.contains("takes up to 13"), "{refused:?}");
    let loaded = load(&[file("f.yaml", &text)], &tenant()).expect("each document is right by itself");
    let stored: Vec<Document> = loaded.documents.into_iter().map(|document| Document::stored(document.body).unwrap()).collect();
    assemble(&tenant(), &Loaded { documents: stored.clone() }).expect("it was accepted once");
    check(&[file("other.yaml", &ISSUER.replace("aozora-ca", "other-ca"))], &tenant(), &stored).expect("other documents can be applied");
    let left = clinic.replace("name: staff,", "name: staff, state: left,");
    check(&[file("f.yaml", &[ISSUER, PROFILE, &left].join("---\n"))], &tenant(), &[]).expect("nothing is issued under it any more");
}

/// Old files mean what they meant; several bounds, a successor and quiet hours are read beside them.
#[test]
fn accounts_and_hours_are_read_as_written() {
    let read = |account: &str, hours: &str| {
        let clinic = CLINIC.replace(
            "  devices:",
            &format!("{hours}  accounts:\n    - {{ name: staff, {account} }}\n    - {{ name: doctor }}\n  devices:"),
        );
        let text = [ISSUER, PROFILE, &clinic].join("---\n");
        let checked = check(&[file("f.yaml", &text)], &tenant(), &[]).unwrap_or_else(|findings| panic!("{findings:?}"));
        let clinic = checked.tenant.clinics.into_values().next().unwrap();
        let account = &clinic.accounts[&"staff".parse().unwrap()];
        let bounds: Vec<_> = account.quotas.iter().map(|bound| (bound.certificates, bound.per.map(|per| per.as_secs() / 86_400))).collect();
        (bounds, account.successor.as_ref().map(ToString::to_string), clinic.hours)
    };
    assert_eq!(read("quota: { certificates: 50 }", "").0, [(50, None)]);
    assert_eq!(read("quota: { certificates: 25, per: 730d }", "").0, [(25, Some(730))]);
    let both = read(
        "state: left, successor: doctor, quota: { certificates: 50, also: [{ certificates: 25, per: 730d, counting: unrevoked }] }",
        "",
    );
    assert_eq!((both.0, both.1.as_deref()), (vec![(50, None), (25, Some(730))], Some("doctor")));
    let hours = read(
        "state: active",
        "  hours: { timeZone: Asia/Tokyo, open: { mon-fri: \"09:00-18:00\" }, quiet: { mon-thu: \"12:30-14:00\" } }\n",
    )
    .2;
    assert_eq!((hours.open.len(), hours.quiet.len()), (5, 4));
}

#[test]
fn a_key_that_is_there_twice_is_not_a_second_document() {
    let findings = check(&[file("f.yaml", &ISSUER.replace("kind: Issuer\n", "kind: Issuer\nkind: Issuer\n"))], &tenant(), &[]).unwrap_err();
    assert_eq!(findings.iter().map(|finding| &finding.message[..]).collect::<Vec<_>>(), ["the key 'kind' is there twice"]);
}
