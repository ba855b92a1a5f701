//! What is seen without a password of the bundles that real tools make.

use std::collections::BTreeSet;

use tegata_core::name::Sha256;
use tegata_pki::key::sha256;
use tegata_pki::pkcs12::{Depth, Glance, glance};

use super::readers::{KEYTOOL, is_there};
use super::*;

/// One key and its certificate, all that there is.
fn whole(own: &[u8]) -> Glance {
    Glance { keys: 1, certificates: [sha256(own)].into(), is_whole: true }
}

/// A key whose certificate nobody can see.
fn hidden() -> Glance {
    Glance { keys: 1, certificates: BTreeSet::<Sha256>::new(), is_whole: false }
}

fn looked(file: &[u8]) -> Glance {
    glance(file, Depth::EmptyPassword).unwrap()
}

#[test]
fn of_what_openssl_makes_open_certificates_are_seen_beside_the_authorities_and_hidden_ones_are_not() {
    let house = House::new();
    for (arguments, is_open, needs_work) in [
        ("-passout pass:pw", false, false),
        ("-legacy -passout pass:pw", false, false),
        ("-certpbe NONE -passout pass:pw", true, false),
        ("-keypbe NONE -certpbe NONE -nomac -passout pass:pw", true, false),
        ("-passout pass:", true, true),
        ("-legacy -passout pass:", true, true),
    ] {
        let (file, chain) = openssl_bundle(&house, arguments);
        assert_eq!(looked(&file), if is_open { whole(&chain[0]) } else { hidden() }, "{arguments}");
        assert_eq!(glance(&file, Depth::Open).unwrap() == whole(&chain[0]), is_open && !needs_work, "{arguments}");
    }
}

#[test]
fn a_bundle_of_certificates_alone_holds_no_key() {
    let house = House::new();
    openssl_bundle(&house, "-passout pass:pw");
    for (protection, is_whole) in [("-certpbe NONE", true), ("", false)] {
        house.desk.accepts(&format!("openssl pkcs12 -export -nokeys -in leaf.pem {protection} -out b.p12 -passout pass:pw"));
        assert_eq!(looked(&house.desk.take("b.p12")), Glance { keys: 0, certificates: BTreeSet::new(), is_whole });
    }
}

#[test]
fn what_gnutls_makes_is_seen_with_an_empty_password_and_with_none() {
    let house = House::new();
    let (_, chain) = openssl_bundle(&house, "-passout pass:pw");
    for (password, is_open) in [("--empty-password", true), ("--null-password", true), ("--password secret", false)] {
        // Its PBES2 knows no difference between the two; PKCS#12's own scheme does.
        for cipher in ["aes-128", "3des-pkcs12"] {
            house.desk.accepts(&format!(
                "certtool --to-p12 --load-privkey key.pem --load-certificate leaf.pem --p12-name uketsuke --pkcs-cipher {cipher} \
                 {password} --outder --outfile b.p12"
            ));
            let expected = if is_open { whole(&chain[0]) } else { hidden() };
            assert_eq!(looked(&house.desk.take("b.p12")), expected, "{cipher} {password}");
        }
    }
}

#[test]
fn what_nss_makes_is_seen_if_it_leaves_the_certificate_open() {
    let house = House::new();
    let (_, chain) = openssl_bundle(&house, "-passout pass:secret");
    fs::create_dir(house.desk.path("nss")).unwrap();
    house.desk.accepts("certutil -N -d nss --empty-password");
    house.desk.accepts("pk12util -i a.p12 -d nss -W secret");
    for (ciphers, expected) in [("-C none", whole(&chain[0])), ("-C AES-128-CBC", hidden())] {
        house.desk.accepts(&format!("pk12util -o b.p12 -n {NAME} -d nss -W secret {ciphers}"));
        assert_eq!(looked(&house.desk.take("b.p12")), expected, "{ciphers}");
    }
}

#[test]
fn what_java_makes_is_seen_if_it_leaves_the_certificate_open_and_of_two_keys_both_are() {
    if !is_there("keytool", "Java") {
        return;
    }
    let desk = Desk::new();
    let certificate_of = |alias: &str, store: &str| {
        desk.accepts(&format!("{KEYTOOL} -exportcert -alias {alias} -keystore {store} -storepass secret -file {alias}.cer"));
        sha256(&desk.take(&format!("{alias}.cer")))
    };
    let open = "-J-Dkeystore.pkcs12.certProtectionAlgorithm=NONE";
    for (store, aliases, arguments) in
        [("open.p12", &["first"][..], open), ("two.p12", &["first", "second"], open), ("closed.p12", &["first"], "")]
    {
        for alias in aliases {
            let key = format!("{KEYTOOL} -genkeypair -alias {alias} -dname CN={alias} -keyalg EC -groupname secp256r1 {arguments}");
            desk.accepts(&format!("{key} -storetype PKCS12 -keystore {store} -storepass secret"));
        }
        let seen = looked(&desk.take(store));
        if arguments.is_empty() {
            assert_eq!(seen, hidden());
        } else {
            let certificates = aliases.iter().map(|alias| certificate_of(alias, store)).collect();
            assert_eq!(seen, Glance { keys: aliases.len(), certificates, is_whole: true }, "{store}");
        }
    }
}

/// Whatever is cut or changed, an answer comes soon; and what was damaged is never taken for another certificate of the same key.
#[test]
fn a_bundle_cut_anywhere_or_with_any_byte_changed_makes_nothing_fall() {
    let house = House::new();
    for arguments in ["-certpbe NONE -passout pass:pw", "-iter 1 -legacy -passout pass:"] {
        let (file, _) = openssl_bundle(&house, arguments);
        for length in 0..file.len() {
            assert_eq!(glance(&file[..length], Depth::EmptyPassword), None, "{arguments}, cut at {length}");
        }
        for index in 0..file.len() {
            for value in [0x00, 0x80, file[index].wrapping_add(1)] {
                let mut changed = file.clone();
                changed[index] = value;
                if let Some(seen) = glance(&changed, Depth::EmptyPassword) {
                    assert!(seen.keys <= 1 && seen.certificates.len() <= 1, "{arguments}, {value} at {index}: {seen:?}");
                }
            }
        }
    }
}
