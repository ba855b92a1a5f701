//! Reads one line of a script.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::time::Duration;

use crate::calendar::Hours;
use crate::fleet::Supply;
use crate::install::Step;
use crate::name::{AccountName, ClinicName, DeviceId, Label, ProfileName, SlotId};
use crate::policy::{Counting, Quota, RenewWhen, Renewal};
use crate::simulate::pc::{Crash, When};
use crate::time::{DAY, HOUR, MINUTE};

/// One line of a script.
#[derive(Debug)]
pub enum Command {
    Declare(Declaration),
    Enrol(Vec<DeviceId>),
    Network { device: DeviceId, is_online: bool },
    Crash { device: DeviceId, crash: Crash },
    Clock { device: DeviceId, offset: i64 },
    File { device: DeviceId, number: u8 },
    Lose(SlotId),
    Revoke(SlotId),
    Renew(SlotId),
    RevokeDevice(DeviceId),
    Bring(SlotId),
    People { after: Duration },
    Watch,
    Sites { are_up: bool },
    Advance(Duration),
    ShowSlots,
    ShowDevices,
}

/// A change of policy.
#[derive(Debug)]
pub enum Declaration {
    Clinic { name: ClinicName, at_once: u32, hours: Option<Hours>, quiet: Option<Hours> },
    Account { clinic: ClinicName, name: AccountName, quotas: Vec<Quota>, active: bool, successor: Option<AccountName> },
    Profile { name: ProfileName, validity: Duration, renewal: Renewal, supply: Supply, dependant: Option<Label>, notices: Vec<Duration> },
    Assign { clinic: ClinicName, profile: ProfileName, account: Option<AccountName>, devices: Option<BTreeSet<DeviceId>> },
    Devices(Vec<DeviceId>),
    Guest { clinic: ClinicName, guest: DeviceId },
    Remove(DeviceId),
    Close(ClinicName),
}

/// Reads lines; remembers which clinic was named last.
#[derive(Debug, Default)]
pub struct Reader {
    clinic: Option<ClinicName>,
}

impl Reader {
    /// Reads a line that is neither empty nor a comment.
    pub fn read(&mut self, line: &str) -> Result<Command, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["clinic", name, ..] = words[..] {
            self.clinic = Some(name_of(name)?);
        }
        match words[..] {
            ["enrol", ref devices @ ..] => Ok(Command::Enrol(self.devices(devices)?)),
            ["device", ref devices @ ..] => Ok(Command::Declare(Declaration::Devices(self.devices(devices)?))),
            ["offline", device] => Ok(Command::Network { device: self.device(device)?, is_online: false }),
            ["online", device] => Ok(Command::Network { device: self.device(device)?, is_online: true }),
            ["crash", device, when, step] => {
                Ok(Command::Crash { device: self.device(device)?, crash: Crash { when: when_of(when)?, step: step_of(step)? } })
            }
            ["clock", device, offset] => Ok(Command::Clock { device: self.device(device)?, offset: offset_of(offset)? }),
            ["file", device, number] => Ok(Command::File { device: self.device(device)?, number: name_of(number)? }),
            ["lose", slot] => Ok(Command::Lose(self.slot(slot)?)),
            ["revoke", slot] => Ok(Command::Revoke(self.slot(slot)?)),
            ["renew", slot] => Ok(Command::Renew(self.slot(slot)?)),
            ["revoke-device", device] => Ok(Command::RevokeDevice(self.device(device)?)),
            ["bring", slot] => Ok(Command::Bring(self.slot(slot)?)),
            ["people", after] => Ok(Command::People { after: span_of(after)? }),
            ["watch"] => Ok(Command::Watch),
            ["sites", "down"] => Ok(Command::Sites { are_up: false }),
            ["sites", "up"] => Ok(Command::Sites { are_up: true }),
            ["run"] => Ok(Command::Advance(Duration::ZERO)),
            ["advance", span] => Ok(Command::Advance(span_of(span)?)),
            ["show", "slots"] => Ok(Command::ShowSlots),
            ["show", "devices"] => Ok(Command::ShowDevices),
            [kind, name, ref options @ ..] => self.declaration(kind, name, options).map(Command::Declare),
            _ => Err(format!("'{line}' is no command")),
        }
    }

    fn declaration(&self, kind: &str, name: &str, words: &[&str]) -> Result<Declaration, String> {
        let mut options = Options::of(words);
        let declaration = match kind {
            "clinic" => Declaration::Clinic {
                name: name_of(name)?,
                at_once: options.parsed("at-once")?.unwrap_or(3),
                hours: options.hours("hours")?,
                quiet: options.hours("quiet")?,
            },
            "account" => Declaration::Account {
                clinic: self.clinic()?,
                name: name_of(name)?,
                quotas: options.quotas()?,
                successor: options.parsed("successor")?,
                active: options.take("left").is_none(),
            },
            "profile" => Declaration::Profile {
                name: name_of(name)?,
                validity: options.span("validity")?.unwrap_or(365 * DAY),
                renewal: Renewal { window: options.span("window")?.unwrap_or(60 * DAY), when: options.renew_when() },
                supply: options.supply(),
                dependant: options.parsed("dependant")?,
                notices: options.spans("notices")?,
            },
            "assign" => Declaration::Assign {
                clinic: self.clinic()?,
                profile: name_of(name)?,
                account: options.parsed("account")?,
                devices: options.take("on").map(|names| names.split(',').map(|name| self.device(name)).collect()).transpose()?,
            },
            "guest" => Declaration::Guest { clinic: self.clinic()?, guest: self.device(name)? },
            "remove" => Declaration::Remove(self.device(name)?),
            "close" => Declaration::Close(name_of(name)?),
            _ => return Err(format!("'{kind}' is no command")),
        };
        options.finish().map(|()| declaration)
    }

    fn clinic(&self) -> Result<ClinicName, String> {
        self.clinic.clone().ok_or_else(|| "no clinic was named yet".to_owned())
    }

    /// Reads `clinic/device`, or `device` of the clinic that was named last.
    fn device(&self, text: &str) -> Result<DeviceId, String> {
        if text.contains('/') { name_of(text) } else { Ok(DeviceId { clinic: self.clinic()?, device: name_of(text)? }) }
    }

    fn devices(&self, words: &[&str]) -> Result<Vec<DeviceId>, String> {
        words.iter().map(|word| self.device(word)).collect()
    }

    /// Reads `clinic/device/profile`, or `device/profile` of the clinic that was named last.
    fn slot(&self, text: &str) -> Result<SlotId, String> {
        if text.matches('/').count() == 1 { name_of(&format!("{}/{text}", self.clinic()?)) } else { name_of(text) }
    }
}

/// Words of the form `key=value`, or just `key`.
struct Options<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Options<'a> {
    fn of(words: &[&'a str]) -> Self {
        Self(words.iter().map(|word| word.split_once('=').unwrap_or((word, ""))).collect())
    }

    fn take(&mut self, key: &str) -> Option<&'a str> {
        self.0.remove(key)
    }

    fn parsed<T: FromStr<Err: ToString>>(&mut self, key: &str) -> Result<Option<T>, String> {
        self.take(key).map(name_of).transpose()
    }

    fn span(&mut self, key: &str) -> Result<Option<Duration>, String> {
        self.take(key).map(span_of).transpose()
    }

    /// Reads spans with commas between them; `daily` at the end means every day from then on.
    fn spans(&mut self, key: &str) -> Result<Vec<Duration>, String> {
        let mut spans: Vec<Duration> = Vec::new();
        for word in self.take(key).into_iter().flat_map(|text| text.split(',')) {
            match (word, spans.last()) {
                ("daily", Some(last)) => {
                    let days = u32::try_from(last.as_secs() / DAY.as_secs()).unwrap_or_default();
                    spans.extend((1..days).rev().map(|days| days * DAY));
                }
                _ => spans.push(span_of(word)?),
            }
        }
        Ok(spans)
    }

    fn supply(&mut self) -> Supply {
        match (self.take("vendor"), self.take("renews")) {
            (_, Some(_)) => Supply::Renewal,
            (Some(_), None) => Supply::Person,
            (None, None) => Supply::Own,
        }
    }

    /// `quota=N` counts those alive, unless `per=SPAN` makes it a rolling one; `rolling=N/SPAN` is one more.
    fn quotas(&mut self) -> Result<Vec<Quota>, String> {
        let counting = if self.take("unrevoked").is_some() { Counting::Unrevoked } else { Counting::Issued };
        let per = self.span("per")?;
        let first = self.parsed("quota")?.map(|certificates| Quota { certificates, per, counting });
        let rolling = self.take("rolling").map(|text| {
            let (certificates, span) = text.split_once('/').ok_or_else(|| format!("'{text}' should look like 25/730d"))?;
            Ok::<_, String>(Quota { certificates: name_of(certificates)?, per: Some(span_of(span)?), counting })
        });
        Ok(first.into_iter().chain(rolling.transpose()?).collect())
    }

    fn renew_when(&mut self) -> RenewWhen {
        if self.take("late").is_some() { RenewWhen::Late } else { RenewWhen::Early }
    }

    fn hours(&mut self, key: &str) -> Result<Option<Hours>, String> {
        let Some(text) = self.take(key) else { return Ok(None) };
        let minute = |time: &str| {
            let (hour, minute) = time.split_once(':')?;
            Some(hour.parse::<u16>().ok()? * 60 + minute.parse::<u16>().ok()?)
        };
        let read = text.split_once('-').and_then(|(from, to)| Some(Hours { from: minute(from)?, to: minute(to)? }));
        let hours = read.filter(|hours| hours.from < hours.to && hours.to <= 1440);
        hours.map(Some).ok_or_else(|| format!("'{text}' should look like 09:00-18:00"))
    }

    fn finish(self) -> Result<(), String> {
        self.0.keys().next().map_or(Ok(()), |key| Err(format!("'{key}' means nothing here")))
    }
}

fn name_of<T: FromStr<Err: ToString>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| format!("'{text}': {}", error.to_string()))
}

/// Reads `90s`, `10m`, `12h`, `30d` or `10y`, a year being 365 days.
fn span_of(text: &str) -> Result<Duration, String> {
    let units = [('s', Duration::from_secs(1)), ('m', MINUTE), ('h', HOUR), ('d', DAY), ('y', 365 * DAY)];
    let read = units.into_iter().find_map(|(letter, unit)| unit.checked_mul(text.strip_suffix(letter)?.parse().ok()?));
    read.ok_or_else(|| format!("'{text}' should look like 90s, 10m, 12h, 30d or 10y"))
}

fn offset_of(text: &str) -> Result<i64, String> {
    let (sign, span) = match text.strip_prefix('-') {
        Some(span) => (-1, span),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    Ok(sign * i64::try_from(span_of(span)?.as_secs()).map_err(|_| format!("'{text}' is too far off"))?)
}

fn when_of(text: &str) -> Result<When, String> {
    match text {
        "before" => Ok(When::Before),
        "after" => Ok(When::After),
        _ => Err(format!("'{text}' should be before or after")),
    }
}

fn step_of(text: &str) -> Result<Step, String> {
    let steps = [
        ("make-key", Step::MakeKey),
        ("request", Step::Request),
        ("install", Step::Install),
        ("prove", Step::Prove),
        ("retire-old", Step::RetireOld),
        ("discard", Step::Discard),
    ];
    let found = steps.into_iter().find(|(name, _)| *name == text).map(|(_, step)| step);
    found.ok_or_else(|| format!("'{text}' should be one of {}", steps.map(|(name, _)| name).join(", ")))
}
