//! What of a plan puts right.

use expect_test::expect;

use crate::planning::plan::Plan;
use crate::planning::planner::plan;
use crate::planning::repairs;
use crate::planning::tests::{World, print};

/// What a newer revision has written already is left, and of a workload that begins with it nobody says that it began with the older.
#[test]
fn of_what_was_applied_last_only_what_drifted_is_put_right() {
    let fixture = "
        branch
        desired NetworkPolicy/deny v1
        desired ResourceQuota/quota v1
        desired ConfigMap/app v1
        desired ConfigMap/edited v1
        desired Secret/db v1
        desired Deployment/api v1 refs=ConfigMap/app
        desired Deployment/web v1 refs=Secret/db
        desired Job/seed v1
        desired Job/migrate v1 osier.dev/run=before
        live ResourceQuota/quota v2
        live ConfigMap/app v2 fp=f2
        live ConfigMap/edited v1 fp=f1 drift=kubectl-edit
        live ConfigMap/newer v2 fp=f2
        done migrate v1 Complete
        ";
    let repairs = |fixture: &str, again| {
        let whole = plan(&World::parse(fixture).input());
        let plan = Plan { steps: repairs::alone(whole.steps, again), restarts: Vec::new(), kept: Vec::new(), ..whole };
        print(&plan)
    };
    expect![[r#"
        Fences: create NetworkPolicy/deny; not in the cluster yet
        Config: update ConfigMap/edited [repair]; drift: kubectl-edit wrote after us
        Config: create Secret/db; not in the cluster yet
        Workloads: create Deployment/api; not in the cluster yet
        Workloads: create Deployment/web [config in template]; not in the cluster yet
        unchanged 0
    "#]]
    .assert_eq(&repairs(fixture, true));
    expect![[r#"
        Config: update ConfigMap/edited [repair]; drift: kubectl-edit wrote after us
        unchanged 0
    "#]]
    .assert_eq(&repairs(fixture, false));
    // in a namespace that is new it has still to run
    expect![[r#"
        Fences: create NetworkPolicy/deny; not in the cluster yet
        Config: update ConfigMap/edited [repair]; drift: kubectl-edit wrote after us
        Config: create Secret/db; not in the cluster yet
        unchanged 0
    "#]]
    .assert_eq(&repairs(&fixture.replace("done migrate v1 Complete", ""), true));
}
