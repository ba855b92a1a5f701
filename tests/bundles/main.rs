//! Vendors' files that must not be taken in, each with what a person is told: opened, read and compared by the profiles of the library.

mod files;

use std::collections::BTreeSet;

use expect_test::expect_file;
use files::{FORGER, Maker, NOW, PASSWORD, ROOT, around_key, open_safe};
use tegata_api::v1::bundle::{BundleFault, FaultCode};
use tegata_api::v1::fleet::File;
use tegata_api::yaml;
use tegata_core::name::SlotId;
use tegata_core::policy::Tenant;
use tegata_core::time::DAY;
use tegata_core::vendor::{self, Held, check, check_against};
use tegata_pki::bundle;

/// One way to bring something wrong.
struct Row {
    /// In a few words.
    what: &'static str,
    profile: &'static str,
    file_name: &'static str,
    file: Vec<u8>,
    password: &'static str,
    /// What is changed in the clinic's document.
    clinic: fn(&str) -> String,
    held: fn(&vendor::BundleFacts) -> Vec<Held>,
}

impl Row {
    fn eligibility(what: &'static str, file: Vec<u8>) -> Self {
        let (profile, file_name) = ("online-eligibility", "202101010000777.p12");
        Self { what, profile, file_name, file, password: PASSWORD, clinic: str::to_owned, held: |_| Vec::new() }
    }

    fn weborca(what: &'static str, file: Vec<u8>) -> Self {
        Self { profile: "weborca", file_name: "601_JP_u00000126_client1210.p12", ..Self::eligibility(what, file) }
    }

    /// Everything that is wrong with it.
    fn faults(&self) -> Vec<vendor::BundleFault> {
        let tenant = tenant(self.clinic);
        let clinic = tenant.clinics.values().next().expect("one clinic");
        let expected = tenant.profiles[&self.profile.parse().unwrap()].expect.as_ref().expect("a vendor's profile");
        let facts = match bundle::open(&self.file, self.password, self.file_name) {
            Ok((_, facts)) => facts,
            Err(fault) => return vec![fault],
        };
        let slot: SlotId = format!("sakura/shikaku-1/{}", self.profile).parse().unwrap();
        [check(&facts, expected, clinic, NOW), check_against(&facts, expected, &slot, &(self.held)(&facts))].concat()
    }
}

/// The library with the tests' own root in the place of the published one, and a clinic that uses two of its profiles.
fn tenant(change: fn(&str) -> String) -> Tenant {
    let library = [include_str!("../../policies/online-eligibility.yaml"), include_str!("../../policies/weborca.yaml")];
    let root = bundle::thumbprints(ROOT.der()).sha1.to_string();
    let mut texts: Vec<String> = library.iter().map(|text| text.replace("<the SHA-1 thumbprint on page 9 of the manual>", &root)).collect();
    texts.push(change(CLINIC));
    let files: Vec<File> = texts.into_iter().enumerate().map(|(index, text)| File { name: index.to_string(), text }).collect();
    match yaml::check(&files, &"aozora".parse().unwrap(), &[]) {
        Ok(checked) => checked.tenant,
        Err(findings) => panic!("{}", yaml::render(&findings, &files)),
    }
}

const CLINIC: &str = "apiVersion: tegata.dev/v1alpha1
kind: ClinicNetwork
metadata: { name: sakura }
spec:
  displayName: さくら内科
  institutionNumber: '1312345678'
  vendorTenant: u00000126
  facilitySlug: sakura
  devices: [{ name: shikaku-1, platform: windows }]
";

fn held_by(slot: &str, facts: &vendor::BundleFacts) -> Held {
    Held { slot: slot.parse().unwrap(), fingerprint: facts.fingerprint, not_after: facts.not_after }
}

/// What cannot even be opened.
fn unopened() -> Vec<Row> {
    let good = Maker::eligibility().file();
    let row = Row::eligibility;
    vec![
        row("cut short", good[..good.len() / 2].to_vec()),
        row("not a certificate at all", b"\x89PNG\r\n\x1a\n a scanned letter".to_vec()),
        row("nested without end", [0x30, 0x80].repeat(500_000)),
        row("larger than any certificate", vec![0x30; 2 << 20]),
        row("asks for millions of rounds", Maker { iterations: 1_000_000, ..Maker::eligibility() }.file()),
        row("protected in a way that nobody uses any more", files::with_unknown_scheme(&Maker::eligibility())),
        Row { password: "0428", ..row("wrong PIN", good.clone()) },
        Row { password: "", ..row("no PIN", good) },
        row("no key", files::only_certificate()),
        row("two keys", files::two_keys()),
        row("a key without its certificate", around_key(None)),
        row("the certificate of another key", around_key(Some(ROOT.der()))),
    ]
}

/// What opens, but is not the one.
fn unwanted() -> Vec<Row> {
    let (eligibility, weborca) = (Maker::eligibility, Maker::weborca);
    let good = eligibility().file();
    vec![
        Row::eligibility("ended a year ago", Maker { begins: -1187 - 365, ..eligibility() }.file()),
        Row::eligibility("begins next month", Maker { begins: 30, ..eligibility() }.file()),
        Row::eligibility("another institution's", Maker { unit: "1399999999", ..eligibility() }.file()),
        Row::eligibility("names no institution", Maker { unit: "受付", ..eligibility() }.file()),
        Row::eligibility("signed by a forger who has the root's name", Maker { root: &FORGER, ..eligibility() }.file()),
        Row::eligibility(
            "signed by a forger, with the real root beside it",
            Maker { root: &FORGER, beside: Some(&ROOT), ..eligibility() }.file(),
        ),
        Row { file_name: "certificate.p12", ..Row::eligibility("renamed", good.clone()) },
        Row::eligibility("lives one year only", Maker { lives: 365, ..eligibility() }.file()),
        Row {
            held: |facts| vec![held_by("sakura/shikaku-2/online-eligibility", facts)],
            ..Row::eligibility("copied from another PC", good.clone())
        },
        Row {
            held: |facts| {
                let newer = held_by("sakura/shikaku-1/online-eligibility", facts);
                vec![Held { fingerprint: bundle::thumbprints(b"newer").sha256, not_after: facts.not_after.after(30 * DAY), ..newer }]
            },
            ..Row::eligibility("last year's file", good)
        },
        Row::weborca("issued by somebody else", Maker { root: &FORGER, ..weborca() }.file()),
        Row::weborca("another tenant's", Maker { organization: "u00000999", ..weborca() }.file()),
        Row { file_name: "601_JP_u00000999_client1210.p12", ..Row::weborca("another tenant's file name", weborca().file()) },
        Row {
            clinic: |text| text.replace("  vendorTenant: u00000126\n", ""),
            ..Row::weborca("the clinic's tenant is not said", weborca().file())
        },
        Row {
            clinic: |text| text.replace("  institutionNumber: '1312345678'\n", ""),
            ..Row::eligibility("the clinic's number is not said", eligibility().file())
        },
        Row {
            file_name: "x.p12",
            ..Row::eligibility("everything at once", Maker { root: &FORGER, begins: -5000, lives: 30, unit: "", ..eligibility() }.file())
        },
        Row::eligibility("leads to no authority", open_safe(&eligibility())),
    ]
}

#[test]
fn what_a_person_is_told_about_each_bad_file_is_kept() {
    let mut text = String::new();
    let mut seen = BTreeSet::new();
    for row in unopened().into_iter().chain(unwanted()) {
        let faults: Vec<BundleFault> = row.faults().iter().map(BundleFault::from).collect();
        assert!(!faults.is_empty(), "{}: taken in", row.what);
        text += &format!("{}\n", row.what);
        for fault in faults {
            text += &format!("  {:?}\n    {}\n    {}\n", fault.code, fault.ja, fault.en);
            seen.insert(fault.code);
        }
    }
    expect_file!["faults.txt"].assert_eq(&text);
    let missing: Vec<_> = FaultCode::ALL.into_iter().filter(|code| !seen.contains(code)).collect();
    assert!(missing.is_empty(), "no file shows {missing:?}");
}

/// The same files without what is wrong with them: otherwise the table above would say little.
#[test]
fn good_files_are_taken_in() {
    for row in [
        Row::eligibility("as it comes", Maker::eligibility().file()),
        Row { file_name: "202101010000777 (1).p12", ..Row::eligibility("downloaded twice", Maker::eligibility().file()) },
        Row::weborca("as it comes", Maker::weborca().file()),
        Row { held: |facts| vec![held_by("sakura/shikaku-1/weborca", facts)], ..Row::weborca("brought twice", Maker::weborca().file()) },
    ] {
        assert_eq!(row.faults(), [], "{}", row.what);
    }
}
