//! How two short texts differ, for people: the lines between what is the same above and below.

/// The longest text that is shown, in bytes.
pub(super) const MAX: usize = 64 << 10;

pub(super) fn lines(before: &str, after: &str) -> String {
    let (before, after): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let above = before.iter().zip(&after).take_while(|(one, other)| one == other).count();
    let (before, after) = (&before[above..], &after[above..]);
    let below = before.iter().rev().zip(after.iter().rev()).take_while(|(one, other)| one == other).count();
    let signed =
        |sign: char, lines: &[&str]| lines[..lines.len() - below].iter().map(|line| format!("{sign} {line}\n")).collect::<String>();
    signed('-', before) + &signed('+', after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_between_is_shown() {
        assert_eq!(lines("a\nb\nc\n", "a\nx\ny\nc\n"), "- b\n+ x\n+ y\n");
        assert_eq!(lines("", "a\n"), "+ a\n");
        assert_eq!(lines("a\na\n", "a\n"), "- a\n");
        assert_eq!(lines("a\n", "a\n"), "");
    }
}
