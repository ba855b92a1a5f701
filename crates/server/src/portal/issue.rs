//! From an application to a file: a key in memory, the exact bytes on record, a signature, a PKCS#12 file, and a password shown once.

use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_core::name::{Label, Serial};
use tegata_core::policy::{BundleFlavor, KeyAlgorithm, Names};
use tegata_core::time::Timestamp;
use tegata_pki::authority::{Purpose, Tbs, new_serial};
use tegata_pki::certificate;
use tegata_pki::key::{KeyError, PrivateKey, sha256};
use tegata_pki::pkcs12::{self, Flavor};
use zeroize::Zeroizing;

use super::{Desk, Place, PortalError, nudge, said};
use crate::audit::Recorded;
use crate::issuers::authorities::Issuing;
use crate::issuers::publication::Part;
use crate::issuers::signer::{Validity, intent};
use crate::store::portal::{AccountId, MEMO_TAKEN, NO_ROOM, PortalChange, PortalDraft, PortalIssued};
use crate::store::revocation::Shard;
use crate::store::{Batch, Change, Personal, StoreError};

/// How often a number is drawn again when somebody else was faster.
const ATTEMPTS: u32 = 5;
/// The longest facility label: what a clinic's own may have.
const LABEL_MAX: usize = 32;

/// What somebody applies for, once it is understood.
#[derive(Debug, Clone)]
pub struct Application {
    /// Which PC or person it is for.
    pub memo: Label,
    /// The facility label.
    pub label: Option<String>,
    /// What people note about it.
    pub remarks: String,
    /// The certificate that it follows, and its number.
    pub follows: Option<(Serial, u64)>,
}

impl Application {
    /// Reads what was filled in.
    ///
    /// # Errors
    /// [`PortalError`]: what is wrong with the memo or the label.
    pub fn read(memo: &str, label: &str) -> Result<Self, PortalError> {
        let (memo, label) = (memo.trim(), label.trim());
        if memo.is_empty() {
            return Err(PortalError::NoMemo);
        }
        let memo = memo.parse().map_err(|_| PortalError::UnreadableMemo)?;
        if label.len() > LABEL_MAX || !label.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(PortalError::BadLabel);
        }
        let label = Some(label.to_owned()).filter(|label| !label.is_empty());
        Ok(Self { memo, label, remarks: String::new(), follows: None })
    }
}

/// What is handed over. The password is nowhere else.
pub struct Handed {
    /// The certificate's serial number.
    pub serial: Serial,
    /// What everything is called.
    pub names: Names,
    /// Opens the file. 100 random bits.
    pub password: Zeroizing<String>,
    /// Last moment of validity.
    pub not_after: Timestamp,
}

impl Desk {
    /// Issues what was applied for.
    ///
    /// # Errors
    /// [`PortalError`]; nothing is half-kept then.
    pub async fn issue(&self, place: &Place, account: &AccountId, actor: &str, wanted: &Application) -> Result<Handed, PortalError> {
        let key = new_key(place.portal().flavor).await?;
        for _ in 0..ATTEMPTS {
            match self.attempt(place, account, actor, wanted, &key).await {
                Err(PortalError::Store(StoreError::Conflict(MEMO_TAKEN))) => return Err(PortalError::MemoTaken),
                Err(PortalError::Store(StoreError::Conflict(NO_ROOM))) => return Err(self.full(place, account).await?),
                Err(PortalError::Store(StoreError::Conflict(_))) => {}
                settled => return settled,
            }
        }
        Err(PortalError::Busy)
    }

    /// Forgets intentions whose keys went with an earlier process: no certificate of theirs was ever handed over.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn forget_drafts(&self) -> Result<(), StoreError> {
        for draft in self.ledger.store().portal_drafts().await? {
            self.abandon(&draft).await?;
        }
        Ok(())
    }

    async fn attempt(
        &self,
        place: &Place,
        account: &AccountId,
        actor: &str,
        wanted: &Application,
        key: &PrivateKey,
    ) -> Result<Handed, PortalError> {
        let issuing = self.authorities.issuer(place.tenant(), &place.issuer).await?;
        let n = match wanted.follows {
            Some((_, n)) => n,
            None => self.ledger.store().portal_next(place.tenant(), &place.issuer).await?,
        };
        let names = place.portal().names(place.tenant(), place.clinic(), wanted.label.as_deref(), n);
        let shard = self.shards.next(&self.ledger, &self.publication, place.tenant(), &place.issuer).await?;
        let draft = self.draft(place, account, wanted, key, &issuing, &names, (n, shard))?;
        let tbs = Tbs { bytes: draft.tbs.clone() };
        let mut details = intent(draft.serial, &tbs, &draft.public_key);
        details["memo"] = json!(Personal(&draft.memo));
        details["commonName"] = draft.common_name.clone().into();
        details["label"] = draft.label.clone().into();
        details["replaces"] = draft.replaces.map(|serial| serial.to_string()).into();
        let record = said(account, actor, Stage::Intended, "portal.sign", draft.applied_at, details);
        let room = super::account::room(place, account, draft.applied_at);
        let change = Change::Portal(PortalChange::PutDraft { draft: Box::new(draft.clone()), room });
        let recorded = self.ledger.record(tbs, Batch { records: vec![record], changes: vec![change] }).await?;
        let finished = self.finish(place, account, actor, &draft, &names, key, &issuing, &recorded).await;
        if finished.is_err() {
            self.abandon(&draft).await?;
        }
        finished
    }

    #[allow(clippy::too_many_arguments, reason = "what goes into one certificate, each of another kind")]
    fn draft(
        &self,
        place: &Place,
        account: &AccountId,
        wanted: &Application,
        key: &PrivateKey,
        issuing: &Issuing,
        names: &Names,
        (n, shard): (u64, Shard),
    ) -> Result<PortalDraft, PortalError> {
        let (now, serial) = (self.clock.now(), new_serial());
        let validity = Validity::from_now(now, place.portal().validity);
        let purpose = Purpose::Client {
            common_name: names.common_name.clone(),
            organization: names.organization.clone(),
            unique: serial.to_string(),
            crl_url: Some(self.publication.list(place.tenant(), &place.issuer, Part::Shard(shard))),
            ocsp_url: Some(self.publication.ocsp(place.tenant(), &place.issuer)),
        };
        let public_key = key.public_key();
        let tbs = issuing.signer.draft(&purpose, &public_key, serial, validity)?;
        Ok(PortalDraft {
            serial,
            account: account.clone(),
            issuer: place.issuer.clone(),
            shard,
            n,
            common_name: names.common_name.clone(),
            organization: names.organization.clone(),
            memo: wanted.memo.to_string(),
            label: wanted.label.clone(),
            remarks: wanted.remarks.clone(),
            file_name: names.file_name.clone(),
            public_key: sha256(&public_key),
            tbs: tbs.bytes,
            not_after: validity.not_after.min(issuing.signer.not_after()),
            applied_at: now,
            replaces: wanted.follows.map(|(serial, _)| serial),
        })
    }

    #[allow(clippy::too_many_arguments, reason = "what goes into one file, each of another kind")]
    async fn finish(
        &self,
        place: &Place,
        account: &AccountId,
        actor: &str,
        draft: &PortalDraft,
        names: &Names,
        key: &PrivateKey,
        issuing: &Issuing,
        recorded: &Recorded<Tbs>,
    ) -> Result<Handed, PortalError> {
        let der = issuing.signer.sign(recorded)?;
        let (fingerprint, password) = (sha256(&der), pkcs12::new_password());
        let chain = chain(der.clone(), issuing)?;
        let flavor = match place.portal().flavor {
            BundleFlavor::Modern => Flavor::Modern,
            BundleFlavor::Legacy => Flavor::Legacy,
        };
        let bundle = pkcs12::write(flavor, key, &chain, &names.friendly_name, &password)?;
        let at = self.clock.now();
        let details = json!({
            "serial": draft.serial.to_string(), "fingerprint": fingerprint.to_string(), "memo": Personal(&draft.memo),
            "fileSha256": sha256(&bundle).to_string(), "notAfter": draft.not_after.unix(),
        });
        let record = said(account, actor, Stage::Done, "portal.issue", at, details);
        let issued = PortalIssued { serial: draft.serial, der, fingerprint, bundle, at };
        let changes = vec![Change::Portal(PortalChange::Fulfil(issued)), nudge(account, at)];
        self.ledger.record((), Batch { records: vec![record], changes }).await?;
        self.bells.ring_turn();
        Ok(Handed { serial: draft.serial, names: names.clone(), password, not_after: draft.not_after })
    }

    async fn abandon(&self, draft: &PortalDraft) -> Result<(), StoreError> {
        let details = json!({ "serial": draft.serial.to_string() });
        let record = said(&draft.account, crate::audit::TEGATA, Stage::Done, "portal.abandon", self.clock.now(), details);
        let change = Change::Portal(PortalChange::Abandon { serial: draft.serial });
        match self.ledger.record((), Batch { records: vec![record], changes: vec![change] }).await {
            // It is gone already, or it was issued after all.
            Err(StoreError::Conflict(_)) => Ok(()),
            recorded => recorded.map(|_| ()),
        }
    }
}

/// Systems that read only old files want RSA as well. Making such a key takes a while, so that others go on meanwhile.
async fn new_key(flavor: BundleFlavor) -> Result<PrivateKey, PortalError> {
    let algorithm = match flavor {
        BundleFlavor::Modern => KeyAlgorithm::EcdsaP256,
        BundleFlavor::Legacy => KeyAlgorithm::Rsa2048,
    };
    let made = tokio::task::spawn_blocking(move || PrivateKey::generate(algorithm)).await;
    Ok(made.map_err(|error| KeyError { problem: error.to_string() })??)
}

fn chain(own: Vec<u8>, issuing: &Issuing) -> Result<Vec<Vec<u8>>, PortalError> {
    let above = certificate::read_pem(&issuing.bundle()).map_err(|error| KeyError { problem: error.to_string() })?;
    Ok(std::iter::once(own).chain(above.into_iter().map(|certificate| certificate.der)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_in_is_read_or_refused_in_words() {
        let read = |memo: &str, label: &str| Application::read(memo, label);
        assert!(matches!(read("", ""), Err(PortalError::NoMemo)));
        assert!(matches!(read("\u{3000} ", ""), Err(PortalError::NoMemo)));
        assert!(matches!(read(&"あ".repeat(65), ""), Err(PortalError::UnreadableMemo)));
        assert!(matches!(read("受付\u{202e}1番", ""), Err(PortalError::UnreadableMemo)));
        for label in ["ＥＡＳＴ", "east-2", "east 2", "東", &"a".repeat(33)] {
            assert!(matches!(read("受付1番", label), Err(PortalError::BadLabel)), "{label}");
        }
        let read = read(" 受付1番 ", "EAST2").unwrap();
        assert_eq!((read.memo.as_str(), read.label.as_deref()), ("受付1番", Some("EAST2")));
    }
}
