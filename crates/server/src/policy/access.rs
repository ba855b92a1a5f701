//! That a tenant which has an admin keeps one.

use tegata_api::v1::policy::Kind;
use tegata_api::v1::problem::Finding;
use tegata_api::yaml::Checked;
use tegata_core::policy::Tenant;

const HINT: &str = "bind another token, person or group to admin first: of the whole tenant, and without notAfter";

/// What is wrong if nobody is left who may change policy in the whole tenant without end, and somebody was there before.
pub(super) fn last_admin(before: &Tenant, checked: &Checked) -> Option<Finding> {
    let mut were = before.bindings.values().filter(|binding| binding.is_lasting_admin());
    let was = were.next()?;
    if checked.tenant.bindings.values().any(|binding| binding.is_lasting_admin()) {
        return None;
    }
    let message = format!("nobody would be left who may change the policy of this tenant: {} was its last admin", was.name);
    let changed = checked.documents.iter().find(|document| document.kind == Kind::AccessBinding && document.name == was.name.as_str());
    Some(changed.map_or_else(
        || Finding {
            file: format!("{}/{} (stored)", Kind::AccessBinding, was.name),
            line: 0,
            column: 0,
            path: String::new(),
            message: message.clone(),
            hint: Some(HINT.to_owned()),
        },
        |document| document.finding("/spec", message.clone(), HINT.to_owned()),
    ))
}
