//! Any so many keepers open it and fewer do not; what is wrong with a share is said of its keeper.

use proptest::prelude::*;

use super::super::{Content, SealError, seal_for, unseal};
use super::*;

fn content() -> Content {
    Content::new("client1210.p12", "0427", b"the vendor's own file")
}

fn keys(count: usize) -> Vec<DeviceKey> {
    (0..count).map(|_| DeviceKey::generate()).collect()
}

fn again(keys: &[&DeviceKey]) -> Vec<DeviceKey> {
    keys.iter().map(|key| DeviceKey::from_secret(&key.to_secret()).unwrap()).collect()
}

fn of(threshold: u8, keys: &[DeviceKey]) -> Keepers {
    Keepers { threshold, of: keys.iter().map(DeviceKey::recipient).collect() }
}

fn sealed(keepers: &Keepers) -> Vec<u8> {
    seal_for(&content(), &[], keepers).unwrap()
}

/// Those of `keys` whose bits are set.
fn chosen(keys: &[DeviceKey], bits: u32) -> Vec<DeviceKey> {
    let all = keys.iter().enumerate().filter(|(index, _)| bits >> index & 1 == 1);
    again(&all.map(|(_, key)| key).collect::<Vec<_>>())
}

/// A file whose parts were changed as text.
fn changed(sealed: &[u8], change: impl FnOnce(String) -> String) -> Vec<u8> {
    change(String::from_utf8(sealed.to_vec()).unwrap()).into_bytes()
}

fn opens(sealed: &[u8], keys: &[DeviceKey], threshold: u8) -> bool {
    match unlock(sealed, keys) {
        Ok(Some(unlocked)) => {
            assert!(unlocked.faults.is_empty());
            assert_eq!(unseal(sealed, &unlocked.key).unwrap(), content());
            true
        }
        Ok(None) => panic!("it is for several keepers"),
        Err(QuorumError::Missing { threshold: said, have, others, faults }) => {
            assert_eq!((said, have.len(), faults), (threshold, keys.len(), vec![]));
            assert!(keys.iter().all(|key| !others.contains(&key.recipient())));
            false
        }
        Err(problem) => panic!("{problem}"),
    }
}

#[test]
fn every_choice_of_so_many_keepers_opens_it_and_none_of_fewer_does() {
    for count in 2..=5 {
        for threshold in 2..=count {
            let (keys, threshold) = (keys(count), u8::try_from(threshold).unwrap());
            let sealed = sealed(&of(threshold, &keys));
            for bits in 0..1 << count {
                let some = chosen(&keys, bits);
                assert_eq!(opens(&sealed, &some, threshold), some.len() >= usize::from(threshold), "{threshold} of {count}: {bits:b}");
            }
            assert!(keys.iter().all(|key| unseal(&sealed, key).is_err()), "no keeper opens it alone");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn that_holds_for_more_of_them_too(count in 6_usize..=20, bits: u32, threshold in 2_u8..=19) {
        let threshold = threshold.min(u8::try_from(count).unwrap() - 1);
        let keys = keys(count);
        let some = chosen(&keys, bits & ((1 << count) - 1));
        prop_assert_eq!(opens(&sealed(&of(threshold, &keys)), &some, threshold), some.len() >= usize::from(threshold));
    }
}

/// Whoever has one share less than it takes can make no guess better: whatever the secret, every byte of a share is as likely as any other.
/// Libraries were wrong in this: coefficients that were never zero (RUSTSEC-2024-0398), and only odd ones.
#[test]
fn a_share_says_nothing_of_the_secret() {
    for (secret, threshold) in [([0_u8; 64], 2), ([0xff; 64], 2), ([7; 64], 3)] {
        let mut seen = [0_u32; 256];
        for _ in 0..400 {
            for share in divide(&secret, threshold, 3) {
                share[1..].iter().for_each(|byte| seen[usize::from(*byte)] += 1);
            }
        }
        let (least, most) = (seen.iter().min().unwrap(), seen.iter().max().unwrap());
        // 300 are expected of each: these bounds are more than six deviations away.
        assert!(*least > 190 && *most < 420, "{threshold}: {least} to {most}");
    }
}

#[test]
fn its_device_opens_it_alone_and_an_ordinary_file_has_no_lock() {
    let (device, keys) = (DeviceKey::generate(), keys(3));
    let keepers = of(2, &keys);
    let sealed = seal_for(&content(), &[device.recipient()], &keepers).unwrap();
    assert_eq!(unseal(&sealed, &device).unwrap(), content());
    assert_eq!(super::keepers(&sealed).unwrap(), Some(keepers));
    let ordinary = seal_for(&content(), &[device.recipient()], &of(1, &keys)).unwrap();
    assert_eq!(super::keepers(&ordinary).unwrap(), None);
    assert!(unlock(&ordinary, &keys).unwrap().is_none());
    assert!(keys.iter().chain([&device]).all(|key| unseal(&ordinary, key).unwrap() == content()), "each of them alone");
}

#[test]
fn what_cannot_be_asked_for_is_refused() {
    let keys = keys(3);
    let twice = Keepers { threshold: 2, of: [of(2, &keys[..2]).of, of(2, &keys[..1]).of].concat() };
    for wrong in [of(4, &keys), of(2, &keys[..1]), twice] {
        assert!(matches!(seal_for(&content(), &[], &wrong), Err(SealError::Threshold)), "{wrong:?}");
    }
    let stranger = Keepers { threshold: 2, of: vec![keys[0].recipient(), "age1nobody".into(), keys[1].recipient()] };
    assert!(matches!(seal_for(&content(), &[], &stranger), Err(SealError::Recipient(_))));
}

fn fault(sealed: &[u8], keys: &[DeviceKey]) -> Vec<Fault> {
    match unlock(sealed, keys) {
        Ok(unlocked) => unlocked.unwrap().faults,
        Err(QuorumError::Missing { faults, .. }) => faults,
        Err(problem) => panic!("{problem}"),
    }
}

/// A file into which the share of another keeper, or of another file, was put.
fn with_share(sealed: &[u8], index: usize, from: &[u8], other: usize) -> Vec<u8> {
    let piece = |bytes: &[u8], index: usize| {
        let text = str::from_utf8(bytes).unwrap();
        pieces(&text[text.find(BEGIN).unwrap()..])[index].to_owned()
    };
    let (own, foreign) = (piece(sealed, index), piece(from, other));
    changed(sealed, |text| text.replace(&own, &foreign))
}

#[test]
fn whose_share_is_wrong_is_said_and_the_others_open_it() {
    let keys = keys(3);
    let (keepers, first) = (of(2, &keys), keys[0].recipient());
    let (good, other) = (sealed(&keepers), sealed(&keepers));
    let digest = |index: usize| Envelope::read(&good).unwrap().unwrap().keepers[index].1.to_string();
    for (bad, kind) in [
        (with_share(&good, 0, &other, 0), FaultKind::Foreign),
        (with_share(&good, 0, &good, 1), FaultKind::Closed),
        (changed(&good, |text| text.replace(&digest(0), &digest(1))), FaultKind::Altered),
    ] {
        let expected = vec![Fault { keeper: first.clone(), kind }];
        assert_eq!(fault(&bad, &again(&[&keys[0], &keys[1]])), expected, "with no key to spare");
        assert_eq!(fault(&bad, &again(&[&keys[0], &keys[1], &keys[2]])), expected, "where the others are enough");
        let unlocked = unlock(&bad, &again(&[&keys[0], &keys[1], &keys[2]])).unwrap().unwrap();
        assert_eq!(unseal(&bad, &unlocked.key).unwrap(), content());
        let told = unlock(&bad, &again(&[&keys[0], &keys[1]])).err().unwrap().to_string();
        assert!(told.contains(&format!("the share of {first}")) && told.contains(&keys[2].recipient()), "{told}");
    }
}

#[test]
fn a_share_of_somebody_who_lied_about_everything_is_found_too() {
    let keys = keys(4);
    let lock = DeviceKey::generate();
    let good = divide(lock.to_secret().as_bytes(), 2, 4);
    let forged = divide(&[b'A'; 74], 2, 4);
    // The head describes what is there: only together it shows.
    let made = |forged_at: &[usize]| {
        let (mut head, mut files) = (format!("{MAGIC}threshold 2\nlock {}\n", lock.recipient()), String::new());
        for (index, key) in keys.iter().enumerate() {
            let share = if forged_at.contains(&index) { &forged[index] } else { &good[index] };
            head.push_str(&format!("keeper {} {}\n", key.recipient(), sha256(&share[1..])));
            let line = format!("{SHARE} {} 2 {} {}\n", lock.recipient(), index + 1, HEXLOWER.encode(&share[1..]));
            files.push_str(&seal_to(line.as_bytes(), &[key.recipient()]).unwrap());
        }
        let sealed = super::super::seal(&content(), &[lock.recipient()]).unwrap();
        [head, files, crate::sealed::armored(&sealed).unwrap()].concat().into_bytes()
    };
    assert!(fault(&made(&[]), &again(&keys.iter().collect::<Vec<_>>())).is_empty());
    let last = Fault { keeper: keys[3].recipient(), kind: FaultKind::Altered };
    assert_eq!(fault(&made(&[3]), &again(&keys.iter().collect::<Vec<_>>())), [last]);
    assert_eq!(unlock(&made(&[0]), &again(&[&keys[0], &keys[1]])).err(), Some(QuorumError::Disagree));
}

#[test]
fn what_is_cut_or_changed_anywhere_never_opens_to_something_else() {
    let keys = keys(3);
    let whole = sealed(&of(2, &keys));
    let try_all = |bytes: &[u8]| match unlock(bytes, &keys) {
        Ok(Some(unlocked)) => unseal(bytes, &unlocked.key).ok(),
        Ok(None) => unseal(bytes, &keys[0]).ok(),
        Err(_) => None,
    };
    for index in (0..whole.len()).step_by(7) {
        let mut flipped = whole.clone();
        flipped[index] ^= 1;
        assert!(try_all(&flipped).is_none_or(|opened| opened == content()), "byte {index}");
    }
    // A line feed at the very end is nothing that anybody needs.
    let last = whole.trim_ascii_end().len() - 1;
    for end in (0..last).step_by(7).chain([last]) {
        assert!(try_all(&whole[..end]).is_none(), "cut at {end}");
    }
}
