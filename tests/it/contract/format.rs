//! The language of the table: see `README.md` beside this file.

use std::collections::BTreeMap;

/// Words that start a request.
const METHODS: [&str; 10] =
    ["GET", "POST", "PUT", "DELETE", "APPLY", "JSON-PATCH", "MERGE-PATCH", "STRATEGIC-PATCH", "PATCH", "WATCH"];

/// One row: a name and the steps that must hold in order.
#[derive(Debug)]
pub struct Row {
    pub file: &'static str,
    pub line: usize,
    pub name: String,
    /// Why the sandbox is not asked.
    pub real_only: Option<String>,
    /// The file's abbreviations.
    pub names: BTreeMap<String, String>,
    pub steps: Vec<Step>,
}

/// What happens in a row, each with the line it stands on.
#[derive(Debug)]
pub enum Step {
    Request(Request),
    /// The next event of the row's watch.
    Event {
        line: usize,
        expect: String,
    },
    /// The server ends the row's watch.
    End {
        line: usize,
    },
}

/// A request with the answer that it must get. Texts still carry their `$names`.
#[derive(Debug)]
pub struct Request {
    pub line: usize,
    pub user: Option<String>,
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<String>,
    pub status: u16,
    /// Asked again until the answer fits.
    pub eventually: bool,
    pub expect: Option<String>,
    /// Text that a `Warning` header must have.
    pub warning: Option<String>,
    /// (name, dotted path in the answer)
    pub keep: Vec<(String, String)>,
}

/// Parses one file of the table.
///
/// Panics with file and line at what it does not understand.
pub fn parse(file: &'static str, text: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut names = BTreeMap::new();
    for (line, statement) in statements(text) {
        let place = format!("{file}:{line}: {statement}");
        let (word, rest) = statement.split_once(char::is_whitespace).unwrap_or((&statement, ""));
        let rest = rest.trim();
        match word {
            "let" => {
                let (name, value) = rest.split_once('=').expect(&place);
                names.insert(name.trim().to_owned(), value.trim().to_owned());
            }
            "row" => rows.push(Row {
                file,
                line,
                name: rest.to_owned(),
                real_only: None,
                names: names.clone(),
                steps: Vec::new(),
            }),
            "real-only" => rows.last_mut().expect(&place).real_only = Some(rest.to_owned()),
            _ => add_step(rows.last_mut().expect(&place), line, word, rest, &place),
        }
    }
    rows
}

fn add_step(row: &mut Row, line: usize, word: &str, rest: &str, place: &str) {
    match word {
        "event" => row.steps.push(Step::Event { line, expect: rest.to_owned() }),
        "end" => row.steps.push(Step::End { line }),
        "as" => {
            let (user, request) = rest.split_once(' ').expect(place);
            row.steps.push(Step::Request(request_of(line, Some(user), request, place)));
        }
        "with" => {
            let (name, value) = rest.split_once(':').expect(place);
            last_request(row, place).headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
        "->" => answer(last_request(row, place), rest, place),
        "warning" => last_request(row, place).warning = Some(rest.to_owned()),
        "keep" => {
            let (name, path) = rest.split_once('=').expect(place);
            last_request(row, place).keep.push((name.trim().to_owned(), path.trim().to_owned()));
        }
        _ => row.steps.push(Step::Request(request_of(line, None, &format!("{word} {rest}"), place))),
    }
}

fn request_of(line: usize, user: Option<&str>, text: &str, place: &str) -> Request {
    let (method, rest) = text.split_once(char::is_whitespace).expect(place);
    assert!(METHODS.contains(&method), "unknown word at {place}");
    let (path, body) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let body = body.trim();
    Request {
        line,
        user: user.map(str::to_owned),
        method: method.to_owned(),
        path: path.to_owned(),
        headers: Vec::new(),
        body: (!body.is_empty()).then(|| body.to_owned()),
        status: 0,
        eventually: false,
        expect: None,
        warning: None,
        keep: Vec::new(),
    }
}

fn answer(request: &mut Request, text: &str, place: &str) {
    let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let (status, rest) = match first {
        "eventually" => rest.trim().split_once(char::is_whitespace).unwrap_or((rest.trim(), "")),
        _ => (first, rest),
    };
    request.eventually = first == "eventually";
    request.status = status.parse().expect(place);
    request.expect = Some(rest.trim().to_owned()).filter(|expect| !expect.is_empty());
}

fn last_request<'a>(row: &'a mut Row, place: &str) -> &'a mut Request {
    match row.steps.last_mut() {
        Some(Step::Request(request)) => request,
        _ => panic!("no request before {place}"),
    }
}

/// Lines that start at the margin, each joined with the indented lines below it; comments and blank lines fall away.
fn statements(text: &str) -> Vec<(usize, String)> {
    let mut statements: Vec<(usize, String)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        match statements.last_mut() {
            Some((_, statement)) if line.starts_with(' ') => {
                statement.push('\n');
                statement.push_str(line);
            }
            _ => statements.push((index + 1, line.to_owned())),
        }
    }
    statements
}
