//! Files that nobody has put on record, moved out of the way and back.

use super::inside::Vendor;
use super::*;
use crate::quarantine::{RestoreError, Stage};

impl Pc {
    /// A file with a private key that the server wants out of the way.
    fn unwelcome(&mut self, path: &str) -> FileHash {
        let file = self.put(path, &Vendor::new().file("secret").0);
        self.unwelcome.insert(file.clone());
        file
    }

    fn kept(&self) -> Vec<Kept> {
        Quarantine::look(&self.world.state).unwrap()
    }

    fn restore(&self, id: &str) -> Result<Kept, RestoreError> {
        Quarantine::open(&self.world.state).unwrap().restore(&self.world.home(), id)
    }

    /// Paths of what is told, and whether it was moved.
    fn told(&mut self, listed: &[&FileHash]) -> Vec<(String, bool)> {
        self.sweep(listed).left.into_iter().map(|seen| (seen.path, seen.quarantined)).collect()
    }
}

fn quarantined(path: &str, file: &FileHash) -> Deed {
    Deed::InstallerQuarantined { path: path.into(), file: file.clone(), generation: 7 }
}

#[test]
fn what_nobody_has_put_on_record_is_moved_once_with_a_receipt_and_nothing_is_lost() {
    let mut pc = Pc::new();
    let file = pc.unwelcome("Downloads/a.p12");
    let contents = fs::read(pc.world.home().join("Downloads/a.p12")).unwrap();
    for _ in 0..3 {
        assert_eq!(pc.told(&[]), [("~/Downloads/a.p12".into(), true)]);
    }
    assert!(!pc.has("Downloads/a.p12"));
    assert_eq!(pc.said(), [quarantined("~/Downloads/a.p12", &file)]);
    let [kept] = <[Kept; 1]>::try_from(pc.kept()).unwrap();
    assert_eq!((&kept.file, &*kept.name, kept.stage), (&file, "a.p12", Stage::Here));
    let there = pc.world.state.quarantine().join(&kept.id);
    assert_eq!(fs::read(&there).unwrap(), contents);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(pc.world.state.quarantine()).unwrap().permissions().mode() & 0o777, 0o700);
    }
    assert!(pc.sweep(&[]).left[0].inside.as_ref().is_some_and(|inside| inside.keys == 1), "what was seen in it is told on");
}

#[test]
fn what_holds_no_private_key_stays_and_so_does_what_is_at_work() {
    let mut pc = Pc::new();
    let keyless = pc.put("Downloads/b.p12", &bundle("no key to be seen"));
    let at_work = pc.put(".monsiaj/certificates/1.p12", &Vendor::new().file("").0);
    pc.unwelcome.extend([keyless, at_work]);
    let swept = pc.sweep_in(&["downloads", "~/.monsiaj/certificates"], &[], Pace::default());
    assert_eq!((swept.left.len(), pc.kept().len()), (2, 0));
    assert!(pc.has("Downloads/b.p12") && pc.has(".monsiaj/certificates/1.p12") && !pc.receipts.is_waiting());
}

#[test]
fn what_somebody_puts_back_lies_where_it_lay_and_is_never_moved_again() {
    let mut pc = Pc::new();
    let file = pc.unwelcome("Downloads/鍵.p12");
    let contents = fs::read(pc.world.home().join("Downloads/鍵.p12")).unwrap();
    pc.told(&[]);
    let id = pc.kept()[0].id.clone();
    assert!(matches!(pc.restore("nothing"), Err(RestoreError::Unknown(_))));
    assert_eq!(pc.restore(&id).unwrap().path, "~/Downloads/鍵.p12");
    assert_eq!(fs::read(pc.world.home().join("Downloads/鍵.p12")).unwrap(), contents);
    assert!(crate::quarantine::has_news(&pc.world.state));
    for _ in 0..2 {
        assert_eq!(pc.told(&[]), [("~/Downloads/鍵.p12".into(), false)], "whatever the server wants");
    }
    assert!(!crate::quarantine::has_news(&pc.world.state));
    let restored = Deed::InstallerRestored { path: "~/Downloads/鍵.p12".into(), file: file.clone() };
    assert_eq!(pc.said(), [quarantined("~/Downloads/鍵.p12", &file), restored]);
    assert!(matches!(pc.restore(&id), Err(RestoreError::Unknown(_))), "once");
}

#[test]
fn nothing_is_put_back_over_another_file_or_where_there_is_no_folder() {
    let mut pc = Pc::new();
    pc.unwelcome("Downloads/a.p12");
    pc.told(&[]);
    let id = pc.kept()[0].id.clone();
    fs::write(pc.world.home().join("Downloads/a.p12"), "another").unwrap();
    assert!(matches!(pc.restore(&id), Err(RestoreError::Taken(path)) if path == "~/Downloads/a.p12"));
    assert_eq!(fs::read(pc.world.home().join("Downloads/a.p12")).unwrap(), b"another");
    fs::remove_dir_all(pc.world.home().join("Downloads")).unwrap();
    assert!(matches!(pc.restore(&id), Err(RestoreError::Place { .. })));
    assert_eq!(pc.kept()[0].stage, Stage::Here);
    #[cfg(unix)]
    {
        let elsewhere = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), pc.world.home().join("Downloads")).unwrap();
        assert!(matches!(pc.restore(&id), Err(RestoreError::Place { .. })), "a link is not followed");
        assert!(fs::read_dir(elsewhere.path()).unwrap().next().is_none());
        fs::remove_file(pc.world.home().join("Downloads")).unwrap();
    }
    fs::create_dir(pc.world.home().join("Downloads")).unwrap();
    pc.restore(&id).unwrap();
    assert!(pc.has("Downloads/a.p12"));
}

#[test]
fn what_is_put_on_record_meanwhile_goes_for_good() {
    let mut pc = Pc::new();
    let file = pc.unwelcome("Downloads/a.p12");
    pc.told(&[]);
    pc.unwelcome.clear();
    assert!(pc.told(&[&file]).is_empty());
    assert!(pc.kept().is_empty());
    assert!(fs::read_dir(pc.world.state.quarantine()).unwrap().next().is_none());
    let removed = Deed::InstallerRemoved { path: "~/Downloads/a.p12".into(), file: file.clone(), generation: 7 };
    assert_eq!(pc.said(), [quarantined("~/Downloads/a.p12", &file), removed]);
}

#[test]
fn f1_the_local_limit_counts_what_is_moved_too() {
    let mut pc = Pc::new();
    let listed: Vec<FileHash> = (0..6).map(|n| pc.put(&format!("Downloads/{n}.p12"), &bundle(&format!("bundle {n}")))).collect();
    for n in 0..6 {
        pc.unwelcome(&format!("Documents/{n}.p12"));
    }
    let swept = pc.sweep(&listed.iter().collect::<Vec<_>>());
    assert!(swept.limited);
    let moved = swept.left.iter().filter(|seen| seen.quarantined).count();
    assert_eq!((moved, swept.left.len(), pc.receipts.waiting()), (6, 8, 10));
}

/// Leaves behind what an agent leaves that was cut off after this: the intent alone, the file aside, the file in the quarantine.
fn cut_short(pc: &mut Pc, after: &str) -> FileHash {
    let file = pc.unwelcome("Downloads/a.p12");
    let (from, aside) = (pc.world.home().join("Downloads/a.p12"), ".tegata-removing-0.p12");
    let seen = InstallerSeen { path: "~/Downloads/a.p12".into(), file: file.clone(), inside: None, quarantined: false };
    let shelf = Shelf { id: "0123abcd".into(), name: "a.p12".into() };
    let aside_known = (after == "aside" || after == "kept").then(|| aside.to_owned());
    let intent = Intent { seen, folder: "Downloads".into(), aside: aside_known, generation: 7, to: Some(shelf) };
    disk::write_json(&pc.world.state.sweeping(), &intent).unwrap();
    match after {
        "intent" => {}
        "moved" | "aside" => fs::rename(&from, from.with_file_name(aside)).unwrap(),
        "kept" => fs::rename(&from, pc.world.state.quarantine().join("0123abcd")).unwrap(),
        other => panic!("{other}"),
    }
    file
}

#[test]
fn a_move_that_was_cut_short_is_finished_under_its_old_name_and_receipted_once() {
    for after in ["intent", "moved", "aside", "kept"] {
        let mut pc = Pc::new();
        let file = cut_short(&mut pc, after);
        for _ in 0..2 {
            assert_eq!(pc.told(&[]), [("~/Downloads/a.p12".into(), true)], "cut after {after}");
        }
        assert_eq!(pc.said(), [quarantined("~/Downloads/a.p12", &file)], "cut after {after}");
        assert!(disk::read(&pc.world.state.sweeping()).unwrap().is_none());
        let id = pc.kept()[0].id.clone();
        pc.restore(&id).unwrap();
        assert!(pc.has("Downloads/a.p12"), "cut after {after}");
    }
}

#[test]
fn a_file_that_the_user_took_away_before_it_was_moved_is_not_claimed() {
    let mut pc = Pc::new();
    cut_short(&mut pc, "aside");
    fs::remove_file(pc.world.home().join("Downloads/.tegata-removing-0.p12")).unwrap();
    assert!(pc.told(&[]).is_empty());
    assert!(!pc.receipts.is_waiting() && pc.kept().is_empty());
}

#[test]
fn putting_back_that_was_cut_short_is_settled_by_where_the_file_is() {
    for has_arrived in [false, true] {
        let mut pc = Pc::new();
        pc.unwelcome("Downloads/a.p12");
        pc.told(&[]);
        let id = pc.kept()[0].id.clone();
        Quarantine::open(&pc.world.state).unwrap().set(&id, Stage::Restoring).unwrap();
        if has_arrived {
            fs::rename(pc.world.state.quarantine().join(&id), pc.world.home().join("Downloads/a.p12")).unwrap();
        }
        assert_eq!(pc.told(&[]), [("~/Downloads/a.p12".into(), !has_arrived)]);
        assert_eq!(pc.receipts.waiting(), if has_arrived { 2 } else { 1 });
    }
}

#[cfg(target_os = "linux")]
#[test]
fn f8_links_and_second_names_are_not_moved() {
    use std::os::unix::fs::symlink;
    let mut pc = Pc::new();
    let (home, contents) = (pc.world.home(), Vendor::new().file("secret").0);
    for (number, path) in ["elsewhere/a.p12", "b.p12"].into_iter().enumerate() {
        pc.put(path, &contents);
        let link = home.join(format!("Downloads/{number}.p12"));
        if number == 0 { symlink(home.join(path), link).unwrap() } else { fs::hard_link(home.join(path), link).unwrap() }
    }
    pc.unwelcome.insert(FileHash { sha256: tegata_pki::key::sha256(&contents).to_string(), size: contents.len() as u64 });
    symlink(home.join("elsewhere"), home.join("Desktop")).unwrap();
    assert!(pc.told(&[]).is_empty());
    assert!(pc.has("elsewhere/a.p12") && pc.has("b.p12") && pc.kept().is_empty());
}

/// What lies on another drive cannot be moved in one step, so it is not moved at all.
#[cfg(target_os = "linux")]
#[test]
fn what_lies_on_another_drive_keeps_its_place_and_its_name() {
    use std::os::unix::fs::MetadataExt;
    let mut pc = Pc::new();
    let Ok(other) = tempfile::tempdir_in("/dev/shm") else { return eprintln!("SKIPPED: there is no second drive") };
    if fs::metadata(other.path()).unwrap().dev() == fs::metadata(pc.world.state.root()).unwrap().dev() {
        return eprintln!("SKIPPED: there is no second drive");
    }
    let contents = Vendor::new().file("secret").0;
    fs::write(other.path().join("a.p12"), &contents).unwrap();
    let file = FileHash { sha256: tegata_pki::key::sha256(&contents).to_string(), size: contents.len() as u64 };
    let found = Found { folder: other.path().into(), name: "a.p12".into(), file, inside: None };
    let aside = os::set_aside(&pc.world.home(), &found).unwrap();
    let quarantine = Quarantine::open(&pc.world.state).unwrap();
    assert!(aside.keep(quarantine.folder(), "id").is_err());
    drop(quarantine);
    assert_eq!(fs::read(other.path().join("a.p12")).unwrap(), contents);
    assert!(pc.told(&[]).is_empty() && pc.kept().is_empty());
}
