//! The refs that a server names: `gitprotocol-pack`, *Reference Discovery*. Read without libgit2, so that a look writes nothing.

use std::collections::BTreeMap;

use crate::git::connection::{Connection, REFS_LIMIT};
use crate::git::error::Cause;
use crate::git::failure::Failure;
use crate::model::tree::GitId;

/// A line's length is four hexadecimal digits, which are counted too.
const PREFIX: usize = 4;

/// Names of refs and where they are. Names are bytes: not every one is UTF-8.
pub(in crate::git) type Refs = BTreeMap<Vec<u8>, GitId>;

/// Reads the refs that are `wanted` from a connection that was asked for them.
pub(in crate::git) fn tips(connection: &mut Connection, wanted: impl Fn(&[u8]) -> bool) -> Result<Refs, Failure> {
    let mut lines = Lines { connection, buffer: Vec::new(), at: 0, read: 0 };
    let mut tips = Refs::new();
    let mut is_header = false;
    while let Some(line) = lines.next()? {
        match line {
            // over HTTP, the name of the service comes first, with an end of its own
            Line::End if is_header => is_header = false,
            Line::End => return Ok(tips),
            Line::Text(text) if text.starts_with(b"# service=") => is_header = true,
            Line::Text(text) => {
                if let Some(said) = text.strip_prefix(b"ERR ") {
                    return Err(Failure::Refused { said: printable(said) });
                }
                let (name, tip) = reference(&text)?;
                if wanted(&name) {
                    tips.insert(name, tip);
                }
            }
        }
    }
    Err(not_git("the list of refs ends early"))
}

enum Line {
    Text(Vec<u8>),
    End,
}

struct Lines<'c> {
    connection: &'c mut Connection,
    buffer: Vec<u8>,
    at: usize,
    read: u64,
}

impl Lines<'_> {
    /// The next line, or nothing at the end of the answer.
    fn next(&mut self) -> Result<Option<Line>, Failure> {
        let Some(prefix) = self.take(PREFIX)? else { return Ok(None) };
        let length = std::str::from_utf8(&prefix).ok().and_then(|digits| usize::from_str_radix(digits, 16).ok());
        match length {
            Some(0) => Ok(Some(Line::End)),
            Some(length) if length >= PREFIX => {
                let text =
                    self.take(length - PREFIX)?.ok_or_else(|| not_git("a line of the list of refs ends early"))?;
                Ok(Some(Line::Text(text.strip_suffix(b"\n").map_or(text.clone(), <[u8]>::to_vec))))
            }
            _ => Err(not_git("the list of refs has a line without a length")),
        }
    }

    fn take(&mut self, length: usize) -> Result<Option<Vec<u8>>, Failure> {
        while self.buffer.len() - self.at < length {
            self.buffer.drain(..self.at);
            self.at = 0;
            let mut more = [0; 16 << 10];
            let count = self.connection.read(&mut more)?;
            if count == 0 {
                return Ok(None);
            }
            self.read += count as u64;
            if self.read > REFS_LIMIT {
                return Err(Failure::TooManyRefs { limit: REFS_LIMIT });
            }
            self.buffer.extend_from_slice(&more[..count]);
        }
        self.at += length;
        Ok(Some(self.buffer[self.at - length..self.at].to_vec()))
    }
}

/// `ID NAME`, on the first line followed by what the server can do.
fn reference(line: &[u8]) -> Result<(Vec<u8>, GitId), Failure> {
    let named = line.split(|&byte| byte == 0).next().unwrap_or_default();
    let (tip, name) = named.split_at_checked(40).ok_or_else(|| not_git("a line of the list of refs is too short"))?;
    let tip = std::str::from_utf8(tip).ok().and_then(GitId::parse);
    let tip = tip.ok_or_else(|| not_git("a line of the list of refs has no commit id"))?;
    Ok((name.strip_prefix(b" ").unwrap_or(name).to_vec(), tip))
}

fn not_git(text: &str) -> Failure {
    Failure::Git { source: Cause { code: "Advertisement".into(), text: text.into() } }
}

pub(in crate::git) fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control()).collect()
}
