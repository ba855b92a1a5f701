//! `tegata describe`: one thing in full.

use std::fmt::Write;

use clap::{Args, Subcommand};
use tegata_api::hint::visible;
use tegata_api::v1::access::Binding;
use tegata_api::v1::account::{AccountDetail, SlotDetail};
use tegata_api::v1::device::{BrowserSeen, Facts, InstallerSeen, Note, TimeSync};
use tegata_api::v1::diagnosis::{Cause, Certainty, Diagnosis, Finding};
use tegata_api::v1::fleet::{DeviceDetail, Generation};
use tegata_api::v1::trust::{DeviceRoot, RootState};
use tegata_core::name::{AccountName, BindingName, ClinicName, DeviceId, SlotId};

use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::output::{self, Look};
use crate::session::Session;
use crate::table::{Field, Table};
use crate::{get, moment, quotas};

/// Show one thing in full
#[derive(Args)]
pub struct Describe {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Show a device: what it says about itself, its slots, what its agent reports
    #[command(after_help = "Example:\n  $ tegata describe device sakura-naika/uketsuke-1")]
    Device {
        /// Its name, `clinic/device`
        device: DeviceId,
    },
    /// Show an account: its quota, its slots, and what goes if its person leaves
    #[command(after_help = "Example:\n  $ tegata describe account sakura-naika/reception")]
    Account {
        /// Its name, `clinic/account`
        account: String,
    },
    /// Show who is bound to a role, and every right that comes with it
    #[command(after_help = "Example:\n  $ tegata describe access ito")]
    Access {
        /// The name of the AccessBinding
        binding: BindingName,
    },
    /// Show a slot: when its certificate is replaced, and whether its clinic is closed when it expires
    #[command(after_help = "Example:\n  $ tegata describe slot sakura-naika/uketsuke-1/karte")]
    Slot {
        /// Its name, `clinic/device/profile`
        slot: SlotId,
    },
}

impl Describe {
    /// Shows it.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let session = Session::open(global)?;
        match self.what {
            What::Device { device } => {
                let detail: DeviceDetail = session.get(&format!("devices/{device}")).await?;
                output::show(global, &detail, |look| told(&detail, look))?;
            }
            What::Account { account } => {
                let detail: AccountDetail = session.get(&format!("accounts/{}", account_path(&account, &session)?)).await?;
                output::show(global, &detail, |look| quotas::account(&detail, look))?;
            }
            What::Access { binding } => {
                let bindings: Vec<Binding> = session.get("access").await?;
                let named = bindings.into_iter().find(|one| one.name == binding.as_str());
                let named = named.ok_or_else(|| session.no_such("binding", vec![binding.to_string()]))?;
                output::show(global, &named, |look| get::binding(&named, look))?;
            }
            What::Slot { slot } => {
                let home = if slot.device.clinic == slot.clinic { String::new() } else { format!("@{}", slot.device.clinic) };
                let path = format!("slots/{}/{}{home}/{}", slot.clinic, slot.device.device, slot.profile);
                let detail: SlotDetail = session.get(&path).await?;
                output::show(global, &detail, |look| quotas::slot(&detail, look))?;
            }
        }
        Ok(Exit::Fine)
    }
}

/// Checks `clinic/account`, so that nothing else gets into the path of a request.
fn account_path(text: &str, session: &Session) -> Result<String, Failure> {
    let read = text.split_once('/').and_then(|(clinic, account)| {
        let (clinic, account): (ClinicName, AccountName) = (clinic.parse().ok()?, account.parse().ok()?);
        Some(format!("{clinic}/{account}"))
    });
    read.ok_or_else(|| session.no_such("quota", vec![text.to_owned()]))
}

fn told(detail: &DeviceDetail, look: &Look) -> String {
    let mut text = facts(detail, look);
    let mut section = |title: &str, body: String| {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n\n{title}\n{}", body.trim_end());
    };
    section("Slots", get::slots(&detail.slots, look));
    if !detail.reports.is_empty() {
        section("What its agent works on", reports(detail, look));
    }
    if !detail.installers_seen.is_empty() {
        section("Installer files that lie there", detail.installers_seen.iter().map(installer).collect());
    }
    if !detail.roots.is_empty() {
        section("Roots that programs there are to trust", roots(detail));
    }
    if let Some(diagnosis) = &detail.device.diagnosis {
        section("Why a chart does not open there, as its doctor found", found(diagnosis));
    }
    if !detail.notes.is_empty() {
        section("To know", detail.notes.iter().map(|note| format!("{}\n", sentence(*note))).collect());
    }
    text
}

fn installer(seen: &InstallerSeen) -> String {
    let moved = if seen.quarantined { ", moved out of the way" } else { "" };
    format!("{}  ({} bytes{moved})\n", visible(&seen.path), seen.file.size)
}

fn facts(detail: &DeviceDetail, look: &Look) -> String {
    let device = &detail.device;
    let known = detail.facts.as_ref();
    let Generation { newest, accepted } = detail.generation;
    let system = known.map_or(device.platform.clone(), |facts| format!("{} ({})", device.platform, facts.os_version));
    let lines = [
        ("device", device.name.clone()),
        ("place", device.memo.clone().unwrap_or_else(|| "–".into())),
        ("state", device.state.clone()),
        ("system", system),
        ("host name", known.map_or("–".into(), |facts| facts.hostname.clone())),
        ("agent", known.map_or("–".into(), |facts| format!("{}, keystores: {}", facts.agent_version, facts.keystores.join(", ")))),
        ("last seen", device.last_seen.map_or("never".into(), |at| moment::with_distance(at, look.now, &look.zone))),
        ("clock", clock(device.clock_offset, known.and_then(|facts| facts.time_sync))),
        ("browsers", known.map_or("–".into(), browsers)),
        ("tls", intercepted(device.diagnosis.as_ref()).into()),
        ("doctor", device.diagnosis.as_ref().map_or("never looked".into(), |made| examined(made, look))),
        ("manifest", format!("generation {newest}, accepted {accepted}")),
    ];
    lines.map(|(name, value)| format!("{name:<10} {}", visible(&value))).join("\n")
}

fn clock(offset: Option<i64>, sync: Option<TimeSync>) -> String {
    let offset = match offset {
        None => return "–".into(),
        Some(0) => "right".into(),
        Some(fast @ 1..) => format!("{fast} s fast"),
        Some(slow) => format!("{} s slow", slow.unsigned_abs()),
    };
    let sync = match sync {
        Some(TimeSync::On) => "set automatically",
        Some(TimeSync::Off) => "not set automatically",
        None => "not known whether it is set automatically",
    };
    format!("{offset}, {sync}")
}

fn browsers(facts: &Facts) -> String {
    let seen = |seen: &Vec<BrowserSeen>| match &seen[..] {
        [] => "none was run".to_owned(),
        seen => seen.iter().map(|one| format!("{} {}", one.name, one.version)).collect::<Vec<_>>().join(", "),
    };
    let run = facts.browsers.as_ref().map_or("not known".into(), seen);
    format!("{run}; links open with {}", facts.default_browser.as_deref().unwrap_or("a program that is not known"))
}

/// Whether something between the PC and the charts opens encrypted connections.
fn intercepted(diagnosis: Option<&Diagnosis>) -> &'static str {
    let Some(made) = diagnosis else { return "not known whether anything opens it on the way" };
    match made.findings.iter().find(|finding| finding.cause == Cause::Intercepted).map(|finding| finding.certainty) {
        Some(Certainty::Certain) => "opened on the way",
        Some(Certainty::Likely) => "likely opened on the way",
        Some(Certainty::Possible) => "possibly opened on the way",
        None if made.unchecked.contains(&Cause::Intercepted) => "not known whether anything opens it on the way",
        None => "nothing opens it on the way",
    }
}

/// Each root, and what an administrator has to run where the agent must not add it.
fn roots(detail: &DeviceDetail) -> String {
    let line = |DeviceRoot { root, state }: &DeviceRoot| {
        let asked = (*state == Some(RootState::NeedsAdministrator)).then(|| {
            let command = root.line_to_grant(&detail.device.platform);
            let by_hand = || "  Grant it on the PC with `tegata-agent trust --file`; the server does not have the file.\n".to_owned();
            let who = match &*detail.device.platform {
                "windows" => "An administrator of the PC types once in PowerShell",
                "macos" => "An administrator of the PC types once",
                _ => "The user of the PC types once",
            };
            command.map_or_else(by_hand, |command| format!("  {who}: {command}\n"))
        });
        format!("{}  {}\n{}", visible(&root.sha256), standing(*state), asked.unwrap_or_default())
    };
    detail.roots.iter().map(line).collect()
}

fn standing(state: Option<RootState>) -> &'static str {
    match state {
        None => "not heard yet",
        Some(RootState::Trusted) => "trusted",
        Some(RootState::NeedsAdministrator) => "not granted at the PC",
        Some(RootState::NotBrought) => "waits for the vendor's file that it comes with",
        Some(RootState::NotARoot) => "refused: what came is no root, or not the one that policy pins",
        Some(RootState::Failed) => "the store did not take it; it is tried again",
    }
}

fn examined(made: &Diagnosis, look: &Look) -> String {
    format!("{}, {}", made.glance(), moment::with_distance(made.at, look.now, &look.zone))
}

/// The first cause first. What was not looked at is said, too: it is not fine.
fn found(made: &Diagnosis) -> String {
    let line = |it: &Finding| format!("{:<9} {:<15} {}\n", it.certainty.word(), it.cause.word(), meaning(it.cause));
    let unchecked: Vec<&str> = made.unchecked.iter().map(|cause| cause.word()).collect();
    let findings = if made.findings.is_empty() { "Nothing was found.\n".into() } else { made.findings.iter().map(line).collect() };
    let rest = if unchecked.is_empty() { String::new() } else { format!("Could not be checked: {}.\n", unchecked.join(", ")) };
    [findings, rest].concat()
}

fn meaning(cause: Cause) -> &'static str {
    match cause {
        Cause::Clock => "The PC's clock is wrong.",
        Cause::Revoked => "The certificate was revoked.",
        Cause::AccountDeleted => "The account that it was issued under was deleted.",
        Cause::OutOfDate => "The certificate is not valid today.",
        Cause::Missing => "The certificate is not on the PC.",
        Cause::KeyUnusable => "The certificate's key cannot be used.",
        Cause::ChainMissing => "The chart asks for another issuer than the certificate shows; an intermediate may be missing.",
        Cause::WrongBrowser => "Links, or a shortcut, open the chart in another browser than Chrome, Chromium or Edge.",
        Cause::WrongAddress => "A bookmark or shortcut leads to another address than the chart's.",
        Cause::OtherClinic => "Several clinics use the site, and another one's certificate may be in use.",
        Cause::Quota => "The account may have no certificate left to give.",
        Cause::Extension => "An extension of the browser may be in the way.",
        Cause::Intercepted => "Something on the way, such as security software, opens the connection.",
        Cause::OldDecision => "The browser remembers an earlier choice: restart it.",
    }
}

fn reports(detail: &DeviceDetail, look: &Look) -> String {
    let mut table = Table::new(look, ["SLOT", "STAGE", "TROUBLE"]);
    for report in &detail.reports {
        table.row([(*report.slot).into(), Field::State(report.stage.clone()), report.trouble.clone().into()]);
    }
    table.or("")
}

fn sentence(note: Note) -> &'static str {
    match note {
        Note::BrowserHoldsOld => "A running browser still uses a certificate decision from before the last change: restart it once.",
        Note::RemovalLimit => "The device's own limit on removals was reached: the rest waits.",
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use tegata_api::v1::device::{FileHash, SlotReport};
    use tegata_api::v1::fleet::Device;
    use tegata_api::v1::trust::TrustRoot;

    use super::*;
    use crate::output::test_look;

    fn uketsuke() -> DeviceDetail {
        let now = test_look().now;
        let device = Device {
            name: "sakura/uketsuke-1".into(),
            platform: "windows".into(),
            memo: Some("受付1番".into()),
            state: "enrolled".into(),
            last_seen: Some(now.unix() - 60),
            clock_offset: Some(-3),
            ready: 0,
            slots: 1,
            installers: 1,
            diagnosis: None,
        };
        let facts = Facts {
            hostname: "UKETSUKE-1".into(),
            os_version: "11".into(),
            agent_version: "0.1.0".into(),
            keystores: vec!["file".into()],
            ..Facts::default()
        };
        DeviceDetail {
            device,
            facts: Some(facts),
            generation: Generation { newest: 7, accepted: 6 },
            slots: Vec::new(),
            reports: vec![SlotReport {
                slot: "sakura/uketsuke-1/karte".into(),
                order: "00".into(),
                misplaced: false,
                stage: "installed".into(),
                trouble: Some("the page answered 503".into()),
                trouble_ja: Some("確認先が応答しません".into()),
            }],
            installers_seen: vec![InstallerSeen {
                path: "~/Downloads/client_cert.pfx".into(),
                file: FileHash { sha256: "00".into(), size: 2048 },
                inside: None,
                quarantined: false,
            }],
            notes: vec![Note::BrowserHoldsOld],
            roots: vec![],
        }
    }

    /// A device whose agent says this wherever it says a text of its own.
    fn saying(said: &str) -> DeviceDetail {
        let facts = Facts {
            hostname: said.into(),
            os_version: said.into(),
            agent_version: said.into(),
            keystores: vec![said.into()],
            browsers: Some(vec![BrowserSeen { name: said.into(), version: said.into() }]),
            default_browser: Some(said.into()),
            ..Facts::default()
        };
        let slot = "sakura/uketsuke-1/karte".into();
        let report =
            SlotReport { slot, order: "00".into(), misplaced: false, stage: said.into(), trouble: Some(said.into()), trouble_ja: None };
        let seen =
            InstallerSeen { path: said.into(), file: FileHash { sha256: "00".into(), size: 2048 }, inside: None, quarantined: false };
        DeviceDetail { facts: Some(facts), reports: vec![report], installers_seen: vec![seen], ..uketsuke() }
    }

    #[test]
    fn a8_a_device_cannot_write_into_the_terminal_with_what_it_says() {
        let honest = told(&saying("受付1番"), &test_look());
        let evil = told(&saying("\u{1b}[31m\r\n\u{202e}受付1番\u{9b}2J"), &test_look());
        assert!(!evil.contains(|c: char| c.is_control() && c != '\n') && !evil.contains('\u{202e}'), "{evil:?}");
        assert_eq!(evil.lines().count(), honest.lines().count(), "{evil}");
        assert_eq!((evil.matches("受付1番").count(), honest.matches("受付1番").count()), (11, 11));
    }

    #[test]
    fn a_root_says_what_is_to_be_done_about_it() {
        let root = |der: Option<&str>, state| DeviceRoot { root: TrustRoot { sha256: "ab".repeat(32), der: der.map(Into::into) }, state };
        let told = |root| roots(&DeviceDetail { roots: vec![root], ..uketsuke() });
        assert!(told(root(None, Some(RootState::Trusted))).ends_with("ab  trusted\n"));
        assert!(told(root(None, None)).ends_with("not heard yet\n"));
        let line = told(root(Some("MIIB"), Some(RootState::NeedsAdministrator)));
        assert!(line.contains("types once in PowerShell: &") && line.contains("trust MIIB"), "{line}");
        assert!(told(root(None, Some(RootState::NeedsAdministrator))).contains("does not have the file"));
    }

    #[test]
    fn what_is_not_known_of_a_device_is_never_told_as_fine() {
        let made = |findings: Vec<Finding>, unchecked| Diagnosis { at: 0, findings, unchecked };
        let found = Finding { cause: Cause::Intercepted, certainty: Certainty::Likely };
        assert_eq!(intercepted(None), intercepted(Some(&made(vec![], vec![Cause::Intercepted]))));
        assert_eq!(intercepted(Some(&made(vec![found], vec![]))), "likely opened on the way");
        assert_eq!(intercepted(Some(&made(vec![], vec![Cause::Clock]))), "nothing opens it on the way");
        assert_eq!(clock(Some(61), Some(TimeSync::Off)), "61 s fast, not set automatically");
        assert_eq!(clock(None, Some(TimeSync::On)), "–");
        let seen = vec![BrowserSeen { name: "Google/Chrome".into(), version: "141.0.7390.65".into() }];
        let facts = Facts { browsers: Some(seen), default_browser: Some("ChromeHTML".into()), ..Facts::default() };
        assert_eq!(browsers(&facts), "Google/Chrome 141.0.7390.65; links open with ChromeHTML");
        assert_eq!(browsers(&Facts { browsers: Some(vec![]), ..facts }), "none was run; links open with ChromeHTML");
        assert_eq!(browsers(&Facts::default()), "not known; links open with a program that is not known");
    }

    #[test]
    fn what_its_doctor_found_is_told_with_how_sure_it_is_and_what_was_not_checked() {
        let finding = |cause, certainty| Finding { cause, certainty };
        let findings = vec![finding(Cause::Intercepted, Certainty::Certain), finding(Cause::Extension, Certainty::Possible)];
        let diagnosis = Diagnosis { at: test_look().now.unix() - 600, findings, unchecked: vec![Cause::Clock, Cause::Revoked] };
        let detail = uketsuke();
        let detail = DeviceDetail { device: Device { diagnosis: Some(diagnosis.clone()), ..detail.device }, notes: vec![], ..detail };
        let told = told(&detail, &test_look());
        assert!(told.contains("\ndoctor     intercepted, 2026-11-18 19:56 (10 min ago)\n"), "{told}");
        expect![[r#"
            certain   intercepted     Something on the way, such as security software, opens the connection.
            possible  extension       An extension of the browser may be in the way.
            Could not be checked: clock, revoked.
        "#]]
        .assert_eq(&found(&diagnosis));
        assert!(told.ends_with(found(&diagnosis).trim_end()), "{told}");
        assert_eq!(found(&Diagnosis { findings: vec![], unchecked: vec![], ..diagnosis }), "Nothing was found.\n");
    }

    #[test]
    fn a_device_is_told_from_its_name_to_what_a_person_should_know() {
        let (look, detail) = (test_look(), uketsuke());
        let read: DeviceDetail = serde_json::from_str(&serde_json::to_string(&detail).unwrap()).unwrap();
        assert_eq!(read, detail, "what one side writes, the other can read");
        expect![[r#"
            device     sakura/uketsuke-1
            place      受付1番
            state      enrolled
            system     windows (11)
            host name  UKETSUKE-1
            agent      0.1.0, keystores: file
            last seen  2026-11-18 20:05 (60 s ago)
            clock      3 s slow, not known whether it is set automatically
            browsers   not known; links open with a program that is not known
            tls        not known whether anything opens it on the way
            doctor     never looked
            manifest   generation 7, accepted 6

            Slots
            No slots: policy puts no certificate anywhere yet.

            What its agent works on
            SLOT                     STAGE      TROUBLE
            sakura/uketsuke-1/karte  installed  the page answered 503

            Installer files that lie there
            ~/Downloads/client_cert.pfx  (2048 bytes)

            To know
            A running browser still uses a certificate decision from before the last change: restart it once."#]]
        .assert_eq(&told(&detail, &look));
    }
}
