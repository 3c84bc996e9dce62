//! The text language of plan fixtures, and the plans that come of them.
//!
//! ```text
//! branch                                     the environment is one of a branch (else protected)
//! desired Deployment/api v1 refs=ConfigMap/app,Secret/db:KEY? scales=.. osier.dev/restart=never
//! live ConfigMap/app v1 fp=f1 marks=lae label=.. annotation=.. drift=fields terminating keep scaled config=ConfigMap/app:f1 adopted=..
//! change ConfigMap/app fp=f2 from=v1 leaves=~data.K,=data.L immutable=data.K
//! done migrate v1 Failed
//! ```
//! `marks` are l(abel), a(nnotation), e(ntry); `lae` if not given. Leaves begin with `+`, `~`, `-`, `=`, `?` (unknown) or `r` (re-encrypted).

mod checks;
mod dangling;
mod diffs;
mod index;
mod plans;
mod properties;
mod repairs;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::desired::manifest::Origin;
use crate::desired::outline::Reference;
use crate::desired::set::{Desired, DesiredSet, Source};
use crate::model::environment::{JobResult, JobRun};
use crate::model::object::{Kind, ObjectId};
use crate::model::tree::GitId;
use crate::model::wire;
use crate::planning::changes::{Change, Changes, LeafChange, Word};
use crate::planning::live::{Drift, Live, LiveSet, Mark, Ownership, Remarks, Stamps};
use crate::planning::plan::{Plan, PlanInput, Step};

/// The environment id of all fixtures.
const ENV: &str = "env-ours";

/// Desired, live, changes and the rest of what a plan depends on.
#[derive(Clone, Debug, Default)]
struct World {
    branch: bool,
    desired: DesiredSet,
    live: LiveSet,
    changes: Changes,
    done: Vec<JobRun>,
}

impl World {
    fn input(&self) -> PlanInput<'_> {
        PlanInput {
            environment_id: ENV,
            protected: !self.branch,
            desired: &self.desired,
            live: &self.live,
            changes: &self.changes,
            jobs_done: &self.done,
        }
    }

    fn parse(text: &str) -> Self {
        let mut world = World::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[0] {
                "branch" => world.branch = true,
                "done" => world.done.push(done(&words[1..])),
                "desired" => drop(world.desired.objects.insert(object(words[1]), desired(&words[2..]))),
                "live" => world.live.insert(&object(words[1]), live(words[1], &words[2..])),
                "change" => drop(world.changes.objects.insert(object(words[1]), change(&words[2..]))),
                other => panic!("no such line: {other}"),
            }
        }
        world
    }
}

/// `migrate v1`, and `Complete` or `Failed` if that is noted.
fn done(words: &[&str]) -> JobRun {
    let result = words.get(2).map(|word| match *word {
        "Complete" => JobResult::Complete,
        "Failed" => JobResult::Failed,
        other => panic!("no such result: {other}"),
    });
    JobRun { name: words[0].to_owned(), inputs: words[1].to_owned(), result }
}

fn object(short: &str) -> ObjectId {
    let (kind, name) = short.split_once('/').expect("Kind/name");
    let group = match kind {
        "Deployment" | "StatefulSet" | "DaemonSet" => "apps",
        "Job" | "CronJob" => "batch",
        "HorizontalPodAutoscaler" => "autoscaling",
        "NetworkPolicy" | "Ingress" => "networking.k8s.io",
        "PodDisruptionBudget" => "policy",
        _ => "",
    };
    ObjectId::new(Kind::new(group, kind), "shop", name)
}

/// `Secret/db`, with a key `Secret/db:PASSWORD`, either followed by `?` if it is optional.
fn reference(text: &str, restarts: bool) -> Reference {
    let (needed, optional) = text.strip_suffix('?').map_or((text, false), |needed| (needed, true));
    let (short, key) = needed.split_once(':').map_or((needed, None), |(short, key)| (short, Some(key.to_owned())));
    let object = object(short);
    Reference { kind: object.kind, name: object.name.into(), key, optional, restarts }
}

fn desired(words: &[&str]) -> Desired {
    let source = |path: &str, line| Source {
        layer: "base".into(),
        path: path.into(),
        blob_id: GitId([0; 20]),
        index: 0,
        line,
        encrypted: false,
    };
    let mut desired = Desired {
        api_version: "v1".into(),
        sources: vec![source("base/a.yaml", 1), source("top/a.yaml", 7)],
        inputs: words[0].into(),
        parameters: std::sync::Arc::default(),
        references: std::collections::BTreeSet::new(),
        annotations: BTreeMap::new(),
        isolation: None,
        generated: None,
    };
    for (name, value) in words[1..].iter().map(|word| word.split_once('=').expect("name=value")) {
        match name {
            "refs" => desired.references.extend(value.split(',').map(|short| reference(short, true))),
            "scales" => desired.references.extend(value.split(',').map(|short| reference(short, false))),
            annotation => drop(desired.annotations.insert(annotation.to_owned(), value.to_owned())),
        }
    }
    desired
}

fn live(short: &str, words: &[&str]) -> Live {
    let mark = |word: bool| if word { Mark::Ours } else { Mark::Absent };
    let mut live = Live {
        created: 1_763_701_200,
        uid: format!("uid-{short}").into(),
        resource_version: "7".into(),
        ownership: Ownership { label: Mark::Ours, annotation: Mark::Ours, entry: true },
        stamps: Stamps { inputs: (words[0] != "-").then(|| words[0].into()), ..Stamps::default() },
        created_by_post: true,
        ..Live::default()
    };
    let mut remarks = Remarks::default();
    for word in &words[1..] {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        match name {
            "fp" => live.stamps.fingerprint = Some(value.into()),
            "config" => remarks.config = Some(config(value)),
            "adopted" => remarks.adopted_config = Some(config(value)),
            "marks" => {
                let has = |letter| value.contains(letter);
                live.ownership = Ownership { label: mark(has('l')), annotation: mark(has('a')), entry: has('e') };
            }
            "label" => live.ownership.label = Mark::Other,
            "annotation" => live.ownership.annotation = Mark::Other,
            "drift" => {
                remarks.drift.push(if value == "fields" { Drift::Fields } else { Drift::Newer(value.to_owned()) });
            }
            "terminating" => live.terminating = true,
            "keep" => live.prune_keep = true,
            "scaled" => live.scaled_by_others = true,
            other => panic!("no such word: {other}"),
        }
        if matches!(name, "label" | "annotation") {
            remarks.other_environment.get_or_insert_with(|| value.to_owned());
        }
    }
    live.with(remarks)
}

/// `ConfigMap/app:f1,Secret/db:absent` → the digest that a workload with these references carries.
fn config(text: &str) -> String {
    let parts = text.split(',').map(|part| part.split_once(':').expect("object:fingerprint"));
    let known = |fingerprint: &str| (fingerprint != "absent").then(|| fingerprint.to_owned());
    wire::config(&parts.map(|(short, fingerprint)| (object(short), known(fingerprint))).collect())
}

fn change(words: &[&str]) -> Change {
    let mut change = Change { predecessor: None, fingerprint: None, leaves: [].into(), immutable: Vec::new() };
    for (name, value) in words.iter().map(|word| word.split_once('=').expect("name=value")) {
        match name {
            "fp" => change.fingerprint = Some(value.to_owned()),
            "from" => change.predecessor = Some(value.to_owned()),
            "leaves" => change.leaves = value.split(',').map(leaf).collect(),
            "immutable" => change.immutable = value.split(',').map(str::to_owned).collect(),
            other => panic!("no such word: {other}"),
        }
    }
    change
}

fn leaf(text: &str) -> LeafChange {
    let word = match &text[..1] {
        "+" => Word::Added,
        "~" => Word::Changed,
        "-" => Word::Removed,
        "r" => Word::Reencrypted,
        "?" => Word::Unknown,
        "=" => Word::Unchanged,
        other => panic!("no such leaf: {other}"),
    };
    let origin = Origin { path: "top/a.yaml".to_owned(), line: 12, ciphertext: None, overrides: Vec::new() };
    let path = text[1..].to_owned();
    LeafChange { path, word, old: None, new: None, lines: Vec::new(), redacted: false, origin: Some(origin) }
}

/// The plan in lines, everything but its digest.
fn print(plan: &Plan) -> String {
    let mut text = String::new();
    let mut line = |args: std::fmt::Arguments| writeln!(text, "{args}").expect("a string takes everything");
    for step in &plan.steps {
        line(format_args!(
            "{:?}: {} {}{}; {}",
            step.phase,
            step.verb.as_str(),
            step.object.short(),
            flags(step),
            step.why
        ));
    }
    for kept in &plan.kept {
        line(format_args!("keep {}: {:?}", kept.object.short(), kept.why));
    }
    for restart in &plan.restarts {
        let perhaps = if restart.assumed { " perhaps" } else { "" };
        line(format_args!("restart {}{perhaps}: {}", restart.object.short(), restart.because.join(", ")));
    }
    for consent in &plan.consent {
        match consent {
            crate::planning::plan::Consent::Adoption(objects) => {
                line(format_args!("adoption {}", objects.iter().map(ObjectId::short).collect::<Vec<_>>().join(", ")));
            }
            crate::planning::plan::Consent::MassDeletion(sentence) => line(format_args!("mass deletion: {sentence}")),
        }
    }
    line(format_args!("unchanged {}", plan.unchanged));
    text
}

fn flags(step: &Step) -> String {
    let config = step.config.as_ref().map(|config| config.in_template);
    let flags = [
        (step.repair, " [repair]"),
        (step.stamps_only, " [stamps]"),
        (step.leave_replicas, " [leave replicas]"),
        (config == Some(true), " [config in template]"),
        (config == Some(false), " [config beside]"),
    ];
    let flags: String = flags.into_iter().filter(|(set, _)| *set).map(|(_, text)| text).collect();
    format!("{flags}{}", step.leaves.iter().map(|leaf| format!(" {}", leaf.path)).collect::<String>())
}
