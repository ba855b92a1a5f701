//! The access of whoever set up the installation.

use tegata_api::v1::fleet::Access;
use tegata_core::name::TokenName;
use tegata_core::time::Timestamp;

use super::ServeError;
use super::folder::Folder;
use crate::audit::{Ledger, TEGATA};
use crate::clock::Clock;
use crate::issuers::signer::Signer;
use crate::store::StoreError;
use crate::tokens::{self, TokenError, Wanted};

/// What they are called.
const OWNER: &str = "admin";

/// The administrator's access: made at first start, or anew if `admin.json` was removed (then the old token is dead) or belongs to
/// another database. On a database that servers share, one of them has it: it is made anew only once the token is revoked.
pub(super) async fn access(
    folder: &Folder,
    ledger: &Ledger,
    (clock, is_shared): (&Clock, bool),
    server: &Signer,
    address: String,
) -> Result<Access, ServeError> {
    let kept = folder.access()?;
    let access = |token| Access { server: address, authority: server.pem().to_owned(), token, tenant: None };
    let access = match &kept {
        Some(kept) if tokens::holder(ledger, &kept.token, clock.now()).await?.is_some() => access(kept.token.clone()),
        // Another server has it, or whoever set up the first.
        _ if is_shared && is_there(ledger).await? => return Ok(access(String::new())),
        _ => access(first_owner(ledger, clock.now()).await?),
    };
    let is_current =
        kept.is_some_and(|kept| (&kept.server, &kept.authority, &kept.token) == (&access.server, &access.authority, &access.token));
    if !is_current {
        folder.keep_access(&access)?;
    }
    Ok(access)
}

/// Whether there is a token of the installation's owner.
async fn is_there(ledger: &Ledger) -> Result<bool, StoreError> {
    let tokens = ledger.store().tokens(None).await?;
    Ok(tokens.iter().any(|token| token.name.as_str() == OWNER && token.revoked_at.is_none()))
}

/// A token for whoever started the server. Those that were made here before are worth nothing any more.
async fn first_owner(ledger: &Ledger, now: Timestamp) -> Result<String, ServeError> {
    let name: TokenName = OWNER.parse().expect("`admin` is a DNS label");
    match tokens::revoke(ledger, None, OWNER, (TEGATA, now)).await {
        Ok(_) | Err(TokenError::NotFound) => {}
        Err(error) => return Err(error.into()),
    }
    let wanted = Wanted { name: &name, tenant: None, life: None, by: TEGATA, now };
    Ok(tokens::make(ledger, wanted).await?.1.to_string())
}
