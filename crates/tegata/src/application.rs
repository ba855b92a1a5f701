//! `tegata application`: what was applied for at a vendor, kept until the certificate was fetched.
//!
//! The notice that comes by post holds a request ID and a reference ID, and the download asks for a PIN. Reference and PIN are sealed here, to
//! the keys that policy names for the clinic's backups: the server never has them in clear.

mod pin;

use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value;
use tegata_api::v1::application::{Application as Listed, RecordApplication, SealedPin};
use tegata_api::v1::fleet::DocumentInForce;
use tegata_core::calendar::Date;
use tegata_core::name::{ClinicName, SlotId};
use tegata_pki::sealed::seal_to;
use zeroize::Zeroizing;

use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::output::{self, Look};
use crate::session::Session;
use crate::table::{Field, Table};

/// The longest reference, in bytes: a notice holds a line.
const REFERENCE_MAX: u64 = 1_024;

/// Applications at a vendor: when a certificate was applied for, and until when it can be fetched
#[derive(Args)]
pub struct Application {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Record an application once its notice came; the reference ID is sealed to the clinic's backup keys before it leaves this machine
    #[command(
        after_help = "Example:\n  $ tegata application record --slot sakura-naika/shikaku-1/eligibility --applied 2026-10-01 --request-id A1234-56 --reference-id-file notice.txt"
    )]
    Record {
        /// The slot that the certificate is for, `clinic/device/profile`
        #[arg(long)]
        slot: SlotId,
        /// The day of the application, from which the time to fetch it counts
        #[arg(long, value_name = "YYYY-MM-DD")]
        applied: Date,
        /// The request ID of the notice
        #[arg(long, value_name = "ID")]
        request_id: String,
        /// A file with the reference ID of the notice; - is standard input
        #[arg(long, value_name = "FILE|-")]
        reference_id_file: PathBuf,
    },
    /// Close an application that nothing will come of; one whose certificate is brought in closes by itself
    #[command(after_help = "Example:\n  $ tegata application close sakura-naika/shikaku-1/eligibility")]
    Close {
        /// The slot, `clinic/device/profile`
        slot: SlotId,
    },
    /// Make the PIN that has to be chosen where the certificate is downloaded; it is shown once, and kept sealed to the clinic's backup keys
    #[command(after_help = "Example:\n  $ tegata application pin sakura-naika/shikaku-1/eligibility")]
    Pin {
        /// The slot, `clinic/device/profile`, with an open application
        slot: SlotId,
        /// Make another one although one was made before: only if that was not used at the vendor's yet, or the file is downloaded anew
        #[arg(long)]
        replace: bool,
    },
    /// Hand out the sealed PIN, on record; it is opened where one of the clinic's backup keys is
    #[command(after_help = "Example:\n  $ tegata application sealed-pin sakura-naika/shikaku-1/eligibility | age --decrypt -i key.txt")]
    SealedPin {
        /// The slot, `clinic/device/profile`
        slot: SlotId,
    },
}

impl Application {
    /// Does what was said.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let session = Session::open(global)?;
        match self.what {
            What::Pin { slot, replace } => pin::make(&session, &slot, replace, global).await?,
            What::SealedPin { slot } => {
                let handed: SealedPin = session.post(&format!("{}/sealed-pin", address(&slot)), &serde_json::json!({})).await?;
                output::show(global, &handed, |_| handed.sealed_pin.trim_end().to_owned())?;
            }
            What::Record { slot, applied, request_id, reference_id_file } => {
                let reference = reference(&reference_id_file)?;
                let documents: Vec<DocumentInForce> = session.get("documents").await?;
                let recipients = recipients(&documents, &slot.clinic);
                let sealed_reference = seal_to(reference.as_bytes(), &recipients)
                    .map_err(|source| Failure::NotSealed { clinic: slot.clinic.clone(), source })?;
                let asked = RecordApplication { slot: slot.to_string(), applied: applied.to_string(), request_id, sealed_reference };
                session.tell("applications", &asked).await?;
                let keys = if recipients.len() == 1 { "1 key".into() } else { format!("{} keys", recipients.len()) };
                output::confirm(global, &format!("Recorded for {slot}; the reference ID is sealed to {keys}: {}", recipients.join(", ")))?;
            }
            What::Close { slot } => {
                session.tell(&format!("{}/close", address(&slot)), &serde_json::json!({})).await?;
                output::confirm(global, &format!("Closed the application for {slot}."))?;
            }
        }
        Ok(Exit::Fine)
    }
}

/// Where the server has a slot's application.
fn address(slot: &SlotId) -> String {
    let home = if slot.device.clinic == slot.clinic { String::new() } else { format!("@{}", slot.device.clinic) };
    format!("applications/{}/{}{home}/{}", slot.clinic, slot.device.device, slot.profile)
}

/// Applications as a table.
pub fn table(list: &[Listed], look: &Look) -> String {
    let mut table = Table::new(look, ["SLOT", "STATE", "APPLIED", "FETCH UNTIL", "NEXT NOTICE", "REQUEST", "RECORDED BY"]);
    for application in list {
        table.row([
            (*application.slot).into(),
            Field::State(application.state.clone()),
            (*application.applied).into(),
            application.deadline.map_or(Field::Nothing, Field::Moment),
            application.next_notice.map_or(Field::Nothing, Field::Moment),
            (*application.request_id).into(),
            (*application.recorded_by).into(),
        ]);
    }
    table.or("No applications.")
}

/// Reads the reference, without what surrounds it.
fn reference(path: &PathBuf) -> Result<Zeroizing<String>, Failure> {
    let read = |source| Failure::Read { path: path.clone(), source };
    let mut text = Zeroizing::new(String::new());
    if path.as_os_str() == "-" {
        io::stdin().lock().take(REFERENCE_MAX + 1).read_to_string(&mut text).map_err(read)?;
    } else {
        fs::File::open(path).map_err(read)?.take(REFERENCE_MAX + 1).read_to_string(&mut text).map_err(read)?;
    }
    let reference = Zeroizing::new(text.trim().to_owned());
    let is_one = (1..=REFERENCE_MAX).contains(&(reference.len() as u64)) && !reference.chars().any(char::is_control);
    if is_one { Ok(reference) } else { Err(read(io::Error::other("a reference ID is one line that is not empty"))) }
}

/// The keys that policy in force names for a clinic's backups, in the order of its targets.
fn recipients(documents: &[DocumentInForce], clinic: &ClinicName) -> Vec<String> {
    let spec = |kind: &str, name: &str| {
        let document = documents.iter().find(|document| document.kind == kind && document.name == name)?;
        document.document.get("spec")
    };
    let texts = |value: Option<&Value>| {
        let list = value.and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let targets = texts(spec("ClinicNetwork", clinic.as_str()).and_then(|spec| spec.pointer("/backup/targets")));
    let mut keys: Vec<String> = Vec::new();
    for key in targets.iter().flat_map(|target| texts(spec("BackupTarget", target).and_then(|spec| spec.get("recipients")))) {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;
    use crate::output::test_look;

    fn document(kind: &str, name: &str, spec: Value) -> DocumentInForce {
        let (kind, name, author) = (kind.into(), name.into(), "person:ito".into());
        DocumentInForce { kind, name, revision: 1, author, applied_at: 0, document: json!({ "spec": spec }) }
    }

    #[test]
    fn the_reference_goes_to_every_backup_key_of_the_clinic_and_to_no_other() {
        let documents = [
            document("ClinicNetwork", "sakura", json!({ "backup": { "targets": ["nas", "office"] } })),
            document("ClinicNetwork", "momiji", json!({})),
            document("BackupTarget", "nas", json!({ "recipients": ["age1a"] })),
            document("BackupTarget", "office", json!({ "recipients": ["age1b", "age1a"] })),
            document("BackupTarget", "other", json!({ "recipients": ["age1c"] })),
        ];
        assert_eq!(recipients(&documents, &"sakura".parse().unwrap()), ["age1a", "age1b"]);
        assert_eq!(recipients(&documents, &"momiji".parse().unwrap()), [""; 0], "nobody could open it");
    }

    #[test]
    fn an_application_says_until_when_it_can_be_fetched() {
        let now = test_look().now.unix();
        let application = Listed {
            slot: "sakura/shikaku-1/eligibility".into(),
            state: "closing".into(),
            applied: "2026-07-20".into(),
            deadline: Some(now + 58 * 86_400),
            next_notice: Some(now + 28 * 86_400),
            request_id: "A1234-56".into(),
            sealed_reference: "sealed".into(),
            pin: None,
            has_pin: false,
            recorded_by: "person:ito".into(),
            closed_at: None,
        };
        expect![[r#"
            SLOT                          STATE    APPLIED     FETCH UNTIL                 NEXT NOTICE                 REQUEST   RECORDED BY
            sakura/shikaku-1/eligibility  closing  2026-07-20  2027-01-15 20:06 (in 58 d)  2026-12-16 20:06 (in 28 d)  A1234-56  person:ito"#]].assert_eq(&table(&[application], &test_look()));
    }
}
