//! `tegata certificate import`: opens a vendor's file here, and sends it sealed.

use std::io::{IsTerminal, Read, stdin};
use std::path::{Path, PathBuf};

use clap::Args;
use data_encoding::BASE64;
use tegata_api::v1::backup::Quorum;
use tegata_api::v1::device::FileHash;
use tegata_api::v1::vendor::{ImportAnswer, ImportRequest, Pin, Recipients, RecipientsRequest, TryRequest};
use tegata_core::name::SlotId;
use tegata_core::vendor::BundleFault;
use tegata_pki::bundle::{self, Content};
use tegata_pki::certificate;
use tegata_pki::pkcs12::{Bundle, SIZE_MAX};
use zeroize::Zeroizing;

use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::moment::wall_clock;
use crate::output::{self, Look};
use crate::session::Session;

/// Take in the file in which a vendor delivered a certificate, and have its device install it
///
/// The file is opened here, in memory, with one try. What is sent is the certificate, which is public, and the file sealed to the device
/// and to the clinic's backup recipients: the server can open it as little as anybody else.
#[derive(Args)]
#[command(after_help = "Example:\n  $ tegata certificate import 004431_JP_u00000126_client1210.p12 --slot sakura-naika/uketsuke-1/weborca")]
pub struct Import {
    /// The file (.p12 or .pfx), under the name that the vendor gave it
    file: PathBuf,
    /// Where the certificate belongs, `clinic/device/profile`
    #[arg(long)]
    slot: SlotId,
    /// Reads the password from the first line of this file; `-` is standard input. Left out: it is asked for
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Spend even the last try of a PIN: if it is wrong, the vendor locks the certificate
    #[arg(long)]
    last_try: bool,
}

impl Import {
    /// Takes it in.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let session = Session::open(global)?;
        let file = self.read()?;
        // First of all, so that no password is asked for in vain.
        let recipients: Recipients = session.post("bundles/recipients", &RecipientsRequest { slot: self.slot.to_string() }).await?;
        let password = self.password(recipients.pin)?;
        let name = self.file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if recipients.pin.is_some() {
            // Counted before it is made: a try that nobody remembers is one that locks the certificate.
            let sha256 = tegata_pki::key::sha256(&file).to_string();
            session.tell("bundles/tries", &TryRequest { slot: self.slot.to_string(), sha256, last: self.last_try }).await?;
        }
        let (opened, _) = bundle::open(&file, &password, &name).map_err(|fault| self.fault(vec![fault]))?;
        let request = sealed(&self.slot, &opened, Content::new(&name, &password, &file), recipients)?;
        let answer: ImportAnswer = session.post("bundles", &request).await?;
        output::show(global, &answer, |look| told(&answer, look))?;
        Ok(Exit::Fine)
    }

    /// Not more than a file that could be a bundle, whatever its length says.
    fn read(&self) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let failed = |source| Failure::Read { path: self.file.clone(), source };
        let mut bytes = Zeroizing::new(Vec::with_capacity(SIZE_MAX + 1));
        let file = std::fs::File::open(&self.file).map_err(failed)?;
        file.take(SIZE_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() > SIZE_MAX {
            return Err(self.fault(vec![BundleFault::TooLarge { bytes: bytes.len(), limit: SIZE_MAX }]));
        }
        Ok(bytes)
    }

    fn password(&self, pin: Option<Pin>) -> Result<Zeroizing<String>, Failure> {
        let password = match &self.password_file {
            Some(path) if path.as_os_str() == "-" => first_line(path, stdin().lock())?,
            Some(path) => first_line(path, std::fs::File::open(path).map_err(|source| Failure::Read { path: path.clone(), source })?)?,
            None if stdin().is_terminal() => ask(pin)?,
            None => return Err(Failure::NoPassword),
        };
        match pin {
            // A PIN that cannot be the right one spends no try.
            Some(pin) if !is_pin(&password, pin) => Err(Failure::NotPin { digits: pin.digits }),
            _ => Ok(password),
        }
    }

    fn fault(&self, faults: Vec<BundleFault>) -> Failure {
        Failure::Bundle { path: self.file.clone(), faults }
    }
}

/// Has the device of a slot install what is in a backup, as if the vendor's file was brought once more.
pub async fn install(global: &Global, slot: &SlotId, content: Content) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    let recipients: Recipients = session.post("bundles/recipients", &RecipientsRequest { slot: slot.to_string() }).await?;
    let name = content.file_name.clone();
    let (opened, _) = content.open().map_err(|fault| Failure::Bundle { path: name.into(), faults: vec![fault] })?;
    let answer: ImportAnswer = session.post("bundles", &sealed(slot, &opened, content, recipients)?).await?;
    output::show(global, &answer, |look| told(&answer, look))?;
    Ok(Exit::Fine)
}

fn sealed(slot: &SlotId, opened: &Bundle, content: Content, recipients: Recipients) -> Result<ImportRequest, Failure> {
    let file = FileHash { sha256: content.digest().to_string(), size: content.file.len() as u64 };
    let keepers = Quorum::heard(&recipients.backup, recipients.quorum.as_ref());
    let sealed = bundle::seal_for(&content, std::slice::from_ref(&recipients.device), &keepers).map_err(Failure::Seal)?;
    let to: Vec<String> = keepers.of.into_iter().chain([recipients.device]).collect();
    Ok(ImportRequest {
        slot: slot.to_string(),
        chain: opened.chain.iter().map(|der| certificate::to_pem(der)).collect(),
        file_name: content.file_name.clone(),
        file,
        sealed: BASE64.encode(&sealed),
        recipients: to,
    })
}

fn first_line(path: &Path, from: impl Read) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    from.take(4096).read_to_string(&mut text).map_err(|source| Failure::Read { path: path.to_owned(), source })?;
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

fn ask(pin: Option<Pin>) -> Result<Zeroizing<String>, Failure> {
    let prompt = match pin {
        Some(pin) => format!("PIN, {} digits (the vendor locks the certificate after {} wrong tries): ", pin.digits, pin.tries),
        None => "Password of the file: ".to_owned(),
    };
    rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(Failure::Terminal)
}

fn is_pin(password: &str, pin: Pin) -> bool {
    password.len() == usize::from(pin.digits) && password.bytes().all(|byte| byte.is_ascii_digit())
}

fn told(answer: &ImportAnswer, look: &Look) -> String {
    let what = if answer.again { "was there already, and is sealed anew" } else { "is taken in" };
    format!(
        "{} {what} for {}, valid until {}.\nIts device installs it by itself: `tegata get slots` shows how far it is. Copies of the file are removed from PCs.",
        answer.subject,
        answer.slot,
        wall_clock(answer.not_after, &look.zone)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line_without_its_end() {
        let read = |text: &'static str| first_line(Path::new("-"), text.as_bytes()).unwrap().to_string();
        assert_eq!(read("秘密 1\r\nmore"), "秘密 1");
        assert_eq!(read(""), "");
    }

    #[test]
    fn what_cannot_be_the_pin_is_not_tried() {
        let pin = Pin { digits: 4, tries: 3 };
        assert!(is_pin("0123", pin));
        assert!(!["123", "01234", "12a4", "１２３４", ""].iter().any(|text| is_pin(text, pin)));
    }
}
