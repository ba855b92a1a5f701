//! Applies a folder of policy files whenever it changes, as `tegata apply --prune` would: for those who keep policies in git.
//!
//! The file system's notices only wake; what counts is the digest of the files, which is also looked at every minute, so that a
//! lost notice costs a minute and nothing else.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tegata_api::v1::fleet::{ApplyRequest, Documents, File};
use tegata_api::v1::problem::Finding;
use tegata_core::name::{Sha256, TenantName};
use tegata_pki::key::sha256;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::audit::Ledger;
use crate::bells::Bells;
use crate::clock::Clock;
use crate::policy::{self, ApplyError};
use crate::store::StoreError;

/// How often the folder is looked at even if nobody said that it changed.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// How long a folder has to be quiet before it is read: checking out a branch writes many files.
const QUIET: Duration = Duration::from_millis(300);
/// After how long a folder is read although it is not quiet: something may write there all the time.
const QUIET_BY: Duration = Duration::from_secs(5);
/// How deep folders are followed. Deeper is a loop or a mistake.
const DEPTH_MAX: usize = 16;
/// The most bytes that a folder may hold, all files together: as much as one request by hand.
const BYTES_MAX: u64 = 16 << 20;

/// A folder and whom its policies are for.
pub struct Folder {
    /// The tenant.
    pub tenant: TenantName,
    /// Where the files are.
    pub path: PathBuf,
    /// What documents are applied to.
    pub ledger: Ledger,
    /// Rung when something was applied.
    pub bells: Bells,
    /// What time it is.
    pub clock: Clock,
}

impl Folder {
    /// Applies the folder now and whenever it changes. Never returns; drop it to stop.
    pub async fn watch(self) {
        let changed = Arc::new(Notify::new());
        let _watcher = self.watcher(&changed);
        let mut last = None;
        loop {
            last = self.look(last).await;
            let _ = timeout(LOOK_EVERY, changed.notified()).await;
            settled(&changed, QUIET, QUIET_BY).await;
        }
    }

    fn watcher(&self, changed: &Arc<Notify>) -> Option<RecommendedWatcher> {
        let bell = changed.clone();
        let ring = move |event: notify::Result<notify::Event>| {
            // Reading the files is an event too; it must not cause the next reading.
            if !matches!(event, Ok(event) if event.kind.is_access()) {
                bell.notify_one();
            }
        };
        let watcher = notify::recommended_watcher(ring).and_then(|mut watcher| {
            watcher.watch(&self.path, RecursiveMode::Recursive)?;
            Ok(watcher)
        });
        watcher
            .inspect_err(|error| {
                tracing::warn!(folder = %self.path.display(), %error, "cannot be told of changes in the policy folder; it is looked at every minute");
            })
            .ok()
    }

    /// Applies the files if they are not those of `last` time. Gives what to compare with next time.
    pub(crate) async fn look(&self, last: Option<Sha256>) -> Option<Sha256> {
        let files = match read(&self.path) {
            Ok(files) => files,
            Err(error) => {
                tracing::error!(folder = %self.path.display(), %error, "the policy folder cannot be read; nothing was applied");
                return last;
            }
        };
        let digest = digest(&files);
        if last == Some(digest) {
            return last;
        }
        if files.is_empty() {
            // More likely a disk that is not mounted than the wish to drop every policy.
            tracing::error!(folder = %self.path.display(), "the policy folder holds no .yaml or .yml file; nothing was applied");
            return Some(digest);
        }
        match self.apply(files).await {
            Ok(()) => Some(digest),
            // The same files may be applied next time: only what is wrong with them waits for a change.
            Err(error) => matches!(error, ApplyError::Invalid(_)).then_some(digest),
        }
    }

    async fn apply(&self, files: Vec<File>) -> Result<(), ApplyError> {
        let request = ApplyRequest { documents: Documents { files, prune: true }, allow_lockout: 0, allow_over_quota: 0 };
        let author = format!("folder:{}", self.path.display());
        let applied = policy::apply(&self.ledger, &self.bells, &self.tenant, &request, &author, self.clock.now()).await;
        let (tenant, folder) = (&self.tenant, self.path.display());
        match &applied {
            Ok(preview) if preview.documents.is_empty() => tracing::debug!(%tenant, %folder, "the policy folder says what is in force"),
            Ok(preview) => tracing::info!(%tenant, %folder, documents = preview.documents.len(), "applied the policy folder"),
            Err(ApplyError::Invalid(findings)) => {
                tracing::error!(%tenant, %folder, "the policy folder has errors; nothing was applied\n{}", rendered(findings));
            }
            Err(ApplyError::WouldLockOut(preview)) => {
                let devices = preview.locked_out.join(", ");
                tracing::error!(%tenant, %folder, devices, "the policy folder would keep devices from signing in; nothing was applied. If this is meant, use: tegata apply --prune --allow-lockout");
            }
            Err(ApplyError::OverQuota(preview)) => {
                let slots = preview.over_quota.iter().map(|short| &short.slot[..]).collect::<Vec<_>>().join(", ");
                tracing::error!(%tenant, %folder, slots, "the policy folder asks for more certificates than accounts may have; nothing was applied. See `tegata plan`; if they may wait, use: tegata apply --prune --allow-over-quota");
            }
            Err(ApplyError::Store(StoreError::Conflict(_))) => {
                tracing::warn!(%tenant, %folder, "somebody else applied documents at the same moment; trying again in a minute");
            }
            Err(error @ (ApplyError::Store(_) | ApplyError::Approval(_))) => {
                tracing::error!(%tenant, %folder, %error, "the policy folder could not be applied")
            }
        }
        applied.map(drop)
    }
}

/// Waits until nothing has changed for as long as `quiet`, but no longer than `by`.
async fn settled(changed: &Notify, quiet: Duration, by: Duration) {
    let quiet = async { while timeout(quiet, changed.notified()).await.is_ok() {} };
    let _ = timeout(by, quiet).await;
}

/// One finding a line: `file:line:column: what is wrong (what to do)`.
fn rendered(findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let hint = finding.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{}:{}:{}: {}{hint}", finding.file, finding.line, finding.column, finding.message)
    };
    findings.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Every `.yaml` and `.yml` file, in order of their names. What begins with a dot is left out: `.git`, and the folders that
/// Kubernetes keeps behind the links of a mounted ConfigMap.
fn read(folder: &Path) -> io::Result<Vec<File>> {
    let mut paths = Vec::new();
    collect(folder, DEPTH_MAX, &mut paths)?;
    paths.sort();
    let (mut files, mut bytes) = (Vec::new(), 0);
    for path in paths {
        bytes += fs::metadata(&path)?.len();
        if bytes > BYTES_MAX {
            return Err(io::Error::other(format!("it holds more than {BYTES_MAX} bytes")));
        }
        let text = fs::read_to_string(&path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
        files.push(File { name, text });
    }
    Ok(files)
}

fn collect(folder: &Path, depth: usize, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    if depth == 0 {
        return Err(io::Error::other(format!("folders lie more than {DEPTH_MAX} deep; is there a link to a folder above?")));
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let is_policy = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        match fs::metadata(&path) {
            _ if hidden => {}
            Ok(found) if found.is_dir() => collect(&path, depth - 1, paths)?,
            Ok(_) if is_policy => paths.push(path),
            Ok(_) => {}
            Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
        }
    }
    Ok(())
}

/// Names and texts, each with its length before it, so that nothing can slide from one into the other.
fn digest(files: &[File]) -> Sha256 {
    let mut bytes = Vec::new();
    for part in files.iter().flat_map(|file| [&file.name, &file.text]) {
        bytes.extend((part.len() as u64).to_be_bytes());
        bytes.extend(part.as_bytes());
    }
    sha256(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_that_is_written_to_all_the_time_is_read_all_the_same() {
        let changed = Notify::new();
        let writing = async {
            loop {
                changed.notify_one();
                tokio::task::yield_now().await;
            }
        };
        let settled = settled(&changed, Duration::from_secs(60), Duration::from_millis(50));
        let waited = async {
            tokio::select! {
                () = settled => {}
                () = writing => {}
            }
        };
        timeout(Duration::from_secs(20), waited).await.expect("it was never read");
    }
}
