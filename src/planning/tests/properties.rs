//! What holds for every plan.

use proptest::prelude::*;

use crate::planning::live::{Mark, Remarks};
use crate::planning::opening::to_open;
use crate::planning::plan::{Plan, Verb};
use crate::planning::planner::plan;
use crate::planning::tests::{World, live, object};

const OBJECTS: [&str; 8] = [
    "ConfigMap/a",
    "ConfigMap/kube-root-ca.crt",
    "Secret/b",
    "Deployment/c",
    "StatefulSet/d",
    "Job/e",
    "ServiceAccount/default",
    "HorizontalPodAutoscaler/f",
];

/// Lines about one object: whether and how it is desired, live and changed.
fn lines(short: &'static str) -> impl Strategy<Value = String> {
    let pick = |options: &'static [&'static str]| prop::sample::select(options);
    let desired = pick(&["", "v1", "v2", "v2 osier.dev/recreate=allow", "v1 osier.dev/restart=never"]);
    let live = pick(&[
        "",
        "- ",
        "v1 fp=f1",
        "v1 ",
        "v2 fp=f2",
        "v1 fp=f1 config=ConfigMap/a:f1,Secret/b:f1",
        "v1 adopted=ConfigMap/a:f2,Secret/b:f2",
    ]);
    let state = pick(&["", "", "drift=fields", "terminating", "keep", "scaled"]);
    let marks =
        pick(&["", "", "", "marks=", "marks=e", "marks=la", "marks=le", "marks=ae", "label=x", "label=x annotation=x"]);
    let change = pick(&[
        "fp=f1 from=v1 leaves==data.k",
        "fp=f2 from=v1 leaves=~data.k",
        "fp=f2 leaves=+data.k",
        "fp=f2 from=v1 immutable=data.k",
    ]);
    let done = pick(&["", "", "v1", "v2"]);
    (desired, live, state, marks, change, done).prop_map(move |(desired, live, state, marks, change, done)| {
        let mut lines = format!("change {short} {change}\n");
        let refs = if short.starts_with("Deployment") { "refs=ConfigMap/a,Secret/b" } else { "" };
        let scales = if short.starts_with("Horizontal") { "scales=Deployment/c" } else { "" };
        let name = short.split_once('/').map_or("", |(_, name)| name);
        for (there, line) in [
            (desired, format!("desired {short} {desired} {refs} {scales}\n")),
            (live, format!("live {short} {live} {state} {marks}\n")),
            (done, format!("done {name} {done}\n")),
        ] {
            lines.push_str(if there.is_empty() { "" } else { &line });
        }
        lines
    })
}

fn world() -> impl Strategy<Value = World> {
    let all = OBJECTS.into_iter().map(lines).collect::<Vec<_>>();
    (all, any::<bool>()).prop_map(|(lines, branch)| {
        let mut world = World::parse(&lines.concat());
        world.branch = branch;
        opened(&mut world);
        world
    })
}

/// Leaves only the changes that would have been made.
fn opened(world: &mut World) {
    let open: Vec<_> = to_open(&world.desired, &world.live, &world.done).into_iter().cloned().collect();
    world.changes.objects.retain(|object, _| open.contains(object));
}

/// The world after every step took effect.
fn executed(mut world: World, plan: &Plan) -> World {
    for step in &plan.steps {
        if step.verb == Verb::Delete {
            world.live.remove(&step.object);
            continue;
        }
        let mut object = live(&step.object.short(), &[step.inputs.as_str()]);
        object.stamps.fingerprint = step.fingerprint.as_deref().map(Into::into);
        let mut remarks = Remarks::default();
        match &step.config {
            Some(config) if config.in_template => remarks.config = Some(config.digest.clone()),
            Some(config) => remarks.adopted_config = Some(config.digest.clone()),
            None => {}
        }
        world.live.insert(&step.object, object.with(remarks));
    }
    opened(&mut world);
    world
}

proptest! {
    #[test]
    fn a_plan_after_execution_is_a_no_op(world in world()) {
        let first = plan(&world.input());
        let world = executed(world, &first);
        let second = plan(&world.input());
        prop_assert!(second.steps.is_empty(), "{:#?}", second.steps);
        prop_assert!(second.consent.is_empty() && second.restarts.is_empty());
    }

    #[test]
    fn only_adoption_touches_what_is_not_ours(world in world()) {
        for step in plan(&world.input()).steps {
            let live = world.live.get(&step.object);
            let ownership = live.map(|live| &live.ownership);
            prop_assert_eq!(step.precondition.map(|it| it.uid), live.map(|live| live.uid.clone()));
            match step.verb {
                Verb::Create => prop_assert!(live.is_none()),
                Verb::Update => prop_assert!(ownership.unwrap().may_repair()),
                Verb::Adopt => prop_assert!(!ownership.unwrap().may_repair() && !ownership.unwrap().is_other()),
                Verb::Recreate | Verb::Delete => {
                    let ownership = ownership.unwrap();
                    prop_assert!(ownership.label == Mark::Ours && ownership.entry);
                }
            }
            if step.verb == Verb::Delete {
                let live = live.unwrap();
                prop_assert!(!live.prune_keep && !live.terminating && !world.desired.objects.contains_key(&step.object));
            }
        }
    }

    /// What cannot be changed in place is left out: it is known to nobody without a key, who sees an update.
    #[test]
    fn the_digest_needs_no_key(world in world()) {
        let (mut with_keys, mut without) = (world.clone(), world);
        with_keys.changes.objects.values_mut().for_each(|change| change.immutable.clear());
        for change in without.changes.objects.values_mut() {
            (change.fingerprint, change.predecessor) = (None, None);
            change.immutable.clear();
            change.leaves = [].into();
        }
        prop_assert_eq!(plan(&with_keys.input()).digest, plan(&without.input()).digest);
    }

    #[test]
    fn the_digest_does_not_depend_on_versions_or_order(world in world()) {
        let mut other = world.clone();
        for short in OBJECTS {
            if let Some(live) = other.live.get_mut(&object(short)) {
                live.resource_version = "79".into();
                live.generation = Some(3);
            }
        }
        other.done.reverse();
        prop_assert_eq!(plan(&world.input()).digest, plan(&other.input()).digest);
    }
}
