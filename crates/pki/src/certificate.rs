//! Certificates as they are read: ours and other people's.

use tegata_core::name::Sha256;
use tegata_core::time::Timestamp;
use x509_parser::asn1_rs::Tag;
use x509_parser::extensions::{DistributionPointName, GeneralName, ParsedExtension};
use x509_parser::oid_registry::{OID_X509_COMMON_NAME, OID_X509_ORGANIZATION_NAME};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer as _, X509Certificate, X509Name};
use x509_parser::x509::AttributeTypeAndValue;

use crate::key::{sha256, without_leading_zeros};

/// Bytes that are not a certificate.
#[derive(Debug, thiserror::Error)]
#[error("this is not a certificate: {problem}")]
pub struct CertificateError {
    /// Why not.
    pub problem: String,
}

/// What a certificate says, as far as Tegata asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Its DER.
    pub der: Vec<u8>,
    /// SHA-256 of its DER.
    pub fingerprint: Sha256,
    /// Serial number, big-endian, without a leading zero.
    pub serial: Vec<u8>,
    /// Issuer, DER: a TLS server names its authorities like this.
    pub issuer: Vec<u8>,
    /// Issuer CN.
    pub issuer_common_name: Option<String>,
    /// Subject CN.
    pub common_name: Option<String>,
    /// Subject O.
    pub organization: Option<String>,
    /// First moment of validity.
    pub not_before: Timestamp,
    /// Last moment of validity.
    pub not_after: Timestamp,
    /// SubjectPublicKeyInfo, DER.
    pub public_key: Vec<u8>,
    /// Where lists are found in which it would stand if it were revoked (RFC 5280, section 4.2.1.13).
    pub crl_urls: Vec<String>,
    /// True if it names itself as its issuer, as roots do (RFC 5280, section 3.2: self-issued).
    pub is_self_issued: bool,
    /// True if clients may show it: it is no authority's (RFC 5280, section 4.2.1.9), and no other use is all that it is for (4.2.1.12).
    pub is_for_clients: bool,
    /// True if it is an authority's (RFC 5280, section 4.2.1.9).
    pub is_authority: bool,
}

impl Certificate {
    /// The parts of the subject by which people know it: `CN=client1210, O=u00000126`.
    pub fn subject(&self) -> String {
        let parts = [("CN", &self.common_name), ("O", &self.organization)];
        let parts = parts.iter().filter_map(|(kind, text)| Some(format!("{kind}={}", text.as_ref()?)));
        parts.collect::<Vec<_>>().join(", ")
    }
}

/// Reads DER. Nothing is verified: neither its signature nor its dates.
pub fn read(der: &[u8]) -> Result<Certificate, CertificateError> {
    let (rest, read) = X509Certificate::from_der(der).map_err(|problem| CertificateError { problem: problem.to_string() })?;
    if !rest.is_empty() {
        return Err(CertificateError { problem: format!("{} bytes follow it", rest.len()) });
    }
    Ok(Certificate {
        der: der.to_vec(),
        fingerprint: sha256(der),
        serial: without_leading_zeros(read.raw_serial()).to_vec(),
        issuer: read.issuer().as_raw().to_vec(),
        issuer_common_name: text(read.issuer(), &OID_X509_COMMON_NAME),
        common_name: text(read.subject(), &OID_X509_COMMON_NAME),
        organization: text(read.subject(), &OID_X509_ORGANIZATION_NAME),
        not_before: Timestamp::from_unix(read.validity().not_before.timestamp()),
        not_after: Timestamp::from_unix(read.validity().not_after.timestamp()),
        public_key: read.public_key().raw.to_vec(),
        is_self_issued: read.issuer().as_raw() == read.subject().as_raw(),
        is_for_clients: is_for_clients(&read),
        is_authority: is_authority(&read),
        crl_urls: read.iter_extensions().flat_map(|extension| crl_urls(extension.parsed_extension())).collect(),
    })
}

/// True if the second certificate (DER) is an authority's, and its key signed the first.
pub fn is_issued_by(der: &[u8], authority: &[u8]) -> bool {
    let (Ok((_, below)), Ok((_, above))) = (X509Certificate::from_der(der), X509Certificate::from_der(authority)) else { return false };
    let names_fit = below.issuer().as_raw() == above.subject().as_raw();
    is_authority(&above) && names_fit && below.verify_signature(Some(above.public_key())).is_ok()
}

fn crl_urls(extension: &ParsedExtension<'_>) -> Vec<String> {
    let ParsedExtension::CRLDistributionPoints(points) = extension else { return Vec::new() };
    points.iter().filter_map(|point| point.distribution_point.as_ref()).flat_map(urls).map(str::to_owned).collect()
}

/// The addresses in the name of a list.
pub(crate) fn urls<'a>(name: &'a DistributionPointName<'_>) -> impl Iterator<Item = &'a str> {
    let names = match name {
        DistributionPointName::FullName(names) => names.as_slice(),
        DistributionPointName::NameRelativeToCRLIssuer(_) => &[],
    };
    names.iter().filter_map(|name| if let GeneralName::URI(url) = name { Some(*url) } else { None })
}

/// What cannot be read is not said.
fn is_authority(read: &X509Certificate<'_>) -> bool {
    read.basic_constraints().ok().flatten().is_some_and(|constraints| constraints.value.ca)
}

/// What cannot be read is not said.
fn is_for_clients(read: &X509Certificate<'_>) -> bool {
    let uses = read.extended_key_usage().ok().flatten();
    !is_authority(read) && uses.is_none_or(|uses| uses.value.client_auth || uses.value.any)
}

/// Reads every certificate of a PEM text, in order. Text around them and blocks of other kinds are passed over; having none is an error.
pub fn read_pem(pem: &str) -> Result<Vec<Certificate>, CertificateError> {
    let mut found = Vec::new();
    for block in Pem::iter_from_buffer(pem.as_bytes()) {
        let block = block.map_err(|problem| CertificateError { problem: problem.to_string() })?;
        if block.label == "CERTIFICATE" {
            found.push(read(&block.contents)?);
        }
    }
    if found.is_empty() {
        return Err(CertificateError { problem: "the text has no block that begins with -----BEGIN CERTIFICATE-----".to_owned() });
    }
    Ok(found)
}

/// Writes PEM (RFC 7468).
pub fn to_pem(der: &[u8]) -> String {
    let lines = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new("CERTIFICATE", der), lines)
}

/// The first attribute of this kind in a name, in whichever of X.520's string types it was written.
pub(crate) fn text(name: &X509Name<'_>, kind: &x509_parser::asn1_rs::Oid<'_>) -> Option<String> {
    name.iter_by_oid(kind).next().map(decode)
}

/// The value of an attribute, in whichever of X.520's string types it was written.
pub(crate) fn decode(attribute: &AttributeTypeAndValue<'_>) -> String {
    let value = attribute.attr_value();
    match value.header.tag() {
        Tag::BmpString => {
            let units: Vec<u16> = value.data.chunks(2).map(|pair| pair.iter().fold(0, |unit, byte| unit << 8 | u16::from(*byte))).collect();
            String::from_utf16_lossy(&units)
        }
        // T.61 is read as Latin-1: what its writers meant.
        Tag::T61String => value.data.iter().map(|byte| char::from(*byte)).collect(),
        _ => String::from_utf8_lossy(value.data).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::string::{BmpString, TeletexString};
    use rcgen::{CertificateParams, DnType, DnValue, KeyPair, SerialNumber};

    use super::*;

    fn vendor(common_name: DnValue) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.distinguished_name.push(DnType::OrganizationName, "さくら内科");
        params.serial_number = Some(SerialNumber::from_slice(&[0, 0xff, 1]));
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn a_vendors_certificate_is_read() {
        let der = vendor("u00000126".into());
        let read = read(&der).unwrap();
        assert_eq!(read.common_name.as_deref(), Some("u00000126"));
        assert_eq!(read.issuer_common_name.as_deref(), Some("u00000126"));
        assert_eq!(read.organization.as_deref(), Some("さくら内科"));
        assert_eq!(read.serial, [0xff, 1]);
        assert_eq!(read.fingerprint, sha256(&der));
        assert_eq!(read.not_before.to_string(), "1975-01-01T00:00:00Z");
        assert_eq!(read.not_after.to_string(), "4096-01-01T00:00:00Z");
        assert_eq!(read.der, der);
    }

    #[test]
    fn names_in_old_string_types_are_read_too() {
        let bmp = DnValue::BmpString(BmpString::try_from("受付1番").unwrap());
        assert_eq!(read(&vendor(bmp)).unwrap().common_name.as_deref(), Some("受付1番"));
        let teletex = DnValue::TeletexString(TeletexString::try_from("Uketsuke").unwrap());
        assert_eq!(read(&vendor(teletex)).unwrap().common_name.as_deref(), Some("Uketsuke"));
    }

    #[test]
    fn clients_show_what_is_no_authoritys_and_not_for_another_use() {
        use rcgen::ExtendedKeyUsagePurpose::{Any, ClientAuth, EmailProtection, ServerAuth};
        let authority = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        for (is_ca, uses, is_for_clients) in [
            (rcgen::IsCa::NoCa, vec![], true),
            (rcgen::IsCa::ExplicitNoCa, vec![], true),
            (rcgen::IsCa::NoCa, vec![ClientAuth], true),
            (rcgen::IsCa::NoCa, vec![ServerAuth, ClientAuth], true),
            (rcgen::IsCa::NoCa, vec![Any], true),
            (rcgen::IsCa::NoCa, vec![ServerAuth], false),
            (rcgen::IsCa::NoCa, vec![EmailProtection], false),
            (authority, vec![], false),
            (authority, vec![ClientAuth], false),
        ] {
            let mut params = CertificateParams::default();
            (params.is_ca, params.extended_key_usages) = (is_ca, uses);
            let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            assert_eq!(read(der.der()).unwrap().is_for_clients, is_for_clients, "{params:?}");
        }
    }

    #[test]
    fn a_name_without_a_common_name_is_no_error() {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let read = read(params.self_signed(&KeyPair::generate().unwrap()).unwrap().der()).unwrap();
        assert_eq!((read.common_name, read.organization), (None, None));
    }

    #[test]
    fn pem_is_written_and_read_in_order_whatever_stands_around_it() {
        let (first, second) = (vendor("1".into()), vendor("2".into()));
        let key = KeyPair::generate().unwrap().serialize_pem();
        let text = format!(
            "Bag Attributes\n    friendlyName: 受付\n{}{key}subject=CN=2\r\n{}",
            to_pem(&first),
            to_pem(&second).replace('\n', "\r\n")
        );
        let ders: Vec<_> = read_pem(&text).unwrap().into_iter().map(|read| read.der).collect();
        assert_eq!(ders, [first.clone(), second]);
        assert!(to_pem(&first).lines().all(|line| line.len() <= 64));
    }

    #[test]
    fn what_is_no_certificate_is_said_to_be_none() {
        let der = vendor("1".into());
        assert!(read(&[der.clone(), vec![0]].concat()).unwrap_err().to_string().contains("1 bytes follow it"));
        assert!(read(&der[..der.len() - 1]).is_err());
        assert!(read_pem("").unwrap_err().to_string().contains("BEGIN CERTIFICATE"));
        assert!(read_pem(&to_pem(b"nothing")).is_err());
        assert!(read_pem("-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n").is_err());
    }
}
