//! What happens in the demo, act by act: enrol, converge, renew, revoke.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use tegata_api::v1::fleet::{Certificate, RevokeRequest, Slot};
use tegata_api::v1::vendor::ConfirmRequest;
use tegata_core::name::{DeviceId, SlotId};

use super::cast::Cast;
use super::leftover::Vendor;
use super::pc::Pc;
use super::progress::Progress;
use super::stage::Stage;
use super::thief::{Thief, Welcome};
use crate::installers;

/// How long the fleet may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many PCs are enrolled at the same time.
const AT_ONCE: usize = 4;

/// The demo in full swing.
pub struct Play<'a> {
    cast: &'a Cast,
    stage: &'a Stage,
    progress: &'a Progress,
    pcs: Vec<Pc>,
    /// Installers that were left on PCs and recorded with the server, and have to go.
    pub left_behind: Vec<LeftBehind>,
}

/// An installer file that has to go.
pub struct LeftBehind {
    /// On which PC.
    pub device: DeviceId,
    /// Where.
    pub path: PathBuf,
}

impl<'a> Play<'a> {
    /// Unpacks the PCs.
    pub fn begin(cast: &'a Cast, stage: &'a Stage, progress: &'a Progress, agent: PathBuf) -> Result<Self> {
        let pcs = cast.pcs().map(|device| Pc::unpack(stage, device, &agent)).collect::<Result<Vec<_>>>()?;
        ensure!(!pcs.is_empty(), "the example names no devices");
        Ok(Self { cast, stage, progress, pcs, left_behind: Vec::new() })
    }

    /// Act 1: every PC still has its old installer file; then it is enrolled by a typed code, and its agent starts.
    pub async fn enrol(&mut self) -> Result<()> {
        self.litter().await?;
        let (stage, progress) = (self.stage, self.progress);
        let total = self.pcs.len();
        let joined = stream::iter(self.pcs.iter_mut().map(|pc| async move {
            pc.join(stage).await?;
            progress.show(format!("{} has enrolled", pc.device));
            Ok::<_, anyhow::Error>(())
        }));
        joined.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        self.progress.say(&format!("enrolled {total} PCs with typed codes; their agents run"));
        Ok(())
    }

    async fn litter(&mut self) -> Result<()> {
        let vendor = Vendor::new()?;
        for (number, pc) in self.pcs.iter().enumerate() {
            let Some(folder) = self.cast.sweeps(&pc.device.clinic) else { continue };
            let folder = pc.user_folder(folder);
            let path = folder.join(vendor.leave(&folder, &pc.device, number)?);
            self.stage.session.tell("installers", &installers::describe(&path)?).await?;
            self.left_behind.push(LeftBehind { device: pc.device.clone(), path });
        }
        self.progress
            .say(&format!("left {} old installer files (.p12, .pfx) on the PCs, and recorded their hashes", self.left_behind.len()));
        Ok(())
    }

    /// Act 2: nobody does anything; every slot becomes ready, every installer goes.
    pub async fn converge(&mut self) -> Result<()> {
        let begin = Instant::now();
        let slots = self.progress.until("every slot to be ready and every installer to be gone", PATIENCE, async || {
            self.pcs.iter_mut().try_for_each(Pc::check)?;
            let slots = self.slots().await?;
            let ready = slots.iter().filter(|slot| slot.state == "ready").count();
            let left = self.left_behind.iter().filter(|left| left.path.exists()).count();
            self.progress.show(format!("{ready} of {} slots ready, {left} installers left", slots.len()));
            Ok((ready > 0 && ready == slots.len() && left == 0).then_some(slots))
        });
        let slots = slots.await?;
        let took = begin.elapsed().as_secs_f64();
        self.progress.say(&format!("{} slots ready, each proven by a real handshake; all installers gone ({took:.1} s)", slots.len()));
        Ok(())
    }

    /// Act 3: one certificate is replaced before its time. The old one goes only after the new one is proven.
    pub async fn renew(&self) -> Result<()> {
        let slot = self.slots().await?.into_iter().next().context("there is no slot")?;
        let old = slot.serial.context("the slot holds no certificate")?;
        self.stage.session.tell(&format!("certificates/{old}/renew"), &serde_json::json!({})).await?;
        self.progress
            .until("the renewed certificate to be proven and the old one to be gone", PATIENCE, async || {
                let renewed = self.replacement(&slot.name, &old).await?;
                Ok(renewed.zip(self.state(&old).await?.filter(|state| state == "retired")))
            })
            .await?;
        self.progress.say(&format!("renewed {}: the new certificate is proven, the old one is gone", slot.name));
        Ok(())
    }

    /// Act 4: one certificate is revoked. A copy of it opens nothing any more, and the PC gets a new one by itself.
    pub async fn revoke(&self) -> Result<()> {
        let slot = self.slots().await?.into_iter().next_back().context("there is no slot")?;
        let old = slot.serial.context("the slot holds no certificate")?;
        let id: SlotId = slot.name.parse().context("the server names a slot that is none")?;
        let host = self.cast.host_of(&id)?;
        let thief = self.copy_of(&id)?;
        ensure!(thief.visit(&host).await? == Welcome::Opened, "a copy of {old} should open {host} before it is revoked");
        self.knock_next_door(&thief, &host).await?;
        self.stage
            .session
            .tell(&format!("certificates/{old}/revoke"), &RevokeRequest { note: "shown in the demo".into(), ..RevokeRequest::default() })
            .await?;
        self.progress
            .until("the chart to refuse the revoked certificate", PATIENCE, async || {
                Ok((thief.visit(&host).await? == Welcome::Refused).then_some(()))
            })
            .await?;
        self.progress.until("the PC to have a new certificate", PATIENCE, async || self.replacement(&slot.name, &old).await).await?;
        self.progress.say(&format!("revoked {}: a stolen copy is refused in the handshake; the PC has a new certificate", slot.name));
        Ok(())
    }

    /// A certificate of one clinic opens no other clinic's chart.
    async fn knock_next_door(&self, thief: &Thief, own: &str) -> Result<()> {
        let organization = self.stage.emr.doors().at(own).and_then(|(sites, _)| Some(sites.first()?.organization.clone()));
        let next_door = self.stage.emr.doors().sites().find(|site| Some(&site.organization) != organization.as_ref());
        if let Some(site) = next_door {
            ensure!(thief.visit(&site.host).await? != Welcome::Opened, "{} opened to another clinic's certificate", site.host);
            self.progress.say(&format!("tried a certificate of {own} at {}: not let in", site.host));
        }
        Ok(())
    }

    /// Every slot now. Where a linkage tool keeps its own copy of a certificate, somebody has changed it there, and says so.
    pub async fn slots(&self) -> Result<Vec<Slot>> {
        let slots: Vec<Slot> = self.stage.session.get("slots").await?;
        for serial in slots.iter().filter(|slot| slot.state == "dependants-open").filter_map(|slot| slot.serial.as_ref()) {
            self.stage.session.tell(&format!("certificates/{serial}/confirm"), &ConfirmRequest { dependant: None }).await?;
        }
        Ok(slots)
    }

    /// The connection of the group's administrator.
    pub fn stage(&self) -> &Stage {
        self.stage
    }

    /// The slot's new serial number, once it is ready with another certificate than `old`.
    async fn replacement(&self, slot: &str, old: &str) -> Result<Option<String>> {
        let found = self.slots().await?.into_iter().find(|found| found.name == slot && found.state == "ready");
        Ok(found.and_then(|found| found.serial).filter(|serial| serial != old))
    }

    async fn state(&self, serial: &str) -> Result<Option<String>> {
        let certificates: Vec<Certificate> = self.stage.session.get("certificates").await?;
        Ok(certificates.into_iter().find(|certificate| certificate.serial == serial).map(|certificate| certificate.state))
    }

    fn copy_of(&self, slot: &SlotId) -> Result<Thief> {
        let pc = self.pcs.iter().find(|pc| pc.device == slot.device).with_context(|| format!("nobody plays {}", slot.device))?;
        Thief::copy(&pc.current(slot), &self.stage.emr)
    }
}
