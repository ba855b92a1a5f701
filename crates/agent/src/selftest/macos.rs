//! The claims about macOS that need nobody at the screen. Their numbers are those of the agent's `README.md`.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use tegata_core::name::SlotId;
use tegata_core::policy::KeyAlgorithm;
use tegata_core::time::{DAY, Timestamp};
use tegata_pki::authority::{Authority, Purpose, new_serial};
use tegata_pki::key::{PrivateKey, sha256};

use super::Claim;
use crate::home::Home;
use crate::keystore::macos::Keychain;
use crate::keystore::{Keystore, Pair};
use crate::state::State;

/// Tries them all with a keychain of its own, as the user of `home`.
pub async fn try_all(home: &Path, tool: &Path, macos: Option<u32>) -> Vec<Claim> {
    let files = [
        Claim::tried("12 no link is followed, and no file is replaced by one that is moved", try_files()),
        Claim::tried("13 the folder Downloads can be looked into, or it is said that it cannot", look_into_downloads(home)),
    ];
    let keychain = match scratch(home, tool, macos) {
        Ok((folder, keychain)) => try_keychain(&keychain).await.into_iter().chain([clean_up(folder, &keychain).await]).collect(),
        Err(problem) => vec![Claim::tried("1 a keychain can be made", Err::<(), _>(problem))],
    };
    keychain.into_iter().chain(files).collect()
}

fn scratch(home: &Path, tool: &Path, macos: Option<u32>) -> Result<(tempfile::TempDir, Keychain)> {
    let folder = tempfile::tempdir()?;
    let keychain = Keychain::with(&State::make(folder.path())?, home, tool, macos)?;
    Ok((folder, keychain))
}

async fn try_keychain(keychain: &Keychain) -> Vec<Claim> {
    vec![
        Claim::tried("1-4 keys of every kind are put into a keychain of our own", put_in(keychain).await),
        Claim::tried("3 the other keychains stay in the user's list", others_stay(keychain).await),
        Claim::tried("5-6 a certificate is listed, and its key given out without asking", give_out(keychain).await),
        Claim::tried("7 key and certificate are removed by SHA-256, and nothing else is", remove_one(keychain).await),
    ]
}

async fn put_in(keychain: &Keychain) -> Result<()> {
    for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Rsa2048] {
        install(keychain, algorithm).await?;
    }
    Ok(())
}

async fn others_stay(keychain: &Keychain) -> Result<()> {
    let before = keychain.search_list().await?;
    install(keychain, KeyAlgorithm::EcdsaP256).await?;
    ensure!(keychain.search_list().await? == before, "an install has changed the list again: {before:?}");
    ensure!(before.len() > 1, "ours is the only one in the list: {before:?}");
    Ok(())
}

async fn give_out(keychain: &Keychain) -> Result<()> {
    let pair = install(keychain, KeyAlgorithm::EcdsaP256).await?;
    let listed = keychain.list().await?;
    ensure!(pair.chain.iter().all(|one| listed.contains(&sha256(one))), "a certificate that was put in is not listed");
    let opened = keychain.open(sha256(&pair.chain[0])).await?;
    ensure!(opened.chain == pair.chain && opened.can_sign()?, "what came out is not what was put in");
    Ok(())
}

async fn remove_one(keychain: &Keychain) -> Result<()> {
    let (kept, gone) = (install(keychain, KeyAlgorithm::EcdsaP256).await?, install(keychain, KeyAlgorithm::EcdsaP256).await?);
    ensure!(keychain.remove(sha256(&gone.chain[0])).await?, "it was not found");
    ensure!(!keychain.holds(sha256(&gone.chain[0])).await?, "it is still there");
    ensure!(keychain.open(sha256(&kept.chain[0])).await?.can_sign()?, "another key has gone with it");
    Ok(())
}

async fn clean_up(folder: tempfile::TempDir, keychain: &Keychain) -> Claim {
    let discarded = keychain.discard().await.map_err(anyhow::Error::from);
    Claim::tried("the keychain of this test is gone", discarded.and_then(|()| Ok(folder.close()?)))
}

async fn install(keychain: &Keychain, algorithm: KeyAlgorithm) -> Result<Pair> {
    let (now, slot): (_, SlotId) = (Timestamp::from_unix(crate::wall_clock()), "selftest/mac/selftest".parse()?);
    let authority = Authority::new_root("Tegata selftest", "selftest", now.before(DAY), now.after(DAY))?;
    let (common_name, organization, unique) = ("selftest".to_owned(), "selftest".to_owned(), crate::chance::name());
    let purpose = Purpose::Client { common_name, organization, unique, crl_url: None, ocsp_url: None };
    let key = PrivateKey::generate(algorithm)?;
    let tbs = authority.draft(&purpose, &key.public_key(), new_serial(), now.before(DAY), now.after(DAY))?;
    let pair = Pair { chain: vec![authority.sign(&tbs)?, authority.certificate().to_vec()], key: key.to_pkcs8().into() };
    keychain.install(&slot, &pair, "Tegata selftest").await?;
    Ok(pair)
}

fn try_files() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name);
    for name in ["inside", "outside"] {
        fs::create_dir(at(name))?;
        fs::write(at(name).join("file"), name)?;
    }
    std::os::unix::fs::symlink(at("outside"), at("inside/folder"))?;
    std::os::unix::fs::symlink(at("outside/file"), at("inside/link"))?;
    let home = Home::open(&at("inside"))?;
    for link in ["folder/file", "link"] {
        ensure!(home.read(Path::new(link), 100).is_err(), "the link {link} was followed");
    }
    let moved = renameat_with(CWD, at("inside/file"), CWD, at("outside/file"), RenameFlags::NOREPLACE);
    ensure!(moved == Err(rustix::io::Errno::EXIST), "moving a file onto another gives {moved:?}");
    Ok(())
}

/// An error is how a refusal has to look; a folder that seems empty is for people to compare.
fn look_into_downloads(home: &Path) -> Result<()> {
    let names = Home::open(home)?.list(Path::new("Downloads"))?;
    ensure!(!names.is_empty(), "it looks empty: is it?");
    Ok(())
}
