//! The repository that is measured: 60 % ConfigMaps of 1-4 KB, 40 % SOPS Secrets of 20 values, 1 % large ConfigMaps;
//! environments are directories over a shared base.

use crate::random::Random;
use crate::sops::{self, Secret};

/// Values of a Secret.
const VALUES: usize = 20;
/// Bytes of a large ConfigMap.
const LARGE: usize = 100_000;

/// What is in the repository.
pub struct Workload {
    /// Objects of each environment: half of them in the base.
    pub objects: usize,
    /// Directories of environments.
    pub directories: usize,
    /// To whom Secrets are encrypted.
    pub recipient: age::x25519::Recipient,
}

/// Path and content.
pub type File = (String, Vec<u8>);

/// One file of an object.
#[derive(Clone, Copy)]
struct Place {
    /// `None` is the base.
    directory: Option<usize>,
    object: usize,
}

impl Workload {
    /// All files, one after another.
    pub fn files(&self) -> impl Iterator<Item = File> + '_ {
        let base = (0..self.objects / 2).map(|object| Place { directory: None, object });
        let own = |directory| self.own().map(move |object| Place { directory: Some(directory), object });
        base.chain((0..self.directories).flat_map(own)).map(|place| self.file(place, 0))
    }

    /// How many files there are.
    pub fn count(&self) -> usize {
        self.objects / 2 + self.directories * self.own().count()
    }

    /// Files of `count` objects in the first directory, with other values than in any other version.
    pub fn changed(&self, count: usize, version: usize) -> Vec<File> {
        let own: Vec<usize> = self.own().collect();
        let objects = (version * count..(version + 1) * count).map(|index| own[index % own.len()]);
        objects.map(|object| self.file(Place { directory: Some(0), object }, version)).collect()
    }

    /// One changed Secret with a single file.
    pub fn changed_secret(&self, version: usize) -> File {
        let object = (self.objects / 2..self.objects).filter(|object| is_secret(*object)).nth(version);
        let object = object.expect("there are more Secrets than versions");
        self.file(Place { directory: Some(0), object }, version)
    }

    /// Layers of the environments of one directory, lowest first.
    pub fn layers(directory: usize) -> Vec<String> {
        vec!["base".to_owned(), format!("envs/{directory:03}")]
    }

    /// Objects of which an environment's directory has a file: one in ten of the base's, and those of its own.
    fn own(&self) -> impl Iterator<Item = usize> + use<> {
        let overridden = |object: &usize| matches!(object % 20, 0 | 11);
        let half = self.objects / 2;
        (0..half).filter(overridden).chain(half..self.objects)
    }

    fn file(&self, place: Place, version: usize) -> File {
        let Place { directory, object } = place;
        let layer = directory.map_or("base".to_owned(), |directory| format!("envs/{directory:03}"));
        let (group, name) = (object / 500, format!("object-{object:06}"));
        if is_secret(object) {
            let path = format!("{layer}/{group:03}/{name}.sops.yaml");
            (path.clone(), self.secret(&path, &name, version).into_bytes())
        } else {
            let path = format!("{layer}/{group:03}/{name}.yaml");
            (path.clone(), config_map(&path, &name, object, version).into_bytes())
        }
    }

    fn secret(&self, path: &str, name: &str, version: usize) -> String {
        let value = |index: usize| {
            let version = if index == 0 { version.to_string() } else { String::new() };
            let mut random = Random::of(&format!("{path} {index} {version}"));
            let length = random.within(12, 48);
            (format!("KEY_{index:02}"), random.text(length), version)
        };
        sops::encrypt(&self.recipient, &Secret { file: path, name, values: (0..VALUES).map(value).collect() })
    }
}

/// Four in ten, spread evenly.
fn is_secret(object: usize) -> bool {
    object % 5 == 1 || object % 5 == 3
}

fn config_map(path: &str, name: &str, object: usize, version: usize) -> String {
    let mut random = Random::of(path);
    let size = if object % 100 == 50 { LARGE } else { random.within(1_024, 4_096) };
    let mut text = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  labels:\n    app.kubernetes.io/part-of: shop\n\
         data:\n  VERSION: \"{version}-{}\"\n",
        Random::of(&format!("{path} {version}")).text(12)
    );
    let mut index = 0;
    while text.len() < size {
        let length = random.within(16, 120);
        text.push_str(&format!("  KEY_{index:03}: \"{}\"\n", random.text(length)));
        index += 1;
    }
    text
}
