//! What people read when the agent comes onto their PC, or leaves it.

/// Something to be said about installing and removing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetupPhrase {
    /// It is installed for everybody who uses this PC.
    InstalledForPc,
    /// It is installed for this user alone.
    InstalledForUser,
    /// What is next.
    EnrolNext,
    /// Nothing is left.
    Removed,
    /// The program goes at the next start of the PC.
    RemovedAtRestart,
    /// It was not installed, and why.
    NotInstalled(String),
    /// It was not removed, and why.
    NotRemoved(String),
    /// What to do without an administrator, for installing.
    AskAdministrator,
    /// What to do on Linux.
    UsePackage,
}

pub(super) fn both(phrase: &SetupPhrase) -> (String, String) {
    let (japanese, english) = match phrase {
        SetupPhrase::InstalledForPc => (
            "組み込みました。このパソコンを使うすべての人のために、自動で動きます。",
            "Installed. It runs by itself for everybody who logs on to this PC.",
        ),
        SetupPhrase::InstalledForUser => {
            ("組み込みました。今ログオンしている人のために、自動で動きます。", "Installed. It runs by itself whenever you log on.")
        }
        SetupPhrase::EnrolNext => (
            "次に、管理者から受け取ったコードで登録してください: tegata-agent enroll --help",
            "Next, enrol with the code from your administrator: tegata-agent enroll --help",
        ),
        SetupPhrase::Removed => ("削除しました。", "Removed."),
        SetupPhrase::RemovedAtRestart => (
            "削除しました。プログラムのファイルは、次にパソコンを起動したときに消えます。",
            "Removed. The program file itself goes when this PC starts the next time.",
        ),
        SetupPhrase::NotInstalled(why) => {
            return (format!("組み込めませんでした: {why}"), format!("Not installed: {why}"));
        }
        SetupPhrase::NotRemoved(why) => return (format!("削除できませんでした: {why}"), format!("Not removed: {why}")),
        SetupPhrase::AskAdministrator => (
            "管理者として実行してください。管理者がいないときは、install --user で自分のためだけに組み込めます。",
            "Run it as administrator; without one, `install --user` installs it for you alone.",
        ),
        SetupPhrase::UsePackage => (
            "Linuxではパッケージを使ってください: sudo apt install ./tegata-agent_….deb / sudo apt purge tegata-agent",
            "On Linux use the package: sudo apt install ./tegata-agent_….deb, sudo apt purge tegata-agent",
        ),
    };
    (japanese.into(), english.into())
}
