//! A server on a database that was put back, from outside.

use std::time::Duration;

use serde_json::json;
use tegata_api::client::Credentials;
use tegata_api::v1::problem::Code;
use tegata_api::v1::recovery::Recovered;
use tokio::time::timeout;

use super::world::{World, clock, code_of, config, new_key, problem};
use crate::serve::start_at;
use crate::store::sql::sqlite::archive;

/// Longer than any answer that is not held takes.
const MOMENT: Duration = Duration::from_secs(2);

#[tokio::test]
async fn s5_devices_are_heard_and_told_nothing_until_the_epoch_is_on_record() {
    let world = World::start().await;
    let pc = world.enroll("sakura/pc-1").await;
    let order = pc.order().await;
    let generation = pc.manifest(0).await.generation;
    world.bind("aozora", "aozora-staff", "role: admin").await;
    let World { place, server, offset, .. } = world;
    server.stop().await;
    archive::begin_epoch(&place.path().join("state/tegata.db"), clock(&offset).now(), clock(&offset).now()).await.unwrap();
    let server = start_at(config(&place), clock(&offset)).await.unwrap();
    let (world, pc) = {
        let world = World::of(place, server, offset);
        let pc = pc.moved(&world);
        (world, pc)
    };

    let refused = problem(pc.request(&order, &new_key()).await);
    assert_eq!((refused.code, refused.retry_after), (Code::Busy, Some(60)));
    assert!(timeout(MOMENT, pc.manifest(0)).await.is_err(), "what the PC was told since may be newer");
    assert!(timeout(MOMENT, pc.manifest(generation + 7)).await.is_err());
    let staff = world.client(Credentials::Token(world.token("aozora-staff", Some("aozora")).await));
    let recover = json!({ "note": "the disk broke" });
    assert_eq!(code_of(staff.post::<_, Recovered>("/v1/tenants/aozora/recovery", &recover).await), Code::Forbidden);
    assert_eq!(code_of(staff.post::<_, Recovered>("/v1/tenants/tegata/recovery", &recover).await), Code::NotFound);
    assert_eq!(code_of(world.anyone.post::<_, Recovered>("/v1/tenants/tegata/recovery", &recover).await), Code::Unauthorized);
    world.admin().post::<_, Recovered>("/v1/tenants/tegata/recovery", &recover).await.unwrap();

    let manifest = pc.manifest(generation + 7).await;
    assert_eq!((manifest.generation > generation + 7, manifest.epoch), (true, 1));
    let next = pc.order_other_than(Some(&order)).await;
    pc.request(&next, &new_key()).await.unwrap();
    assert_eq!(code_of(pc.request(&order, &new_key()).await), Code::OrderClosed);
}
