//! For Macs: the program, what installs it for everybody by device management, and what to do. Not signed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{VERSION, material, place};
use crate::run;

/// `mach_header_64` in little-endian bytes, or a universal program's `fat_header`.
const MAGIC: [[u8; 4]; 2] = [[0xcf, 0xfa, 0xed, 0xfe], [0xca, 0xfe, 0xba, 0xbe]];

/// Makes the folder and an archive of it; gives the archive.
pub(super) fn pack(program: &Path, out: &Path) -> Result<PathBuf> {
    let head = std::fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    if !MAGIC.iter().any(|magic| head.starts_with(magic)) {
        bail!("{} is not a program for macOS; name one with --program", program.display());
    }
    let name = format!("tegata-agent-{VERSION}-macos");
    let folder = out.join(&name);
    let _ = std::fs::remove_dir_all(&folder);
    place(program, &folder.join("tegata-agent"), 0o755)?;
    for file in ["dev.tegata.agent.plist", "README.txt"] {
        place(&material("macos").join(file), &folder.join(file), 0o644)?;
    }
    let archive = out.join(format!("{name}.tar.gz"));
    let mut command = Command::new("tar");
    command.args(["--owner=0", "--group=0", "--numeric-owner", "-czf"]).arg(&archive).arg("-C").arg(out).arg(&name);
    run::output(&mut command)?;
    Ok(archive)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_archive_holds_the_program_and_what_to_do_with_it() {
        let out = std::env::temp_dir().join(format!("tegata-macos-{}", std::process::id()));
        std::fs::create_dir_all(&out).unwrap();
        let program = out.join("program");
        std::fs::write(&program, [&MAGIC[0][..], b"..."].concat()).unwrap();
        let archive = pack(&program, &out).unwrap();
        let listed = run::output(Command::new("tar").arg("-tvzf").arg(&archive)).unwrap();
        let short: Vec<_> =
            listed.lines().map(|line| (&line[..10], line.rsplit_once('/').unwrap().1)).filter(|(_, name)| !name.is_empty()).collect();
        std::fs::write(&program, "\x7fELF").unwrap();
        let refused = pack(&program, &out).unwrap_err().to_string();
        std::fs::remove_dir_all(&out).unwrap();
        for expected in [("-rwxr-xr-x", "tegata-agent"), ("-rw-r--r--", "dev.tegata.agent.plist"), ("-rw-r--r--", "README.txt")] {
            assert!(short.contains(&expected), "{listed}");
        }
        assert_eq!(short.len(), 3, "{listed}");
        assert!(refused.contains("is not a program for macOS"), "{refused}");
    }
}
