//! `generate` of an entry of `branches`: `{Secret/db.PASSWORD: 32}`.

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::desired::config::Reader;
use crate::desired::generate::{Generate, Generated};
use crate::desired::names;
use crate::desired::value::Value;
use crate::desired::yaml::{self, Content, Node};

/// Characters of a value: each is one of 32, so that the shortest has 80 bits.
const LENGTHS: RangeInclusive<i64> = 16..=256;
const EXAMPLE: &str = "such as `generate: {Secret/db.PASSWORD: 32}`";

impl Reader {
    pub(super) fn generate(&mut self, node: &Node) -> Generate {
        let mut generate = Generate::new();
        if !matches!(node.content, Content::Map(_)) {
            self.wrong(node, "`generate` must be a mapping", EXAMPLE);
        }
        for (key, value) in node.entries() {
            let Some((secret, entry)) = key.text().and_then(place) else {
                self.wrong(key, "this is no entry of a Secret", EXAMPLE);
                continue;
            };
            let Some(length) = length(value) else {
                let message = format!("the length must be a number from {} to {}", LENGTHS.start(), LENGTHS.end());
                self.wrong(value, message, EXAMPLE);
                continue;
            };
            let generated = generate
                .entry(secret.to_owned())
                .or_insert_with(|| Arc::new(Generated { line: key.line, ..Generated::default() }));
            Arc::make_mut(generated).entries.insert(entry.to_owned(), length);
        }
        generate
    }
}

/// Name of the Secret, which has no dot, and of its entry.
fn place(text: &str) -> Option<(&str, &str)> {
    let (secret, entry) = text.strip_prefix("Secret/")?.split_once('.')?;
    (names::is_label(secret) && names::is_config_key(entry)).then_some((secret, entry))
}

fn length(node: &Node) -> Option<usize> {
    match yaml::kubernetes_scalar(node) {
        Ok(Value::Int(length)) if LENGTHS.contains(&length) => usize::try_from(length).ok(),
        _ => None,
    }
}
