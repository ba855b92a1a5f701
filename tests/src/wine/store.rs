//! The store of a Windows user, seen from outside: what Wine keeps of it in the registry, and a file of the stand-in for each key.
//!
//! A certificate is a registry value with its properties, each a number, a one, a length and that many bytes ([MS-GPEF] 2.2.3).

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use data_encoding::{HEXLOWER, HEXUPPER};
use tegata_pki::bundle::thumbprints;
use tegata_pki::certificate;
use tegata_pki::key::PrivateKey;
use tegata_pki::raw::{self, Numbers};

use super::Pc;

const MY: &str = r"HKCU\Software\Microsoft\SystemCertificates\My\Certificates";
/// `CERT_SHA1_HASH_PROP_ID`
const SHA1: u32 = 3;
/// `CERT_KEY_PROV_INFO_PROP_ID`
const KEY_PLACE: u32 = 2;
/// `CERT_CERT_PROP_ID`
const CERTIFICATE: u32 = 32;
/// Of `CRYPT_KEY_PROV_INFO` as it is kept: seven numbers, the first two of which say where its texts are. Behind them come the texts.
const KEY_PLACE_HEAD: usize = 28;
/// The first bytes of a key's file: the algorithm (16 characters), what may be exported, who is asked, how long the rest is.
const KEY_HEAD: usize = 44;

/// A certificate in `CurrentUser\My`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held {
    /// DER.
    pub der: Vec<u8>,
    /// What its key is called, if it says that it has one.
    pub key: Option<String>,
}

impl Held {
    /// Its serial number, as Tegata writes it.
    pub fn serial(&self) -> Result<String> {
        Ok(HEXLOWER.encode(&certificate::read(&self.der)?.serial))
    }

    /// Whose it is.
    pub fn common_name(&self) -> Result<String> {
        Ok(certificate::read(&self.der)?.common_name.unwrap_or_default())
    }
}

impl Pc {
    /// Every certificate of the user's.
    pub fn certificates(&self) -> Result<Vec<Held>> {
        let told = self.registry(&["query", MY, "/s"])?;
        let blobs = told.lines().filter_map(|line| line.trim().strip_prefix("Blob")?.trim().strip_prefix("REG_BINARY"));
        blobs.map(|blob| read(&HEXUPPER.decode(blob.trim().as_bytes())?)).collect()
    }

    /// The names of the user's keys.
    pub fn keys(&self) -> Result<BTreeSet<String>> {
        let Ok(entries) = fs::read_dir(self.key_folder()) else { return Ok(BTreeSet::new()) };
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    /// True if the certificate names a key that is there, and is that key's.
    pub fn is_bound(&self, held: &Held) -> Result<bool> {
        let Some(Ok(file)) = held.key.as_ref().map(|name| fs::read(self.key_folder().join(name))) else { return Ok(false) };
        let public = public_half(&file).context("what the stand-in keeps of a key")?;
        Ok(held.der.windows(public.len()).any(|window| window == public))
    }

    /// Puts a certificate of somebody else's into the store, with its key of P-256.
    pub fn plant(&self, der: &[u8], key: &PrivateKey, name: &str) -> Result<Held> {
        self.plant_key(key, name)?;
        let (name, provider) = (utf16(name), utf16("Microsoft Software Key Storage Provider"));
        let starts = [KEY_PLACE_HEAD, KEY_PLACE_HEAD + name.len(), 0, 0, 0, 0, 0].map(|start| (start as u32).to_le_bytes());
        let place = [starts.concat(), name, provider].concat();
        let hash = thumbprints(der).sha1.to_string().to_uppercase();
        let hash_bytes = HEXUPPER.decode(hash.as_bytes())?;
        let blob = [property(SHA1, &hash_bytes)?, property(KEY_PLACE, &place)?, property(CERTIFICATE, der)?].concat();
        let at = format!(r"{MY}\{hash}");
        self.registry(&["add", &at, "/v", "Blob", "/t", "REG_BINARY", "/d", &HEXUPPER.encode(&blob), "/f"])?;
        read(&blob)
    }

    /// Puts a key of P-256 of somebody else's into the key storage.
    pub fn plant_key(&self, key: &PrivateKey, name: &str) -> Result<()> {
        let Numbers::Ec(_, point, secret) = raw::numbers(key)? else { bail!("only P-256 is planted") };
        let blob = [b"ECS2", &32_u32.to_le_bytes()[..], &point, &secret].concat();
        let algorithm = utf16("ECDSA_P256").into_iter().chain([0; 32]).take(32);
        let numbers = [0, 0, u32::try_from(blob.len())?].map(u32::to_le_bytes).concat();
        fs::create_dir_all(self.key_folder())?;
        Ok(fs::write(self.key_folder().join(name), algorithm.chain(numbers).chain(blob).collect::<Vec<u8>>())?)
    }

    fn key_folder(&self) -> PathBuf {
        self.home().join("AppData/Roaming/ksp/s")
    }
}

fn read(blob: &[u8]) -> Result<Held> {
    let (mut rest, mut der, mut key) = (blob, None, None);
    while let Some((head, behind)) = rest.split_first_chunk::<12>() {
        let [which, _, length] = [0, 4, 8].map(|at| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]));
        let (value, behind) = behind.split_at_checked(length as usize).context("a property that is cut short")?;
        match which {
            CERTIFICATE => der = Some(value.to_vec()),
            KEY_PLACE => key = value.get(KEY_PLACE_HEAD..).map(text),
            _ => {}
        }
        rest = behind;
    }
    ensure!(rest.is_empty(), "something follows the last property");
    Ok(Held { der: der.context("an entry without a certificate")?, key })
}

fn property(which: u32, value: &[u8]) -> Result<Vec<u8>> {
    Ok([&[which, 1, u32::try_from(value.len())?].map(u32::to_le_bytes).concat(), value].concat())
}

/// The bytes that a key's certificate has too: both coordinates of its point, or its modulus.
fn public_half(file: &[u8]) -> Option<&[u8]> {
    let blob = file.get(KEY_HEAD..)?;
    let number = |at: usize| Some(u32::from_le_bytes(blob.get(at..at + 4)?.try_into().ok()?) as usize);
    if blob.starts_with(b"RSA") {
        let modulus = 24 + number(8)?;
        blob.get(modulus..modulus + number(12)?)
    } else {
        blob.get(8..8 + 2 * number(4)?)
    }
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

/// A text up to its zero.
fn text(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    String::from_utf16_lossy(&units.take_while(|unit| *unit != 0).collect::<Vec<_>>())
}
