//! The body of a watch, line by line.

use http_body_util::BodyExt;
use kube::client::Body;

use crate::cluster::call::{Cause, innermost};

/// Longest event. The server takes requests of 3 MiB; managedFields and escapes add to that.
const LONGEST: usize = 16 << 20;

pub(super) struct Lines {
    body: Body,
    unread: Vec<u8>,
    /// So much of it has no end of line.
    searched: usize,
}

impl Lines {
    pub(super) fn new(body: Body) -> Self {
        Self { body, unread: Vec::new(), searched: 0 }
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// `Broken` if the connection ends otherwise or within a line, `Unreadable` if no line can be that long.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, Cause> {
        loop {
            if let Some(end) = self.unread[self.searched..].iter().position(|byte| *byte == b'\n') {
                let rest = self.unread.split_off(self.searched + end + 1);
                self.searched = 0;
                return Ok(Some(std::mem::replace(&mut self.unread, rest)));
            }
            self.searched = self.unread.len();
            if self.unread.len() > LONGEST {
                return Err(Cause::Unreadable);
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.unread.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
                Some(Err(error)) => return Err(Cause::Broken(innermost(&error))),
                None if self.unread.is_empty() => return Ok(None),
                None => return Err(Cause::Broken("the watch ended within an event".to_owned())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_told_apart() {
        let mut lines = Lines::new(Body::from(b"{\"a\":1}\n{}\n".to_vec()));
        assert_eq!(lines.next().await.unwrap().unwrap(), b"{\"a\":1}\n");
        assert_eq!(lines.next().await.unwrap().unwrap(), b"{}\n");
        assert_eq!(lines.next().await.unwrap(), None);
    }

    #[tokio::test]
    async fn half_a_line_is_a_break() {
        let mut lines = Lines::new(Body::from(b"{}\n{\"a".to_vec()));
        assert!(lines.next().await.unwrap().is_some());
        assert!(matches!(lines.next().await, Err(Cause::Broken(_))));
    }
}
