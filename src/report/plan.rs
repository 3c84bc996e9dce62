//! A plan for people and for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::desired::manifest::Origin;
use crate::model::object::ObjectId;
use crate::planning::changes::{LeafChange, Word};
use crate::planning::plan::{Consent, Keep, Kept, Plan, Step, Verb};
use crate::report::style::{self, DOTS, FAINT, RESET, YELLOW, count};

/// Leaves half of 80 columns for values.
const WIDEST: usize = style::COLUMNS / 2;
/// What stands before the workloads that restart.
const RESTART: &str = "Will restart: ";
/// What stands before those of which only a key could tell.
const MAY_RESTART: &str = "May restart: ";

/// How much of a plan is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Changed leaves only.
    Changes,
    /// Unchanged leaves of the touched objects, too.
    All,
}

/// The steps with their leaves, then a summary in one line.
pub fn text(plan: &Plan, detail: Detail) -> String {
    let mut text = String::new();
    let width = width(plan, detail);
    for step in &plan.steps {
        step_text(&mut text, step, width, detail);
    }
    for kept in &plan.kept {
        line(&mut text, &kept_line(&kept.object.short(), width, &keep(&kept.why)));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    line(&mut text, &totals(plan).lines());
    text
}

/// `0 to create, 2 to update, 1 to delete, 14 unchanged.  Will restart: Deployment/api`
pub fn summary(plan: &Plan) -> String {
    totals(plan).line()
}

fn totals(plan: &Plan) -> Totals {
    let restarts = |assumed: bool| {
        let some = plan.restarts.iter().filter(|restart| restart.assumed == assumed);
        some.map(|restart| restart.object.short()).collect()
    };
    Totals { counts: counts(plan), restart: restarts(false), may_restart: restarts(true) }
}

/// How a plan is summed up.
pub struct Totals {
    /// Steps per verb.
    pub counts: String,
    /// Workloads that restart.
    pub restart: Vec<String>,
    /// Workloads that may.
    pub may_restart: Vec<String>,
}

impl Totals {
    fn listed(&self) -> impl Iterator<Item = (&'static str, &[String])> {
        let all = [(RESTART, self.restart.as_slice()), (MAY_RESTART, self.may_restart.as_slice())];
        all.into_iter().filter(|(_, names)| !names.is_empty())
    }

    fn line(&self) -> String {
        let listed = self.listed().map(|(title, names)| format!("  {title}{}", names.join(", ")));
        listed.fold(self.counts.clone(), |line, listed| line + &listed)
    }

    /// In lines that fit.
    pub fn lines(&self) -> String {
        let line = self.line();
        if line.chars().count() <= style::COLUMNS {
            return line;
        }
        let listed = self.listed().map(|(title, names)| style::listed(title, names));
        std::iter::once(self.counts.clone()).chain(listed).collect::<Vec<_>>().join("\n")
    }
}

/// `0 to create, 2 to update, 1 to delete, 14 unchanged.`
pub fn counts(plan: &Plan) -> String {
    let of = |verb: Verb| plan.steps.iter().filter(|step| step.verb == verb).count();
    let mut parts = vec![format!("{} to create", of(Verb::Create)), format!("{} to update", of(Verb::Update))];
    for (verb, word) in [(Verb::Adopt, "to adopt"), (Verb::Recreate, "to recreate")] {
        if of(verb) > 0 {
            parts.push(format!("{} {word}", of(verb)));
        }
    }
    parts.push(format!("{} to delete", of(Verb::Delete)));
    parts.push(format!("{} unchanged", plan.unchanged));
    format!("{}.", parts.join(", "))
}

/// What the plan waits for, one sentence each.
pub fn consent(plan: &Plan) -> Vec<String> {
    plan.consent
        .iter()
        .map(|consent| match consent {
            Consent::Adoption(objects) => {
                let names: Vec<String> = objects.iter().take(5).map(ObjectId::short).collect();
                let more = objects.len().saturating_sub(5);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                format!("{} not osier's yet: {}{more}", count(objects.len(), "object"), names.join(", "))
            }
            Consent::MassDeletion(sentence) => sentence.clone(),
        })
        .collect()
}

/// The same plan for programs. There are no values for redacted leaves.
pub fn json(plan: &Plan) -> Value {
    json!({
        "digest": plan.digest,
        "steps": plan.steps.iter().map(step_json).collect::<Vec<_>>(),
        "kept": plan.kept.iter().map(|Kept { object, why }| json!({"object": object_json(object), "reason": keep(why)})).collect::<Vec<_>>(),
        "restarts": plan.restarts.iter().map(|restart| json!({"object": object_json(&restart.object), "because": restart.because, "assumed": restart.assumed})).collect::<Vec<_>>(),
        "unchanged": plan.unchanged,
        "counts": plan.counts(),
        "waitsFor": consent(plan),
    })
}

/// An object id for programs.
pub fn object_json(object: &ObjectId) -> Value {
    json!({"group": object.kind.group, "kind": object.kind.kind, "namespace": object.namespace, "name": object.name})
}

/// One leaf for programs.
pub fn leaf_json(leaf: &LeafChange) -> Value {
    let LeafChange { path, word, old, new, lines, redacted, origin } = leaf;
    let mut value = json!({"path": path, "change": style::word(*word).2, "redacted": redacted});
    if let Some(old) = old {
        value["old"] = json!(old);
    }
    if let Some(new) = new {
        value["new"] = json!(new);
    }
    if !lines.is_empty() {
        value["lines"] = json!(lines);
    }
    if let Some(Origin { path, line, .. }) = origin {
        value["source"] = json!({"path": path, "line": line});
    }
    value
}

/// The leaves of one object, indented, each with its word.
pub fn leaves_text(text: &mut String, leaves: &[LeafChange], width: usize, detail: Detail) {
    for leaf in leaves.iter().filter(|leaf| detail == Detail::All || leaf.word != Word::Unchanged) {
        let (mark, colour, word) = style::word(leaf.word);
        let values = values(leaf);
        let said = if leaf.redacted || leaf.word == Word::Unchanged || leaf.word == Word::Reencrypted {
            format!("{values:<20} {word}")
        } else {
            values
        };
        line(
            text,
            format!("  {colour}{mark} {:width$} {said}{RESET}", leaf.path, width = width.saturating_sub(2)).trim_end(),
        );
        for changed in &leaf.lines {
            line(text, format!("      {changed}").trim_end());
        }
    }
}

fn width(plan: &Plan, detail: Detail) -> usize {
    let names = plan.steps.iter().map(|step| step.object.short());
    let shown = plan.steps.iter().filter(|step| shows_leaves(step, detail));
    let changed = shown.flat_map(|step| step.leaves.iter()).filter(|leaf| leaf.word != Word::Unchanged);
    let paths = changed.map(|leaf| leaf.path.clone());
    wide(names.chain(paths))
}

/// Wide enough for the names and most of the paths; longer paths push their values out.
pub fn wide(texts: impl Iterator<Item = String>) -> usize {
    texts.map(|text| text.chars().count() + 2).filter(|width| *width <= WIDEST).max().unwrap_or(0).max(16)
}

fn step_text(text: &mut String, step: &Step, width: usize, detail: Detail) {
    let about = match (step.repair, step.verb) {
        (true, _) => repair(&step.why),
        (_, Verb::Delete) => deleted(&step.why),
        _ => place(step).unwrap_or_else(|| step.why.clone()),
    };
    line(text, &heading(style::verb(step.verb), &step.object.short(), width, &about));
    if step.stamps_only {
        line(text, &format!("    {FAINT}no value is written: {}{RESET}", step.why));
    }
    if step.verb == Verb::Adopt && !step.object.kind.is_config() {
        line(text, &format!("    {FAINT}fields that git does not name stay as they are{RESET}"));
    }
    if shows_leaves(step, detail) {
        leaves_text(text, &step.leaves, width, detail);
    }
}

/// The line of a step: its mark, what it is about, where it comes from or why it is done.
pub fn heading((mark, colour): (char, &str), name: &str, width: usize, about: &str) -> String {
    format!("{colour}{mark} {name:width$}{RESET} {about}").trim_end().to_owned()
}

/// What the line of a repair says.
pub fn repair(why: &str) -> String {
    format!("{YELLOW}repair{RESET}  {why}")
}

/// What the line of a delete says.
pub fn deleted(why: &str) -> String {
    format!("{why}     will be deleted")
}

/// The line of an object that stays as it is.
pub fn kept_line(name: &str, width: usize, why: &str) -> String {
    format!("{FAINT}  {name:width$} kept: {why}{RESET}")
}

/// Of a new workload every leaf is new: that is the file.
pub fn shows_leaves(step: &Step, detail: Detail) -> bool {
    let long = step.verb == Verb::Create && !step.object.kind.is_config() && detail == Detail::Changes;
    !long && step.verb != Verb::Delete
}

/// Where a step comes from: the first leaf that changes, else the first leaf.
pub fn place(step: &Step) -> Option<String> {
    let changed = step.leaves.iter().find(|leaf| leaf.word != Word::Unchanged && leaf.origin.is_some());
    let origin = changed.or(step.leaves.first()).and_then(|leaf| leaf.origin.as_ref())?;
    let overrides =
        origin.overrides.first().map(|(path, line)| format!("  (overrides {path}:{line})")).unwrap_or_default();
    Some(format!("{}:{}{overrides}", origin.path, origin.line))
}

fn values(leaf: &LeafChange) -> String {
    let shown =
        |value: &Option<String>| if leaf.redacted { DOTS.to_owned() } else { value.clone().unwrap_or_default() };
    match leaf.word {
        // The lines below say it.
        _ if !leaf.lines.is_empty() => String::new(),
        Word::Added => shown(&leaf.new),
        Word::Removed => shown(&leaf.old),
        Word::Changed | Word::Unknown => format!("{} → {}", shown(&leaf.old), shown(&leaf.new)),
        Word::Reencrypted | Word::Unchanged => shown(&leaf.new),
    }
}

fn step_json(step: &Step) -> Value {
    json!({
        "verb": step.verb.as_str(),
        "object": object_json(&step.object),
        "repair": step.repair,
        "stampsOnly": step.stamps_only,
        "why": step.why,
        "changes": step.leaves.iter().filter(|leaf| leaf.word != Word::Unchanged).map(leaf_json).collect::<Vec<_>>(),
    })
}

/// Why an object is kept.
pub fn keep(why: &Keep) -> String {
    let why = match why {
        Keep::PruneKeep => "osier.dev/prune: keep",
        Keep::NotProvenOurs => "its label or our entry is missing, so it may not be deleted",
        Keep::Terminating => "it is being deleted already",
        Keep::JobDone => "the Job ran for these inputs",
        Keep::Reserved => "it belongs to Kubernetes",
        Keep::Immutable(fields) => return format!("{} cannot be changed in place", fields.join(", ")),
        Keep::OtherEnvironment(id) => return format!("it belongs to the environment with the id {id}"),
    };
    why.to_owned()
}

/// Adds a line.
pub fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a String takes everything");
}
