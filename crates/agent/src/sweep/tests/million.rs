//! More files than can be looked at in one go: nothing is missed, nothing is looked at twice, and no more is kept than there is room for.

use super::super::SIZE_MAX;
use super::super::walk::Room;
use super::*;

/// Wine takes its time to make a file.
const FILES: usize = if cfg!(windows) { 2_000 } else { 20_000 };
/// How many names one look may cost.
const NAMES_MAX: u32 = 700;

const PACE: Pace = Pace { names_max: NAMES_MAX, bytes_max: 1024 * 1024, rest: Duration::ZERO };
const ALL: Pace = Pace { names_max: u32::MAX, bytes_max: u64::MAX, rest: Duration::ZERO };

impl Pc {
    fn looks(&mut self, word: &str, wanted: &BTreeSet<FileHash>, pace: Pace) -> Looked {
        look(&self.world.home(), &[word.to_owned()].into(), wanted, &mut self.memory, pace).unwrap()
    }

    fn found(&mut self, word: &str, wanted: &BTreeSet<FileHash>, pace: Pace) -> Vec<String> {
        self.looks(word, wanted, pace).found().iter().map(|found| found.seen().path).collect()
    }
}

/// Waits until a folder that was changed just now is believed to be what it seems.
fn settle() {
    let since = crate::wall_clock();
    while crate::wall_clock() - since <= 3 {
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn however_many_files_there_are_each_look_is_bounded_and_nothing_is_looked_at_twice() {
    let mut pc = Pc::new();
    let home = pc.world.home();
    // Half of them in one folder, the others in a hundred; what is looked for is here and there, the last of all too.
    let (half, each) = (FILES / 2, FILES / 200);
    pc.put("Work/large/z.dat", &bundle("the listed bundle"));
    let listed: BTreeSet<FileHash> = [pc.put("Work/042/z.dat", &bundle("the listed bundle"))].into();
    pc.put("Work/large/00500.p12", &bundle("somebody's own"));
    for number in 0..half {
        fs::write(home.join(format!("Work/large/{number:05}.txt")), "").unwrap();
    }
    for folder in 0..100 {
        fs::create_dir_all(home.join(format!("Work/{folder:03}"))).unwrap();
        (0..each).for_each(|number| fs::write(home.join(format!("Work/{folder:03}/{number:05}.txt")), "").unwrap());
    }
    settle();
    let (files, folders) = (2 * half + 3, 101);
    let (mut looks, mut names) = (0, 0);
    loop {
        let looked = pc.looks("~/Work/**", &listed, PACE);
        assert!(looked.names <= NAMES_MAX && looked.bytes <= PACE.bytes_max, "{} names, {} bytes", looked.names, looked.bytes);
        (looks, names) = (looks + 1, names + looked.names as usize);
        if looked.is_whole() {
            assert_eq!(looked.found().len(), 3);
            break;
        }
    }
    assert_eq!((names, looks), (files + folders, (files + folders).div_ceil(NAMES_MAX as usize)));
    let second = pc.looks("~/Work/**", &listed, PACE);
    assert_eq!((second.names as usize, second.is_whole(), second.found().len()), (folders + 1, true, 3), "each folder is one name");
    pc.put("Work/007/new.p12", &bundle("somebody's own"));
    let third = pc.looks("~/Work/**", &listed, PACE);
    assert_eq!((third.names as usize, third.found().len()), (folders + each + 1, 4), "only what has changed is listed again");
    assert_eq!(pc.memory.remembered(), folders + 1);
}

#[test]
fn what_comes_while_a_folder_is_looked_at_piece_by_piece_is_found_in_the_next_round() {
    let mut pc = Pc::new();
    for number in 0..30 {
        pc.put(&format!("Downloads/{number:02}.txt"), b"a letter");
    }
    settle();
    assert!(!pc.looks("downloads", &BTreeSet::new(), Pace { names_max: 20, ..ALL }).is_whole());
    pc.put("Downloads/00.p12", &bundle("bundle"));
    settle();
    assert!(pc.found("downloads", &BTreeSet::new(), ALL).is_empty(), "that is behind this look");
    assert_eq!(pc.found("downloads", &BTreeSet::new(), ALL), ["~/Downloads/00.p12"]);
}

#[test]
fn what_is_looked_for_only_since_the_look_began_is_found_where_it_has_been_already() {
    let mut pc = Pc::new();
    let listed = pc.put("Downloads/00.dat", &bundle("the listed bundle"));
    for number in 0..30 {
        pc.put(&format!("Downloads/{number:02}.txt"), b"a letter");
    }
    settle();
    assert!(!pc.looks("downloads", &BTreeSet::new(), Pace { names_max: 20, ..ALL }).is_whole());
    let wanted = [listed].into();
    let looked = (0..9).map(|_| pc.looks("downloads", &wanted, Pace { names_max: 20, ..ALL })).find(Looked::is_whole).unwrap();
    assert_eq!(looked.found().len(), 1);
}

#[test]
fn a_round_comes_to_its_end_however_long_it_takes() {
    let mut pc = Pc::new();
    pc.memory.room = Room { believed: Duration::ZERO, ..pc.memory.room };
    for number in 0..50 {
        pc.put(&format!("Work/{}/{number:02}.txt", number / 10), b"a letter");
    }
    let looks = (1..99).find(|_| pc.looks("~/Work/**", &BTreeSet::new(), Pace { names_max: 10, ..ALL }).is_whole());
    assert_eq!(looks, Some(6));
}

#[test]
fn how_much_is_read_in_one_look_is_bounded_too() {
    const SIZE: usize = 300_000;
    let mut pc = Pc::new();
    for number in 0..10 {
        pc.put(&format!("Downloads/{number}.p12"), &vec![0x30; SIZE]);
    }
    let (mut looks, mut read) = (0, 0);
    loop {
        let looked = pc.looks("downloads", &BTreeSet::new(), PACE);
        assert!(looked.bytes < PACE.bytes_max + SIZE as u64 && PACE.bytes_max + SIZE_MAX < u64::MAX);
        (looks, read) = (looks + 1, read + looked.bytes);
        if looked.is_whole() {
            break;
        }
    }
    assert_eq!((looks, read), (3, 10 * SIZE as u64), "four files a look");
}

#[test]
fn folders_that_come_and_go_are_forgotten() {
    let mut pc = Pc::new();
    for round in 0..5 {
        for number in 0..20 {
            pc.put(&format!("Work/{round} {number}/deeper/{number}.txt"), b"a letter");
        }
        assert!(pc.looks("~/Work/**", &BTreeSet::new(), ALL).is_whole());
        assert_eq!(pc.memory.remembered(), 41, "the folder itself, twenty in it, and one in each");
        for number in 0..20 {
            fs::remove_dir_all(pc.world.home().join(format!("Work/{round} {number}"))).unwrap();
        }
    }
    // Also where a folder is listed in pieces.
    for number in 0..20 {
        pc.put(&format!("Work/{number}/letter.txt"), b"a letter");
        pc.put(&format!("Work/{number}.txt"), b"a letter");
    }
    assert!(pc.looks("~/Work/**", &BTreeSet::new(), ALL).is_whole());
    assert_eq!(pc.memory.remembered(), 21);
    for number in 0..20 {
        fs::remove_dir_all(pc.world.home().join(format!("Work/{number}"))).unwrap();
    }
    while !pc.looks("~/Work/**", &BTreeSet::new(), Pace { names_max: 3, ..ALL }).is_whole() {}
    assert_eq!(pc.memory.remembered(), 1);
}

#[test]
fn where_there_is_no_room_for_more_folders_they_are_looked_at_all_the_same() {
    let mut pc = Pc::new();
    pc.memory.room = Room { folders: 10, ..pc.memory.room };
    for number in 0..50 {
        pc.put(&format!("Work/{number:02}/deeper/letter.txt"), b"a letter");
    }
    let listed = [pc.put("Work/49/deeper/z.dat", &bundle("the listed bundle"))].into();
    settle();
    for _ in 0..3 {
        let looked = pc.looks("~/Work/**", &listed, ALL);
        assert_eq!((looked.found().len(), looked.is_whole()), (1, true));
        assert!(pc.memory.remembered() <= 11, "one more, in which something was found: {}", pc.memory.remembered());
    }
    pc.put("Work/30/deeper/new.p12", &bundle("somebody's own"));
    assert_eq!(pc.looks("~/Work/**", &listed, ALL).found().len(), 2, "there is no word of it in what is remembered");
}

#[test]
fn of_more_files_than_can_be_told_it_is_told_that_there_are_more_and_what_is_looked_for_is_found_among_them() {
    let mut pc = Pc::new();
    pc.memory.room = Room { found: 5, ..pc.memory.room };
    for number in 0..20 {
        pc.put(&format!("Downloads/{number:02}.p12"), &bundle(&format!("somebody's {number:02}")));
    }
    let listed = [pc.put("Downloads/z.p12", &bundle("the listed bundle"))].into();
    settle();
    for _ in 0..2 {
        let looked = pc.looks("downloads", &listed, ALL);
        assert_eq!((looked.found().len(), &looked.left[..]), (6, &[PathBuf::from("Downloads")][..]));
        assert!(looked.found().iter().any(|found| found.name == "z.p12"));
    }
    for number in 0..16 {
        fs::remove_file(pc.world.home().join(format!("Downloads/{number:02}.p12"))).unwrap();
    }
    let whole = (0..2).map(|_| pc.looks("downloads", &listed, ALL)).find(Looked::is_whole).unwrap();
    assert_eq!(whole.found().len(), 5, "and the others once there is room");
}
