use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection, ServerConnection};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tegata_core::name::Serial;
use tegata_core::policy::KeyAlgorithm;
use tegata_core::time::{DAY, Timestamp};
use tegata_pki::authority::{self, Authority, Purpose};
use tegata_pki::crl::{self, Revoked};
use tegata_pki::key::PrivateKey;

use super::*;
use crate::output;

const HOST: &str = "karte.example.jp";

/// A clinic group's issuing authority with its root.
struct Issuer {
    root: Authority,
    issuing: Authority,
}

/// A client certificate with its key.
struct Card {
    serial: Serial,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

fn life() -> (Timestamp, Timestamp) {
    (output::now().before(DAY), output::now().after(DAY))
}

impl Issuer {
    fn new(name: &str) -> Self {
        let (from, to) = life();
        let root = Authority::new_root(&format!("{name} Root"), "test", from, to).unwrap();
        let issuing = root.new_issuing(name, "test", from, to).unwrap();
        Self { root, issuing }
    }

    fn issue(&self) -> Card {
        let ((from, to), serial) = (life(), authority::new_serial());
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let purpose = Purpose::Client {
            common_name: "pc-1".into(),
            organization: "sakura".into(),
            unique: serial.to_string(),
            crl_url: None,
            ocsp_url: None,
        };
        let leaf = self.issuing.sign(&self.issuing.draft(&purpose, &key.public_key(), serial, from, to).unwrap()).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.to_pkcs8().to_vec()).into();
        Card { serial, chain: vec![leaf.into(), self.issuing.certificate().to_vec().into()], key }
    }

    /// A door that knows this issuer and its list, good until `next`.
    fn door(&self, revoked: &[Revoked], next: Timestamp) -> Door {
        let pem = certificate_pem(&self.issuing) + &certificate_pem(&self.root);
        let revoked = crl::create(&self.issuing, 1, revoked, output::now().before(DAY), next).unwrap();
        let identity = WebIdentity::new(vec![HOST.into()]).unwrap();
        let trust = Trust { authorities: pem.into_bytes(), revoked };
        let config = trust.config(&identity).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(identity.authority_pem().as_bytes()).unwrap()).unwrap();
        Door { config, roots: Arc::new(roots) }
    }
}

fn certificate_pem(authority: &Authority) -> String {
    tegata_pki::certificate::to_pem(authority.certificate())
}

/// A chart's TLS set-up, and what its visitors trust.
struct Door {
    config: Arc<ServerConfig>,
    roots: Arc<RootCertStore>,
}

impl Door {
    /// Whether somebody with this card comes in; what the door says if not.
    fn knock(&self, card: Option<Card>) -> Result<(), String> {
        let client = ClientConfig::builder().with_root_certificates(self.roots.clone());
        let client = match card {
            Some(card) => client.with_client_auth_cert(card.chain, card.key).unwrap(),
            None => client.with_no_client_auth(),
        };
        let mut visitor = ClientConnection::new(Arc::new(client), ServerName::try_from(HOST).unwrap()).unwrap();
        let mut door = ServerConnection::new(self.config.clone()).unwrap();
        while visitor.is_handshaking() || door.is_handshaking() {
            let mut wire = Vec::new();
            visitor.write_tls(&mut wire).unwrap();
            door.read_tls(&mut wire.as_slice()).unwrap();
            door.process_new_packets().map_err(|error| error.to_string())?;
            let mut wire = Vec::new();
            door.write_tls(&mut wire).unwrap();
            visitor.read_tls(&mut wire.as_slice()).unwrap();
            visitor.process_new_packets().map_err(|error| format!("the visitor does not trust the door: {error}"))?;
        }
        Ok(())
    }
}

fn provider() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

#[test]
fn the_door_opens_to_a_valid_certificate_of_its_own_issuer() {
    provider();
    let issuer = Issuer::new("Aozora CA");
    assert_eq!(issuer.door(&[], life().1).knock(Some(issuer.issue())), Ok(()));
}

#[test]
fn nobody_comes_in_without_a_certificate() {
    provider();
    let refused = Issuer::new("Aozora CA").door(&[], life().1).knock(None).unwrap_err();
    assert!(refused.contains("no certificates"), "{refused}");
}

#[test]
fn a_foreign_certificate_stays_outside_even_if_its_issuer_has_the_same_name() {
    provider();
    let refused = Issuer::new("Aozora CA").door(&[], life().1).knock(Some(Issuer::new("Aozora CA").issue())).unwrap_err();
    assert!(refused.contains("invalid peer certificate"), "{refused}");
}

#[test]
fn a_revoked_certificate_stays_outside_and_its_sister_comes_in() {
    provider();
    let issuer = Issuer::new("Aozora CA");
    let (stolen, sister) = (issuer.issue(), issuer.issue());
    let door = issuer.door(&[Revoked { serial: stolen.serial, at: output::now(), because: Default::default() }], life().1);
    assert_eq!(door.knock(Some(sister)), Ok(()));
    let refused = door.knock(Some(stolen)).unwrap_err();
    assert!(refused.contains("Revoked"), "{refused}");
}

#[test]
fn an_expired_list_closes_the_door() {
    provider();
    let issuer = Issuer::new("Aozora CA");
    let refused = issuer.door(&[], output::now().before(DAY / 2)).knock(Some(issuer.issue())).unwrap_err();
    assert!(refused.contains("revocation list expired"), "{refused}");
}
