//! Custom resources under the structural schema of their definition (CEL rules are not evaluated).

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::{Value, json};

use crate::sandbox::refusal::Cause;
use crate::sandbox::schema::{ListKind, Schema, Shape};
use crate::sandbox::typed;

/// Collects what is wrong with `value` at `path`.
pub fn check(schema: Schema, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    if value.is_null() && schema.flag("nullable") {
        return;
    }
    let wrong = type_fault(schema, value);
    if let Some(wanted) = wrong {
        let field = if path.is_empty() { "<nil>" } else { path };
        let shown = Value::String(type_of(value).to_owned());
        let message = format!("Invalid value: {shown}: {field} in body must be of type {wanted}: {shown}");
        causes.push(Cause::wrong_type(field, message));
    }
    if let Some(allowed) = schema.attribute("enum").and_then(Value::as_array)
        && !allowed.contains(value)
    {
        let names: Vec<&str> = allowed.iter().filter_map(Value::as_str).collect();
        causes.push(Cause::unsupported(path, value, &names));
    }
    if wrong.is_some() {
        return;
    }
    match value {
        Value::Object(map) => {
            for (name, below) in map.iter().filter(|(name, _)| !(path.is_empty() && *name == "metadata")) {
                if let Some(child) = schema.child(name) {
                    let declared = schema.declared(name).is_some();
                    let at = if declared { joined(path, name) } else { format!("{path}.{name}") };
                    check(child, below, &at, causes);
                }
            }
            missing(schema, value, path, causes);
            size(schema, map.len(), ("minProperties", "maxProperties"), "properties", (path, value), causes);
        }
        Value::Array(list) => array(schema, list, path, causes),
        Value::String(text) => string(schema, text, path, causes),
        Value::Number(number) => bounds(schema, number.as_f64().unwrap_or_default(), (path, value), causes),
        _ => {}
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn type_fault<'a>(schema: Schema<'a>, value: &Value) -> Option<&'a str> {
    if schema.flag("x-kubernetes-int-or-string") {
        return (!value.is_string() && !value.is_i64()).then_some("integer,string");
    }
    let wanted = schema.text("type")?;
    let fits = match wanted {
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        wanted => type_of(value) == wanted,
    };
    (!fits).then_some(wanted)
}

fn missing(schema: Schema, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    for name in schema.attribute("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        if value.get(name).is_none() {
            causes.push(Cause::required(joined(path, name), ""));
        }
    }
}

fn array(schema: Schema, list: &[Value], path: &str, causes: &mut Vec<Cause>) {
    if let Some(items) = schema.items() {
        for (index, item) in list.iter().enumerate() {
            check(items, item, &format!("{path}[{index}]"), causes);
        }
    }
    let whole = json!(list);
    size(schema, list.len(), ("minItems", "maxItems"), "items", (path, &whole), causes);
    let Shape::List(kind @ (ListKind::Set | ListKind::Keyed(_))) = schema.shape() else { return };
    let mut seen = BTreeSet::new();
    for (index, item) in list.iter().enumerate() {
        let element = typed::element_of(kind, schema.items(), item);
        if !seen.insert(element.clone()) {
            let key = serde_json::from_str(&element[2..]).unwrap_or(Value::Null);
            causes.push(Cause::duplicate(format!("{path}[{index}]"), &key));
        }
    }
}

fn string(schema: Schema, text: &str, path: &str, causes: &mut Vec<Cause>) {
    let whole = json!(text);
    let length = text.chars().count();
    let refuse = |why: String, causes: &mut Vec<Cause>| causes.push(Cause::invalid(path, &whole, &why));
    if let Some(most) = schema.attribute("maxLength").and_then(Value::as_u64)
        && length as u64 > most
    {
        let message = format!("Too long: may not be more than {most} bytes");
        causes.push(Cause { reason: "FieldValueTooLong", message, field: path.to_owned() });
        return;
    }
    if let Some(least) = schema.attribute("minLength").and_then(Value::as_u64)
        && (length as u64) < least
    {
        refuse(format!("{path} in body should be at least {least} chars long"), causes);
    }
    if let Some(pattern) = schema.text("pattern")
        && Regex::new(pattern).is_ok_and(|regex| !regex.is_match(text))
    {
        refuse(format!("{path} in body should match '{pattern}'"), causes);
    }
    if schema.text("format") == Some("date-time") && text.parse::<jiff::Timestamp>().is_err() {
        refuse(format!("{path} in body must be of type date-time: {whole}"), causes);
    }
}

fn bounds(schema: Schema, number: f64, (path, value): (&str, &Value), causes: &mut Vec<Cause>) {
    if let Some(least) = schema.attribute("minimum").filter(|least| least.as_f64().is_some_and(|l| number < l)) {
        let why = format!("{path} in body should be greater than or equal to {least}");
        causes.push(Cause::invalid(path, value, &why));
    }
    if let Some(most) = schema.attribute("maximum").filter(|most| most.as_f64().is_some_and(|m| number > m)) {
        let why = format!("{path} in body should be less than or equal to {most}");
        causes.push(Cause::invalid(path, value, &why));
    }
}

fn size(
    schema: Schema,
    count: usize,
    (least, most): (&str, &str),
    noun: &str,
    (path, value): (&str, &Value),
    causes: &mut Vec<Cause>,
) {
    let limit = |name| schema.attribute(name).and_then(Value::as_u64);
    if let Some(least) = limit(least).filter(|least| (count as u64) < *least) {
        causes.push(Cause::invalid(path, value, &format!("{path} in body should have at least {least} {noun}")));
    }
    if let Some(most) = limit(most).filter(|most| count as u64 > *most) {
        let message = format!("Too many: {count}: must have at most {most} {noun}");
        causes.push(Cause { reason: "FieldValueTooMany", message, field: path.to_owned() });
    }
}
