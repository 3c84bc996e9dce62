use super::cipher::{self, Refusal};
use super::*;

/// `aes/cipher_test.go` of getsops/sops: 32 times `f`, additional data `bar:`.
const VECTOR: &str =
    "ENC[AES256_GCM,data:oYyi,iv:MyIDYbT718JRr11QtBkcj3Dwm4k1aCGZBVeZf0EyV8o=,tag:t5z2Z023Up0kxwCgw1gNxg==,type:str]";

fn key() -> DataKey {
    DataKey::new(Cleartext::new(vec![b'f'; 32])).unwrap()
}

#[test]
fn a_value_of_the_reference_opens_at_its_place_only() {
    let opened = cipher::open(VECTOR, &key(), "bar:").ok().unwrap();
    assert_eq!(opened.secret.bytes.expose(), b"foo");
    let refused = |text: &str, place: &str| cipher::open(text, &key(), place).err();
    assert_eq!(refused(VECTOR, "baz:"), Some(Refusal::Forged));
    assert_eq!(refused(&VECTOR.replace("oYyi", "oYyj"), "bar:"), Some(Refusal::Forged));
    assert_eq!(refused(&VECTOR.replace("iv:My", "iv:"), "bar:"), Some(Refusal::Malformed));
    assert_eq!(refused(&VECTOR.replace("type:str", "type:int"), "bar:"), Some(Refusal::Unfit));
    assert_eq!(refused("ENC[AES256_GCM,", "bar:"), Some(Refusal::Malformed));
}

#[test]
fn data_keys_have_32_bytes_and_cannot_be_seen() {
    assert!(DataKey::new(Cleartext::new(vec![0; 31])).is_none());
    assert_eq!(format!("{:?}", key()), "DataKey(Cleartext(redacted))");
}

#[test]
fn floats_are_hashed_as_go_prints_them() {
    for (value, expected) in [(1.0, "1"), (1e21, "1000000000000000000000"), (1e-7, "0.0000001"), (-0.5, "-0.5")] {
        assert_eq!(cipher::float(value), expected);
    }
    assert_eq!(cipher::float(f64::NEG_INFINITY), "-Inf");
}

#[test]
fn a_lost_block_is_still_seen_as_encrypted() {
    let documents = |text: &str| yaml::parse(text).unwrap();
    assert!(is_encrypted(&documents(&format!("a: {{b: [c, '{VECTOR}']}}"))));
    assert!(is_encrypted(&documents("a: b\nsops: {}")));
    assert!(!is_encrypted(&documents("a: ENC[b]")));
}
