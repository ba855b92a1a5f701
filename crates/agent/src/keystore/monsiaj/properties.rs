//! Java's properties files (`java.util.Properties`): changed in place, with everything else left as it was, byte for byte.

use zeroize::Zeroizing;

/// A file: logical lines, each as it was written. ISO 8859-1, so that a character is a byte.
pub(super) struct Properties {
    lines: Vec<Zeroizing<String>>,
}

impl Properties {
    /// Reads any bytes: what is no property is kept all the same.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let mut lines: Vec<Zeroizing<String>> = Vec::new();
        let mut goes_on = false;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let text: String = line.iter().map(|byte| char::from(*byte)).collect();
            let is_comment = !goes_on && text.trim_start().starts_with(['#', '!']);
            let ends_open = !is_comment && text.trim_end_matches(['\r', '\n']).chars().rev().take_while(|c| *c == '\\').count() % 2 == 1;
            match lines.last_mut().filter(|_| goes_on) {
                Some(last) => last.push_str(&text),
                None => lines.push(Zeroizing::new(text)),
            }
            goes_on = ends_open;
        }
        Self { lines }
    }

    /// The keys, in the order of the file.
    pub(super) fn keys(&self) -> impl Iterator<Item = String> {
        self.lines.iter().filter_map(|line| Some(property(line)?.0))
    }

    /// The value of a key: that of its last line, as Java takes it.
    pub(super) fn value(&self, key: &str) -> Option<String> {
        self.lines.iter().rev().filter_map(|line| property(line)).find(|(found, _)| found == key).map(|(_, value)| value)
    }

    /// Gives a key this value: in the place of its last line, or at the end. A line that says so already stays as it is.
    pub(super) fn set(&mut self, key: &str, value: &str) {
        if self.value(key).as_deref() == Some(value) {
            return;
        }
        let ending = if self.lines.iter().any(|line| line.ends_with("\r\n")) { "\r\n" } else { "\n" };
        let line = Zeroizing::new(format!("{key}={}{ending}", escaped(value)));
        match self.lines.iter().rposition(|line| property(line).is_some_and(|(found, _)| found == key)) {
            Some(index) => self.lines[index] = line,
            None => {
                if let Some(last) = self.lines.last_mut().filter(|last| !last.ends_with('\n')) {
                    last.push_str(ending);
                }
                self.lines.push(line);
            }
        }
    }

    /// The whole file.
    pub(super) fn written(&self) -> Zeroizing<Vec<u8>> {
        // Every character was a byte, or was escaped.
        Zeroizing::new(self.lines.iter().flat_map(|line| line.chars()).map(|character| u8::try_from(character).unwrap_or(b'?')).collect())
    }
}

/// Key and value of a logical line, without escapes; nothing for comments and empty lines.
fn property(line: &str) -> Option<(String, String)> {
    let line = line.trim_start_matches([' ', '\t', '\u{c}']);
    if line.starts_with(['#', '!', '\r', '\n']) || line.is_empty() {
        return None;
    }
    let mut is_escaped = false;
    let end = line.char_indices().find(|(_, c)| {
        let ends = !is_escaped && matches!(c, '=' | ':' | ' ' | '\t' | '\u{c}' | '\r' | '\n');
        is_escaped = *c == '\\' && !is_escaped;
        ends
    });
    let (key, rest) = line.split_at(end.map_or(line.len(), |(index, _)| index));
    let rest = rest.trim_start_matches([' ', '\t', '\u{c}']);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches([' ', '\t', '\u{c}']);
    Some((plain(key), plain(rest.trim_end_matches(['\r', '\n']))))
}

/// Undoes escapes, and joins lines that go on.
fn plain(text: &str) -> String {
    let mut plain = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            plain.push(letter as u16);
            continue;
        }
        match letters.next() {
            Some('u') => {
                let digits: String = letters.by_ref().take(4).collect();
                plain.push(u16::from_str_radix(&digits, 16).unwrap_or(0xfffd));
            }
            Some('t') => plain.push(u16::from(b'\t')),
            Some('n') => plain.push(u16::from(b'\n')),
            Some('r') => plain.push(u16::from(b'\r')),
            Some('f') => plain.push(0x0c),
            Some('\r' | '\n') => while letters.next_if(|next| matches!(next, '\r' | '\n' | ' ' | '\t' | '\u{c}')).is_some() {},
            Some(other) => plain.push(other as u16),
            None => {}
        }
    }
    String::from_utf16_lossy(&plain)
}

/// As Java writes values: `\uXXXX` for whatever is not printable ASCII.
fn escaped(value: &str) -> String {
    let mut text = String::new();
    for (index, unit) in value.encode_utf16().enumerate() {
        match char::from_u32(unit.into()) {
            Some('\\') => text.push_str("\\\\"),
            Some(' ') if index == 0 => text.push_str("\\ "),
            Some(letter @ ' '..='~') => text.push(letter),
            _ => text.push_str(&format!("\\u{unit:04X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# monsiaj \\\r\n! another comment\r\nmonsiaj.config.0.host = auth.example.jp\r\nmonsiaj.config.0.clientCertificateFile=C\\:\\\\Users\\\\\\u53D7\\u4ED8\\\\a.p12\r\n  long : one \\\r\n    two\r\n\r\nempty\r\n";

    #[test]
    fn what_is_not_changed_stays_byte_for_byte() {
        assert_eq!(*Properties::read(FILE.as_bytes()).written(), FILE.as_bytes());
        let strange = b"\xff\xfe=\xe9\n\\\n".as_slice();
        assert_eq!(*Properties::read(strange).written(), strange);
    }

    #[test]
    fn values_are_read_as_java_reads_them() {
        let file = Properties::read(FILE.as_bytes());
        let value = |key| file.value(key);
        assert_eq!(value("monsiaj.config.0.host").as_deref(), Some("auth.example.jp"));
        assert_eq!(value("monsiaj.config.0.clientCertificateFile").as_deref(), Some("C:\\Users\\受付\\a.p12"));
        assert_eq!((value("long").as_deref(), value("empty").as_deref(), value("# monsiaj")), (Some("one two"), Some(""), None));
        let twice = Properties::read(b"a=1\na=2");
        assert_eq!(twice.value("a").as_deref(), Some("2"));
    }

    #[test]
    fn a_value_is_set_in_its_place_or_at_the_end() {
        let mut file = Properties::read(FILE.as_bytes());
        file.set("monsiaj.config.0.clientCertificateFile", "/home/受付/.monsiaj/certificates/20261126.p12");
        file.set("new", " \\𠮷");
        let text = String::from_utf8(file.written().to_vec()).unwrap();
        assert!(text.contains("clientCertificateFile=/home/\\u53D7\\u4ED8/.monsiaj/certificates/20261126.p12\r\n  long"), "{text}");
        assert!(text.ends_with("empty\r\nnew=\\ \\\\\\uD842\\uDFB7\r\n"), "{text}");
        let again = Properties::read(text.as_bytes());
        assert_eq!(again.value("new").as_deref(), Some(" \\𠮷"));
        let mut open = Properties::read(b"a=1");
        open.set("b", "2");
        assert_eq!(*open.written(), b"a=1\nb=2\n");
    }
}
