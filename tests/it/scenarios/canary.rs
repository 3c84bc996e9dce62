//! The search for secret values where they must not be, in every form that programs print them in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// A shorter piece could be found by chance.
const SHORTEST: usize = 8;

/// The secret values of one script, and how much was searched for them.
#[derive(Default)]
pub struct Canary {
    /// Form → the value it is of.
    forms: BTreeMap<Vec<u8>, String>,
    /// Bytes searched so far.
    pub scanned: u64,
}

impl Canary {
    /// Takes every `canary-…` of a text as a secret value.
    pub fn watch_for(&mut self, text: &str) {
        let is_part = |character: char| character.is_ascii_alphanumeric() || character == '-';
        for (at, _) in text.match_indices("canary-") {
            let value: String = text[at..].chars().take_while(|character| is_part(*character)).collect();
            for form in forms(&value) {
                self.forms.insert(form, value.clone());
            }
        }
    }

    /// Searches some bytes.
    ///
    /// Panics with the place if a value is in them.
    pub fn scan(&mut self, place: &str, bytes: &[u8]) {
        self.scanned += bytes.len() as u64;
        if let Some(form) = find(&self.forms, bytes) {
            let around = String::from_utf8_lossy(&bytes[form.1.saturating_sub(200)..(form.1 + 100).min(bytes.len())]);
            panic!("a secret value ({}) is in {place}: …{around}…", self.forms[form.0]);
        }
    }

    /// Searches every file below a folder.
    pub fn scan_folder(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.scan_folder(&path);
            } else if let Ok(bytes) = fs::read(&path) {
                self.scan(&path.display().to_string(), &bytes);
            }
        }
    }
}

/// The value as it is, in base64 at each of the three offsets, in hex and in percent encoding.
fn forms(value: &str) -> BTreeSet<Vec<u8>> {
    let bytes = value.as_bytes();
    let mut forms = BTreeSet::from([value.to_owned()]);
    for offset in 0..3 {
        for engine in [STANDARD, URL_SAFE] {
            let text = engine.encode([&b"   "[..offset], bytes].concat());
            // the first and last characters carry bits of what stands around the value
            let end = text.trim_end_matches('=').len() - 2;
            forms.insert(text[offset + 1..end].to_owned());
        }
    }
    let encode = |lead: &str, upper: bool| {
        let digits = |byte: &u8| if upper { format!("{lead}{byte:02X}") } else { format!("{lead}{byte:02x}") };
        bytes.iter().map(digits).collect::<String>()
    };
    for (lead, upper) in [("", false), ("", true), ("%", false), ("%", true), ("\\x", false)] {
        forms.insert(encode(lead, upper));
    }
    forms.into_iter().filter(|form| form.len() >= SHORTEST).map(String::into_bytes).collect()
}

fn find<'f>(forms: &'f BTreeMap<Vec<u8>, String>, bytes: &[u8]) -> Option<(&'f Vec<u8>, usize)> {
    let mut first: [Vec<&'f Vec<u8>>; 256] = std::array::from_fn(|_| Vec::new());
    for form in forms.keys() {
        first[usize::from(form[0])].push(form);
    }
    (0..bytes.len()).find_map(|at| {
        let candidates = &first[usize::from(bytes[at])];
        candidates.iter().find(|form| bytes[at..].starts_with(form)).map(|form| (*form, at))
    })
}

#[test]
fn values_are_found_in_every_form() {
    let mut canary = Canary::default();
    canary.watch_for("PASSWORD: canary-7f3a-password\nURL: x://u:canary-11-b@host/");
    let value = "canary-7f3a-password";
    let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    let percent: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let texts = [
        value.to_owned(),
        format!("…{}…", STANDARD.encode(value)),
        STANDARD.encode(format!("x{value}yz")),
        URL_SAFE.encode(format!("ab{value}?")),
        format!("key {hex}."),
        percent,
        "canary-11-b".to_owned(),
    ];
    for text in texts {
        assert!(find(&canary.forms, text.as_bytes()).is_some(), "{text}");
    }
    canary.scan("nothing", b"canary- is a word, canary-7f3 a piece");
    assert_eq!(canary.scanned, 37);
}
