//! References that nothing would answer.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use expect_test::{Expect, expect};

use crate::model::object::ObjectId;
use crate::planning::dangling::{Answer, Found, asked, asked_of_git, found_in_git, problems};
use crate::planning::planner::plan;
use crate::planning::tests::{World, object};

/// The fixture has two more lines: `keys ConfigMap/app A,B` for those of a desired object, and `there Secret/tls A,B` (or `any`) for
/// an object of the namespace that is not osier's.
fn check(fixture: &str, expect: &Expect) {
    let (world, keys, there) = parse(fixture);
    let asked = asked(&world.input(), &plan(&world.input()));
    let mut found = in_git(&world, &keys);
    for asked in asked.iter().filter(|asked| asked.answer == Answer::Namespace) {
        found.insert(asked.object.clone(), there.get(&asked.object).cloned().unwrap_or(Found::Missing));
    }
    let problems = problems(&world.desired, &asked, &found, |asked| (asked.workload.short(), 3));
    let mut text = String::new();
    for problem in problems {
        writeln!(text, "{}\n  {}", problem.message, problem.hint).expect("a string takes everything");
    }
    expect.assert_eq(&text);
}

type Keys = BTreeMap<ObjectId, BTreeSet<String>>;

fn parse(fixture: &str) -> (World, Keys, BTreeMap<ObjectId, Found>) {
    let (mut rest, mut keys, mut there) = (String::new(), BTreeMap::new(), BTreeMap::new());
    for line in fixture.lines().map(str::trim) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["keys", short, list] => drop(keys.insert(object(short), set(list))),
            ["there", short, "any"] => drop(there.insert(object(short), Found::AnyKey)),
            ["there", short, list] => drop(there.insert(object(short), Found::Keys(set(list)))),
            _ => writeln!(rest, "{line}").expect("a string takes everything"),
        }
    }
    (World::parse(&rest), keys, there)
}

fn set(list: &str) -> BTreeSet<String> {
    list.split(',').map(str::to_owned).collect()
}

fn in_git(world: &World, keys: &Keys) -> BTreeMap<ObjectId, Found> {
    let keys = |object: &ObjectId| keys.get(object).cloned().unwrap_or_default();
    let desired = world.desired.objects.iter().filter(|(object, _)| object.kind.is_config());
    desired.map(|(object, desired)| (object.clone(), found_in_git(desired, keys(object)))).collect()
}

#[test]
fn what_is_missing_is_named_all_at_once() {
    check(
        "
        desired ConfigMap/app v1
        desired Secret/db v1
        keys ConfigMap/app LOG_LEVEL
        keys Secret/db PASSWORD,USER
        desired Deployment/api v1 refs=ConfigMap/ap,Secret/db:PASWORD,Secret/db:USER,Secret/db
        desired CronJob/nightly v1 refs=ConfigMap/app:NOTHING,Secret/elsewhere
        ",
        &expect![[r#"
            Deployment/api refers to ConfigMap/ap, which is in no layer and not in the namespace
              did you mean `app`?
            Deployment/api refers to the key `PASWORD` of Secret/db, which has no such key
              did you mean `PASSWORD`?
            CronJob/nightly refers to the key `NOTHING` of ConfigMap/app, which has no such key
              add the key, or use one that is there: LOG_LEVEL
            CronJob/nightly refers to Secret/elsewhere, which is in no layer and not in the namespace
              add it to a layer, create it in the namespace, or mark the reference `optional: true`
        "#]],
    );
}

#[test]
fn what_others_made_counts() {
    check(
        "
        desired Deployment/api v1 refs=Secret/tls:tls.crt,Secret/tls:tls.pem,Secret/old:ANY,Secret/whole
        there Secret/tls tls.crt,tls.key
        there Secret/old any
        there Secret/whole a
        ",
        &expect![[r#"
            Deployment/api refers to the key `tls.pem` of Secret/tls, which has no such key
              did you mean `tls.key`?
        "#]],
    );
}

#[test]
fn what_kubernetes_or_others_answer_for_is_not_asked() {
    check(
        "
        desired ConfigMap/shared v1 osier.dev/keys=shared
        desired ConfigMap/ignored v1 osier.dev/ignore=data.FROM_OUTSIDE
        desired Deployment/api v1 refs=ConfigMap/none?,ConfigMap/shared:K,ConfigMap/ignored:FROM_OUTSIDE,ConfigMap/kube-root-ca.crt:ca.crt scales=Secret/pull
        ",
        &expect![""],
    );
    let with_a_certificate = "
        desired Certificate/tls v1
        desired ConfigMap/app v1
        desired Deployment/api v1 refs=Secret/made-later:tls.crt,ConfigMap/app:K
        ";
    check(
        with_a_certificate,
        &expect![[r#"
            Deployment/api refers to the key `K` of ConfigMap/app, which has no such key
              add the key to ConfigMap/app, or mark the reference `optional: true`
        "#]],
    );
}

#[test]
fn what_goes_answers_nothing() {
    check(
        "
        desired Deployment/api v1 refs=ConfigMap/old,ConfigMap/kept,ConfigMap/dying
        live Deployment/api v1 config=ConfigMap/old:f1
        live ConfigMap/old v1 fp=f1
        live ConfigMap/kept v1 fp=f1 keep
        live ConfigMap/dying v1 fp=f1 terminating
        there ConfigMap/kept K
        ",
        &expect![[r#"
            Deployment/api refers to ConfigMap/dying, which is not in git and does not stay
              put ConfigMap/dying into a layer, or take the reference away in the same commit
            Deployment/api refers to ConfigMap/old, which is not in git and does not stay
              put ConfigMap/old into a layer, or take the reference away in the same commit
        "#]],
    );
}

#[test]
fn what_a_plan_does_not_touch_holds_nothing_back() {
    let fixture = "
        desired ConfigMap/app v1
        desired ConfigMap/other v2
        desired Deployment/api v1 refs=ConfigMap/gone-by-hand,ConfigMap/app:K
        live ConfigMap/app v1 fp=f1
        live ConfigMap/other v1 fp=f1
        live Deployment/api v1 config=ConfigMap/app:f1,ConfigMap/gone-by-hand:absent
        change ConfigMap/other fp=f2 from=v1 leaves=~data.K
        ";
    check(fixture, &expect![""]);
    // a repair is no change either; the next revision of what it refers to is
    check(&fixture.replace("ConfigMap/app v1 fp=f1", "ConfigMap/app v1 fp=f1 drift=fields"), &expect![""]);
    check(
        &fixture.replace("desired ConfigMap/app v1", "desired ConfigMap/app v2"),
        &expect![[r#"
        Deployment/api refers to the key `K` of ConfigMap/app, which has no such key
          add the key to ConfigMap/app, or mark the reference `optional: true`
    "#]],
    );
}

#[test]
fn offline_only_keys_are_known() {
    let (world, keys, _) = parse(
        "
        desired ConfigMap/app v1
        keys ConfigMap/app A
        desired Deployment/api v1 refs=Secret/perhaps-there:K,ConfigMap/app:B
        ",
    );
    let asked = asked_of_git(&world.desired);
    let problems = problems(&world.desired, &asked, &in_git(&world, &keys), |_| ("base/api.yaml".to_owned(), 9));
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        ["base/api.yaml:9: Deployment/api refers to the key `B` of ConfigMap/app, which has no such key"]
    );
}
