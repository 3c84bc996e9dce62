//! `ENV[@live|@tree|@#n|@REV]`: an environment and where to look at it.

use std::fmt;
use std::str::FromStr;

/// An environment, seen somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Name of the environment.
    pub environment: String,
    /// Where.
    pub at: Option<At>,
}

/// Where an environment is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// What the cluster has.
    Live,
    /// The working tree of this clone.
    Tree,
    /// The commit of a record.
    Record(u64),
    /// A branch or commit.
    Revision(String),
}

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("nothing stands after `@`: write live, tree, #n, a branch or a commit".to_owned()),
            "live" => Ok(At::Live),
            "tree" => Ok(At::Tree),
            _ => match text.strip_prefix('#') {
                Some(number) => number.parse().map(At::Record).map_err(|_| format!("`#{number}` is no record number")),
                None => Ok(At::Revision(text.to_owned())),
            },
        }
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (environment, at) = match text.split_once('@') {
            Some((environment, at)) => (environment, Some(at.parse()?)),
            None => (text, None),
        };
        if environment.is_empty() {
            return Err("name an environment, such as `staging` or `staging@main`".to_owned());
        }
        Ok(Place { environment: environment.to_owned(), at })
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Live => f.write_str("live"),
            At::Tree => f.write_str("tree"),
            At::Record(number) => write!(f, "#{number}"),
            At::Revision(revision) => f.write_str(revision),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_wire_says() {
        let read = |text: &str| text.parse::<Place>().map(|place| (place.environment, place.at));
        assert_eq!(read("staging"), Ok(("staging".to_owned(), None)));
        assert_eq!(read("staging@live"), Ok(("staging".to_owned(), Some(At::Live))));
        assert_eq!(read("staging@#12"), Ok(("staging".to_owned(), Some(At::Record(12)))));
        assert_eq!(read("staging@feature/x"), Ok(("staging".to_owned(), Some(At::Revision("feature/x".to_owned())))));
        assert!(read("staging@").is_err() && read("@live").is_err() && read("staging@#x").is_err());
    }
}
