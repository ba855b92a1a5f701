//! What an administrator runs once, so that the agent may write its elements: the lists are opened to the user, and nothing else is.

use std::path::Path;

/// A line for PowerShell that opens these keys to the user that the agent runs as. Keys of a user lie below the number of the user, since
/// to an administrator the current user is the administrator.
pub(super) fn command<'a>(keys: impl Iterator<Item = &'a Path>) -> String {
    let name = |variable| std::env::var(variable).unwrap_or_default();
    command_for(&format!("{}\\{}", name("USERDOMAIN"), name("USERNAME")), keys)
}

fn command_for<'a>(user: &str, keys: impl Iterator<Item = &'a Path>) -> String {
    // PowerShell ends a text at each of these, and takes two for one.
    let doubled =
        |letter: char| if "'\u{2018}\u{2019}\u{201a}\u{201b}".contains(letter) { format!("{letter}{letter}") } else { letter.to_string() };
    let user: String = user.chars().map(doubled).collect();
    let keys: Vec<String> =
        keys.map(|key| format!("\"Registry::{}\"", key.display().to_string().replace("HKEY_CURRENT_USER", "HKEY_USERS\\$s"))).collect();
    format!(
        "$u=[Security.Principal.NTAccount]'{user}'; $s=$u.Translate([Security.Principal.SecurityIdentifier]).Value; foreach ($k in {}) {{ \
         if (!(Test-Path $k)) {{ [void](New-Item -Force $k) }}; $a=Get-Acl $k; \
         $a.AddAccessRule([Security.AccessControl.RegistryAccessRule]::new($u,'ReadKey,WriteKey','Allow')); Set-Acl $k $a }} # PowerShell",
        keys.join(",")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_opened_to_the_user_and_not_to_the_administrator_who_runs_it() {
        let keys = [r"HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Google\Chrome\A", r"HKEY_CURRENT_USER\SOFTWARE\Policies\Microsoft\Edge\A"];
        let command = command_for("CLINIC\\d'arc\u{2019}s", keys.iter().map(Path::new));
        assert_eq!(
            command,
            "$u=[Security.Principal.NTAccount]'CLINIC\\d''arc\u{2019}\u{2019}s'; $s=$u.Translate([Security.Principal.SecurityIdentifier]).Value; foreach ($k in \
             \"Registry::HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Google\\Chrome\\A\",\
             \"Registry::HKEY_USERS\\$s\\SOFTWARE\\Policies\\Microsoft\\Edge\\A\") { \
             if (!(Test-Path $k)) { [void](New-Item -Force $k) }; $a=Get-Acl $k; \
             $a.AddAccessRule([Security.AccessControl.RegistryAccessRule]::new($u,'ReadKey,WriteKey','Allow')); Set-Acl $k $a } # PowerShell"
        );
    }
}
