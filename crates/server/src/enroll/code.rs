//! The text of enrolment codes: how they are made, and the one form that all spellings of a code are brought to.

use std::fmt;

use tegata_pki::key::random;
use zeroize::Zeroizing;

/// Crockford's base 32: digits and letters without I, L, O and U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters of a handle: 30 bits. It is public; its length only keeps codes apart.
const HANDLE_LENGTH: usize = 6;
/// Digits that a person types.
const TYPED_LENGTH: usize = 6;
/// Characters of a join code's secret: 130 bits.
const LONG_LENGTH: usize = 26;
/// More than this is not read, whatever it says.
const TEXT_MAX: usize = 256;

/// The public part of a code, in canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handle(String);

/// The secret part of a code, in canonical form. Never shown by accident: it has no `Debug`.
pub struct Secret(Zeroizing<String>);

impl Handle {
    /// Makes a new one.
    pub fn random() -> Self {
        Self(letters(&random::<HANDLE_LENGTH>()).collect())
    }

    /// Reads one as somebody spelled it.
    pub fn read(text: &str) -> Option<Self> {
        let canonical = canonical(text)?;
        (canonical.len() == HANDLE_LENGTH).then(|| Self(canonical.as_str().to_owned()))
    }

    /// Gives its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Secret {
    /// Makes six digits, each of the million equally likely.
    pub fn typed() -> Self {
        let mut digits = Zeroizing::new(String::with_capacity(TYPED_LENGTH));
        while digits.len() < TYPED_LENGTH {
            // 250 is the last multiple of ten: what lies above would make small digits likelier.
            let [byte] = *Zeroizing::new(random::<1>());
            if byte < 250 {
                digits.push(char::from(b'0' + byte % 10));
            }
        }
        Self(digits)
    }

    /// Makes the long secret of a join code.
    pub fn long() -> Self {
        let bytes = Zeroizing::new(random::<LONG_LENGTH>());
        let mut text = Zeroizing::new(String::with_capacity(LONG_LENGTH));
        text.extend(letters(bytes.as_slice()));
        Self(text)
    }

    /// Reads one as somebody spelled it.
    pub fn read(text: &str) -> Option<Self> {
        let canonical = canonical(text)?;
        [TYPED_LENGTH, LONG_LENGTH].contains(&canonical.len()).then_some(Self(canonical))
    }

    /// Gives its text, for the one answer in which it is shown and for digesting.
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// Five bits of each byte, so that every letter is equally likely.
fn letters(bytes: &[u8]) -> impl Iterator<Item = char> + '_ {
    bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)]))
}

/// Brings every spelling of a code to one form: full-width characters of a Japanese keyboard, small letters, letters that look
/// like digits, blanks and hyphens. `None` if something else is in it.
fn canonical(text: &str) -> Option<Zeroizing<String>> {
    if text.len() > TEXT_MAX {
        return None;
    }
    let mut canonical = Zeroizing::new(String::with_capacity(LONG_LENGTH));
    for character in text.chars().map(half_width).filter(|character| !is_separator(*character)) {
        let letter = match character.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            letter => letter,
        };
        let known = u8::try_from(letter).is_ok_and(|byte| ALPHABET.contains(&byte));
        if !known || canonical.len() == LONG_LENGTH {
            return None;
        }
        canonical.push(letter);
    }
    Some(canonical)
}

/// Full-width forms of ASCII (U+FF01 to U+FF5E) lie in the same order as ASCII itself.
pub(crate) fn half_width(character: char) -> char {
    match character {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(character) - 0xfee0).unwrap_or(character),
        other => other,
    }
}

fn is_separator(character: char) -> bool {
    // After the hyphen: the dashes of U+2010 to U+2015, the minus sign, and the long-vowel mark that stands on the same key.
    character.is_whitespace() || matches!(character, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{30fc}' | '\u{ff70}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn read(text: &str) -> Option<String> {
        Secret::read(text).map(|secret| secret.text().to_owned())
    }

    #[test]
    fn every_spelling_of_a_code_becomes_the_same_text() {
        for spelling in
            ["012345", " 012345\n", "O1-23 45", "o12345", "ol2345", "０１２３４５", "０１２－３４５", "012ー345", "\u{3000}012345"]
        {
            assert_eq!(read(spelling).as_deref(), Some("012345"), "{spelling:?}");
        }
    }

    #[test]
    fn what_is_no_code_is_not_read() {
        for text in ["", "12345", "1234567", "12345U", "12345é", "12345\0", &"1".repeat(27), &" ".repeat(300), "一二三四五六"] {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert_eq!(Handle::read("12345"), None);
    }

    #[test]
    fn made_codes_are_canonical_and_differ() {
        let handles: BTreeSet<_> = (0..1000).map(|_| Handle::random().0).collect();
        assert!(handles.len() > 990, "30 bits, 1000 draws");
        for _ in 0..1000 {
            let (typed, long, handle) = (Secret::typed(), Secret::long(), Handle::random());
            assert!(typed.text().len() == 6 && typed.text().bytes().all(|byte| byte.is_ascii_digit()));
            assert_eq!(read(long.text()).as_deref(), Some(long.text()));
            assert_eq!(Handle::read(handle.as_str()), Some(handle));
        }
    }

    #[test]
    fn typed_digits_are_all_equally_likely() {
        let mut seen = [0_u32; 10];
        for _ in 0..10_000 {
            Secret::typed().text().bytes().for_each(|byte| seen[usize::from(byte - b'0')] += 1);
        }
        // 6,000 of each are expected; five standard deviations are 370.
        assert!(seen.iter().all(|count| (5_630..6_370).contains(count)), "{seen:?}");
    }
}
