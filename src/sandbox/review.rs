//! Stubs of the access and token reviews: everybody may do everything, and the answer says whose word that is.

use serde_json::{Value, json};

use crate::sandbox::kinds::Kind;

/// The only user of a server without authentication.
const USER: &str = "system:admin";
const GROUPS: [&str; 2] = ["system:masters", "system:authenticated"];
const REASON: &str = "the sandbox does not check access";

/// Fills in the status of a review.
pub fn answer(kind: &Kind, review: &Value) -> Value {
    let mut answer = review.clone();
    answer["kind"] = json!(kind.kind);
    answer["apiVersion"] = json!(kind.api_version());
    let user = json!({"username": USER, "groups": GROUPS});
    answer["status"] = match kind.kind.as_str() {
        "SelfSubjectReview" => json!({"userInfo": user}),
        "TokenReview" => json!({"authenticated": true, "user": user}),
        "SelfSubjectRulesReview" => json!({
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            "incomplete": false,
        }),
        _ => json!({"allowed": true, "reason": REASON}),
    };
    answer
}
