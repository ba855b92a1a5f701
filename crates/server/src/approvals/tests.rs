use tegata_core::time::HOUR;

use super::*;
use crate::pretend::World;

fn aozora() -> TenantName {
    "aozora".parse().unwrap()
}

async fn tried(world: &World, what: What, object: &str, who: &str) -> Result<(), ApprovalError> {
    let release = expect(&world.ledger, Act { tenant: &aozora(), what, object, devices: 9 }, (who, world.now)).await?;
    world.ledger.record((), release).await?;
    Ok(())
}

async fn asked(world: &World, what: What, object: &str, who: &str) -> String {
    match tried(world, what, object, who).await {
        Err(ApprovalError::Needed(id)) => id,
        other => panic!("{other:?}"),
    }
}

async fn agree(world: &World, id: &str, who: &str) -> Result<ApprovalRow, ApprovalError> {
    approve(&world.ledger, &aozora(), id, (who, world.now)).await
}

#[tokio::test]
async fn a_word_is_for_exactly_this_act_by_exactly_this_person_and_once() {
    let world = World::new().await;
    let id = asked(&world, What::Apply, "hash", "person:one").await;
    assert_eq!(asked(&world, What::Apply, "hash", "person:one").await, id, "asking again is the same request");
    assert!(matches!(agree(&world, &id, "person:one").await, Err(ApprovalError::SamePerson)));
    assert_eq!(agree(&world, &id, "person:two").await.unwrap().devices, 9);
    agree(&world, &id, "person:three").await.expect("agreeing again changes nothing");
    for (what, object, who) in
        [(What::Apply, "hasH", "person:one"), (What::RevokeMany, "hash", "person:one"), (What::Apply, "hash", "person:two")]
    {
        assert_ne!(asked(&world, what, object, who).await, id);
    }
    tried(&world, What::Apply, "hash", "person:one").await.unwrap();
    assert_ne!(asked(&world, What::Apply, "hash", "person:one").await, id, "once");
    assert!(matches!(agree(&world, &id, "person:two").await, Err(ApprovalError::NotFound)));
    for (action, times) in [("intended act.ask", 5), ("done act.approve", 1), ("done act.release", 1)] {
        assert_eq!(world.logged(action).await, times, "{action}");
    }
}

#[tokio::test]
async fn a_word_is_worth_nothing_after_the_hour_and_in_another_tenant() {
    let mut world = World::new().await;
    let id = asked(&world, What::RevokeMany, "hash", "person:one").await;
    let elsewhere = approve(&world.ledger, &"momiji".parse().unwrap(), &id, ("person:two", world.now)).await;
    assert!(matches!(elsewhere, Err(ApprovalError::NotFound)));
    agree(&world, &id, "person:two").await.unwrap();
    world.pass(HOUR + MINUTE);
    let again = asked(&world, What::RevokeMany, "hash", "person:one").await;
    assert_ne!(again, id);
    world.pass(HOUR + MINUTE);
    assert!(matches!(agree(&world, &again, "person:two").await, Err(ApprovalError::NotFound)));
}
