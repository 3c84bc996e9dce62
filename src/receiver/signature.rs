//! Whether a call was made by somebody who knows the Repository's webhook secret.
//!
//! The body is only ever bytes of an HMAC: it is taken piece by piece as it comes, never parsed and never kept.
//! Sources: the forges' own pages on webhooks, and the Standard Webhooks specification for GitLab's signing tokens.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER_PERMISSIVE;
use hmac::{Hmac, Mac};
use http::HeaderMap;
use sha2::Sha256;

use crate::model::cleartext::Cleartext;
use crate::model::wire::WEBHOOK_SECRET;

/// Shorter secrets can be guessed.
const SHORTEST: usize = 16;
/// Where a forge says that the rest of the secret is base64.
const STANDARD_PREFIX: &[u8] = b"whsec_";
/// Signatures of one header that are looked at: one, or two while a secret is changed.
const SIGNATURES: usize = 2;

/// How a header shows that its sender knows the secret.
#[derive(Clone, Copy)]
enum Scheme {
    /// HMAC-SHA256 of the body in hex, after this prefix.
    Hex(&'static str),
    /// The secret itself.
    Token,
    /// `v1,` and HMAC-SHA256 in base64 of id, time and body with dots between them.
    Standard,
}

/// The headers that count. SHA-1, which GitHub still sends as `X-Hub-Signature`, does not.
const HEADERS: [(&str, Scheme); 7] = [
    ("x-hub-signature-256", Scheme::Hex("sha256=")), // GitHub, Gitea, Forgejo
    ("x-hub-signature", Scheme::Hex("sha256=")),     // Bitbucket
    ("x-gitea-signature", Scheme::Hex("")),
    ("x-forgejo-signature", Scheme::Hex("")),
    ("x-signature", Scheme::Hex("sha256=")), // whoever has no header of his own
    ("x-gitlab-token", Scheme::Token),
    ("webhook-signature", Scheme::Standard), // GitLab's signing token
];

/// Why a Secret is no webhook secret.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// The entry is not there.
    #[error("it has no entry `{}`", WEBHOOK_SECRET.0)]
    Missing,
    /// An entry is too short.
    #[error("its entry `{entry}` has fewer than {SHORTEST} bytes")]
    Short {
        /// Which.
        entry: &'static str,
    },
}

/// What calls are checked with. The secrets themselves are not kept.
///
/// # Guarantees
/// It cannot be printed or compared.
pub struct Secrets {
    secrets: Vec<Keyed>,
    /// False for what stands in for a Repository that is not there: no call is right then.
    counts: bool,
}

struct Keyed {
    body: Hmac<Sha256>,
    /// The HMAC of the secret under itself: what a token's is compared with, in constant time.
    token: Vec<u8>,
    /// Of a secret that is base64.
    standard: Option<Hmac<Sha256>>,
}

/// One call while its body comes in.
pub struct Check {
    claims: Vec<Claim>,
    counts: bool,
}

struct Claim {
    mac: Hmac<Sha256>,
    signature: Vec<u8>,
    is_of_body: bool,
}

impl Secrets {
    /// Reads the decoded data of a Secret: `secret`, and `previous` if forges are still to change over. A line end at their end is left out.
    ///
    /// # Errors
    /// There is no secret in it that could be used.
    pub fn from_secret(mut data: BTreeMap<String, Cleartext>) -> Result<Self, Error> {
        let (entry, previous) = WEBHOOK_SECRET;
        let mut secrets = vec![keyed(entry, &data.remove(entry).ok_or(Error::Missing)?)?];
        if let Some(secret) = data.remove(previous) {
            secrets.push(keyed(previous, &secret)?);
        }
        Ok(Self { secrets, counts: true })
    }

    /// What a call to a Repository that is not there is checked with: it takes as long, and is never right.
    pub fn of_nobody() -> Self {
        let secret = Keyed { body: mac(&[0; SHORTEST]), token: vec![0; 32], standard: None };
        Self { secrets: vec![secret], counts: false }
    }

    /// Begins to check a call by its headers; `None` if it claims nothing.
    pub fn check(&self, headers: &HeaderMap) -> Option<Check> {
        let mut claims = Vec::new();
        for (name, scheme) in HEADERS {
            let Some(said) = headers.get(name) else { continue };
            for secret in &self.secrets {
                claims.extend(secret.claims(scheme, said.as_bytes(), headers));
            }
        }
        (!claims.is_empty()).then_some(Check { claims, counts: self.counts })
    }
}

impl Check {
    /// The next piece of the body.
    pub fn update(&mut self, bytes: &[u8]) {
        for claim in self.claims.iter_mut().filter(|claim| claim.is_of_body) {
            claim.mac.update(bytes);
        }
    }

    /// True if the body has come to its end and one of the claims is right. All are compared, each in constant time.
    pub fn is_right(self) -> bool {
        let right = |claim: Claim| claim.mac.verify_slice(&claim.signature).is_ok();
        let found = self.claims.into_iter().map(right).fold(false, |found, is_right| found | is_right);
        found & self.counts
    }
}

impl Keyed {
    fn claims(&self, scheme: Scheme, said: &[u8], headers: &HeaderMap) -> Vec<Claim> {
        match scheme {
            Scheme::Hex(prefix) => {
                let signature =
                    said.strip_prefix(prefix.as_bytes()).and_then(|hex| HEXLOWER_PERMISSIVE.decode(hex).ok());
                let claim = |signature| Claim { mac: self.body.clone(), signature, is_of_body: true };
                vec![claim(signature.unwrap_or_default())]
            }
            Scheme::Token => {
                let mac = self.body.clone().chain_update(said);
                vec![Claim { mac, signature: self.token.clone(), is_of_body: false }]
            }
            Scheme::Standard => self.standard.as_ref().map_or_else(Vec::new, |mac| standard(mac, said, headers)),
        }
    }
}

fn standard(mac: &Hmac<Sha256>, said: &[u8], headers: &HeaderMap) -> Vec<Claim> {
    let header = |name| headers.get(name).map_or(&[][..], http::HeaderValue::as_bytes);
    let mac = mac.clone().chain_update(header("webhook-id")).chain_update(b".");
    let mac = mac.chain_update(header("webhook-timestamp")).chain_update(b".");
    let signatures = said.split(|byte| *byte == b' ').filter_map(|one| STANDARD.decode(one.strip_prefix(b"v1,")?).ok());
    let claim = |signature| Claim { mac: mac.clone(), signature, is_of_body: true };
    signatures.take(SIGNATURES).map(claim).collect()
}

fn keyed(entry: &'static str, secret: &Cleartext) -> Result<Keyed, Error> {
    let secret = secret.expose();
    let end = secret.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
    let secret = &secret[..end];
    if secret.len() < SHORTEST {
        return Err(Error::Short { entry });
    }
    let body = mac(secret);
    let token = body.clone().chain_update(secret).finalize().into_bytes().to_vec();
    let standard = secret.strip_prefix(STANDARD_PREFIX).and_then(|text| STANDARD.decode(text).ok());
    let standard = standard.map(Cleartext::new).map(|key| mac(key.expose()));
    Ok(Keyed { body, token, standard })
}

fn mac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    const SECRET: &str = "It's a Secret to Everybody";
    const BODY: &[u8] = b"Hello, World!";
    /// From GitHub's page on validating webhook deliveries.
    const SIGNATURE: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn secrets(entries: &[(&str, &str)]) -> Result<Secrets, Error> {
        let entry = |(name, value): &(&str, &str)| ((*name).to_owned(), Cleartext::new(value.as_bytes().to_vec()));
        Secrets::from_secret(entries.iter().map(entry).collect())
    }

    fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
        all.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
    }

    /// `None` if the headers claim nothing.
    fn is_right(secrets: &Secrets, all: &[(&'static str, &str)], pieces: &[&[u8]]) -> Option<bool> {
        let mut check = secrets.check(&headers(all))?;
        for piece in pieces {
            check.update(piece);
        }
        Some(check.is_right())
    }

    #[test]
    fn the_signature_of_githubs_own_page_is_right_in_every_header_that_has_it() {
        let secrets = secrets(&[("secret", "It's a Secret to Everybody\n")]).unwrap();
        let prefixed = format!("sha256={SIGNATURE}");
        for (header, value) in [
            ("x-hub-signature-256", &*prefixed),
            ("x-hub-signature", &prefixed),
            ("x-signature", &prefixed),
            ("x-gitea-signature", SIGNATURE),
            ("x-forgejo-signature", SIGNATURE),
        ] {
            assert_eq!(is_right(&secrets, &[(header, value)], &[BODY]), Some(true), "{header}");
            assert_eq!(is_right(&secrets, &[(header, value)], &[b"Hello, ", b"World!"]), Some(true), "{header}");
            assert_eq!(is_right(&secrets, &[(header, value)], &[b"Hello, World"]), Some(false), "{header}");
            let shouted = value.to_uppercase().replace("SHA", "sha");
            assert_eq!(is_right(&secrets, &[(header, &shouted)], &[BODY]), Some(true), "{header}");
        }
        assert_eq!(is_right(&Secrets::of_nobody(), &[("x-hub-signature-256", &prefixed)], &[BODY]), Some(false));
    }

    #[test]
    fn a_token_is_the_whole_secret() {
        let secrets = secrets(&[("secret", SECRET)]).unwrap();
        for (token, right) in
            [(SECRET, true), ("It's a Secret to", false), ("", false), ("It's a Secret to Everybody!", false)]
        {
            assert_eq!(is_right(&secrets, &[("x-gitlab-token", token)], &[BODY]), Some(right), "{token}");
        }
    }

    /// The example of the Standard Webhooks specification's reference implementations.
    #[test]
    fn a_standard_webhook_covers_id_and_time() {
        let secrets = secrets(&[("secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]).unwrap();
        let body: &[u8] = br#"{"test": 2432232314}"#;
        let said =
            |id, signature| [("webhook-id", id), ("webhook-timestamp", "1614265330"), ("webhook-signature", signature)];
        let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        assert_eq!(is_right(&secrets, &said(id, signature), &[body]), Some(true));
        let two = format!("v1,AAAA {signature}");
        assert_eq!(is_right(&secrets, &said(id, &two), &[body]), Some(true));
        assert_eq!(is_right(&secrets, &said("msg_other", signature), &[body]), Some(false));
        assert_eq!(is_right(&secrets, &said(id, "v2,abc"), &[body]), None);
    }

    #[test]
    fn what_claims_nothing_or_nonsense_is_not_right() {
        let secrets = secrets(&[("secret", SECRET)]).unwrap();
        assert_eq!(is_right(&secrets, &[("content-type", "application/json")], &[BODY]), None);
        for value in ["", "sha256=", "sha256=zz", "sha1=757107ea", &format!("sha512={SIGNATURE}"), SIGNATURE] {
            assert_eq!(is_right(&secrets, &[("x-hub-signature-256", value)], &[BODY]), Some(false), "{value}");
        }
    }

    #[test]
    fn both_secrets_count_while_one_is_changed() {
        let secrets = secrets(&[("secret", "the new one, as long"), ("previous", SECRET)]).unwrap();
        let signed = format!("sha256={SIGNATURE}");
        assert_eq!(is_right(&secrets, &[("x-hub-signature-256", &signed)], &[BODY]), Some(true));
        assert_eq!(is_right(&secrets, &[("x-gitlab-token", "the new one, as long")], &[BODY]), Some(true));
    }

    #[test]
    fn a_secret_that_can_be_guessed_is_none() {
        assert_eq!(secrets(&[("token", SECRET)]).err(), Some(Error::Missing));
        assert_eq!(secrets(&[("secret", "0123456789abcde\n")]).err(), Some(Error::Short { entry: "secret" }));
        assert_eq!(secrets(&[("secret", SECRET), ("previous", "")]).err(), Some(Error::Short { entry: "previous" }));
    }
}
