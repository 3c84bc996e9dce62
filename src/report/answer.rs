//! The service's answer to a Plan, shown as a plan is.

use serde_json::{Value, json};

use crate::model::asked::{Answer, AnsweredChange, AnsweredObject, AnsweredStep};
use crate::model::object::{Kind, ObjectId};
use crate::planning::changes::{LeafChange, Word};
use crate::planning::plan::Verb;
use crate::report::plan::{self, Detail, Totals};
use crate::report::style;

/// The steps with their leaves, a summary, what it waits for, the digest, and what it takes back.
pub fn text(answer: &Answer) -> String {
    let mut text = String::new();
    let leaves: Vec<Vec<LeafChange>> =
        answer.steps.iter().map(|step| step.changes.iter().map(leaf).collect()).collect();
    let names = answer.steps.iter().map(|step| object_id(&step.object).short());
    let width = plan::wide(names.chain(leaves.iter().flatten().map(|leaf| leaf.path.clone())));
    for (step, leaves) in answer.steps.iter().zip(&leaves) {
        let name = object_id(&step.object).short();
        let about = match (step.repair, step.verb.as_str()) {
            (true, _) => plan::repair(&step.why),
            (_, "delete") => plan::deleted(&step.why),
            _ if step.place.is_empty() => step.why.clone(),
            _ => step.place.clone(),
        };
        plan::line(&mut text, &plan::heading(style::verb(verb(step)), &name, width, &about));
        plan::leaves_text(&mut text, leaves, width, Detail::Changes);
        more(&mut text, step.more_changes, "keys change");
    }
    more(&mut text, answer.more_steps, "steps");
    for kept in &answer.kept {
        plan::line(&mut text, &plan::kept_line(&object_id(&kept.object).short(), width, &kept.reason));
    }
    more(&mut text, answer.more_kept, "are kept");
    if !text.is_empty() {
        text.push('\n');
    }
    let restarts = |assumed: bool| {
        let some = answer.restarts.iter().filter(|restart| restart.assumed == assumed);
        some.map(|restart| object_id(&restart.object).short()).collect()
    };
    let counts = answer.summary.clone();
    plan::line(&mut text, &Totals { counts, restart: restarts(false), may_restart: restarts(true) }.lines());
    more(&mut text, answer.more_restarts, "workloads restart, or may");
    text
}

/// The same for programs, in the form of `plan::json`.
pub fn json(answer: &Answer) -> Value {
    let mut value = json!({"steps": [], "kept": [], "restarts": [], "waitsFor": [], "counts": {}});
    let said = serde_json::to_value(answer).expect("an answer is plain data with string keys");
    if let (Some(value), Value::Object(said)) = (value.as_object_mut(), said) {
        value.extend(said.into_iter().filter(|(name, _)| name != "conditions" && name != "expiresAt"));
    }
    value
}

fn more(text: &mut String, count: Option<u64>, what: &str) {
    if let Some(count) = count {
        plan::line(text, &format!("    and {count} more {what}"));
    }
}

fn verb(step: &AnsweredStep) -> Verb {
    let all = [Verb::Create, Verb::Update, Verb::Adopt, Verb::Recreate, Verb::Delete];
    all.into_iter().find(|verb| verb.as_str() == step.verb).unwrap_or(Verb::Update)
}

/// A leaf whose values are withheld, whatever they are.
fn leaf(change: &AnsweredChange) -> LeafChange {
    let all = [Word::Added, Word::Removed, Word::Changed];
    let word = all.into_iter().find(|word| style::word(*word).2 == change.change).unwrap_or(Word::Unknown);
    LeafChange {
        path: change.path.clone(),
        word,
        old: None,
        new: None,
        lines: Vec::new(),
        redacted: true,
        origin: None,
    }
}

fn object_id(object: &AnsweredObject) -> ObjectId {
    ObjectId::new(Kind::new(&object.group, &object.kind), &object.namespace, &object.name)
}
