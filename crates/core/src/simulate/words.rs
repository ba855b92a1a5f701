//! How the simulator speaks: short names for numbers, one line for each action.

use crate::name::{OrderId, Serial};
use crate::plan::Action;
use crate::simulate::Transcript;
use crate::time::Timestamp;

/// Collects a transcript.
#[derive(Debug, Default)]
pub struct Log {
    text: String,
    violations: Vec<String>,
}

impl Log {
    /// Adds a line of the script itself.
    pub fn say_at_margin(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// Adds a line below a command.
    pub fn say(&mut self, line: &str) {
        self.say_at_margin(&format!("  {line}"));
    }

    /// Adds a line about something that happened now.
    pub fn happened(&mut self, now: Timestamp, line: &str) {
        self.say(&format!("{now}  {line}"));
    }

    /// Adds a broken promise.
    pub fn violated(&mut self, now: Timestamp, promise: String) {
        self.happened(now, &format!("VIOLATION: {promise}"));
        self.violations.push(promise);
    }

    pub fn into_transcript(self) -> Transcript {
        Transcript { text: self.text, violations: self.violations }
    }
}

/// The `number`-th certificate's serial.
pub fn serial(number: u64) -> Serial {
    let mut bytes = numbered(number);
    bytes[0] = 0x40;
    Serial(bytes)
}

/// The `number`-th order's name.
pub fn order_id(number: u64) -> OrderId {
    OrderId(numbered(number))
}

/// `c7` for the seventh certificate.
pub fn certificate(serial: Serial) -> String {
    format!("c{}", number(serial.0))
}

/// `c1, c2`, or `nothing`.
pub fn certificates<'a>(serials: impl IntoIterator<Item = &'a Serial>) -> String {
    let names: Vec<_> = serials.into_iter().map(|serial| certificate(*serial)).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

/// One line that says what an action does and why.
pub fn told(action: &Action) -> String {
    match action {
        Action::Issue { slot, because, replaces, .. } if replaces.is_empty() => format!("issue {slot} ({because:?})"),
        Action::Issue { slot, because, replaces, .. } => format!("issue {slot} ({because:?}), replacing {}", certificates(replaces)),
        Action::Cancel { slot, because } => format!("cancel the order for {slot} ({because:?})"),
        Action::Revoke { slot, serial, because } => format!("revoke {} in {slot} ({because:?})", certificate(*serial)),
        Action::Retire { slot, serial, because } => format!("retire {} from {slot} ({because:?})", certificate(*serial)),
        Action::RemoveInstaller { device, sha256 } => format!("remove installer f{} from {device}", sha256.0[31]),
        Action::QuarantineInstaller { device, sha256 } => format!("move f{} on {device} out of the way", sha256.0[31]),
        Action::KeepInstaller { device, sha256, because, until: None } => {
            format!("keep installer f{} on {device}: {because:?}", sha256.0[31])
        }
        Action::KeepInstaller { device, sha256, because, until: Some(until) } => {
            format!("keep installer f{} on {device}: {because:?} until {until}", sha256.0[31])
        }
        Action::Hold { slot, reason, because, until: None } => format!("hold {slot} ({reason:?}): {because:?}"),
        Action::Hold { slot, reason, because, until: Some(until) } => format!("hold {slot} ({reason:?}): {because:?} until {until}"),
    }
}

fn numbered(number: u64) -> [u8; 16] {
    u128::from(number).to_be_bytes()
}

fn number(bytes: [u8; 16]) -> u64 {
    u64::from_be_bytes([bytes[8], bytes[9], bytes[10], bytes[11], bytes[12], bytes[13], bytes[14], bytes[15]])
}
