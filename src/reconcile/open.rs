//! Opening: the bytes of the units that make given objects become manifests. Nothing opened is kept past its step.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::desired::generate::Generator;
use crate::desired::manifest::Manifest;
use crate::desired::open::{self, Document};
use crate::desired::render;
use crate::desired::set::{Desired, DesiredSet, Source as Origin};
use crate::desired::sops::SopsFile;
use crate::git::content::Content;
use crate::keys::Keyring;
use crate::model::object::ObjectId;
use crate::model::problem::Problem;
use crate::model::reason::Reason;
use crate::model::tree::{FileMode, TreeFile};
use crate::reconcile::error::Error;
use crate::reconcile::parallel;
use crate::reconcile::source::Source;

/// An encrypted file may have this many bytes; cleartext files are smaller.
pub const FILE_BYTES: u64 = 4 << 20;
/// Objects that are opened at once: bounds what is in memory besides what is kept.
pub const AT_ONCE: usize = 256;
/// Bytes of opened objects that wait for their step. What does not fit is opened a second time: that takes a tenth of what its write takes.
const KEPT: usize = 64 << 20;

/// Layer and path: a file of two overlapping layers is opened for each.
type FileId<'a> = (&'a str, &'a str);

/// Opened objects, and what kept others from being opened.
#[derive(Default)]
pub struct Opened {
    /// Object by object.
    pub manifests: BTreeMap<ObjectId, Manifest>,
    /// Mistakes, all of them.
    pub problems: Vec<Problem>,
    /// Files that no key at hand opens.
    pub locked: Vec<Problem>,
}

/// Opened objects that wait for their step, as many as fit into a bound.
#[derive(Default)]
pub struct Manifests {
    manifests: BTreeMap<ObjectId, Manifest>,
    bytes: usize,
    checked: BTreeSet<ObjectId>,
}

impl Manifests {
    /// Notes that an object was opened and has no problem, and keeps it if there is room; nothing of one that no key opened.
    pub fn keep(&mut self, object: &ObjectId, manifest: Option<Manifest>) {
        let Some(mut manifest) = manifest else { return };
        self.checked.insert(object.clone());
        manifest.origins.clear(); // only problems and diffs ask where a leaf comes from
        let bytes = manifest.size();
        if self.bytes + bytes <= KEPT {
            self.bytes += bytes;
            self.manifests.insert(object.clone(), manifest);
        }
    }

    /// True if an object was opened and has no problem.
    pub fn is_checked(&self, object: &ObjectId) -> bool {
        self.checked.contains(object)
    }

    /// True if an object is at hand.
    pub fn has(&self, object: &ObjectId) -> bool {
        self.manifests.contains_key(object)
    }

    /// Hands an object out.
    pub fn take(&mut self, object: &ObjectId) -> Option<Manifest> {
        let manifest = self.manifests.remove(object)?;
        self.bytes = self.bytes.saturating_sub(manifest.size());
        Some(manifest)
    }
}

impl Opened {
    /// True if every object that was wanted is there.
    pub fn is_whole(&self) -> bool {
        self.problems.is_empty() && self.locked.is_empty()
    }
}

/// Why a file did not open.
enum Shut {
    Wrong(Vec<Problem>),
    Locked(Problem),
}

/// Opens the objects `wanted` of a desired set.
///
/// # Guarantees
/// Each file is read and opened once; MACs are verified; an object with a problem is not in the result.
///
/// # Errors
/// Only what is no mistake in a file: an object of git is missing, a file cannot be read.
pub async fn open(
    source: &Source,
    keyring: &Keyring,
    class: Option<&str>,
    desired: &DesiredSet,
    wanted: &BTreeSet<ObjectId>,
    generator: Option<Generator<'_>>,
) -> Result<Opened, Error> {
    let wanted: Vec<&ObjectId> = wanted.iter().collect();
    let mut opening = Opening::new(source, keyring, class, desired, &wanted).with(generator);
    let mut manifests = BTreeMap::new();
    for objects in wanted.chunks(AT_ONCE) {
        manifests.extend(opening.open(objects).await?);
    }
    Ok(Opened { manifests, problems: opening.problems, locked: opening.locked })
}

/// What keeps the objects `wanted` of a desired set from being opened, all of it. Nothing opened is kept.
///
/// # Errors
/// As `open`.
pub async fn problems(
    source: &Source,
    keyring: &Keyring,
    class: Option<&str>,
    desired: &DesiredSet,
    wanted: &[&ObjectId],
) -> Result<Vec<Problem>, Error> {
    let mut opening = Opening::new(source, keyring, class, desired, wanted);
    for objects in wanted.chunks(AT_ONCE) {
        opening.open(objects).await?;
    }
    Ok([opening.problems, opening.locked].concat())
}

/// Objects of a desired set on their way out of their files, some at a time.
pub struct Opening<'a> {
    source: &'a Source,
    keyring: &'a Keyring,
    class: Option<&'a str>,
    desired: &'a DesiredSet,
    generator: Option<Generator<'a>>,
    /// The documents that all objects together need.
    needed: HashSet<(FileId<'a>, usize)>,
    read: HashSet<FileId<'a>>,
    /// Opened documents of objects whose turn is still to come.
    documents: HashMap<(FileId<'a>, usize), Document>,
    /// Mistakes so far.
    pub problems: Vec<Problem>,
    /// Files that no key at hand opened so far.
    pub locked: Vec<Problem>,
}

impl<'a> Opening<'a> {
    /// The opening of the objects `wanted`, of which nothing is read yet.
    pub fn new(
        source: &'a Source,
        keyring: &'a Keyring,
        class: Option<&'a str>,
        desired: &'a DesiredSet,
        wanted: &[&ObjectId],
    ) -> Self {
        let sources = wanted.iter().filter_map(|object| desired.objects.get(*object)).flat_map(|it| &it.sources);
        Self {
            source,
            keyring,
            class,
            desired,
            generator: None,
            needed: sources.map(|source| (file_id(source), source.index)).collect(),
            read: HashSet::new(),
            documents: HashMap::new(),
            problems: Vec::new(),
            locked: Vec::new(),
        }
    }

    /// The same that makes up what is asked for.
    #[must_use]
    pub fn with(self, generator: Option<Generator<'a>>) -> Self {
        Self { generator, ..self }
    }

    /// Opens some of the objects.
    ///
    /// # Guarantees
    /// No file is read twice; MACs are verified; an object with a problem is not in the result.
    ///
    /// # Errors
    /// Only what is no mistake in a file: an object of git is missing, a file cannot be read.
    pub async fn open(&mut self, objects: &[&ObjectId]) -> Result<BTreeMap<ObjectId, Manifest>, Error> {
        let desired = self.desired;
        let objects: Vec<_> = objects.iter().filter_map(|object| desired.objects.get_key_value(*object)).collect();
        self.read_files(objects.iter().flat_map(|(_, desired)| &desired.sources)).await?;
        let mut whole = Vec::new();
        for (object, desired) in objects {
            let mut take = |source: &'a Origin| {
                let document = self.documents.remove(&(file_id(source), source.index))?;
                Some((source.clone(), document))
            };
            // a document that is missing here has its problem noted
            if let Some(documents) = desired.sources.iter().map(&mut take).collect::<Option<Vec<_>>>() {
                whole.push((object, desired, documents));
            }
        }
        let generator = self.generator;
        let render = |(object, desired, documents): (&ObjectId, &Desired, Vec<(Origin, Document)>)| {
            let mut rendered = render::render(object, desired, documents, &desired.parameters);
            if let (Ok(manifest), Some(generator), Some(generated)) = (&mut rendered, generator, &desired.generated) {
                generator.fill(manifest, generated);
            }
            (object.clone(), rendered)
        };
        let mut manifests = BTreeMap::new();
        for (object, rendered) in parallel::map(whole, render) {
            match rendered {
                Ok(manifest) => drop(manifests.insert(object, manifest)),
                Err(problems) => self.problems.extend(problems),
            }
        }
        Ok(manifests)
    }

    async fn read_files(&mut self, sources: impl Iterator<Item = &'a Origin>) -> Result<(), Error> {
        let mut files: BTreeMap<FileId<'a>, &'a Origin> = sources.map(|source| (file_id(source), source)).collect();
        files.retain(|file, _| self.read.insert(*file));
        let files: Vec<&Origin> = files.into_values().collect();
        for chunk in files.chunks(AT_ONCE) {
            let tree_files: Vec<TreeFile> = chunk.iter().map(|file| tree_file(file)).collect();
            let read = chunk.iter().copied().zip(self.source.contents(&tree_files, FILE_BYTES).await?).collect();
            let (keyring, class) = (self.keyring, self.class);
            for (file, found) in parallel::map(read, |(file, content)| (file, one_file(file, content, keyring, class)))
            {
                match found {
                    Ok(found) => {
                        let found = found.into_iter().map(|document| ((file_id(file), document.index), document));
                        self.documents.extend(found.filter(|(id, _)| self.needed.contains(id)));
                    }
                    Err(Shut::Wrong(problems)) => self.problems.extend(problems),
                    Err(Shut::Locked(problem)) => self.locked.push(problem),
                }
            }
        }
        Ok(())
    }
}

fn file_id(file: &Origin) -> FileId<'_> {
    (&file.layer, &file.path)
}

fn one_file(file: &Origin, content: Content, keyring: &Keyring, class: Option<&str>) -> Result<Vec<Document>, Shut> {
    let Content::File { bytes, .. } = content else {
        let problem = Problem::new(&file.path, "cannot be read as a file");
        return Err(Shut::Wrong(vec![problem.hint("commit a plain file of at most 4 MiB")]));
    };
    if !file.encrypted {
        return open::open(&file.path, &bytes, None).map_err(Shut::Wrong);
    }
    let sops = SopsFile::parse(&file.path, &bytes).map_err(Shut::Wrong)?;
    let data_key = keyring.unwrap(class, &sops).map_err(|error| {
        let problem = Problem::new(&file.path, error.to_string()).at(sops.metadata_line(), 0);
        Shut::Locked(problem.hint(error.hint().unwrap_or_default()).because(Reason::CannotDecrypt))
    })?;
    open::open_encrypted(&sops, &data_key).map_err(Shut::Wrong)
}

fn tree_file(source: &Origin) -> TreeFile {
    TreeFile { path: source.path.to_string(), blob_id: source.blob_id, mode: FileMode::File }
}
