//! Looks that are cut off, that are repeated, and that go deep.

use super::*;

const FAST: Pace = Pace { names_max: 20_000, bytes_max: u64::MAX, rest: Duration::ZERO };

fn paths(swept: &Swept) -> Vec<&str> {
    swept.left.iter().map(|seen| seen.path.as_str()).collect()
}

#[test]
fn a_look_that_is_cut_off_says_so_goes_on_and_forgets_nothing_meanwhile() {
    let mut pc = Pc::new();
    for number in 0..10 {
        pc.put(&format!("Work/{}/{number}.p12", number / 4), &bundle("bundle"));
        pc.put(&format!("Work/{}/{number}.txt", number / 4), b"a letter");
    }
    let (mut most, mut looks) = (0, 0);
    loop {
        let swept = pc.sweep_in(&["~/Work/**"], &[], Pace { names_max: 3, ..FAST });
        assert!(swept.left.len() >= most, "what was found once is told until it is gone");
        (most, looks) = (swept.left.len(), looks + 1);
        assert_eq!(swept.unread.is_empty(), looks % 8 == 0, "look {looks}: {:?}", swept.unread);
        if looks == 16 {
            break;
        }
    }
    assert_eq!(most, 10);
    fs::remove_file(pc.world.home().join("Work/0/0.p12")).unwrap();
    assert_eq!(pc.sweep_in(&["~/Work/**"], &[], Pace { names_max: 1, ..FAST }).left.len(), 9, "what is gone is gone at once");
}

#[test]
fn a_folder_without_end_is_looked_at_piece_by_piece() {
    let mut pc = Pc::new();
    for number in 0..1_000 {
        pc.put(&format!("Downloads/{number:04}.txt"), b"a letter");
    }
    let listed = pc.put("Downloads/zzz.dat", &bundle("the listed bundle"));
    let pace = Pace { names_max: 100, ..FAST };
    let looks = (1..).find(|_| pc.sweep_in(&["downloads"], &[&listed], pace).unread.is_empty()).unwrap();
    assert_eq!(looks, 11);
    assert!(!pc.has("Downloads/zzz.dat"));
}

#[test]
fn what_has_not_changed_is_not_listed_again_but_is_when_something_else_is_looked_for() {
    let mut pc = Pc::new();
    for number in 0..50 {
        pc.put(&format!("Downloads/{number}.txt"), b"a letter");
    }
    pc.put("Downloads/a.p12", &bundle("bundle"));
    let listed = pc.put("Downloads/renamed.dat", &bundle("the listed bundle"));
    let one = Pace { names_max: 1, ..FAST };
    std::thread::sleep(Duration::from_secs(4));
    assert!(pc.sweep_in(&["downloads"], &[], FAST).unread.is_empty());
    for _ in 0..2 {
        let swept = pc.sweep_in(&["downloads"], &[], one);
        assert_eq!((paths(&swept), swept.unread.len()), (vec!["~/Downloads/a.p12"], 0));
    }
    assert_eq!(pc.sweep_in(&["downloads"], &[&listed], one).unread.len(), 1);
    while !pc.sweep_in(&["downloads"], &[&listed], FAST).unread.is_empty() {}
    assert!(!pc.has("Downloads/renamed.dat"));
    pc.put("Downloads/b.p12", &bundle("bundle"));
    assert_eq!(pc.sweep_in(&["downloads"], &[&listed], FAST).left.len(), 2, "a folder that has changed is listed again");
}

#[test]
fn a_tombstone_is_told_under_whatever_name_and_is_not_removed_by_itself() {
    let mut pc = Pc::new();
    let buried = pc.put("Downloads/innocent.dat", &bundle("the listed bundle"));
    let (home, words) = (pc.world.home(), ["downloads".to_owned()].into());
    let looked = look(&home, &words, &[buried].into(), &mut pc.memory, FAST).unwrap();
    let swept = pc.clean(&home, looked, &BTreeSet::new());
    assert_eq!(paths(&swept), ["~/Downloads/innocent.dat"]);
    assert!(pc.has("Downloads/innocent.dat") && !pc.receipts.is_waiting());
}

#[test]
fn places_that_are_not_just_a_folder_are_looked_into_so_deep_and_no_deeper() {
    let mut pc = Pc::new();
    for path in ["OneDrive - Clinic/1/2/3/4/a.p12", "OneDrive - Clinic/1/2/3/4/5/b.p12", "Work/c.p12", "Work/deeper/d.p12"] {
        pc.put(path, &bundle("bundle"));
    }
    let swept = pc.sweep_in(&["cloud", "~/Work", "the moon"], &[], FAST);
    if cfg!(not(target_os = "macos")) {
        assert_eq!(paths(&swept), ["~/OneDrive - Clinic/1/2/3/4/a.p12", "~/Work/c.p12"]);
    }
    assert_eq!(swept.unread, [Path::new("the moon")], "a place that this agent does not know was not looked at");
    assert_eq!(paths(&pc.sweep_in(&["~/Work/**"], &[], FAST)), ["~/Work/c.p12", "~/Work/deeper/d.p12"]);
    let unhurried = Pace { names_max: 0, ..FAST };
    assert_eq!(
        paths(&pc.sweep_in(&["~/Work", "cloud"], &[], unhurried)),
        ["~/Work/c.p12"],
        "policy does not name what lies deeper any more"
    );
    assert!(pc.sweep_in(&[], &[], FAST).left.is_empty(), "places that policy names no more are forgotten");
}

#[cfg(unix)]
#[test]
fn what_lies_in_the_trash_and_on_a_drive_goes_too() {
    let mut pc = Pc::new();
    let listed = pc.put(".local/share/Trash/files/a.p12", &bundle("the listed bundle"));
    if cfg!(target_os = "linux") {
        assert!(pc.sweep_in(&["trash"], &[&listed], FAST).left.is_empty() && !pc.has(".local/share/Trash/files/a.p12"));
    }
    // As a drive is looked at: by its whole path.
    let drive = fs::canonicalize(pc.world.home()).unwrap().join("../stick");
    fs::create_dir(&drive).unwrap();
    let drive = fs::canonicalize(drive).unwrap();
    fs::create_dir(drive.join("keys")).unwrap();
    fs::write(drive.join("keys/a.p12"), bundle("the listed bundle")).unwrap();
    let place = places::Place { path: drive.clone(), depth: 1 };
    let home = pc.world.home();
    let drives =
        |memory: &mut Memory, wanted: &BTreeSet<FileHash>| memory.look(&home, [place.clone()].into(), wanted.clone(), FAST).unwrap();
    let wanted = [listed].into();
    let looked = drives(&mut pc.memory, &wanted);
    assert_eq!(looked.found[0].seen().path, drive.join("keys/a.p12").display().to_string());
    pc.clean(&home, looked, &wanted);
    assert!(!drive.join("keys/a.p12").exists());
    // Taken away: nothing lies there, and nothing is wrong.
    fs::remove_dir_all(&drive).unwrap();
    let looked = drives(&mut pc.memory, &wanted);
    assert!(looked.found.is_empty() && looked.unread.is_empty() && looked.left.is_empty());
}

#[test]
fn a_note_is_told_only_beside_an_installer_file_and_nobody_touches_it() {
    let mut pc = Pc::new();
    for path in ["Downloads/パスワード.txt", "Downloads/letter.txt", "Desktop/password.txt"] {
        pc.put(path, b"1234");
    }
    assert!(pc.sweep(&[]).suspects.is_empty());
    let listed = pc.put("Downloads/a.p12", &bundle("the listed bundle"));
    let told: Vec<_> = pc.sweep(&[]).suspects.into_iter().map(|suspect| (suspect.path, suspect.kind)).collect();
    assert_eq!(told, [("~/Downloads/パスワード.txt".to_owned(), SuspectKind::PasswordNote)]);
    pc.sweep(&[&listed]);
    assert!(pc.has("Downloads/パスワード.txt") && pc.sweep(&[]).suspects.is_empty());
}

#[cfg(unix)]
#[test]
fn a_password_of_monsiaj_that_others_may_read_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let mut pc = Pc::new();
    for (name, mode) in [("open.pass", 0o644), ("closed.pass", 0o600), ("open.p12", 0o644)] {
        pc.put(&format!(".monsiaj/certificates/{name}"), b"1234");
        let path = pc.world.home().join(".monsiaj/certificates").join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let told: Vec<_> = pc.sweep(&[]).suspects.into_iter().map(|suspect| (suspect.path, suspect.kind)).collect();
    assert_eq!(told, [("~/.monsiaj/certificates/open.pass".to_owned(), SuspectKind::OpenPassword)]);
}

/// As in `/tmp`: others have folders of their own there.
#[cfg(target_os = "linux")]
#[test]
fn in_a_folder_that_everybody_shares_what_others_have_is_nobodys_business() {
    use std::os::unix::fs::chown;
    let mut pc = Pc::new();
    let shared = fs::canonicalize(pc.world.home()).unwrap().with_file_name("shared");
    for folder in ["theirs", "ours"] {
        fs::create_dir_all(shared.join(folder)).unwrap();
        fs::write(shared.join(folder).join("a.p12"), bundle("bundle")).unwrap();
    }
    if chown(shared.join("theirs"), Some(12_345), None).is_err() {
        return;
    }
    let place = places::Place { path: shared.clone(), depth: 2 };
    let looked = pc.memory.look(&pc.world.home(), [place].into(), BTreeSet::new(), FAST).unwrap();
    assert_eq!(looked.found.iter().map(|found| found.folder.clone()).collect::<Vec<_>>(), [shared.join("ours")]);
    assert!(looked.unread.is_empty() && looked.left.is_empty());
}
