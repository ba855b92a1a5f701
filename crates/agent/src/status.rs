//! `tegata-agent status`: what the agent's folder says, for people and for programs. Reads only, also while the agent runs.

use jiff::tz::TimeZone;
use serde::Serialize;
use tegata_api::v1::device::SlotReport;
use tegata_core::install::Stage;
use tegata_core::time::Timestamp;

use crate::browser;
use crate::disk::{self, DiskError};
use crate::identity::{Identity, IdentityError};
use crate::journal::{Entry, Journal, Trouble, stage_of};
use crate::link::{Contact, KnownLog};
use crate::manifest::Manifest;
use crate::offline::Last;
use crate::settings::Settings;
use crate::state::State;
use crate::switch;
use crate::words::{ClinicPhrase, Language, Phrase, local_time, say};

/// What there is to see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// `clinic/device`.
    pub device: String,
    /// The tenant.
    pub tenant: String,
    /// The server.
    pub server: String,
    /// Whether it answers; absent if it was not contacted yet.
    pub contact: Option<Contact>,
    /// The bundle that was applied last, if one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<Last>,
    /// The last moment of the identity's validity, seconds since the Unix epoch.
    pub identity_until: Option<i64>,
    /// The clinic that is worked for; absent unless there are several.
    pub active_clinic: Option<String>,
    /// How many records the server's audit log had when this PC saw it last; absent if it never did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_size: Option<u64>,
    /// Since when the server shows another log; absent if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_contradicted: Option<i64>,
    /// The slots.
    pub slots: Vec<SlotReport>,
    /// True while a browser runs that has to be restarted once.
    pub restart_browser: bool,
}

impl Status {
    /// Reads it.
    ///
    /// # Errors
    /// [`IdentityError::NotEnrolled`] if nobody has enrolled this PC, and whatever is damaged.
    pub fn read(state: &State) -> Result<Self, IdentityError> {
        let identity = Identity::load(state)?;
        let settings = Settings::read(state)?.ok_or_else(|| IdentityError::NotEnrolled(state.root().display().to_string()))?;
        let slots = Journal::open(state)?.entries().map(Entry::report).collect();
        let restart_browser = browser::of_this_pc(state, &settings).holds_old()?;
        let log: Option<KnownLog> = disk::read_json(&state.audit_log())?;
        Ok(Self {
            device: settings.device,
            tenant: settings.tenant,
            server: settings.server,
            contact: disk::read_json(&state.contact())?,
            bundle: disk::read_json(&state.carried())?,
            identity_until: identity.not_after().map(Timestamp::unix),
            active_clinic: active_clinic(state)?,
            log_size: log.as_ref().map(KnownLog::size),
            log_contradicted: log.and_then(|log| log.contradiction).map(|found| found.since),
            slots,
            restart_browser,
        })
    }

    /// True if nobody has to do anything.
    pub fn is_well(&self) -> bool {
        let answers = self.contact.as_ref().is_some_and(|contact| contact.problem.is_none());
        (answers || self.carried().is_some())
            && self.log_contradicted.is_none()
            && !self.restart_browser
            && self.slots.iter().all(|slot| slot.trouble.is_none())
    }

    /// Tells it to people, with times as clocks in `zone` show them.
    pub fn tell(&self, language: Language, zone: &TimeZone) -> String {
        let mut phrases = vec![Phrase::Device(self.device.clone()), self.link(zone)];
        phrases.extend(self.log_contradicted.map(|since| Phrase::OtherHistory(local_time(since, zone))));
        phrases.extend(self.identity_until.map(|until| Phrase::Identity(local_time(until, zone))));
        phrases.extend(self.active_clinic.clone().map(ClinicPhrase::InUse).map(Phrase::Clinic));
        phrases.extend(self.slots.iter().map(slot_phrase));
        if self.slots.is_empty() {
            phrases.push(Phrase::NoSlots);
        }
        if self.restart_browser {
            phrases.push(Phrase::RestartBrowser);
        }
        if self.is_well() {
            phrases.push(Phrase::AllWell);
        }
        phrases.iter().map(|phrase| say(language, phrase) + "\n").collect()
    }

    /// The bundle that stands for the server: the server was never reached, or not since it was applied.
    fn carried(&self) -> Option<&Last> {
        let was_silent = |last: &Last| self.contact.as_ref().is_none_or(|one| one.problem.is_some() && one.since <= last.applied_at);
        self.bundle.as_ref().filter(|last| was_silent(last))
    }

    fn link(&self, zone: &TimeZone) -> Phrase {
        let since = |contact: &Contact| local_time(contact.since, zone);
        if let Some(last) = self.carried() {
            return Phrase::Carried(local_time(last.made_at, zone), local_time(last.applied_at, zone));
        }
        match &self.contact {
            None => Phrase::NeverRun(self.server.clone()),
            Some(contact) => match &contact.problem {
                None => Phrase::Connected(self.server.clone(), since(contact)),
                Some(problem) => Phrase::Silent(self.server.clone(), since(contact), problem.clone()),
            },
        }
    }
}

fn active_clinic(state: &State) -> Result<Option<String>, DiskError> {
    let Some(manifest) = Manifest::kept(state)?.filter(|manifest| switch::clinics(manifest).len() > 1) else { return Ok(None) };
    Ok(Some(switch::active(state, &manifest)?.to_string()))
}

/// How far one slot is.
pub fn slot_phrase(slot: &SlotReport) -> Phrase {
    let name = slot.slot.clone();
    match (&slot.trouble, stage_of(&slot.stage).unwrap_or(Stage::Wanted)) {
        (Some(en), _) => Phrase::Trouble(name, Trouble { ja: slot.trouble_ja.clone().unwrap_or_else(|| en.clone()), en: en.clone() }),
        (None, Stage::Proven | Stage::Settled) => Phrase::Ready(name),
        (None, Stage::Abandoned) => Phrase::Abandoned(name),
        (None, stage) => Phrase::Preparing(name, stage),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn status() -> Status {
        let slot = |profile: &str, stage: &str, trouble: Option<&str>| SlotReport {
            slot: format!("sakura/uketsuke-1/{profile}"),
            order: "00".repeat(16),
            misplaced: false,
            stage: stage.into(),
            trouble: trouble.map(str::to_owned),
            trouble_ja: trouble.map(|_| "証明書をサーバーから受け取れません".into()),
        };
        Status {
            device: "sakura/uketsuke-1".into(),
            tenant: "aozora".into(),
            server: "https://tegata.example.jp:8443".into(),
            contact: Some(Contact { since: 1_800_000_000, problem: None }),
            bundle: None,
            identity_until: Some(1_807_776_000),
            active_clinic: Some("momiji".into()),
            log_size: Some(4_096),
            log_contradicted: None,
            slots: vec![
                slot("karte", "settled", None),
                slot("lab", "keyed", None),
                slot("weborca", "keyed", Some("the certificate could not be fetched")),
            ],
            restart_browser: true,
        }
    }

    #[test]
    fn staff_read_what_is_ready_and_what_to_do() {
        let tokyo = TimeZone::get("Asia/Tokyo").unwrap();
        expect![[r#"
            Device: sakura/uketsuke-1
            Server: https://tegata.example.jp:8443 answers (since 2027-01-15 17:00)
            Identity: valid until 2027-04-15 17:00
            Clinic in use: momiji (to change it: tegata-agent switch CLINIC)
            Certificate sakura/uketsuke-1/karte: ready
            Certificate sakura/uketsuke-1/lab: being prepared (waiting for the certificate)
            Certificate sakura/uketsuke-1/weborca: the certificate could not be fetched
            Close every browser window and start the browser again: it then uses the new certificate.
        "#]]
        .assert_eq(&status().tell(Language::English, &tokyo));
        expect![[r#"
            端末: sakura/uketsuke-1
            サーバー: https://tegata.example.jp:8443 と通信できています (2027-01-15 17:00 から)
            端末の身分証明: 2027-04-15 17:00 まで有効
            使用中の診療所: momiji (切り替え: tegata-agent switch 診療所)
            証明書 sakura/uketsuke-1/karte: 使えます
            証明書 sakura/uketsuke-1/lab: 準備中 (証明書の発行を待っています)
            証明書 sakura/uketsuke-1/weborca: 確認が必要です: 証明書をサーバーから受け取れません
            ブラウザーをすべて閉じて、もう一度開いてください。新しい証明書に切り替わります。
        "#]]
        .assert_eq(&status().tell(Language::Japanese, &tokyo));
    }

    #[test]
    fn the_clinic_in_use_is_named_only_where_there_are_several() {
        let world = crate::pretend::World::new();
        let told_of = |slots: &[&str]| {
            let slot = |slot: &&str| serde_json::json!({ "slot": slot, "key": "vendor", "label": "", "stores": ["browser"], "select": [], "replaces": [] });
            let slots: Vec<_> = slots.iter().map(slot).collect();
            let manifest = serde_json::json!({
                "generation": 1, "device": "sakura/uketsuke-1", "slots": slots, "retire": [], "removeInstallers": [], "folders": []
            });
            disk::write_json(&world.state.manifest(), &manifest).unwrap();
            Status::read(&world.state).unwrap().active_clinic
        };
        assert_eq!(told_of(&["sakura/uketsuke-1/karte", "sakura/uketsuke-1/orca"]), None);
        assert_eq!(told_of(&["sakura/uketsuke-1/karte", "momiji/uketsuke-1@sakura/karte"]).as_deref(), Some("sakura"));
    }

    #[test]
    fn where_no_server_answers_a_bundle_stands_for_it() {
        let well = Status { slots: vec![], restart_browser: false, contact: None, ..status() };
        let carried =
            |contact| Status { contact, bundle: Some(Last { applied_at: 1_800_003_600, made_at: 1_800_000_000 }), ..well.clone() };
        let silent = |since| Some(Contact { since, problem: Some("no answer".into()) });
        for (status, is_well, says) in [
            (carried(None), true, "Server: by files. The last one was made 2027-01-15 08:00, and applied 2027-01-15 09:00"),
            (carried(silent(1_800_000_000)), true, "Server: by files."),
            (carried(silent(1_800_007_200)), false, "has been silent"),
            (carried(Some(Contact { since: 1_800_000_000, problem: None })), true, "answers"),
            (well.clone(), false, "was not contacted yet"),
        ] {
            let told = status.tell(Language::English, &TimeZone::UTC);
            assert!(status.is_well() == is_well && told.contains(says), "{told}");
        }
    }

    #[test]
    fn all_is_well_only_if_the_server_answers_and_nothing_is_in_trouble() {
        let well = Status { slots: vec![], restart_browser: false, ..status() };
        assert!(well.is_well() && !status().is_well());
        assert!(!Status { contact: None, ..well.clone() }.is_well());
        let silent = Contact { since: 0, problem: Some("no answer".into()) };
        assert!(!Status { contact: Some(silent), ..well.clone() }.is_well());
        assert!(!Status { log_contradicted: Some(0), ..well }.is_well());
    }
}
