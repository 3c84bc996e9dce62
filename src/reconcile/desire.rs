//! From a revision's files to the desired set; what two revisions have in common is neither read nor composed again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::desired::compose::{self, Caps, Composition, Scope};
use crate::desired::config::EnvironmentConfig;
use crate::desired::isolation::Isolation;
use crate::desired::outline::{Entry, Leaves, Outline, Reference};
use crate::desired::references;
use crate::desired::set::{Desired, DesiredSet, Parameters, Source as Origin};
use crate::desired::unit;
use crate::git::content::Content;
use crate::git::mirror::Mirror;
use crate::git::tree::LayerTree;
use crate::model::object::{Kind, ObjectId};
use crate::model::problem::Problem;
use crate::model::repository::Repository;
use crate::model::tree::{FileMode, GitId, TreeFile};
use crate::reconcile::error::Error;
use crate::reconcile::open::FILE_BYTES;
use crate::reconcile::parallel;
use crate::reconcile::source::Source;

/// Files whose bytes are in memory at once.
const FILES_AT_ONCE: usize = 512;

/// What files contribute, by content: a file that moved or came back is not read again.
///
/// All environments of a process share them.
#[derive(Default)]
pub struct Outlines(Mutex<Known>);

#[derive(Default)]
struct Known {
    by_content: HashMap<Key, Arc<Outline>>,
    read: u64,
    remembered: u64,
}

/// A desired set, and what it was composed from.
pub struct Composed {
    /// The commit; of a working tree the one below it.
    pub commit: GitId,
    /// The set, ready to be advanced.
    pub composition: Composition,
}

/// The desired objects that a move to another revision touched, as they were before.
pub struct Before {
    /// The commit that they were of.
    pub commit: GitId,
    /// `None` for objects that were not there.
    touched: BTreeMap<ObjectId, Option<Desired>>,
}

impl Outlines {
    /// Files read so far.
    pub fn files_read(&self) -> u64 {
        self.known().read
    }

    /// Files that had been read before and were not read again, so far.
    pub fn files_remembered(&self) -> u64 {
        self.known().remembered
    }

    /// Lets go of what no composed revision holds any more.
    pub fn forget_unused(&self) {
        self.known().by_content.retain(|_, outline| Arc::strong_count(outline) > 1);
    }

    /// The leaves of one object as its files show them without a key; later layers win.
    pub fn shape(&self, desired: &Desired) -> Leaves {
        let known = self.known();
        let entries = desired.sources.iter().filter_map(|source| known.entry(source));
        entries.flat_map(|entry| entry.leaves.iter()).map(|(path, leaf)| (path.into(), leaf)).collect()
    }

    /// The keys that a desired ConfigMap or Secret has.
    pub fn keys(&self, desired: &Desired) -> BTreeSet<String> {
        let (known, mut keys) = (self.known(), BTreeMap::new());
        for entry in desired.sources.iter().filter_map(|source| known.entry(source)) {
            entry.lay_keys(&mut keys);
        }
        let made = desired.generated.iter().flat_map(|generated| generated.entries.keys().cloned());
        keys.into_keys().chain(made).collect()
    }

    /// Path and line where a workload refers to something, in the topmost layer that does; else where the workload stands.
    pub fn place(&self, kind: &Kind, workload: &Desired, reference: &Reference) -> (String, u32) {
        let known = self.known();
        let place = |source: &Origin| {
            let entry = known.entry(source)?;
            let leaf = references::place(kind, entry.referring.as_deref()?, reference)?;
            Some((source.path.to_string(), entry.leaves.iter().find(|(path, _)| *path == leaf)?.1.line))
        };
        let top = workload.sources.last().map(|source| (source.path.to_string(), source.line)).unwrap_or_default();
        workload.sources.iter().rev().find_map(place).unwrap_or(top)
    }

    /// The outlines of files, in their order; files that are no units are left out.
    ///
    /// Each is held from the moment it is found: what others let go of meanwhile is not missed.
    async fn of(&self, source: &Source, files: &[TreeFile]) -> Result<Vec<(TreeFile, Arc<Outline>)>, Error> {
        let units: Vec<&TreeFile> = files.iter().filter(|file| unit::is_unit(&file.path)).collect();
        let plain: Vec<&TreeFile> = units.iter().copied().filter(|file| file.mode == FileMode::File).collect();
        let mut found = self.found(&plain);
        let missing = plain.into_iter().filter(|file| !found.contains_key(&key(&file.path, file.blob_id)));
        let missing: Vec<TreeFile> = missing.cloned().collect();
        for chunk in missing.chunks(FILES_AT_ONCE) {
            let read = chunk.iter().zip(source.contents(chunk, FILE_BYTES).await?).collect();
            let outlines = parallel::map(read, |(file, content)| {
                (key(&file.path, file.blob_id), Arc::new(outline(file, content)))
            });
            self.add(&outlines);
            found.extend(outlines);
        }
        let of = |file: &TreeFile| {
            unit::refused(file.mode).map_or_else(|| found[&key(&file.path, file.blob_id)].clone(), Arc::new)
        };
        Ok(units.into_iter().map(|file| (file.clone(), of(file))).collect())
    }

    /// Those that are known already.
    fn found(&self, files: &[&TreeFile]) -> HashMap<Key, Arc<Outline>> {
        let mut known = self.known();
        let keys = files.iter().map(|file| key(&file.path, file.blob_id));
        let found: HashMap<Key, Arc<Outline>> =
            keys.filter_map(|key| Some((key, known.by_content.get(&key)?.clone()))).collect();
        known.remembered += found.len() as u64;
        found
    }

    fn add(&self, outlines: &[(Key, Arc<Outline>)]) {
        let mut known = self.known();
        known.read += outlines.len() as u64;
        known.by_content.extend(outlines.iter().cloned());
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn entry(&self, source: &Origin) -> Option<&Entry> {
        let outline = self.by_content.get(&key(&source.path, source.blob_id))?;
        outline.entries.iter().find(|entry| entry.index == source.index)
    }
}

/// A submodule is a problem whatever it is called: nobody can say what it would hold.
fn submodules(files: &[TreeFile]) -> Vec<Problem> {
    let submodules = files.iter().filter(|file| file.mode == FileMode::Submodule && !unit::is_unit(&file.path));
    let problems = submodules.filter_map(|file| Some((file, unit::refused(file.mode)?.problems)));
    problems.flat_map(|(file, found)| found.into_iter().map(|it| Problem { path: file.path.clone(), ..it })).collect()
}

/// Composes a revision from nothing.
///
/// # Errors
/// All problems of the layers' files, or what kept them from being read.
pub async fn whole(outlines: &Outlines, source: &Source, commit: GitId, scope: Scope) -> Result<Composed, Error> {
    let layers = scope.layers.clone();
    let mut composition = Composition::new(scope);
    let mut problems = Vec::new();
    for (layer, found) in source.layers(&layers).await? {
        let LayerTree::Found { entries, problems: names } = found else { continue };
        problems.extend(names);
        problems.extend(submodules(&entries));
        for (file, outline) in outlines.of(source, &entries).await? {
            composition.replace(&layer, &file.path, Some((file.blob_id, outline)));
        }
    }
    finish(Composed { commit, composition }, problems)
}

/// Moves a composed revision of a mirror on to another commit with the same layers, reading only what differs.
///
/// # Errors
/// As `whole`.
pub async fn advance(
    outlines: &Outlines,
    mirror: &Mirror,
    from: Composed,
    commit: GitId,
    parameters: Parameters,
) -> Result<(Composed, Before), Error> {
    let Composed { commit: old, mut composition } = from;
    let source = Source::Mirror(mirror.clone(), commit);
    let layers = composition.scope().layers.clone();
    let mut problems = Vec::new();
    composition.set_parameters(parameters);
    for (layer, found) in mirror.read(move |objects| objects.changes(old, commit, &layers)).await? {
        let LayerTree::Found { entries, problems: names } = found else { continue };
        problems.extend(names);
        let new: Vec<TreeFile> = entries.iter().filter_map(|change| change.new.clone()).collect();
        for gone in entries.iter().filter(|change| change.new.is_none()).filter_map(|change| change.old.as_ref()) {
            composition.replace(&layer, &gone.path, None);
        }
        problems.extend(submodules(&new));
        for (file, outline) in outlines.of(&source, &new).await? {
            composition.replace(&layer, &file.path, Some((file.blob_id, outline)));
        }
    }
    let before = Before { commit: old, touched: composition.touched() };
    Ok((finish(Composed { commit, composition }, problems)?, before))
}

impl Before {
    /// Everything counts as touched: for a move between different layers.
    pub fn all(old: &Composed, new: &Composed) -> Self {
        let commit = old.commit;
        let (old, new) = (old.composition.current(), new.composition.current());
        let added =
            new.objects.keys().filter(|object| !old.objects.contains_key(*object)).map(|object| (object.clone(), None));
        let known = old.objects.iter().map(|(object, desired)| (object.clone(), Some(desired.clone())));
        Self { commit, touched: known.chain(added).collect() }
    }

    /// One object as it was before, given what is desired now.
    pub fn of<'a>(&'a self, object: &ObjectId, now: &'a DesiredSet) -> Option<&'a Desired> {
        self.touched.get(object).map_or_else(|| now.objects.get(object), Option::as_ref)
    }

    /// The kinds that there were.
    pub fn kinds(&self, now: &DesiredSet) -> BTreeSet<Kind> {
        let touched = self.touched.iter().filter(|(_, before)| before.is_some()).map(|(object, _)| object.kind.clone());
        touched.chain(now.kinds()).collect()
    }
}

/// What an environment is, apart from its files; without a Repository with the default kinds and caps.
///
/// `layers` are `entry`'s own, or those of a record. The lowest one of a branch environment is its template, at whatever commit that is.
pub fn scope(
    repository: Option<&Repository>,
    name: &str,
    entry: &EnvironmentConfig,
    layers: &[String],
    parameters: &Parameters,
) -> Scope {
    let spec = repository.map(|repository| &repository.spec);
    Scope {
        environment: name.to_owned(),
        line: entry.line,
        namespace: entry.namespace.clone(),
        layers: layers.to_vec(),
        parameters: parameters.clone(),
        isolation: entry.isolation.as_ref().map(|isolation| {
            let subjects = spec.map(|spec| spec.subjects.clone());
            let template = layers.first().unwrap_or(&isolation.template).clone();
            Arc::new(Isolation { template, subjects, ..isolation.clone() })
        }),
        generate: entry.generate.clone(),
        kinds: compose::allowed_kinds(
            spec.map(|spec| spec.kinds.as_slice()).unwrap_or_default(),
            entry.isolation.is_some(),
        ),
        caps: spec.map(|spec| Caps::granted(&spec.caps)).unwrap_or_default(),
    }
}

fn finish(mut composed: Composed, mut problems: Vec<Problem>) -> Result<Composed, Error> {
    if let Err(found) = composed.composition.desired() {
        problems.extend(found);
    }
    if problems.is_empty() { Ok(composed) } else { Err(Error::problems(problems)) }
}

/// Content, and whether it is JSON.
type Key = (GitId, bool);

/// The reader of outlines needs to know no more of a path than this.
fn key(path: &str, blob_id: GitId) -> Key {
    (blob_id, path.ends_with(".json"))
}

fn outline(file: &TreeFile, content: Content) -> Outline {
    let refused = |message: String| {
        let problem = Problem::new("", message).hint("commit a plain file of at most 1 MiB, 4 MiB if it is encrypted");
        Outline { problems: vec![problem], ..Outline::default() }
    };
    match content {
        Content::File { bytes, .. } => unit::outline(&file.path, &file.blob_id.to_string(), &bytes),
        Content::TooLarge { size } => refused(format!("the file has {size} bytes, more than are read")),
        Content::Missing | Content::NotAFile => refused("cannot be read as a file".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::config::Config;

    const CONFIG: &str = "apiVersion: osier.dev/v1alpha1\nkind: Config\nenvironments: {staging: {namespace: s, layers: [base]}}\nbranches:\n\
                      - {match: [\"**\"], layers: [base], namespace: {prefix: b, template: t}}\n";

    #[test]
    fn a_repository_that_grants_nobody_is_asked_and_one_that_is_nowhere_is_not() {
        let config = Config::parse("osier.yaml", CONFIG).expect("it has no problem");
        let entry = config.branches[0].environment("b-x".to_owned(), GitId([1; 20]), "x");
        let spec = serde_json::from_value(serde_json::json!({"url": "u", "home": "h"})).expect("the rest has defaults");
        let repository = Repository::new("shop", spec);
        let subjects = |repository: Option<&Repository>| {
            let scope = scope(repository, "b-x", &entry, &entry.layers, &Parameters::new());
            scope.isolation.expect("it is a branch's").subjects.clone()
        };
        assert_eq!(subjects(Some(&repository)), Some(Vec::new()), "whoever is named is refused");
        assert_eq!(subjects(None), None);
    }

    #[test]
    fn what_a_record_was_fenced_in_by_is_its_own_template() {
        let config = Config::parse("osier.yaml", CONFIG).expect("it has no problem");
        let entry = |main: u8| config.branches[0].environment("b-x".to_owned(), GitId([main; 20]), "x");
        let (today, then) = (entry(2), entry(1));
        let scope = scope(None, "b-x", &today, &then.layers, &Parameters::new());
        assert_eq!(scope.isolation.map(|it| it.template.clone()), then.isolation.map(|it| it.template));
    }
}
