//! Where the server hands mail in, as the command line says. The password comes by the environment or a file, never by argument.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use tegata_server::mail::MailSettings;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// The environment variable that holds the password.
const PASSWORD: &str = "TEGATA_SMTP_PASSWORD";

/// Where mail is handed in. Without it, what would be mailed is said on the console only.
#[derive(Args)]
pub struct MailOptions {
    /// Hand mail in here: smtp://user@host:port (STARTTLS), smtps://user@host, or smtp://127.0.0.1:25?tls=none for a relay on this
    /// machine; the password comes from TEGATA_SMTP_PASSWORD or --smtp-password-file
    #[arg(long, value_name = "URL", requires = "mail_from")]
    smtp: Option<String>,
    /// Whom mail comes from, such as `Tegata <tegata@example.jp>`
    #[arg(long, value_name = "ADDR", requires = "smtp")]
    mail_from: Option<String>,
    /// A file whose first line is the mail server's password
    #[arg(long, value_name = "FILE", requires = "smtp")]
    smtp_password_file: Option<PathBuf>,
    /// Trust the mail server by this authority (PEM), and by no other
    #[arg(long, value_name = "FILE", requires = "smtp")]
    smtp_authority: Option<PathBuf>,
}

impl MailOptions {
    /// Reads the files that are named.
    pub fn read(self) -> Result<Option<MailSettings>, Failure> {
        let (Some(url), Some(from)) = (self.smtp, self.mail_from) else { return Ok(None) };
        let password = match self.smtp_password_file {
            Some(path) => Some(first_line(read(path)?)),
            None => std::env::var(PASSWORD).ok().map(Zeroizing::new),
        };
        let authority = self.smtp_authority.map(read).transpose()?.map(|text| text.to_string());
        Ok(Some(MailSettings { url, password, from, authority }))
    }
}

fn read(path: PathBuf) -> Result<Zeroizing<String>, Failure> {
    fs::read_to_string(&path).map(Zeroizing::new).map_err(|source| Failure::Read { path, source })
}

fn first_line(text: Zeroizing<String>) -> Zeroizing<String> {
    Zeroizing::new(text.lines().next().unwrap_or_default().to_owned())
}
