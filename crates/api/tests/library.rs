//! Every file of the policy library and of the examples is read, and the plans that follow from them are kept.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use expect_test::{Expect, expect, expect_file};
use tegata_api::v1::fleet::File;
use tegata_api::yaml::{check, load, render};
use tegata_core::desire::desire;
use tegata_core::fleet::Observed;
use tegata_core::name::{Label, TenantName};
use tegata_core::plan::{Action, plan};
use tegata_core::policy::Tenant;
use tegata_core::time::Timestamp;

/// 2026-11-23T00:00:00Z, a Monday morning in Tokyo.
const NOW: Timestamp = Timestamp::from_unix(1_795_392_000);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn tenant() -> TenantName {
    "aozora".parse().unwrap()
}

/// The YAML files of a folder, by name.
fn files(folder: &str) -> Vec<File> {
    let entries = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let yaml = entries.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    let mut files: Vec<File> = yaml
        .map(|path| File { name: path.file_name().unwrap().to_str().unwrap().into(), text: fs::read_to_string(path).unwrap() })
        .collect();
    files.sort_by(|one, other| one.name.cmp(&other.name));
    files
}

fn assembled(files: &[File]) -> Tenant {
    match check(files, &tenant(), &[]) {
        Ok(checked) => checked.tenant,
        Err(findings) => panic!("{}", render(&findings, files)),
    }
}

/// What every clinic wants, and what happens first, when no PC has enrolled yet.
fn shown(tenant: &Tenant) -> String {
    let mut text = String::new();
    for clinic in tenant.clinics.keys() {
        let desired = desire(tenant, clinic);
        let plan = plan(&desired, &Observed::default(), NOW);
        writeln!(text, "{clinic}").unwrap();
        for (slot, wants) in &desired.slots {
            let account = wants.account.as_ref().map_or("nobody".to_owned(), ToString::to_string);
            let template = &wants.template;
            writeln!(text, "  {slot} for {account}: CN={} O={} from {}", template.common_name, template.organization, template.issuer)
                .unwrap();
            let days = |span: std::time::Duration| span.as_secs() / 86_400;
            writeln!(
                text,
                "    {}d, renewed {:?} in the last {}d, selected for {:?}, proven by {:?}",
                days(template.validity),
                wants.renewal.when,
                days(wants.renewal.window),
                wants.select,
                wants.probe
            )
            .unwrap();
        }
        for action in &plan.actions {
            let Action::Hold { slot, reason, because, until } = action else {
                panic!("nobody has enrolled, so nothing can be done: {action:?}")
            };
            writeln!(text, "  hold {slot}: {reason:?}, waits for {because:?} until {until:?}").unwrap();
        }
    }
    text
}

/// A clinic with one PC that uses one profile.
fn clinic_using(profile: &str) -> File {
    File {
        name: "clinic.yaml".into(),
        text: format!(
            "apiVersion: tegata.dev/v1alpha1\nkind: ClinicNetwork\nmetadata: {{ name: sakura }}\nspec:\n  displayName: さくら内科\n  \
             facilitySlug: sakura\n  \
             institutionNumber: '1312345678'\n  vendorTenant: u00000126\n  devices: [{{ name: pc-1, platform: windows }}]\n  certificates: [{{ profile: {profile} }}]\n"
        ),
    }
}

/// What stands in the library where a person has to write, and what somebody may have written there.
const TO_FILL_IN: (&str, &str) = ("<the SHA-1 thumbprint on page 9 of the manual>", "0123456789abcdef0123456789abcdef01234567");

/// The library as it is after a person has filled in what they must.
fn library() -> Vec<File> {
    let filled_in = |file: File| File { text: file.text.replace(TO_FILL_IN.0, TO_FILL_IN.1), ..file };
    files("policies").into_iter().map(filled_in).collect()
}

fn check_library(file: &str, profile: &str, expected: Expect) {
    let library = library();
    assert!(library.iter().any(|known| known.name == file), "{file}");
    let all: Vec<File> = library.into_iter().chain([clinic_using(profile)]).collect();
    let tenant = assembled(&all);
    let vendors = tenant.profiles[&profile.parse().unwrap()].expect.is_some();
    expected.assert_eq(&format!("{}{}", shown(&tenant), if vendors { numbers(&tenant, profile) } else { String::new() }));
}

/// Every number of a vendor's profile: each stands in its file, and none in the code.
fn numbers(tenant: &Tenant, profile: &str) -> String {
    let profile = &tenant.profiles[&profile.parse().unwrap()];
    let expect = profile.expect.as_ref().unwrap();
    let days = |span: &std::time::Duration| span.as_secs() / 86_400;
    let (validity, tolerance) = (days(&expect.validity), days(&expect.validity_tolerance));
    let mut text = format!("expects of {}\n", profile.issuer);
    writeln!(text, "  {validity}d, {tolerance}d more or less, subject {:?}, {:?}", expect.subject, expect.sharing).unwrap();
    let label = |label: &Option<Label>| label.as_ref().map(ToString::to_string);
    let (common_name, organization) = (label(&expect.issuer_common_name), label(&expect.issuer_organization));
    writeln!(text, "  issued by CN={common_name:?} O={organization:?}, signed by {:?}", expect.anchors).unwrap();
    let file_name = expect.file_name.as_ref().map(|pattern| pattern.as_str());
    writeln!(text, "  called {file_name:?}, name kept: {}", expect.keep_file_name).unwrap();
    writeln!(text, "  {:?}, {:?}", expect.pin, expect.code).unwrap();
    let (when, window) = (profile.renewal.when, days(&profile.renewal.window));
    writeln!(
        text,
        "  renewed {when:?} in the last {window}d, noticed {:?} days before",
        profile.notices.iter().map(days).collect::<Vec<_>>()
    )
    .unwrap();
    let dependants: Vec<&str> = profile.dependants.iter().map(Label::as_str).collect();
    writeln!(text, "  into {:?}, then {dependants:?}", profile.stores).unwrap();
    text
}

#[test]
fn own_karte() {
    check_library(
        "own-karte.yaml",
        "own-karte",
        expect![[r#"
        sakura
          sakura/pc-1/own-karte for nobody: CN=pc-1 O=sakura from own-ca
            90d, renewed Early in the last 30d, selected for ["https://karte-sakura.example.jp"], proven by Some("https://karte-sakura.example.jp/")
          hold sakura/pc-1/own-karte: NotEnrolled, waits for Enrolment until None
    "#]],
    );
}

#[test]
fn own_receipt() {
    check_library(
        "own-receipt.yaml",
        "own-receipt",
        expect![[r#"
        sakura
          sakura/pc-1/own-receipt for nobody: CN=pc-1 O=sakura from own-ca
            365d, renewed Late in the last 60d, selected for ["https://receipt-sakura.example.jp"], proven by Some("https://receipt-sakura.example.jp/")
          hold sakura/pc-1/own-receipt: NotEnrolled, waits for Enrolment until None
    "#]],
    );
}

#[test]
fn clinics_karte() {
    check_library(
        "clinics-karte.yaml",
        "clinics-karte",
        expect![[r#"
            sakura
              sakura/pc-1/clinics-karte for nobody: CN=pc-1 O=sakura from clinics-portal
                825d, renewed Early in the last 60d, selected for ["https://karte.medley.life"], proven by Some("https://karte.medley.life/d/signin")
              hold sakura/pc-1/clinics-karte: NotEnrolled, waits for Enrolment until None
            expects of clinics-portal
              825d, 7d more or less, subject Anything, OneDevice
              issued by CN=None O=None, signed by {}
              called Some("client_cert.pfx"), name kept: false
              None, Some(CodeRule { digits: 6, life: 600s })
              renewed Early in the last 60d, noticed [60, 30, 15, 14, 7, 6, 5, 4, 3, 2, 1] days before
              into {Browser}, then []
        "#]],
    );
}

#[test]
fn online_eligibility() {
    check_library(
        "online-eligibility.yaml",
        "online-eligibility",
        expect![[r#"
            sakura
              sakura/pc-1/online-eligibility for nobody: CN=pc-1 O=sakura from eligibility-portal
                1187d, renewed Late in the last 90d, selected for [], proven by None
              hold sakura/pc-1/online-eligibility: NotEnrolled, waits for Enrolment until None
            expects of eligibility-portal
              1187d, 7d more or less, subject InstitutionNumber, OneDevice
              issued by CN=None O=None, signed by {Sha1(0123456789abcdef0123456789abcdef01234567)}
              called Some("{digits}.p12"), name kept: false
              Some(PinRule { digits: 4, tries: 3 }), None
              renewed Late in the last 90d, noticed [90, 60, 30, 15, 7, 6, 5, 4, 3, 2, 1] days before
              into {Browser}, then []
        "#]],
    );
}

#[test]
fn weborca() {
    check_library(
        "weborca.yaml",
        "weborca",
        expect![[r#"
            sakura
              sakura/pc-1/weborca for nobody: CN=pc-1 O=sakura from weborca-console
                1095d, renewed Early in the last 90d, selected for ["https://weborca.example.jp"], proven by Some("https://weborca.example.jp/")
              hold sakura/pc-1/weborca: NotEnrolled, waits for Enrolment until None
            expects of weborca-console
              1095d, 7d more or less, subject VendorTenant, OneDevice
              issued by CN=Some("Intermediate CA") O=None, signed by {}
              called Some("{digits}_JP_{tenant}_client{n}.p12"), name kept: true
              None, None
              renewed Early in the last 90d, noticed [90, 60, 30, 15, 7, 6, 5, 4, 3, 2, 1] days before
              into {Browser}, then ["資格確認連携ツール"]
        "#]],
    );
}

#[test]
fn orcamo_monsiaj() {
    check_library(
        "orcamo-monsiaj.yaml",
        "orcamo-monsiaj",
        expect![[r#"
            sakura
              sakura/pc-1/orcamo-monsiaj for nobody: CN=pc-1 O=sakura from orcamo
                1095d, renewed Early in the last 60d, selected for [], proven by None
              hold sakura/pc-1/orcamo-monsiaj: NotEnrolled, waits for Enrolment until None
            expects of orcamo
              1095d, 7d more or less, subject VendorTenant, OneDevice
              issued by CN=None O=None, signed by {}
              called None, name kept: false
              None, None
              renewed Early in the last 60d, noticed [90, 60, 30, 14, 7, 6, 5, 4, 3, 2, 1] days before
              into {Monsiaj}, then []
        "#]],
    );
}

/// Nobody knows the published thumbprint but who holds the manual: a profile that pins nothing would look as if it did.
#[test]
fn online_eligibility_is_refused_until_the_thumbprint_is_filled_in() {
    let file = files("policies").into_iter().find(|file| file.name == "online-eligibility.yaml").unwrap();
    let files = [file, clinic_using("online-eligibility")];
    let findings = check(&files, &tenant(), &[]).err().unwrap();
    expect![[r#"
        error: '<the SHA-1 thumbprint on page 9 of the manual>' is still to be filled in
          --> online-eligibility.yaml:38:15
           |
        38 |     anchors: ["<the SHA-1 thumbprint on page 9 of the manual>"]
           |               ^
           = help: write the thumbprint that the vendor published, from its manual; never take it from the file that is to be checked
    "#]]
    .assert_eq(&render(&findings, &files));
}

/// A file that is added to the library needs its plan here and its line in the README.
#[test]
fn no_file_of_the_library_is_forgotten() {
    let (source, readme) = (include_str!("library.rs"), fs::read_to_string(root().join("policies/README.md")).unwrap());
    for file in library() {
        let loaded = load(std::slice::from_ref(&file), &tenant())
            .unwrap_or_else(|findings| panic!("{}", render(&findings, std::slice::from_ref(&file))));
        let has_plan =
            source.contains(&format!("\"{}\",", file.name)) || loaded.documents.iter().all(|document| document.kind.as_str() == "Issuer");
        assert!(has_plan, "{} has no plan in this test", file.name);
        assert!(readme.contains(&format!("`{}`", file.name)), "{} is not in policies/README.md", file.name);
        assert!(file.text.starts_with('#'), "{} does not begin with what it is for", file.name);
    }
}

#[test]
fn the_aozora_group_is_a_whole_group() {
    let files = files("examples/aozora-group");
    let tenant = assembled(&files);
    let mut platforms = BTreeMap::new();
    for device in tenant.clinics.values().flat_map(|clinic| clinic.devices.values()) {
        *platforms.entry(device.platform).or_insert(0) += 1;
    }
    assert_eq!(platforms.values().collect::<Vec<_>>(), [&7, &3, &3], "windows, macos, linux");
    expect_file!["library/aozora-group.txt"].assert_eq(&shown(&tenant));
}

#[test]
fn every_example_is_complete_by_itself() {
    for entry in fs::read_dir(root().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        assembled(&files(&format!("examples/{}", path.file_name().unwrap().to_str().unwrap())));
        assert!(path.join("README.md").exists(), "{} has no README.md", path.display());
    }
}
