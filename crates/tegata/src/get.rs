//! `tegata get`: lists.

mod access;
mod backups;
mod documents;
mod expiring;
mod installers;
mod named;
mod notices;
mod sessions;

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tegata_api::client::ClientError;
use tegata_api::v1::diagnosis::Diagnosis;
use tegata_api::v1::fleet::{Action, Certificate, Clinic, Device, DocumentInForce, Slot};
use tegata_api::v1::problem::Code;
use tegata_core::name::ClinicName;

use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format, Look};
use crate::session::Session;
use crate::table::{Field, Table};
use crate::{application, preview, quotas};

pub use self::access::one as binding;
pub use self::expiring::span;
use self::named::Named;

/// List clinics, devices, slots, certificates, quotas, planned actions, or the documents in force
/// List clinics, devices, slots, certificates, what expires, what was told, planned actions, or the documents in force
#[derive(Args)]
#[command(
    after_help = "Examples:\n  $ tegata get slots\n  $ tegata get devices sakura-naika/uketsuke-1 sakura-naika/incho-mac\n  $ tegata get certificates --clinic sakura-naika -o json\n  $ tegata get expiring --within 30d\n  $ tegata get documents -o yaml > group.yaml"
)]
pub struct Get {
    /// What to list
    what: What,
    /// Only these: names as the list shows them; certificates by serial number
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Only those of one clinic
    #[arg(long, value_name = "CLINIC")]
    clinic: Option<ClinicName>,
    /// Only what expires in this time (only `expiring`), such as 30d [default: 90d]
    #[arg(long, value_name = "SPAN", value_parser = expiring::span)]
    within: Option<Duration>,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// Every clinic, and how much of it is ready
    Clinics,
    /// Every PC, and when it was last heard
    Devices,
    /// Every place where a certificate must live: ready, or the reason why not
    Slots,
    /// Every certificate that was issued, newest first
    Certificates,
    /// Every account that has a quota: used, reserved, when it is full, and how many certificates could go
    Quotas,
    /// Every application at a vendor: until when its certificate can be fetched; sealed reference IDs with -o json
    Applications,
    /// Every backup in every target: stored, read back and whole since when, and what is wrong
    Backups,
    /// Every installer file that lies, or lay, on a PC: present, recognised by a key in it, exempt, asked about, removed, and how often it came back
    Installers,
    /// What is planned next, and what knowingly waits
    Actions,
    /// Every certificate that expires soon, who has to act, and what its renewal waits for
    Expiring,
    /// What was told of what is about to expire: when, to whom, and what failed; newest first
    Notices,
    /// Who may do what, where and until when
    Access,
    /// Who has signed in with a provider, and until when; those of the last day
    Sessions,
    /// Every document in force, who applied it and when; with -o yaml, as files that can be applied again
    Documents,
}

impl Get {
    /// Lists them.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        if self.within.is_some() && !matches!(self.what, What::Expiring) {
            return Err(Failure::Timeless);
        }
        let session = Session::open(global)?;
        let list = List { global, session: &session, names: &self.names, clinic: self.clinic.as_ref() };
        match self.what {
            What::Clinics => list.show("clinics", clinics).await,
            What::Devices => list.show("devices", devices).await,
            What::Slots => list.show("slots", slots).await,
            What::Certificates => list.show("certificates", certificates).await,
            What::Quotas => list.show("quotas", quotas::table).await,
            What::Applications => list.show("applications", application::table).await,
            What::Backups => list.show("backups", backups::table).await,
            What::Installers => list.show("installers", installers::table).await,
            What::Actions => list.actions().await,
            What::Expiring => list.expiring(self.within).await,
            What::Notices => list.show("notices", notices::table).await,
            What::Access => list.access().await,
            What::Sessions => list.sessions().await,
            What::Documents => list.documents().await,
        }
    }
}

/// Where a list comes from.
struct List<'a> {
    global: &'a Global,
    session: &'a Session,
    names: &'a [String],
    clinic: Option<&'a ClinicName>,
}

impl List<'_> {
    async fn show<T>(&self, path: &str, table: fn(&[T], &Look) -> String) -> Result<Exit, Failure>
    where
        T: Named + Serialize + DeserializeOwned,
    {
        let list = self.chosen(self.fetch(path).await?)?;
        self.print(&list, table).await
    }

    async fn actions(&self) -> Result<Exit, Failure> {
        if !self.names.is_empty() {
            return Err(Failure::Nameless("planned actions"));
        }
        let list: Vec<Action> = self.fetch("actions").await?;
        self.print(&list, preview::actions).await
    }

    async fn expiring(&self, within: Option<Duration>) -> Result<Exit, Failure> {
        let within = match within {
            Some(within) => within,
            None => expiring::span(expiring::WITHIN).expect("the default is a span"),
        };
        self.show(&format!("expiring?within={}&limit={}", within.as_secs(), expiring::ROWS), expiring::table).await
    }

    async fn access(&self) -> Result<Exit, Failure> {
        if self.clinic.is_some() {
            return Err(Failure::Clinicless("bindings"));
        }
        self.show("access", access::table).await
    }

    async fn sessions(&self) -> Result<Exit, Failure> {
        if self.clinic.is_some() {
            return Err(Failure::Clinicless("sessions"));
        }
        self.show("sessions", sessions::table).await
    }

    async fn documents(&self) -> Result<Exit, Failure> {
        if self.clinic.is_some() {
            return Err(Failure::Clinicless("documents"));
        }
        let list: Vec<DocumentInForce> = self.chosen(self.fetch("documents").await?)?;
        if self.global.output == Format::Yaml && !list.is_empty() {
            output::print(&documents::yaml(&list)?)?;
            return Ok(Exit::Fine);
        }
        self.print(&list, documents::table).await
    }

    async fn fetch<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, Failure> {
        let Some(clinic) = self.clinic else { return self.session.get(path).await };
        let answer = self.session.get(&format!("{path}{}clinic={clinic}", if path.contains('?') { '&' } else { '?' })).await;
        answer.map_err(|failure| match failure {
            Failure::Server(ClientError::Refused(problem)) if problem.code == Code::NotFound => {
                self.session.no_such(Clinic::WHAT, vec![clinic.to_string()])
            }
            other => other,
        })
    }

    fn chosen<T: Named>(&self, list: Vec<T>) -> Result<Vec<T>, Failure> {
        named::chosen(list, self.names).map_err(|missing| self.session.no_such(T::WHAT, missing))
    }

    async fn print<T: Serialize>(&self, list: &[T], table: fn(&[T], &Look) -> String) -> Result<Exit, Failure> {
        // That nothing is planned reassures only where something is asked for.
        let nothing = if list.is_empty() { self.session.undeclared().await? } else { None };
        output::show(self.global, &list, |look| nothing.unwrap_or_else(|| table(list, look)))?;
        Ok(Exit::Fine)
    }
}

fn moment(moment: Option<i64>) -> Field {
    moment.map_or(Field::Nothing, Field::Moment)
}

fn of(part: u32, whole: u32) -> Field {
    format!("{part}/{whole}").into()
}

/// Clinics as a table.
pub fn clinics(clinics: &[Clinic], look: &Look) -> String {
    let mut table = Table::new(look, ["NAME", "CLINIC", "READY", "ENROLLED", "NEXT EXPIRY", "NEXT LOOK"]);
    for clinic in clinics {
        table.row([
            (*clinic.name).into(),
            (*clinic.display_name).into(),
            of(clinic.ready, clinic.slots),
            of(clinic.enrolled, clinic.devices),
            moment(clinic.next_expiry),
            moment(clinic.wake_at),
        ]);
    }
    table.or("No clinics. Declare them in YAML and `tegata apply -f` them.")
}

fn devices(devices: &[Device], look: &Look) -> String {
    let mut table = Table::new(look, ["NAME", "PLATFORM", "PLACE", "STATE", "READY", "INSTALLERS", "DOCTOR", "LAST SEEN"]);
    for device in devices {
        table.row([
            (*device.name).into(),
            (*device.platform).into(),
            device.memo.clone().into(),
            Field::State(device.state.clone()),
            of(device.ready, device.slots),
            device.installers.to_string().into(),
            device.diagnosis.as_ref().map(Diagnosis::glance).into(),
            moment(device.last_seen),
        ]);
    }
    table.or("No devices.")
}

/// Slots as a table.
pub fn slots(slots: &[Slot], look: &Look) -> String {
    let mut table = Table::new(look, ["NAME", "STATE", "SERIAL", "EXPIRES", "PROVEN", "ACCOUNT"]);
    for slot in slots {
        table.row([
            (*slot.name).into(),
            Field::State(slot.state.clone()),
            slot.serial.clone().into(),
            moment(slot.not_after),
            moment(slot.proven_at),
            slot.account.clone().into(),
        ]);
    }
    table.or("No slots: policy puts no certificate anywhere yet.")
}

fn certificates(certificates: &[Certificate], look: &Look) -> String {
    let mut table = Table::new(look, ["SERIAL", "SLOT", "STATE", "VALID FROM", "EXPIRES", "REVOKED"]);
    for certificate in certificates {
        table.row([
            (*certificate.serial).into(),
            (*certificate.slot).into(),
            Field::State(certificate.state.clone()),
            Field::Moment(certificate.not_before),
            Field::Moment(certificate.not_after),
            moment(certificate.revoked_at),
        ]);
    }
    table.or("No certificates.")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::output::test_look;

    #[test]
    fn clinics_with_japanese_names_line_up() {
        let look = test_look();
        let clinic = |name: &str, display_name: &str| Clinic {
            name: name.into(),
            display_name: display_name.into(),
            devices: 5,
            enrolled: 4,
            slots: 6,
            ready: 4,
            next_expiry: Some(look.now.unix() + 89 * 86_400),
            wake_at: None,
        };
        let list = [clinic("sakura-naika", "さくら内科クリニック"), clinic("momiji", "Momiji")];
        expect![[r#"
            NAME          CLINIC                READY  ENROLLED  NEXT EXPIRY                 NEXT LOOK
            sakura-naika  さくら内科クリニック  4/6    4/5       2027-02-15 20:06 (in 89 d)  –
            momiji        Momiji                4/6    4/5       2027-02-15 20:06 (in 89 d)  –"#]]
        .assert_eq(&clinics(&list, &look));
    }

    #[test]
    fn a_slot_says_its_state_and_when_its_certificate_expires() {
        let look = test_look();
        let slot = Slot {
            name: "sakura/uketsuke-1/karte".into(),
            state: "ready".into(),
            serial: Some("4f1c0ddee1a2b3c4d5e6f708192a3b4c".into()),
            not_after: Some(look.now.unix() + 86_400 * 700),
            proven_at: Some(look.now.unix() - 240),
            account: None,
        };
        expect![[r#"
            NAME                     STATE  SERIAL                            EXPIRES                      PROVEN                        ACCOUNT
            sakura/uketsuke-1/karte  ready  4f1c0ddee1a2b3c4d5e6f708192a3b4c  2028-10-18 20:06 (in 700 d)  2026-11-18 20:02 (4 min ago)  –"#]]
        .assert_eq(&slots(&[slot], &look));
    }

    #[test]
    fn an_empty_list_says_what_to_do() {
        assert_eq!(clinics(&[], &test_look()), "No clinics. Declare them in YAML and `tegata apply -f` them.");
    }
}
