//! Tables without lines: columns line up whatever the script, and every row is one line that `grep` finds.

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, Color, Table as Columns};
use tegata_api::hint::visible;

use crate::moment;
use crate::output::Look;

/// A table that is being filled.
pub struct Table<'a> {
    look: &'a Look,
    columns: Columns,
    empty: bool,
}

/// One cell.
pub enum Field {
    /// Text as it is.
    Plain(String),
    /// A state word, coloured by what it means to people.
    State(String),
    /// A moment, seconds since the Unix epoch.
    Moment(i64),
    /// There is nothing to say.
    Nothing,
}

impl From<&str> for Field {
    fn from(text: &str) -> Self {
        Self::Plain(text.to_owned())
    }
}

impl From<String> for Field {
    fn from(text: String) -> Self {
        Self::Plain(text)
    }
}

impl<T: Into<Field>> From<Option<T>> for Field {
    fn from(field: Option<T>) -> Self {
        field.map_or(Self::Nothing, Into::into)
    }
}

impl<'a> Table<'a> {
    /// Begins a table.
    pub fn new<const N: usize>(look: &'a Look, titles: [&str; N]) -> Self {
        let mut columns = Columns::new();
        columns.load_style(NOTHING);
        if look.color {
            columns.enforce_styling()
        } else {
            columns.force_no_tty()
        };
        columns.style_text_only();
        columns.set_header(titles.map(|title| Cell::new(title).add_attribute(Attribute::Bold)));
        Self { look, columns, empty: true }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, fields: [Field; N]) {
        let cells = fields.map(|field| self.cell(field));
        self.columns.add_row(cells);
        self.empty = false;
    }

    fn cell(&self, field: Field) -> Cell {
        match field {
            Field::Plain(text) => Cell::new(visible(&text)),
            Field::State(word) => match color(&word) {
                Some(color) => Cell::new(word).fg(color),
                None => Cell::new(visible(&word)),
            },
            Field::Moment(moment) => Cell::new(moment::with_distance(moment, self.look.now, &self.look.zone)),
            Field::Nothing => Cell::new("–"),
        }
    }

    /// The table as text, or `nothing` if it has no rows.
    pub fn or(mut self, nothing: &str) -> String {
        if self.empty {
            return nothing.to_owned();
        }
        for column in self.columns.column_iter_mut() {
            column.set_padding((0, 2));
        }
        self.columns.trim_fmt()
    }
}

/// Green is silence, yellow moves by itself, red may need a person.
fn color(state: &str) -> Option<Color> {
    match state {
        "ready" | "proven" | "enrolled" | "settled" | "ample" | "imported" | "done" | "verified" | "removed" | "in-force" => {
            Some(Color::Green)
        }
        "ordered" | "not-installed" | "not-proven" | "renewal-asked" | "outdated" | "expires-soon" | "dependants-open" | "leftover"
        | "issued" | "installed" | "tight" | "full" | "closing" | "waiting" | "due" | "not-backed-up" | "removing" | "exempt" | "asked"
        | "unknown" | "not-there" => Some(Color::Yellow),
        "missing" | "expired" | "revoked" | "not-enrolled" | "device-revoked" | "unwanted" | "abandoned" | "short" | "lapsed"
        | "failed" | "failing" | "stale" | "exposed" | "present" | "not-looked-at" | "password-note" | "open-password" => Some(Color::Red),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use tegata_core::plan::Reason;

    use super::*;
    use crate::output::test_look;

    #[test]
    fn columns_line_up_under_japanese_text() {
        let look = test_look();
        let mut table = Table::new(&look, ["NAME", "MEMO", "EXPIRES"]);
        table.row(["sakura/uketsuke-1".into(), "受付1番 (1階)".into(), Field::Moment(look.now.unix() + 3_600)]);
        table.row(["sakura/incho-mac".into(), "Room 2".into(), Field::Nothing]);
        expect![[r#"
            NAME               MEMO           EXPIRES
            sakura/uketsuke-1  受付1番 (1階)  2026-11-18 21:06 (in 60 min)
            sakura/incho-mac   Room 2         –"#]]
        .assert_eq(&table.or("nothing"));
    }

    #[test]
    fn a8_a_device_cannot_write_into_the_terminal() {
        let look = test_look();
        let mut table = Table::new(&look, ["NAME"]);
        table.row(["\u{1b}]0;pwned\u{7}\nsecond line".into()]);
        table.row([Field::State("\u{1b}[31mready".into())]);
        let shown = table.or("");
        assert!(shown.lines().count() == 3 && !shown.contains(['\u{1b}', '\u{7}']), "{shown:?}");
    }

    #[test]
    fn an_empty_table_is_a_sentence() {
        assert_eq!(Table::new(&test_look(), ["NAME"]).or("No devices."), "No devices.");
    }

    #[test]
    fn colours_appear_only_when_wanted() {
        let coloured = Look { color: true, ..test_look() };
        let mut table = Table::new(&coloured, ["STATE"]);
        table.row([Field::State("ready".into())]);
        assert!(table.or("").contains("\u{1b}["));
    }

    #[test]
    fn every_reason_has_a_colour() {
        // The wire's words are the reasons' names in kebab case.
        for reason in Reason::ALL {
            let mut word = String::new();
            for c in format!("{reason:?}").chars() {
                if c.is_uppercase() && !word.is_empty() {
                    word.push('-');
                }
                word.extend(c.to_lowercase());
            }
            assert!(color(&word).is_some(), "{word}");
        }
    }
}
