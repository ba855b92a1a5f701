use std::fs;
use std::path::Path;
use std::process::Command;

use super::*;

const HOST: &str = "uketsuke-1.example.jp";
/// What `ssh-keygen` is told for a certificate that is right.
const RIGHT: [&str; 5] = ["-h", "-n", HOST, "-V", "20260101:20270101"];

/// Keys made by OpenSSH, and what it signs with them.
struct Keys(tempfile::TempDir);

impl Keys {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn keygen(&self, arguments: &[&str]) {
        let made = Command::new("ssh-keygen").current_dir(self.0.path()).arg("-q").args(arguments).output().unwrap();
        assert!(made.status.success(), "{arguments:?}: {made:?}");
    }

    /// Makes a key, of so many bits; gives its public half.
    fn make(&self, name: &str, kind: &str, bits: &str) -> HostKey {
        self.keygen(&["-t", kind, "-b", bits, "-N", "", "-f", name]);
        read_key(&self.0.path().join(format!("{name}.pub")))
    }

    /// Has `authority` sign the key `name`.
    fn certify(&self, authority: &str, name: &str, arguments: &[&str]) -> HostKey {
        let file = format!("{name}.pub");
        self.keygen(&[&["-s", authority, "-I", "test"], arguments, &[&*file]].concat());
        read_key(&self.0.path().join(format!("{name}-cert.pub")))
    }
}

fn read_key(path: &Path) -> HostKey {
    let text = fs::read_to_string(path).unwrap();
    text.split_whitespace().take(2).collect::<Vec<_>>().join(" ").parse().unwrap()
}

/// 2026-07-01T00:00:00Z.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_782_864_000)
}

#[test]
fn every_kind_of_authority_speaks_for_every_kind_of_host() {
    let keys = Keys::new();
    let kinds = [("ed25519", "256"), ("ecdsa", "256"), ("ecdsa", "384"), ("ecdsa", "521"), ("rsa", "2048")];
    for (number, (kind, bits)) in kinds.into_iter().enumerate() {
        let (authority, host) = (format!("ca-{number}"), format!("host-{number}"));
        let pinned = keys.make(&authority, kind, bits);
        keys.make(&host, kind, bits);
        let shown = keys.certify(&authority, &host, &RIGHT);
        assert_eq!(check(&shown, &[pinned], HOST, now()), Ok(()), "{kind} {bits}");
    }
}

#[test]
fn a_certificate_counts_only_as_a_whole() {
    let keys = Keys::new();
    let (ours, other) = (keys.make("ca", "ed25519", "256"), keys.make("other", "ed25519", "256"));
    let plain = keys.make("host", "ed25519", "256");
    let look = |shown: &HostKey| check(shown, std::slice::from_ref(&ours), HOST, now());
    let signed = |authority: &str, arguments: &[&str]| look(&keys.certify(authority, "host", arguments));
    let otherwise = |names: &[&str]| {
        let names = names.iter().map(ToString::to_string).collect();
        Err(Unproven::OtherHost(names, HOST.into()))
    };

    assert_eq!(look(&plain), Err(Unproven::Plain(plain.fingerprint())));
    assert_eq!(signed("other", &RIGHT), Err(Unproven::Stranger(other.fingerprint())));
    assert_eq!(signed("ca", &["-n", HOST, "-V", "20260101:20270101"]), Err(Unproven::OfUser));
    assert_eq!(signed("ca", &["-h", "-n", HOST, "-V", "20250101:20260101"]), Err(Unproven::Late));
    assert_eq!(signed("ca", &["-h", "-n", HOST, "-V", "20270101:20280101"]), Err(Unproven::Early));
    assert_eq!(signed("ca", &["-h", "-n", "pc-2", "-V", "20260101:20270101"]), otherwise(&["pc-2"]));
    assert_eq!(signed("ca", &["-h", "-V", "20260101:20270101"]), otherwise(&[]), "one for everybody is for nobody");
    assert_eq!(signed("ca", &["-h", "-n", "*.example.jp", "-V", "20260101:20270101"]), otherwise(&["*.example.jp"]));
    assert_eq!(signed("ca", &["-h", "-n", "pc-2,UKETSUKE-1.example.jp"]), Ok(()), "without an end, among others, and in any letter case");
    let demanding = ["-h", "-n", HOST, "-O", "critical:place@example.jp=tokyo"];
    assert_eq!(signed("ca", &demanding), Err(Unproven::Demanding("place@example.jp".into())));

    let right = keys.certify("ca", "host", &RIGHT);
    assert_eq!(look(&right), Ok(()));
    assert_eq!(check(&right, &[], HOST, now()), Err(Unproven::Stranger(ours.fingerprint())));
    assert_eq!(
        check(&right, std::slice::from_ref(&right), HOST, now()),
        Err(Unproven::Stranger(ours.fingerprint())),
        "a certificate is no authority"
    );
    assert_eq!(check(&right, &[other, ours], HOST, now()), Ok(()));
}

#[test]
fn it_begins_and_ends_at_the_second() {
    let keys = Keys::new();
    let ours = [keys.make("ca", "ed25519", "256")];
    keys.make("host", "ed25519", "256");
    let shown = keys.certify("ca", "host", &["-h", "-n", HOST, "-V", "0x6a44b380:0x6a44b390"]);
    let at = |seconds| check(&shown, &ours, HOST, UNIX_EPOCH + Duration::from_secs(seconds));
    assert_eq!(at(0x6a44_b37f), Err(Unproven::Early));
    assert_eq!((at(0x6a44_b380), at(0x6a44_b38f)), (Ok(()), Ok(())));
    assert_eq!(at(0x6a44_b390), Err(Unproven::Late));
}

#[test]
fn not_one_byte_can_be_changed() {
    let keys = Keys::new();
    let ours = [keys.make("ca", "ed25519", "256")];
    keys.make("host", "ed25519", "256");
    let right = keys.certify("ca", "host", &RIGHT);
    for place in 0..right.blob().len() {
        let mut bytes = right.blob().to_vec();
        bytes[place] ^= 1;
        if let Ok(shown) = HostKey::of(&bytes) {
            assert!(check(&shown, &ours, HOST, now()).is_err(), "the byte at {place} does not count");
        }
    }
    let longer = HostKey::of(&[right.blob(), &[0]].concat()).unwrap();
    assert_eq!(check(&longer, &ours, HOST, now()), Err(Unproven::Unreadable));
    let mut forged = right.blob().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(check(&HostKey::of(&forged).unwrap(), &ours, HOST, now()), Err(Unproven::Forged));
}

/// The value of an extension is nothing, or a text; a text of no length means the same and is another way to write it.
#[test]
fn what_can_be_written_in_two_ways_is_read_in_one() {
    let keys = Keys::new();
    let ours = [keys.make("ca", "ed25519", "256")];
    keys.make("host", "ed25519", "256");
    let right = keys.certify("ca", "host", &["-h", "-n", HOST, "-O", "extension:place"]);
    assert_eq!(check(&right, &ours, HOST, now()), Ok(()), "extensions demand nothing");
    let (written, otherwise) = (b"\0\0\0\x0d\0\0\0\x05place\0\0\0\0", b"\0\0\0\x11\0\0\0\x05place\0\0\0\x04\0\0\0\0");
    let place = right.blob().windows(written.len()).position(|bytes| bytes == written).unwrap();
    let (before, after) = (&right.blob()[..place], &right.blob()[place + written.len()..]);
    let shown = HostKey::of(&[before, otherwise, after].concat()).unwrap();
    assert_eq!(check(&shown, &ours, HOST, now()), Err(Unproven::Unreadable));
}
