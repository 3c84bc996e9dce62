//! Jobs before and after-ready: how each stands, what of the plan waits, and whether a pass has something to do.

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::{World, object};
use crate::planning::checks::{self, Gate, Standing};
use crate::planning::health::{self, Parts, Workload};
use crate::planning::plan::{Phase, Step};
use crate::planning::planner::plan;

const PARTS: &str = "
    desired ConfigMap/app v2
    desired Job/migrate v2 osier.dev/run=before
    desired Deployment/web v2
    desired Deployment/same v1
    desired Job/smoke v2 osier.dev/run=after-ready
    live ConfigMap/app v1 fp=f1
    live Deployment/web v1
    live Deployment/same v1 drift=fields
    live ConfigMap/old v1 fp=f1
    change ConfigMap/app fp=f2 from=v1 leaves=~data.K
    change Deployment/web from=v1 leaves=~spec.replicas
";

/// What the Job's controller says of `migrate` and `smoke`, if it has seen them.
fn status(word: &str) -> Option<Value> {
    let condition =
        |kind: &str, reason: &str| json!({"conditions": [{"type": kind, "status": "True", "reason": reason}]});
    match word {
        "unseen" => None,
        "running" => Some(json!({"active": 1})),
        "complete" => Some(condition("Complete", "CompletionsReached")),
        "failed" => Some(condition("Failed", "BackoffLimitExceeded")),
        other => panic!("no such word: {other}"),
    }
}

/// The standings of all checks and the steps that wait, of the environment above with these lines, whose Jobs say `said`. `is_up`: everything
/// else is ready.
fn check(lines: &str, said: &str, is_up: bool, expect: Expect) {
    let world = World::parse(&format!("{PARTS}{lines}"));
    let plan = plan(&world.input());
    let standing = |check: &checks::Check| {
        let live = world.live.get(&check.object);
        let workload = live.and_then(|live| {
            let status = status(said)?;
            let health = health::of(&check.object.kind, Parts { generation: None, spec: &json!({}), status: &status });
            let result = health::result(&check.object.kind, &status);
            Some(Workload { uid: live.uid.clone(), generation: None, health, result, refers: [].into() })
        });
        check.standing(&world.done, live, workload.as_ref())
    };
    let checks = checks::of(&world.desired);
    let standings: Vec<(&checks::Check, Standing)> = checks.iter().map(|check| (check, standing(check))).collect();
    let mut text = String::new();
    for (check, Standing { health, is_missing, news }) in &standings {
        let missing = if *is_missing { ", to be created" } else { "" };
        let news = news.map(|news| format!(", to be noted: {news:?}")).unwrap_or_default();
        writeln!(text, "{}: {health:?}{missing}{news}", check.object.short()).unwrap();
    }
    let before = checks::together(standings, Phase::Before);
    for is_begun in [true, false] {
        let gate = Gate::new(&before, is_begun, is_up);
        let (waits, goes): (Vec<_>, Vec<_>) = plan.steps.iter().partition(|step| gate.keeps(step));
        let names = |steps: Vec<&Step>| {
            let names: Vec<String> =
                steps.iter().map(|step| format!("{} {}", step.verb.as_str(), step.object.short())).collect();
            names.join(", ")
        };
        let begun = if is_begun { "begun" } else { "not begun" };
        writeln!(text, "{begun}: {}\n  waits: {}", names(goes), names(waits)).unwrap();
    }
    expect.assert_eq(&text);
}

#[test]
fn before_its_end_only_what_it_needs_is_written() {
    check(
        "",
        "unseen",
        false,
        expect![[r#"
        Job/migrate: Progressing(Why { sentence: "not created yet", cause: Time }), to be created
        Job/smoke: Progressing(Why { sentence: "not created yet", cause: Time }), to be created
        begun: update ConfigMap/app, create Job/migrate, update Deployment/same
          waits: update Deployment/web, create Job/smoke, delete ConfigMap/old
        not begun: update ConfigMap/app, create Job/migrate, update Deployment/same
          waits: update Deployment/web, create Job/smoke, delete ConfigMap/old
    "#]],
    );
    check(
        "live Job/migrate v2",
        "unseen",
        false,
        expect![[r#"
        Job/migrate: Progressing(Why { sentence: "not seen by its controller yet", cause: Time })
        Job/smoke: Progressing(Why { sentence: "not created yet", cause: Time }), to be created
        begun: update ConfigMap/app, update Deployment/same
          waits: update Deployment/web, create Job/smoke, delete ConfigMap/old
        not begun: update ConfigMap/app, update Deployment/same
          waits: update Deployment/web, create Job/smoke, delete ConfigMap/old
    "#]],
    );
    check(
        "live Job/migrate v2 terminating",
        "running",
        false,
        expect![[r#"
        Job/migrate: Progressing(Why { sentence: "being deleted", cause: Time })
        Job/smoke: Progressing(Why { sentence: "not created yet", cause: Time }), to be created
        begun: update ConfigMap/app, update Deployment/same
          waits: update Deployment/web, create Job/smoke, delete ConfigMap/old
        not begun: update ConfigMap/app, update Deployment/same
          waits: update Deployment/web, create Job/smoke, delete ConfigMap/old
    "#]],
    );
    check(
        "live Job/migrate v2",
        "running",
        false,
        expect![[r#"
        Job/migrate: Progressing(Why { sentence: "0 of 1 completed", cause: Time })
        Job/smoke: Progressing(Why { sentence: "not created yet", cause: Time }), to be created
        begun: update ConfigMap/app, update Deployment/same
          waits: update Deployment/web, create Job/smoke, delete ConfigMap/old
        not begun: update ConfigMap/app, update Deployment/same
          waits: update Deployment/web, create Job/smoke, delete ConfigMap/old
    "#]],
    );
}

#[test]
fn the_job_of_other_inputs_says_nothing() {
    check(
        "live Job/migrate v1",
        "complete",
        false,
        expect![[r#"
        Job/migrate: Progressing(Why { sentence: "not created yet", cause: Time }), to be created
        Job/smoke: Progressing(Why { sentence: "not created yet", cause: Time }), to be created
        begun: update ConfigMap/app, recreate Job/migrate, update Deployment/same
          waits: update Deployment/web, create Job/smoke, delete ConfigMap/old
        not begun: update ConfigMap/app, recreate Job/migrate, update Deployment/same
          waits: update Deployment/web, create Job/smoke, delete ConfigMap/old
    "#]],
    );
}

#[test]
fn once_it_is_complete_the_rest_goes_on() {
    check(
        "live Job/migrate v2",
        "complete",
        false,
        expect![[r#"
        Job/migrate: Ready, to be noted: Complete
        Job/smoke: Progressing(Why { sentence: "not created yet", cause: Time }), to be created
        begun: update ConfigMap/app, update Deployment/same, update Deployment/web, delete ConfigMap/old
          waits: create Job/smoke
        not begun: update ConfigMap/app, update Deployment/same, update Deployment/web, delete ConfigMap/old
          waits: create Job/smoke
    "#]],
    );
    check(
        "done migrate v2 Complete",
        "unseen",
        false,
        expect![[r#"
        Job/migrate: Ready
        Job/smoke: Progressing(Why { sentence: "not created yet", cause: Time }), to be created
        begun: update ConfigMap/app, update Deployment/same, update Deployment/web, delete ConfigMap/old
          waits: create Job/smoke
        not begun: update ConfigMap/app, update Deployment/same, update Deployment/web, delete ConfigMap/old
          waits: create Job/smoke
    "#]],
    );
    // noted by an osier that did not wait
    check(
        "done migrate v2",
        "unseen",
        false,
        expect![[r#"
        Job/migrate: Ready
        Job/smoke: Progressing(Why { sentence: "not created yet", cause: Time }), to be created
        begun: update ConfigMap/app, update Deployment/same, update Deployment/web, delete ConfigMap/old
          waits: create Job/smoke
        not begun: update ConfigMap/app, update Deployment/same, update Deployment/web, delete ConfigMap/old
          waits: create Job/smoke
    "#]],
    );
}

#[test]
fn once_it_failed_nothing_goes_on_and_it_is_not_run_again() {
    check(
        "live Job/migrate v2",
        "failed",
        false,
        expect![[r#"
        Job/migrate: Failed(Why { sentence: "failed: BackoffLimitExceeded", cause: Named }), to be noted: Failed
        Job/smoke: Progressing(Why { sentence: "not created yet", cause: Time }), to be created
        begun: update ConfigMap/app, update Deployment/same
          waits: update Deployment/web, create Job/smoke, delete ConfigMap/old
        not begun: update Deployment/same
          waits: update ConfigMap/app, update Deployment/web, create Job/smoke, delete ConfigMap/old
    "#]],
    );
    check(
        "done migrate v2 Failed",
        "unseen",
        false,
        expect![[r#"
        Job/migrate: Failed(Why { sentence: "failed", cause: Named })
        Job/smoke: Progressing(Why { sentence: "not created yet", cause: Time }), to be created
        begun: update ConfigMap/app, update Deployment/same
          waits: update Deployment/web, create Job/smoke, delete ConfigMap/old
        not begun: update Deployment/same
          waits: update ConfigMap/app, update Deployment/web, create Job/smoke, delete ConfigMap/old
    "#]],
    );
    check(
        "done migrate v2 Failed\nlive Job/migrate v2",
        "failed",
        false,
        expect![[r#"
        Job/migrate: Failed(Why { sentence: "failed: BackoffLimitExceeded", cause: Named })
        Job/smoke: Progressing(Why { sentence: "not created yet", cause: Time }), to be created
        begun: update ConfigMap/app, update Deployment/same
          waits: update Deployment/web, create Job/smoke, delete ConfigMap/old
        not begun: update Deployment/same
          waits: update ConfigMap/app, update Deployment/web, create Job/smoke, delete ConfigMap/old
    "#]],
    );
}

#[test]
fn a_job_after_ready_begins_once_the_rest_is_up_and_deletes_do_not_wait_for_it() {
    let done = "done migrate v2 Complete";
    check(
        done,
        "unseen",
        true,
        expect![[r#"
        Job/migrate: Ready
        Job/smoke: Progressing(Why { sentence: "not created yet", cause: Time }), to be created
        begun: update ConfigMap/app, update Deployment/same, update Deployment/web, create Job/smoke, delete ConfigMap/old
          waits: 
        not begun: update ConfigMap/app, update Deployment/same, update Deployment/web, create Job/smoke, delete ConfigMap/old
          waits: 
    "#]],
    );
    check(
        &format!("{done}\nlive Job/smoke v1"),
        "complete",
        false,
        expect![[r#"
        Job/migrate: Ready
        Job/smoke: Progressing(Why { sentence: "not created yet", cause: Time }), to be created
        begun: update ConfigMap/app, update Deployment/same, update Deployment/web, delete ConfigMap/old
          waits: recreate Job/smoke
        not begun: update ConfigMap/app, update Deployment/same, update Deployment/web, delete ConfigMap/old
          waits: recreate Job/smoke
    "#]],
    );
    check(
        &format!("{done}\nlive Job/smoke v2"),
        "failed",
        true,
        expect![[r#"
        Job/migrate: Ready
        Job/smoke: Failed(Why { sentence: "failed: BackoffLimitExceeded", cause: Named }), to be noted: Failed
        begun: update ConfigMap/app, update Deployment/same, update Deployment/web, delete ConfigMap/old
          waits: 
        not begun: update ConfigMap/app, update Deployment/same, update Deployment/web, delete ConfigMap/old
          waits: 
    "#]],
    );
    check(
        &format!("{done}\ndone smoke v2 Failed"),
        "unseen",
        true,
        expect![[r#"
        Job/migrate: Ready
        Job/smoke: Failed(Why { sentence: "failed", cause: Named })
        begun: update ConfigMap/app, update Deployment/same, update Deployment/web, delete ConfigMap/old
          waits: 
        not begun: update ConfigMap/app, update Deployment/same, update Deployment/web, delete ConfigMap/old
          waits: 
    "#]],
    );
}

#[test]
fn a_suspended_check_is_waited_for() {
    let world = World::parse("desired Job/migrate v1 osier.dev/run=before\nlive Job/migrate v1");
    let job = object("Job/migrate");
    let health = health::of(&job.kind, Parts { generation: None, spec: &json!({"suspend": true}), status: &json!({}) });
    assert_eq!(health, health::Health::Ready, "nobody waits for other Jobs that are suspended");
    let live = world.live.get(&job);
    let uid = live.map(|live| live.uid.clone()).unwrap_or_default();
    let workload = Workload { uid, generation: None, health, result: None, refers: [].into() };
    let standing = checks::of(&world.desired)[0].standing(&[], live, Some(&workload));
    assert!(matches!(standing.health, health::Health::Progressing(why) if why.sentence == "suspended"));
}
