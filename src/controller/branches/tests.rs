use super::*;
use crate::model::environment::{EnvironmentSpec, Expires, Life};
use crate::model::repository::RepositorySpec;

const CONFIG: &str = "apiVersion: osier.dev/v1alpha1
kind: Config
environments: {staging: {namespace: shop-staging, layers: [base]}}
branches:
- {match: [\"feature/**\"], layers: [\"main:base\"], max: 2, namespace: {prefix: f, template: t}}
- {match: [\"**\"], layers: [\"main:base\"], namespace: {prefix: r, template: t}}
";

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn repository() -> Repository {
    let spec = serde_json::json!({"url": "u", "home": "h"});
    let spec: RepositorySpec = serde_json::from_value(spec).expect("the fields have defaults");
    Repository::new("shop", spec)
}

fn branches(names: &[&str]) -> Branches {
    names.iter().map(|name| ((*name).to_owned(), GitId([1; 20]))).collect()
}

/// The Environment of a branch of `feature/`, created at this second.
fn environment(branch: &str, created: u32, reason: Option<Reason>) -> (String, Environment) {
    let reference = format!("refs/heads/{branch}");
    let name = wire::branch_namespace("f", &wire::branch_slug(&branch["feature/".len()..]), "shop", &reference);
    let mut found = serde_json::to_value(Environment::new(&name, EnvironmentSpec::default())).unwrap();
    found["metadata"]["labels"] = serde_json::json!({wire::LANE: "branches"});
    found["metadata"]["annotations"] = serde_json::json!({wire::REF: reference});
    found["metadata"]["creationTimestamp"] = format!("2026-11-21T00:00:{created:02}Z").into();
    if let Some(reason) = reason {
        let ready = serde_json::json!({"type": "Ready", "status": "False", "reason": reason.as_str(), "lastTransitionTime": ""});
        found["status"] = serde_json::json!({"conditions": [ready]});
    }
    (name, serde_json::from_value(found).unwrap())
}

fn call(config: Option<&str>, names: &[&str], environments: &[(String, Environment)]) -> Roll {
    call_with_caps(config, (&repository(), &[]), names, environments)
}

fn call_with_caps(
    config: Option<&str>,
    (repository, authors): (&Repository, &[(&str, &str)]),
    names: &[&str],
    environments: &[(String, Environment)],
) -> Roll {
    call_with_room(config, (repository, authors), names, environments, "")
}

/// `given`: it was given room at the last roll.
fn call_with_room(
    config: Option<&str>,
    (repository, authors): (&Repository, &[(&str, &str)]),
    names: &[&str],
    environments: &[(String, Environment)],
    given: &str,
) -> Roll {
    let config = config.map(|text| Config::parse("osier.yaml", text).unwrap());
    let branches = branches(names);
    let environments = environments.iter().cloned().collect();
    let authors = authors.iter().filter(|(branch, _)| branches.contains_key(*branch));
    let authors = authors.map(|(branch, author)| ((*branch).to_owned(), (*author).to_owned())).collect();
    let config = config.as_ref();
    let scene =
        Scene { config, repository, branches: &branches, environments: &environments, authors: &authors, now: NOW };
    roll(&scene, |branch| branches.get(branch).map(GitId::to_string), |name| name == given)
}

#[test]
fn each_branch_but_the_protected_one_has_an_environment_by_its_first_entry() {
    let roll = call(Some(CONFIG), &["main", "feature/a", "fix/b"], &[]);
    let prefixes: Vec<&str> = roll.missing.keys().map(|name| &name[..1]).collect();
    assert_eq!(prefixes, ["f", "r"]);
    assert_eq!(roll.missing.keys().collect::<Vec<_>>(), roll.served.iter().collect::<Vec<_>>());
}

#[test]
fn who_came_first_is_served_first() {
    let one = environment("feature/one", 9, Some(Reason::Applied));
    let late = environment("feature/late", 8, Some(Reason::CapReached));
    let early = environment("feature/z-early", 7, Some(Reason::CapReached));
    let all = ["main", "feature/one", "feature/late", "feature/z-early", "feature/new"];
    let first = call(Some(CONFIG), &all, &[one.clone(), late.clone(), early.clone()]);
    assert_eq!(first.served, BTreeSet::from([one.0.clone(), early.0]));
    assert!(first.waiting.contains_key(&late.0) && first.waiting.len() == 2 && first.missing.len() == 1);
    // who has begun stays, whoever else there is
    let begun = environment("feature/late", 8, Some(Reason::Expiring));
    let second = call(Some(CONFIG), &all[..4], &[one.clone(), begun.clone()]);
    assert_eq!(second.served, BTreeSet::from([one.0, begun.0]));
}

#[test]
fn the_cap_that_is_reached_is_named() {
    let mut capped = repository();
    capped.spec.caps.branch_environments = Some(3);
    capped.spec.caps.branch_environments_per_author = Some(1);
    let authors = [("feature/a", "ann"), ("feature/b", "ann"), ("feature/c", "ben"), ("feature/d", "cat")];
    let call = |there: &[(String, Environment)], names: &[&str]| {
        let roll = call_with_caps(Some(CONFIG), (&capped, &authors), names, there);
        let branch = |name: &String| name[2..].rsplit_once('-').map_or(String::new(), |(slug, _)| slug.to_owned());
        let waiting: Vec<_> = roll.waiting.iter().map(|(name, cap)| (branch(name), cap.clone())).collect();
        (roll.served.iter().map(branch).collect::<Vec<_>>(), waiting)
    };
    let all = ["main", "feature/a", "feature/b", "feature/c", "feature/d", "x", "y"];
    let anns = Cap::Author { author: "ann".to_owned(), max: 1 };
    let (served, waiting) = call(&[], &all);
    assert_eq!(served, ["a", "c", "x"], "who is nobody's counts against no author's cap");
    assert_eq!(
        waiting,
        [("b".to_owned(), anns.clone()), ("d".to_owned(), Cap::Entry(2)), ("y".to_owned(), Cap::Repository(3))]
    );
    // whoever is there stays, although the caps came later, and counts
    let there: Vec<_> =
        ["a", "b", "c", "d"].map(|it| environment(&format!("feature/{it}"), 1, Some(Reason::Applied))).into();
    let (served, waiting) = call(&there, &all[..6]);
    assert_eq!(served, ["a", "b", "c", "d"]);
    assert_eq!(waiting, [("x".to_owned(), Cap::Repository(3))]);
    // of whose branch is gone nobody is the author any more, but it takes its room until it is gone, too
    let (served, waiting) = call(&there[..1], &["main", "feature/b", "feature/d", "x", "y"]);
    assert_eq!(served, ["a", "b", "x"]);
    assert_eq!(waiting, [("d".to_owned(), Cap::Entry(2)), ("y".to_owned(), Cap::Repository(3))]);
    let (served, waiting) = call(&there[..1], &["main", "feature/a", "feature/b"]);
    assert_eq!((served, waiting), (vec!["a".to_owned()], vec![("b".to_owned(), anns)]));
}

#[test]
fn the_next_is_of_whoever_has_the_fewest() {
    let mut capped = repository();
    let queue = |branch: &str, created| environment(branch, created, Some(Reason::CapReached));
    let [one, two] = ["feature/one", "feature/two"].map(|branch| environment(branch, 0, Some(Reason::Applied)));
    let (early, more, late) = (queue("feature/early", 1), queue("feature/more", 2), queue("feature/late", 9));
    let names = ["main", "feature/one", "feature/two", "feature/early", "feature/more", "feature/late", "x"];
    let mut authors: Vec<(&str, &str)> = names[1..5].iter().map(|branch| (*branch, "ann")).collect();
    authors.push(("feature/late", "ben"));
    let config = CONFIG.replace("max: 2, ", "");
    let all = [&one, &two, &early, &more, &late].map(Clone::clone);
    let mut call = |room, environments: &[(String, Environment)], given: &str| {
        capped.spec.caps.branch_environments = Some(room);
        let roll = call_with_room(Some(&config), (&capped, &authors), &names, environments, given);
        let branch = |name: &String| name[2..].rsplit_once('-').map_or(String::new(), |(slug, _)| slug.to_owned());
        roll.served.iter().map(branch).filter(|it| it != "one" && it != "two").collect::<Vec<_>>()
    };
    // the two that have none come before the third of Ann, who has waited longer, and of hers the older
    assert_eq!(call(3, &all, ""), ["late"]);
    assert_eq!(call(4, &all, ""), ["late", "x"]);
    assert_eq!(call(5, &all, ""), ["early", "late", "x"]);
    assert_eq!(call(6, &all, ""), ["early", "late", "more", "x"]);
    // who was given room keeps it, whoever comes meanwhile: one whose task runs, and one that was made for it
    assert_eq!(call(3, &all, &more.0), ["more"]);
    let made = environment("feature/more", 2, None);
    assert_eq!(call(3, &[one.clone(), two.clone(), early.clone(), made, late.clone()], ""), ["more"]);
    // but no more than there is
    assert_eq!(call(2, &all, &more.0), Vec::<String>::new());
}

#[test]
fn whose_time_was_over_before_its_branch_went_is_told() {
    let over = |branch: &str, reason| {
        let (name, mut over) = environment(branch, 1, Some(reason));
        let life = Life { tip: GitId([1; 20]).to_string(), over: true, ..Life::default() };
        over.status.as_mut().expect("it has one").life = Some(life);
        (name, over)
    };
    let (gone, there) = (over("feature/gone", Reason::Gone), over("feature/there", Reason::Gone));
    let (mut held, leaving) = (over("feature/held", Reason::Gone), over("feature/leaving", Reason::Expiring));
    let suspend = serde_json::json!({"by": "ann", "reason": "later"});
    held.1.spec.suspend = Some(serde_json::from_value(suspend).unwrap());
    let told = environment("feature/told", 1, Some(Reason::Gone));
    let all = [gone.clone(), there, held, leaving, told].into_iter().collect();
    assert_eq!(outlived(&all, |branch| branch != "feature/there"), BTreeSet::from([gone.0]));
}

#[test]
fn ten_thousand_branches_at_once_wait_in_the_order_in_which_they_came() {
    let names: Vec<String> = (0..10_000).map(|n| format!("feature/{n:04}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let pushed = call(Some(CONFIG), &names, &[]);
    assert_eq!((pushed.missing.len(), pushed.served.len(), pushed.waiting.len()), (10_000, 2, 9_998));
    // whoever was told to wait is asked again in the order of creation, and nothing is made twice
    let waiting = |n: usize| environment(names[n], u32::from(n != 7_777), Some(Reason::CapReached));
    let there: Vec<_> = (0..10_000).map(waiting).collect();
    let again = call(Some(CONFIG), &names, &there);
    assert!(again.missing.is_empty() && again.served.contains(&there[7_777].0));
    assert_eq!((again.served.len(), again.waiting.len()), (2, 9_998));
    // and the one branch of somebody else does not wait until they are through
    let all = [&names[..], &["feature/z"]].concat();
    let authors: Vec<(&str, &str)> =
        all.iter().map(|name| (*name, if *name == "feature/z" { "ben" } else { "ann" })).collect();
    let fair = call_with_caps(Some(CONFIG), (&repository(), &authors), &all, &there);
    let bens: Vec<&String> = fair.missing.keys().collect();
    assert!(bens.len() == 1 && fair.served.contains(bens[0]) && fair.served.contains(&there[7_777].0));
}

#[test]
fn who_is_gone_is_served_until_that_is_said() {
    let [leaving, waiting, gone] = [
        environment("feature/a", 1, Some(Reason::Applied)),
        environment("feature/b", 2, Some(Reason::CapReached)),
        environment("feature/c", 3, Some(Reason::Gone)),
    ];
    let roll = call(Some(CONFIG), &["main"], &[leaving.clone(), waiting.clone(), gone.clone()]);
    assert_eq!(roll.served, BTreeSet::from([leaving.0.clone(), waiting.0.clone()]));
    let back = call(Some(CONFIG), &["main", "feature/c"], std::slice::from_ref(&gone));
    assert!(back.served.contains(&gone.0) && back.missing.is_empty());
    // an osier.yaml that cannot be read begins nothing and ends nothing
    let blind = call(None, &["main", "feature/a", "feature/b", "feature/d"], &[leaving.clone(), waiting, gone]);
    assert_eq!(blind, Roll { served: BTreeSet::from([leaving.0]), ..Roll::default() });
}

#[test]
fn whose_time_was_over_rests_until_a_push_or_a_person() {
    let (name, mut over) = environment("feature/a", 1, Some(Reason::Gone));
    let life = Life { tip: GitId([1; 20]).to_string(), over: true, ..Life::default() };
    over.status.as_mut().expect("it has one").life = Some(life);
    let of = |over: &Environment| call(Some(CONFIG), &["main", "feature/a"], &[(name.clone(), over.clone())]);
    assert_eq!(of(&over), Roll::default());
    let mut asked = over.clone();
    let at = "2026-11-21T00:00:00Z".to_owned();
    asked.spec.expires = Some(Expires { at, by: "ann".to_owned(), reason: "again".to_owned() });
    assert!(of(&asked).served.contains(&name));
    // one that waited, and is not wanted any more, is told so
    let ready =
        |it: &mut Environment| it.status.as_mut().expect("it has one").conditions[0].reason = "CapReached".to_owned();
    let mut waiting = over.clone();
    ready(&mut waiting);
    assert_eq!(of(&waiting), Roll { served: BTreeSet::from([name.clone()]), ..Roll::default() });
    let mut pushed = over;
    pushed.status.as_mut().and_then(|status| status.life.as_mut()).expect("it has one").tip = "another".to_owned();
    assert!(of(&pushed).served.contains(&name));
}

#[test]
fn many_that_go_at_once_are_held_until_somebody_allows_it() {
    let environments: BTreeMap<String, Environment> =
        (0..22).map(|n| environment(&format!("feature/{n}"), 1, Some(Reason::Applied))).collect();
    let left = |n: usize| {
        branches(
            &(0..n).map(|n| format!("feature/{n}")).collect::<Vec<_>>().iter().map(String::as_str).collect::<Vec<_>>(),
        )
    };
    let tip = GitId([2; 20]);
    assert_eq!(too_many_gone(&repository(), tip, &left(11), &environments), None);
    assert!(too_many_gone(&repository(), tip, &left(10), &environments).is_some_and(|why| why.starts_with("12 of 22")));
    let few: BTreeMap<_, _> = environments.clone().into_iter().take(10).collect();
    assert_eq!(too_many_gone(&repository(), tip, &left(0), &few), None);
    let mut allowing = repository();
    let allow = serde_json::json!({"tip": tip.to_string(), "by": "ann", "reason": "meant"});
    allowing.spec.allow.push(serde_json::from_value(allow).unwrap());
    assert_eq!(too_many_gone(&allowing, tip, &left(0), &environments), None);
}

#[test]
fn the_books_of_a_branch_are_kept_for_a_while_after_it() {
    let gone = |branch: &str, day: u32| {
        let (name, mut environment) = environment(branch, 1, Some(Reason::Gone));
        environment.status.as_mut().expect("it has one").ended = Some(format!("2026-11-{day:02}T00:00:00Z"));
        (name, environment)
    };
    let (old, new, there) = (gone("feature/old", 1), gone("feature/new", 20), gone("feature/there", 1));
    let waiting = environment("feature/waiting", 1, Some(Reason::CapReached));
    let all: BTreeMap<_, _> = [old.clone(), new.clone(), there, waiting].into_iter().collect();
    let day = |text: &str| text.parse::<Timestamp>().expect("a moment");
    let of =
        |repository: &Repository, now: &str| forgotten(repository, &all, |branch| branch != "feature/there", day(now));
    let due = Some(day("2026-12-01T00:00:00Z"));
    assert_eq!(of(&repository(), "2026-11-30T23:59:59Z"), (vec![], due));
    assert_eq!(of(&repository(), "2026-12-01T00:00:00Z"), (vec![old.0.clone()], Some(day("2026-12-20T00:00:00Z"))));
    let mut hasty = repository();
    hasty.spec.caps.gone_days = Some(0);
    assert_eq!(of(&hasty, "2026-11-21T00:00:00Z"), (vec![old.0, new.0], None));
    let mut patient = repository();
    patient.spec.caps.gone_days = Some(u64::MAX);
    assert_eq!(of(&patient, "2126-11-21T00:00:00Z"), (vec![], Some(Timestamp::MAX)));
    // of very many the newest are kept
    let many: BTreeMap<_, _> =
        (0..=retention::BRANCHES).map(|n| gone(&format!("feature/{n}"), 1 + u32::from(n != 77))).collect();
    let (forgotten, _) = forgotten(&repository(), &many, |_| true, day("2026-11-03T00:00:00Z"));
    assert_eq!(forgotten, [gone("feature/77", 1).0]);
}
