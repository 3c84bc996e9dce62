//! Where decrypted bytes are opened.

use std::collections::BTreeMap;

use super::source::shipped;
use super::{Breach, none};

/// Every file that opens `Cleartext`, how often, and why it must. A new line here needs a reviewer who asks where the bytes go.
const EXPOSE: &[(&str, usize, &str)] = &[
    ("src/cli/init.rs", 1, "the throw-away identity goes into its file"),
    ("src/cluster/wire_object.rs", 3, "values go into the body of the request that writes the object"),
    (
        "src/git/credentials.rs",
        5,
        "credentials are read by their form, and go into the header or the handshake that shows them",
    ),
    ("src/receiver/signature.rs", 2, "a webhook secret becomes the key of an HMAC, and is not kept"),
    ("src/desired/render/check.rs", 2, "sizes and forms that the API server would refuse; the bytes go nowhere"),
    ("src/desired/render/values.rs", 1, "a decrypted string becomes a value of the manifest, again as Cleartext"),
    ("src/desired/sops.rs", 1, "the length of a data key"),
    ("src/desired/sops/cipher.rs", 2, "the data key goes into the cipher; an opened leaf is read by its type"),
    ("src/desired/sops/open.rs", 2, "opened leaves go into the hash of the MAC, which is compared"),
    ("src/desired/value.rs", 1, "a leaf becomes JSON for the request that writes it"),
    ("src/desired/variables.rs", 1, "variables are looked for in opened strings"),
    ("src/planning/diff/compare.rs", 3, "two values are compared; only a word comes out"),
    ("src/planning/diff/show.rs", 1, "values of ConfigMaps that are cleartext in git are shown"),
    ("src/planning/fingerprint.rs", 2, "values and the type of a Secret go into the keyed digest"),
    ("src/model/wire.rs", 1, "the key of fingerprints and seals goes into HMAC"),
];

#[test]
fn cleartext_is_opened_in_listed_places_only() {
    let mut found: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for source in shipped() {
        for (number, line) in source.shipped().filter(|(_, line)| line.code.contains(".expose()")) {
            let times = line.code.matches(".expose()").count();
            found.entry(source.path.clone()).or_default().extend(std::iter::repeat_n(number, times));
        }
    }
    let mut breaches = Vec::new();
    for (path, lines) in &found {
        let listed = EXPOSE.iter().find(|(listed, ..)| listed == path).map_or(0, |(_, times, _)| *times);
        if lines.len() != listed {
            breaches.push(Breach::new(
                path,
                lines[0],
                format!("{} calls at lines {lines:?}, {listed} listed", lines.len()),
            ));
        }
    }
    let gone = EXPOSE.iter().filter(|(path, ..)| !found.contains_key(*path));
    breaches.extend(gone.map(|(path, ..)| Breach::new(path, 1, "listed, but opens nothing")));
    none("each call of `expose()` is listed with its reason in tests/it/tidy/secrets.rs", &breaches);
}

#[test]
fn cleartext_cannot_be_printed_copied_or_compared() {
    let mut breaches = Vec::new();
    for source in shipped() {
        for (index, line) in source.shipped() {
            let declared = line.code.contains("struct Cleartext") || line.code.contains("struct FingerprintKey");
            let derives = if declared { source.lines[index - 2].code.clone() } else { String::new() };
            let implemented = line.code.contains("for Cleartext") || line.code.contains("for FingerprintKey");
            for ability in ["Clone", "Copy", "Display", "Serialize", "PartialEq", "Deref", "AsRef"] {
                if derives.contains(ability) || (implemented && line.code.contains(ability)) {
                    breaches.push(Breach::new(&source.path, index, format!("`{ability}`")));
                }
            }
        }
    }
    none("Cleartext has no Clone, Display, Serialize, PartialEq, Deref or AsRef", &breaches);
}
