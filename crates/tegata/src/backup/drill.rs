//! `tegata backup drill`: opens every copy here, with a key of the clinic's own, and says what that proves.

use std::path::PathBuf;

use clap::Args;
use data_encoding::BASE64;
use serde::Serialize;
use tegata_api::v1::backup::{Backup, DrillReport, Drilled, FetchRequest, Fetched, Manifest};
use tegata_core::name::{ClinicName, SlotId, TargetName};
use tegata_pki::bundle::quorum::{Fault, QuorumError};
use tegata_pki::bundle::{self, DeviceKey, folder};
use tegata_pki::key::sha256;

use super::{RestoreError, identities, keys, path_of};
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
    after_help = "Examples:\n  $ tegata backup drill --identity key.txt\n  $ tegata backup drill --identity key.txt --clinic sakura-naika --target offsite\n  $ tegata backup drill --identity director.txt --identity office.txt"
)]
pub struct Drill {
    /// The secret half of one of the clinics' backup keys: a file as age-keygen writes it. Say it again for each key where it takes several
    #[arg(long = "identity", value_name = "FILE", required = true)]
    identities: Vec<PathBuf>,
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
    /// How many more keys of its keepers it takes to find anything out.
    #[serde(skip_serializing_if = "Option::is_none")]
    keys_missing: Option<usize>,
    /// Whose shares are not what they should be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    bad_shares: Vec<String>,
    /// Why it was not even read, if it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    unread: Option<String>,
}

impl Drill {
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let keys = identities(&self.identities)?;
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
        Self { unread: Some(problem.to_string()), ..Self::nothing(backup) }
    }

    fn nothing(backup: &Backup) -> Self {
        let (slot, target) = (backup.slot.clone(), backup.target.clone());
        Self { slot, target, outcome: None, keys_missing: None, bad_shares: vec![], unread: None }
    }

    fn word(&self) -> String {
        let word = self.said();
        if self.bad_shares.is_empty() { word } else { format!("{word} ({})", self.bad_shares.join("; ")) }
    }

    fn said(&self) -> String {
        match (self.outcome, &self.unread) {
            (Some(Drilled::Opened), _) => "opened: its key is the certificate's own".into(),
            (Some(Drilled::Altered), _) => "damaged: it is put there again".into(),
            (Some(Drilled::Closed), _) => "cannot be opened: import the vendor's file again".into(),
            (Some(Drilled::OtherContent), _) => "another certificate's: import the vendor's file again".into(),
            (None, Some(why)) => format!("not read: {why}"),
            (None, None) if self.keys_missing == Some(1) => "1 more of its keepers' keys is needed: nothing was found out".into(),
            (None, None) if self.keys_missing.is_some() => {
                format!("{} more of its keepers' keys are needed: nothing was found out", self.keys_missing.unwrap_or_default())
            }
            (None, None) => "not sealed to this identity: nothing was found out".into(),
        }
    }
}

async fn one(session: &Session, backup: &Backup, keys: &[DeviceKey]) -> Result<Found, Failure> {
    let target = backup.target.clone();
    let named: SlotId = backup.slot.parse().map_err(|_| Failure::NewerServer)?;
    let path = path_of(&named);
    let request = FetchRequest { target: Some(target.clone()), kind: Some(backup.kind.clone()), id: Some(backup.id.clone()) };
    let fetched: Fetched = session.post(&format!("{path}/fetch"), &request).await?;
    let sealed = BASE64.decode(fetched.sealed.as_bytes()).unwrap_or_default();
    let proof = prove(&fetched.manifest, &sealed, keys);
    if let Some(outcome) = proof.outcome {
        session.tell(&format!("{path}/drill"), &DrillReport { id: backup.id.clone(), target: target.clone(), outcome }).await?;
    }
    let bad_shares = proof.faults.iter().map(ToString::to_string).collect();
    Ok(Found { outcome: proof.outcome, keys_missing: proof.keys_missing, bad_shares, ..Found::nothing(backup) })
}

/// What a copy is worth to whoever has some keys.
#[derive(Default)]
struct Proof {
    /// `None` if it was not sealed to these in the first place, or if it takes more.
    outcome: Option<Drilled>,
    /// How many more it takes, of somebody who has some.
    keys_missing: Option<usize>,
    /// What is wrong with shares.
    faults: Vec<Fault>,
}

impl From<Drilled> for Proof {
    fn from(outcome: Drilled) -> Self {
        Self { outcome: Some(outcome), ..Self::default() }
    }
}

/// Opens a copy and looks at what is in it. What is opened is wiped at once. A copy with a bad share counts no more, even if others open it:
/// with one more key lost it would be gone.
fn prove(manifest: &Manifest, sealed: &[u8], identities: &[DeviceKey]) -> Proof {
    if sha256(sealed).to_string() != manifest.sha256 {
        return Drilled::Altered.into();
    }
    match keys::still_needed(&manifest.recipients, manifest.threshold, identities) {
        None => return Proof::default(),
        Some(0) => {}
        keys_missing => return Proof { keys_missing, ..Proof::default() },
    }
    let is_right = match manifest.kind.as_str() {
        "file" => keys::opened_and_told(sealed, identities, |key| bundle::unseal(sealed, key)).map(|(content, faults)| {
            // Opening it compares its key with its certificate.
            (content.open().is_ok_and(|(_, facts)| facts.fingerprint.to_string() == manifest.fingerprint), faults)
        }),
        _ => {
            keys::opened_and_told(sealed, identities, |key| folder::unseal(sealed, key)).map(|(files, faults)| (!files.is_empty(), faults))
        }
    };
    match is_right {
        Ok((true, faults)) if faults.is_empty() => Drilled::Opened.into(),
        Ok((true, faults)) | Err(RestoreError::Quorum(QuorumError::Missing { faults, .. })) => {
            Proof { outcome: Some(Drilled::Closed), faults, ..Proof::default() }
        }
        Ok((false, _)) => Drilled::OtherContent.into(),
        Err(_) => Drilled::Closed.into(),
    }
}

#[cfg(test)]
mod tests {
    use tegata_core::backup::Keepers;
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
            threshold: 1,
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
            prove(manifest, sealed, std::slice::from_ref(&self.key)).outcome
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

    /// Sealed for two of three keepers.
    fn for_two_of_three() -> (Vec<DeviceKey>, Vec<u8>, Manifest) {
        let keys: Vec<DeviceKey> = (0..3).map(|_| DeviceKey::generate()).collect();
        let (content, fingerprint) = file();
        let of: Vec<String> = keys.iter().map(DeviceKey::recipient).collect();
        let sealed = bundle::seal_for(&content, &[], &Keepers { threshold: 2, of: of.clone() }).unwrap();
        let manifest = Manifest { threshold: 2, ..manifest(&sealed, &fingerprint, &of) };
        (keys, sealed, manifest)
    }

    #[test]
    fn f9_where_it_takes_two_one_finds_nothing_out_and_two_prove_it() {
        let (keys, sealed, manifest) = for_two_of_three();
        let one = prove(&manifest, &sealed, &keys[..1]);
        assert_eq!((one.outcome, one.keys_missing), (None, Some(1)));
        assert_eq!(prove(&manifest, &sealed, &keys[1..]).outcome, Some(Drilled::Opened));
        assert_eq!(prove(&manifest, &sealed, &keys).outcome, Some(Drilled::Opened));
        let stranger = prove(&manifest, &sealed, &[DeviceKey::generate()]);
        assert_eq!((stranger.outcome, stranger.keys_missing), (None, None));
    }

    #[test]
    fn f9_a_share_that_was_sealed_wrongly_is_found_although_the_others_open_it() {
        let (keys, sealed, said) = for_two_of_three();
        let (_, other, _) = for_two_of_three();
        let first_file = |bytes: &[u8]| {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            let start = text.find("-----BEGIN").unwrap();
            text[start..start + text[start..].find("-----END").unwrap()].to_owned()
        };
        let text = String::from_utf8(sealed).unwrap();
        let bad = text.replace(&first_file(text.as_bytes()), &first_file(&other)).into_bytes();
        let manifest = Manifest { sha256: sha256(&bad).to_string(), ..said };
        for keys in [&keys[..2], &keys[..]] {
            let found = prove(&manifest, &bad, keys);
            assert_eq!((found.outcome, found.faults.len()), (Some(Drilled::Closed), 1));
            assert_eq!(found.faults[0].keeper, keys[0].recipient(), "it is said whose");
        }
    }
}
