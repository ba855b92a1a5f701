//! Records as a table for spreadsheets. Nothing in it is a formula, and nothing hides.

use std::io::Write;

use jiff::tz::TimeZone;
use tegata_api::hint::visible;
use tegata_api::v1::audit::Record;

use super::personal;

/// By this Excel knows that letters are in UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
const HEAD: [&str; 9] = ["number", "time", "stage", "actor", "action", "object", "serial", "note", "details"];

/// A table that is being written.
pub struct Sheet<W: Write> {
    rows: csv::Writer<W>,
    zone: TimeZone,
}

impl<W: Write> Sheet<W> {
    /// Begins one, with times by the clock of `zone`.
    pub fn new(mut to: W, zone: TimeZone) -> std::io::Result<Self> {
        to.write_all(BYTE_ORDER_MARK)?;
        let mut rows = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(to);
        rows.write_record(HEAD)?;
        Ok(Self { rows, zone })
    }

    /// Adds a record.
    pub fn push(&mut self, record: &Record) -> std::io::Result<()> {
        let time =
            jiff::Timestamp::from_second(record.at).map(|at| at.to_zoned(self.zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string());
        let detail = |name: &str| record.details[name].as_str().unwrap_or_default();
        let cells = [
            &record.sequence.to_string(),
            &time.unwrap_or_else(|_| record.at.to_string()),
            super::word(record.stage),
            &record.actor,
            &record.action,
            &record.object,
            detail("serial"),
            personal::shown(&record.details["note"], true).unwrap_or_default(),
            &record.details.to_string(),
        ];
        Ok(self.rows.write_record(cells.map(harmless))?)
    }

    /// Ends it.
    pub fn finish(self) -> std::io::Result<W> {
        self.rows.into_inner().map_err(|error| error.into_error())
    }
}

/// A text that no spreadsheet takes for a formula (OWASP, "CSV Injection"), and in which everything can be seen.
fn harmless(text: &str) -> String {
    let visible = visible(text);
    let is_formula = visible.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']);
    if is_formula { format!("'{visible}") } else { visible.into_owned() }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use tegata_api::v1::audit::Stage;

    use super::*;

    #[test]
    fn a_cell_is_a_text_whatever_somebody_has_written() {
        let record = Record {
            sequence: 7,
            at: 1_795_000_000,
            stage: Stage::Done,
            actor: "=HYPERLINK(\"http://a.example\")".into(),
            action: "certificate.revoke".into(),
            object: "sakura/pc-1\r\n8,forged".into(),
            details: serde_json::json!({ "note": " @SUM(A1)\u{202e}", "serial": "-4f" }),
        };
        let mut sheet = Sheet::new(Vec::new(), TimeZone::get("Asia/Tokyo").unwrap()).unwrap();
        sheet.push(&record).unwrap();
        let text = String::from_utf8(sheet.finish().unwrap()).unwrap();
        expect![[r#"
            number,time,stage,actor,action,object,serial,note,details
            7,2026-11-18T20:06:40+09:00,done,"'=HYPERLINK(""http://a.example"")",certificate.revoke,"sakura/pc-1\u{d}\u{a}8,forged",'-4f,' @SUM(A1)\u{202e},"{""note"":"" @SUM(A1)\u{202e}"",""serial"":""-4f""}"
        "#]]
        .assert_eq(&text.trim_start_matches('\u{feff}').replace("\r\n", "\n"));
    }
}
