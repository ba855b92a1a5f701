//! The PIN that somebody types at a vendor's download page: made here, shown once, and sealed before it leaves this machine.

use serde::Serialize;
use tegata_api::v1::application::{Application, KeepPin};
use tegata_api::v1::fleet::DocumentInForce;
use tegata_core::name::SlotId;
use tegata_pki::key::random;
use tegata_pki::sealed::seal_to;
use zeroize::Zeroizing;

use super::{address, recipients};
use crate::cli::Global;
use crate::failure::Failure;
use crate::output;
use crate::session::Session;

#[derive(Serialize)]
struct Made<'a> {
    slot: &'a str,
    pin: &'a str,
}

/// Makes the PIN for an application, keeps it sealed, and only then shows it: what was shown can always be found again.
pub async fn make(session: &Session, slot: &SlotId, replace: bool, global: &Global) -> Result<(), Failure> {
    let name = slot.to_string();
    let listed: Vec<Application> = session.get(&format!("applications?clinic={}", slot.clinic)).await?;
    let open = listed.into_iter().find(|one| one.slot == name && one.closed_at.is_none());
    let open = open.ok_or_else(|| session.no_such("open application", vec![name.clone()]))?;
    let digits = open.pin.ok_or_else(|| Failure::TakesNoPin { slot: slot.clone() })?.digits;
    let documents: Vec<DocumentInForce> = session.get("documents").await?;
    let keys = recipients(&documents, &slot.clinic);
    let pin = generate(digits);
    let sealed_pin = seal_to(pin.as_bytes(), &keys).map_err(|source| Failure::NotSealed { clinic: slot.clinic.clone(), source })?;
    session.tell(&format!("{}/pin", address(slot)), &KeepPin { sealed_pin, replace }).await?;
    let made = Made { slot: &name, pin: &pin };
    output::show(global, &made, |_| {
        format!(
            "{}\n\nType it where the certificate for {name} is downloaded, and again when the file is imported. It is not shown again; \
             `tegata application sealed-pin {name}` gives it to who holds one of these keys: {}",
            *pin,
            keys.join(", ")
        )
    })
}

/// So many digits, each as likely as any other.
fn generate(digits: u8) -> Zeroizing<String> {
    let mut pin = Zeroizing::new(String::with_capacity(digits.into()));
    while pin.len() < digits.into() {
        let byte = Zeroizing::new(random::<1>())[0];
        // 250 is a multiple of ten: with what lies above, small digits would come more often.
        if byte < 250 {
            pin.push(char::from(b'0' + byte % 10));
        }
    }
    pin
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_has_its_digits_and_every_digit_comes_as_often() {
        assert_eq!(generate(4).len(), 4);
        assert_eq!(generate(8).len(), 8);
        let mut seen = [0_u32; 10];
        for _ in 0..2_000 {
            generate(200).bytes().for_each(|digit| seen[usize::from(digit - b'0')] += 1);
        }
        // Chi-squared with nine degrees of freedom: above 50 once in ten million times. A byte modulo ten would give 150.
        let deviation: f64 = seen.iter().map(|seen| (f64::from(*seen) - 40_000.0).powi(2) / 40_000.0).sum();
        assert!(deviation < 50.0, "{deviation}: {seen:?}");
    }
}
