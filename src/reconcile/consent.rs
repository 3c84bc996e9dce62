//! Whether somebody allowed what a plan does unasked to nobody.

use jiff::Timestamp;

use crate::model::environment::Allow;
use crate::model::reason::Reason;
use crate::model::record::{Record, RecordResult};
use crate::planning::plan::{Consent, Plan, Step, Verb};
use crate::reconcile::error::Error;
use crate::reconcile::{history, settle};
use crate::report::plan::consent as sentences;

/// What consent may have been given in.
pub struct Given<'a> {
    /// `spec.allow` of the Environment.
    pub allow: &'a [Allow],
    /// The Record that is open, or else the newest complete one.
    pub head: Option<&'a Record>,
    /// Digest over the inputs of all desired objects.
    pub inputs: &'a str,
}

/// Who allowed the plan; empty if it needs nobody.
///
/// # Errors
/// `Blocked` with `AdoptionHeld` or `MassDeletionHeld`: the plan waits whole.
pub fn check(plan: &Plan, given: &Given<'_>, environment: &str) -> Result<Vec<String>, Error> {
    let named = given.allow.iter().filter(|allow| allow.digest == plan.digest);
    let mut by: Vec<String> = named.map(|allow| allow.by.clone()).collect();
    if by.is_empty() {
        by = begun(plan, given);
    }
    if plan.consent.is_empty() || !by.is_empty() {
        return Ok(by);
    }
    let adoption = plan.consent.iter().any(|consent| matches!(consent, Consent::Adoption(_)));
    let (reason, look) = if adoption { (Reason::AdoptionHeld, "adopt") } else { (Reason::MassDeletionHeld, "plan") };
    let hint = match reason {
        Reason::AdoptionHeld => {
            format!("look at it with `osier {look} {environment}`, which asks before it takes over")
        }
        _ => format!(
            "look at it with `osier plan {environment}@main`, then `osier approve {environment} {}`",
            plan.digest
        ),
    };
    let message = format!("plan {} waits: {}", plan.digest, sentences(plan).join("; "));
    Err(Error::waits(reason, settle::plan_status(plan), message, hint))
}

/// Who allowed what was begun and is not finished: that covers the rest of the same desired set, for objects that were there then.
fn begun(plan: &Plan, given: &Given<'_>) -> Vec<String> {
    let unfinished = |head: &&Record| history::result(head) != Some(RecordResult::Applied);
    let Some(head) = given.head.filter(unfinished).filter(|head| head.spec.inputs == given.inputs) else {
        return Vec::new();
    };
    let asks = plan.steps.iter().filter(|step| matches!(step.verb, Verb::Adopt | Verb::Delete | Verb::Recreate));
    let started = head.spec.started_at.parse::<Timestamp>().map_or(0, Timestamp::as_second);
    let older = |step: &Step| step.precondition.as_ref().is_some_and(|live| live.created < started);
    if asks.into_iter().all(older) { head.spec.allowed_by.clone() } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(consent: Vec<Consent>) -> Plan {
        Plan {
            steps: Vec::new(),
            kept: Vec::new(),
            restarts: Vec::new(),
            unchanged: 0,
            digest: "d1".to_owned(),
            consent,
        }
    }

    fn allow(digest: &str) -> Allow {
        Allow { digest: digest.to_owned(), by: "ann".to_owned(), reason: "checked".to_owned() }
    }

    fn given(allow: &[Allow]) -> Given<'_> {
        Given { allow, head: None, inputs: "" }
    }

    #[test]
    fn consent_is_to_one_digest() {
        let held = plan(vec![Consent::MassDeletion("deletes 9 of 10 objects".to_owned())]);
        assert_eq!(check(&held, &given(&[allow("d1")]), "staging").ok(), Some(vec!["ann".to_owned()]));
        let refused = check(&held, &given(&[allow("d2")]), "staging").map_err(|error| error.reason());
        assert_eq!(refused, Err(Reason::MassDeletionHeld));
        assert_eq!(check(&plan(Vec::new()), &given(&[]), "staging").ok(), Some(Vec::new()));
    }

    #[test]
    fn adoption_is_named_before_mass_deletion() {
        let both = plan(vec![Consent::MassDeletion(String::new()), Consent::Adoption(Vec::new())]);
        let refused = check(&both, &given(&[]), "staging").map_err(|error| error.reason());
        assert_eq!(refused, Err(Reason::AdoptionHeld));
    }
}
