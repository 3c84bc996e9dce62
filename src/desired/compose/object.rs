//! One object from the entries that make it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::desired::compose::{Composition, EntryId, File, FileId, Scope};
use crate::desired::generate::Generated;
use crate::desired::kinds;
use crate::desired::names;
use crate::desired::outline::{Entry, Reference};
use crate::desired::references;
use crate::desired::set::{Desired, Parameters, Source};
use crate::desired::unit;
use crate::desired::variables;
use crate::model::object::ObjectId;
use crate::model::problem::Problem;
use crate::model::reason::Reason;
use crate::model::wire;

/// An entry and where it is from.
struct Part<'a> {
    id: &'a FileId,
    file: &'a File,
    entry: &'a Entry,
}

impl Composition {
    /// The object from its entries; `None` if none or the topmost says so.
    pub(super) fn compose(&self, object: &ObjectId) -> Result<Option<Desired>, Vec<Problem>> {
        let ids = self.entries.get(object).into_iter().flatten();
        let parts: Vec<Part<'_>> = ids.filter_map(|id| self.part(id)).collect();
        let mut problems: Vec<Problem> =
            parts.iter().flat_map(|part| part_problems(part, object, &self.scope)).collect();
        problems.extend(self.isolation_problems(&parts, object));
        problems.extend(twins(&parts, object));
        let effective = effective(parts);
        problems.extend(versions(&effective));
        let generated = self.scope.generate.get(object.name.as_str()).filter(|_| object.kind.is_secret());
        problems.extend(generated.and_then(|generated| clash(&effective, object, generated)));
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(self.desired_of(&effective, generated))
    }

    fn part(&self, (id, position): &EntryId) -> Option<Part<'_>> {
        let (id, file) = self.files.get_key_value(id)?;
        let is_read = !unit::is_kustomization(&id.1);
        file.outline.entries.get(*position).filter(|_| is_read).map(|entry| Part { id, file, entry })
    }

    fn isolation_problems(&self, parts: &[Part<'_>], object: &ObjectId) -> Vec<Problem> {
        let Some(isolation) = &self.scope.isolation else { return Vec::new() };
        let fenced = parts.iter().any(|part| self.layer(part) == isolation.template);
        let refused = |part: &Part<'_>| {
            let (message, hint) = isolation.refusal(object, self.layer(part), fenced)?;
            Some(part.problem(message).hint(hint).because(Reason::PolicyDenied))
        };
        parts.iter().filter_map(refused).collect()
    }

    fn desired_of(&self, parts: &[Part<'_>], generated: Option<&Arc<Generated>>) -> Option<Desired> {
        if parts.is_empty() && generated.is_none() {
            return None;
        }
        let api_version = parts.last().map_or_else(|| "v1".into(), |top| top.entry.api_version.clone());
        let made = generated.into_iter().flat_map(|generated| &generated.entries);
        let made: Vec<String> = made.map(|(entry, length)| wire::generated_content_id(entry, *length)).collect();
        let contents = parts.iter().map(|part| part.entry.content_id.as_str());
        let parameters = self.parameters_of(parts);
        let mut annotations = BTreeMap::new();
        for part in parts {
            annotations.extend(part.entry.annotations.clone());
        }
        annotations.retain(|_, value| !value.is_empty());
        let references = references_of(parts);
        Some(Desired {
            api_version,
            sources: parts.iter().map(|part| self.source(part)).collect(),
            inputs: wire::inputs(contents.chain(made.iter().map(String::as_str)), &parameters).into(),
            references: references.into_iter().map(|reference| filled(reference, &parameters)).collect(),
            parameters: parameters.into(),
            annotations,
            isolation: self.scope.isolation.clone(),
            generated: generated.cloned(),
        })
    }

    /// The parameters that the parts use. Which ones encrypted values use cannot be told, so that all that never change
    /// in the life of an environment count as used there.
    fn parameters_of(&self, parts: &[Part<'_>]) -> Parameters {
        let encrypted = parts.iter().any(|part| part.entry.encrypted);
        let uses = |name: &str| parts.iter().any(|part| part.entry.variables.contains(name));
        let used = |(name, _): &(&String, &String)| uses(name) || (encrypted && !variables::is_commit(name));
        let parameters = self.scope.parameters.iter().filter(used);
        parameters.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    fn layer(&self, part: &Part<'_>) -> &str {
        self.scope.layers.get(part.id.0).map_or("", String::as_str)
    }

    fn source(&self, part: &Part<'_>) -> Source {
        Source {
            layer: self.layer(part).into(),
            path: Arc::clone(&part.id.1),
            blob_id: part.file.blob_id,
            index: part.entry.index,
            line: part.entry.line,
            encrypted: part.entry.encrypted,
        }
    }
}

impl Part<'_> {
    fn problem(&self, message: impl Into<String>) -> Problem {
        Problem::new(&self.id.1, message).at(self.entry.line, 0)
    }

    fn place(&self) -> String {
        format!("{}:{}", self.id.1, self.entry.line)
    }
}

/// What the merged object refers to.
fn references_of(parts: &[Part<'_>]) -> BTreeSet<Reference> {
    match parts {
        [only] => only.entry.references.clone(),
        [first, ..] => {
            let layers = parts.iter().filter_map(|part| part.entry.referring.as_deref());
            references::of_layers(&first.entry.kind, layers)
        }
        [] => BTreeSet::new(),
    }
}

fn filled(reference: Reference, parameters: &Parameters) -> Reference {
    Reference { name: variables::fill(&reference.name, parameters).into_owned(), ..reference }
}

/// What counts: nothing below a replacement, nothing up to a deletion.
fn effective(parts: Vec<Part<'_>>) -> Vec<Part<'_>> {
    let mut kept = Vec::new();
    for part in parts {
        if part.entry.replaces || part.entry.deletes {
            kept.clear();
        }
        if !part.entry.deletes {
            kept.push(part);
        }
    }
    kept
}

fn part_problems(part: &Part<'_>, object: &ObjectId, scope: &Scope) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Some(refusal) = kinds::refusal(&object.kind, &scope.kinds) {
        let problem = part.problem(refusal.message).hint(refusal.hint);
        problems.push(if refusal.by_grant { problem.because(Reason::PolicyDenied) } else { problem });
    }
    if let Some((namespace, line)) = &part.entry.namespace
        && variables::fill(namespace, &scope.parameters) != scope.namespace
    {
        let message =
            format!("namespace `{}`, but the environment's is `{}`", namespace.escape_debug(), scope.namespace);
        problems.push(part.problem(message).at(*line, 0).hint("remove the line: osier.yaml says the namespace"));
    }
    problems.extend(part.entry.variables.iter().filter_map(|name| commit_problem(part, name, scope)));
    if kinds::is_reserved(object) {
        let message = format!("{} is made by Kubernetes in every namespace", object.short());
        problems.push(part.problem(message).hint("use another name"));
    }
    if !names::is_subdomain(&object.name) {
        let message = format!("`{}` cannot be a name in Kubernetes", object.name.escape_debug());
        problems.push(part.problem(message).hint("use lower-case letters, digits, `-` and `.`"));
    }
    problems
}

/// A commit of a repository of which this environment knows none.
fn commit_problem(part: &Part<'_>, name: &str, scope: &Scope) -> Option<Problem> {
    let follow = name.strip_prefix(variables::COMMIT_OF).filter(|_| !scope.parameters.contains_key(name))?;
    if scope.isolation.as_ref().is_some_and(|isolation| isolation.subjects.is_none()) {
        // which repositories are followed only the Repository says
        return None;
    }
    let problem = part.problem(format!("`${{{name}}}` has no value in environment `{}`", scope.environment));
    Some(if scope.isolation.is_some() {
        problem.hint(format!(
            "the Repository has to follow `{follow}`, and its remote has to be read: kubectl describe repository"
        ))
    } else {
        problem.hint("only branch environments have it: write the tag here, and the variable in a layer of theirs")
    })
}

/// An entry that is in git, and made up all the same: nobody could tell which of the two counts.
fn clash(parts: &[Part<'_>], object: &ObjectId, generated: &Generated) -> Option<Problem> {
    let mut keys = BTreeMap::new();
    for part in parts {
        part.entry.lay_keys(&mut keys);
    }
    let entry = generated.entries.keys().find(|entry| keys.contains_key(*entry))?;
    let path = format!("data.{entry}");
    let leaf = |part: &Part<'_>| part.entry.leaves.iter().find(|(found, _)| *found == path).map(|(_, leaf)| leaf.line);
    let (part, line) = parts.iter().rev().find_map(|part| Some((part, leaf(part)?)))?;
    let message = format!("`{path}` of {} is in git, and `generate` of osier.yaml makes it, too", object.short());
    Some(
        part.problem(message)
            .at(line, 0)
            .hint("remove one of the two; `null` in a layer above this one removes it, too"),
    )
}

/// Two documents of one layer that name the object.
fn twins(parts: &[Part<'_>], object: &ObjectId) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let twin = parts.iter().enumerate().find(|(other, twin)| *other != index && twin.id.0 == part.id.0);
        if let Some((_, twin)) = twin {
            let message = format!("{} is in this layer twice, also at {}", object.short(), twin.place());
            problems.push(part.problem(message).hint("remove one, or move it to a layer above"));
        }
    }
    problems
}

fn versions(parts: &[Part<'_>]) -> Option<Problem> {
    let top = parts.last()?;
    let other = parts.iter().find(|part| part.entry.api_version != top.entry.api_version)?;
    let message = format!(
        "`apiVersion: {}`, but {} says `{}`",
        top.entry.api_version.escape_debug(),
        other.place(),
        other.entry.api_version.escape_debug()
    );
    Some(top.problem(message).hint("write the same `apiVersion` in all layers"))
}
