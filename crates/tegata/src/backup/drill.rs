//! `tegata backup drill`: opens every copy here, with a key of the clinic's own, and says what that proves.

use std::path::PathBuf;

use clap::Args;
use data_encoding::BASE64;
use serde::Serialize;
use tegata_api::v1::backup::{Backup, DrillReport, Drilled, FetchRequest, Fetched, Manifest};
use tegata_core::name::{ClinicName, SlotId, TargetName};
use tegata_pki::bundle::{self, DeviceKey, folder};
use tegata_pki::key::sha256;

use super::{each, identities, path_of};
use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::session::Session;
use crate::table::Table;

/// Prove that copies can be restored, by opening each of them here
///
/// Every copy is fetched from its target and opened in memory; its key has to be the one of the certificate that was backed up. Nothing is
/// written and no key is sent: the server is told what was found. What cannot be read is told, and the others are opened all the same; where
/// policy wants two people for a read, each copy takes its own word (`tegata backup approve`), and the drill is said again. A copy that is damaged is put there again; one that cannot be opened, or
/// holds something else, counts no more until the vendor's file is imported again.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  $ tegata backup drill --identity key.txt\n  $ tegata backup drill --identity key.txt --clinic sakura-naika --target offsite"
)]
pub struct Drill {
    /// The secret half of one of the clinics' backup keys: a file as age-keygen writes it
    #[arg(long, value_name = "FILE")]
    identity: PathBuf,
    /// Only this clinic's
    #[arg(long, value_name = "NAME")]
    clinic: Option<ClinicName>,
    /// Only in this target
    #[arg(long, value_name = "NAME")]
    target: Option<TargetName>,
}

/// What was found of one copy.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    slot: String,
    target: String,
    /// `None`: nothing was found out.
    outcome: Option<Drilled>,
    /// Why it was not even read, if it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    unread: Option<String>,
}

impl Drill {
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let keys = identities(&self.identity)?;
        let session = Session::open(global)?;
        let query = self.clinic.as_ref().map(|clinic| format!("?clinic={clinic}")).unwrap_or_default();
        let backups: Vec<Backup> = session.get(&format!("backups{query}")).await?;
        let is_meant =
            |backup: &&Backup| backup.stored_at.is_some() && self.target.as_ref().is_none_or(|target| target.as_str() == backup.target);
        let mut found = Vec::new();
        for backup in backups.iter().filter(is_meant) {
            let unread = |problem: &Failure| Found::unread(backup, problem);
            found.push(one(&session, backup, &keys).await.unwrap_or_else(|problem| unread(&problem)));
        }
        output::show(global, &found, |look| {
            let mut table = Table::new(look, ["SLOT", "TARGET", "FOUND"]);
            for one in &found {
                table.row([(*one.slot).into(), (*one.target).into(), one.word().into()]);
            }
            table.or("There is no copy to be opened.")
        })?;
        let is_bad = found.iter().any(|one| one.outcome.is_some_and(|outcome| outcome != Drilled::Opened));
        let is_unread = found.iter().any(|one| one.unread.is_some());
        Ok(if is_bad {
            Exit::Bundle
        } else if is_unread {
            Exit::Error
        } else {
            Exit::Fine
        })
    }
}

impl Found {
    fn unread(backup: &Backup, problem: &Failure) -> Self {
        Self { slot: backup.slot.clone(), target: backup.target.clone(), outcome: None, unread: Some(problem.to_string()) }
    }

    fn word(&self) -> String {
        match (self.outcome, &self.unread) {
            (Some(Drilled::Opened), _) => "opened: its key is the certificate's own".into(),
            (Some(Drilled::Altered), _) => "damaged: it is put there again".into(),
            (Some(Drilled::Closed), _) => "cannot be opened: import the vendor's file again".into(),
            (Some(Drilled::OtherContent), _) => "another certificate's: import the vendor's file again".into(),
            (None, Some(why)) => format!("not read: {why}"),
            (None, None) => "not sealed to this identity: nothing was found out".into(),
        }
    }
}

async fn one(session: &Session, backup: &Backup, keys: &[DeviceKey]) -> Result<Found, Failure> {
    let (slot, target) = (backup.slot.clone(), backup.target.clone());
    let named: SlotId = slot.parse().map_err(|_| Failure::NewerServer)?;
    let path = path_of(&named);
    let request = FetchRequest { target: Some(target.clone()), kind: Some(backup.kind.clone()), id: Some(backup.id.clone()) };
    let fetched: Fetched = session.post(&format!("{path}/fetch"), &request).await?;
    let sealed = BASE64.decode(fetched.sealed.as_bytes()).unwrap_or_default();
    let outcome = prove(&fetched.manifest, &sealed, keys);
    if let Some(outcome) = outcome {
        session.tell(&format!("{path}/drill"), &DrillReport { id: backup.id.clone(), target: target.clone(), outcome }).await?;
    }
    Ok(Found { slot, target, outcome, unread: None })
}

/// What a copy is worth to whoever has these keys; `None` if it was not sealed to them in the first place. What is opened is wiped at once.
fn prove(manifest: &Manifest, sealed: &[u8], keys: &[DeviceKey]) -> Option<Drilled> {
    if sha256(sealed).to_string() != manifest.sha256 {
        return Some(Drilled::Altered);
    }
    if !keys.iter().any(|key| manifest.recipients.contains(&key.recipient())) {
        return None;
    }
    let is_right = match manifest.kind.as_str() {
        "file" => each(keys, |key| bundle::unseal(sealed, key)).map(|content| {
            // Opening it compares its key with its certificate.
            content.open().is_ok_and(|(_, facts)| facts.fingerprint.to_string() == manifest.fingerprint)
        }),
        _ => each(keys, |key| folder::unseal(sealed, key)).map(|files| !files.is_empty()),
    };
    Some(match is_right {
        Ok(true) => Drilled::Opened,
        Ok(false) => Drilled::OtherContent,
        Err(_) => Drilled::Closed,
    })
}

#[cfg(test)]
mod tests {
    use tegata_core::policy::KeyAlgorithm;
    use tegata_core::time::{DAY, Timestamp};
    use tegata_pki::authority::{Authority, Purpose, new_serial};
    use tegata_pki::bundle::Content;
    use tegata_pki::key::PrivateKey;
    use tegata_pki::pkcs12::{self, Flavor};

    use super::*;

    /// A vendor's file, and the fingerprint of its certificate.
    fn file() -> (Content, String) {
        let now = Timestamp::from_unix(1_800_000_000);
        let root = Authority::new_root("Vendor", "vendor", now, now.after(DAY * 10)).unwrap();
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let purpose = Purpose::Identity { common_name: "client1".into(), organization: "u1".into() };
        let tbs = root.draft(&purpose, &key.public_key(), new_serial(), now, now.after(DAY)).unwrap();
        let der = root.sign(&tbs).unwrap();
        let file = pkcs12::write(Flavor::Modern, &key, std::slice::from_ref(&der), "client1", "pw").unwrap();
        (Content::new("client1.p12", "pw", &file), sha256(&der).to_string())
    }

    fn manifest(sealed: &[u8], fingerprint: &str, recipients: &[String]) -> Manifest {
        Manifest {
            tenant: "aozora".into(),
            clinic: "sakura".into(),
            slot: "sakura/pc-1/weborca".into(),
            kind: "file".into(),
            id: "01".repeat(16),
            order: "02".repeat(16),
            fingerprint: fingerprint.into(),
            sha256: sha256(sealed).to_string(),
            size: sealed.len() as u64,
            recipients: recipients.to_vec(),
            sealed_at: 0,
            not_after: 0,
        }
    }

    struct Scene {
        key: DeviceKey,
        sealed: Vec<u8>,
        fingerprint: String,
    }

    impl Scene {
        fn set() -> Self {
            let (key, (content, fingerprint)) = (DeviceKey::generate(), file());
            let sealed = bundle::seal(&content, &[key.recipient()]).unwrap();
            Self { key, sealed, fingerprint }
        }

        fn manifest(&self) -> Manifest {
            manifest(&self.sealed, &self.fingerprint, &[self.key.recipient()])
        }

        fn prove(&self, manifest: &Manifest, sealed: &[u8]) -> Option<Drilled> {
            prove(manifest, sealed, std::slice::from_ref(&self.key))
        }
    }

    #[test]
    fn s4_what_opens_and_is_the_certificates_own_is_proven() {
        let scene = Scene::set();
        assert_eq!(scene.prove(&scene.manifest(), &scene.sealed), Some(Drilled::Opened));
    }

    #[test]
    fn s4_a_flipped_bit_is_found_wherever_it_is() {
        let scene = Scene::set();
        for index in [0, scene.sealed.len() / 2, scene.sealed.len() - 1] {
            let mut flipped = scene.sealed.clone();
            flipped[index] ^= 1;
            assert_eq!(scene.prove(&scene.manifest(), &flipped), Some(Drilled::Altered), "{index}");
            // Even if the manifest was made of the damaged one.
            let of_damaged = manifest(&flipped, &scene.fingerprint, &[scene.key.recipient()]);
            assert_eq!(scene.prove(&of_damaged, &flipped), Some(Drilled::Closed), "{index}");
        }
    }

    #[test]
    fn s4_a_truncated_copy_is_found() {
        let scene = Scene::set();
        for length in [0, 30, scene.sealed.len() - 1] {
            let cut = &scene.sealed[..length];
            assert_eq!(scene.prove(&scene.manifest(), cut), Some(Drilled::Altered), "{length}");
            let of_cut = manifest(cut, &scene.fingerprint, &[scene.key.recipient()]);
            assert_eq!(scene.prove(&of_cut, cut), Some(Drilled::Closed), "{length}");
        }
    }

    #[test]
    fn s4_a_copy_that_was_sealed_to_somebody_else_than_it_says_is_found() {
        let (scene, stranger) = (Scene::set(), DeviceKey::generate());
        let (content, fingerprint) = file();
        let to_stranger = bundle::seal(&content, &[stranger.recipient()]).unwrap();
        let lies = manifest(&to_stranger, &fingerprint, &[scene.key.recipient()]);
        assert_eq!(scene.prove(&lies, &to_stranger), Some(Drilled::Closed));
        let says_so = manifest(&to_stranger, &fingerprint, &[stranger.recipient()]);
        assert_eq!(scene.prove(&says_so, &to_stranger), None, "the wrong identity is no fault of the copy's");
    }

    #[test]
    fn s4_a_backup_of_yesterdays_key_is_found() {
        let (today, yesterday) = (Scene::set(), Scene::set());
        let (content, _) = file();
        let old = bundle::seal(&content, &[today.key.recipient()]).unwrap();
        assert_ne!(today.fingerprint, yesterday.fingerprint);
        let wrong = manifest(&old, &today.fingerprint, &[today.key.recipient()]);
        assert_eq!(today.prove(&wrong, &old), Some(Drilled::OtherContent));
    }
}
