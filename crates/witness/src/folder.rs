//! The witness's folder: its key, and a small file for each log with the checkpoint that it has cosigned last.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::{BASE64, HEXLOWER};
use tegata_tlog::checkpoint::Checkpoint;
use tegata_tlog::note::{Kind, Note, SignerKey};
use zeroize::Zeroizing;

use crate::WitnessError;

/// The folder, for as long as this witness uses it.
pub(crate) struct Folder {
    path: PathBuf,
    lock: File,
}

impl Drop for Folder {
    /// A program that is being started has a copy of the handle until it runs, and closing ours alone would leave the lock with it.
    fn drop(&mut self) {
        let _ = self.lock.unlock();
    }
}

impl Folder {
    /// Takes a folder into use; makes it if it is not there.
    pub(crate) fn take(path: &Path) -> Result<Self, WitnessError> {
        make_private_folder(path).map_err(at(path))?;
        let lock_path = path.join("lock");
        let lock = private().create(true).truncate(false).write(true).open(&lock_path).map_err(at(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), lock }),
            Err(TryLockError::WouldBlock) => Err(WitnessError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(at(&lock_path)(source)),
        }
    }

    /// The witness's key; made if there is none yet. Its file has the name that it is known by, and the 32 secret bytes.
    pub(crate) fn key(&self, name: &str) -> Result<SignerKey, WitnessError> {
        let path = self.path.join("witness.key");
        let other = || WitnessError::OtherKey { path: path.clone(), name: name.to_owned() };
        let seed = match fs::read_to_string(&path).map(Zeroizing::new) {
            Ok(text) => {
                refuse_exposed(&path)?;
                let (known_by, seed) = text.trim_end().split_once('\n').ok_or_else(other)?;
                if known_by != name {
                    return Err(other());
                }
                Zeroizing::new(BASE64.decode(seed.as_bytes()).map_err(|_| other())?)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.make_key(name)?,
            Err(source) => return Err(at(&path)(source)),
        };
        let seed = Zeroizing::new(<[u8; 32]>::try_from(seed.as_slice()).map_err(|_| other())?);
        SignerKey::new(name, Kind::Witness, &seed).map_err(|_| WitnessError::Name(name.to_owned()))
    }

    fn make_key(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, WitnessError> {
        let mut seed = Zeroizing::new(vec![0; 32]);
        aws_lc_rs::rand::fill(&mut seed).map_err(|_| at(&self.path)(io::Error::other("the system gives no random numbers")))?;
        // Nothing is kept of a name that no key can have.
        let bytes = Zeroizing::new(<[u8; 32]>::try_from(seed.as_slice()).expect("it has 32 bytes"));
        SignerKey::new(name, Kind::Witness, &bytes).map_err(|_| WitnessError::Name(name.to_owned()))?;
        let text = Zeroizing::new(format!("{name}\n{}\n", BASE64.encode(&seed)));
        self.write("witness.key", text.as_bytes())?;
        Ok(seed)
    }

    /// The checkpoint of a log that was cosigned last.
    pub(crate) fn last(&self, origin: &str) -> Result<Option<Checkpoint>, WitnessError> {
        let path = self.path.join(file_of(origin));
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(at(&path)(source)),
        };
        let read = text.parse::<Note>().and_then(|note| note.text().parse::<Checkpoint>());
        read.map(Some).map_err(|source| WitnessError::Damaged { path, source })
    }

    /// Remembers a checkpoint, durably, before anybody is given a cosignature of it.
    pub(crate) fn keep(&self, origin: &str, note: &Note) -> Result<(), WitnessError> {
        self.write(&file_of(origin), note.to_string().as_bytes())
    }

    /// Keeps a checkpoint that the log's key has signed and that does not go on from what was cosigned: it may prove that the log shows
    /// two histories. The last one of each log.
    pub(crate) fn keep_refused(&self, origin: &str, note: &Note) -> Result<(), WitnessError> {
        self.write(&format!("{}.refused", file_of(origin)), note.to_string().as_bytes())
    }

    /// Replaces a file whole, durably, readable by its owner only.
    fn write(&self, name: &str, contents: &[u8]) -> Result<(), WitnessError> {
        let (new, path) = (self.path.join(format!("{name}.new")), self.path.join(name));
        let write = || {
            let mut file = private().create(true).truncate(true).write(true).open(&new)?;
            file.write_all(contents)?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            sync_folder(&self.path)
        };
        write().map_err(at(&path))
    }
}

/// The file of a log: its name as far as it can be one, and a hash that tells it from others.
fn file_of(origin: &str) -> String {
    let name: String = origin.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).take(100).collect();
    format!("{name}.{}.log", HEXLOWER.encode(&digest(&SHA256, origin.as_bytes()).as_ref()[..4]))
}

fn at(path: &Path) -> impl Fn(io::Error) -> WitnessError {
    let path = path.to_owned();
    move |source| WitnessError::Io { path: path.clone(), source }
}

fn private() -> OpenOptions {
    #[cfg_attr(not(unix), allow(unused_mut, reason = "there are no permission bits to set"))]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn make_private_folder(path: &Path) -> io::Result<()> {
    #[cfg_attr(not(unix), allow(unused_mut, reason = "there are no permission bits to set"))]
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)
}

#[cfg(unix)]
fn refuse_exposed(path: &Path) -> Result<(), WitnessError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path).map_err(at(path))?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(WitnessError::Exposed { path: path.to_owned(), mode }) }
}

#[cfg(not(unix))]
fn refuse_exposed(_: &Path) -> Result<(), WitnessError> {
    Ok(())
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
