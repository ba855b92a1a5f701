use std::fs;

use tegata_api::v1::device as wire;
use tegata_pki::bundle::DeviceKey;

use super::*;
use crate::pretend::World;

/// A PC on which monsiaj has a certificate, and a clinic that keeps backups.
struct Scene {
    world: World,
    home: tempfile::TempDir,
    keeper: DeviceKey,
}

impl Scene {
    fn set() -> Self {
        let (world, home) = (World::new(), tempfile::tempdir().unwrap());
        let certificates = home.path().join(".monsiaj/certificates");
        fs::create_dir_all(&certificates).unwrap();
        fs::write(certificates.join("20260101000000.p12"), b"p12").unwrap();
        fs::write(certificates.join("20260101000000.pass"), b"secret").unwrap();
        fs::write(home.path().join(".monsiaj/monsiaj.jsonrpc.properties"), b"a=b").unwrap();
        fs::write(home.path().join(".monsiaj/monsiaj.log"), b"not this").unwrap();
        Self { world, home, keeper: DeviceKey::generate() }
    }

    async fn send(&self, slots: &[(&str, &[String])]) -> Result<(), SnapshotError> {
        let slot = |(id, backup): &(&str, &[String])| wire::SlotManifest {
            slot: (*id).into(),
            order: None,
            source: wire::Source::Request,
            key: "vendor".into(),
            label: String::new(),
            stores: vec!["monsiaj".into()],
            select: vec![],
            probe: None,
            replaces: vec![],
            backup: backup.to_vec(),
            quorum: None,
        };
        let slots = slots.iter().map(slot).collect();
        let manifest = wire::Manifest { generation: 1, device: "sakura/uketsuke-1".into(), slots, ..Default::default() };
        send(&self.world.state, self.home.path(), &Manifest::try_from(&manifest).unwrap(), &*self.world.server).await
    }

    async fn send_own(&self) -> Result<(), SnapshotError> {
        self.send(&[("sakura/uketsuke-1/orcamo", &[self.keeper.recipient()])]).await
    }

    fn sent(&self) -> usize {
        self.world.server.kept.borrow().len()
    }
}

#[tokio::test(start_paused = true)]
async fn monsiajs_files_are_sealed_and_sent_when_they_have_changed_and_not_otherwise() {
    let scene = Scene::set();
    for _ in 0..3 {
        scene.send_own().await.unwrap();
    }
    assert_eq!(scene.sent(), 1);
    let sealed = BASE64.decode(scene.world.server.kept.borrow()[0].sealed.as_bytes()).unwrap();
    let files = folder::unseal(&sealed, &scene.keeper).unwrap();
    let found: Vec<(&str, &[u8])> = files.iter().map(|file| (&file.name[..], &file.bytes[..])).collect();
    let expected: [(&str, &[u8]); 3] = [
        ("certificates/20260101000000.p12", b"p12"),
        ("certificates/20260101000000.pass", b"secret"),
        ("monsiaj.jsonrpc.properties", b"a=b"),
    ];
    assert_eq!(found, expected);
    assert!(!sealed.windows(6).any(|window| window == b"secret"), "what travels is sealed");
    fs::write(scene.home.path().join(".monsiaj/certificates/20290101000000.p12"), b"renewed").unwrap();
    scene.send_own().await.unwrap();
    let other = DeviceKey::generate();
    scene.send(&[("sakura/uketsuke-1/orcamo", &[other.recipient()])]).await.unwrap();
    assert_eq!(scene.sent(), 3, "something new, and somebody new who can open it");
}

#[tokio::test(start_paused = true)]
async fn what_the_server_does_not_take_is_sent_again() {
    let scene = Scene::set();
    scene.world.server.refuse_with(crate::pretend::problem(tegata_api::v1::problem::Code::Busy));
    assert!(matches!(scene.send_own().await, Err(SnapshotError::Server(_))));
    scene.world.server.accept_again();
    scene.send_own().await.unwrap();
    assert_eq!(scene.sent(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_where_nobody_keeps_backups_or_clinics_share_the_folder() {
    let scene = Scene::set();
    scene.send(&[("sakura/uketsuke-1/orcamo", &[])]).await.unwrap();
    let keeper = [scene.keeper.recipient()];
    let shared = scene.send(&[("sakura/uketsuke-1/orcamo", &keeper), ("momiji/uketsuke-1@sakura/orcamo", &[])]).await;
    assert!(matches!(shared, Err(SnapshotError::Shared)));
    scene.send(&[("sakura/uketsuke-1/orcamo", &[]), ("momiji/uketsuke-1@sakura/orcamo", &[])]).await.unwrap();
    assert_eq!(scene.sent(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_has_lost_its_certificates_takes_no_backups_place() {
    let scene = Scene::set();
    fs::remove_dir_all(scene.home.path().join(".monsiaj/certificates")).unwrap();
    scene.send_own().await.unwrap();
    assert_eq!(scene.sent(), 0);
}
