//! Windows: the computer's store `Root`. What was added is noted beside it, so that whoever removes the agent removes it, and nothing else.

use std::path::Path;

use tegata_core::name::Sha256;
use tegata_pki::key::sha256;
use windows_registry::{Key, LOCAL_MACHINE};

use super::GrantError;
use crate::keystore::windows::certificates::{Entry, Store};

/// Below HKLM: a value for each root that was added, named by its SHA-256.
const ADDED: &str = r"SOFTWARE\Tegata\Roots";

pub(super) fn grant(_state: &Path, root: &[u8], pin: Sha256, is_granted: bool) -> Result<(), GrantError> {
    let (store, noted) = (store()?, LOCAL_MACHINE.create(ADDED).map_err(refused)?);
    if !is_granted {
        return take_back(&store, &noted, pin);
    }
    if find(&store, pin)?.is_some() {
        return Ok(());
    }
    // Noted first: what is not added after all is found missing, and what was added is never forgotten.
    noted.set_u32(pin.to_string(), 1).map_err(refused)?;
    store.add_once(&Entry::new(root).map_err(refused)?).map_err(refused)
}

/// Takes back every root that was added here.
pub(crate) fn take_back_all() -> Result<(), GrantError> {
    let Ok(noted) = LOCAL_MACHINE.options().read().write().open(ADDED) else { return Ok(()) };
    let store = store()?;
    let pins: Vec<Sha256> = noted.values().map_err(refused)?.filter_map(|(name, _)| name.parse().ok()).collect();
    pins.into_iter().try_for_each(|pin| take_back(&store, &noted, pin))?;
    LOCAL_MACHINE.create("SOFTWARE").and_then(|software| software.remove_tree("Tegata")).map_err(refused)
}

/// Whatever was there before, and whatever somebody else has added, stays.
fn take_back(store: &Store, noted: &Key, pin: Sha256) -> Result<(), GrantError> {
    if noted.get_u32(pin.to_string()).is_err() {
        return Ok(());
    }
    if let Some(entry) = find(store, pin)? {
        store.remove(&entry).map_err(refused)?;
    }
    noted.remove_value(pin.to_string()).map_err(refused)
}

fn store() -> Result<Store, GrantError> {
    Store::of_computer("ROOT").map_err(refused)
}

fn find(store: &Store, pin: Sha256) -> Result<Option<Entry>, GrantError> {
    Ok(store.entries().map_err(refused)?.into_iter().find(|entry| sha256(entry.der()) == pin))
}

fn refused(problem: impl std::error::Error + Send + Sync + 'static) -> GrantError {
    GrantError::System(problem.into())
}
