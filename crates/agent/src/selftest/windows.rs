//! The claims about Windows that need nobody at the screen. Their numbers are those of the agent's `README.md`.

use anyhow::{Context, Result, ensure};
use rustls::SignatureScheme;
use tegata_core::name::{OrderId, Sha256};
use tegata_core::policy::KeyAlgorithm;
use tegata_pki::certificate;
use tegata_pki::key::{PrivateKey, random, sha256};

use super::store::{check, install, issued_for};
use super::{Claim, store};
use crate::keystore::windows::Windows;
use crate::keystore::windows::certificates::{Entry, Store};
use crate::keystore::windows::cng::{CngKey, Provider};
use crate::keystore::{Key, Keystore, Pair};

const ALL: [KeyAlgorithm; 3] = [KeyAlgorithm::EcdsaP256, KeyAlgorithm::Rsa2048, KeyAlgorithm::EcdsaP384];

/// Tries them all in the store of the user that this process runs as.
pub async fn try_all() -> Vec<Claim> {
    let mut claims = vec![
        Claim::tried("W1 keys of every kind are born here, sign without asking, and cannot be taken out", born().await),
        Claim::tried("W2 keys of every kind that are brought here cannot be taken out again", brought().await),
        Claim::tried("W3 RSA keys make the signatures of TLS 1.3", pss().await),
        Claim::tried("W4 Windows itself finds the key of a certificate, as Chrome has it do", found_by_windows().await),
        Claim::tried("W5 a certificate that is there without its key is given one", bound_anew().await),
        Claim::tried("W6 keys are listed by name", listed().await),
    ];
    claims.extend(store::try_all(&Windows).await);
    claims.push(Claim::tried("the intermediates of this test are gone", clean_up()));
    claims
}

async fn born() -> Result<()> {
    for algorithm in ALL {
        let pair = made(algorithm).await?;
        with(&pair, |entry| ensured_to_stay(entry, algorithm)).await?;
    }
    Ok(())
}

async fn brought() -> Result<()> {
    for algorithm in ALL {
        let pair = issued_for(PrivateKey::generate(algorithm)?.to_pkcs8().into())?;
        with(&pair, |entry| ensured_to_stay(entry, algorithm)).await?;
    }
    Ok(())
}

async fn pss() -> Result<()> {
    let pair = made(KeyAlgorithm::Rsa2048).await?;
    let fingerprint = install(&Windows, &pair).await?;
    let opened = Windows.open(fingerprint).await;
    Windows.remove(fingerprint).await?;
    match opened?.key {
        Key::Stored(key) => ensure!(key.schemes().contains(&SignatureScheme::RSA_PSS_SHA256), "it makes only {:?}", key.schemes()),
        Key::Pkcs8(_) => anyhow::bail!("it came out of the store"),
    }
    Ok(())
}

async fn found_by_windows() -> Result<()> {
    let pair = made(KeyAlgorithm::EcdsaP256).await?;
    with(&pair, |entry| Ok(entry.find_key()?)).await
}

async fn bound_anew() -> Result<()> {
    let pair = made(KeyAlgorithm::EcdsaP256).await?;
    Store::open("MY")?.add(&Entry::new(&pair.chain[0])?)?;
    with(&pair, |_| Ok(())).await
}

async fn listed() -> Result<()> {
    let pair = made(KeyAlgorithm::EcdsaP256).await?;
    with(&pair, |entry| {
        let place = entry.key_place()?.context("it has no key")?;
        ensure!(Provider::open(&place.provider)?.names()?.contains(&place.container), "{} is not listed", place.container);
        Ok(())
    })
    .await
}

async fn made(algorithm: KeyAlgorithm) -> Result<Pair> {
    issued_for(Windows.make_key(OrderId(random()), algorithm).await?.context("no key was made")?)
}

/// Installs a pair, looks at it, and removes it, whatever was seen.
async fn with(pair: &Pair, look: impl FnOnce(&Entry) -> Result<()>) -> Result<()> {
    let fingerprint = install(&Windows, pair).await?;
    let seen = async {
        check(&Windows, fingerprint, 2).await?;
        look(&entry(fingerprint)?)
    };
    let seen = seen.await;
    let place = entry(fingerprint)?.key_place()?;
    Windows.remove(fingerprint).await?;
    seen?;
    let place = place.context("it has no key")?;
    ensure!(Provider::open(&place.provider)?.key(&place.container, 0)?.is_none(), "the key is still there");
    Ok(())
}

fn ensured_to_stay(entry: &Entry, algorithm: KeyAlgorithm) -> Result<()> {
    let place = entry.key_place()?.context("it has no key")?;
    let key: CngKey = Provider::open(&place.provider)?.key(&place.container, 0)?.context("its key is not where it says")?;
    ensure!(!key.can_be_taken_out(), "a key for {algorithm:?} can be taken out of {}", place.provider);
    Ok(())
}

fn entry(fingerprint: Sha256) -> Result<Entry> {
    let found = Store::open("MY")?.entries()?.into_iter().find(|entry| sha256(entry.der()) == fingerprint);
    found.context("the certificate is not there")
}

fn clean_up() -> Result<()> {
    let ca = Store::open("CA")?;
    let is_ours = |entry: &Entry| certificate::read(entry.der()).is_ok_and(|read| read.common_name.as_deref() == Some("Tegata selftest"));
    ca.entries()?.iter().filter(|entry| is_ours(entry)).try_for_each(|entry| ca.remove(entry))?;
    Ok(())
}
