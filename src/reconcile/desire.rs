//! From a revision's files to the desired set; what two revisions have in common is neither read nor composed again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::desired::compose::{Composition, Scope};
use crate::desired::outline::{Leaf, Outline};
use crate::desired::set::{Desired, DesiredSet, Source as Origin};
use crate::desired::unit;
use crate::git::content::Content;
use crate::git::tree::Layer;
use crate::model::object::ObjectId;
use crate::model::problem::Problem;
use crate::model::tree::{FileMode, GitId, TreeFile};
use crate::reconcile::error::Error;
use crate::reconcile::open::FILE_BYTES;
use crate::reconcile::source::Source;

/// Files whose bytes are in memory at once.
const FILES_AT_ONCE: usize = 512;

/// What files contribute, by content: a file that moved or came back is not read again.
#[derive(Default)]
pub struct Outlines {
    by_content: HashMap<(GitId, bool), Arc<Outline>>,
    read: u64,
}

/// A desired set, and what it was composed from.
pub struct Composed {
    /// The commit; of a working tree the one below it.
    pub commit: GitId,
    /// Layers, lowest first.
    pub layers: Vec<String>,
    /// The set, ready to be advanced.
    pub composition: Composition,
}

/// The desired objects that a move to another revision touched, as they were before.
#[derive(Default)]
pub struct Before {
    /// `None` for objects that were not there.
    pub objects: BTreeMap<ObjectId, Option<Desired>>,
}

impl Outlines {
    /// Files read so far.
    pub fn files_read(&self) -> u64 {
        self.read
    }

    /// The leaves of one object as its files show them without a key; later layers win.
    pub fn shape(&self, desired: &Desired) -> BTreeMap<String, Leaf> {
        let entries = desired.sources.iter().filter_map(|source| self.entry(source));
        entries.flat_map(|entry| entry.leaves.clone()).collect()
    }

    fn entry(&self, source: &Origin) -> Option<&crate::desired::outline::Entry> {
        let outline = self.by_content.get(&key(&source.path, source.blob_id))?;
        outline.entries.iter().find(|entry| entry.index == source.index)
    }

    /// The outlines of files, in their order; files that are no units are left out.
    async fn of(&mut self, source: &Source, files: &[TreeFile]) -> Result<Vec<(TreeFile, Arc<Outline>)>, Error> {
        let units: Vec<&TreeFile> = files.iter().filter(|file| unit::is_unit(&file.path)).collect();
        let plain = |file: &&TreeFile| file.mode == FileMode::File;
        let unread = |file: &TreeFile| !self.by_content.contains_key(&key(&file.path, file.blob_id));
        let missing: Vec<TreeFile> = units.iter().copied().filter(plain).filter(|file| unread(file)).cloned().collect();
        for chunk in missing.chunks(FILES_AT_ONCE) {
            for (file, content) in chunk.iter().zip(source.contents(chunk, FILE_BYTES).await?) {
                self.read += 1;
                self.by_content.insert(key(&file.path, file.blob_id), Arc::new(outline(file, content)));
            }
        }
        Ok(units.into_iter().map(|file| (file.clone(), self.get(file))).collect())
    }

    fn get(&self, file: &TreeFile) -> Arc<Outline> {
        let refused = |what: &str| {
            let problem = Problem::new("", format!("is {what}")).hint("commit the file itself");
            Arc::new(Outline { entries: Vec::new(), problems: vec![problem] })
        };
        match file.mode {
            FileMode::Symlink => refused("a symbolic link"),
            FileMode::Submodule => refused("a submodule"),
            FileMode::File => self.by_content.get(&key(&file.path, file.blob_id)).cloned().unwrap_or_default(),
        }
    }
}

/// Composes a revision from nothing.
///
/// # Errors
/// All problems of the layers' files, or what kept them from being read.
pub async fn whole(
    outlines: &mut Outlines,
    source: &Source,
    commit: GitId,
    layers: &[String],
    scope: Scope,
) -> Result<Composed, Error> {
    let mut composition = Composition::new(scope, layers);
    let mut problems = Vec::new();
    for (layer, found) in source.layers(layers).await? {
        let Layer::Found { entries, problems: names } = found else {
            problems.push(missing_layer(&layer));
            continue;
        };
        problems.extend(names);
        for (file, outline) in outlines.of(source, &entries).await? {
            composition.replace(&layer, &file.path, Some((file.blob_id, outline)));
        }
    }
    finish(composition, commit, layers, problems)
}

/// Moves a composed revision on to another commit with the same layers, reading only what differs.
///
/// # Errors
/// As `whole`.
pub async fn advance(
    outlines: &mut Outlines,
    source: &Source,
    from: Composed,
    commit: GitId,
    scope: Scope,
) -> Result<(Composed, Before), Error> {
    let Composed { commit: old, layers, mut composition } = from;
    let changes = source.changes(old, &layers).await?;
    let mut before = Before::default();
    let mut problems = Vec::new();
    composition.rescope(scope);
    for (layer, found) in changes {
        let Layer::Found { entries, problems: names } = found else {
            problems.push(missing_layer(&layer));
            continue;
        };
        problems.extend(names);
        let new: Vec<TreeFile> = entries.iter().filter_map(|change| change.new.clone()).collect();
        let new: BTreeMap<String, (GitId, Arc<Outline>)> =
            outlines.of(source, &new).await?.into_iter().map(|(file, outline)| (file.path, (file.blob_id, outline))).collect();
        let paths: BTreeSet<&str> = entries.iter().filter_map(|change| change.old.as_ref().or(change.new.as_ref())).map(|file| file.path.as_str()).collect();
        for path in paths {
            before.note(&composition, &layer, path, new.get(path));
            composition.replace(&layer, path, new.get(path).cloned());
        }
    }
    Ok((finish(composition, commit, &layers, problems)?, before))
}
