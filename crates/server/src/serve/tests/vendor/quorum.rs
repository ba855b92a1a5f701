//! Keepers who open a backup only together: who is told of them, and what is taken in.

use tegata_api::v1::backup::Quorum;
use tegata_pki::bundle::quorum;

use super::*;

/// Two of three keys have to come together.
async fn for_two_of_three() -> (Scene, Vec<DeviceKey>) {
    let stage = Scene::set().await;
    let keys: Vec<DeviceKey> = (0..3).map(|_| DeviceKey::generate()).collect();
    let mut of: Vec<String> = keys.iter().map(DeviceKey::recipient).collect();
    of.sort();
    let alone = format!("recipients: [{}]", stage.backup.recipient());
    stage.world.apply("aozora", &stage.policy().replace(&alone, &format!("recipients: [{}], threshold: 2", of.join(", ")))).await;
    (stage, keys)
}

fn request(content: &Content, sealed: &[u8], recipients: Vec<String>) -> ImportRequest {
    let (opened, _) = content.open().unwrap();
    ImportRequest {
        slot: SLOT.into(),
        chain: opened.chain.iter().map(|der| pem(der)).collect(),
        file_name: content.file_name.clone(),
        file: FileHash { sha256: content.digest().to_string(), size: content.file.len() as u64 },
        sealed: BASE64.encode(sealed),
        recipients,
    }
}

#[tokio::test]
async fn a_file_is_taken_in_only_if_it_takes_as_many_keepers_as_policy_says() {
    let (mut stage, keys) = for_two_of_three().await;
    let (content, told) = (stage.good(), stage.recipients(SLOT).await.unwrap());
    let of = told.quorum.as_ref().unwrap().of.clone();
    assert_eq!((told.backup, told.quorum.unwrap().threshold), (vec![], 2), "a program that knows of no quorum seals to none of them");
    let to: Vec<String> = of.iter().cloned().chain([told.device.clone()]).collect();
    let sealed = |threshold: u8, of: &[String]| {
        bundle::seal_for(&content, std::slice::from_ref(&told.device), &Keepers { threshold, of: of.to_vec() }).unwrap()
    };
    let import = async |sealed: &[u8]| -> Result<ImportAnswer, tegata_api::client::ClientError> {
        stage.world.admin().post("/v1/tenants/aozora/bundles", &request(&content, sealed, to.clone())).await
    };
    let stranger = [of[..2].to_vec(), vec![DeviceKey::generate().recipient()]].concat();
    for (why, wrong) in [("each alone", sealed(1, &of)), ("more than policy says", sealed(3, &of)), ("others", sealed(2, &stranger))] {
        assert_eq!(code_of(import(&wrong).await), Code::Conflict, "{why}");
    }
    let answer = import(&sealed(2, &of)).await.unwrap();
    let (_, order, _) = stage.source().await;
    let kept = BASE64.decode(stage.fetch(&order).await.unwrap().sealed.as_bytes()).unwrap();
    assert_eq!(bundle::unseal(&kept, &stage.device_key).unwrap(), content, "its device opens it alone");
    stage.prove(&order, &answer.fingerprint).await;
    let fetch = format!("/v1/tenants/aozora/backups/{SLOT}/fetch");
    let fetched: Fetched = stage.world.admin().post(&fetch, &FetchRequest::default()).await.unwrap();
    assert_eq!((fetched.manifest.threshold, fetched.manifest.recipients), (2, of));
    let unlocked = quorum::unlock(&BASE64.decode(fetched.sealed.as_bytes()).unwrap(), &keys[..2]).unwrap().unwrap();
    assert_eq!(bundle::unseal(&kept, &unlocked.key).unwrap(), content);
}

#[tokio::test]
async fn a_device_is_told_of_the_quorum_and_held_to_it() {
    let (mut stage, keys) = for_two_of_three().await;
    let of: Vec<String> = stage.recipients(SLOT).await.unwrap().quorum.unwrap().of;
    let policy = stage.policy().replace("install: { stores: [file] }", "install: { stores: [file, monsiaj] }");
    let alone = format!("recipients: [{}]", stage.backup.recipient());
    stage.world.apply("aozora", &policy.replace(&alone, &format!("recipients: [{}], threshold: 2", of.join(", ")))).await;
    let (content, told) = (stage.good(), stage.recipients(SLOT).await.unwrap());
    let keepers = Keepers { threshold: 2, of: of.clone() };
    let sealed = bundle::seal_for(&content, std::slice::from_ref(&told.device), &keepers).unwrap();
    let to = of.iter().cloned().chain([told.device]).collect();
    let answer: ImportAnswer = stage.world.admin().post("/v1/tenants/aozora/bundles", &request(&content, &sealed, to)).await.unwrap();
    let (_, order, _) = stage.source().await;
    stage.prove(&order, &answer.fingerprint).await;
    let slots = stage.pc.manifest(0).await.slots;
    let slot = slots.iter().find(|slot| slot.slot == SLOT).unwrap();
    assert_eq!((slot.backup.clone(), slot.quorum.clone()), (vec![], Some(Quorum { threshold: 2, of: of.clone() })));

    let packed = folder::pack(&[folder::File { name: "a".into(), bytes: b"b".to_vec().into() }]).unwrap();
    let keep = async |keepers: &Keepers| {
        let sealed = BASE64.encode(&folder::seal(&packed, keepers).unwrap());
        let request = KeepRequest { slot: SLOT.into(), recipients: of.clone(), sealed };
        stage.pc.client.tell("/v1/agent/backups", &request).await
    };
    assert_eq!(code_of(keep(&Keepers::each(of.clone())).await), Code::Conflict);
    keep(&keepers).await.unwrap();
    assert_eq!(keys.len(), of.len());
}
