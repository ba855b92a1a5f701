//! What people read about the clinics of their PC.

/// Something to be said about clinics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClinicPhrase {
    /// The one in use, where there are several.
    InUse(String),
    /// What the list begins with.
    List,
    /// One of the list.
    Listed {
        /// Its name.
        name: String,
        /// It is the one in use.
        is_active: bool,
        /// The PC stands there.
        is_home: bool,
    },
    /// This one is in use from now on.
    Switched(String),
    /// This is no clinic of this PC; these are.
    Unknown(String, String),
    /// The choice is remembered, but browsers could not be told, and why.
    Untold(String, String),
    /// The PC was not told of any clinic yet.
    NothingYet,
    /// At this site, this clinic's certificate is shown.
    SiteShows(String, String),
    /// The same, but it has not come yet.
    SiteAwaits(String, String),
    /// At this site browsers ask, because only these clinics use it.
    SiteAsks(String, String),
    /// At this site the certificates of these clinics look the same to browsers.
    SiteAlike(String, String),
}

pub(super) fn both(phrase: &ClinicPhrase) -> (String, String) {
    match phrase {
        ClinicPhrase::InUse(clinic) => (
            format!("使用中の診療所: {clinic} (切り替え: tegata-agent switch 診療所)"),
            format!("Clinic in use: {clinic} (to change it: tegata-agent switch CLINIC)"),
        ),
        ClinicPhrase::List => ("この端末の診療所 (* は使用中):".into(), "Clinics of this PC (* is in use):".into()),
        ClinicPhrase::Listed { name, is_active, is_home } => {
            let mark = if *is_active { '*' } else { ' ' };
            let (japanese, english) = if *is_home { (" (この端末のある診療所)", " (where this PC stands)") } else { ("", "") };
            (format!("{mark} {name}{japanese}"), format!("{mark} {name}{english}"))
        }
        ClinicPhrase::Switched(clinic) => {
            (format!("使用中の診療所を {clinic} に切り替えました。"), format!("The clinic in use is now {clinic}."))
        }
        ClinicPhrase::Unknown(asked, known) => (
            format!("「{asked}」は、この端末で使える診療所ではありません。使える診療所: {known}"),
            format!("This PC does not work for a clinic '{asked}'. It does for: {known}"),
        ),
        ClinicPhrase::Untold(clinic, problem) => (
            format!(
                "使用中の診療所は {clinic} ですが、ブラウザーに伝えられませんでした: {problem}\n  \
                 それまでは、ブラウザーが前の診療所の証明書を使うことがあります。"
            ),
            format!(
                "The clinic in use is {clinic}, but browsers could not be told: {problem}\n  \
                 Until they are, they may show the certificate of the clinic before."
            ),
        ),
        ClinicPhrase::NothingYet => (
            "この端末には、まだ何も届いていません。tegata-agent run を動かしてください。".into(),
            "Nothing has arrived for this PC yet. Have tegata-agent run work first.".into(),
        ),
        ClinicPhrase::SiteShows(site, clinic) => {
            (format!("{site}: {clinic} の証明書を使います"), format!("{site}: certificate of {clinic}"))
        }
        ClinicPhrase::SiteAwaits(site, clinic) => (
            format!("{site}: {clinic} の証明書がまだありません。届くまでは、ブラウザーが証明書を尋ねます"),
            format!("{site}: certificate of {clinic}, which has not come yet; until then the browser asks"),
        ),
        ClinicPhrase::SiteAsks(site, clinics) => (
            format!("{site}: ブラウザーが証明書を尋ねます (使うのは {clinics} だけです)"),
            format!("{site}: the browser asks (only {clinics} use it)"),
        ),
        ClinicPhrase::SiteAlike(site, clinics) => (
            format!("{site}: ブラウザーは {clinics} の証明書と見分けられず、期限の遅いほうを使います。管理者に知らせてください。"),
            format!(
                "{site}: the browser cannot tell it from the certificate of {clinics} and takes what expires last. Tell your administrator."
            ),
        ),
    }
}
