//! The watched folder: what is in it applies, and what is wrong with it does not.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tegata_core::name::TenantName;
use tokio::time::timeout;

use super::world::{World, clock, config, policy};
use crate::bells::Bells;
use crate::serve::{ServeError, start_at};
use crate::watch::Folder;

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
    let moving = async {
        loop {
            let now = store.policy_revision(&aozora()).await.unwrap();
            if now > revision {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // Longer than the minute after which a lost notice is made good.
    timeout(Duration::from_secs(90), moving).await.expect("the folder was not applied")
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

/// A folder beside a server that does not watch it by itself.
fn beside(world: &World) -> Folder {
    let path = world.place.path().join("policies");
    fs::create_dir_all(&path).unwrap();
    Folder { tenant: aozora(), path, ledger: world.ledger().clone(), bells: Bells::default(), clock: clock(&world.offset) }
}

#[tokio::test]
async fn a_folder_with_a_mistake_applies_nothing_and_is_tried_again_only_when_it_changed() {
    let world = World::empty().await;
    let folder = beside(&world);
    write(&folder.path, "sakura.yaml", &policy("sakura"));
    write(&folder.path, "wrong.yaml", "apiVersion: tegata.dev/v1alpha1\nkind: Clinik\n");
    let wrong = folder.look(None).await;
    assert!(wrong.is_some() && clinics(&world).await.is_empty());
    assert_eq!(folder.look(wrong).await, wrong);
    fs::remove_file(folder.path.join("wrong.yaml")).unwrap();
    let right = folder.look(wrong).await;
    assert!(right.is_some() && right != wrong);
    assert_eq!(clinics(&world).await, ["sakura"]);
}

#[tokio::test]
async fn a_folder_that_is_empty_or_gone_drops_no_policy() {
    let world = World::empty().await;
    let folder = beside(&world);
    write(&folder.path, "sakura.yaml", &policy("sakura"));
    let applied = folder.look(None).await;
    fs::remove_file(folder.path.join("sakura.yaml")).unwrap();
    folder.look(applied).await;
    fs::remove_dir_all(&folder.path).unwrap();
    assert_eq!(folder.look(applied).await, applied);
    assert_eq!(clinics(&world).await, ["sakura"]);
}

#[tokio::test]
async fn a_folder_locks_nobody_out_and_is_tried_again() {
    let world = World::start().await;
    let mut pc = world.enroll("sakura/pc-1").await;
    pc.install_and_prove().await;
    let folder = beside(&world);
    write(&folder.path, "kaede.yaml", &policy("kaede"));
    assert_eq!(folder.look(None).await, None);
    assert_eq!(clinics(&world).await, ["sakura"]);
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_refused_at_start() {
    let place = tempfile::tempdir().unwrap();
    let config = crate::serve::Config { policies: Some((aozora(), place.path().join("typo"))), ..config(&place) };
    assert!(matches!(start_at(config, clock(&Default::default())).await, Err(ServeError::Policies { .. })));
}

#[tokio::test]
async fn a_folder_for_the_reserved_tenant_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let config = crate::serve::Config { policies: Some(("tegata".parse().unwrap(), place.path().into())), ..config(&place) };
    assert!(matches!(start_at(config, clock(&Default::default())).await, Err(ServeError::Reserved)));
}
