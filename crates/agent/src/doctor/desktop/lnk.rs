//! Reads shortcuts to programs ([MS-SHLLINK]): which program they start, and with which arguments. Nothing in them is followed, and whatever
//! a file says of lengths and places is only believed within it.

/// What every such file begins with: the size of its header, and the identifier of its kind (section 2.1).
const MAGIC: [u8; 20] = [0x4c, 0, 0, 0, 1, 0x14, 2, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0x46];
const HEADER: usize = 0x4c;

// LinkFlags (section 2.1.1).
const HAS_ID_LIST: u32 = 1;
const HAS_LINK_INFO: u32 = 1 << 1;
const HAS_RELATIVE_PATH: u32 = 1 << 3;
const HAS_ARGUMENTS: u32 = 1 << 5;
const IS_UNICODE: u32 = 1 << 7;
/// The texts of section 2.4 in their order, each there if its flag is set: a name, a path, a folder, the arguments.
const TEXTS: [u32; 4] = [1 << 2, HAS_RELATIVE_PATH, 1 << 4, HAS_ARGUMENTS];

/// The target is a local path (section 2.3, LinkInfoFlags).
const HAS_LOCAL_PATH: u32 = 1;
/// A target that is found by the environment, such as `%ProgramFiles%` (section 2.5.4): signature, and where its text in UTF-16 begins.
const ENVIRONMENT: u32 = 0xa000_0001;
const ENVIRONMENT_TEXT: usize = 8 + 260;

/// A shortcut to a program.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    /// The program, without its folder. Empty if the file names it only in the shell's own language (section 2.2).
    pub(super) program: String,
    /// What it is started with.
    pub(super) arguments: String,
}

/// Reads one; `None` if it is none, or damaged.
pub(super) fn read(bytes: &[u8]) -> Option<Link> {
    let mut rest = bytes.strip_prefix(&MAGIC).and_then(|_| bytes.get(HEADER..))?;
    let flags = u32_at(bytes, 20)?;
    let has = |flag: u32| flags & flag != 0;
    if has(HAS_ID_LIST) {
        rest = rest.get(2 + usize::from(u16_at(rest, 0)?)..)?;
    }
    let mut paths = Vec::new();
    if has(HAS_LINK_INFO) {
        let size = size_at(rest)?;
        paths.extend(local_path(rest.get(..size)?));
        rest = rest.get(size..)?;
    }
    let mut arguments = String::new();
    for text in TEXTS.into_iter().filter(|text| has(*text)) {
        let (said, after) = counted(rest, has(IS_UNICODE))?;
        rest = after;
        match text {
            HAS_RELATIVE_PATH => paths.push(said),
            HAS_ARGUMENTS => arguments = said,
            _ => {}
        }
    }
    // The place of an icon comes between, and is of no interest: blocks are found by their signature, whatever is before them.
    paths.extend(environment(rest));
    let program = paths.iter().map(|path| file_name(path)).find(|name| !name.is_empty()).unwrap_or_default();
    Some(Link { program: program.to_owned(), arguments })
}

/// `LocalBasePath` of section 2.3. Programs have names of ASCII, so its code page makes no difference.
fn local_path(info: &[u8]) -> Option<String> {
    if u32_at(info, 8)? & HAS_LOCAL_PATH == 0 {
        return None;
    }
    let text = info.get(usize::try_from(u32_at(info, 16)?).ok()?..)?;
    Some(String::from_utf8_lossy(text.split(|byte| *byte == 0).next()?).into_owned())
}

/// A text that is preceded by its length in characters, and what follows it.
fn counted(bytes: &[u8], is_unicode: bool) -> Option<(String, &[u8])> {
    let count = usize::from(u16_at(bytes, 0)?);
    let (text, rest) = bytes.get(2..)?.split_at_checked(if is_unicode { 2 * count } else { count })?;
    Some((if is_unicode { utf16(text) } else { String::from_utf8_lossy(text).into_owned() }, rest))
}

fn environment(rest: &[u8]) -> Option<String> {
    let at = rest.windows(4).position(|bytes| bytes == ENVIRONMENT.to_le_bytes())?.checked_sub(4)?;
    let text = rest.get(at + ENVIRONMENT_TEXT..)?;
    Some(utf16(text.get(..2 * 260).unwrap_or(text)))
}

/// Up to the first zero.
fn utf16(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).take_while(|unit| *unit != 0);
    char::decode_utf16(units).map(|read| read.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

fn file_name(path: &str) -> &str {
    path.rsplit(['\\', '/']).next().unwrap_or_default()
}

/// The size of a structure that begins with it, and cannot be empty.
fn size_at(bytes: &[u8]) -> Option<usize> {
    usize::try_from(u32_at(bytes, 0)?).ok().filter(|size| *size >= 4)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As Windows writes one: a list of the shell's, a local path, and texts in UTF-16.
    pub(in super::super) fn written(target: &str, arguments: &str) -> Vec<u8> {
        let path = [target.as_bytes(), b"\0"].concat();
        let info =
            [28 + path.len() + 1, 28, 1, 0, 28, 0, 28 + path.len()].map(|field| u32::try_from(field).unwrap().to_le_bytes()).concat();
        let parts = [header(0b1010_0111), vec![3, 0, 9, 9, 9], info, path, vec![0], text("カルテ"), text(arguments), vec![0; 4]];
        parts.concat()
    }

    fn header(flags: u32) -> Vec<u8> {
        let mut header = MAGIC.to_vec();
        header.extend(flags.to_le_bytes());
        header.resize(HEADER, 0);
        header
    }

    fn text(text: &str) -> Vec<u8> {
        let units: Vec<u16> = text.encode_utf16().collect();
        [u16::try_from(units.len()).unwrap()].iter().chain(&units).flat_map(|unit| unit.to_le_bytes()).collect()
    }

    fn link(program: &str, arguments: &str) -> Option<Link> {
        Some(Link { program: program.into(), arguments: arguments.into() })
    }

    #[test]
    fn a_program_and_its_arguments_are_read_wherever_they_stand() {
        let usual = written(r"C:\Program Files\Google\Chrome\Application\chrome.exe", "--app=https://karte.test/ \"カルテ\"");
        assert_eq!(read(&usual), link("chrome.exe", "--app=https://karte.test/ \"カルテ\""));
        // Relative, in the letters of a code page, and with a folder and an icon around the arguments.
        let narrow = |text: &str| [&u16::try_from(text.len()).unwrap().to_le_bytes(), text.as_bytes()].concat();
        let relative = [r"..\..\iexplore.exe", r"C:\", "https://karte.test/", r"C:\x.ico"].map(narrow).concat();
        assert_eq!(read(&[header(0b111_1000), relative, vec![0; 4]].concat()), link("iexplore.exe", "https://karte.test/"));
        // Found by the environment only.
        let mut block = [0x314_u32, ENVIRONMENT].map(u32::to_le_bytes).concat();
        block.resize(ENVIRONMENT_TEXT, b'x');
        block.extend(text(r"%ProgramFiles%\Internet Explorer\iexplore.exe").split_off(2));
        block.resize(0x314, 0);
        let by_environment = [header(0b10_1010_0000), text("https://karte.test/"), block].concat();
        assert_eq!(read(&by_environment), link("iexplore.exe", "https://karte.test/"));
        // Only the shell knows.
        assert_eq!(read(&[header(0b1010_0001), vec![1, 0, 7], text("x")].concat()), link("", "x"));
    }

    #[test]
    fn one_that_ends_early_anywhere_is_none_or_says_less() {
        let whole = written(r"C:\chrome.exe", "https://karte.test/");
        for end in 0..whole.len() - 4 {
            assert_eq!(read(&whole[..end]), None, "{end}");
        }
        assert_eq!(read(b"[InternetShortcut]\r\nURL=https://karte.test/\r\n"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Whatever lengths and places are written into it, it is read without a panic, and no more is said than it holds.
        #[test]
        fn a_hostile_file_does_no_harm(flags: u32, changes in prop::collection::vec((20..220_usize, any::<u8>()), 0..12), tail: Vec<u8>) {
            let mut bytes = [written(r"C:\Program Files\chrome.exe", "https://karte.test/"), tail].concat();
            bytes[20..24].copy_from_slice(&flags.to_le_bytes());
            for (at, byte) in changes {
                let at = at % bytes.len();
                if at >= MAGIC.len() {
                    bytes[at] = byte;
                }
            }
            if let Some(link) = read(&bytes) {
                prop_assert!(link.program.chars().count() + link.arguments.chars().count() <= bytes.len());
            }
        }
    }
}
