//! What every store of certificates has to do, tried with throw-away certificates in the user's own one.

use anyhow::{Result, ensure};
use tegata_core::name::{Sha256, SlotId};
use tegata_core::policy::KeyAlgorithm;
use tegata_core::time::{DAY, Timestamp};
use tegata_pki::authority::{Authority, Purpose, new_serial};
use tegata_pki::key::{PrivateKey, sha256};

use super::Claim;
use crate::keystore::{Key, Keystore, Pair};

/// Tries it all.
pub async fn try_all(store: &dyn Keystore) -> Vec<Claim> {
    vec![
        Claim::tried("a key of every kind that is put in signs, and goes with its certificate", put_in(store).await),
        Claim::tried("of two certificates with the same subject the right one is removed", remove_one(store).await),
    ]
}

async fn put_in(store: &dyn Keystore) -> Result<()> {
    for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::Rsa2048, KeyAlgorithm::EcdsaP384] {
        let fingerprint = install(store, &pair(algorithm)?).await?;
        let checked = check(store, fingerprint, 2).await;
        let removed = store.remove(fingerprint).await;
        checked?;
        ensure!(removed? && !store.holds(fingerprint).await?, "a certificate for {algorithm:?} is still there");
    }
    Ok(())
}

async fn remove_one(store: &dyn Keystore) -> Result<()> {
    let kept = install(store, &pair(KeyAlgorithm::EcdsaP256)?).await?;
    let gone = install(store, &pair(KeyAlgorithm::EcdsaP256)?).await?;
    let removed = store.remove(gone).await;
    let checked = check(store, kept, 2).await;
    store.remove(kept).await?;
    ensure!(removed?, "it was not found");
    checked
}

/// It is listed, comes with its intermediates, and signs.
pub(super) async fn check(store: &dyn Keystore, fingerprint: Sha256, chain: usize) -> Result<()> {
    ensure!(store.list().await?.contains(&fingerprint), "what was put in is not listed");
    let opened = store.open(fingerprint).await?;
    ensure!(opened.chain.len() == chain, "{} certificates come along, not {chain}", opened.chain.len());
    ensure!(opened.can_sign()?, "its key does not sign for it");
    opened.for_tls()?;
    Ok(())
}

pub(super) async fn install(store: &dyn Keystore, pair: &Pair) -> Result<Sha256> {
    let slot: SlotId = "selftest/pc/selftest".parse()?;
    store.install(&slot, pair, "Tegata selftest").await?;
    Ok(sha256(&pair.chain[0]))
}

fn pair(algorithm: KeyAlgorithm) -> Result<Pair> {
    issued_for(PrivateKey::generate(algorithm)?.to_pkcs8().into())
}

/// A certificate, valid for a day, and its intermediate.
pub(super) fn issued_for(key: Key) -> Result<Pair> {
    let now = Timestamp::from_unix(crate::wall_clock());
    let root = Authority::new_root("Tegata selftest root", "selftest", now.before(DAY), now.after(DAY))?;
    let issuing = root.new_issuing("Tegata selftest", "selftest", now.before(DAY), now.after(DAY))?;
    let (common_name, organization, unique) = ("selftest".to_owned(), "selftest".to_owned(), "1".to_owned());
    let purpose = Purpose::Client { common_name, organization, unique, crl_url: None, ocsp_url: None };
    let tbs = issuing.draft(&purpose, &key.public_key()?, new_serial(), now.before(DAY), now.after(DAY))?;
    Ok(Pair { chain: vec![issuing.sign(&tbs)?, issuing.certificate().to_vec()], key })
}
