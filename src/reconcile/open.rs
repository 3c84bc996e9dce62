//! Opening: the bytes of the units that make given objects become manifests. Nothing opened is kept past its step.

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::manifest::Manifest;
use crate::desired::open::{self, Document};
use crate::desired::render;
use crate::desired::set::{DesiredSet, Source as Origin};
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
/// Files read at once: bounds what is in memory besides the manifests.
const FILES_AT_ONCE: usize = 256;

/// Layer, path and index: a file of two overlapping layers is opened for each.
type DocumentId = (String, String, usize);

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
) -> Result<Opened, Error> {
    let objects: Vec<_> = wanted.iter().filter_map(|object| desired.objects.get_key_value(object)).collect();
    let files: BTreeMap<(&str, &str), &Origin> = objects
        .iter()
        .flat_map(|(_, desired)| &desired.sources)
        .map(|source| ((source.layer.as_str(), source.path.as_str()), source))
        .collect();
    let mut opened = Opened::default();
    let mut documents: BTreeMap<DocumentId, Document> = BTreeMap::new();
    let files: Vec<&Origin> = files.into_values().collect();
    for chunk in files.chunks(FILES_AT_ONCE) {
        let tree_files: Vec<TreeFile> = chunk.iter().map(|file| tree_file(file)).collect();
        let read = chunk.iter().zip(source.contents(&tree_files, FILE_BYTES).await?).collect();
        for (file, found) in parallel::map(read, |(file, content)| (file, one_file(file, content, keyring, class))) {
            match found {
                Ok(found) => documents.extend(found.into_iter().map(|document| (id(file, document.index), document))),
                Err(Shut::Wrong(problems)) => opened.problems.extend(problems),
                Err(Shut::Locked(problem)) => opened.locked.push(problem),
            }
        }
    }
    for (object, desired) in objects {
        let sources = desired
            .sources
            .iter()
            .map(|source| documents.remove(&id(source, source.index)).map(|document| (source.clone(), document)));
        // a document that is missing here has its problem noted above
        let Some(sources) = sources.collect::<Option<Vec<_>>>() else { continue };
        match render::render(object, desired, sources, &desired.parameters) {
            Ok(manifest) => {
                opened.manifests.insert(object.clone(), manifest);
            }
            Err(problems) => opened.problems.extend(problems),
        }
    }
    Ok(opened)
}

fn id(file: &Origin, index: usize) -> DocumentId {
    (file.layer.clone(), file.path.clone(), index)
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
    open::open(&file.path, &bytes, Some(&data_key)).map_err(Shut::Wrong)
}

fn tree_file(source: &Origin) -> TreeFile {
    TreeFile { path: source.path.clone(), blob_id: source.blob_id, mode: FileMode::File }
}
