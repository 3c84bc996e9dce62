//! Whether somebody allowed what a plan does unasked to nobody.

use crate::model::environment::Allow;
use crate::model::reason::Reason;
use crate::planning::plan::{Consent, Plan};
use crate::reconcile::error::Error;
use crate::report::plan::consent as sentences;

/// Who allowed the plan; empty if it needs nobody.
///
/// # Errors
/// `Blocked` with `AdoptionHeld` or `MassDeletionHeld`: the plan waits whole.
pub fn given(plan: &Plan, allow: &[Allow], environment: &str) -> Result<Vec<String>, Error> {
    let by: Vec<String> = allow.iter().filter(|allow| allow.digest == plan.digest).map(|allow| allow.by.clone()).collect();
    if plan.consent.is_empty() || !by.is_empty() {
        return Ok(by);
    }
    let adoption = plan.consent.iter().any(|consent| matches!(consent, Consent::Adoption(_)));
    let (reason, look) = if adoption { (Reason::AdoptionHeld, "adopt") } else { (Reason::MassDeletionHeld, "plan") };
    let hint = match reason {
        Reason::AdoptionHeld => format!("look at it with `osier {look} {environment}`, which asks before it takes over"),
        _ => format!("look at it with `osier plan {environment}@main`, then `osier approve {environment} {}`", plan.digest),
    };
    Err(Error::blocked(reason, format!("plan {} waits: {}", plan.digest, sentences(plan).join("; ")), hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(consent: Vec<Consent>) -> Plan {
        Plan { steps: Vec::new(), kept: Vec::new(), restarts: Vec::new(), unchanged: 0, digest: "d1".to_owned(), consent }
    }

    fn allow(digest: &str) -> Allow {
        Allow { digest: digest.to_owned(), by: "ann".to_owned(), reason: "checked".to_owned() }
    }

    #[test]
    fn consent_is_to_one_digest() {
        let held = plan(vec![Consent::MassDeletion("deletes 9 of 10 objects".to_owned())]);
        assert_eq!(given(&held, &[allow("d1")], "staging").ok(), Some(vec!["ann".to_owned()]));
        let refused = given(&held, &[allow("d2")], "staging").map_err(|error| error.reason());
        assert_eq!(refused, Err(Reason::MassDeletionHeld));
        assert_eq!(given(&plan(Vec::new()), &[], "staging").ok(), Some(Vec::new()));
    }

    #[test]
    fn adoption_is_named_before_mass_deletion() {
        let both = plan(vec![Consent::MassDeletion(String::new()), Consent::Adoption(Vec::new())]);
        assert_eq!(given(&both, &[], "staging").map_err(|error| error.reason()), Err(Reason::AdoptionHeld));
    }
}
