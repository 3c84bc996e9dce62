//! One encrypted value: `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`.

use aes_gcm::aead::consts::{U12, U16, U32};
use aes_gcm::aead::generic_array::ArrayLength;
use aes_gcm::aead::generic_array::GenericArray;
use aes_gcm::{AeadInPlace, AesGcm, KeyInit, Tag, aes::Aes256};
use data_encoding::BASE64;

use crate::desired::sops::DataKey;
use crate::desired::value::{Secret, SecretKind, Value};
use crate::model::cleartext::Cleartext;

/// A decrypted value and what the MAC takes of it.
pub(super) struct Opened {
    pub(super) secret: Secret,
    pub(super) hashed: Cleartext,
}

/// Why a value does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The text is cut or edited.
    Malformed,
    /// The data key, the place or the bytes are not those of the encryption.
    Forged,
    /// Authentic, but of a type that is no value or cannot be applied (not UTF-8, a number out of range).
    Unfit,
}

/// Decrypts the text of a leaf; `place` is the additional data that binds it.
pub(super) fn open(text: &str, key: &DataKey, place: &str) -> Result<Opened, Refusal> {
    let envelope = envelope(text).ok_or(Refusal::Malformed)?;
    let bytes = match envelope.nonce.len() {
        32 => decrypt::<U32>(envelope.data, &envelope.nonce, &envelope.tag, key, place),
        16 => decrypt::<U16>(envelope.data, &envelope.nonce, &envelope.tag, key, place),
        12 => decrypt::<U12>(envelope.data, &envelope.nonce, &envelope.tag, key, place),
        _ => return Err(Refusal::Malformed),
    }?;
    typed(envelope.kind, bytes).ok_or(Refusal::Unfit)
}

/// A cleartext float as the MAC takes it: Go's `FormatFloat(value, 'f', -1, 64)`.
pub(super) fn float(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(),
    }
}

/// Go's `strconv.ParseBool`.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// A cleartext boolean as the MAC takes it.
pub(super) fn boolean_text(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

struct Envelope<'a> {
    data: Vec<u8>,
    nonce: Vec<u8>,
    tag: Vec<u8>,
    kind: &'a str,
}

fn envelope(text: &str) -> Option<Envelope<'_>> {
    let text = text.strip_prefix("ENC[AES256_GCM,data:")?.strip_suffix(']')?;
    let (data, text) = text.split_once(",iv:")?;
    let (nonce, text) = text.split_once(",tag:")?;
    let (tag, kind) = text.split_once(",type:")?;
    let bytes = |text: &str| BASE64.decode(text.as_bytes()).ok();
    Some(Envelope { data: bytes(data)?, nonce: bytes(nonce)?, tag: bytes(tag).filter(|tag| tag.len() == 16)?, kind })
}

fn decrypt<N: ArrayLength<u8>>(
    mut data: Vec<u8>,
    nonce: &[u8],
    tag: &[u8],
    key: &DataKey,
    place: &str,
) -> Result<Cleartext, Refusal> {
    let cipher = AesGcm::<Aes256, N>::new(GenericArray::from_slice(key.0.expose()));
    let nonce = GenericArray::<u8, N>::from_slice(nonce);
    cipher
        .decrypt_in_place_detached(nonce, place.as_bytes(), &mut data, Tag::from_slice(tag))
        .map_err(|_| Refusal::Forged)?;
    Ok(Cleartext::new(data))
}

fn typed(kind: &str, bytes: Cleartext) -> Option<Opened> {
    let text = std::str::from_utf8(bytes.expose()).ok()?;
    let copy = |text: &str| Cleartext::new(text.as_bytes().to_vec());
    let (kind, value, hashed) = match kind {
        "str" | "bytes" | "time" => (SecretKind::Text, copy(text), bytes),
        "int" => {
            let number = text.parse::<i64>().ok()?.to_string();
            (SecretKind::Int, copy(&number), Cleartext::new(number.into_bytes()))
        }
        "bool" => {
            let value = boolean(text)?;
            (SecretKind::Bool, copy(if value { "true" } else { "false" }), copy(boolean_text(value)))
        }
        "float" => {
            let number = text.parse::<f64>().ok().filter(|number| number.is_finite())?;
            let (kind, value) = match Value::number(number) {
                Value::Int(number) => (SecretKind::Int, number.to_string()),
                _ => (SecretKind::Float, number.to_string()),
            };
            (kind, Cleartext::new(value.into_bytes()), Cleartext::new(float(number).into_bytes()))
        }
        _ => return None,
    };
    Some(Opened { secret: Secret { kind, bytes: value }, hashed })
}
