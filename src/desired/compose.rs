//! The outlines of one environment become its desired set, file by file: a changed file costs its own objects only.

mod object;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::desired::generate::Generate;
use crate::desired::isolation::Isolation;
use crate::desired::kinds;
use crate::desired::namespace;
use crate::desired::outline::{Entry, Outline};
use crate::desired::set::{Desired, DesiredSet, Parameters};
use crate::desired::unit::{self, FILE};
use crate::desired::variables;
use crate::model::object::{Kind, ObjectId};
use crate::model::problem::Problem;
use crate::model::repository::{KindGrant, RepositoryCaps};
use crate::model::tree::{GitId, split_layer};

/// What one environment is, apart from its files.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Its name.
    pub environment: String,
    /// Line of its name in `osier.yaml`.
    pub line: u32,
    /// Its namespace.
    pub namespace: String,
    /// Its layers, lowest first.
    pub layers: Vec<String>,
    /// What a branch environment has to keep to.
    pub isolation: Option<Arc<Isolation>>,
    /// Entries of Secrets that osier makes up.
    pub generate: Generate,
    /// Values of the variables.
    pub parameters: Parameters,
    /// Kinds that it may have (`allowed_kinds`).
    pub kinds: BTreeSet<Kind>,
    /// How much it may have.
    pub caps: Caps,
}

/// Limits of one environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Most files.
    pub files: u64,
    /// Most bytes of all files together.
    pub bytes: u64,
}

impl Default for Caps {
    fn default() -> Self {
        Self { files: 5_000, bytes: 16 << 20 }
    }
}

impl Caps {
    /// As the Repository's `caps` raise them, up to what memory and time are known to bear.
    pub fn granted(caps: &RepositoryCaps) -> Self {
        let default = Self::default();
        let cap = |granted: Option<u64>, default: u64, most: u64| granted.map_or(default, |cap| cap.min(most));
        Self { files: cap(caps.files, default.files, 200_000), bytes: cap(caps.bytes, default.bytes, 1 << 30) }
    }
}

impl Scope {
    /// The layer that the file at `path` is of.
    pub fn layer_of(&self, path: &str) -> Option<&str> {
        let inside = |layer: &&String| path.strip_prefix(layer.as_str()).is_some_and(|rest| rest.starts_with('/'));
        self.layers.iter().find(inside).map(String::as_str)
    }
}

/// The kinds that a Repository with these grants may use; what fences an `isolated` environment in, too.
pub fn allowed_kinds(grants: &[KindGrant], isolated: bool) -> BTreeSet<Kind> {
    kinds::allowed(grants).into_iter().chain(kinds::fences().filter(|_| isolated)).collect()
}

/// The files of an environment and what they make.
#[derive(Debug)]
pub struct Composition {
    scope: Scope,
    files: BTreeMap<FileId, File>,
    layer_sizes: Vec<usize>,
    bytes: u64,
    /// Which entries make an object, lowest layer first; mostly one.
    entries: BTreeMap<ObjectId, Vec<EntryId>>,
    /// Files by the variables that they use.
    users: BTreeMap<String, BTreeSet<FileId>>,
    touched: BTreeSet<ObjectId>,
    desired: DesiredSet,
    /// What its objects share.
    parameters: BTreeSet<Arc<Parameters>>,
    file_problems: BTreeMap<FileId, Vec<Problem>>,
    object_problems: BTreeMap<ObjectId, Vec<Problem>>,
}

/// Index of the layer, and path.
type FileId = (usize, Arc<str>);
/// A file, and the position of the entry in its outline.
type EntryId = (FileId, usize);

#[derive(Clone, Debug)]
struct File {
    blob_id: GitId,
    outline: Arc<Outline>,
}

impl Composition {
    /// An environment without files.
    pub fn new(scope: Scope) -> Self {
        let secret = |name: &String| ObjectId::new(Kind::new("", "Secret"), &scope.namespace, name);
        let touched = scope.generate.keys().map(secret).collect();
        Self {
            layer_sizes: vec![0; scope.layers.len()],
            scope,
            files: BTreeMap::new(),
            bytes: 0,
            entries: BTreeMap::new(),
            users: BTreeMap::new(),
            touched,
            desired: DesiredSet::default(),
            parameters: BTreeSet::new(),
            file_problems: BTreeMap::new(),
            object_problems: BTreeMap::new(),
        }
    }

    /// What the environment is.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Puts the file at `path` in the place of the one that was there; `None`: there is none any more.
    /// Files that are no units (`unit::is_unit`) or of no layer of the scope do not count.
    pub fn replace(&mut self, layer: &str, path: &str, new: Option<(GitId, Arc<Outline>)>) {
        let Some(index) = self.scope.layers.iter().position(|known| known == layer) else { return };
        let is_mark = |isolation: &Arc<Isolation>| isolation.template == layer && namespace::path(layer) == path;
        if !unit::is_unit(path) || self.scope.isolation.as_ref().is_some_and(is_mark) {
            return;
        }
        let file: FileId = (index, Arc::from(path));
        self.remove(&file);
        if let Some((blob_id, outline)) = new {
            self.add(file, File { blob_id, outline });
        }
    }

    /// Gives the variables other values; only objects of files that use a changed one are touched.
    pub fn set_parameters(&mut self, parameters: Parameters) {
        let names: BTreeSet<&String> = self.scope.parameters.keys().chain(parameters.keys()).collect();
        let changed = names.into_iter().filter(|name| self.scope.parameters.get(*name) != parameters.get(*name));
        let users: BTreeSet<FileId> = changed.filter_map(|name| self.users.get(name)).flatten().cloned().collect();
        let files: Vec<(FileId, File)> =
            users.into_iter().filter_map(|id| Some((id.clone(), self.remove(&id)?))).collect();
        self.scope.parameters = parameters;
        self.parameters.clear();
        for (id, file) in files {
            self.add(id, file);
        }
    }

    /// Objects that the next `desired` composes anew, each as it is until then.
    pub fn touched(&self) -> BTreeMap<ObjectId, Option<Desired>> {
        self.touched.iter().map(|object| (object.clone(), self.desired.objects.get(object).cloned())).collect()
    }

    /// Every object as of the last `desired`; complete only if that gave no problem.
    pub fn current(&self) -> &DesiredSet {
        &self.desired
    }

    /// Every object that the files make.
    ///
    /// # Errors
    /// Every mistake in any file: an environment is applied whole or not at all.
    pub fn desired(&mut self) -> Result<&DesiredSet, Vec<Problem>> {
        let touched = std::mem::take(&mut self.touched);
        let is_whole = touched.len() == self.entries.len();
        for object in touched {
            self.object_problems.remove(&object);
            self.desired.objects.remove(&object);
            match self.compose(&object) {
                Ok(Some(mut desired)) => {
                    match self.parameters.get(&desired.parameters) {
                        Some(known) => desired.parameters = Arc::clone(known),
                        None => drop(self.parameters.insert(Arc::clone(&desired.parameters))),
                    }
                    self.desired.objects.insert(object, desired);
                }
                Ok(None) => {}
                Err(problems) => {
                    self.object_problems.insert(object, problems);
                }
            }
        }
        if is_whole {
            // made of all at once the nodes of maps are full, which one by one they are not
            self.entries = std::mem::take(&mut self.entries).into_iter().collect();
            self.desired.objects = std::mem::take(&mut self.desired.objects).into_iter().collect();
        }
        let mut problems = self.scope_problems();
        problems.extend(self.file_problems.values().chain(self.object_problems.values()).flatten().cloned());
        problems.sort();
        problems.dedup();
        if problems.is_empty() { Ok(&self.desired) } else { Err(problems) }
    }

    fn remove(&mut self, id: &FileId) -> Option<File> {
        let file = self.files.remove(id)?;
        self.file_problems.remove(id);
        self.bytes -= file.outline.bytes;
        if let Some(size) = self.layer_sizes.get_mut(id.0) {
            *size -= 1;
        }
        for (position, entry) in file.outline.entries.iter().enumerate() {
            let object = self.object(entry);
            if let Some(entries) = self.entries.get_mut(&object) {
                entries.retain(|(of, at)| (of, *at) != (id, position));
                if entries.is_empty() {
                    self.entries.remove(&object);
                }
            }
            self.touched.insert(object);
            for variable in &entry.variables {
                if let Some(users) = self.users.get_mut(variable) {
                    users.remove(id);
                }
            }
        }
        Some(file)
    }

    fn add(&mut self, id: FileId, file: File) {
        self.bytes += file.outline.bytes;
        if let Some(size) = self.layer_sizes.get_mut(id.0) {
            *size += 1;
        }
        let problems = file_problems(&id.1, &file.outline);
        if !problems.is_empty() {
            self.file_problems.insert(id.clone(), problems);
        }
        for (position, entry) in file.outline.entries.iter().enumerate() {
            let object = self.object(entry);
            let (entries, new) = (self.entries.entry(object.clone()), (id.clone(), position));
            let entries = entries.or_insert_with(|| Vec::with_capacity(1));
            entries.insert(entries.partition_point(|known| *known < new), new);
            self.touched.insert(object);
            for variable in &entry.variables {
                self.users.entry(variable.clone()).or_default().insert(id.clone());
            }
        }
        self.files.insert(id, file);
    }

    fn object(&self, entry: &Entry) -> ObjectId {
        let name = variables::fill(&entry.name, &self.scope.parameters);
        ObjectId::new(entry.kind.clone(), &self.scope.namespace, &name)
    }

    fn scope_problems(&self) -> Vec<Problem> {
        let Scope { environment, line, layers, caps, .. } = &self.scope;
        let problem = |message: String| Problem::new("osier.yaml", message).at(*line, 0);
        let mut problems = Vec::new();
        for (layer, _) in layers.iter().zip(&self.layer_sizes).filter(|(_, size)| **size == 0) {
            let layer = split_layer(layer).1;
            let message =
                format!("layer `{layer}` of environment `{environment}` does not exist or has no YAML or JSON files");
            problems.push(problem(message).hint("correct `layers`, or add a file to that directory"));
        }
        if self.files.len() as u64 > caps.files {
            let message =
                format!("environment `{environment}` has {} files, more than {}", self.files.len(), caps.files);
            problems.push(problem(message).hint("let the platform engineer raise `caps.files` of the Repository"));
        }
        if self.bytes > caps.bytes {
            let message =
                format!("environment `{environment}` has {} bytes of files, more than {}", self.bytes, caps.bytes);
            problems.push(problem(message).hint("let the platform engineer raise `caps.bytes` of the Repository"));
        }
        problems
    }
}

/// The problems of an outline, with the path that it does not know.
fn file_problems(path: &str, outline: &Outline) -> Vec<Problem> {
    if unit::is_kustomization(path) {
        let problem = Problem::new(path, "kustomize is not supported by this version yet");
        return vec![problem.hint("list its directories as `layers` in osier.yaml and remove this file")];
    }
    let placed = outline.problems.iter().map(|problem| Problem {
        path: path.to_owned(),
        hint: problem.hint.replace(FILE, path),
        ..problem.clone()
    });
    placed.collect()
}

#[cfg(test)]
mod tests;
