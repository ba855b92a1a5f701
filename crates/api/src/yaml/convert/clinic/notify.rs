//! Reads how people are told.

use tegata_core::policy;

use super::super::set;
use crate::hint::quote;
use crate::v1::policy::{Language, Notify};
use crate::yaml::gather::{At, Gather, Wrong};

/// Leaves out what is wrong; it is reported.
pub(super) fn notify(notify: &Notify, at: &At<'_>, gather: &mut Gather<'_>) -> policy::Notify {
    let read = |written: &crate::v1::policy::Webhook, at: &At<'_>, gather: &mut Gather<'_>| {
        let url = policy::WebhookUrl::parse(&written.url.0, written.allow_private).map_err(|error| {
            Wrong::new(format!("{} is not the address of a webhook: {}", quote(&written.url.0), error.problem), "write https://host/path")
        });
        let url = gather.take(&at.key("url"), url)?;
        Some(policy::Webhook { url, allow_private: written.allow_private })
    };
    let webhooks = set(&notify.webhooks, &at.key("webhooks"), gather, read, |written| written.url.0.clone());
    let language = match notify.language {
        None => policy::Language::Both,
        Some(Language::Ja) => policy::Language::Japanese,
        Some(Language::En) => policy::Language::English,
    };
    let found = notify.found.as_ref().map(|written| super::super::profile::notices(written, None, &at.key("found"), gather));
    let found = found.unwrap_or_else(|| policy::Notify::default().found);
    policy::Notify { webhooks: webhooks.into_iter().collect(), language, found }
}
