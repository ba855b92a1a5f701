//! The end of the demo: what is there now, whether that is all, and where to look next.

use anyhow::Result;
use tegata_api::v1::audit::{Record, Stage as AuditStage};
use tegata_api::v1::fleet::{Certificate, Clinic, Slot};

use super::acts::Play;
use super::stage::Stage;
use super::verdict::{self, Facts};
use crate::cli::Global;
use crate::{get, output};

/// Records in one answer.
const PAGE: usize = 1000;

/// What is there at the end.
pub struct Ending {
    tables: String,
    removed: Vec<String>,
    audit: String,
    misses: Vec<String>,
}

impl Ending {
    /// Looks at everything once more, afresh.
    pub async fn look(play: &Play<'_>, global: &Global) -> Result<Self> {
        let look = output::look(global);
        let session = &play.stage().session;
        let (clinics, slots): (Vec<Clinic>, Vec<Slot>) = (session.get("clinics").await?, play.slots().await?);
        let certificates: Vec<Certificate> = session.get("certificates").await?;
        let records = records(play).await?;
        let place =
            |left: &super::acts::LeftBehind| format!("{}: {}", left.device, left.path.file_name().unwrap_or_default().to_string_lossy());
        let (still_there, gone): (Vec<_>, Vec<_>) = play.left_behind.iter().partition(|left| left.path.exists());
        let left_behind: Vec<String> = still_there.into_iter().map(place).collect();
        let misses = verdict::misses(&Facts { slots: &slots, certificates: &certificates, records: &records, left_behind: &left_behind });
        Ok(Self {
            tables: format!("{}\n\n{}", get::clinics(&clinics, &look), get::slots(&slots, &look)),
            removed: gone.into_iter().map(place).collect(),
            audit: counts(&records),
            misses,
        })
    }

    /// Nothing is missing.
    pub fn is_happy(&self) -> bool {
        self.misses.is_empty()
    }

    /// Tells it.
    pub fn tell(&self, stage: &Stage) -> Result<()> {
        let removed: String = self.removed.iter().map(|place| format!("\n  {place}")).collect();
        output::print(&format!(
            "\n{tables}\n\nInstaller files removed: {count}{removed}\n\nVisits to the chart: {visits}\nAudit log: {audit}\n\n{verdict}",
            tables = self.tables,
            count = self.removed.len(),
            visits = stage.visitors.told(),
            audit = self.audit,
            verdict = self.verdict(),
        ))?;
        Ok(())
    }

    fn verdict(&self) -> String {
        if self.is_happy() {
            return "Every slot is ready, every installer is gone, and every certificate is on record: intended, done, seen.".into();
        }
        let misses: String = self.misses.iter().map(|miss| format!("\n  {miss}")).collect();
        format!("Not all is well:{misses}")
    }
}

/// The whole audit log.
async fn records(play: &Play<'_>) -> Result<Vec<Record>> {
    let mut records: Vec<Record> = Vec::new();
    loop {
        let after = records.last().map_or(0, |record| record.sequence);
        let page: Vec<Record> = play.stage().session.get(&format!("audit?after={after}&limit={PAGE}")).await?;
        let last = page.len() < PAGE;
        records.extend(page);
        if last {
            return Ok(records);
        }
    }
}

fn counts(records: &[Record]) -> String {
    let of = |stage: AuditStage| records.iter().filter(|record| record.stage == stage).count();
    format!("{} intended, {} done, {} seen", of(AuditStage::Intended), of(AuditStage::Done), of(AuditStage::Seen))
}

/// Says with which commands to look around while everything keeps running.
pub fn invite(stage: &Stage) -> Result<()> {
    let tegata = std::env::current_exe().map_or_else(|_| "tegata".into(), |path| path.display().to_string());
    let (access, tenant) = (stage.access_file(), stage.session.tenant());
    output::print(&format!(
        "\nEverything keeps running until Ctrl-C. Look around with:\n  export TEGATA_ACCESS={access} TEGATA_TENANT={tenant}\n  \
         {tegata} get slots\n  {tegata} get certificates\n  {tegata} audit list",
        access = access.display(),
    ))?;
    Ok(())
}
