//! Which shard the next certificate goes into, counted in memory: issuance is not to ask the database for every certificate.
//!
//! The database is asked at first use, and again now and then, so that several servers on one database fill a shard together
//! without overfilling it by more than what each of them counts on its own.

use std::collections::HashMap;

use tegata_core::name::{IssuerName, TenantName};
use tokio::sync::Mutex;

use crate::audit::Ledger;
use crate::issuers::publication::{Part, Publication};
use crate::store::revocation::{Shard, ShardRow};
use crate::store::{Batch, Change, StoreError};

/// How many certificates share a revocation list. If all of them are revoked, it has 49 bytes for each and stays below a million
/// bytes, even if four servers have counted each on its own.
pub const SHARD_SIZE: u64 = 16_384;
/// After how many certificates the database is asked again.
const COUNT_AGAIN_AFTER: u64 = 1_024;

/// Counts certificates into shards.
#[derive(Default)]
pub struct Shards(Mutex<HashMap<(TenantName, IssuerName), Count>>);

#[derive(Clone, Copy)]
struct Count {
    shard: Shard,
    /// Certificates that are in it, or on their way into it.
    filled: u64,
    /// Until the database is asked again.
    left: u64,
}

impl Count {
    fn has_room(&self) -> bool {
        self.left > 0 && self.filled < SHARD_SIZE
    }
}

impl Shards {
    /// The shard for one more certificate of an issuer. A certificate that is never signed leaves a place empty, and no harm is done.
    ///
    /// A shard has one address for as long as its certificates live: another one is begun when lists are published elsewhere.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn next(
        &self,
        ledger: &Ledger,
        publication: &Publication,
        tenant: &TenantName,
        issuer: &IssuerName,
    ) -> Result<Shard, StoreError> {
        let mut counts = self.0.lock().await;
        let key = (tenant.clone(), issuer.clone());
        let known = counts.get(&key).copied();
        let count = match known.filter(Count::has_room) {
            Some(count) => count,
            None => count_again(ledger, publication, &key, known).await?,
        };
        counts.insert(key, Count { filled: count.filled + 1, left: count.left - 1, ..count });
        Ok(count.shard)
    }
}

/// Goes on with the newest shard, or begins the next. Another server that is faster has begun it for both.
async fn count_again(
    ledger: &Ledger,
    publication: &Publication,
    (tenant, issuer): &(TenantName, IssuerName),
    known: Option<Count>,
) -> Result<Count, StoreError> {
    loop {
        let newest = ledger.store().shard(tenant, issuer, None).await?;
        let url = |shard| publication.list(tenant, issuer, Part::Shard(shard));
        if let Some(count) = newest.as_ref().filter(|row| row.url == url(row.shard)).and_then(|row| recount(known, row)) {
            return Ok(count);
        }
        let shard = newest.map_or(0, |row| row.shard) + 1;
        let begin = Change::BeginShard { tenant: tenant.clone(), issuer: issuer.clone(), shard, url: url(shard) };
        match ledger.note(Batch { records: vec![], changes: vec![begin] }).await {
            Ok(()) => return Ok(Count { shard, filled: 0, left: COUNT_AGAIN_AFTER }),
            Err(StoreError::Conflict(_)) => {}
            Err(error) => return Err(error),
        }
    }
}

/// What is on its way is not in the database yet, and what others have issued is not in memory: the larger number counts.
fn recount(known: Option<Count>, newest: &ShardRow) -> Option<Count> {
    let filled = known.filter(|known| known.shard == newest.shard).map_or(0, |known| known.filled).max(newest.filled);
    let count = Count { shard: newest.shard, filled, left: COUNT_AGAIN_AFTER };
    count.has_room().then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pretend::{World, tenant};

    fn next(known: Option<(Shard, u64)>, (shard, filled): (Shard, u64)) -> Option<(Shard, u64)> {
        let known = known.map(|(shard, filled)| Count { shard, filled, left: 0 });
        recount(known, &ShardRow { shard, url: String::new(), filled }).map(|count| (count.shard, count.filled))
    }

    #[test]
    fn what_is_on_its_way_and_what_others_issued_both_count() {
        assert_eq!(next(None, (3, 700)), Some((3, 700)));
        assert_eq!(next(None, (3, SHARD_SIZE)), None);
        assert_eq!(next(Some((3, 1_024)), (3, 1_000)), Some((3, 1_024)));
        assert_eq!(next(Some((3, 1_024)), (3, 2_000)), Some((3, 2_000)));
        assert_eq!(next(Some((3, SHARD_SIZE)), (3, 16_000)), None);
        assert_eq!(next(Some((3, 20)), (4, 50)), Some((4, 50)), "another server has begun the next");
    }

    async fn draw(shards: &Shards, world: &World, base: &str) -> Shard {
        shards.next(&world.ledger, &Publication::at(base), &tenant(), &"portal".parse().unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn r1_a_shard_is_never_filled_beyond_its_size_and_has_one_address() {
        let world = World::new().await;
        let shards = Shards::default();
        for n in 0..SHARD_SIZE + 1 {
            assert_eq!(draw(&shards, &world, "http://a").await, if n < SHARD_SIZE { 1 } else { 2 }, "{n}");
        }
        assert_eq!(draw(&Shards::default(), &world, "http://a").await, 2, "a restart goes on");
        assert_eq!(draw(&Shards::default(), &world, "http://b").await, 3, "elsewhere, another shard");
        let url = async |shard| world.ledger.store().shard(&tenant(), &"portal".parse().unwrap(), shard).await.unwrap().map(|row| row.url);
        assert_eq!(url(Some(2)).await.as_deref(), Some("http://a/crl/aozora/portal/2.crl"));
        assert_eq!(url(None).await.as_deref(), Some("http://b/crl/aozora/portal/3.crl"));
        assert_eq!(url(Some(4)).await, None);
    }
}
