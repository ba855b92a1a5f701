use super::*;

const NOW: Timestamp = Timestamp::from_unix(1_795_000_000);

fn clinics(names: &[&str]) -> Scope {
    Scope::Clinics(names.iter().map(|name| name.parse().unwrap()).collect())
}

fn binding(subject: Subject, role: Role, scope: Scope) -> AccessBinding {
    AccessBinding { name: "b".parse().unwrap(), subject, role, scope, not_after: None, alone: None }
}

fn token(name: &str) -> Subject {
    Subject::Token(name.parse().unwrap())
}

fn of_token(bindings: &[AccessBinding], name: &str, right: Right) -> Result<Reach, Denied> {
    let name = name.parse().unwrap();
    reach(bindings, &Person::Token(&name), right, NOW)
}

fn login(subject: &str, groups: &[&str]) -> Login {
    let groups = groups.iter().map(ToString::to_string).collect();
    Login { issuer: "https://id.example.jp".into(), subject: subject.into(), groups }
}

#[test]
fn each_right_is_in_the_list_once_and_has_a_word_of_its_own() {
    let words: BTreeSet<&str> = Right::ALL.map(Right::as_str).into();
    assert_eq!(words.len(), Right::ALL.len());
    assert_eq!(BTreeSet::from(Right::ALL).len(), Right::ALL.len());
}

#[test]
fn a_viewer_and_an_auditor_change_nothing() {
    let reading = [Right::ReadFleet, Right::ReadPolicy, Right::ReadAudit];
    for role in [Role::Viewer, Role::Auditor] {
        assert!(role.rights().iter().all(|right| reading.contains(right)), "{role:?}");
    }
    assert!(Role::Auditor.may(Right::ReadAudit) && !Role::Viewer.may(Right::ReadAudit));
}

#[test]
fn renewing_is_a_smaller_right_than_changing_what_is_in_a_certificate() {
    assert!(Role::Operator.may(Right::Renew) && !Role::Operator.may(Right::ChangePolicy));
    for role in Role::ALL.into_iter().filter(|role| role.may(Right::ChangePolicy)) {
        assert!(role.may(Right::Renew), "{role:?}");
        assert!(role.may(Right::ManageTokens), "who writes bindings could give themselves the rest");
    }
}

#[test]
fn nobody_ends_the_pause_after_a_restore_by_a_role() {
    let given = |right: &Right| Role::ALL.iter().any(|role| role.may(*right));
    let left: Vec<Right> = Right::ALL.into_iter().filter(|right| !given(right)).collect();
    assert_eq!(left, [Right::Recover]);
}

#[test]
fn whoever_is_not_named_may_nothing() {
    let bindings = [binding(token("kanri"), Role::Admin, Scope::Tenant)];
    for right in Right::ALL {
        assert_eq!(of_token(&bindings, "other", right), Err(Denied::Stranger));
        assert_eq!(of_token(&[], "kanri", right), Err(Denied::Stranger));
    }
}

#[test]
fn who_is_known_and_lacks_a_right_is_told_which_roles_they_have() {
    let bindings = [binding(token("kanri"), Role::Viewer, Scope::Tenant), binding(token("kanri"), Role::Auditor, Scope::Tenant)];
    assert_eq!(of_token(&bindings, "kanri", Right::Renew), Err(Denied::Lacks([Role::Viewer, Role::Auditor].into())));
}

#[test]
fn a_right_reaches_as_far_as_the_bindings_that_give_it() {
    let bindings = [
        binding(token("kanri"), Role::Operator, clinics(&["sakura"])),
        binding(token("kanri"), Role::Operator, clinics(&["kaede"])),
        binding(token("kanri"), Role::Viewer, Scope::Tenant),
    ];
    let renew = of_token(&bindings, "kanri", Right::Renew).unwrap();
    assert_eq!(renew.scope, clinics(&["kaede", "sakura"]), "what a viewer sees everywhere is no reason to renew there");
    assert_eq!(of_token(&bindings, "kanri", Right::ReadFleet).unwrap().scope, Scope::Tenant);
    let sakura = "sakura".parse().unwrap();
    assert!(renew.scope.holds(&sakura) && !renew.scope.holds(&"momiji".parse().unwrap()) && Scope::Tenant.holds(&sakura));
}

#[test]
fn a_binding_counts_up_to_its_last_moment() {
    let until = |last: i64| AccessBinding {
        not_after: Some(Timestamp::from_unix(NOW.unix() + last)),
        ..binding(token("kansa"), Role::Auditor, Scope::Tenant)
    };
    assert!(of_token(&[until(0)], "kansa", Right::ReadAudit).is_ok());
    assert_eq!(of_token(&[until(-1)], "kansa", Right::ReadAudit), Err(Denied::Stranger));
}

#[test]
fn what_somebody_may_by_another_role_too_is_no_auditors_read() {
    let auditor = binding(token("kansa"), Role::Auditor, Scope::Tenant);
    assert!(of_token(std::slice::from_ref(&auditor), "kansa", Right::ReadFleet).unwrap().as_auditor);
    let both = [auditor, binding(token("kansa"), Role::Viewer, Scope::Tenant)];
    assert!(!of_token(&both, "kansa", Right::ReadFleet).unwrap().as_auditor);
    assert!(of_token(&both, "kansa", Right::ReadAudit).unwrap().as_auditor);
}

#[test]
fn people_are_known_by_provider_and_subject_and_groups_by_their_id() {
    let issuer = "https://id.example.jp".to_owned();
    let person = binding(Subject::Login { issuer: issuer.clone(), subject: "u1".into() }, Role::Operator, Scope::Tenant);
    let group = binding(Subject::Group { issuer, group: "g-7".into() }, Role::Viewer, Scope::Tenant);
    let bindings = [person, group];
    let may = |login: &Login, right| reach(&bindings, &Person::Login(login), right, NOW).is_ok();
    assert!(may(&login("u1", &[]), Right::Renew));
    assert!(may(&login("u2", &["g-7"]), Right::ReadFleet) && !may(&login("u2", &["g-7"]), Right::Renew));
    for other in [login("U1", &[]), login("u1 ", &[]), login("g-7", &["G-7", "u1", " g-7"])] {
        assert!(!may(&other, Right::ReadFleet), "{other:?}");
    }
    let elsewhere = Login { issuer: "https://id.example.jp/".into(), ..login("u1", &["g-7"]) };
    assert!(!may(&elsewhere, Right::ReadFleet));
    assert!(!may(&login("kanri", &["kanri"]), Right::ReadFleet));
}

#[test]
fn only_an_admin_of_everything_without_end_keeps_a_tenant_manageable() {
    let admin = binding(token("kanri"), Role::Admin, Scope::Tenant);
    assert!(admin.is_lasting_admin());
    assert!(!AccessBinding { not_after: Some(NOW), ..admin.clone() }.is_lasting_admin());
    assert!(!AccessBinding { scope: clinics(&["sakura"]), ..admin.clone() }.is_lasting_admin());
    assert!(!AccessBinding { role: Role::Operator, ..admin }.is_lasting_admin());
}

#[test]
fn somebody_may_reach_alone_what_the_widest_of_their_bindings_lets_them() {
    let alone = |alone| AccessBinding { alone, ..binding(token("kanri"), Role::Admin, Scope::Tenant) };
    let reached = |bindings: &[AccessBinding]| of_token(bindings, "kanri", Right::RevokeMany).unwrap().alone;
    assert_eq!((reached(&[alone(Some(3))]), reached(&[alone(Some(3)), alone(Some(20))])), (Some(3), Some(20)));
    assert_eq!((reached(&[alone(Some(3)), alone(None)]), reached(&[alone(None)])), (None, None));
}
