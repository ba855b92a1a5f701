//! Certificate authorities: what they are asked to say, the exact bytes they will sign, and the signature.
//!
//! Drafting and signing are two calls, so that the bytes can be on record before the key is used.

use rcgen::string::PrintableString;
use rcgen::{
    BasicConstraints, CertificateParams, CrlDistributionPoint, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyUsagePurpose, PublicKeyData, SerialNumber, SignatureAlgorithm, SigningKey,
};
use rustls_pki_types::CertificateDer;
use tegata_core::name::Serial;
use tegata_core::policy::KeyAlgorithm;
use tegata_core::time::Timestamp;
use time::OffsetDateTime;
use x509_cert::der::Encode as _;
use x509_cert::der::asn1::Ia5String;
use x509_cert::der::oid::db::rfc5280::ID_AD_OCSP;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{AccessDescription, AuthorityInfoAccessSyntax};
use x509_parser::asn1_rs::{BitString, Sequence, ToDer as _};
use x509_parser::certificate::TbsCertificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::key::{self, KeyError, PrivateKey};

/// An authority: its certificate and its key.
pub struct Authority {
    /// DER.
    certificate: Vec<u8>,
    key: PrivateKey,
    /// Its name as the issuer of others: Name, DER.
    name: Vec<u8>,
    not_after: Timestamp,
    /// How others refer to its key: as its own certificate does.
    key_identifier: KeyIdMethod,
    /// Read from the certificate once: issuing does not parse it again.
    issuer: Issuer<'static, Silent>,
}

/// What a certificate is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// A client certificate that a person's browser shows (clientAuth only).
    Client {
        /// Subject CN.
        common_name: String,
        /// Subject O.
        organization: String,
        /// Subject serialNumber: unique per issuance, so that no two certificates share a subject.
        unique: String,
        /// Where the revocation list is published, if anywhere.
        crl_url: Option<String>,
        /// Where the status is answered (OCSP), if anywhere.
        ocsp_url: Option<String>,
    },
    /// An agent's identity (clientAuth only).
    Identity {
        /// Subject CN.
        common_name: String,
        /// Subject O: the tenant.
        organization: String,
    },
    /// Who answers for an authority whether its certificates are valid (OCSPSigning only; RFC 6960, section 4.2.2.2).
    OcspResponder {
        /// Subject CN.
        common_name: String,
        /// Subject O.
        organization: String,
    },
    /// A TLS server (serverAuth only).
    Server {
        /// DNS names and IP addresses. The first is the subject CN too.
        names: Vec<String>,
    },
}

/// The exact bytes that are about to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tbs {
    /// TBSCertificate, DER.
    pub bytes: Vec<u8>,
}

impl Tbs {
    /// The last moment of validity of what will be signed; nothing if it cannot be read, and so will never be.
    pub fn not_after(&self) -> Option<Timestamp> {
        let (_, read) = TbsCertificate::from_der(&self.bytes).ok()?;
        Some(Timestamp::from_unix(read.validity().not_after.timestamp()))
    }
}

/// Makes a serial number: 16 random bytes, the first in 0x40–0x7f.
pub fn new_serial() -> Serial {
    let mut bytes = key::random::<16>();
    bytes[0] = 0x40 | (bytes[0] & 0x3f);
    Serial(bytes)
}

impl Authority {
    /// Makes a root that may sign one level of intermediates. Key: P-256. Its name is as given: nothing is added.
    pub fn new_root(common_name: &str, organization: &str, not_before: Timestamp, not_after: Timestamp) -> Result<Self, KeyError> {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256)?;
        let params = authority_params(common_name, organization, 1, not_before, not_after)?;
        let certificate = params.self_signed(&key.pair).map_err(KeyError::because)?;
        Self::load(certificate.der(), key)
    }

    /// Makes an issuing intermediate below this root: pathlen 0, signs certificates and CRLs. Key: P-256.
    pub fn new_issuing(
        &self,
        common_name: &str,
        organization: &str,
        not_before: Timestamp,
        not_after: Timestamp,
    ) -> Result<Self, KeyError> {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256)?;
        let mut params = authority_params(common_name, organization, 0, not_before, not_after)?;
        params.use_authority_key_identifier_extension = true;
        let tbs = self.prepare(&params, &key.public_key(), not_after)?;
        let issuing = Self::load(&self.sign(&tbs)?, key)?;
        // With one name for both, a chain could be built in two ways.
        if issuing.name == self.name {
            return Err(KeyError::because(format!("the authority above is called {common_name:?} too; give each its own name")));
        }
        Ok(issuing)
    }

    /// Puts certificate and key together again; refuses a key that does not belong, and a certificate that may not sign others.
    pub fn load(certificate: &[u8], key: PrivateKey) -> Result<Self, KeyError> {
        let (rest, read) = X509Certificate::from_der(certificate).map_err(|_| KeyError::because("its certificate cannot be read"))?;
        if !rest.is_empty() {
            return Err(KeyError::because("bytes follow its certificate"));
        }
        if read.public_key().raw != key.public_key() {
            return Err(KeyError::because("it does not belong to this certificate"));
        }
        let may_sign = read.key_usage().ok().flatten().is_some_and(|usage| usage.value.key_cert_sign());
        if !read.is_ca() || !may_sign {
            return Err(KeyError::because("its certificate is not that of an authority"));
        }
        let silent = Silent { algorithm: key.pair.algorithm(), point: key.pair.public_key_raw().to_vec() };
        let issuer = Issuer::from_ca_cert_der(&CertificateDer::from(certificate), silent).map_err(KeyError::because)?;
        let authority = Self {
            certificate: certificate.to_vec(),
            key,
            name: read.subject().as_raw().to_vec(),
            not_after: Timestamp::from_unix(read.validity().not_after.timestamp()),
            key_identifier: key_identifier(&read),
            issuer,
        };
        authority.writes_its_own_name()?;
        Ok(authority)
    }

    /// Its certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Its key.
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// Says exactly what would be signed. Everything is ours but the public key (SubjectPublicKeyInfo, DER).
    ///
    /// Fails for a key of a kind that is not issued for, for an end before the beginning, and for an end after the authority's own:
    /// such a certificate would stop working on a day that nobody has in the calendar.
    pub fn draft(
        &self,
        purpose: &Purpose,
        public_key: &[u8],
        serial: Serial,
        not_before: Timestamp,
        not_after: Timestamp,
    ) -> Result<Tbs, KeyError> {
        key::kind(public_key).map_err(KeyError::because)?;
        if !(0x40..=0x7f).contains(&serial.0[0]) {
            return Err(KeyError::because("a serial number begins with 0x40 to 0x7f"));
        }
        let mut params = params(subject(purpose)?, serial, not_before, not_after)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        match purpose {
            Purpose::Client { crl_url, ocsp_url, .. } => {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
                params.crl_distribution_points = crl_url.iter().map(|url| crl_distribution_point(url)).collect::<Result<_, _>>()?;
                params.custom_extensions = ocsp_url.iter().map(|url| authority_information(url)).collect::<Result<_, _>>()?;
            }
            Purpose::Identity { .. } => params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
            Purpose::OcspResponder { .. } => {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::OcspSigning];
                // It is not asked about itself: it lives for weeks only (RFC 6960, section 4.2.2.2.1).
                params.custom_extensions = vec![CustomExtension::from_oid_content(&OCSP_NO_CHECK, NULL.to_vec())];
            }
            Purpose::Server { names } => {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
                params.subject_alt_names = CertificateParams::new(names.as_slice()).map_err(KeyError::because)?.subject_alt_names;
            }
        }
        self.prepare(&params, public_key, not_after)
    }

    /// Signs; gives the certificate, DER. Refuses what is not a TBSCertificate issued by this authority.
    pub fn sign(&self, tbs: &Tbs) -> Result<Vec<u8>, KeyError> {
        let (rest, read) =
            TbsCertificate::from_der(&tbs.bytes).map_err(|_| KeyError::because("what is to be signed is not a certificate"))?;
        if !rest.is_empty() {
            return Err(KeyError::because("bytes follow the certificate that is to be signed"));
        }
        if read.issuer.as_raw() != self.name {
            return Err(KeyError::because("the certificate that is to be signed names another issuer"));
        }
        self.signed(&tbs.bytes)
    }

    /// Signs a to-be-signed part and puts the three parts together (RFC 5280, sections 4.1 and 5.1: certificates and CRLs look alike).
    pub(crate) fn signed(&self, to_be_signed: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = BitString::new(0, &self.key.sign(to_be_signed)?).to_der_vec().map_err(KeyError::because)?;
        let content = [to_be_signed, self.key.signature_algorithm(), &signature].concat();
        Sequence::new(content.into()).to_der_vec().map_err(KeyError::because)
    }

    pub(crate) fn key_identifier(&self) -> &KeyIdMethod {
        &self.key_identifier
    }

    /// As which rcgen writes certificates and CRLs. It signs nothing.
    pub(crate) fn issuer(&self) -> &Issuer<'static, Silent> {
        &self.issuer
    }

    fn prepare(&self, params: &CertificateParams, public_key: &[u8], not_after: Timestamp) -> Result<Tbs, KeyError> {
        if not_after > self.not_after {
            return Err(KeyError::because(format!(
                "a certificate until {not_after} would outlive its authority, which ends {}",
                self.not_after
            )));
        }
        let public_key = rcgen::SubjectPublicKeyInfo::from_der(public_key).map_err(KeyError::because)?;
        let unsigned = params.signed_by(&public_key, &self.issuer).map_err(KeyError::because)?;
        Ok(Tbs { bytes: first_part(unsigned.der())? })
    }

    /// rcgen keeps one value of each kind in a name: other names would come out changed, and no chain would be built.
    fn writes_its_own_name(&self) -> Result<(), KeyError> {
        let mut params = CertificateParams::default();
        params.serial_number = Some(SerialNumber::from_slice(&[1]));
        let tbs = self.prepare(&params, &self.key.public_key(), self.not_after)?;
        let (_, read) = TbsCertificate::from_der(&tbs.bytes).map_err(KeyError::because)?;
        if read.issuer.as_raw() == self.name {
            Ok(())
        } else {
            Err(KeyError::because("its certificate's subject has two parts of the same kind, which is not supported"))
        }
    }
}

/// Stands for the authority's key while a certificate is only written down: its signature is empty.
pub(crate) struct Silent {
    algorithm: &'static SignatureAlgorithm,
    /// The public key as in a BIT STRING: an EC point or an RSAPublicKey.
    point: Vec<u8>,
}

impl PublicKeyData for Silent {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

impl SigningKey for Silent {
    fn sign(&self, _message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(Vec::new())
    }
}

fn key_identifier(certificate: &X509Certificate<'_>) -> KeyIdMethod {
    let written = certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(identifier) => Some(identifier.0.to_vec()),
        _ => None,
    });
    written.map_or(KeyIdMethod::Sha256, KeyIdMethod::PreSpecified)
}

/// Takes the to-be-signed part out of a certificate or CRL.
pub(crate) fn first_part(whole: &[u8]) -> Result<Vec<u8>, KeyError> {
    let (_, outer) = Sequence::from_der(whole).map_err(KeyError::because)?;
    let (rest, _) = Sequence::from_der(&outer.content).map_err(KeyError::because)?;
    Ok(outer.content[..outer.content.len() - rest.len()].to_vec())
}

fn authority_params(
    common_name: &str,
    organization: &str,
    levels_below: u8,
    not_before: Timestamp,
    not_after: Timestamp,
) -> Result<CertificateParams, KeyError> {
    let mut params = params(name(common_name, organization)?, new_serial(), not_before, not_after)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(levels_below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn params(subject: DistinguishedName, serial: Serial, not_before: Timestamp, not_after: Timestamp) -> Result<CertificateParams, KeyError> {
    if not_before >= not_after {
        return Err(KeyError::because(format!("a certificate from {not_before} until {not_after} is never valid")));
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = subject;
    params.serial_number = Some(SerialNumber::from_slice(&serial.0));
    params.not_before = moment(not_before)?;
    params.not_after = moment(not_after)?;
    Ok(params)
}

/// A moment that a certificate can name: 1970 to 9999 (RFC 5280, section 4.1.2.5).
pub(crate) fn moment(at: Timestamp) -> Result<OffsetDateTime, KeyError> {
    let moment = OffsetDateTime::from_unix_timestamp(at.unix()).ok();
    moment
        .filter(|moment| (1970..=9999).contains(&moment.year()))
        .ok_or_else(|| KeyError::because(format!("a certificate cannot name the moment {at}")))
}

fn subject(purpose: &Purpose) -> Result<DistinguishedName, KeyError> {
    match purpose {
        Purpose::Client { common_name, organization, unique, .. } => {
            let mut subject = name(common_name, organization)?;
            // A PrintableString. Of its characters only those that rcgen both takes and can write: it stops the program at a '?'.
            if unique.is_empty() || !unique.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return Err(KeyError::because("what makes a subject unique is written in ASCII letters and digits"));
            }
            let unique = PrintableString::try_from(unique.as_str()).map_err(KeyError::because)?;
            subject.push(DnType::CustomDnType(SERIAL_NUMBER.to_vec()), rcgen::DnValue::PrintableString(unique));
            Ok(subject)
        }
        Purpose::Identity { common_name, organization } | Purpose::OcspResponder { common_name, organization } => {
            name(common_name, organization)
        }
        Purpose::Server { names } => {
            let first = names.first().ok_or_else(|| KeyError::because("a server certificate needs a name"))?;
            let mut subject = DistinguishedName::new();
            subject.push(DnType::CommonName, first.as_str());
            Ok(subject)
        }
    }
}

/// The attribute serialNumber (X.520, id-at-serialNumber).
const SERIAL_NUMBER: [u64; 4] = [2, 5, 4, 5];

/// The extension id-pe-authorityInfoAccess (RFC 5280, section 4.2.2.1).
const AUTHORITY_INFORMATION: [u64; 9] = [1, 3, 6, 1, 5, 5, 7, 1, 1];

/// The extension id-pkix-ocsp-nocheck, whose content is NULL (RFC 6960, section 4.2.2.2.1).
const OCSP_NO_CHECK: [u64; 10] = [1, 3, 6, 1, 5, 5, 7, 48, 1, 5];
const NULL: [u8; 2] = [5, 0];

fn name(common_name: &str, organization: &str) -> Result<DistinguishedName, KeyError> {
    if common_name.is_empty() || organization.is_empty() {
        return Err(KeyError::because("a certificate's name and organisation must not be empty"));
    }
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name.push(DnType::OrganizationName, organization);
    Ok(name)
}

pub(crate) fn crl_distribution_point(url: &str) -> Result<CrlDistributionPoint, KeyError> {
    // An IA5String: rcgen would stop the program at anything else.
    if url.is_empty() || !url.is_ascii() {
        return Err(KeyError::because(format!("{url:?} cannot be written into a certificate; an address has ASCII letters only")));
    }
    Ok(CrlDistributionPoint { uris: vec![url.to_owned()] })
}

/// Says where to ask about the certificate (RFC 5280, section 4.2.2.1).
fn authority_information(ocsp_url: &str) -> Result<CustomExtension, KeyError> {
    let url = Ia5String::new(ocsp_url)
        .map_err(|_| KeyError::because(format!("{ocsp_url:?} cannot be written into a certificate; an address has ASCII letters only")))?;
    let ocsp = AccessDescription { access_method: ID_AD_OCSP, access_location: GeneralName::UniformResourceIdentifier(url) };
    let content = AuthorityInfoAccessSyntax(vec![ocsp]).to_der().map_err(KeyError::because)?;
    Ok(CustomExtension::from_oid_content(&AUTHORITY_INFORMATION, content))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tegata_core::time::DAY;
    use x509_parser::extensions::{DistributionPointName, GeneralName};

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);

    fn root() -> Authority {
        Authority::new_root("Aozora Root", "aozora", NOW, NOW.after(DAY * 7300)).unwrap()
    }

    fn issuing(root: &Authority) -> Authority {
        root.new_issuing("Aozora Issuing", "aozora", NOW, NOW.after(DAY * 3650)).unwrap()
    }

    fn client() -> Purpose {
        Purpose::Client {
            common_name: "uketsuke-1".into(),
            organization: "sakura".into(),
            unique: "0f".repeat(16),
            crl_url: Some("http://tegata.example.jp/crl/aozora.crl".into()),
            ocsp_url: Some("http://tegata.example.jp/ocsp/aozora".into()),
        }
    }

    fn identity() -> Purpose {
        Purpose::Identity { common_name: "uketsuke-1.sakura".into(), organization: "aozora".into() }
    }

    fn device_key() -> Vec<u8> {
        PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap().public_key()
    }

    fn draft(authority: &Authority, purpose: &Purpose) -> Result<Tbs, KeyError> {
        authority.draft(purpose, &device_key(), new_serial(), NOW, NOW.after(DAY * 730))
    }

    fn problem<T>(result: Result<T, KeyError>) -> String {
        result.err().expect("it must be refused").problem
    }

    #[test]
    fn an_authority_can_be_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Authority>();
    }

    #[test]
    fn i5_serials_are_random_in_every_free_bit_and_of_constant_length() {
        const SAMPLES: usize = 100_000;
        let serials: BTreeSet<Serial> = (0..SAMPLES).map(|_| new_serial()).collect();
        assert_eq!(serials.len(), SAMPLES, "a serial number came twice");
        let mut ones = [0_usize; 128];
        for serial in &serials {
            assert!((0x40..=0x7f).contains(&serial.0[0]), "{serial} is not of constant length");
            for (bit, count) in ones.iter_mut().enumerate() {
                *count += usize::from(serial.0[bit / 8] >> (7 - bit % 8) & 1);
            }
        }
        assert_eq!((ones[0], ones[1]), (0, SAMPLES), "the two fixed bits");
        // Five standard deviations of a binomial distribution around one half: sqrt(n)/2 each.
        let allowed = 5.0 * (SAMPLES as f64).sqrt() / 2.0;
        for (bit, count) in ones.iter().enumerate().skip(2) {
            assert!((*count as f64 - SAMPLES as f64 / 2.0).abs() < allowed, "bit {bit} was set {count} times");
        }
    }

    #[test]
    fn i5_the_serial_is_written_exactly_as_given_in_16_bytes() {
        let root = root();
        for first in [0x40, 0x7f] {
            let mut serial = new_serial();
            serial.0[0] = first;
            let tbs = root.draft(&client(), &device_key(), serial, NOW, NOW.after(DAY)).unwrap();
            let (_, read) = TbsCertificate::from_der(&tbs.bytes).unwrap();
            assert_eq!(read.raw_serial(), serial.0);
        }
        for first in [0x00, 0x3f, 0x80, 0xff] {
            let mut serial = new_serial();
            serial.0[0] = first;
            assert!(problem(root.draft(&client(), &device_key(), serial, NOW, NOW.after(DAY))).contains("serial"));
        }
    }

    #[test]
    fn a_client_certificate_says_what_was_decided_and_nothing_else() {
        let root = root();
        let (issuing, key, serial) = (issuing(&root), device_key(), new_serial());
        let tbs = issuing.draft(&client(), &key, serial, NOW, NOW.after(DAY * 730)).unwrap();
        let (_, read) = TbsCertificate::from_der(&tbs.bytes).unwrap();
        assert_eq!(read.subject().to_string(), format!("CN=uketsuke-1, O=sakura, serialNumber={}", "0f".repeat(16)));
        assert_eq!(read.issuer().to_string(), "CN=Aozora Issuing, O=aozora");
        assert_eq!(read.public_key().raw, key);
        assert_eq!(read.validity().not_before.timestamp(), NOW.unix());
        assert_eq!(read.validity().not_after.timestamp(), NOW.after(DAY * 730).unix());
        let usage = read.key_usage().unwrap().unwrap();
        assert!(usage.critical && usage.value.flags == 1, "digitalSignature only");
        let extended = read.extended_key_usage().unwrap().unwrap().value;
        assert!(extended.client_auth && !extended.server_auth && !extended.any && extended.other.is_empty());
        let constraints = read.basic_constraints().unwrap().unwrap();
        assert!(constraints.critical && !constraints.value.ca && constraints.value.path_len_constraint.is_none());
        assert!(read.subject_alternative_name().unwrap().is_none());
        let kinds: BTreeSet<String> = read.extensions().iter().map(|extension| extension.oid.to_id_string()).collect();
        let expected = ["1.3.6.1.5.5.7.1.1", "2.5.29.14", "2.5.29.15", "2.5.29.19", "2.5.29.31", "2.5.29.35", "2.5.29.37"];
        assert_eq!(kinds, expected.map(str::to_owned).into(), "AIA, SKI, KU, BC, CRLDP, AKI, EKU");
    }

    #[test]
    fn the_revocation_list_is_named_where_it_was_asked_for() {
        let root = root();
        let url = |tbs: &Tbs| {
            let (_, read) = TbsCertificate::from_der(&tbs.bytes).unwrap();
            read.extensions().iter().find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::CRLDistributionPoints(points) => match &points.points[0].distribution_point {
                    Some(DistributionPointName::FullName(names)) => match names.as_slice() {
                        [GeneralName::URI(uri)] => Some(uri.to_string()),
                        _ => None,
                    },
                    _ => None,
                },
                _ => None,
            })
        };
        assert_eq!(url(&draft(&root, &client()).unwrap()).as_deref(), Some("http://tegata.example.jp/crl/aozora.crl"));
        assert_eq!(url(&draft(&root, &identity()).unwrap()), None);
        let mut japanese = client();
        if let Purpose::Client { crl_url, .. } = &mut japanese {
            *crl_url = Some("http://手形.example.jp/".into());
        }
        assert!(problem(draft(&root, &japanese)).contains("ASCII"));
        let mut japanese = client();
        if let Purpose::Client { ocsp_url, .. } = &mut japanese {
            *ocsp_url = Some("http://手形.example.jp/".into());
        }
        assert!(problem(draft(&root, &japanese)).contains("ASCII"));
    }

    #[test]
    fn who_answers_for_an_authority_can_do_nothing_else_and_is_not_asked_about() {
        let purpose = Purpose::OcspResponder { common_name: "Aozora OCSP".into(), organization: "aozora".into() };
        let tbs = draft(&root(), &purpose).unwrap();
        let (_, read) = TbsCertificate::from_der(&tbs.bytes).unwrap();
        let extended = read.extended_key_usage().unwrap().unwrap().value;
        assert!(extended.ocsp_signing && !extended.client_auth && !extended.server_auth && !extended.any);
        let unasked = read.extensions().iter().find(|extension| extension.oid.to_id_string() == "1.3.6.1.5.5.7.48.1.5").unwrap();
        assert_eq!((unasked.value, unasked.critical), (&[5_u8, 0][..], false));
        assert!(!read.is_ca());
    }

    #[test]
    fn a_server_certificate_is_for_servers_only_and_carries_its_names() {
        let names = vec!["tegata.example.jp".to_owned(), "192.0.2.7".to_owned(), "::1".to_owned()];
        let tbs = draft(&root(), &Purpose::Server { names }).unwrap();
        let (_, read) = TbsCertificate::from_der(&tbs.bytes).unwrap();
        let extended = read.extended_key_usage().unwrap().unwrap().value;
        assert!(extended.server_auth && !extended.client_auth);
        let written = read.subject_alternative_name().unwrap().unwrap();
        let expected = [
            GeneralName::DNSName("tegata.example.jp"),
            GeneralName::IPAddress(&[192, 0, 2, 7]),
            GeneralName::IPAddress(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        ];
        assert_eq!(written.value.general_names, expected);
        assert!(problem(draft(&root(), &Purpose::Server { names: vec![] })).contains("name"));
        assert!(draft(&root(), &Purpose::Server { names: vec!["手形.example.jp".into()] }).is_err());
    }

    #[test]
    fn what_is_signed_is_what_was_drafted() {
        let root = root();
        let issuing = issuing(&root);
        let (key, serial) = (device_key(), new_serial());
        let tbs = issuing.draft(&client(), &key, serial, NOW, NOW.after(DAY)).unwrap();
        assert_eq!(tbs, issuing.draft(&client(), &key, serial, NOW, NOW.after(DAY)).unwrap(), "a draft is repeatable");
        let certificate = issuing.sign(&tbs).unwrap();
        assert_eq!(first_part(&certificate).unwrap(), tbs.bytes);
        let (_, read) = X509Certificate::from_der(&certificate).unwrap();
        let (_, above) = X509Certificate::from_der(issuing.certificate()).unwrap();
        read.verify_signature(Some(above.public_key())).unwrap();
        assert!(read.signature_algorithm == read.tbs_certificate.signature, "RFC 5280, section 4.1.1.2");
    }

    #[test]
    fn only_its_own_drafts_are_signed() {
        let root = root();
        let (issuing, other) = (issuing(&root), root.new_issuing("Midori Issuing", "midori", NOW, NOW.after(DAY * 3650)).unwrap());
        let tbs = draft(&issuing, &client()).unwrap();
        assert!(problem(other.sign(&tbs)).contains("another issuer"));
        assert!(problem(root.sign(&tbs)).contains("another issuer"));
        assert!(problem(issuing.sign(&Tbs { bytes: [tbs.bytes.clone(), vec![0]].concat() })).contains("follow"));
        for bytes in [vec![], b"anything".to_vec(), issuing.certificate().to_vec(), tbs.bytes[..tbs.bytes.len() - 1].to_vec()] {
            assert!(problem(issuing.sign(&Tbs { bytes })).contains("not a certificate"));
        }
    }

    #[test]
    fn a_certificate_never_outlives_its_authority() {
        let root = root();
        let end = NOW.after(DAY * 7300);
        assert!(root.draft(&client(), &device_key(), new_serial(), NOW, end).is_ok());
        assert!(problem(root.draft(&client(), &device_key(), new_serial(), NOW, end.after(DAY))).contains("outlive"));
        assert!(problem(root.new_issuing("Late", "aozora", NOW, end.after(DAY))).contains("outlive"));
    }

    #[test]
    fn dates_that_no_certificate_can_carry_are_refused() {
        let root = root();
        let draft = |from: i64, until: i64| {
            root.draft(&client(), &device_key(), new_serial(), Timestamp::from_unix(from), Timestamp::from_unix(until))
        };
        assert!(problem(draft(2, 1)).contains("never valid"));
        assert!(problem(draft(1, 1)).contains("never valid"));
        assert!(problem(draft(i64::MIN, 1)).contains("cannot name"));
        assert!(problem(draft(-1, 1)).contains("cannot name"));
        assert!(Authority::new_root("Aozora Root", "aozora", NOW, Timestamp::from_unix(i64::MAX)).is_err());
        // 2049 is written as UTCTime, 2050 as GeneralizedTime, and both can be read back.
        for until in [2_524_607_999, 2_524_608_000] {
            let root = Authority::new_root("Aozora Root", "aozora", NOW, Timestamp::from_unix(until)).unwrap();
            let (_, read) = X509Certificate::from_der(root.certificate()).unwrap();
            assert_eq!(read.validity().not_after.timestamp(), until);
        }
    }

    #[test]
    fn names_must_say_something_and_differ_along_the_chain() {
        let root = root();
        assert!(problem(Authority::new_root("", "aozora", NOW, NOW.after(DAY))).contains("empty"));
        assert!(problem(draft(&root, &Purpose::Identity { common_name: "a".into(), organization: String::new() })).contains("empty"));
        assert!(problem(root.new_issuing("Aozora Root", "aozora", NOW, NOW.after(DAY))).contains("own name"));
    }

    #[test]
    fn an_authority_comes_back_with_its_own_key_only() {
        let root = root();
        let issuing = issuing(&root);
        let key = |authority: &Authority| PrivateKey::from_pkcs8(&authority.key().to_pkcs8()).unwrap();
        let again = Authority::load(issuing.certificate(), key(&issuing)).unwrap();
        let tbs = draft(&issuing, &client()).unwrap();
        assert_eq!(first_part(&again.sign(&tbs).unwrap()).unwrap(), tbs.bytes);
        assert!(problem(Authority::load(issuing.certificate(), key(&root))).contains("does not belong"));
        assert!(problem(Authority::load(&[issuing.certificate(), &[0]].concat(), key(&issuing))).contains("follow"));
        assert!(Authority::load(b"", key(&issuing)).is_err());
    }

    #[test]
    fn a_device_certificate_makes_no_authority() {
        let root = root();
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let tbs = root.draft(&identity(), &key.public_key(), new_serial(), NOW, NOW.after(DAY)).unwrap();
        let certificate = root.sign(&tbs).unwrap();
        assert!(problem(Authority::load(&certificate, key)).contains("not that of an authority"));
    }
}
