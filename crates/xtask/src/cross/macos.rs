//! The agent for macOS, as far as it can be built without a Mac: it links, and nothing here can run it.
//!
//! Zig is the C compiler and the linker: it brings what belongs to the system itself. Of Apple's frameworks, which it does not bring, only
//! the names are needed; the crates that use them declare which.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use syn::{ForeignItem, Item};

use super::{cargo, folder};
use crate::{run, venv, workspace};

const TARGET: &str = "aarch64-apple-darwin";
/// The first macOS for Apple silicon.
const OLDEST: [u32; 2] = [11, 0];
/// PyPI packages.
const TOOLS: [&str; 2] = ["ziglang==0.17.1", "cargo-zigbuild==0.24.0"];
/// Crates that declare what is in a framework, and its name.
const FRAMEWORKS: [(&str, &str); 2] = [("core-foundation-sys", "CoreFoundation"), ("security-framework-sys", "Security")];

/// Builds `tegata-agent`, and looks whether it is what macOS loads.
pub fn build() -> Result<PathBuf> {
    let (tools, frameworks) = (tools()?, frameworks()?);
    let mut path = tools.into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut command = cargo(TARGET, &["zigbuild", "--quiet", "--package", "tegata-agent"])?;
    command.env("PATH", path).env("MACOSX_DEPLOYMENT_TARGET", OLDEST.map(|part| part.to_string()).join("."));
    command.env("CARGO_TARGET_AARCH64_APPLE_DARWIN_RUSTFLAGS", format!("-Clink-arg=-F{}", frameworks.display()));
    run::check(&mut command)?;
    let built = workspace::target_folder()?.join(TARGET).join("debug/tegata-agent");
    let bytes = fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
    let oldest = oldest(&bytes).with_context(|| format!("{} is no program for Apple silicon", built.display()))?;
    ensure!(oldest == OLDEST, "{} is for macOS {}.{} and later, not for {OLDEST:?}", built.display(), oldest[0], oldest[1]);
    println!("{} MB, for macOS {}.{} and later on arm64", bytes.len() / 1_000_000, oldest[0], oldest[1]);
    Ok(built)
}

/// Zig and its cargo command, in a folder of their own: what it is, if it is there already.
fn tools() -> Result<PathBuf> {
    venv::provide(&folder()?.join("zig"), &TOOLS)
}

/// Writes what the linker has to know of each framework, and gives the folder.
fn frameworks() -> Result<PathBuf> {
    let all = folder()?.join("frameworks");
    let metadata = workspace::metadata()?;
    for (package, name) in FRAMEWORKS {
        let folder = all.join(format!("{name}.framework"));
        fs::create_dir_all(&folder)?;
        let text = stub(name, &declared(&source_of(&metadata, package)?)?);
        let file = folder.join(format!("{name}.tbd"));
        // Left alone if it is the same: nothing has to be linked anew.
        if fs::read_to_string(&file).ok().as_ref() != Some(&text) {
            fs::write(file, text)?;
        }
    }
    Ok(all)
}

fn source_of(metadata: &Value, package: &str) -> Result<PathBuf> {
    let mut packages = metadata["packages"].as_array().into_iter().flatten();
    let found = packages.find(|one| one["name"] == package).and_then(|one| one["manifest_path"].as_str());
    Ok(Path::new(found.with_context(|| format!("{package} is not in the graph"))?).with_file_name("src"))
}

/// Every function and variable that the crate says is elsewhere.
fn declared(source: &Path) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(source)? {
        let path = entry?.path();
        if path.extension().is_some_and(|kind| kind == "rs") {
            names.extend(declared_in(&fs::read_to_string(&path)?).with_context(|| path.display().to_string())?);
        }
    }
    Ok(names)
}

fn declared_in(source: &str) -> Result<Vec<String>> {
    let foreign = |item| if let Item::ForeignMod(block) = item { block.items } else { vec![] };
    let name = |item| match item {
        ForeignItem::Fn(function) => Some(function.sig.ident.to_string()),
        ForeignItem::Static(variable) => Some(variable.ident.to_string()),
        _ => None,
    };
    Ok(syn::parse_file(source)?.items.into_iter().flat_map(foreign).filter_map(name).collect())
}

/// A library in text (tapi-tbd, version 4), as Apple's own kits have them.
fn stub(name: &str, symbols: &BTreeSet<String>) -> String {
    let symbols: Vec<String> = symbols.iter().map(|symbol| format!("_{symbol}")).collect();
    let (target, symbols) = ("targets: [ arm64-macos ]", symbols.join(", "));
    let place = format!("/System/Library/Frameworks/{name}.framework/Versions/A/{name}");
    format!("--- !tapi-tbd\ntbd-version: 4\n{target}\ninstall-name: '{place}'\nexports:\n  - {target}\n    symbols: [ {symbols} ]\n...\n")
}

/// The oldest macOS that loads this program (`mach-o/loader.h`: MH_EXECUTE for CPU_TYPE_ARM64, LC_BUILD_VERSION for PLATFORM_MACOS).
fn oldest(program: &[u8]) -> Option<[u32; 2]> {
    let word = |at: usize| Some(u32::from_le_bytes(program.get(at..at + 4)?.try_into().ok()?));
    if [word(0)?, word(4)?, word(12)?] != [0xfeed_facf, 0x0100_000c, 2] {
        return None;
    }
    let mut at = 32;
    for _ in 0..word(16)? {
        if [word(at)?, word(at + 8)?] == [0x32, 1] {
            let version = word(at + 12)?;
            return Some([version >> 16, version >> 8 & 0xff]);
        }
        at += word(at + 4)? as usize;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_framework_has_what_its_crate_declares() {
        let source = "pub type T = u8;\nextern \"C\" { pub fn SecA(x: T); pub static kSecB: T; pub type O; }\npub fn own() {}";
        let text = stub("Security", &declared_in(source).unwrap().into_iter().collect());
        assert!(text.contains("symbols: [ _SecA, _kSecB ]"), "{text}");
    }

    /// A header with two commands, the second of which says for which macOS it is.
    fn program(kind: u32, processor: u32) -> Vec<u8> {
        let header = [0xfeed_facf, processor, 0, kind, 2, 0, 0, 0];
        let commands = [0x19, 16, 0, 0, 0x32, 24, 1, 0x000b_0000, 0x000f_0000, 0];
        header.iter().chain(&commands).flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn a_program_says_for_which_macos_it_is() {
        assert_eq!(oldest(&program(2, 0x0100_000c)), Some([11, 0]));
        for other in [program(6, 0x0100_000c), program(2, 0x0100_0007), program(2, 0x0100_000c)[..60].to_vec(), b"\x7fELF".to_vec()] {
            assert_eq!(oldest(&other), None);
        }
    }
}
