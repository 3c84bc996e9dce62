//! The answer to a Plan that a person asked for: the pipeline up to the plan, made without keys and cut to a bound.

use jiff::{SignedDuration, Timestamp};

use crate::git::fetch::Known;
use crate::model::asked::{
    Answer, AnsweredChange, AnsweredKept, AnsweredObject, AnsweredProblem, AnsweredRestart, AnsweredStep, CAUSES,
    CHANGES, OTHERS, Question, STEPS, TEXT, TakenBack,
};
use crate::model::environment::{Condition, Hold};
use crate::model::object::ObjectId;
use crate::model::problem::Problem;
use crate::model::reason::Reason;
use crate::planning::changes::{LeafChange, Word};
use crate::planning::plan::{Plan, Step, Verb};
use crate::reconcile::error::Error;
use crate::reconcile::history::seconds;
use crate::reconcile::target::{self, Target};
use crate::reconcile::world::World;
use crate::reconcile::{Ask, prepare};
use crate::report::plan as report;
use crate::report::style;

/// How long an answer is kept: long enough to be looked at and talked about, too short to be taken for how things are.
const LIVES: SignedDuration = SignedDuration::from_hours(1);
/// How long a refusal is kept.
const REFUSAL_LIVES: SignedDuration = SignedDuration::from_mins(5);
/// Steps take this much in etcd, which is a tenth of what fits into an object.
const BYTES: usize = 128 << 10;

/// Answers a question as of `tip`.
///
/// # Guarantees
/// Nothing in it depends on a value of an encrypted file, and no value at all is in it.
pub async fn answer(world: &mut World, question: &Question, tip: Known) -> Answer {
    let now = (world.now)();
    match planned(world, question, tip).await {
        Ok((target, plan)) => {
            // a history that cannot be read keeps nobody from the plan
            let taken_back = target::taken_back(world, &question.environment, target.commit).await.unwrap_or_default();
            let taken_back = taken_back.into_iter().map(|commit| TakenBack {
                commit: commit.commit_id.to_string(),
                summary: cut(&commit.summary),
                author: cut(&commit.author),
            });
            let message = format!("planned {}", target.commit.short());
            let conditions = vec![ready(true, Reason::Planned, &message, now)];
            let answer = Answer { commit: target.commit.to_string(), conditions, ..of(&plan) };
            until(Answer { takes_back: taken_back.collect(), ..answer }, now, LIVES)
        }
        Err(error) => {
            let (reason, hint) = (error.reason(), error.hint().unwrap_or_default());
            let problems = if let Error::Blocked { problems, .. } = &error { problems.as_slice() } else { &[] };
            let refused = refused(reason, &error.sentence(), &hint, now);
            let more_problems = more(problems.len(), OTHERS);
            let problems = problems.iter().take(OTHERS).map(problem).collect();
            Answer { problems, more_problems, ..refused }
        }
    }
}

/// The answer to a question that is not looked into.
pub fn refused(reason: Reason, message: &str, hint: &str, now: Timestamp) -> Answer {
    let conditions = vec![ready(false, reason, message, now)];
    until(Answer { conditions, hint: cut(hint), ..Answer::default() }, now, REFUSAL_LIVES)
}

fn until(answer: Answer, now: Timestamp, lives: SignedDuration) -> Answer {
    let end = now.checked_add(lives).unwrap_or(now);
    Answer { expires_at: Some(seconds(end)), ..answer }
}

/// What the plan is, without keys.
async fn planned(world: &mut World, question: &Question, tip: Known) -> Result<(Target, Plan), Error> {
    let Question { environment, to, by } = question;
    // going back works with what is at hand, as a rollback does
    let hold = Hold { to: to.clone(), until: None, by: by.clone(), reason: String::new() };
    let hold = (!to.is_empty()).then_some(hold);
    let ask = Ask { hold, tip: Some(tip), ..Ask::by_person(environment) };
    let start = prepare::begin(world, &ask).await?;
    let target = target::asked(world, &start, to).await?;
    let plan = prepare::keyless(world, &start, &target).await?;
    Ok((target, plan))
}

fn ready(is_ready: bool, reason: Reason, message: &str, now: Timestamp) -> Condition {
    Condition {
        kind: "Ready".to_owned(),
        status: if is_ready { "True" } else { "False" }.to_owned(),
        reason: reason.as_str().to_owned(),
        message: cut(message),
        last_transition_time: seconds(now),
        observed_generation: None,
    }
}

/// A plan as far as it fits.
fn of(plan: &Plan) -> Answer {
    let (mut steps, mut bytes) = (Vec::new(), 0);
    for step in plan.steps.iter().take(STEPS).map(step) {
        bytes += serde_json::to_string(&step).map_or(BYTES, |text| text.len());
        if bytes > BYTES {
            break;
        }
        steps.push(step);
    }
    let kept = |kept: &crate::planning::plan::Kept| AnsweredKept {
        object: object(&kept.object),
        reason: cut(&report::keep(&kept.why)),
    };
    let restarts = plan.restarts.iter().take(OTHERS).map(|restart| AnsweredRestart {
        object: object(&restart.object),
        because: restart.because.iter().take(CAUSES).map(|why| cut(why)).collect(),
        assumed: restart.assumed,
    });
    Answer {
        summary: report::counts(plan),
        digest: plan.digest.clone(),
        counts: plan.counts(),
        unchanged: plan.unchanged as u64,
        more_steps: more(plan.steps.len(), steps.len()),
        steps,
        kept: plan.kept.iter().take(OTHERS).map(kept).collect(),
        more_kept: more(plan.kept.len(), OTHERS),
        restarts: restarts.collect(),
        more_restarts: more(plan.restarts.len(), OTHERS),
        waits_for: report::consent(plan).iter().take(OTHERS).map(|sentence| cut(sentence)).collect(),
        ..Answer::default()
    }
}

fn step(step: &Step) -> AnsweredStep {
    // what adopting changes is a comparison with what is somebody else's
    let shown = report::shows_leaves(step, report::Detail::Changes) && step.verb != Verb::Adopt;
    let leaves = step.leaves.iter().filter(|leaf| shown && leaf.word != Word::Unchanged);
    let count = leaves.clone().count();
    AnsweredStep {
        verb: step.verb.as_str().to_owned(),
        object: object(&step.object),
        repair: step.repair,
        why: cut(&step.why),
        place: report::place(step).map(|place| cut(&place)).unwrap_or_default(),
        changes: leaves.take(CHANGES).map(change).collect(),
        more_changes: more(count, CHANGES),
    }
}

/// Of a value that was or is encrypted: whether it came or went, and else nothing that only a key could tell.
fn change(leaf: &LeafChange) -> AnsweredChange {
    let word = match leaf.word {
        Word::Added | Word::Removed => leaf.word,
        Word::Changed if !leaf.redacted => leaf.word,
        Word::Changed | Word::Reencrypted | Word::Unknown | Word::Unchanged => Word::Unknown,
    };
    AnsweredChange { path: cut(&leaf.path), change: style::word(word).2.to_owned() }
}

fn object(object: &ObjectId) -> AnsweredObject {
    AnsweredObject {
        group: object.kind.group.to_string(),
        kind: object.kind.kind.to_string(),
        namespace: object.namespace.to_string(),
        name: object.name.to_string(),
    }
}

fn problem(problem: &Problem) -> AnsweredProblem {
    let Problem { path, line, column, reason, message, hint } = problem;
    let reason = reason.as_str().to_owned();
    AnsweredProblem { path: cut(path), line: *line, column: *column, reason, message: cut(message), hint: cut(hint) }
}

fn more(all: usize, shown: usize) -> Option<u64> {
    let rest = all.saturating_sub(shown) as u64;
    (rest > 0).then_some(rest)
}

/// The text, or its beginning.
fn cut(text: &str) -> String {
    if text.chars().count() <= TEXT {
        return text.to_owned();
    }
    text.chars().take(TEXT - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::model::object::Kind;
    use crate::planning::plan::{Kept, Phase, Restart};

    const MARKER: &str = "canary-answer";

    fn leaf(path: &str, word: Word, redacted: bool) -> LeafChange {
        let value = || Some(MARKER.to_owned());
        let lines = vec![format!("+{MARKER}")];
        LeafChange { path: path.to_owned(), word, old: value(), new: value(), lines, redacted, origin: None }
    }

    fn step(name: &str, verb: Verb, leaves: Vec<LeafChange>) -> Step {
        Step {
            phase: Phase::Config,
            verb,
            object: ObjectId::new(Kind::new("", "Secret"), "shop", name),
            inputs: String::new(),
            fingerprint: Some(MARKER.to_owned()),
            precondition: None,
            needs: std::collections::BTreeSet::new(),
            repair: false,
            stamps_only: false,
            leave_replicas: false,
            config: None,
            leaves: Arc::from(leaves),
            why: "changed in git".to_owned(),
        }
    }

    fn plan(steps: Vec<Step>) -> Plan {
        let (kept, restarts, consent) = (Vec::new(), Vec::new(), Vec::new());
        Plan { steps, kept, restarts, unchanged: 3, digest: "d".to_owned(), consent }
    }

    fn json(plan: &Plan) -> String {
        serde_json::to_string(&of(plan)).expect("plain data")
    }

    proptest! {
        /// Whatever is known of a value, the answer is the same, and has no value.
        #[test]
        fn an_encrypted_value_that_changed_looks_like_one_that_did_not(
            words in prop::collection::vec((0_usize..3, 0_usize..3), 1..20),
        ) {
            let words_of = [Word::Changed, Word::Reencrypted, Word::Unknown];
            let side = |pick: fn(&(usize, usize)) -> usize| {
                let leaves = words.iter().enumerate();
                let leaves = leaves.map(|(at, both)| leaf(&format!("data.K{at}"), words_of[pick(both)], true));
                json(&plan(vec![step("db", Verb::Update, leaves.collect())]))
            };
            let (one, other) = (side(|both| both.0), side(|both| both.1));
            prop_assert!(!one.contains(MARKER) && !one.contains("same value"), "{}", one);
            prop_assert_eq!(one, other);
        }
    }

    #[test]
    fn no_value_is_in_it_cleartext_or_not() {
        let all = [Word::Added, Word::Changed, Word::Removed, Word::Reencrypted, Word::Unknown, Word::Unchanged];
        let leaves = |redacted| all.map(|word| leaf("data.K", word, redacted)).to_vec();
        for verb in [Verb::Create, Verb::Update, Verb::Adopt, Verb::Recreate, Verb::Delete] {
            let text = json(&plan(vec![step("a", verb, leaves(true)), step("b", verb, leaves(false))]));
            assert!(!text.contains(MARKER), "{text}");
        }
        let words: Vec<String> = leaves(false).iter().map(|leaf| change(leaf).change).collect();
        assert_eq!(words[..3], ["added", "changed", "removed"]);
        let adopted = of(&plan(vec![step("a", Verb::Adopt, leaves(false))]));
        assert!(adopted.steps[0].changes.is_empty(), "what is somebody else's is not compared");
    }

    #[test]
    fn an_answer_fits_into_an_object_whatever_the_plan() {
        let long = "x".repeat(5_000);
        let leaves: Vec<LeafChange> = (0..300).map(|at| leaf(&format!("{long}{at}"), Word::Changed, false)).collect();
        let object = |at: usize| ObjectId::new(Kind::new("", "Secret"), "shop", &format!("s{at}"));
        let mut plan = plan((0..3_000).map(|at| step(&format!("s{at}"), Verb::Update, leaves.clone())).collect());
        plan.kept =
            (0..3_000).map(|at| Kept { object: object(at), why: crate::planning::plan::Keep::PruneKeep }).collect();
        let because = vec![long; 300];
        let restart = |at| Restart { object: object(at), because: because.clone(), assumed: true };
        plan.restarts = (0..3_000).map(restart).collect();
        let answer = of(&plan);
        let size = json(&plan).len();
        assert!(size < 1_400_000, "{size} bytes");
        assert_eq!(answer.steps.len() as u64 + answer.more_steps.unwrap_or_default(), 3_000);
        assert_eq!((answer.more_kept, answer.more_restarts), (Some(2_950), Some(2_950)));
        assert_eq!(answer.counts["update"], 3_000);
        let first = &answer.steps[0];
        assert_eq!((first.changes.len(), first.more_changes), (50, Some(250)));
        assert_eq!(first.changes[0].path.chars().count(), TEXT);
    }
}
