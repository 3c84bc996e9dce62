//! YAML: a positioned tree of what the text says, and the readings of it. The only file that names the YAML crates.
//!
//! `parse` types nothing. `kubernetes` reads scalars as kubectl does, `sops_scalar` as sops does; one file may need both.

mod kubernetes;
mod resolve;

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, Tag};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::desired::value::Value;
use crate::desired::yaml::resolve::Dialect;
use crate::model::problem::Problem;

/// Most nodes of one file, aliases expanded: far above any manifest, small enough to hold in memory.
pub const MAX_NODES: usize = 100_000;
/// Deepest nesting: the readers recurse, and Kubernetes objects stay under 30.
pub const MAX_DEPTH: usize = 64;
/// Where reading stops: nobody mends more in one go, and each syntax error looks at the text from its beginning.
const MAX_ERRORS: usize = 100;

/// One document of a stream.
#[derive(Clone, Debug)]
pub struct Document {
    /// What it holds.
    pub node: Node,
    /// Line of its first node, from 1.
    pub line: u32,
    /// Bytes of its text, from its first node to its end, without `---`.
    pub span: Range<usize>,
}

/// A node as it is written.
#[derive(Clone, Debug)]
pub struct Node {
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// Bytes of the text; for a collection empty, at its start.
    pub span: Range<usize>,
    /// The tag, such as `tag:yaml.org,2002:str` or `!Ref`.
    pub tag: Option<String>,
    /// True where the text has an alias (`*name`), whose anchor's content stands here.
    pub alias: bool,
    /// What it holds.
    pub content: Content,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub enum Content {
    /// A scalar after escapes and folding.
    Scalar {
        /// The text.
        text: String,
        /// True if unquoted, so that it may be a number, boolean or null.
        plain: bool,
    },
    /// A mapping in the order of the text. Keys are scalars and differ.
    Map(Vec<(Node, Node)>),
    /// A sequence.
    List(Vec<Node>),
}

/// A mistake in a YAML text. It may name keys, never values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct YamlError {
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What to do, or empty.
    pub hint: String,
}

/// A scalar as sops types it (YAML v3 of Go).
#[derive(Clone, Debug, PartialEq)]
pub enum SopsScalar {
    /// Neither encrypted nor part of the MAC.
    Null,
    /// a boolean
    Bool(bool),
    /// an integer
    Int(i64),
    /// a float
    Float(f64),
    /// RFC 3339 with up to nanoseconds
    Time(String),
    /// anything else
    Text,
    /// An integer over 64 bits signed, which sops refuses.
    TooLarge,
}

impl YamlError {
    /// The mistake at a node.
    pub fn at(node: &Node, message: impl Into<String>) -> Self {
        Self { line: node.line, column: node.column, message: message.into(), hint: String::new() }
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    /// The same as a mistake in the file `path`.
    pub fn problem(self, path: &str) -> Problem {
        Problem::new(path, self.message).at(self.line, self.column).hint(self.hint)
    }
}

impl Node {
    /// The value of `key`, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|(name, _)| name.text() == Some(key)).map(|(_, value)| value)
    }

    /// The entries of a mapping; none for anything else.
    pub fn entries(&self) -> &[(Node, Node)] {
        match &self.content {
            Content::Map(entries) => entries,
            Content::Scalar { .. } | Content::List(_) => &[],
        }
    }

    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar { text, .. } => Some(text),
            Content::Map(_) | Content::List(_) => None,
        }
    }
}

/// The bytes of a file as text.
///
/// # Errors
/// Names the line of the first byte that is not UTF-8.
pub fn utf8(bytes: &[u8]) -> Result<&str, YamlError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let newlines = bytes.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count();
        YamlError { line: position(newlines + 1), column: 0, message: "not UTF-8".to_owned(), hint: String::new() }
            .hint("save the file as UTF-8; binary content goes into `binaryData` as base64")
    })
}

/// True if `text` has characters that cannot be seen or that turn the direction of writing; refused in names and keys.
pub fn has_hidden_characters(text: &str) -> bool {
    text.chars().any(|c| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    })
}

/// Reads a stream of documents; those without content are left out.
///
/// # Guarantees
/// At most `MAX_NODES` nodes and `MAX_DEPTH` levels, aliases expanded; keys of a mapping are scalars and differ.
///
/// # Errors
/// All mistakes that can be told at once: after a broken document it goes on with the next.
pub fn parse(text: &str) -> Result<Vec<Document>, Vec<YamlError>> {
    let options = granit_parser::options! {
        emit_comments: false, flow_nesting_limit: MAX_DEPTH + 1, block_nesting_limit: MAX_DEPTH + 1,
    };
    let parser = Parser::new_from_str_with_options(text, options);
    let mut reader = Reader { parser, text, nodes: 0, anchors: HashMap::new(), errors: vec![] };
    let mut documents = vec![];
    loop {
        match reader.document() {
            Ok(Some(document)) if document.node.is_empty() => {}
            Ok(Some(document)) => documents.push(document),
            Ok(None) => break,
            Err(error) => {
                reader.errors.push(error);
                let is_over = reader.nodes > MAX_NODES || reader.errors.len() >= MAX_ERRORS;
                if is_over || !matches!(reader.parser.proceed_next_document(), Ok(true)) {
                    break;
                }
            }
        }
    }
    if reader.errors.is_empty() { Ok(documents) } else { Err(reader.errors) }
}

/// Reads a node as kubectl does: the rules of Go's YAML v2, then JSON.
///
/// `yes` and `on` are booleans, `0644` is octal, `<<` merges (in the order of the text), integral floats are integers,
/// keys that are integers or booleans become their text.
///
/// # Errors
/// What JSON cannot hold (`.nan`), keys that are null or floats, keys equal after conversion, tags that do not fit.
pub fn kubernetes(node: &Node) -> Result<Value, Vec<YamlError>> {
    kubernetes::read(node)
}

/// A scalar node as `kubernetes` reads it; a collection is refused.
///
/// # Errors
/// As `kubernetes`.
pub fn kubernetes_scalar(node: &Node) -> Result<Value, YamlError> {
    kubernetes::scalar(node)
}

/// A key as `kubernetes` reads it.
///
/// # Errors
/// Keys that are null, floats or larger than 64 bits.
pub fn kubernetes_key(node: &Node) -> Result<Cow<'_, str>, YamlError> {
    kubernetes::key(node)
}

/// Types a scalar as sops does; `plain` as in `Content::Scalar`.
pub fn sops_scalar(text: &str, plain: bool) -> SopsScalar {
    if !plain {
        return SopsScalar::Text;
    }
    match resolve::resolve(text, Dialect::V3) {
        resolve::Plain::Null => SopsScalar::Null,
        resolve::Plain::Bool(value) => SopsScalar::Bool(value),
        resolve::Plain::Int(value) => SopsScalar::Int(value),
        resolve::Plain::Large(_) => SopsScalar::TooLarge,
        resolve::Plain::Float(value) => SopsScalar::Float(value),
        resolve::Plain::Time(value) => SopsScalar::Time(value),
        resolve::Plain::Text => SopsScalar::Text,
    }
}

/// Reads one of osier's own files, which is never encrypted, into its type.
///
/// # Errors
/// The first mistake, with its place.
pub fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, YamlError> {
    if let Some(error) = parse(text).err().and_then(|errors| errors.into_iter().next()) {
        return Err(error);
    }
    let options = serde_saphyr::options! {
        legacy_octal_numbers: true,
        strict_booleans: false,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error.location();
        let line = place.map_or(0, |place| u32::try_from(place.line()).unwrap_or(u32::MAX));
        let column = place.map_or(0, |place| u32::try_from(place.column()).unwrap_or(u32::MAX));
        YamlError { line, column, message: without_place(&error.to_string()), hint: String::new() }
    })
}

/// Writes a value as YAML.
///
/// # Errors
/// A value that YAML cannot hold, such as a map with maps as keys.
pub fn to_string<T: Serialize>(value: &T) -> Result<String, YamlError> {
    serde_saphyr::to_string(value).map_err(|error| YamlError {
        line: 0,
        column: 0,
        message: error.to_string(),
        hint: String::new(),
    })
}

impl Node {
    fn is_empty(&self) -> bool {
        matches!(&self.content, Content::Scalar { text, plain: true } if sops_scalar(text, true) == SopsScalar::Null)
    }

    /// Nodes below and including this one, and levels.
    fn measure(&self) -> (usize, usize) {
        let join = |(nodes, levels): (usize, usize), child: &Node| {
            let (more, below) = child.measure();
            (nodes + more, levels.max(below))
        };
        let (nodes, levels) = match &self.content {
            Content::Scalar { .. } => (0, 0),
            Content::List(items) => items.iter().fold((0, 0), join),
            Content::Map(entries) => entries.iter().flat_map(|(key, value)| [key, value]).fold((0, 0), join),
        };
        (nodes + 1, levels + 1)
    }
}

struct Reader<'a> {
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    text: &'a str,
    nodes: usize,
    anchors: HashMap<usize, Node>,
    errors: Vec<YamlError>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), YamlError> {
        match self.parser.next() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(explain(&error, self.text)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn document(&mut self) -> Result<Option<Document>, YamlError> {
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(None),
                (Event::DocumentStart(..), _) => break,
                _ => {}
            }
        }
        self.anchors.clear();
        let (event, span) = self.next()?;
        let start = span.start.byte_offset().unwrap_or_default();
        let node = self.node(event, span, 1)?;
        let (_, end) = self.next()?;
        let end = end.start.byte_offset().unwrap_or(self.text.len()).max(start);
        let text = self.text.get(start..end).unwrap_or_default().trim_end();
        Ok(Some(Document { line: node.line, node, span: start..start + text.len() }))
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, YamlError> {
        let mut node = Node {
            line: position(span.start.line()),
            column: position(span.start.col() + 1),
            span: span.byte_range().unwrap_or_default(),
            tag: event.tag().map(Tag::to_string),
            alias: false,
            content: Content::List(vec![]),
        };
        self.count(&node, 1, depth)?;
        let anchor = match event {
            Event::Scalar(text, style, anchor, _) => {
                node.content = Content::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain };
                anchor
            }
            Event::SequenceStart(_, anchor, _) => {
                node.content = Content::List(self.list(depth)?);
                anchor
            }
            Event::MappingStart(_, anchor, _) => {
                node.content = Content::Map(self.map(depth)?);
                anchor
            }
            Event::Alias(anchor) => return self.alias(anchor, node, depth),
            _ => return Err(YamlError::at(&node, "a value is missing here")),
        };
        if anchor > 0 {
            // What an anchor keeps is a copy, so it counts: anchors in anchors would multiply.
            self.count(&node, node.measure().0, depth)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, YamlError> {
        let mut items = vec![];
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<(Node, Node)>, YamlError> {
        let mut entries: Vec<(Node, Node)> = vec![];
        let mut lines: HashMap<String, u32> = HashMap::new();
        loop {
            let key = match self.next()? {
                (Event::MappingEnd, _) => return Ok(entries),
                (event, span) => self.node(event, span, depth + 1)?,
            };
            self.check_key(&key, &mut lines);
            let (event, span) = self.next()?;
            entries.push((key, self.node(event, span, depth + 1)?));
        }
    }

    fn check_key(&mut self, key: &Node, lines: &mut HashMap<String, u32>) {
        let Some(text) = key.text() else {
            let hint = "a value that begins with `{` or `[` needs quotes";
            self.errors.push(YamlError::at(key, "a key is a mapping or a sequence").hint(hint));
            return;
        };
        if has_hidden_characters(text) {
            let error = YamlError::at(key, format!("key `{}` has invisible characters", text.escape_debug()));
            self.errors.push(error.hint("type the key anew"));
        }
        if let Some(first) = lines.insert(text.to_owned(), key.line) {
            let message = format!("key `{}` is here twice, first on line {first}", text.escape_debug());
            self.errors.push(YamlError::at(key, message).hint("remove one of the two"));
        }
    }

    fn alias(&mut self, anchor: usize, at: Node, depth: usize) -> Result<Node, YamlError> {
        let Some(target) = self.anchors.get(&anchor) else {
            return Err(YamlError::at(&at, "an alias refers to the node that it is part of"));
        };
        let (nodes, levels) = target.measure();
        let (content, tag) = (target.content.clone(), target.tag.clone());
        self.count(&at, nodes, depth + levels)?;
        Ok(Node { content, tag, alias: true, ..at })
    }

    fn count(&mut self, at: &Node, nodes: usize, depth: usize) -> Result<(), YamlError> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            let error =
                YamlError::at(at, format!("more than {MAX_NODES} values in one file (anchors and aliases count)"));
            return Err(error.hint("split the file, or use fewer aliases"));
        }
        if depth > MAX_DEPTH {
            return Err(YamlError::at(at, format!("nested more than {MAX_DEPTH} levels deep")));
        }
        Ok(())
    }
}

/// Our words for a syntax error: the crate's own may change, and hints are for people.
fn explain(error: &ScanError, text: &str) -> YamlError {
    let line = error.marker().line();
    let (message, hint) = match error.kind() {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::InvalidBlockEntryWhitespace
        | ErrorKind::InvalidMappingValueWhitespace
        | ErrorKind::TabInPlainScalar => ("a tab where YAML wants spaces", "indent with spaces"),
        ErrorKind::UnclosedQuotedScalar
        | ErrorKind::DocumentIndicatorInQuotedScalar
        | ErrorKind::InvalidQuotedScalarIndent => {
            ("a quoted value has no end", "close the quote; it may begin on a line before")
        }
        ErrorKind::InvalidTrailingSingleQuotedScalar => {
            ("text after the closing quote", "write a quote inside single quotes twice: `''`")
        }
        ErrorKind::InvalidTrailingDoubleQuotedScalar => {
            ("text after the closing quote", "write a quote inside double quotes as `\\\"`")
        }
        ErrorKind::UnknownQuotedScalarEscape => {
            ("an unknown escape in double quotes", "write a backslash as `\\\\`, or use single quotes")
        }
        ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::MismatchedFlowCollectionEnd { .. }
        | ErrorKind::MisplacedFlowCollectionEnd => ("brackets do not match", "check the `{`, `}`, `[` and `]`"),
        ErrorKind::ExpectedFlowMappingSeparator | ErrorKind::ExpectedFlowSequenceSeparator => {
            ("a comma or a closing bracket is missing", "check the `{`, `}`, `[` and `]`")
        }
        ErrorKind::RecursionLimitExceeded => ("nested too deep", "at most 64 levels"),
        ErrorKind::UnknownAnchor => ("an alias to an anchor that is not above", "quote a value that begins with `*`"),
        ErrorKind::UnexpectedCharacter { .. } => ("a value cannot begin with this character", "quote the value"),
        _ if lacks_space_after_colon(text, line) => ("not YAML", "put a space after the colon: `key: value`"),
        ErrorKind::MappingValueNotAllowed => ("a colon where no value can begin", "quote a value that has `: ` in it"),
        _ => ("not YAML", "check the indentation, and the line before"),
    };
    let column = position(error.marker().col() + 1);
    YamlError { line: position(line), column, message: message.to_owned(), hint: hint.to_owned() }
}

/// True if the line, or one of the two before, looks like `key:value`.
fn lacks_space_after_colon(text: &str, line: usize) -> bool {
    text.lines().take(line).skip(line.saturating_sub(3)).any(|line| {
        let line = line.trim_start().trim_start_matches("- ");
        let Some((key, value)) = line.split_once(':') else { return false };
        let is_word = key.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
        is_word && !key.is_empty() && !value.is_empty() && !value.starts_with([' ', '\t', '/'])
    })
}

/// The message of a deserialisation error without the place that it repeats.
fn without_place(message: &str) -> String {
    let message = message.split('\n').next().unwrap_or_default();
    message.split(" at line ").next().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

fn position(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
