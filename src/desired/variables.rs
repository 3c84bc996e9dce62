//! Variables of osier in string scalars: `${osier.branch}` and the like. Everything else is left alone.

use std::borrow::Cow;

use zeroize::Zeroize;

use crate::desired::closest::closest;
use crate::desired::names;
use crate::desired::set::Parameters;
use crate::desired::value::{Secret, SecretKind, Value};
use crate::model::cleartext::Cleartext;

/// The names that can stand between `${` and `}`.
pub const NAMES: [&str; 5] = ["osier.branch", "osier.slug", "osier.namespace", COMMIT, "osier.environment"];

/// The variable whose value changes in the life of an environment, as do those of followed repositories.
pub const COMMIT: &str = "osier.commit";

/// What the name of a followed repository comes behind: that repository's commit.
pub const COMMIT_OF: &str = "osier.commit.";

const OPEN: &str = "${osier.";

/// One use of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variable<'a> {
    /// One of [`NAMES`], or the commit of a followed repository.
    Known(&'a str),
    /// Looks like one, but is none: what stands there.
    Unknown(&'a str),
}

/// Every use in `text`, in order.
pub fn uses(text: &str) -> Vec<Variable<'_>> {
    // every value of every file comes by here, and hardly one has a variable
    if !text.contains('$') {
        return Vec::new();
    }
    pieces(text).into_iter().filter_map(|piece| piece.variable).collect()
}

/// What is wrong with an unknown variable, and what to do.
pub fn mistake(written: &str) -> (String, String) {
    let name = written.trim_start_matches("${").trim_end_matches('}');
    let hint = match closest(name, NAMES) {
        Some(near) => format!("did you mean `${{{near}}}`?"),
        None => format!("use one of {}", NAMES.map(|name| format!("${{{name}}}")).join(" ")),
    };
    (format!("unknown variable `{written}`"), hint)
}

/// True if the value of a variable changes in the life of an environment.
pub fn is_commit(name: &str) -> bool {
    name == COMMIT || name.starts_with(COMMIT_OF)
}

/// `text` with the variables that `parameters` has filled in.
pub fn fill<'a>(text: &'a str, parameters: &Parameters) -> Cow<'a, str> {
    if !text.contains('$') || !text.contains(OPEN) {
        return Cow::Borrowed(text);
    }
    let mut filled = String::with_capacity(text.len());
    for piece in pieces(text) {
        filled.push_str(piece.before);
        filled.push_str(piece.value(parameters));
    }
    Cow::Owned(filled)
}

/// Fills the variables of every string in, encrypted ones too; keys stay as they are.
pub fn fill_value(value: &mut Value, parameters: &Parameters) {
    match value {
        Value::Text(text) => {
            if let Cow::Owned(filled) = fill(text, parameters) {
                *text = filled;
            }
        }
        Value::Secret(secret) => fill_secret(secret, parameters),
        Value::Map(map) => map.values_mut().for_each(|value| fill_value(value, parameters)),
        Value::List(items) => items.iter_mut().for_each(|value| fill_value(value, parameters)),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {}
    }
}

/// What is wrong with the variables of an encrypted leaf, and what to do, without telling what stands there.
pub fn encrypted_mistake(secret: &Secret) -> Option<(&'static str, String)> {
    let uses = secret_text(secret).map(uses).unwrap_or_default();
    if uses.iter().any(|variable| matches!(variable, Variable::Unknown(_))) {
        let names = NAMES.map(|name| format!("${{{name}}}")).join(" ");
        return Some(("an unknown variable", format!("use one of {names}")));
    }
    // Inputs are told without a key, so that a new commit would go unseen.
    let hint = "use it in a value that is not encrypted".to_owned();
    let is_commit = |variable: &Variable<'_>| matches!(variable, Variable::Known(name) if is_commit(name));
    uses.iter().any(is_commit).then_some(("`${osier.commit}`, which encrypted values cannot use", hint))
}

/// The text of an encrypted string.
pub fn secret_text(secret: &Secret) -> Option<&str> {
    match secret.kind {
        SecretKind::Text => std::str::from_utf8(secret.bytes.expose()).ok(),
        SecretKind::Int | SecretKind::Float | SecretKind::Bool => None,
    }
}

fn fill_secret(secret: &mut Secret, parameters: &Parameters) {
    let Some(text) = secret_text(secret).filter(|text| text.contains(OPEN)) else { return };
    let pieces = pieces(text);
    let length = pieces.iter().map(|piece| piece.before.len() + piece.value(parameters).len()).sum();
    let mut filled = String::with_capacity(length);
    for piece in pieces {
        filled.push_str(piece.before);
        filled.push_str(piece.value(parameters));
    }
    secret.bytes.zeroize();
    secret.bytes = Cleartext::new(filled.into_bytes());
}

/// Text, and the variable that follows it.
struct Piece<'a> {
    before: &'a str,
    written: &'a str,
    variable: Option<Variable<'a>>,
}

impl<'a> Piece<'a> {
    fn value<'b>(&self, parameters: &'b Parameters) -> &'b str
    where
        'a: 'b,
    {
        match self.variable {
            Some(Variable::Known(name)) => parameters.get(name).map_or(self.written, String::as_str),
            Some(Variable::Unknown(_)) | None => self.written,
        }
    }
}

fn is_known(name: &str) -> bool {
    NAMES.contains(&name) || name.strip_prefix(COMMIT_OF).is_some_and(names::is_label)
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(OPEN) {
        let (before, tail) = rest.split_at(start);
        let line = tail.find('\n').map_or(tail, |end| &tail[..end]);
        let end = line.find('}').map_or_else(|| line.find(char::is_whitespace).unwrap_or(line.len()), |end| end + 1);
        let (written, after) = tail.split_at(end);
        let name = written.strip_prefix("${").and_then(|name| name.strip_suffix('}'));
        let known = name.filter(|name| is_known(name));
        pieces.push(Piece {
            before,
            written,
            variable: Some(known.map_or(Variable::Unknown(written), Variable::Known)),
        });
        rest = after;
    }
    pieces.push(Piece { before: rest, written: "", variable: None });
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters() -> Parameters {
        Parameters::from([("osier.branch".to_owned(), "main".to_owned()), ("osier.slug".to_owned(), "m".to_owned())])
    }

    #[test]
    fn only_our_variables_are_filled_in() {
        let fill = |text: &str| fill(text, &parameters()).into_owned();
        assert_eq!(fill("a ${osier.branch}-${osier.slug} $x ${y}"), "a main-m $x ${y}");
        assert_eq!(fill("${osier.bransh} ${osier.slug"), "${osier.bransh} ${osier.slug");
        assert_eq!(fill("$${osier.slug}}"), "$m}");
    }

    #[test]
    fn misspelt_variables_are_named() {
        assert_eq!(
            uses("x ${osier.brunch} ${osier.slug"),
            [Variable::Unknown("${osier.brunch}"), Variable::Unknown("${osier.slug")]
        );
        assert_eq!(mistake("${osier.brunch}").1, "did you mean `${osier.branch}`?");
        assert_eq!(uses("${osier.commit.web} ${osier.commit.Web}")[0], Variable::Known("osier.commit.web"));
        assert_eq!(uses("${osier.commit.Web}"), [Variable::Unknown("${osier.commit.Web}")]);
    }

    #[test]
    fn encrypted_strings_are_filled_in_too() {
        let mut value =
            Value::Secret(Secret { kind: SecretKind::Text, bytes: Cleartext::new(b"db-${osier.slug}".to_vec()) });
        fill_value(&mut value, &parameters());
        let Value::Secret(secret) = &value else { panic!("still a secret") };
        assert_eq!(secret_text(secret), Some("db-m"));
        assert!(encrypted_mistake(secret).is_none());
    }
}
