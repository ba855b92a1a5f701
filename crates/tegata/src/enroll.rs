//! `tegata enroll`: lets a PC become a device.

use clap::{Args, Subcommand};
use tegata_api::v1::fleet::{CodeAnswer, CodeKind, CodeRequest};
use tegata_core::name::DeviceId;

use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::moment;
use crate::output::{self, Look};
use crate::session::Session;

/// Let a PC become a device
#[derive(Args)]
pub struct Enroll {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Make a code for one device: a handle and six digits to type within ten minutes, or a join code for automation
    #[command(
        after_help = "Examples:\n  $ tegata enroll code sakura-naika/uketsuke-1\n  $ tegata enroll code sakura-naika/uketsuke-1 --join -o json"
    )]
    Code {
        /// The device, `clinic/device`, as policy names it
        device: DeviceId,
        /// One long text, good for 24 hours, that carries the server's identity with it
        #[arg(long)]
        join: bool,
    },
}

impl Enroll {
    /// Asks for the code and shows it, once.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let What::Code { device, join } = self.what;
        let session = Session::open(global)?;
        let kind = if join { CodeKind::Join } else { CodeKind::Typed };
        let answer: CodeAnswer = session.post(&format!("devices/{device}/code"), &CodeRequest { kind }).await?;
        output::show(global, &answer, |look| told(&answer, kind, &device, &session.access().server, look))?;
        Ok(Exit::Fine)
    }
}

fn told(answer: &CodeAnswer, kind: CodeKind, device: &DeviceId, server: &str, look: &Look) -> String {
    let pin = match kind {
        CodeKind::Typed => format!(" --authority-sha256 {}", answer.authority_sha256),
        CodeKind::Join => String::new(),
    };
    format!(
        "code     {code}\ndevice   {device}\nexpires  {expires}; 5 tries, one use\n\nOn that PC:\n\n  tegata-agent enroll --server {server} --code {code}{pin}\n  tegata-agent run",
        code = answer.code,
        expires = moment::with_distance(answer.expires_at, look.now, &look.zone),
    )
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::output::test_look;

    #[test]
    fn a_typed_code_comes_with_the_command_to_paste() {
        let look = test_look();
        let answer = CodeAnswer { code: "7QK2MX-493027".into(), authority_sha256: "ab".repeat(32), expires_at: look.now.unix() + 600 };
        let device = "sakura/uketsuke-1".parse().unwrap();
        expect![[r#"
            code     7QK2MX-493027
            device   sakura/uketsuke-1
            expires  2026-11-18 20:16 (in 10 min); 5 tries, one use

            On that PC:

              tegata-agent enroll --server https://tegata.example.jp:8443 --code 7QK2MX-493027 --authority-sha256 abababababababababababababababababababababababababababababababab
              tegata-agent run"#]]
        .assert_eq(&told(&answer, CodeKind::Typed, &device, "https://tegata.example.jp:8443", &look));
    }

    #[test]
    fn a_join_code_pins_the_server_by_itself() {
        let answer = CodeAnswer { code: "tgj1.x.y.z".into(), authority_sha256: String::new(), expires_at: 0 };
        let told = told(&answer, CodeKind::Join, &"a/b".parse().unwrap(), "https://t", &test_look());
        assert!(told.contains("--code tgj1.x.y.z\n"), "{told}");
    }
}
