//! From a host to a session with it.

use std::time::Duration;

use tegata_api::v1::playbook::HostTrouble;
use tegata_ssh::{self as ssh, Credential, Identity, Session};

use crate::host::{Host, Pins};
use crate::remote::Failed;
use crate::run::{Event, Server};

/// What somebody signs in with.
#[derive(Clone)]
pub struct Credentials {
    /// On hosts.
    pub host: Credential,
    /// On machines before them.
    pub jump: Credential,
}

/// Connects, compares the key, and signs in. A key that is seen for the first time is on record before anything is sent.
pub(crate) fn reach(
    host: &Host,
    credentials: &Credentials,
    patience: Duration,
    server: &dyn Server,
    tell: &(dyn Fn(Event<'_>) + Sync),
) -> Result<Session, Failed> {
    let nobody = Identity::Keys(vec![]);
    let expected = match &host.pins {
        Pins::Known(identity) => identity,
        Pins::FirstUse(_) => &nobody,
        Pins::Unknown => {
            let told = "no host key is pinned: pin it in the device's ssh.hostKeys, name the clinic's ssh.hostAuthorities, or open a window \
                        with its ssh.firstUse";
            return Err(Failed::new(HostTrouble::UnknownHostKey, told));
        }
    };
    let jump = host
        .jump
        .as_ref()
        .map(|(place, user, known)| ssh::greet(place, known, patience, None)?.trust(known)?.sign_in(user, &credentials.jump));
    let greeted = ssh::greet(&host.address, expected, patience, jump.transpose()?)?;
    let trusted = match host.pins {
        Pins::FirstUse(_) => {
            let key = greeted.shown().clone();
            server.trust(&host.id, &key).map_err(|told| Failed::new(HostTrouble::UnknownHostKey, told))?;
            tell(Event::Trusted { host, fingerprint: &key.fingerprint() });
            greeted.trust(&Identity::Keys(vec![key]))?
        }
        _ => greeted.trust(expected)?,
    };
    Ok(trusted.sign_in(&host.user, &credentials.host)?)
}
