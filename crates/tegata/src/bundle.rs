//! `tegata bundle`: what is carried by hand to devices that cannot reach the server, and what comes back from them.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;
use tegata_api::v1::offline::{self, AnswerTaken, OfflineBundle, SignedAnswer, SignedBundle};
use tegata_core::name::DeviceId;

use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::session::Session;

/// Serve a device that cannot reach the server by files that somebody carries
#[derive(Args)]
pub struct Bundle {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Export(Export),
    Accept(Accept),
}

/// Write everything that one device would fetch now into a file, for `tegata-agent bundle apply`
///
/// The file is signed with the key of the server's certificate, and holds nothing that anybody but the device can open or use. It is good
/// for 30 days at least.
#[derive(Args)]
#[command(after_help = "Example:\n  $ tegata bundle export sakura-naika/shikaku-1 --out /media/usb/shikaku-1.json")]
struct Export {
    /// The device, `clinic/device`. It has to have enrolled, over the network, once
    device: DeviceId,
    /// Where the file goes [default: tegata-CLINIC-DEVICE.json in this folder]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Take in the answer that `tegata-agent bundle apply` wrote: what was installed, and requests for certificates
///
/// The same answer can be brought again. Certificates for its requests are in the next `tegata bundle export`.
#[derive(Args)]
#[command(after_help = "Example:\n  $ tegata bundle accept /media/usb/shikaku-1.answer.json")]
struct Accept {
    /// The answer
    file: PathBuf,
}

/// What was exported.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Exported {
    /// `clinic/device`.
    device: String,
    /// The manifest's.
    generation: u64,
    /// When, by the server's clock, seconds since the Unix epoch.
    made_at: i64,
    /// Vendors' files in it, by order.
    sealed: Vec<String>,
    /// Certificates in it that the server issued, by order.
    issued: Vec<String>,
    /// Where the file is.
    file: PathBuf,
}

impl Bundle {
    /// Does what was typed.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        match self.what {
            What::Export(verb) => verb.run(global).await,
            What::Accept(verb) => verb.run(global).await,
        }
    }
}

impl Export {
    async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let signed: SignedBundle = Session::open(global)?.post(&format!("devices/{}/bundle", self.device), &()).await?;
        let bundle: OfflineBundle = serde_json::from_str(&signed.bundle).map_err(|_| Failure::NewerServer)?;
        let file = self.out.unwrap_or_else(|| usual_name(&self.device));
        let bytes = serde_json::to_vec(&signed).map_err(|error| Failure::Format { format: "JSON", problem: error.to_string() })?;
        write(&file, &bytes).map_err(|source| Failure::Keep { path: file.clone(), source })?;
        let exported = Exported {
            device: bundle.manifest.device,
            generation: bundle.manifest.generation,
            made_at: bundle.made_at,
            sealed: bundle.sealed.into_keys().collect(),
            issued: bundle.issued.into_keys().collect(),
            file,
        };
        output::show(global, &exported, |_| exported.tell())?;
        Ok(Exit::Fine)
    }
}

impl Exported {
    fn tell(&self) -> String {
        let certificates = match self.sealed.len() + self.issued.len() {
            0 => "no certificate".to_owned(),
            1 => "1 certificate".to_owned(),
            count => format!("{count} certificates"),
        };
        let file = self.file.display();
        format!(
            "{file} is for {}: generation {}, {certificates}.\nOn the device: tegata-agent bundle apply {file}",
            self.device, self.generation
        )
    }
}

fn usual_name(device: &DeviceId) -> PathBuf {
    format!("tegata-{}-{}.json", device.clinic, device.device).into()
}

/// What is not on the medium when it is pulled out is missed too late.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

impl Accept {
    async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let session = Session::open(global)?;
        let file = File::open(&self.file).map_err(|source| Failure::Read { path: self.file.clone(), source })?;
        let signed: SignedAnswer = offline::read(file).map_err(|source| Failure::Answer { path: self.file, source })?;
        let taken: AnswerTaken = session.post("bundles/answers", &signed).await?;
        output::show(global, &taken, |_| tell(&taken))?;
        Ok(if taken.refused.is_empty() && taken.up_to >= taken.last_receipt { Exit::Fine } else { Exit::Error })
    }
}

fn tell(taken: &AnswerTaken) -> String {
    let AnswerTaken { device, up_to, last_receipt, .. } = taken;
    let mut lines = vec![match last_receipt.saturating_sub(*up_to) {
        0 => format!("{device}: all receipts are on record ({up_to})."),
        missing => format!("{device}: receipts up to {up_to} are on record; not yet: {missing}."),
    }];
    if up_to < last_receipt && taken.refused.iter().all(|refused| refused.order.is_some()) {
        lines.push(
            "The device knows that some of them had arrived: was the server restored from a backup? They come once it has a network."
                .into(),
        );
    }
    if !taken.taken.is_empty() {
        lines.push(format!("Taken in, as the device has them already: {}.", taken.taken.join(", ")));
    }
    if !taken.issued.is_empty() {
        lines.push(format!("Issued: {}. Next: tegata bundle export {device}", taken.issued.join(", ")));
    }
    for refused in &taken.refused {
        let what = refused.order.as_ref().map_or_else(|| "A receipt".to_owned(), |order| format!("Order {order}"));
        let why = refused.problem.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
        lines.push(format!("{what} is refused: {}{why}.", refused.problem.title));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use tegata_api::v1::offline::Refused;
    use tegata_api::v1::problem::{Code, Problem};

    use super::*;

    #[test]
    fn an_export_says_what_it_is_for_and_where_it_goes_next() {
        let device: DeviceId = "sakura-naika/shikaku-1".parse().unwrap();
        let mut exported = Exported {
            device: device.to_string(),
            generation: 7,
            made_at: 0,
            sealed: vec!["a1".into()],
            issued: vec![],
            file: usual_name(&device),
        };
        expect![[r#"
            tegata-sakura-naika-shikaku-1.json is for sakura-naika/shikaku-1: generation 7, 1 certificate.
            On the device: tegata-agent bundle apply tegata-sakura-naika-shikaku-1.json"#]]
        .assert_eq(&exported.tell());
        exported.sealed.clear();
        assert!(exported.tell().contains("generation 7, no certificate."));
    }

    #[test]
    fn an_answer_is_told_with_all_that_was_refused() {
        let problem = Problem {
            status: 409,
            code: Code::OrderClosed,
            title: "the order is not open any more".into(),
            detail: None,
            retry_after: None,
            findings: vec![],
            locked_out: vec![],
            faults: vec![],
            over_quota: vec![],
        };
        let forged = Problem { title: "the receipt is refused".into(), detail: Some("receipt 3 is not signed".into()), ..problem.clone() };
        let taken = AnswerTaken {
            device: "sakura-naika/shikaku-1".into(),
            up_to: 2,
            last_receipt: 3,
            issued: vec!["a1".into()],
            taken: vec!["b2".into()],
            refused: vec![Refused { order: None, problem: forged }, Refused { order: Some("c3".into()), problem }],
        };
        expect![[r#"
            sakura-naika/shikaku-1: receipts up to 2 are on record; not yet: 1.
            Taken in, as the device has them already: b2.
            Issued: a1. Next: tegata bundle export sakura-naika/shikaku-1
            A receipt is refused: the receipt is refused (receipt 3 is not signed).
            Order c3 is refused: the order is not open any more."#]]
        .assert_eq(&tell(&taken));
        let lost = AnswerTaken { refused: vec![], taken: vec![], issued: vec![], ..taken };
        assert!(tell(&lost).contains("restored from a backup"), "{}", tell(&lost));
        expect!["sakura-naika/shikaku-1: all receipts are on record (3)."].assert_eq(&tell(&AnswerTaken { up_to: 3, ..lost }));
    }

    #[test]
    fn a_file_is_written_whole_over_an_older_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("usb.json");
        write(&path, b"a long one").unwrap();
        write(&path, b"short").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"short");
        assert!(write(&folder.path().join("none/usb.json"), b"").is_err());
    }
}
