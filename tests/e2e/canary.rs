//! R4: private keys go through everything that there is, and the running server is then searched for them: what it keeps on disks, what it
//! has open, and every byte of its memory.
//!
//! The search is seen to find first: a word that was planted in policy, on disk and in memory, and every form of every key in a file.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use data_encoding::BASE64;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use tegata_tests::process::{run_well, wait_for};
use tegata_tests::smtp::Sink;
use tegata_tests::world::PATIENCE;
use tegata_tests::{Agent, World};

use super::portal;
use super::renewal::Staff;
use super::vendor::{self, FILE, Vendor, import, state};

/// Stands in policy, so that the server has it in its memory and on its disk.
const PLANTED: &str = "planted-9f2c41d7e6b83a50";

#[test]
fn r4_no_private_key_is_on_the_servers_disks_or_in_its_memory() -> Result<()> {
    for flavor in ["modern", "legacy"] {
        let (mut world, sink) = portal::with_mail()?;
        let identity = world.path("key.txt").display().to_string();
        run_well(Path::new("age-keygen"), ["-o", &identity])?;
        fs::create_dir(world.path("nas"))?;
        world.apply(&policy(&world.path("nas"), &run_well(Path::new("age-keygen"), ["-y", &identity])?, flavor))?;
        let mut keys = vendors_file(&world, &identity)?;
        keys.push(from_the_portal(&world, &sink)?);
        let search = Search::of(&keys, &identity)?;
        finds_what_is_there(&mut world, &search)?;
        let found = everywhere(&mut world, &search)?;
        ensure!(found.is_empty(), "{flavor}: {found:#?}");
    }
    Ok(())
}

fn policy(nas: &Path, recipient: &str, flavor: &str) -> String {
    let target = format!(
        "apiVersion: tegata.dev/v1alpha1
kind: BackupTarget
metadata: {{ name: nas }}
spec: {{ directory: {{ path: {} }}, recipients: [{}], retention: 5y }}
---
apiVersion: tegata.dev/v1alpha1
kind: Issuer
metadata: {{ name: own-ca }}
spec:
  type: ca
  commonName: Canary CA
  portal: {{ validity: 3y, organization: u00000126, flavor: {flavor} }}
---
apiVersion: tegata.dev/v1alpha1
kind: CertificateProfile
metadata: {{ name: karte }}
spec:
  issuer: own-ca
  key: {{ origin: device, algorithm: ecdsa-p256 }}
  validity: 90d
  renewal: {{ window: 30d, when: early }}
  install: {{ stores: [file] }}
---
apiVersion: tegata.dev/v1alpha1
kind: ClinicNetwork
metadata: {{ name: sakura-naika }}
spec:
  displayName: {PLANTED}
  facilitySlug: sakuraportal
  institutionNumber: \"1312345678\"
  portal: {{ issuer: own-ca }}
  accounts: [{{ name: tanaka, mail: tanaka@example.jp }}]
---
",
        nas.display(),
        recipient.trim()
    );
    let clinic = vendor::POLICY.replace("[{ profile: weborca }]", "[{ profile: weborca }, { profile: karte }]");
    format!("{target}{clinic}  backup: {{ targets: [nas] }}\n")
}

/// A key in PKCS#8, DER, and what people call it.
type Key = (String, Vec<u8>);

/// A file is imported, installed, backed up and restored, and the state is backed up; beside it a key is made on the device.
fn vendors_file(world: &World, identity: &str) -> Result<Vec<Key>> {
    let mut agent = world.enroll("sakura/uketsuke-1", &["--keystore", "file"])?;
    agent.start()?;
    wait_for(PATIENCE, "somebody to be asked for the file", || Ok(state(world)?.filter(|state| state == "ordered").map(drop)))?;
    let vendor = Vendor::new(&world.path("vendor"))?;
    let file = vendor.file(FILE, "/CN=client1210/O=u00000126", "秘密")?;
    let imported = import(world, &file, "秘密")?;
    ensure!(imported.status.success(), "{imported:?}");
    wait_for(PATIENCE, "both certificates to be installed", || Ok((agent.stored_keys()?.len() == 2).then_some(())))?;
    let is_backed_up = || Ok(fs::read_dir(world.path("nas/aozora/sakura")).is_ok_and(|files| files.count() == 2).then_some(()));
    wait_for(PATIENCE, "the file to be backed up", is_backed_up)?;
    let [out, from, to] = ["restored", "server", "state-backup"].map(|name| world.path(name).display().to_string());
    let slot = "sakura/uketsuke-1/weborca";
    world.cli_well(["backup", "restore", "--slot", slot, "--identity", identity, "--target", "nas", "--out", &out])?;
    world.cli_well(["state", "backup", "--state", &from, "--out", &to])?;
    let vendors = pkcs8(&world.path("vendor/client.key"))?;
    keys_of(&agent, vendors)
}

fn keys_of(agent: &Agent, vendors: Vec<u8>) -> Result<Vec<Key>> {
    let mut keys = vec![("identity".to_owned(), fs::read(agent.state().join("identity.key"))?), ("vendor".to_owned(), vendors.clone())];
    for pem in agent.stored_keys()? {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes())?.secret_pkcs8_der().to_vec();
        if der != vendors {
            keys.push(("device".to_owned(), der));
        }
    }
    ensure!(keys.len() == 3, "the vendor's key, the device's own and its identity: {}", keys.len());
    Ok(keys)
}

/// What the portal makes is looked for once it has answered.
fn from_the_portal(world: &World, sink: &Sink) -> Result<Key> {
    let (file, password) = Staff::sign_in(world, sink)?.first_certificate()?;
    let (file, pem) = (file.display().to_string(), world.path("portal.pem"));
    let pass = format!("pass:{password}");
    run_well(
        Path::new("openssl"),
        ["pkcs12", "-in", &file, "-passin", &pass, "-nodes", "-nocerts", "-legacy", "-out", &pem.display().to_string()],
    )?;
    Ok(("portal".to_owned(), pkcs8(&pem)?))
}

fn pkcs8(pem: &Path) -> Result<Vec<u8>> {
    let (from, to) = (pem.display().to_string(), pem.with_extension("der"));
    run_well(Path::new("openssl"), ["pkcs8", "-topk8", "-nocrypt", "-in", &from, "-outform", "DER", "-out", &to.display().to_string()])?;
    Ok(fs::read(to)?)
}

/// What is looked for: each key in every form, by name.
struct Search {
    needles: Vec<(String, Vec<u8>)>,
    /// True for each pair of bytes that a needle begins with.
    begins: Vec<bool>,
}

impl Search {
    fn of(keys: &[Key], identity: &str) -> Result<Self> {
        let mut needles = vec![(PLANTED.to_owned(), PLANTED.as_bytes().to_vec())];
        for (name, pkcs8) in keys {
            needles.extend(forms(pkcs8)?.into_iter().map(|(form, bytes)| (format!("{name} as {form}"), bytes)));
        }
        let text = fs::read_to_string(identity)?;
        let secret = text.lines().find(|line| line.starts_with("AGE-SECRET-KEY-1")).context("an identity")?;
        needles.push(("age identity".to_owned(), secret.as_bytes().to_vec()));
        let mut begins = vec![false; 1 << 16];
        for (_, bytes) in &needles {
            begins[usize::from(u16::from_be_bytes([bytes[0], bytes[1]]))] = true;
        }
        Ok(Self { needles, begins })
    }

    fn longest(&self) -> usize {
        self.needles.iter().map(|(_, bytes)| bytes.len()).max().unwrap_or_default()
    }

    fn look(&self, place: &str, bytes: &[u8], found: &mut BTreeSet<String>) {
        for (at, pair) in bytes.windows(2).enumerate() {
            if self.begins[usize::from(u16::from_be_bytes([pair[0], pair[1]]))] {
                let here = self.needles.iter().filter(|(_, needle)| bytes[at..].starts_with(needle));
                found.extend(here.map(|(name, _)| format!("{name} in {place}")));
            }
        }
    }

    fn look_into(&self, path: &Path, found: &mut BTreeSet<String>) -> Result<()> {
        if path.is_dir() {
            return fs::read_dir(path)?.try_for_each(|entry| self.look_into(&entry?.path(), found));
        }
        // What SQLite makes and removes may be gone by now.
        if let Ok(bytes) = fs::read(path) {
            self.look(&path.display().to_string(), &bytes, found);
        }
        Ok(())
    }
}

/// DER with and without its envelope, PEM of both, and the numbers themselves, as they are written and as processors keep them.
fn forms(pkcs8: &[u8]) -> Result<Vec<(String, Vec<u8>)>> {
    let [_, _, inner, ..] = &parts(pkcs8)?[..] else { anyhow::bail!("not PKCS#8") };
    let numbers = parts(inner)?;
    // RFC 8017, appendix A.1.2: version, n, e, d, p, q, …; RFC 5915, section 3: version, d, …
    let secret: &[(&str, usize)] = if numbers.len() > 6 { &[("d", 3), ("p", 4), ("q", 5)] } else { &[("d", 1)] };
    let mut forms = vec![("PKCS#8".to_owned(), pkcs8.to_vec()), ("its inner key".to_owned(), inner.clone())];
    for (name, der) in [("PEM", pkcs8), ("inner PEM", inner)] {
        let text = BASE64.encode(der);
        // Not the first line, which is alike for all; the second holds a part of the secret, or of the modulus before it.
        let line = if numbers.len() > 6 { 12 } else { 1 };
        let lines: Vec<&[u8]> = text.as_bytes().chunks(64).collect();
        forms.push((format!("a line of {name}"), lines[line].to_vec()));
    }
    for (name, place) in secret {
        let number: Vec<u8> = numbers[*place].iter().copied().skip_while(|byte| *byte == 0).collect();
        forms.push((format!("{name} backwards"), number.iter().rev().copied().collect()));
        forms.push(((*name).to_owned(), number));
    }
    Ok(forms)
}

/// The contents of each part of a DER sequence.
fn parts(der: &[u8]) -> Result<Vec<Vec<u8>>> {
    let (mut rest, _) = content(der).context("a sequence")?;
    let mut parts = Vec::new();
    while let Some((part, after)) = content(rest) {
        parts.push(part.to_vec());
        rest = after;
    }
    Ok(parts)
}

fn content(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (first, mut rest) = der.get(1..)?.split_first()?;
    let mut length = usize::from(*first);
    if length > 0x80 {
        let (long, after) = rest.split_at_checked(length - 0x80)?;
        (length, rest) = (long.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), after);
    }
    rest.split_at_checked(length)
}

/// The search is worth nothing unless it finds.
fn finds_what_is_there(world: &mut World, search: &Search) -> Result<()> {
    let planted = world.path("nas/planted");
    fs::write(&planted, search.needles.iter().flat_map(|(_, bytes)| [bytes.as_slice(), b"\n"].concat()).collect::<Vec<_>>())?;
    let found = look(world, search)?;
    fs::remove_file(&planted)?;
    for (name, _) in &search.needles {
        let place = planted.display();
        ensure!(found.contains(&format!("{name} in {place}")), "not found although it was there: {name}");
    }
    for place in ["server/tegata.db", "memory"] {
        ensure!(found.iter().any(|one| one.starts_with(PLANTED) && one.contains(place)), "{PLANTED} is not found in {place}: {found:#?}");
    }
    Ok(())
}

/// What is found and should not be.
fn everywhere(world: &mut World, search: &Search) -> Result<Vec<String>> {
    Ok(look(world, search)?.into_iter().filter(|one| !one.starts_with(PLANTED)).collect())
}

fn look(world: &mut World, search: &Search) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for name in ["server", "nas", "state-backup", "server.log"] {
        search.look_into(&world.path(name), &mut found)?;
    }
    let process = PathBuf::from(format!("/proc/{}", world.server().id()));
    for entry in fs::read_dir(process.join("fd"))? {
        let path = entry?.path();
        // Files that have no name any more, too. Sockets and the like cannot be read to their end.
        if fs::metadata(&path).is_ok_and(|kind| kind.is_file()) {
            search.look_into(&path, &mut found)?;
        }
    }
    let read = in_memory(&process, search, &mut found)?;
    ensure!(read > 16 << 20, "only {read} bytes of memory could be read");
    Ok(found)
}

/// Every map that can be read, in pieces that overlap. Gives how many bytes that were.
fn in_memory(process: &Path, search: &Search, found: &mut BTreeSet<String>) -> Result<u64> {
    const PIECE: usize = 4 << 20;
    let (maps, mut memory) = (fs::read_to_string(process.join("maps"))?, File::open(process.join("mem"))?);
    let (mut read, mut buffer) = (0, vec![0; PIECE + search.longest()]);
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (Some(range), Some(rights), name) = (words.next(), words.next(), words.nth(3)) else { continue };
        if !rights.starts_with('r') || name.is_some_and(|name| name.starts_with("[v")) {
            continue;
        }
        let (start, end) = range.split_once('-').context("a range")?;
        let (mut at, end) = (u64::from_str_radix(start, 16)?, u64::from_str_radix(end, 16)?);
        while at < end {
            let wanted = buffer.len().min(usize::try_from(end - at)?);
            memory.seek(SeekFrom::Start(at))?;
            // A map may be gone, or reach past the end of its file.
            let Ok(got) = memory.read(&mut buffer[..wanted]) else { break };
            if got == 0 {
                break;
            }
            search.look(&format!("memory {}", name.unwrap_or("anonymous")), &buffer[..got], found);
            read += got as u64;
            at += u64::try_from(got.min(PIECE))?;
        }
    }
    Ok(read)
}
