use tegata_core::name::OrderId;
use tegata_core::policy::KeyAlgorithm;
use tegata_core::revocation::Cause;
use tegata_pki::authority::{Purpose, new_serial};
use tegata_pki::key::{PrivateKey, Seal};
use x509_parser::prelude::{CertificateRevocationList, FromDer as _};

use super::*;
use crate::audit::Recorded;
use crate::pretend::{World, sakura, tenant};
use crate::store::{Batch, Change, Draft, Issued, OrderRow};

const OLD: &str = "http://old.example.jp/crl/aozora/portal.crl";

struct Scene {
    world: World,
    lists: Lists,
    authorities: Arc<Authorities>,
    order: OrderRow,
    issuer: IssuerName,
    numbers: u128,
}

impl Scene {
    async fn new() -> Self {
        let world = World::with(&[&sakura(&["pc-1"])]).await;
        world.enrol("sakura/pc-1").await;
        world.settle().await;
        let (now, order) = (world.now, world.order("sakura/pc-1/karte").await);
        let clock = Clock::with(move || now);
        let authorities = Arc::new(Authorities::new(world.ledger.clone(), clock.clone(), Seal::generate()));
        let lists = Lists::new(world.ledger.clone(), clock, authorities.clone(), Publication::at("http://new.example.jp"));
        Self { world, lists, authorities, order, issuer: "portal".parse().unwrap(), numbers: 1 }
    }

    /// A certificate as it was issued before there were shards.
    async fn old(&self) -> (Serial, Vec<u8>) {
        let issuing = self.authorities.issuer(&tenant(), &self.issuer).await.unwrap();
        let (serial, key) = (new_serial(), PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap());
        let purpose = Purpose::Client {
            common_name: "pc-1".into(),
            organization: "sakura".into(),
            unique: "1".into(),
            crl_url: Some(OLD.into()),
            ocsp_url: None,
        };
        let validity = Validity::from_now(self.world.now, DAY);
        let tbs = issuing.signer.draft(&purpose, &key.public_key(), serial, validity).unwrap();
        let recorded: Recorded<_> = self.world.ledger.record(tbs, Batch { records: vec![record()], changes: vec![] }).await.unwrap();
        (serial, issuing.signer.sign(&recorded).unwrap())
    }

    /// Keeps certificates, revoked or not.
    async fn keep(&mut self, certificates: Vec<(Serial, Vec<u8>)>, shard: u32, is_revoked: bool) {
        let (mut orders, mut drafts, mut issued) = (vec![], vec![], vec![]);
        let serials: Vec<Serial> = certificates.iter().map(|(serial, _)| *serial).collect();
        for (serial, der) in certificates {
            self.numbers += 1;
            let id = OrderId(self.numbers.to_be_bytes());
            let slot = format!("sakura/pc-{}/karte", self.numbers).parse().unwrap();
            orders.push(Change::OpenOrder(OrderRow { id, slot, ..self.order.clone() }));
            drafts.push(Change::PutDraft { id, draft: Draft { serial, public_key: sha256(&serial.0), tbs: vec![0], shard } });
            let (at, not_after) = (self.world.now, self.world.now.after(DAY));
            let fingerprint = sha256(&serial.0);
            issued.push(Change::Fulfil(Issued { order: id, serial, der, fingerprint, not_before: at, not_after, at }));
        }
        let because = Cause::Superseded;
        let revoke = is_revoked.then_some(Change::RevokeAll { serials, at: self.world.now, because });
        self.world.note([orders, drafts, issued, revoke.into_iter().collect()].concat()).await;
    }

    /// The whole list: whether it says that it is a part, and of what; and how much it names.
    async fn whole(&self) -> (Option<String>, usize) {
        let list = self.lists.newest(&tenant(), &self.issuer, Part::Whole).await.unwrap();
        let (_, read) = CertificateRevocationList::from_der(&list).unwrap();
        let of = read.extensions().iter().any(|extension| extension.critical).then(|| String::from_utf8_lossy(&list).contains(OLD));
        (of.map(|is_old| if is_old { OLD.to_owned() } else { "elsewhere".into() }), read.iter_revoked_certificates().count())
    }
}

fn record() -> crate::store::NewRecord {
    crate::store::NewRecord {
        tenant: tenant(),
        at: Timestamp::from_unix(1),
        stage: tegata_api::v1::audit::Stage::Intended,
        actor: "test".into(),
        action: "certificate.sign",
        object: "test".into(),
        details: serde_json::Value::Null,
    }
}

#[tokio::test]
async fn r1_the_whole_list_never_grows_beyond_a_shard_and_never_passes_for_the_whole_when_it_is_none() {
    let mut scene = Scene::new().await;
    let (kept, lost) = (scene.old().await, scene.old().await);
    scene.keep(vec![lost], 0, true).await;
    scene.keep(vec![kept], 0, false).await;
    let full = |count: u64| (0..count).map(|_| (new_serial(), vec![0x30])).collect::<Vec<_>>();
    scene.keep(full(SHARD_SIZE - 1), 1, true).await;
    assert_eq!(scene.whole().await, (None, 16_384), "as much as fits into a shard");
    scene.keep(full(1), 2, true).await;
    // Another look needs another second.
    let lists = &mut scene.lists;
    let next = scene.world.now.after(Duration::from_secs(1));
    lists.clock = Clock::with(move || next);
    assert_eq!(scene.whole().await, (Some(OLD.into()), 1), "what has no shard, at the address that it names");
}

#[test]
fn what_nobody_asks_for_any_more_makes_room() {
    let mut kept = HashMap::new();
    for n in 0..KEPT_MAX {
        let place = Place { asked_at: Mutex::new(Some(Timestamp::from_unix(1_000 - i64::try_from(n).unwrap()))), ..Place::default() };
        kept.insert((tenant(), "portal".parse().unwrap(), Part::Shard(u32::try_from(n).unwrap())), Arc::new(place));
    }
    make_room(&mut kept);
    assert_eq!(kept.len(), KEPT_MAX - 1);
    let oldest = Part::Shard(u32::try_from(KEPT_MAX).unwrap() - 1);
    assert!(!kept.keys().any(|(.., part)| *part == oldest));
}
