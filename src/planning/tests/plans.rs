//! Fixture → plan, case by case.

use std::fmt::Write as _;

use expect_test::{Expect, expect};

use crate::model::object::ObjectId;
use crate::planning::blocked::blocked;
use crate::planning::opening::to_open;
use crate::planning::plan::Step;
use crate::planning::planner::plan;
use crate::planning::tests::{World, print};

fn check(fixture: &str, expect: Expect) {
    let world = World::parse(fixture);
    expect.assert_eq(&print(&plan(&world.input())));
}

#[test]
fn everything_new_goes_by_phase() {
    check(
        "
        desired Ingress/web v1
        desired HorizontalPodAutoscaler/web v1 scales=Deployment/web
        desired Job/smoke v1 osier.dev/run=after-ready
        desired Job/migrate v1 osier.dev/run=before
        desired Job/plain v1
        desired Deployment/web v1 refs=ConfigMap/app,Secret/db
        desired CronJob/night v1
        desired Service/web v1
        desired Secret/db v1
        desired ConfigMap/app v1
        desired PersistentVolumeClaim/data v1
        desired ServiceAccount/web v1
        desired NetworkPolicy/deny v1
        desired ResourceQuota/quota v1
        desired LimitRange/limits v1
        change ConfigMap/app fp=f1 leaves=+data.K
        change Secret/db fp=f2 leaves=+data.P
        live ConfigMap/old v0 fp=f0
        ",
        expect![[r#"
            Fences: create LimitRange/limits; not in the cluster yet
            Fences: create ResourceQuota/quota; not in the cluster yet
            Fences: create NetworkPolicy/deny; not in the cluster yet
            Ground: create PersistentVolumeClaim/data; not in the cluster yet
            Ground: create ServiceAccount/web; not in the cluster yet
            Config: create ConfigMap/app data.K; not in the cluster yet
            Config: create Secret/db data.P; not in the cluster yet
            Services: create Service/web; not in the cluster yet
            Before: create Job/migrate; not in the cluster yet
            Workloads: create Deployment/web [config in template]; not in the cluster yet
            Workloads: create CronJob/night; not in the cluster yet
            Workloads: create Job/plain; not in the cluster yet
            Edge: create HorizontalPodAutoscaler/web; not in the cluster yet
            Edge: create Ingress/web; not in the cluster yet
            After: create Job/smoke; not in the cluster yet
            Deletes: delete ConfigMap/old; no longer in git
            unchanged 0
        "#]],
    );
}

#[test]
fn what_fences_a_branch_in_comes_before_all_that_is_written_behind_it() {
    let fixture = "
        desired NetworkPolicy/deny v2
        desired ResourceQuota/quota v1
        desired LimitRange/limits v1
        desired PersistentVolumeClaim/data v1
        desired Secret/db v1
        desired Deployment/web v1 refs=Secret/db
        desired ConfigMap/edited v1
        change Secret/db fp=f2 leaves=+data.P
        live NetworkPolicy/deny v1
        live LimitRange/limits v1
        live NetworkPolicy/old v1
        live ConfigMap/edited v1 fp=f1 drift=fields
        live ConfigMap/old v0 fp=f0
        ";
    let needs = |fixture: &str| {
        let plan = plan(&World::parse(fixture).input());
        let line = |step: &Step| {
            let needs: Vec<String> = step.needs.iter().map(ObjectId::short).collect();
            format!("{} {}: {}", step.verb.as_str(), step.object.short(), needs.join(" ")).trim_end().to_owned()
        };
        plan.steps.iter().map(line).collect::<Vec<_>>()
    };
    assert_eq!(
        needs(&format!("branch\n{fixture}")),
        [
            "create ResourceQuota/quota:",
            "update NetworkPolicy/deny:",
            "create PersistentVolumeClaim/data: ResourceQuota/quota NetworkPolicy/deny",
            "update ConfigMap/edited: ResourceQuota/quota NetworkPolicy/deny",
            "create Secret/db: ResourceQuota/quota NetworkPolicy/deny",
            "create Deployment/web: ResourceQuota/quota Secret/db NetworkPolicy/deny",
            "delete ConfigMap/old:",
            "delete NetworkPolicy/old:",
        ]
    );
    // where nobody but reviewers of the protected branch decides, what does not refer to them goes on
    assert!(needs(fixture).iter().all(|line| line.ends_with(':') || line.ends_with("web: Secret/db")));
}

#[test]
fn nothing_to_do() {
    check(
        "
        desired ConfigMap/app v1
        desired Deployment/web v1 refs=ConfigMap/app
        live ConfigMap/app v1 fp=f1
        live Deployment/web v1 config=ConfigMap/app:f1
        live ConfigMap/foreign - marks=
        live ConfigMap/others v1 label=env-other annotation=env-other
        ",
        expect![[r#"
            unchanged 2
        "#]],
    );
}

#[test]
fn updates_and_what_restarts() {
    check(
        "
        desired ConfigMap/app v2
        desired Deployment/web v1 refs=ConfigMap/app,Secret/db
        desired Deployment/quiet v1 refs=ConfigMap/app osier.dev/restart=never
        desired Deployment/apart v1 refs=Secret/db
        desired Deployment/own v2
        live ConfigMap/app v1 fp=f1
        live Secret/db v1 fp=d1
        desired Secret/db v1
        live Deployment/web v1 config=ConfigMap/app:f1,Secret/db:d1
        live Deployment/quiet v1 config=ConfigMap/app:f1
        live Deployment/apart v1 config=Secret/db:d1
        live Deployment/own v1
        change ConfigMap/app fp=f2 from=v1 leaves=~data.LOG_LEVEL,=data.PORT
        change Deployment/own from=v1 leaves=~spec.template.spec.containers[name=own].image
        ",
        expect![[r#"
            Config: update ConfigMap/app data.LOG_LEVEL data.PORT; changed in git
            Workloads: update Deployment/own spec.template.spec.containers[name=own].image; changed in git
            Workloads: update Deployment/web [config in template]; refers to ConfigMap/app, which changes
            restart Deployment/own: its pod template
            restart Deployment/web: ConfigMap/app
            unchanged 3
        "#]],
    );
}

#[test]
fn a_file_that_was_only_reencrypted_writes_stamps() {
    check(
        "
        desired Secret/db v2
        desired Secret/labelled v2
        desired Secret/doubtful v2
        desired Deployment/web v1 refs=Secret/db
        live Secret/db v1 fp=d1
        live Secret/labelled v1 fp=d1
        live Secret/doubtful v1 fp=d1
        live Deployment/web v1 config=Secret/db:d1
        change Secret/db fp=d1 from=v1 leaves=rdata.P
        change Secret/labelled fp=d1 from=v1 leaves==data.P,+metadata.labels.x
        change Secret/doubtful fp=d1 from=v0 leaves==data.P
        ",
        expect![[r#"
            Config: update Secret/db [stamps] data.P; other files, same values
            Config: update Secret/doubtful data.P; changed in git
            Config: update Secret/labelled data.P metadata.labels.x; changed in git
            unchanged 1
        "#]],
    );
}

#[test]
fn without_a_key_a_restart_is_named_that_may_come() {
    check(
        "
        desired Secret/db v2
        desired Deployment/web v1 refs=Secret/db
        live Secret/db v1 fp=d1
        live Deployment/web v1 config=Secret/db:d1
        change Secret/db from=v1 leaves=?data.P
        ",
        expect![[r#"
            Config: update Secret/db data.P; changed in git
            Workloads: update Deployment/web [config in template]; refers to Secret/db, which may change
            restart Deployment/web perhaps: Secret/db
            unchanged 0
        "#]],
    );
}

#[test]
fn a_restart_that_was_missed_is_made_up_for() {
    check(
        "
        desired ConfigMap/app v2
        desired Deployment/web v1 refs=ConfigMap/app
        desired Deployment/gone v1 refs=ConfigMap/gone
        live ConfigMap/app v2 fp=f2
        live ConfigMap/gone v1 fp=g1
        live Deployment/web v1 config=ConfigMap/app:f1
        live Deployment/gone v1 config=ConfigMap/gone:g1
        ",
        expect![[r#"
            Workloads: update Deployment/gone [config in template]; refers to ConfigMap/gone, which changes
            Workloads: update Deployment/web [config in template]; refers to ConfigMap/app, which changes
            Deletes: delete ConfigMap/gone; no longer in git
            restart Deployment/gone: ConfigMap/gone
            restart Deployment/web: ConfigMap/app
            unchanged 1
        "#]],
    );
}

#[test]
fn drift_is_repaired_with_two_of_three_marks() {
    check(
        "
        desired ConfigMap/edited v1
        desired ConfigMap/unlabelled v1
        desired ConfigMap/relabelled v1
        desired ConfigMap/reset v1
        desired ConfigMap/unstamped v1
        desired Deployment/web v1
        live ConfigMap/edited v1 fp=f1 drift=kubectl-edit
        live ConfigMap/unlabelled v1 fp=f1 marks=ae
        live ConfigMap/relabelled v1 fp=f1 label=env-other
        live ConfigMap/reset v1 fp=f1 marks=la drift=fields
        live ConfigMap/unstamped v1
        live Deployment/web v1 drift=fields
        ",
        expect![[r#"
            Config: update ConfigMap/edited [repair]; drift: kubectl-edit wrote after us
            Config: update ConfigMap/relabelled [repair]; drift: a mark of ownership is gone
            Config: update ConfigMap/reset [repair]; drift: fields were changed
            Config: update ConfigMap/unlabelled [repair]; drift: a mark of ownership is gone
            Config: update ConfigMap/unstamped [repair]; drift: the fingerprint is gone
            Workloads: update Deployment/web [repair]; drift: fields were changed
            unchanged 0
        "#]],
    );
}

#[test]
fn what_is_not_ours_waits_for_consent_and_restarts_nothing() {
    check(
        "
        desired ConfigMap/app v1
        desired ConfigMap/entry v1
        desired Deployment/web v1 refs=ConfigMap/app
        desired ServiceAccount/default v1
        live ConfigMap/app - marks=
        live ConfigMap/entry - marks=e
        live Deployment/web - marks= scaled
        live ServiceAccount/default - marks=
        change ConfigMap/app fp=f1 leaves=+data.K
        ",
        expect![[r#"
            Ground: adopt ServiceAccount/default; in the cluster, but not osier's yet
            Config: adopt ConfigMap/app data.K; in the cluster, but not osier's yet
            Config: adopt ConfigMap/entry; in the cluster, but not osier's yet
            Workloads: adopt Deployment/web [leave replicas] [config beside]; in the cluster, but not osier's yet
            adoption ServiceAccount/default, ConfigMap/app, ConfigMap/entry, Deployment/web
            unchanged 0
        "#]],
    );
}

#[test]
fn the_default_account_of_a_branch_environment_is_adopted_unasked() {
    check(
        "
        branch
        desired ServiceAccount/default v1
        live ServiceAccount/default - marks=
        ",
        expect![[r#"
            Ground: adopt ServiceAccount/default; in the cluster, but not osier's yet
            unchanged 0
        "#]],
    );
}

#[test]
fn after_adoption_the_first_other_digest_restarts() {
    let adopted = "
        desired ConfigMap/app v2
        desired Deployment/web v1 refs=ConfigMap/app
        live Deployment/web v1 adopted=ConfigMap/app:f1
        ";
    check(
        &format!("{adopted}\nlive ConfigMap/app v2 fp=f1"),
        expect![[r#"
        unchanged 2
    "#]],
    );
    check(
        &format!("{adopted}\nlive ConfigMap/app v1 fp=f1\nchange ConfigMap/app fp=f2 from=v1"),
        expect![[r#"
            Config: update ConfigMap/app; changed in git
            Workloads: update Deployment/web [config in template]; refers to ConfigMap/app, which changes
            restart Deployment/web: ConfigMap/app
            unchanged 0
        "#]],
    );
    let drifted = adopted.replace("adopted=", "drift=fields adopted=");
    check(
        &format!("{drifted}\nlive ConfigMap/app v2 fp=f1"),
        expect![[r#"
        Workloads: update Deployment/web [repair] [config beside]; drift: fields were changed
        unchanged 1
    "#]],
    );
}

#[test]
fn every_reason_for_keeping() {
    check(
        "
        desired Job/done v1
        desired Job/rolled-back v1
        desired ConfigMap/going v1
        desired ConfigMap/kube-root-ca.crt v1
        desired Deployment/fixed v2
        desired ConfigMap/taken v1
        desired Job/unproven v2
        done done v1
        done rolled-back v1
        live Job/rolled-back v2
        live Job/unproven v1 marks=ae
        live ConfigMap/going v0 fp=f1 terminating
        live ConfigMap/kube-root-ca.crt - marks=
        live ServiceAccount/default v1
        live Deployment/fixed v1
        live ConfigMap/taken v1 label=env-other annotation=env-other
        live ConfigMap/kept v1 fp=f1 keep
        live ConfigMap/copied v1 fp=f1 marks=la
        live ConfigMap/unlabelled v1 fp=f1 marks=ae
        live ConfigMap/half v1 fp=f1 annotation=env-other
        live ConfigMap/leaving v1 fp=f1 terminating
        change Deployment/fixed from=v1 leaves=~spec.selector.matchLabels.app immutable=spec.selector
        ",
        expect![[r#"
            keep ConfigMap/copied: NotProvenOurs
            keep ConfigMap/going: Terminating
            keep ConfigMap/half: NotProvenOurs
            keep ConfigMap/kept: PruneKeep
            keep ConfigMap/kube-root-ca.crt: Reserved
            keep ConfigMap/leaving: Terminating
            keep ConfigMap/taken: OtherEnvironment("env-other")
            keep ConfigMap/unlabelled: NotProvenOurs
            keep ServiceAccount/default: Reserved
            keep Deployment/fixed: Immutable(["spec.selector"])
            keep Job/done: JobDone
            keep Job/rolled-back: JobDone
            keep Job/unproven: NotProvenOurs
            unchanged 0
        "#]],
    );
}

#[test]
fn recreated_if_git_allows_it() {
    check(
        "
        desired Deployment/web v2 osier.dev/recreate=allow refs=ConfigMap/app
        desired Secret/db v2 osier.dev/recreate=allow
        desired PersistentVolumeClaim/data v2 osier.dev/recreate=allow
        live Deployment/web v1 scaled adopted=ConfigMap/app:absent
        live Secret/db v1 fp=f1
        live PersistentVolumeClaim/data v1
        change Deployment/web from=v1 leaves=~spec.selector.matchLabels.app immutable=spec.selector
        change Secret/db fp=f2 from=v1 leaves=~type immutable=type
        change PersistentVolumeClaim/data from=v1 leaves=~spec.storageClassName immutable=spec.storageClassName
        ",
        expect![[r#"
            Ground: recreate PersistentVolumeClaim/data spec.storageClassName; spec.storageClassName cannot be changed in place
            Config: recreate Secret/db type; type cannot be changed in place
            Workloads: recreate Deployment/web [config in template] spec.selector.matchLabels.app; spec.selector cannot be changed in place
            restart Deployment/web: its pod template
            mass deletion: deletes PersistentVolumeClaim/data
            unchanged 0
        "#]],
    );
}

#[test]
fn a_job_runs_once_for_its_inputs() {
    check(
        "
        desired Job/same v1
        desired Job/other v2
        desired Job/gone v2
        desired Job/drifted v1
        live Job/same v1
        live Job/other v1
        live Job/drifted v1 drift=fields marks=ae
        done gone v1
        done other v1
        ",
        expect![[r#"
            Workloads: create Job/gone; not in the cluster yet
            Workloads: recreate Job/other; changed in git: runs again
            unchanged 2
        "#]],
    );
}

#[test]
fn replicas_are_left_to_those_who_scale() {
    check(
        "
        desired Deployment/scaled v2
        desired Deployment/said v2
        desired Deployment/auto v2
        desired Deployment/unknown v2
        desired HorizontalPodAutoscaler/auto v1 scales=Deployment/auto,Deployment/new
        desired Deployment/new v1
        live HorizontalPodAutoscaler/auto v1
        live Deployment/scaled v1 scaled
        live Deployment/said v1 scaled
        live Deployment/auto v1
        live Deployment/unknown v1 scaled
        change Deployment/scaled from=v1 leaves=~metadata.labels.a,=spec.replicas
        change Deployment/said from=v1 leaves=~spec.replicas
        change Deployment/auto from=v1 leaves=~spec.replicas
        change Deployment/unknown leaves=+spec.replicas
        ",
        expect![[r#"
            Workloads: update Deployment/auto [leave replicas] spec.replicas; changed in git
            Workloads: create Deployment/new; not in the cluster yet
            Workloads: update Deployment/said spec.replicas; changed in git
            Workloads: update Deployment/scaled [leave replicas] metadata.labels.a spec.replicas; changed in git
            Workloads: update Deployment/unknown [leave replicas] spec.replicas; changed in git
            unchanged 1
        "#]],
    );
}

#[test]
fn ignored_leaves_are_not_written_and_restart_nothing() {
    check(
        "
        desired Deployment/web v2 osier.dev/ignore=spec.template.metadata.annotations
        desired Deployment/new v1 osier.dev/ignore=spec.paused
        live Deployment/web v1
        change Deployment/web from=v1 leaves=~spec.template.metadata.annotations.a,~spec.paused
        change Deployment/new leaves=+spec.paused
        ",
        expect![[r#"
            Workloads: create Deployment/new spec.paused; not in the cluster yet
            Workloads: update Deployment/web spec.paused; changed in git
            unchanged 0
        "#]],
    );
}

/// `kept` objects stay, `gone` are deleted; what is to be allowed.
fn deletion(kept: usize, gone: usize) -> String {
    let mut fixture = String::new();
    for index in 0..kept {
        write!(fixture, "desired ConfigMap/kept-{index} v1\nlive ConfigMap/kept-{index} v1 fp=f\n").unwrap();
    }
    for index in 0..gone {
        writeln!(fixture, "live ConfigMap/gone-{index} v1 fp=f").unwrap();
    }
    let world = World::parse(&fixture);
    let held = |input| plan(&input).consent.into_iter().map(|consent| format!("{consent:?}")).collect::<String>();
    let branch = crate::planning::plan::PlanInput { protected: false, ..world.input() };
    assert_eq!(held(branch), "", "branches delete unasked");
    held(world.input())
}

#[test]
fn boundaries_of_mass_deletion() {
    let unasked = [(1, 3), (12, 3), (16, 4), (80, 20), (0, 0)];
    assert_eq!(unasked.map(|(kept, gone)| deletion(kept, gone)), unasked.map(|_| String::new()));
    expect![[r#"
        MassDeletion("deletes 4 of 19 objects (4 ConfigMap)")
        MassDeletion("deletes 20 of 99 objects (20 ConfigMap)")
        MassDeletion("deletes everything (1 ConfigMap)")
        MassDeletion("deletes everything (4 ConfigMap)")"#]]
    .assert_eq(&[(15, 4), (79, 20), (0, 1), (0, 4)].map(|(kept, gone)| deletion(kept, gone)).join("\n"));
}

#[test]
fn volumes_and_stateful_sets_are_never_deleted_unasked() {
    check(
        "
        desired ConfigMap/app v1
        live ConfigMap/app v1 fp=f
        live StatefulSet/db v1
        live PersistentVolumeClaim/data v1
        ",
        expect![[r#"
            Deletes: delete PersistentVolumeClaim/data; no longer in git
            Deletes: delete StatefulSet/db; no longer in git
            mass deletion: deletes PersistentVolumeClaim/data, StatefulSet/db
            unchanged 1
        "#]],
    );
    check(
        "desired ConfigMap/new-name v1\nlive ConfigMap/old-name v1 fp=f",
        expect![[r#"
        Config: create ConfigMap/new-name; not in the cluster yet
        Deletes: delete ConfigMap/old-name; no longer in git
        unchanged 0
    "#]],
    );
}

#[test]
fn problems_of_objects_that_cannot_be_written() {
    let world = World::parse(
        "
        desired Deployment/fixed v2
        desired Secret/db v2
        desired ConfigMap/taken v1
        live Deployment/fixed v1
        live Secret/db v1 fp=f1
        live ConfigMap/taken v1 label=env-other annotation=env-other
        change Deployment/fixed from=v1 leaves=~spec.selector.matchLabels.app immutable=spec.selector
        change Secret/db fp=f2 from=v1 leaves==data.a,~data.b,-type immutable=data.b,type
        ",
    );
    let problems = blocked(&world.input(), &plan(&world.input()));
    let lines: Vec<String> = problems.iter().map(|it| format!("{it} [{}]\n  {}\n", it.reason, it.hint)).collect();
    expect![[r#"
        top/a.yaml:7: ConfigMap/taken belongs to the environment with the id `env-other` [NameTaken]
          remove it there first; to hand it over, take `osier.dev/environment` off its labels and annotations and then run `osier adopt`
        top/a.yaml:12: `data.b` of Secret/db cannot be changed in place [ProblemsFound]
          take the change back, give the object another name, or annotate it with `osier.dev/recreate: allow`: then it is deleted and created
        top/a.yaml:12: `type` of Secret/db cannot be changed in place [ProblemsFound]
          take the change back, give the object another name, or annotate it with `osier.dev/recreate: allow`: then it is deleted and created
        top/a.yaml:12: `spec.selector` of Deployment/fixed cannot be changed in place [ProblemsFound]
          take the change back, give the object another name, or annotate it with `osier.dev/recreate: allow`: then it is deleted and created
    "#]].assert_eq(&lines.concat());
}

#[test]
fn what_has_to_be_opened() {
    let world = World::parse(
        "
        desired ConfigMap/same v1
        desired ConfigMap/unstamped v1
        desired ConfigMap/other v2
        desired ConfigMap/new v1
        desired Deployment/same v1
        desired Job/done v1
        live ConfigMap/same v1 fp=f
        live ConfigMap/unstamped v1
        live ConfigMap/other v1 fp=f
        live Deployment/same v1
        done done v1
        ",
    );
    let open = to_open(&world.desired, &world.live, &world.done);
    assert_eq!(
        open.iter().map(|object| object.short()).collect::<Vec<_>>(),
        ["ConfigMap/new", "ConfigMap/other", "ConfigMap/unstamped"]
    );
}

#[test]
fn the_digest_is_about_what_is_done() {
    let digest = |fixture: &str| plan(&World::parse(fixture).input()).digest;
    let base = "
        desired ConfigMap/app v2
        desired ConfigMap/still v1
        desired Deployment/web v1 refs=ConfigMap/app
        live ConfigMap/app v1 fp=f1
        live ConfigMap/still v1 fp=f1
        live Deployment/web v1 config=ConfigMap/app:f1
        ";
    let changed = format!("{base}\nchange ConfigMap/app fp=f2 from=v1");
    let repaired = changed.replace("live ConfigMap/still v1", "live ConfigMap/still v1 drift=fields");
    assert_eq!(digest(&changed), digest(&repaired), "repairs do not count");
    assert_ne!(digest(&changed), digest(&changed.replace("app v2", "app v3")), "inputs count");
    let unmoved = format!("{base}\nchange ConfigMap/app fp=f1 from=v1");
    assert_eq!(digest(&changed), digest(&unmoved), "restarts do not: who has no key cannot tell whether they come");
}
