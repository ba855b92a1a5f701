//! The watched folder: what is in it applies, and what is wrong with it does not.

use std::fs;
use std::path::Path;

use tegata_core::name::TenantName;

use super::world::{World, clock, config, policy};
use crate::serve::{ServeError, start_at};

/// Starts a server that watches `policies` beside its state.
async fn watching(files: &[(&str, String)]) -> World {
    let world = World::empty().await;
    let folder = world.place.path().join("policies");
    for (name, text) in files {
        write(&folder, name, text);
    }
    let World { place, server, offset, .. } = world;
    server.stop().await;
    let config = crate::serve::Config { policies: Some((aozora(), folder)), ..config(&place) };
    let server = start_at(config, clock(&offset)).await.unwrap();
    World::of(place, server, offset)
}

fn aozora() -> TenantName {
    "aozora".parse().unwrap()
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Waits until the policy has moved beyond a revision.
async fn moved(world: &World, revision: u64) -> u64 {
    let store = world.ledger().store();
    loop {
        let now = store.policy_revision(&aozora()).await.unwrap();
        if now > revision {
            return now;
        }
        tokio::task::yield_now().await;
    }
}

async fn clinics(world: &World) -> Vec<String> {
    world.ledger().policy(&aozora()).await.unwrap().clinics.keys().map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_is_applied_at_start_and_when_it_changes() {
    let hidden = ("..data/old.yaml", "not: policy".to_owned());
    let world = watching(&[("group/sakura.yaml", policy("sakura")), ("README.md", "no policy".into()), hidden]).await;
    let first = moved(&world, 0).await;
    assert_eq!(clinics(&world).await, ["sakura"]);
    write(&world.place.path().join("policies"), "group/sakura.yaml", &policy("kaede"));
    moved(&world, first).await;
    assert_eq!(clinics(&world).await, ["kaede"]);
}

#[tokio::test]
async fn a_folder_for_the_reserved_tenant_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let config = crate::serve::Config { policies: Some(("tegata".parse().unwrap(), place.path().into())), ..config(&place) };
    assert!(matches!(start_at(config, clock(&Default::default())).await, Err(ServeError::Reserved)));
}
