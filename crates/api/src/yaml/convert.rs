//! From what is written to what is meant: wire types become core types, and every text is read.

use std::collections::{BTreeMap, BTreeSet};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tegata_core::backup::Keepers;
use tegata_core::name::{IssuerName, Label, TargetName};
use tegata_core::policy;

use super::gather::{At, Gather, Wrong};
use super::written;
use crate::hint::quote;
use crate::v1::policy::{BackupTargetSpec, Directory, IssuerSpec, IssuerType, PortalSpec, S3, Sftp};

pub(super) mod access;
mod clinic;
mod expect;
mod portal;
mod profile;
mod ssh;

pub(super) use access::binding;
pub(super) use clinic::clinic;
pub(super) use profile::profile;

/// The place of `spec`.
const ROOT: At<'static> = At::ROOT;

/// What Tegata's own root authority is called: the common name of the signing one and this. 64 characters in all (RFC 5280, appendix A.1).
const ROOT_SUFFIX: &str = " Root";

pub(super) fn issuer(name: Option<IssuerName>, spec: &IssuerSpec, gather: &mut Gather<'_>) -> Option<policy::Issuer> {
    let at = ROOT.key("spec");
    let at_name = at.key("commonName");
    let common_name = spec.common_name.as_ref();
    let kind = match (spec.kind, common_name) {
        (IssuerType::Ca, Some(text)) => {
            let longest = 64 - ROOT_SUFFIX.len();
            if text.0.chars().count() > longest {
                let wrong = Wrong::new(
                    format!("the common name {} has more than {longest} characters", quote(&text.0)),
                    format!("the root is called the same and{ROOT_SUFFIX}, and names in certificates end at 64 characters"),
                );
                gather.say(&at_name, wrong);
                None
            } else {
                gather.name::<Label>(&at_name, &text.0).map(|common_name| policy::IssuerKind::Ca { common_name })
            }
        }
        (IssuerType::Ca, None) => {
            gather.say_of_key(
                &at,
                Wrong::new(
                    "an issuer of type ca needs a commonName",
                    "it is what browsers select certificates by, such as Aozora Clinic CA",
                ),
            );
            None
        }
        (_, Some(_)) => {
            gather.say_of_key(
                &at_name,
                Wrong::new("only an issuer of type ca has a commonName", "delete it; a vendor's name stands in the profile under expect"),
            );
            None
        }
        (IssuerType::Vendor, None) => Some(policy::IssuerKind::Vendor),
        (IssuerType::Orcamo, None) => orcamo(spec, &at, gather),
    };
    if let (Some(_), IssuerType::Ca | IssuerType::Vendor) = (&spec.url, spec.kind) {
        gather.say_of_key(&at.key("url"), Wrong::new("only an issuer of type orcamo has a url", "delete it, or write type: orcamo"));
        return None;
    }
    let portal = spec.portal.as_ref().map(|written| portal_of(spec.kind, written, &at.key("portal"), gather));
    Some(policy::Issuer { name: name?, kind: kind?, portal: portal.map_or(Some(None), |read| read.map(Some))? })
}

fn portal_of(kind: IssuerType, written: &PortalSpec, at: &At<'_>, gather: &mut Gather<'_>) -> Option<policy::Portal> {
    if kind == IssuerType::Ca {
        return portal::portal(written, at, gather);
    }
    gather.say_of_key(at, Wrong::new("only an issuer of type ca has a portal", "delete it; a vendor has a portal of its own"));
    None
}

fn orcamo(spec: &IssuerSpec, at: &At<'_>, gather: &mut Gather<'_>) -> Option<policy::IssuerKind> {
    let Some(url) = &spec.url else {
        let hint = "write url: and the address that renews certificates, such as https://auth.example.jp";
        gather.say_of_key(at, Wrong::new("an issuer of type orcamo needs a url", hint));
        return None;
    };
    let site = gather.take(&at.key("url"), written::site(&url.0))?;
    Some(policy::IssuerKind::Orcamo { url: site.as_str().to_owned() })
}

pub(super) fn target(name: Option<TargetName>, spec: &BackupTargetSpec, gather: &mut Gather<'_>) -> Option<policy::BackupTarget> {
    let at = ROOT.key("spec");
    let place = match (&spec.directory, &spec.sftp, &spec.s3) {
        (Some(directory), None, None) => folder_place(directory, &at.key("directory"), gather),
        (None, Some(sftp), None) => sftp_place(sftp, &at.key("sftp"), gather),
        (None, None, Some(s3)) => s3_place(s3, &at.key("s3"), gather),
        (None, None, None) => {
            gather.say_of_key(&at, Wrong::new("the target does not say where backups go", "write one of directory, sftp and s3"));
            None
        }
        _ => {
            gather.say_of_key(
                &at,
                Wrong::new("the target names more than one place", "keep one of directory, sftp and s3; make a target for each"),
            );
            None
        }
    };
    let keepers = keepers(spec, &at, gather);
    let retention = gather.take(&at.key("retention"), written::span(&spec.retention.0));
    let drill = spec.drill.as_ref().map(|drill| gather.take(&at.key("drill").key("every"), written::span(&drill.every.0)));
    let open = spec.drill.as_ref().and_then(|drill| drill.open_every.as_ref());
    let open = open.map(|every| gather.take(&at.key("drill").key("openEvery"), written::span(&every.0)));
    Some(policy::BackupTarget {
        name: name?,
        place: place?,
        keepers: keepers?,
        retention: retention?,
        drill_every: drill.map_or(Some(None), |every| every.map(Some))?,
        open_every: open.map_or(Some(None), |every| every.map(Some))?,
    })
}

fn keepers(spec: &BackupTargetSpec, at: &At<'_>, gather: &mut Gather<'_>) -> Option<Keepers> {
    let of = recipients(spec, at, gather);
    let Some(threshold) = spec.threshold else { return of.map(Keepers::each) };
    let count = spec.recipients.len();
    let wrong = match usize::from(threshold) {
        0 | 1 => Wrong::new(
            format!("a threshold of {threshold} asks for nobody's help"),
            "leave threshold out, so that each key opens a backup alone, or write 2 or more",
        ),
        so_many if so_many > count => Wrong::new(
            format!("it would take {threshold} keys, and there are only {count}, so nobody could ever open a backup"),
            "name more recipients, at least one more than the threshold",
        ),
        so_many if so_many == count => Wrong::new(
            format!("it would take all {count} keys, so one that is lost loses every backup"),
            if count > 2 {
                format!("name one more recipient, or write a threshold of at most {}", count - 1)
            } else {
                "name one more recipient".into()
            },
        ),
        _ => return of.map(|of| Keepers { threshold, of }),
    };
    gather.say(&at.key("threshold"), wrong);
    None
}

fn recipients(spec: &BackupTargetSpec, at: &At<'_>, gather: &mut Gather<'_>) -> Option<Vec<String>> {
    let at = at.key("recipients");
    if spec.recipients.is_empty() {
        gather.say(
            &at,
            Wrong::new(
                "the target has no recipient, so nobody could open its backups",
                "make a key with age-keygen and write its public half here",
            ),
        );
        return None;
    }
    let mut keys = BTreeMap::new();
    for (index, recipient) in spec.recipients.iter().enumerate() {
        let at = at.item(index);
        let read = recipient.0.parse::<age::x25519::Recipient>().map_err(|_| {
            let secret = recipient.0.to_ascii_uppercase().starts_with("AGE-SECRET-KEY");
            let hint = if secret {
                "this is the secret half: treat it as lost, make a new key, and write the public half here"
            } else {
                "write the public half of an age key, age1…, exactly as age-keygen printed it"
            };
            Wrong::new(
                if secret {
                    "a secret key stands in the policy".to_owned()
                } else {
                    format!("{} is not an age recipient", quote(&recipient.0))
                },
                hint,
            )
        });
        if gather.take(&at, read).is_some() {
            gather.unique(&mut keys, &at, "recipients", recipient.0.clone(), ());
        }
    }
    Some(keys.into_keys().collect())
}

fn sftp_place(sftp: &Sftp, at: &At<'_>, gather: &mut Gather<'_>) -> Option<policy::BackupPlace> {
    let host = plain(&sftp.host, "a host name or address", &at.key("host"), gather);
    let user = plain(&sftp.user, "a login name", &at.key("user"), gather);
    let host_key = gather.take(&at.key("hostKey"), host_key(&sftp.host_key));
    let path = path(&sftp.path, &at.key("path"), gather);
    Some(policy::BackupPlace::Sftp { host: host?, port: sftp.port.unwrap_or(22), user: user?, host_key: host_key?, path: path? })
}

/// Checks `algorithm base64`: the decoded key begins with the length and name of its algorithm (RFC 4253, section 6.6).
fn host_key(text: &str) -> Result<String, Wrong> {
    let right = text.split_once(' ').is_some_and(|(algorithm, key)| {
        let key = data_encoding::BASE64.decode(key.as_bytes()).unwrap_or_default();
        let length = u32::try_from(algorithm.len()).unwrap_or(0).to_be_bytes();
        key.strip_prefix(&length).is_some_and(|rest| rest.starts_with(algorithm.as_bytes()) && rest.len() > algorithm.len())
    });
    if right && text.split(' ').next().is_some_and(|algorithm| algorithm.ends_with("-cert-v01@openssh.com")) {
        let hint = "write the host's key, or under ssh.hostAuthorities the key of the authority that has signed it";
        Err(Wrong::new("this is a host's certificate, and not a key", hint))
    } else if right {
        Ok(text.to_owned())
    } else {
        Err(Wrong::new(
            format!("{} is not a host key", quote(text)),
            "write it as ssh-keyscan prints it, without the host: ssh-ed25519 AAAA…",
        ))
    }
}

fn folder_place(directory: &Directory, at: &At<'_>, gather: &mut Gather<'_>) -> Option<policy::BackupPlace> {
    let path = path(&directory.path, &at.key("path"), gather);
    let marker = directory.marker.as_ref().map(|name| {
        let is_name = plain(name, "the name of a file", &at.key("marker"), gather)?;
        let hint = "write the name of a file in the folder itself";
        let straight = if is_name.contains('/') || is_name == "." || is_name == ".." {
            Err(Wrong::new(format!("{} leads out of the folder", quote(name)), hint))
        } else {
            Ok(is_name)
        };
        gather.take(&at.key("marker"), straight)
    });
    Some(policy::BackupPlace::Directory { path: path?, marker: marker.map_or(Some(None), |marker| marker.map(Some))? })
}

fn s3_place(s3: &S3, at: &At<'_>, gather: &mut Gather<'_>) -> Option<policy::BackupPlace> {
    let endpoint = s3.endpoint.as_ref().map(|text| gather.take(&at.key("endpoint"), endpoint(text)));
    let region = plain(&s3.region, "a region", &at.key("region"), gather);
    let named = |name: &str| {
        (3..=63).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-'))
    };
    let bucket = if named(&s3.bucket) {
        Ok(s3.bucket.clone())
    } else {
        Err(Wrong::new(format!("{} is not a bucket name", quote(&s3.bucket)), "write 3 to 63 of a-z, 0-9, '.' and '-'"))
    };
    let name = gather.take(&at.key("bucket"), bucket);
    let prefix = s3.prefix.as_ref().map_or(Some(String::new()), |text| gather.take(&at.key("prefix"), prefix(text)));
    let authority = s3.authority.as_ref().map(|pem| gather.take(&at.key("authority"), authority(pem)));
    Some(policy::BackupPlace::S3(policy::Bucket {
        path_style: s3.path_style.unwrap_or(endpoint.is_some()),
        endpoint: endpoint.map_or(Some(None), |read| read.map(Some))?,
        region: region?,
        name: name?,
        prefix: prefix?,
        authority: authority.map_or(Some(None), |read| read.map(Some))?,
        credentials: s3.credentials.as_ref().map_or_else(|| "default".to_owned(), |name| name.0.clone()),
    }))
}

fn endpoint(text: &str) -> Result<String, Wrong> {
    if text.contains('{') {
        return Err(Wrong::new(format!("{} holds a placeholder, but a service has one address", quote(text)), "write the address itself"));
    }
    Ok(written::site(text)?.as_str().to_owned())
}

/// Reads what object names begin with: names in front of ours, with nothing between two strokes.
fn prefix(text: &str) -> Result<String, Wrong> {
    let names: Vec<&str> = text.strip_suffix('/').unwrap_or(text).split('/').collect();
    let plain = |name: &&str| {
        !matches!(*name, "" | "." | "..") && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'='))
    };
    if text.len() <= 255 && names.iter().all(plain) {
        return Ok(text.to_owned());
    }
    let hint = "write names of a-z, A-Z, 0-9, '.', '-', '_' and '=', with one '/' between them";
    Err(Wrong::new(format!("{} is not the beginning of object names", quote(text)), hint))
}

fn authority(pem: &str) -> Result<String, Wrong> {
    let read: Result<Vec<CertificateDer<'_>>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(pem.to_owned()),
        _ => Err(Wrong::new(
            "the authority is not a certificate in PEM",
            "write authority: | and below it the lines from BEGIN CERTIFICATE to END CERTIFICATE",
        )),
    }
}

/// Reads an absolute path without detours.
fn path(text: &str, at: &At<'_>, gather: &mut Gather<'_>) -> Option<String> {
    let straight = text.starts_with('/')
        && text.len() <= 1024
        && !text.split('/').any(|part| matches!(part, "." | ".."))
        && !text.chars().any(char::is_control);
    let read = if straight {
        Ok(text.to_owned())
    } else {
        Err(Wrong::new(format!("{} is not an absolute path", quote(text)), "begin with '/', and leave '.' and '..' out"))
    };
    gather.take(at, read)
}

/// Reads a word without blanks.
fn plain(text: &str, what: &str, at: &At<'_>, gather: &mut Gather<'_>) -> Option<String> {
    let fits = (1..=255).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic());
    gather.take(
        at,
        if fits {
            Ok(text.to_owned())
        } else {
            Err(Wrong::new(format!("{} is not {what}", quote(text)), "write it without blanks, in half-width characters"))
        },
    )
}

/// Checks labels: short keys in plain characters, short values that can be read.
pub(super) fn labels(labels: &BTreeMap<String, String>, at: &At<'_>, gather: &mut Gather<'_>) {
    for (key, value) in labels {
        let at = at.key(key);
        let plain = (1..=63).contains(&key.len())
            && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'/'));
        if !plain {
            gather.say_of_key(
                &at,
                Wrong::new(
                    format!("{} is not a label", quote(key)),
                    "the key of a label must be 1 to 63 letters, digits, '.', '-', '_' and '/'",
                ),
            );
        }
        gather.name::<Label>(&at, value);
    }
}

/// Takes a list in which nothing may stand twice.
fn set<T: Ord, U>(
    items: &[U],
    at: &At<'_>,
    gather: &mut Gather<'_>,
    mut read: impl FnMut(&U, &At<'_>, &mut Gather<'_>) -> Option<T>,
    shown: impl Fn(&U) -> String,
) -> BTreeSet<T> {
    let mut taken = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let at = at.item(index);
        if read(item, &at, gather).is_some_and(|value| !taken.insert(value)) {
            gather.say(&at, Wrong::new(format!("{} is there twice", quote(&shown(item))), "delete one of them"));
        }
    }
    taken
}
