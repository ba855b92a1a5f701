//! What a person at a clinic is told in Japanese and English: why, and what to do.

use tegata_api::v1::notice::{Acts, Item};
use tegata_core::notice::Kind;

use crate::words;

/// A sentence in both languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Both {
    pub ja: &'static str,
    pub en: &'static str,
}

/// What is the matter, and what a person has to do about it, if anything.
pub(super) fn story(item: &Item) -> (Both, Option<Both>) {
    match words::read_kind(&item.kind) {
        Some(Kind::Application) => return applied(item.rung.starts_with("expired")),
        Some(Kind::Found) => return found(),
        Some(Kind::Certificate) | None => {}
    }
    match (item.acts, item.waits_for.as_deref()) {
        (_, Some(obstacle)) => hindered(obstacle),
        (Acts::Person, None) => (
            Both {
                ja: "発行元が発行した証明書なので、自動では更新されません。",
                en: "It comes from a vendor, so it is not renewed by itself.",
            },
            Some(Both {
                ja: "発行元で更新の手続きをし、新しい証明書のファイルを管理者に渡してください。",
                en: "Renew it at the vendor, and give the new certificate file to your administrator.",
            }),
        ),
        (Acts::Itself | Acts::Nobody, None) if item.rung.starts_with("expired") => (
            Both {
                ja: "まもなく自動で新しい証明書に替わります。", en: "A new one is about to take its place by itself."
            },
            None,
        ),
        (Acts::Itself | Acts::Nobody, None) => {
            (Both { ja: "期限までに自動で更新されます。", en: "It will be renewed by itself before it expires." }, None)
        }
    }
}

/// An application whose certificate was not brought in.
fn applied(is_over: bool) -> (Both, Option<Both>) {
    if is_over {
        return (
            Both {
                ja: "取得できる期間が過ぎました。この申請の証明書はもう取得できません。",
                en: "The time to fetch its certificate is over.",
            },
            Some(Both {
                ja: "必要なら発行元にもう一度申請し、この申請の取り下げを管理者に依頼してください（tegata application close）。",
                en: "Apply again at the vendor if it is needed, and have your administrator close this one (tegata application close).",
            }),
        );
    }
    (
        Both {
            ja: "発行元から届いた通知の番号で、証明書を取得できます。",
            en: "Its certificate can be fetched with the numbers of the vendor's notice.",
        },
        Some(Both {
            ja: "期限までに証明書を取得し、ファイルを管理者に渡してください（tegata certificate import）。",
            en: "Fetch it before the deadline, and give the file to your administrator (tegata certificate import).",
        }),
    )
}

/// A certificate that somebody else put onto a PC.
fn found() -> (Both, Option<Both>) {
    (
        Both {
            ja: "Tegataが入れた証明書ではないので、自動では更新されません。",
            en: "Tegata did not put it there, so it is not renewed by itself.",
        },
        Some(Both {
            ja: "使っている場合は発行元で更新し、管理者に知らせてください（tegata adopt）。使っていなければ、そのままでかまいません。",
            en: "If it is in use, renew it at its issuer and tell your administrator (tegata adopt). If not, leave it.",
        }),
    )
}

/// An obstacle on the way of a renewal, by its word on the wire.
fn hindered(obstacle: &str) -> (Both, Option<Both>) {
    match obstacle {
        "enrolment" => (
            Both { ja: "このPCはまだTegataに登録されていません。", en: "This PC is not enrolled with Tegata." },
            Some(Both { ja: "管理者に登録を依頼してください。", en: "Ask your administrator to enrol it." }),
        ),
        "silent-device" => (
            Both {
                ja: "このPCから1日以上連絡がないため、更新できません。",
                en: "This PC has not been heard for more than a day, so its certificate cannot be renewed.",
            },
            Some(Both {
                ja: "PCの電源を入れ、ネットワークにつないでください。使わなくなったPCなら、管理者に知らせてください。",
                en: "Switch the PC on and connect it to the network. If it is not used any more, tell your administrator.",
            }),
        ),
        "wrong-clock" => (
            Both {
                ja: "このPCの時計が5分以上ずれているため、更新できません。",
                en: "The clock of this PC is more than five minutes off, so its certificate cannot be renewed.",
            },
            Some(Both { ja: "PCの時計を合わせてください。", en: "Set the clock of the PC." }),
        ),
        "quota" => (
            Both {
                ja: "アカウントで発行できる証明書の数が上限に達しているため、更新できません。",
                en: "The account may have no more certificates, so this one cannot be renewed.",
            },
            Some(Both {
                ja: "管理者に、使っていない証明書の失効か上限の変更を依頼してください。",
                en: "Ask your administrator to revoke certificates that are not used, or to raise the quota.",
            }),
        ),
        "others-first" => (
            Both {
                ja: "ほかの証明書の更新が終わりしだい、自動で更新されます。",
                en: "It is renewed by itself once other renewals are done.",
            },
            None,
        ),
        "too-often" => (
            Both {
                ja: "短い間に何度も発行されたため、しばらく待ってから自動で更新されます。",
                en: "It was issued too often lately; it is renewed by itself after a while.",
            },
            None,
        ),
        "vendor-file" | "dependants" => by_hand(obstacle),
        // The device, and whatever a later version may wait for.
        _ => (
            Both {
                ja: "更新を始めました。PCからの返事を待っています。", en: "Its renewal has begun; the PC's answer is awaited."
            },
            None,
        ),
    }
}

/// What only a person can do.
fn by_hand(obstacle: &str) -> (Both, Option<Both>) {
    match obstacle {
        "vendor-file" => (
            Both {
                ja: "新しい証明書は発行元でしか発行できません。", en: "Only the vendor can issue the new certificate."
            },
            Some(Both {
                ja: "発行元の画面で更新し、届いたファイルを管理者に渡してください（tegata certificate import）。",
                en: "Renew it at the vendor's, and give the file to your administrator (tegata certificate import).",
            }),
        ),
        _ => (
            Both {
                ja: "新しい証明書は入りましたが、ほかのソフトにも入れ替える必要があります。",
                en: "The new certificate is there, but other programs still have the old one.",
            },
            Some(Both {
                ja: "連携ツールなどの証明書を入れ替えてから、管理者に知らせてください（tegata confirm）。",
                en: "Change it in the linkage tool too, then tell your administrator (tegata confirm).",
            }),
        ),
    }
}

#[cfg(test)]
mod tests {
    use tegata_core::plan::Obstacle;

    use super::*;
    use crate::words;

    #[test]
    fn whatever_needs_a_person_says_what_to_do_and_nothing_else_does() {
        let all = [
            Obstacle::Enrolment,
            Obstacle::Device,
            Obstacle::SilentDevice,
            Obstacle::WrongClock,
            Obstacle::Quota,
            Obstacle::OthersFirst,
            Obstacle::TooOften,
            Obstacle::VendorFile,
            Obstacle::Dependants,
        ];
        let own = tegata_core::policy::IssuerKind::Ca { common_name: "Clinic CA".parse().unwrap() };
        for obstacle in all {
            let person = tegata_core::notice::acts(Some(&own), Some(obstacle)) == tegata_core::notice::Acts::Person;
            assert_eq!(hindered(words::obstacle(obstacle)).1.is_some(), person, "{obstacle:?}");
        }
    }
}
