//! Revocation when a million certificates are revoked, compared with a thousand: one more, the lists, and answers to strangers.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use tegata_api::v1::audit::Stage;
use tegata_api::v1::fleet::{ApplyRequest, Documents, File, RevokeRequest};
use tegata_api::v1::revocation::{Mode, RevokeMany, Selection};
use tegata_core::fleet::Template;
use tegata_core::name::{IssuerName, OrderId, Serial, TenantName};
use tegata_core::plan::Reason;
use tegata_core::policy::{KeyAlgorithm, KeyOrigin};
use tegata_core::revocation::Cause;
use tegata_core::time::{DAY, Timestamp};
use tegata_pki::authority::{Purpose, new_serial};
use tegata_pki::key::{PrivateKey, Seal, sha256};
use tegata_server::audit::Ledger;
use tegata_server::bells::Bells;
use tegata_server::clock::Clock;
use tegata_server::issuers::authorities::Authorities;
use tegata_server::issuers::ocsp::Responders;
use tegata_server::issuers::publication::{Part, Publication};
use tegata_server::issuers::revocation::Lists;
use tegata_server::issuers::shards::{SHARD_SIZE, Shards};
use tegata_server::issuers::signer::Validity;
use tegata_server::store::revocation::Shard;
use tegata_server::store::sql::Database;
use tegata_server::store::{Batch, Change, Draft, Issued, NewRecord, OrderRow, OrderState};
use tegata_server::{asks, policy, revocations};
use tegata_tests::policy::{Clinic, names};

use crate::{Bound, Row, quantile};

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);
/// Certificates that are not revoked, and go one by one while that is measured.
const SPARE: usize = 200;
/// Certificates at each end of a shard that a list is tried on before it is published.
const SAMPLED: u64 = 8;
/// Questions of strangers.
const QUESTIONS: usize = 5_000;
/// How many certificates one wish revokes.
const MANY: usize = 100_000;

/// Measures two installations that differ in how much is revoked, and nothing else. What is compared is done in turns, so that whatever else the
/// machine does meets both.
pub fn measure() -> Result<Vec<Row>> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let (large, small) = (Installation::with(1_000_000).await?, Installation::with(1_000).await?);
        let [one_more, one_more_large] = one_by_one([&small, &large]).await?;
        let (largest, list) = large.scene.lists().await?;
        let [answers, answers_large] = ask([&small, &large]).await?;
        Ok(vec![
            Row::told("revoke: one more, 1,000 revoked, p50", one_more * 1e6, "µs"),
            Row::bound("revoke: one more, 1,000,000 revoked ÷ 1,000", one_more_large / one_more, "×", Bound::AtMost(1.5)),
            Row::bound("revoke: largest list, 1,000,000 revoked", largest as f64, "bytes", Bound::AtMost(1_000_000.0)),
            Row::told("revoke: a full list made anew and read back", list * 1e3, "ms"),
            Row::told("revoke: OCSP answers, 1,000 revoked, one thread", answers, "/s"),
            Row::bound("revoke: OCSP answers, 1,000,000 revoked ÷ 1,000", answers_large / answers, "×", Bound::AtLeast(0.67)),
            Row::told("revoke: 100,000 certificates in one wish", large.many, "s"),
        ])
    })
}

/// The ledger of a server that has issued so many certificates.
pub async fn filled(folder: &std::path::Path, count: usize) -> Result<Ledger> {
    let scene = Scene::new(folder).await?;
    scene.issue(0..count, NOW).await?;
    Ok(scene.ledger)
}

/// A server in which so many certificates are revoked, and some are not.
struct Installation {
    folder: tempfile::TempDir,
    scene: Scene,
    gone: Vec<Serial>,
    spare: Vec<Serial>,
    /// Seconds that the largest wish took; 0 if there were not as many.
    many: f64,
}

impl Installation {
    async fn with(revoked: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let scene = Scene::new(folder.path()).await?;
        let begin = Instant::now();
        let (gone, spare) = (scene.issue(0..revoked, NOW).await?, scene.issue(revoked..revoked + SPARE, NOW.after(DAY)).await?);
        // What one wish revokes is left for it.
        let at_once = if revoked > MANY { revoked - MANY } else { revoked };
        scene.revoke(&gone[..at_once]).await?;
        let many = if revoked > MANY { scene.wish().await? } else { 0.0 };
        eprintln!("  {revoked} revoked in {:.0} s", begin.elapsed().as_secs_f64());
        Ok(Self { folder, scene, gone, spare, many })
    }
}

/// Revokes one after the other, durably and on record, each in its turn. Seconds, median.
async fn one_by_one(installations: [&Installation; 2]) -> Result<[f64; 2]> {
    let mut times = [Vec::new(), Vec::new()];
    for number in 0..SPARE {
        for (installation, times) in installations.iter().zip(&mut times) {
            let start = Instant::now();
            installation.scene.revoke_one(&installation.spare[number]).await?;
            times.push(start.elapsed().as_secs_f64());
        }
    }
    Ok(times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        quantile(&times, 0.5)
    }))
}

/// Asks about one certificate after the other, each in its turn. Answers in a second.
async fn ask(installations: [&Installation; 2]) -> Result<[f64; 2]> {
    let (mut requests, mut spent) = ([vec![], vec![]], [0.0; 2]);
    for (installation, requests) in installations.iter().zip(&mut requests) {
        *requests = installation.scene.requests(&installation.gone, installation.folder.path()).await?;
        installation.scene.answer(&requests[0]).await?;
    }
    for number in 0..QUESTIONS {
        for ((installation, requests), spent) in installations.iter().zip(&requests).zip(&mut spent) {
            let start = Instant::now();
            installation.scene.answer(&requests[number]).await?;
            *spent += start.elapsed().as_secs_f64();
        }
    }
    Ok(spent.map(|seconds| QUESTIONS as f64 / seconds))
}

/// A server without its door.
struct Scene {
    ledger: Ledger,
    bells: Bells,
    lists: Lists,
    responders: Responders,
    authorities: Arc<Authorities>,
    publication: Publication,
    tenant: TenantName,
    issuer: IssuerName,
}

impl Scene {
    async fn new(folder: &std::path::Path) -> Result<Self> {
        let ledger = Ledger::open(Arc::new(Database::sqlite(&folder.join("tegata.db")).await?)).await?;
        let (clock, bells) = (Clock::with(|| NOW), Bells::default());
        let (tenant, issuer): (TenantName, IssuerName) = ("aozora".parse()?, "aozora-ca".parse()?);
        let text = Clinic { devices: &names("pc", 1), profiles: &names("karte", 1) }.to_yaml();
        let documents = Documents { files: vec![File { name: "bench.yaml".into(), text }], prune: true };
        policy::apply(&ledger, &bells, &tenant, &ApplyRequest { documents, allow_lockout: 0, allow_over_quota: 0 }, "bench", NOW).await?;
        let authorities = Arc::new(Authorities::new(ledger.clone(), clock.clone(), Seal::generate()));
        let publication = Publication::at("http://tegata.example.jp");
        let lists = Lists::new(ledger.clone(), clock.clone(), authorities.clone(), publication.clone());
        let responders = Responders::new(ledger.clone(), clock, authorities.clone());
        Ok(Self { ledger, bells, lists, responders, authorities, publication, tenant, issuer })
    }

    async fn note(&self, changes: Vec<Change>) -> Result<()> {
        Ok(self.ledger.note(Batch { records: vec![], changes }).await?)
    }

    /// As many certificates, forty to a clinic, in shards as issuance cuts them.
    async fn issue(&self, range: Range<usize>, at: Timestamp) -> Result<Vec<Serial>> {
        let (shards, mut serials) = (Shards::default(), Vec::with_capacity(range.len()));
        while serials.len() < range.len() {
            let (mut orders, mut drafts, mut certificates) = (vec![], vec![], vec![]);
            for _ in 0..1_000.min(range.len() - serials.len()) {
                let (number, serial) = (range.start + serials.len(), new_serial());
                let shard = shards.next(&self.ledger, &self.publication, &self.tenant, &self.issuer).await?;
                let order = self.order(number)?;
                let (id, public_key) = (order.id, sha256(&serial.0));
                orders.push(Change::OpenOrder(order));
                drafts.push(Change::PutDraft { id, draft: Draft { serial, public_key, tbs: vec![0; 8], shard } });
                let place = number as u64 % SHARD_SIZE;
                let is_looked_at = !(SAMPLED..SHARD_SIZE - SAMPLED).contains(&place) || number + SAMPLED as usize >= range.end;
                let der = if is_looked_at { self.certificate(serial, shard).await? } else { vec![0x30; 400] };
                let (fingerprint, not_after) = (sha256(&serial.0), NOW.after(DAY * 90));
                certificates.push(Change::Fulfil(Issued { order: id, serial, der, fingerprint, not_before: NOW, not_after, at }));
                serials.push(serial);
            }
            self.note([orders, drafts, certificates].concat()).await?;
        }
        Ok(serials)
    }

    /// A real certificate: those at the ends of a shard are let in or refused before its list is published.
    async fn certificate(&self, serial: Serial, shard: Shard) -> Result<Vec<u8>> {
        let issuing = self.authorities.issuer(&self.tenant, &self.issuer).await?;
        let purpose = Purpose::Client {
            common_name: "pc".into(),
            organization: "clinic".into(),
            unique: "1".into(),
            crl_url: Some(self.publication.list(&self.tenant, &self.issuer, Part::Shard(shard))),
            ocsp_url: Some(self.publication.ocsp(&self.tenant, &self.issuer)),
        };
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256)?;
        let tbs = issuing.signer.draft(&purpose, &key.public_key(), serial, Validity::from_now(NOW, DAY * 90))?;
        let record = NewRecord {
            tenant: self.tenant.clone(),
            at: NOW,
            stage: Stage::Intended,
            actor: "bench".into(),
            action: "certificate.sign",
            object: serial.to_string(),
            details: serde_json::Value::Null,
        };
        let recorded = self.ledger.record(tbs, Batch { records: vec![record], changes: vec![] }).await?;
        Ok(issuing.signer.sign(&recorded)?)
    }

    fn order(&self, number: usize) -> Result<OrderRow> {
        let clinic = format!("clinic-{}", number / 40);
        Ok(OrderRow {
            id: OrderId(u128::try_from(number)?.to_be_bytes()),
            tenant: self.tenant.clone(),
            slot: format!("{clinic}/pc-{}/karte", number % 40).parse()?,
            template: Template {
                issuer: self.issuer.clone(),
                common_name: "pc".into(),
                organization: clinic,
                key: KeyOrigin::Device(KeyAlgorithm::EcdsaP256),
                validity: DAY * 90,
            },
            account: None,
            because: Reason::Missing,
            replaces: vec![],
            opened_at: NOW,
            state: OrderState::Open,
            draft: None,
            found: None,
        })
    }

    async fn revoke(&self, serials: &[Serial]) -> Result<()> {
        for some in serials.chunks(10_000) {
            self.note(vec![Change::RevokeAll { serials: some.to_vec(), at: NOW, because: Cause::KeyCompromise }]).await?;
        }
        Ok(())
    }

    /// Revokes what is not revoked yet in one wish, as a person would. Seconds.
    async fn wish(&self) -> Result<f64> {
        let issued_until = Some(NOW.unix() + 1);
        let selection = Selection { issuer: Some(self.issuer.to_string()), issued_until, ..Selection::default() };
        let start = Instant::now();
        let digest = revocations::preview(&self.ledger, &self.tenant, &selection, NOW).await?.digest;
        let reason = tegata_api::v1::revocation::Cause::KeyCompromise;
        let wish = RevokeMany { selection, digest, reason, note: String::new(), mode: Mode::Now };
        let done = revocations::carry_out(&self.ledger, &self.bells, &self.tenant, &wish, "person:bench", NOW).await?;
        ensure!(done.revoked == MANY as u64, "{done:?}");
        Ok(start.elapsed().as_secs_f64())
    }

    async fn revoke_one(&self, serial: &Serial) -> Result<()> {
        asks::revoke_certificate(&self.ledger, &self.bells, &self.tenant, serial, &RevokeRequest::default(), "person:bench", NOW).await?;
        Ok(())
    }

    /// Makes every list: the largest in bytes, and the longest time in seconds.
    async fn lists(&self) -> Result<(usize, f64)> {
        let (mut largest, mut longest) = (0, 0.0_f64);
        for part in self.lists.parts(&self.tenant, &self.issuer).await? {
            let start = Instant::now();
            let list = self.lists.newest(&self.tenant, &self.issuer, part).await?;
            longest = longest.max(start.elapsed().as_secs_f64());
            largest = largest.max(list.len());
            ensure!(part != Part::Whole || list.len() < SHARD_SIZE as usize * 60, "the whole list has grown too large");
        }
        Ok((largest, longest))
    }

    async fn answer(&self, request: &[u8]) -> Result<()> {
        let answer = self.responders.answer(&self.tenant, &self.issuer, request).await?;
        ensure!(answer.response.len() > 300, "that is no answer");
        Ok(())
    }

    /// Requests as openssl writes them, about certificates all over the range.
    async fn requests(&self, serials: &[Serial], folder: &std::path::Path) -> Result<Vec<Vec<u8>>> {
        let issuing = self.authorities.issuer(&self.tenant, &self.issuer).await?;
        std::fs::write(folder.join("issuing.pem"), issuing.signer.pem())?;
        let known = serials[0];
        let arguments = format!("ocsp -issuer issuing.pem -serial 0x{known} -no_nonce -reqout a.req");
        let made = std::process::Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output()?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let template = std::fs::read(folder.join("a.req"))?;
        let place = template.windows(16).position(|bytes| bytes == known.0).context("the request names the serial number")?;
        let step = (serials.len() / QUESTIONS).max(1);
        let request = |number: usize| {
            let mut request = template.clone();
            // All over the range, in an order that no cache likes.
            let serial = serials[number * step * 7_919 % serials.len()];
            request[place..place + 16].copy_from_slice(&serial.0);
            request
        };
        Ok((0..QUESTIONS).map(request).collect())
    }
}
