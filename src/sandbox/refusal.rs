//! Answers that refuse: the `Status` objects of kube-apiserver.

use http::StatusCode;
use serde_json::{Value, json};

/// One entry of `details.causes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    pub reason: &'static str,
    pub message: String,
    pub field: String,
}

impl Cause {
    pub fn invalid(field: impl Into<String>, value: &Value, why: &str) -> Cause {
        Cause { reason: "FieldValueInvalid", message: format!("Invalid value: {value}: {why}"), field: field.into() }
    }

    pub fn required(field: impl Into<String>, why: &str) -> Cause {
        let message = if why.is_empty() { "Required value".to_owned() } else { format!("Required value: {why}") };
        Cause { reason: "FieldValueRequired", message, field: field.into() }
    }

    pub fn forbidden(field: impl Into<String>, why: &str) -> Cause {
        Cause { reason: "FieldValueForbidden", message: format!("Forbidden: {why}"), field: field.into() }
    }

    pub fn duplicate(field: impl Into<String>, value: &Value) -> Cause {
        Cause { reason: "FieldValueDuplicate", message: format!("Duplicate value: {value}"), field: field.into() }
    }

    pub fn too_long(field: impl Into<String>, limit: usize) -> Cause {
        let message = format!("Too long: may not be more than {limit} bytes");
        Cause { reason: "FieldValueTooLong", message, field: field.into() }
    }

    pub fn unsupported(field: impl Into<String>, value: &Value, supported: &[&str]) -> Cause {
        let list: Vec<String> = supported.iter().map(|name| format!("{name:?}")).collect();
        let message = format!("Unsupported value: {value}: supported values: {}", list.join(", "));
        Cause { reason: "FieldValueNotSupported", message, field: field.into() }
    }

    pub fn wrong_type(field: impl Into<String>, message: String) -> Cause {
        Cause { reason: "FieldValueTypeInvalid", message, field: field.into() }
    }
}

/// A request that is not executed, and the `Status` that says why.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub code: StatusCode,
    pub reason: &'static str,
    pub message: String,
    pub details: Option<Value>,
}

impl Refusal {
    pub fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { code, reason, message: message.into(), details: None }
    }

    pub fn bad_request(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// A 500 without a reason, as the server answers what it did not foresee.
    pub fn internal(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "", message)
    }

    pub fn unserved(what: &str) -> Refusal {
        let message = format!("the sandbox does not serve {what}");
        Refusal::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", message)
    }

    pub fn no_such_resource() -> Refusal {
        Refusal {
            details: Some(json!({})),
            ..Refusal::new(StatusCode::NOT_FOUND, "NotFound", "the server could not find the requested resource")
        }
    }

    /// What an unknown group answers: no Status at all.
    pub fn no_such_page() -> Refusal {
        Refusal::new(StatusCode::NOT_FOUND, "", "404 page not found")
    }

    pub fn method_not_allowed() -> Refusal {
        let message = "the server does not allow this method on the requested resource";
        Refusal {
            details: Some(json!({})),
            ..Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
        }
    }

    pub fn not_found(resource: &Named) -> Refusal {
        let message = format!("{} {:?} not found", resource.qualified(), resource.name);
        resource.refuse(StatusCode::NOT_FOUND, "NotFound", message)
    }

    pub fn already_exists(resource: &Named) -> Refusal {
        let message = format!("{} {:?} already exists", resource.qualified(), resource.name);
        resource.refuse(StatusCode::CONFLICT, "AlreadyExists", message)
    }

    pub fn conflict(resource: &Named, why: &str) -> Refusal {
        let message = format!("Operation cannot be fulfilled on {} {:?}: {why}", resource.qualified(), resource.name);
        resource.refuse(StatusCode::CONFLICT, "Conflict", message)
    }

    pub fn modified(resource: &Named) -> Refusal {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Refusal::conflict(resource, why)
    }

    pub fn forbidden(resource: &Named, why: &str) -> Refusal {
        let message = format!("{} {:?} is forbidden: {why}", resource.qualified(), resource.name);
        resource.refuse(StatusCode::FORBIDDEN, "Forbidden", message)
    }

    /// `kind` is the Kind here, not the plural.
    pub fn invalid(kind: &Named, causes: Vec<Cause>) -> Refusal {
        let mut texts: Vec<String> = Vec::new();
        for text in causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)) {
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        let text = if texts.len() == 1 { texts.concat() } else { format!("[{}]", texts.join(", ")) };
        let message = format!("{} {:?} is invalid: {text}", kind.qualified(), kind.name);
        let refusal = kind.refuse(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message);
        refusal.with_causes(&causes)
    }

    /// The 422 that hides what was wrong, for JSON patches that cannot be applied.
    pub fn patch_rejected() -> Refusal {
        let message = "the server rejected our request due to an error in our request";
        Refusal { details: Some(json!({})), ..Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message) }
    }

    pub fn not_acceptable() -> Refusal {
        let message = "406: Not Acceptable\n\nAvailable representations: application/json";
        Refusal { details: Some(json!({})), ..Refusal::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message) }
    }

    pub fn media_type(message: &str) -> Refusal {
        Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
    }

    pub fn expired(message: String) -> Refusal {
        Refusal::new(StatusCode::GONE, "Expired", message)
    }

    pub fn apply_conflict(causes: Vec<Cause>) -> Refusal {
        let message = conflict_text(&causes);
        Refusal::new(StatusCode::CONFLICT, "Conflict", message).with_causes(&causes)
    }

    pub fn untyped(faults: &[String], config: &Value) -> Refusal {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let api_version = text(&config["apiVersion"]);
        let api_version = if api_version.contains('/') { api_version } else { format!("/{api_version}") };
        let list = if faults.len() == 1 {
            faults.concat()
        } else {
            format!("errors:\n{}", faults.iter().map(|fault| format!("  {fault}")).collect::<Vec<_>>().join("\n"))
        };
        Refusal::internal(format!(
            "failed to create typed patch object ({}/{}; {api_version}, Kind={}): {list}",
            text(&config["metadata"]["namespace"]),
            text(&config["metadata"]["name"]),
            text(&config["kind"]),
        ))
    }

    pub fn with_causes(mut self, causes: &[Cause]) -> Refusal {
        let list: Vec<Value> = causes
            .iter()
            .map(|cause| json!({"reason": cause.reason, "message": cause.message, "field": cause.field}))
            .collect();
        let mut details = self.details.take().unwrap_or_else(|| json!({}));
        details["causes"] = Value::Array(list);
        self.details = Some(details);
        self
    }

    /// The `Status` object of the answer.
    pub fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code.as_u16(),
        });
        if !self.reason.is_empty() {
            status["reason"] = json!(self.reason);
        }
        if let Some(details) = &self.details {
            status["details"] = details.clone();
        }
        status
    }
}

/// What a refusal is about: `kind` is the plural in most messages, the Kind in those about invalid objects.
#[derive(Clone, Debug)]
pub struct Named {
    pub group: String,
    pub kind: String,
    pub name: String,
}

impl Named {
    fn qualified(&self) -> String {
        if self.group.is_empty() { self.kind.clone() } else { format!("{}.{}", self.kind, self.group) }
    }

    fn refuse(&self, code: StatusCode, reason: &'static str, message: String) -> Refusal {
        let mut details = json!({});
        if !self.kind.is_empty() {
            details["kind"] = json!(self.kind);
        }
        if !self.name.is_empty() {
            details["name"] = json!(self.name);
        }
        if !self.group.is_empty() {
            details["group"] = json!(self.group);
        }
        Refusal { details: Some(details), ..Refusal::new(code, reason, message) }
    }
}

fn conflict_text(causes: &[Cause]) -> String {
    let count = causes.len();
    let noun = if count == 1 { "conflict" } else { "conflicts" };
    if count == 1 {
        return format!("Apply failed with 1 {noun}: {}: {}", causes[0].message, causes[0].field);
    }
    let mut text = format!("Apply failed with {count} {noun}: ");
    let mut owners: Vec<&str> = causes.iter().map(|cause| cause.message.as_str()).collect();
    owners.dedup();
    let blocks: Vec<String> = owners
        .iter()
        .map(|owner| {
            let fields = causes.iter().filter(|cause| cause.message == *owner);
            let lines: Vec<String> = fields.map(|cause| format!("- {}", cause.field)).collect();
            format!("{}:\n{}", owner.replacen("conflict", "conflicts", 1), lines.join("\n"))
        })
        .collect();
    text.push_str(&blocks.join("\n"));
    text
}
