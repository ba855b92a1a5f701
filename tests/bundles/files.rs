//! Makes the files that a vendor, a careless hand or a forger would bring.

use std::sync::LazyLock;

use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey as Key, PrivateKeyChain};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};
use tegata_core::time::Timestamp;
use tegata_pki::key::PrivateKey;
use tegata_pki::pkcs12::{self, Flavor};
use time::{Duration, OffsetDateTime};

/// 2026-11-26T03:00:00Z: noon in Tokyo.
pub const NOW: Timestamp = Timestamp::from_unix(1_795_662_000);
pub const PASSWORD: &str = "0427";

pub type Root = CertifiedIssuer<'static, KeyPair>;

/// The authority that the profiles pin.
pub static ROOT: LazyLock<Root> = LazyLock::new(|| root(1, "Intermediate CA"));
/// Somebody who has given the same kind of authority almost the same name.
pub static FORGER: LazyLock<Root> = LazyLock::new(|| root(2, "Intermediate CA2"));

/// An authority with a key that is always the same, and whose signatures are too (Ed25519): its thumbprint is shown to people.
fn root(seed: u8, common_name: &str) -> Root {
    // PKCS#8 (RFC 8410, section 7).
    let prefix = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let pair = KeyPair::try_from([&prefix[..], &[seed; 32]].concat()).expect("a key");
    let mut params = CertificateParams::default();
    params.distinguished_name = name(&[(DnType::CommonName, common_name)]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Root::self_signed(params, pair).expect("a root")
}

fn name(parts: &[(DnType, &str)]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    parts.iter().for_each(|(kind, value)| name.push(kind.clone(), *value));
    name
}

/// What a file is made of.
pub struct Maker {
    pub root: &'static LazyLock<Root>,
    pub beside: Option<&'static LazyLock<Root>>,
    pub organization: &'static str,
    pub unit: &'static str,
    /// Days after [`NOW`].
    pub begins: i64,
    /// In days.
    pub lives: i64,
    pub iterations: u32,
}

impl Maker {
    /// As the eligibility authority makes them.
    pub fn eligibility() -> Self {
        Self {
            root: &ROOT,
            beside: None,
            organization: "オンライン資格確認",
            unit: "1312345678",
            begins: -1,
            lives: 1187,
            iterations: 2048,
        }
    }

    /// As ORCA makes them.
    pub fn weborca() -> Self {
        Self { organization: "u00000126", unit: "WebORCA", lives: 1096, ..Self::eligibility() }
    }

    /// A key and its certificate.
    fn client(&self) -> (KeyPair, Vec<u8>) {
        let pair = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name = name(&[
            (DnType::OrganizationName, self.organization),
            (DnType::OrganizationalUnitName, self.unit),
            (DnType::CommonName, "client1210"),
        ]);
        params.not_before = OffsetDateTime::from_unix_timestamp(NOW.unix()).expect("a date") + Duration::days(self.begins);
        params.not_after = params.not_before + Duration::days(self.lives);
        let der = params.signed_by(&pair, self.root).expect("a certificate").der().to_vec();
        (pair, der)
    }

    /// The file, with its authority in it.
    pub fn file(&self) -> Vec<u8> {
        let (pair, der) = self.client();
        let roots = [Some(self.root), self.beside].into_iter().flatten().map(|root| root.der().to_vec());
        let chain: Vec<Vec<u8>> = [der].into_iter().chain(roots).collect();
        written(&[("client1210", &pair, &chain)], self.iterations)
    }
}

fn written(entries: &[(&str, &KeyPair, &[Vec<u8>])], iterations: u32) -> Vec<u8> {
    let mut store = KeyStore::new();
    for (alias, pair, chain) in entries {
        let key = Key::from_der(pair.serialized_der()).expect("a key");
        let chain: Vec<Certificate> = chain.iter().map(|der| Certificate::from_der(der).expect("a certificate")).collect();
        store.add_entry(alias, KeyStoreEntry::PrivateKeyChain(PrivateKeyChain::new(alias.as_bytes().to_vec(), key, chain)));
    }
    store.writer(PASSWORD).encryption_iterations(iterations).write().expect("a file")
}

/// Without its authority.
pub fn open_safe(maker: &Maker) -> Vec<u8> {
    let (pair, der) = maker.client();
    written(&[("client1210", &pair, &[der])], maker.iterations)
}

/// A key with this certificate, which is not its own, or with none.
pub fn around_key(certificate: Option<&[u8]>) -> Vec<u8> {
    let pair = KeyPair::generate().expect("a key");
    let chain: Vec<Vec<u8>> = certificate.into_iter().map(<[u8]>::to_vec).collect();
    written(&[("client1210", &pair, &chain)], 2048)
}

/// Two clients in one file.
pub fn two_keys() -> Vec<u8> {
    let [(first, first_der), (second, second_der)] = [1, 2].map(|_| Maker::eligibility().client());
    written(&[("first", &first, &[first_der]), ("second", &second, &[second_der])], 2048)
}

/// A certificate that somebody exported without its key.
pub fn only_certificate() -> Vec<u8> {
    let mut store = KeyStore::new();
    let certificate = Certificate::from_der(&Maker::eligibility().client().1).expect("a certificate");
    store.add_entry("client1210", KeyStoreEntry::Certificate(certificate));
    store.writer(PASSWORD).write().expect("a file")
}

/// A file that says of itself that it is protected with RC4 (RFC 7292, appendix C), which was given up.
pub fn with_unknown_scheme(maker: &Maker) -> Vec<u8> {
    let (pair, der) = maker.client();
    let key = PrivateKey::from_pkcs8(pair.serialized_der()).expect("a key");
    let mut file = pkcs12::write(Flavor::Legacy, &key, &[der], "client1210", PASSWORD).expect("a file");
    let scheme = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 1, 3];
    let places: Vec<usize> = (0..file.len()).filter(|at| file[*at..].starts_with(&scheme)).collect();
    places.into_iter().for_each(|at| file[at + scheme.len() - 1] = 1);
    file
}
