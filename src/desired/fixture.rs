//! The fixture language of the tests: a repository in one string, files encrypted as sops does it.
//!
//! `//- base/app.yaml` begins a file. `//- base/db.yaml sops` begins one whose scalars under `data` and `stringData` are
//! encrypted with `data_key()`; another word instead of `sops`, beginning with it, gives other ciphertext of the same values.
//! `osier.yaml` is optional: without it there is the environment `staging` in the namespace `shop`, whose layers are the
//! directories in the order of the text.

use std::collections::BTreeMap;
use std::sync::Arc;

use aes_gcm::aead::consts::U32;
use aes_gcm::{AeadInPlace, AesGcm, KeyInit, Nonce, aes::Aes256};
use data_encoding::{BASE64, HEXUPPER};
use sha2::{Digest, Sha256, Sha512};

use crate::desired::compose::{Caps, Composition, Scope, allowed_kinds};
use crate::desired::config::Config;
use crate::desired::generate::Generate;
use crate::desired::isolation::Isolation;
use crate::desired::manifest::Manifest;
use crate::desired::open::{Document, open};
use crate::desired::outline::Outline;
use crate::desired::render::render;
use crate::desired::set::{DesiredSet, Parameters};
use crate::desired::sops::DataKey;
use crate::desired::unit::{self, outline};
use crate::desired::yaml::{self, Content, Node};
use crate::model::cleartext::Cleartext;
use crate::model::object::{Kind, ObjectId};
use crate::model::problem::Problem;
use crate::model::tree::GitId;

const KEY: [u8; 32] = [b'k'; 32];
const MODIFIED: &str = "2026-11-21T06:09:08Z";
/// The recipient that encrypted fixtures name.
pub const RECIPIENT: &str = "age1yxexhfk4zh9ghftayqn2xl9hd4s9xdz5rvaq0wsyj37e0km94qpqq9a8ny";

/// A repository.
#[derive(Clone, Debug, Default)]
pub struct Fixture {
    /// Content by path.
    pub files: BTreeMap<String, Vec<u8>>,
    layers: Vec<String>,
    /// What the environment has to keep to.
    pub isolation: Option<Isolation>,
    /// What of it is made up.
    pub generate: Generate,
    /// Kinds that the Repository grants beside those that it need not.
    pub kinds: Vec<Kind>,
}

/// The data key of encrypted fixtures.
pub fn data_key() -> DataKey {
    DataKey::new(Cleartext::new(KEY.to_vec())).unwrap()
}

/// A stand-in for git's id of these bytes.
pub fn blob_id(bytes: &[u8]) -> GitId {
    GitId(Sha256::digest(bytes)[..20].try_into().unwrap())
}

impl Fixture {
    /// Reads the fixture language.
    pub fn new(text: &str) -> Self {
        let mut fixture = Self::default();
        for part in text.split("//- ").skip(1) {
            let (head, body) = part.split_once('\n').unwrap_or((part, ""));
            let (path, word) = head.trim().split_once(' ').unwrap_or((head.trim(), ""));
            let body = if word.starts_with("sops") { encrypt(body, word) } else { body.to_owned() };
            fixture.write(path, body.into_bytes());
        }
        fixture
    }

    /// Puts a file in.
    pub fn write(&mut self, path: &str, bytes: Vec<u8>) {
        if let Some((layer, _)) = path.rsplit_once('/')
            && !self.layers.iter().any(|known| known == layer)
        {
            self.layers.push(layer.to_owned());
        }
        self.files.insert(path.to_owned(), bytes);
    }

    /// The outline of a file.
    pub fn outline(&self, path: &str) -> Outline {
        let bytes = &self.files[path];
        outline(path, &blob_id(bytes).to_string(), bytes)
    }

    /// What the environment is.
    pub fn scope(&self, environment: &str) -> Scope {
        let (namespace, layers, line) = match self.files.get("osier.yaml") {
            Some(text) => {
                let config = Config::parse("osier.yaml", std::str::from_utf8(text).unwrap()).unwrap();
                let environment = config.environments[environment].clone();
                (environment.namespace, environment.layers, environment.line)
            }
            None => ("shop".to_owned(), self.layers.clone(), 1),
        };
        Scope {
            environment: environment.to_owned(),
            line,
            parameters: parameters(environment, &namespace),
            namespace,
            layers,
            isolation: self.isolation.clone().map(Arc::new),
            generate: self.generate.clone(),
            kinds: allowed_kinds(&[], self.isolation.is_some()).into_iter().chain(self.kinds.clone()).collect(),
            caps: Caps::default(),
        }
    }

    /// All files of the environment put together.
    pub fn composition(&self, environment: &str) -> Composition {
        let mut composition = Composition::new(self.scope(environment));
        for (path, bytes) in &self.files {
            let layer = composition.scope().layer_of(path).map(str::to_owned);
            if let Some(layer) = layer {
                composition.replace(&layer, path, Some((blob_id(bytes), Arc::new(self.outline(path)))));
            }
        }
        composition
    }

    /// What the environment shall have.
    pub fn desired(&self, environment: &str) -> Result<DesiredSet, Vec<Problem>> {
        self.composition(environment).desired().cloned()
    }

    /// Every object with its values.
    pub fn manifests(&self, environment: &str) -> Result<BTreeMap<ObjectId, Manifest>, Vec<Problem>> {
        let desired = self.desired(environment)?;
        let mut problems = Vec::new();
        let mut manifests = BTreeMap::new();
        for (object, desired) in &desired.objects {
            let sources = desired.sources.iter().map(|source| {
                let document = self.document(&source.path, source.index)?;
                Ok((source.clone(), document))
            });
            let rendered = sources
                .collect::<Result<Vec<_>, Vec<Problem>>>()
                .and_then(|documents| render(object, desired, documents, &desired.parameters));
            match rendered {
                Ok(manifest) => drop(manifests.insert(object.clone(), manifest)),
                Err(more) => problems.extend(more),
            }
        }
        problems.sort();
        problems.dedup();
        if problems.is_empty() { Ok(manifests) } else { Err(problems) }
    }

    fn document(&self, path: &str, index: usize) -> Result<Document, Vec<Problem>> {
        assert!(unit::is_unit(path));
        let mut documents = open(path, &self.files[path], Some(&data_key()))?;
        Ok(documents.swap_remove(index))
    }
}

/// The variables of an environment of `main`.
pub fn parameters(environment: &str, namespace: &str) -> Parameters {
    let commit = "4f2a91c000000000000000000000000000000000";
    let pairs = [
        ("osier.branch", "main"),
        ("osier.slug", "main"),
        ("osier.namespace", namespace),
        ("osier.commit", commit),
        ("osier.environment", environment),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The problems as people read them.
pub fn show(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n  {}\n", problem.hint)).collect()
}

/// Encrypts the scalars under `data` and `stringData` of every document in place, and adds the `sops` block.
fn encrypt(text: &str, salt: &str) -> String {
    let documents = yaml::parse(text).unwrap();
    let mut writer = Writer { salt, mac: Sha512::new(), spans: Vec::new() };
    for document in &documents {
        writer.node(&document.node, &mut Vec::new());
    }
    let mac = seal(&HEXUPPER.encode(&writer.mac.finalize_reset()), MODIFIED, salt, "str");
    let mut text = text.to_owned();
    for (span, encrypted) in writer.spans.into_iter().rev() {
        text.replace_range(span, &encrypted);
    }
    let block = format!(
        "sops:\n  age:\n  - recipient: {RECIPIENT}\n    enc: none\n  encrypted_regex: ^(data|stringData)$\n  \
         lastmodified: \"{MODIFIED}\"\n  mac: {mac}\n  version: 3.13.3\n"
    );
    let documents: Vec<String> =
        text.split("---\n").map(|document| format!("{}\n{block}", document.trim_end())).collect();
    documents.join("---\n")
}

struct Writer<'a> {
    salt: &'a str,
    mac: Sha512,
    spans: Vec<(std::ops::Range<usize>, String)>,
}

impl Writer<'_> {
    fn node(&mut self, node: &Node, keys: &mut Vec<String>) {
        match &node.content {
            Content::Map(entries) => {
                for (key, value) in entries {
                    keys.push(key.text().unwrap().to_owned());
                    self.node(value, keys);
                    keys.pop();
                }
            }
            Content::List(items) => items.iter().for_each(|item| self.node(item, keys)),
            Content::Scalar { text, plain } => self.scalar(node, text, *plain, keys),
        }
    }

    fn scalar(&mut self, node: &Node, text: &str, plain: bool, keys: &[String]) {
        let (bytes, kind) = match yaml::sops_scalar(text, plain) {
            yaml::SopsScalar::Null => return,
            yaml::SopsScalar::Bool(true) => ("True".to_owned(), "bool"),
            yaml::SopsScalar::Bool(false) => ("False".to_owned(), "bool"),
            yaml::SopsScalar::Int(number) => (number.to_string(), "int"),
            yaml::SopsScalar::Float(number) => (number.to_string(), "float"),
            _ => (text.to_owned(), "str"),
        };
        self.mac.update(&bytes);
        if !bytes.is_empty() && keys.iter().any(|key| key == "data" || key == "stringData") {
            let place = format!("{}:", keys.join(":"));
            let line_end = if text.ends_with('\n') && !plain { "\n" } else { "" };
            self.spans.push((node.span.clone(), format!("\"{}\"{line_end}", seal(&bytes, &place, self.salt, kind))));
        }
    }
}

fn seal(text: &str, place: &str, salt: &str, kind: &str) -> String {
    let nonce = Sha256::digest(format!("{salt} {place} {text}"));
    let mut data = text.as_bytes().to_vec();
    let cipher: AesGcm<Aes256, U32> = AesGcm::new(&KEY.into());
    let tag = cipher.encrypt_in_place_detached(Nonce::<U32>::from_slice(&nonce), place.as_bytes(), &mut data).unwrap();
    let parts = [data.as_slice(), nonce.as_slice(), tag.as_slice()].map(|bytes| BASE64.encode(bytes));
    format!("ENC[AES256_GCM,data:{},iv:{},tag:{},type:{kind}]", parts[0], parts[1], parts[2])
}
