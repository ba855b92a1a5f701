//! Bundles as vendors' tools really make them: odd orders, strangers inside, Java, NSS, old and rare algorithms, odd passwords and names.

use std::time::{Duration, Instant};

use tegata_core::vendor::BundleFault;
use tegata_pki::bundle;

use super::readers::{KEYTOOL, is_there};
use super::*;

fn error(bytes: &[u8], password: &str) -> BundleError {
    pkcs12::read(bytes, password).err().expect("a refusal")
}

#[test]
fn rare_algorithms_are_named_before_a_password_is_tried() {
    let house = House::new();
    for (algorithm, oid) in [
        ("PBE-SHA1-RC4-128", "1.2.840.113549.1.12.1.1"),
        ("PBE-SHA1-RC4-40", "1.2.840.113549.1.12.1.2"),
        ("PBE-SHA1-2DES", "1.2.840.113549.1.12.1.4"),
        ("PBE-SHA1-RC2-128", "1.2.840.113549.1.12.1.5"),
        ("des-ede3-cbc", "1.2.840.113549.3.7"),
        ("camellia-256-cbc", "1.2.392.200011.61.1.1.1.4"),
    ] {
        for mac in ["", "-nomac"] {
            let arguments = format!("-legacy -keypbe {algorithm} -certpbe {algorithm} {mac} -passout pass:pw");
            let (file, _) = openssl_bundle(&house, &arguments);
            for password in ["pw", "wrong"] {
                let refused = error(&file, password);
                assert!(matches!(&refused, BundleError::Unsupported(said) if said.contains(oid)), "{arguments}: {refused}");
            }
        }
    }
}

#[test]
fn what_gnutls_makes_is_opened() {
    let house = House::new();
    let (_, chain) = openssl_bundle(&house, "-passout pass:pw");
    for cipher in ["aes-128", "3des-pkcs12"] {
        house.desk.accepts(&format!(
            "certtool --to-p12 --load-privkey key.pem --load-certificate leaf.pem --load-ca-certificate above.pem --p12-name uketsuke \
             --pkcs-cipher {cipher} --password secret --outder --outfile b.p12"
        ));
        let file = house.desk.take("b.p12");
        // It takes the first authority only.
        opens(&file, "secret", &[chain[0].clone(), chain[2].clone()], cipher);
        assert!(matches!(error(&file, "wrong"), BundleError::WrongPassword), "{cipher}");
    }
}

/// One object of DER.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    let length = match length {
        [0, short @ ..=0x7f] => vec![short],
        [0, long] => vec![0x81, long],
        [high, low] => vec![0x82, high, low],
    };
    [&[tag], length.as_slice(), content.as_slice()].concat()
}

/// An object identifier below PKCS (1.2.840.113549.1).
fn pkcs(rest: &[u8]) -> Vec<u8> {
    [&[0x06, u8::try_from(rest.len()).unwrap() + 7, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01][..], rest].concat()
}

fn bag(kind: u8, value: &[u8]) -> Vec<u8> {
    der(0x30, &[&pkcs(&[12, 10, 1, kind]), &der(0xa0, &[value])])
}

/// A bundle without a checksum, of a key that is protected already and its open certificate (RFC 7292, section 4).
fn around(protected_key: &[u8], certificate: &[u8]) -> Vec<u8> {
    let data = |content: &[u8]| der(0x30, &[&pkcs(&[7, 1]), &der(0xa0, &[&der(0x04, &[content])])]);
    let certificate = der(0x30, &[&pkcs(&[9, 22, 1]), &der(0xa0, &[&der(0x04, &[certificate])])]);
    let safes = der(0x30, &[&data(&der(0x30, &[&bag(3, &certificate)])), &data(&der(0x30, &[&bag(2, protected_key)]))]);
    der(0x30, &[&[2, 1, 3], &data(&safes)])
}

/// A bundle without a checksum, in whose only, encrypted safe these bags lie.
fn encrypted(bags: &[Vec<u8>], password: &str) -> Vec<u8> {
    let parts: Vec<&[u8]> = bags.iter().map(Vec::as_slice).collect();
    let scheme = pkcs5::pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(1000, &[7; 16], [9; 16]).unwrap();
    let hidden = scheme.encrypt(password, &der(0x30, &parts)).unwrap();
    let algorithm = der(0x30, &[&pkcs(&[5, 13]), &pkcs5::der::Encode::to_der(&scheme).unwrap()]);
    let inner = der(0x30, &[&pkcs(&[7, 1]), &algorithm, &der(0x80, &[&hidden])]);
    let safe = der(0x30, &[&pkcs(&[7, 6]), &der(0xa0, &[&der(0x30, &[&[2, 1, 0], &inner])])]);
    let content = der(0x30, &[&pkcs(&[7, 1]), &der(0xa0, &[&der(0x04, &[&der(0x30, &[&safe])])])]);
    der(0x30, &[&[2, 1, 3], &content])
}

#[test]
fn what_an_encrypted_safe_hides_is_counted_too() {
    let house = House::new();
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let leaf = house.issue(&client(), &key.public_key()).1;
    house.desk.put("key.der", key.to_pkcs8());
    let protect = |options: &str| {
        let command = "openssl pkcs8 -inform DER -in key.der -topk8 -outform DER -out protected.der -passout pass:pw";
        house.desk.accepts(&format!("{command} {options}"));
        bag(2, &house.desk.take("protected.der"))
    };
    let certificate = bag(3, &der(0x30, &[&pkcs(&[9, 22, 1]), &der(0xa0, &[&der(0x04, &[&leaf])])]));
    let modest = protect("-iter 2048");
    opens(&encrypted(&[certificate.clone(), modest], "pw"), "pw", &[leaf], "a key inside of an encrypted safe");
    let greedy = protect("-iter 700000");
    let greedy: Vec<Vec<u8>> = std::iter::once(certificate.clone()).chain(std::iter::repeat_n(greedy, 100)).collect();
    let start = Instant::now();
    assert!(matches!(error(&encrypted(&greedy, "pw"), "pw"), BundleError::Excessive(_)));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    let rare = [certificate, protect("-v2 des3")];
    assert!(matches!(error(&encrypted(&rare, "pw"), "pw"), BundleError::Unsupported(_)));
    assert!(matches!(error(&encrypted(&rare, "pw"), "wrong"), BundleError::WrongPassword));
}

/// What no honest tool writes: no rounds at all, no salt, a vector that is too short.
#[test]
fn parameters_without_sense_are_refused_without_a_fall() {
    let house = House::new();
    let (_, chain) = openssl_bundle(&house, "-passout pass:pw");
    let ciphertext = der(0x04, &[&[0; 64]]);
    let (sha256, aes) = ([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 9], [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 42]);
    let oid = |bytes: &[u8]| [&[6, u8::try_from(bytes.len()).unwrap()][..], bytes].concat();
    for salt in [&[][..], &[1], &[1; 8], &[1; 300]] {
        for rounds in [&[0][..], &[1], &[0xff], &[0x7f, 0xff, 0xff, 0xff], &[]] {
            let (salt, rounds) = (der(0x04, &[salt]), der(0x02, &[rounds]));
            for scheme in [3, 6] {
                let algorithm = der(0x30, &[&pkcs(&[12, 1, scheme]), &der(0x30, &[&salt, &rounds])]);
                assert!(pkcs12::read(&around(&der(0x30, &[&algorithm, &ciphertext]), &chain[0]), "pw").is_err());
            }
            for vector in [&[][..], &[1; 7], &[1; 16], &[1; 17]] {
                let function = der(0x30, &[&oid(&sha256), &[5, 0]]);
                let derivation = der(0x30, &[&pkcs(&[5, 12]), &der(0x30, &[&salt, &rounds, &function])]);
                let cipher = der(0x30, &[&oid(&aes), &der(0x04, &[vector])]);
                let algorithm = der(0x30, &[&pkcs(&[5, 13]), &der(0x30, &[&derivation, &cipher])]);
                assert!(pkcs12::read(&around(&der(0x30, &[&algorithm, &ciphertext]), &chain[0]), "pw").is_err());
            }
        }
    }
}

/// HMAC-SHA1 is the default of RFC 8018, and what tools from before 2018 write.
#[test]
fn keys_are_opened_whatever_they_were_derived_with() {
    let house = House::new();
    let (_, chain) = openssl_bundle(&house, "-passout pass:pw");
    for cipher in ["aes-128-cbc", "aes-192-cbc", "aes-256-cbc"] {
        for function in ["hmacWithSHA1", "hmacWithSHA224", "hmacWithSHA256", "hmacWithSHA384", "hmacWithSHA512"] {
            let protect = "openssl pkcs8 -topk8 -in key.pem -outform DER -out protected.der -passout pass:pw";
            house.desk.accepts(&format!("{protect} -v2 {cipher} -v2prf {function}"));
            let file = around(&house.desk.take("protected.der"), &chain[0]);
            opens(&file, "pw", &chain[..1], &format!("{cipher} {function}"));
            assert!(matches!(error(&file, "wrong"), BundleError::WrongPassword), "{cipher} {function}");
        }
    }
}

#[test]
fn strangers_beside_the_certificate_change_nothing_and_vouch_for_nothing() {
    let (house, other) = (House::new(), House::new());
    openssl_bundle(&house, "-passout pass:pw");
    let colleague = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap().public_key();
    let colleague = house.issue(&client(), &colleague).1;
    let strangers =
        [other.root.certificate(), &colleague, other.issuing.certificate(), house.root.certificate(), house.issuing.certificate()];
    let pem: Vec<String> = strangers.iter().map(|der| certificate::to_pem(der)).collect();
    house.desk.put("strangers.pem", pem.concat());
    house.desk.accepts("openssl pkcs12 -export -in leaf.pem -inkey key.pem -certfile strangers.pem -out odd.p12 -passout pass:pw");
    let (bundle, facts) = bundle::open(&house.desk.take("odd.p12"), "pw", "odd.p12").unwrap();
    assert_eq!(bundle.chain.len(), 6);
    let leaf = certificate::read_pem(std::str::from_utf8(&house.desk.take("leaf.pem")).unwrap()).unwrap().remove(0);
    assert_eq!((facts.fingerprint, facts.common_name.as_deref()), (leaf.fingerprint, Some("uketsuke-1")));
    let anchors = [house.issuing.certificate(), house.root.certificate()].map(bundle::thumbprints);
    assert_eq!(facts.anchors, anchors);
    // What people compare by eye is what openssl shows.
    let said = house.desk.accepts("openssl x509 -in root.pem -noout -fingerprint -sha1");
    assert!(said.replace(':', "").to_lowercase().contains(&anchors[1].sha1.to_string()), "{said}");
}

#[test]
fn a_key_with_somebody_elses_certificate_is_no_bundle() {
    let house = House::new();
    let [own, other] = [1, 2].map(|_| PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap());
    house.desk.put("own.der", own.to_pkcs8());
    house.desk.accepts("openssl pkcs8 -inform DER -in own.der -nocrypt -out key.pem");
    house.desk.put("leaf.pem", certificate::to_pem(&house.issue(&client(), &own.public_key()).1));
    house.desk.accepts("openssl pkcs12 -export -in leaf.pem -inkey key.pem -keypbe NONE -certpbe NONE -nomac -out a.p12 -passout pass:pw");
    let file = house.desk.take("a.p12");
    assert!(pkcs12::read(&file, "pw").is_ok());
    // openssl itself refuses to write such a pair, so the other key takes the place of the first: 32 secret bytes, later 65 public ones.
    let (mut swapped, theirs) = (file.clone(), other.to_pkcs8());
    let secret = file.windows(32).position(|window| window == &own.to_pkcs8()[36..68]).expect("the key lies open");
    let public = file.windows(65).rposition(|window| window == &own.public_key()[26..]).expect("its public half too");
    swapped[secret..secret + 32].copy_from_slice(&theirs[36..68]);
    swapped[public..public + 65].copy_from_slice(&other.public_key()[26..]);
    assert!(matches!(error(&swapped, "pw"), BundleError::OtherKey), "{}", error(&swapped, "pw"));
}

#[test]
fn odd_passwords_and_names_come_through() {
    let house = House::new();
    for password in [
        "0427",
        " ",
        "pass word".replace(' ', "\u{a0}").as_str(),
        "ｱｲｳ",
        "パスワ\u{30fc}ト\u{3099}",
        "\u{ffee}",
        &"長".repeat(200),
        "\"'$`\\",
    ] {
        for flavor in [Flavor::Modern, Flavor::Legacy] {
            let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
            let chain = house.chain(house.issue(&client(), &key.public_key()).1);
            let name = format!("受付 {password}");
            house.desk.put("a.p12", pkcs12::write(flavor, &key, &chain, &name, password).unwrap());
            house.desk.put("password.txt", format!("{password}\n"));
            house.desk.accepts("openssl pkcs12 -in a.p12 -noout -passin file:password.txt");
            house.desk.accepts("openssl pkcs12 -in a.p12 -out a.pem -noenc -passin file:password.txt");
            house.desk.accepts("openssl pkcs12 -export -in a.pem -out b.p12 -passout file:password.txt");
            let again = pkcs12::read(&house.desk.take("b.p12"), password).unwrap_or_else(|refused| panic!("{password:?}: {refused}"));
            assert_eq!(again.key, key.to_pkcs8(), "{password:?}");
            assert!(matches!(error(&house.desk.take("b.p12"), &format!("{password}.")), BundleError::WrongPassword), "{password:?}");
        }
    }
}

#[test]
fn a_friendly_name_may_be_missing_empty_or_long() {
    let house = House::new();
    openssl_bundle(&house, "-passout pass:pw");
    house.desk.accepts("openssl pkcs12 -export -in leaf.pem -inkey key.pem -out none.p12 -passout pass:pw");
    assert_eq!(pkcs12::read(&house.desk.take("none.p12"), "pw").unwrap().friendly_name, None);
    let long = "院".repeat(1000);
    house.desk.accepts(&format!("openssl pkcs12 -export -in leaf.pem -inkey key.pem -name {long} -out long.p12 -passout pass:pw"));
    assert_eq!(pkcs12::read(&house.desk.take("long.p12"), "pw").unwrap().friendly_name, Some(long));
}

#[test]
fn a_million_iterations_are_refused_at_once_and_six_hundred_thousand_are_not() {
    let house = House::new();
    let (patient, chain) = openssl_bundle(&house, "-iter 600000 -passout pass:pw");
    opens(&patient, "pw", &chain, "600,000");
    let (hostile, _) = openssl_bundle(&house, "-iter 1000000 -passout pass:pw");
    let (hostile_mac, _) = openssl_bundle(&house, "-iter 1 -maciter -passout pass:pw");
    opens(&hostile_mac, "pw", &certificates_of(&hostile_mac), "one iteration");
    let start = Instant::now();
    for _ in 0..20 {
        assert!(matches!(error(&hostile, "pw"), BundleError::Excessive(_)));
    }
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

fn certificates_of(file: &[u8]) -> Vec<Vec<u8>> {
    pkcs12::read(file, "pw").unwrap().chain
}

/// Every file that a maker gives us, cut at every byte: a refusal each time, soon, and never a fall.
fn survives_cutting(file: &[u8], password: &str, what: &str) {
    let start = Instant::now();
    for length in 0..file.len() {
        assert!(pkcs12::read(&file[..length], password).is_err(), "{what}, cut at {length}");
    }
    assert!(start.elapsed() < Duration::from_secs(20), "{what}: {:?} for {} cuts", start.elapsed(), file.len());
}

#[test]
fn files_cut_anywhere_are_refused() {
    let house = House::new();
    for arguments in ["", "-legacy", "-nomac", "-keypbe NONE -certpbe NONE -nomac"] {
        let (file, _) = openssl_bundle(&house, &format!("{arguments} -passout pass:pw"));
        survives_cutting(&file, "pw", arguments);
    }
}

/// Without a checksum and without encryption every change reaches the parsers behind it.
#[test]
fn an_open_file_with_any_byte_changed_makes_no_parser_fall() {
    let house = House::new();
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let chain = house.chain(house.issue(&client(), &key.public_key()).1);
    house.desk.put("key.der", key.to_pkcs8());
    house.desk.accepts("openssl pkcs8 -inform DER -in key.der -topk8 -v1 PBE-SHA1-RC2-40 -outform DER -out protected.der -passout pass:pw -provider legacy -provider default");
    house.desk.accepts("openssl pkcs8 -inform DER -in key.der -nocrypt -out key.pem");
    house.desk.put("leaf.pem", certificate::to_pem(&chain[0]));
    house.desk.accepts(&format!(
        "openssl pkcs12 -export -in leaf.pem -inkey key.pem -name {NAME} -keypbe NONE -certpbe NONE -nomac -out open.p12 -passout pass:pw"
    ));
    let open = house.desk.take("open.p12");
    let closed = around(&house.desk.take("protected.der"), &chain[0]);
    assert_eq!(pkcs12::read(&open, "pw").unwrap().key, pkcs12::read(&closed, "pw").unwrap().key);
    let mut refused = 0;
    for file in [&open, &closed] {
        for index in 0..file.len() {
            for value in [0x00, 0x01, 0x7f, 0x80, 0xff, file[index] ^ 0x20, file[index].wrapping_add(1)] {
                let mut changed = file.clone();
                changed[index] = value;
                refused += usize::from(bundle::open(&changed, "pw", "a.p12").is_err());
            }
        }
    }
    assert!(refused > open.len(), "only {refused} changes were noticed");
}

#[test]
fn what_nss_makes_of_a_vendors_file_is_opened_and_survives_cutting() {
    let house = House::new();
    let (_, chain) = openssl_bundle(&house, "-passout pass:secret");
    fs::create_dir(house.desk.path("nss")).unwrap();
    house.desk.accepts("certutil -N -d nss --empty-password");
    house.desk.accepts("pk12util -i a.p12 -d nss -W secret");
    for ciphers in ["", "-c AES-256-CBC -C AES-256-CBC", "-c AES-128-CBC", "-m SHA-512"] {
        house.desk.accepts(&format!("pk12util -o b.p12 -n {NAME} -d nss -W secret {ciphers}"));
        let file = house.desk.take("b.p12");
        opens(&file, "secret", &chain, ciphers);
        assert!(matches!(error(&file, "wrong"), BundleError::WrongPassword), "{ciphers}");
        survives_cutting(&file, "secret", ciphers);
    }
}

const RSA: &str = "-keyalg RSA -keysize 2048";
const EC: &str = "-keyalg EC -groupname secp256r1";

/// Lets Java make a key and its certificate in a keystore.
fn java_makes(desk: &Desk, store: &str, alias: &str, arguments: &str) {
    let key = format!("{KEYTOOL} -genkeypair -alias {alias} -dname CN=client1210,O=u00000126 -validity 1095 {arguments}");
    desk.accepts(&format!("{key} -storetype PKCS12 -keystore {store} -storepass secret"));
}

#[test]
fn what_java_makes_is_opened() {
    if !is_there("keytool", "Java") {
        return;
    }
    let desk = Desk::new();
    for (index, arguments) in [RSA, EC, &format!("{RSA} -J-Dkeystore.pkcs12.legacy")].into_iter().enumerate() {
        let store = format!("{index}.p12");
        // Java writes what lies beyond U+FFFF as two halves, which the format does not know: the bundle opens, the name is lost.
        let alias = if arguments == EC { "受付😀" } else { "uketsuke" };
        java_makes(&desk, &store, alias, arguments);
        let file = desk.take(&store);
        let (bundle, facts) = bundle::open(&file, "secret", &store).unwrap_or_else(|fault| panic!("{arguments}: {fault:?}"));
        assert_eq!((facts.common_name.as_deref(), facts.organization.as_deref()), (Some("client1210"), Some("u00000126")));
        assert_eq!(bundle.friendly_name.as_deref(), Some(alias).filter(|alias| alias.is_ascii()), "{arguments}");
        assert!(matches!(error(&file, "wrong1"), BundleError::WrongPassword), "{arguments}");
        survives_cutting(&file, "secret", arguments);
    }
}

#[test]
fn javas_keystores_with_several_keys_or_none_are_told_apart() {
    if !is_there("keytool", "Java") {
        return;
    }
    let desk = Desk::new();
    java_makes(&desk, "two.p12", "first", EC);
    java_makes(&desk, "two.p12", "second", EC);
    let open = |store: &str| bundle::open(&desk.take(store), "secret", store).err();
    assert_eq!(open("two.p12"), Some(BundleFault::SeveralKeys { count: 2 }));
    desk.accepts(&format!("{KEYTOOL} -exportcert -alias first -keystore two.p12 -storepass secret -file first.cer"));
    let trusted = "-importcert -noprompt -alias root -file first.cer -storetype PKCS12 -keystore trust.p12 -storepass secret";
    desk.accepts(&format!("{KEYTOOL} {trusted}"));
    assert_eq!(open("trust.p12"), Some(BundleFault::NoKey));
}

#[test]
fn backups_open_with_the_age_that_everybody_has() {
    let desk = Desk::new();
    desk.accepts("age-keygen -o keeper.txt");
    let recipient = desk.accepts("age-keygen -y keeper.txt").trim().to_owned();
    let content = bundle::Content::new("202101010000777.p12", "0427", b"the vendor's own file");
    let device = bundle::DeviceKey::generate();
    desk.put("sealed.age", bundle::seal(&content, &[device.recipient(), recipient]).unwrap());
    desk.accepts("age -d -i keeper.txt -o opened sealed.age");
    let opened = desk.take("opened");
    assert!(opened.ends_with(b"the vendor's own file") && opened.windows(4).any(|window| window == b"0427"));
    desk.put("device.txt", device.to_secret().as_bytes());
    desk.accepts("age -d -i device.txt -o opened sealed.age");
    assert_eq!(desk.take("opened"), opened);
    // And what age itself seals is opened, if it is the same inside.
    desk.accepts(&format!("age -r {} -o again.age opened", device.recipient()));
    assert_eq!(bundle::unseal(&desk.take("again.age"), &device).unwrap(), content);
}

/// The recipe of `examples/open-by-hand`, as it is written there.
#[test]
fn what_takes_several_keepers_opens_with_age_and_the_recipe_for_people_and_not_with_fewer() {
    let desk = Desk::new();
    let recipe = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/open-by-hand/open.py");
    let names = ["director.txt", "office.txt", "lawyer.txt"];
    let of = names.map(|name| {
        desk.accepts(&format!("age-keygen -o {name}"));
        desk.accepts(&format!("age-keygen -y {name}")).trim().to_owned()
    });
    let content = bundle::Content::new("202101010000777.p12", "0427", b"the vendor's own file");
    let keepers = Keepers { threshold: 2, of: of.to_vec() };
    desk.put("sealed.age", bundle::seal_for(&content, &[], &keepers).unwrap());
    for (index, [one, other]) in [[0, 1], [1, 2], [2, 0]].iter().enumerate() {
        let told = desk.accepts(&format!("python3 {recipe} sealed.age out{index} {} {}", names[*one], names[*other]));
        assert_eq!(told.trim(), "password: 0427");
        assert_eq!(desk.take(&format!("out{index}/202101010000777.p12")), b"the vendor's own file");
    }
    let refused = desk.run(&format!("python3 {recipe} sealed.age none office.txt"));
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("it takes 2 keys"), "{refused:?}");
    desk.put("alone.age", bundle::seal(&content, &[of[0].clone()]).unwrap());
    desk.accepts(&format!("python3 {recipe} alone.age alone director.txt"));
    assert_eq!(desk.take("alone/202101010000777.p12"), b"the vendor's own file");
}
