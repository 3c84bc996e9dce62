//! The redacted diff of two manifests: the only place where decrypted values are compared.

pub mod compare;
mod show;

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::leaves::{self, Place};
use crate::desired::manifest::{ConfigValue, Manifest, Origin};
use crate::desired::outline::Leaves;
use crate::desired::value::Value;
use crate::model::wire;
use crate::planning::changes::{LeafChange, Word};
use crate::planning::fields;

/// What differs between two forms of an object, leaf by leaf in the order of paths; unchanged leaves included.
///
/// ConfigMaps and Secrets are compared by decoded value, key by key (`data.KEY`, `binaryData.KEY`), everything else structurally,
/// items of keyed lists by their key (`spec.template.spec.containers[name=app].image`).
///
/// # Guarantees
/// Of a value that is redacted on either side nothing is said but whether it changed: neither value nor length.
pub fn changes(old: Option<&Manifest>, new: Option<&Manifest>) -> Vec<LeafChange> {
    let (old_leaves, new_leaves) = (old.map(leaves_of).unwrap_or_default(), new.map(leaves_of).unwrap_or_default());
    let paths: BTreeSet<&String> = old_leaves.keys().chain(new_leaves.keys()).collect();
    let side = |manifest: Option<&'_ Manifest>, path: &str| manifest.and_then(|it| it.origins.get(path)).cloned();
    let change = |path: &String| {
        let origins = (side(old, path), side(new, path));
        leaf(path, (old_leaves.get(path), new_leaves.get(path)), origins)
    };
    paths.into_iter().map(change).collect()
}

/// What a write changes of an object that was applied as `old`: as `changes`, but what `osier.dev/ignore` left to others until now counts
/// as added, whatever git said before.
pub fn applied(old: Option<&Manifest>, new: &Manifest) -> Vec<LeafChange> {
    let ignored = |manifest: &Manifest| {
        let annotation = manifest.body.get(&["metadata", "annotations", wire::IGNORE]);
        annotation.and_then(Value::text).unwrap_or_default().to_owned()
    };
    let (before, now) = (old.map(ignored).unwrap_or_default(), ignored(new));
    let mut leaves = changes(old, Some(new));
    let taken_back = |leaf: &&mut LeafChange| {
        leaf.word != Word::Removed && fields::ignored(&leaf.path, &before) && !fields::ignored(&leaf.path, &now)
    };
    for leaf in leaves.iter_mut().filter(taken_back) {
        (leaf.word, leaf.old) = (Word::Added, None);
        leaf.lines.clear();
    }
    leaves
}

/// What can be said without a key: which leaves came and went, and which have other ciphertext.
///
/// Leaves that are cleartext on both sides are left out, because outlines do not hold their values.
pub fn shape(old: &Leaves, new: &Leaves) -> Vec<LeafChange> {
    let paths: BTreeSet<&str> = old.keys().chain(new.keys()).map(|path| &**path).collect();
    let change = |path: &str| {
        let ciphertexts = (old.get(path).map(|leaf| &leaf.ciphertext), new.get(path).map(|leaf| &leaf.ciphertext));
        let word = match ciphertexts {
            (None, _) => Word::Added,
            (_, None) => Word::Removed,
            (Some(None), Some(None)) => return None,
            (Some(old), Some(new)) if old == new => Word::Unchanged,
            (Some(_), Some(_)) => Word::Unknown,
        };
        Some(LeafChange {
            path: path.to_owned(),
            word,
            old: None,
            new: None,
            lines: Vec::new(),
            redacted: true,
            origin: None,
        })
    };
    paths.into_iter().filter_map(change).collect()
}

/// A leaf with its value.
enum Found<'a> {
    Config(&'a ConfigValue),
    Body(&'a Value),
}

impl Found<'_> {
    fn redacted(&self) -> bool {
        match self {
            Found::Config(value) => value.redacted,
            Found::Body(value) => compare::has_secret(value),
        }
    }

    fn same(&self, other: &Found) -> bool {
        match (self, other) {
            (Found::Config(one), Found::Config(two)) => compare::same_bytes(one, two),
            (Found::Body(one), Found::Body(two)) => compare::same(one, two),
            (Found::Config(_), Found::Body(_)) | (Found::Body(_), Found::Config(_)) => false,
        }
    }
}

fn leaves_of(manifest: &Manifest) -> BTreeMap<String, Found<'_>> {
    let values = manifest.values.iter().map(|(key, value)| {
        let map = if value.binary { "binaryData" } else { "data" };
        (format!("{map}.{key}"), Found::Config(value))
    });
    let mut found: BTreeMap<_, _> = values.collect();
    leaves::each(&manifest.object.kind, &Place::default(), &manifest.body, None, &mut |leaf| {
        // An object with nothing but data has an empty body, which is no leaf.
        if !leaf.path.is_empty() {
            found.insert(leaf.path, Found::Body(leaf.value));
        }
    });
    found
}

fn leaf(path: &str, found: (Option<&Found>, Option<&Found>), origins: (Option<Origin>, Option<Origin>)) -> LeafChange {
    let word = match found {
        (None, _) => Word::Added,
        (_, None) => Word::Removed,
        (Some(old), Some(new)) if !old.same(new) => Word::Changed,
        _ if reencrypted(&origins) => Word::Reencrypted,
        _ => Word::Unchanged,
    };
    let redacted = [found.0, found.1].into_iter().flatten().any(Found::redacted);
    let shown = if redacted { show::Shown::default() } else { show::show(found.0, found.1) };
    let origin = if word == Word::Removed { origins.0 } else { origins.1 };
    LeafChange { path: path.to_owned(), word, old: shown.old, new: shown.new, lines: shown.lines, redacted, origin }
}

fn reencrypted((old, new): &(Option<Origin>, Option<Origin>)) -> bool {
    let ciphertext = |origin: &Option<Origin>| origin.as_ref().and_then(|origin| origin.ciphertext);
    matches!((ciphertext(old), ciphertext(new)), (Some(old), Some(new)) if old != new)
}
