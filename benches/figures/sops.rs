//! Writes files as sops does: the program itself takes 26 ms a file, which is four minutes for 10,000.
//!
//! A run opens one of them with the real program, so that this stays the format.

use std::io::Write;

use aes_gcm::aead::consts::U32;
use aes_gcm::aead::generic_array::GenericArray;
use aes_gcm::{AeadInPlace, AesGcm, KeyInit, aes::Aes256};
use age::armor::{ArmoredWriter, Format};
use data_encoding::{BASE64, HEXUPPER};
use sha2::{Digest, Sha512};

use crate::random::Random;

const LASTMODIFIED: &str = "2026-01-01T00:00:00Z";

/// A Secret to encrypt: its name, and each key with its value and what its IV depends on.
pub struct Secret<'a> {
    /// What the data key depends on: files of two versions share it, as those of an editor do.
    pub file: &'a str,
    pub name: &'a str,
    pub values: Vec<(String, String, String)>,
}

/// The encrypted file. All but the wrapping of the data key, which age does not let anybody repeat, is the same in every run.
pub fn encrypt(recipient: &age::x25519::Recipient, secret: &Secret<'_>) -> String {
    let data_key = Random::of(&format!("data key of {}", secret.file)).bytes(32);
    let cipher = AesGcm::<Aes256, U32>::new(GenericArray::from_slice(&data_key));
    let mut hash = Sha512::new();
    for cleartext in ["v1", "Secret", secret.name, "Opaque"] {
        hash.update(cleartext);
    }
    let mut lines = String::new();
    for (key, value, version) in &secret.values {
        hash.update(value);
        let nonce = format!("{} {key} {version}", secret.file);
        let value = seal(&cipher, value, &format!("stringData:{key}:"), &nonce);
        lines.push_str(&format!("    {key}: {value}\n"));
    }
    let mac = HEXUPPER.encode(&hash.finalize());
    let versions: String = secret.values.iter().map(|(_, _, version)| version.as_str()).collect();
    let mac = seal(&cipher, &mac, LASTMODIFIED, &format!("{} mac {versions}", secret.file));
    let enc = wrap(recipient, &data_key).lines().map(|line| format!("            {line}\n")).collect::<String>();
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n    name: {}\ntype: Opaque\nstringData:\n{lines}sops:\n    age:\n        \
         - recipient: {recipient}\n          enc: |\n{enc}    lastmodified: \"{LASTMODIFIED}\"\n    mac: {mac}\n    \
         encrypted_regex: ^(data|stringData)$\n    version: 3.13.3\n",
        secret.name
    )
}

fn seal(cipher: &AesGcm<Aes256, U32>, value: &str, place: &str, nonce: &str) -> String {
    let iv = Random::of(nonce).bytes(32);
    let mut bytes = value.as_bytes().to_vec();
    let tag = cipher
        .encrypt_in_place_detached(GenericArray::from_slice(&iv), place.as_bytes(), &mut bytes)
        .expect("a value is far below the cipher's limit");
    let [data, iv, tag] = [bytes.as_slice(), &iv, &tag].map(|bytes| BASE64.encode(bytes));
    format!("ENC[AES256_GCM,data:{data},iv:{iv},tag:{tag},type:str]")
}

fn wrap(recipient: &age::x25519::Recipient, data_key: &[u8]) -> String {
    let recipients = std::iter::once(recipient as &dyn age::Recipient);
    let encryptor = age::Encryptor::with_recipients(recipients).expect("there is a recipient");
    let armored = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor).expect("a vector takes every byte");
    let mut writer = encryptor.wrap_output(armored).expect("a vector takes every byte");
    writer.write_all(data_key).expect("a vector takes every byte");
    let text = writer.finish().and_then(ArmoredWriter::finish).expect("a vector takes every byte");
    String::from_utf8(text).expect("armor is ASCII")
}
