//! The repository that is measured: 60 % ConfigMaps of 1-4 KB, 40 % SOPS Secrets of 20 values, 1 % large ConfigMaps;
//! environments are directories over a shared base.

use std::ops::Range;

use data_encoding::BASE64;

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

/// A changed file, and what it changes in the cluster.
#[derive(Clone)]
pub struct Changed {
    pub file: File,
    pub object: Object,
    /// The one key of `data` that changes, and its value there.
    pub key: &'static str,
    pub value: String,
}

/// Kind in plural, and name.
pub type Object = (&'static str, String);

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

    /// Other values than in any other version, in files of one directory, or of the base where no directory overrides them.
    ///
    /// `which` counts the files there are, again from the first after the last.
    pub fn changed(&self, directory: Option<usize>, which: Range<usize>, version: usize) -> Vec<Changed> {
        let objects: Vec<usize> = match directory {
            Some(_) => self.own().collect(),
            None => (0..self.objects / 2).filter(|object| !is_overridden(*object)).collect(),
        };
        which.map(|index| self.change(Place { directory, object: objects[index % objects.len()] }, version)).collect()
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

    /// All objects of an environment.
    pub fn objects(&self) -> impl Iterator<Item = Object> {
        (0..self.objects).map(object)
    }

    /// Objects of which an environment's directory has a file: one in ten of the base's, and those of its own.
    fn own(&self) -> impl Iterator<Item = usize> + use<> {
        let half = self.objects / 2;
        (0..half).filter(|object| is_overridden(*object)).chain(half..self.objects)
    }

    fn change(&self, place: Place, version: usize) -> Changed {
        let file = self.file(place, version);
        let (key, value) = if is_secret(place.object) {
            ("KEY_00", BASE64.encode(secret_value(&file.0, 0, &version.to_string()).as_bytes()))
        } else {
            ("VERSION", config_value(&file.0, version))
        };
        Changed { file, object: object(place.object), key, value }
    }

    fn file(&self, place: Place, version: usize) -> File {
        let Place { directory, object } = place;
        let layer = directory.map_or("base".to_owned(), |directory| format!("envs/{directory:03}"));
        let (group, (_, name)) = (object / 500, self::object(object));
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
            (format!("KEY_{index:02}"), secret_value(path, index, &version), version)
        };
        sops::encrypt(&self.recipient, &Secret { file: path, name, values: (0..VALUES).map(value).collect() })
    }
}

fn secret_value(path: &str, index: usize, version: &str) -> String {
    let mut random = Random::of(&format!("{path} {index} {version}"));
    let length = random.within(12, 48);
    random.text(length)
}

fn config_value(path: &str, version: usize) -> String {
    format!("{version}-{}", Random::of(&format!("{path} {version}")).text(12))
}

fn object(object: usize) -> Object {
    (if is_secret(object) { "secrets" } else { "configmaps" }, format!("object-{object:06}"))
}

/// One in ten of the base's.
fn is_overridden(object: usize) -> bool {
    matches!(object % 20, 0 | 11)
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
         data:\n  VERSION: \"{}\"\n",
        config_value(path, version)
    );
    let mut index = 0;
    while text.len() < size {
        let length = random.within(16, 120);
        text.push_str(&format!("  KEY_{index:03}: \"{}\"\n", random.text(length)));
        index += 1;
    }
    text
}
