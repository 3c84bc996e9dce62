//! Names, labels and annotations.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use crate::sandbox::kinds::Kind;
use crate::sandbox::refusal::Cause;
use crate::sandbox::validate::text;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
    and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
    start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
    alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
    validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const KEY_NAME: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with \
    an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
    '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex \
    used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
/// All annotations of an object together.
const ANNOTATION_BYTES: usize = 256 * 1024;

static IS_SUBDOMAIN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$").expect("the pattern is valid")
});
static IS_LABEL: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$").expect("the pattern is valid"));
static IS_LABEL_1035: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[a-z]([-a-z0-9]*[a-z0-9])?$").expect("the pattern is valid"));
static IS_KEY_NAME: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$").expect("the pattern is valid"));

/// Checks `metadata`: the name by the rule of the kind, labels and annotations.
pub fn metadata(kind: &Kind, metadata: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let name = metadata["name"].as_str().unwrap_or_default();
    if name.is_empty() {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
    } else if let Some(why) = name_fault(kind, name) {
        causes.push(Cause::invalid("metadata.name", &text(name), &why));
    }
    for (key, value) in metadata["labels"].as_object().into_iter().flatten() {
        key_fault("metadata.labels", key, &mut causes);
        let value = value.as_str().unwrap_or_default();
        if value.len() > 63 {
            causes.push(Cause::invalid("metadata.labels", &text(value), "must be no more than 63 bytes"));
        } else if !value.is_empty() && !IS_KEY_NAME.is_match(value) {
            causes.push(Cause::invalid("metadata.labels", &text(value), LABEL_VALUE));
        }
    }
    for owner in metadata["ownerReferences"].as_array().into_iter().flatten() {
        if owner["uid"].as_str().unwrap_or_default().is_empty() {
            causes.push(Cause::invalid("metadata.ownerReferences.uid", &text(""), "must not be empty"));
        }
    }
    let mut bytes = 0;
    for (key, value) in metadata["annotations"].as_object().into_iter().flatten() {
        key_fault("metadata.annotations", &key.to_lowercase(), &mut causes);
        bytes += key.len() + value.as_str().map_or(0, str::len);
    }
    if bytes > ANNOTATION_BYTES {
        causes.push(Cause::too_long("metadata.annotations", ANNOTATION_BYTES));
    }
    causes
}

fn name_fault(kind: &Kind, name: &str) -> Option<String> {
    let (pattern, why, limit) = match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Namespace") => (&IS_LABEL, LABEL, 63),
        ("", "Service") => (&IS_LABEL_1035, LABEL_1035, 63),
        ("rbac.authorization.k8s.io", _) => {
            let is_path = name == "." || name == ".." || name.contains(['/', '%']);
            return is_path.then(|| "may not contain '/' or '%' nor be '.' or '..'".to_owned());
        }
        _ => (&IS_SUBDOMAIN, SUBDOMAIN, 253),
    };
    if name.len() > limit {
        return Some(format!("must be no more than {limit} bytes"));
    }
    (!pattern.is_match(name)).then(|| why.to_owned())
}

fn key_fault(field: &str, key: &str, causes: &mut Vec<Cause>) {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let mut refuse = |why: &str| causes.push(Cause::invalid(field, &text(key), why));
    match prefix {
        Some("") => refuse("prefix part must be non-empty"),
        Some(prefix) if !IS_SUBDOMAIN.is_match(prefix) => refuse(&format!("prefix part {SUBDOMAIN}")),
        _ => {}
    }
    if name.is_empty() {
        refuse("name part must be non-empty");
    } else if name.len() > 63 {
        refuse("name part must be no more than 63 bytes");
    }
    if !IS_KEY_NAME.is_match(name) {
        refuse(KEY_NAME);
    }
}
