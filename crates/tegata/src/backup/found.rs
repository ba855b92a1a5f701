//! A backup in a copy of a target's folder, found without a server.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tegata_api::v1::backup::Manifest;
use tegata_core::name::SlotId;

use super::RestoreError;
use crate::failure::Failure;

/// How far down manifests lie: `TENANT/CLINIC/ID.json`.
const DEPTH: u32 = 2;
/// The largest manifest and the largest sealed backup that are read, in bytes.
const MANIFEST_MAX: u64 = 256 * 1024;
const SEALED_MAX: u64 = 4 << 20;

/// The newest backup of this kind of a slot, and the bytes that lie beside its manifest.
pub fn newest(folder: &Path, slot: &SlotId, kind: &str) -> Result<(Manifest, Vec<u8>), Failure> {
    let mut paths = Vec::new();
    gather(folder, DEPTH, &mut paths).map_err(|source| Failure::Read { path: folder.to_owned(), source })?;
    // What is not a manifest of this version is somebody else's business.
    let manifest_at = |path: PathBuf| Some((serde_json::from_slice::<Manifest>(&read(&path, MANIFEST_MAX).ok()?).ok()?, path));
    let mut found: Vec<(Manifest, PathBuf)> = paths.into_iter().filter_map(manifest_at).collect();
    found.retain(|(manifest, _)| manifest.slot == slot.to_string() && manifest.kind == kind);
    let tenants: BTreeSet<String> = found.iter().map(|(manifest, _)| manifest.tenant.clone()).collect();
    if tenants.len() > 1 {
        return Err(RestoreError::Ambiguous(tenants.into_iter().collect()).into());
    }
    let newest = found.into_iter().max_by_key(|(manifest, _)| manifest.sealed_at);
    let (manifest, path) = newest.ok_or_else(|| RestoreError::NotThere { slot: slot.clone(), folder: folder.to_owned() })?;
    let sealed = path.with_extension("age");
    let bytes = read(&sealed, SEALED_MAX).map_err(|source| Failure::Read { path: sealed, source })?;
    Ok((manifest, bytes))
}

fn gather(folder: &Path, depth: u32, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() && depth > 0 {
            // Such as lost+found: what cannot be looked into is not ours.
            let _ = gather(&path, depth - 1, paths);
        } else if kind.is_file() && path.extension().is_some_and(|ending| ending == "json") {
            paths.push(path);
        }
    }
    Ok(())
}

fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}
