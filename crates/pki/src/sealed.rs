//! Seals a short text to people's age keys, so that whoever keeps it cannot read it.

use std::io::Write;

use age::armor::{ArmoredWriter, Format};

/// Why a text was not sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealedError {
    /// Nobody could open it.
    #[error("there is no recipient")]
    Nobody,
    /// Something that should be a recipient is none.
    #[error("{0} is not an age recipient")]
    NotARecipient(String),
    /// It cannot be written.
    #[error("it cannot be sealed")]
    Failed,
}

/// Seals `secret` to all of these recipients (`age1…`, X25519), as an armored age file (C2SP age, "ASCII armor").
///
/// # Errors
///
/// There is no recipient, or one of them is none. Nothing is sealed to only some of them.
pub fn seal_to(secret: &[u8], recipients: &[String]) -> Result<String, SealedError> {
    let read = |text: &String| text.parse::<age::x25519::Recipient>().map_err(|_| SealedError::NotARecipient(text.clone()));
    let keys: Vec<age::x25519::Recipient> = recipients.iter().map(read).collect::<Result<_, _>>()?;
    let encryptor = age::Encryptor::with_recipients(keys.iter().map(|key| key as &dyn age::Recipient)).map_err(|_| SealedError::Nobody)?;
    armored(&encryptor_output(encryptor, secret).map_err(|_| SealedError::Failed)?).map_err(|_| SealedError::Failed)
}

fn encryptor_output(encryptor: age::Encryptor, secret: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut sealed = Vec::new();
    let mut writer = encryptor.wrap_output(&mut sealed)?;
    writer.write_all(secret)?;
    writer.finish()?;
    Ok(sealed)
}

/// The same age file as text.
pub(crate) fn armored(sealed: &[u8]) -> std::io::Result<String> {
    let mut writer = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?;
    writer.write_all(sealed)?;
    String::from_utf8(writer.finish()?).map_err(std::io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use age::armor::ArmoredReader;

    use super::*;

    #[test]
    fn every_recipient_can_open_it_and_nobody_else() {
        let keys: Vec<age::x25519::Identity> = (0..3).map(|_| age::x25519::Identity::generate()).collect();
        let public: Vec<String> = keys.iter().map(|key| key.to_public().to_string()).collect();
        let sealed = seal_to("R-99887766 参照".as_bytes(), &public[..2]).unwrap();
        assert!(sealed.starts_with("-----BEGIN AGE ENCRYPTED FILE-----") && !sealed.contains("99887766"));
        let opened = |key: &age::x25519::Identity| {
            let decryptor = age::Decryptor::new(ArmoredReader::new(sealed.as_bytes())).unwrap();
            let mut text = String::new();
            decryptor.decrypt(std::iter::once(key as &dyn age::Identity)).ok()?.read_to_string(&mut text).ok()?;
            Some(text)
        };
        assert_eq!(
            keys.iter().map(opened).collect::<Vec<_>>(),
            [Some("R-99887766 参照".to_owned()), Some("R-99887766 参照".to_owned()), None]
        );
    }

    #[test]
    fn nothing_is_sealed_to_nobody_or_to_some_only() {
        let key = age::x25519::Identity::generate().to_public().to_string();
        assert_eq!(seal_to(b"R", &[]), Err(SealedError::Nobody));
        assert_eq!(seal_to(b"R", &[key, "age1nobody".into()]), Err(SealedError::NotARecipient("age1nobody".into())));
    }
}
