//! What the stand-in chart shows: whose chart it is, and by which certificate one came in.

use std::fmt;

use tegata_pki::certificate::Certificate;

use super::Site;

/// What a certificate says about its owner.
pub struct Subject {
    common_name: String,
    organization: String,
    serial: String,
}

impl Subject {
    /// Takes it from a certificate.
    pub fn of(certificate: &Certificate) -> Self {
        Self {
            common_name: certificate.common_name.clone().unwrap_or_default(),
            organization: certificate.organization.clone().unwrap_or_default(),
            serial: certificate.serial.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CN={} O={} serial={}", self.common_name, self.organization, self.serial)
    }
}

/// The page for those who belong here.
pub fn chart(site: &Site, certificate: &Certificate) -> String {
    page(site, "電子カルテ", "この端末は、この診療所の端末として確認されました。", "#0b6e4f", certificate)
}

/// The page for those whose certificate is another clinic's.
pub fn forbidden(site: &Site, certificate: &Certificate) -> String {
    page(site, "開けません", "この証明書は、別の診療所のものです。", "#a4262c", certificate)
}

fn page(site: &Site, title: &str, sentence: &str, color: &str, certificate: &Certificate) -> String {
    let subject = Subject::of(certificate);
    let row = |id: &str, name: &str, value: &str| format!("<tr><th>{name}</th><td id=\"{id}\">{}</td></tr>\n", escaped(value));
    let rows = row("host", "ホスト", &site.host)
        + &row("common-name", "端末 (CN)", &subject.common_name)
        + &row("organization", "施設 (O)", &subject.organization)
        + &row("serial", "シリアル番号", &subject.serial);
    format!(
        "<!doctype html>\n<html lang=\"ja\">\n<meta charset=\"utf-8\">\n<title>{name} {title}</title>\n<style>\n\
         body {{ font: 16px/1.7 system-ui, sans-serif; max-width: 40rem; margin: 4rem auto; padding: 0 1rem; color: #222 }}\n\
         h1 {{ font-size: 1.6rem; border-left: .4rem solid {color}; padding-left: .8rem }}\n\
         th {{ text-align: left; font-weight: normal; color: #666; padding-right: 2rem; white-space: nowrap }}\n\
         td {{ font-family: ui-monospace, monospace; word-break: break-all }}\nfooter {{ margin-top: 3rem; color: #888; font-size: .8rem }}\n\
         </style>\n<h1>{name} <small>{title}</small></h1>\n<p>{sentence}</p>\n<table>\n{rows}</table>\n\
         <footer>これは Tegata のデモ用の見本です。患者の情報はありません。</footer>\n",
        name = escaped(&site.name),
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use tegata_core::name::Sha256;
    use tegata_core::time::Timestamp;

    use super::*;

    #[test]
    fn the_page_names_the_clinic_and_the_certificate_and_trusts_neither() {
        let site: Site = "karte.example.jp=ca:sakura:さくら<内科>".parse().unwrap();
        let certificate = Certificate {
            der: Vec::new(),
            fingerprint: Sha256([0; 32]),
            serial: vec![0x4f, 0x01],
            issuer: Vec::new(),
            issuer_common_name: None,
            common_name: Some("uketsuke-1".into()),
            organization: Some("sakura".into()),
            not_before: Timestamp::from_unix(0),
            not_after: Timestamp::from_unix(0),
            public_key: Vec::new(),
            is_self_issued: false,
            is_for_clients: true,
            is_authority: false,
            crl_urls: Vec::new(),
        };
        let page = chart(&site, &certificate);
        for part in
            ["さくら&lt;内科&gt; 電子カルテ", "id=\"common-name\">uketsuke-1<", "id=\"organization\">sakura<", "id=\"serial\">4f01<"]
        {
            assert!(page.contains(part), "{part} is not in {page}");
        }
        assert_eq!(Subject::of(&certificate).to_string(), "CN=uketsuke-1 O=sakura serial=4f01");
    }
}
