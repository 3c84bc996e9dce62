//! What a comment on a pull request says of a branch environment, as Markdown.
//!
//! Pull requests are often public, so there is no value in it, neither of a Secret nor of a ConfigMap, nor anything that only a value could
//! tell: of what was encrypted before and after it is not said whether it changed. Names come from whoever wrote the branch; they stand as
//! code, in which no forge sees a link, a mention or HTML.

use std::fmt::Write;
use std::sync::Arc;

use crate::model::problem::Problem;
use crate::model::reason::Reason;
use crate::planning::changes::{LeafChange, Word};
use crate::planning::plan::{Plan, Step, Verb};
use crate::report::plan::{self as plans, Detail};
use crate::report::style::{self, count};

/// Longest list of steps. With the problems and the rest it is below the 32,768 characters that Bitbucket Server takes.
const STEPS: usize = 12_000;
/// Entries of one object that are named.
const ENTRIES: usize = 20;
/// Problems that are shown.
const PROBLEMS: usize = 20;
/// Longest sentence of a problem, and name of anything else.
const SENTENCE: usize = 300;
const NAME: usize = 120;
/// Longest address that is a link.
const ADDRESS: usize = 500;
/// Where the plan begins in a comment; it stays until there is another one.
const PLAN: &str = "[//]: # (osier plan)";

/// What is said of one environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// Its name.
    pub environment: String,
    /// Why it is as it is.
    pub reason: Reason,
    /// True if a revision is applied and its workloads are on their way.
    pub waits: bool,
    /// The commit of the branch that this is about, shortened; `None` if there is none any more.
    pub commit: Option<String>,
    /// The commit that the environment equals, shortened, if it is another one.
    pub equals: Option<String>,
    /// Where it is, if it is there.
    pub address: Option<String>,
    /// When it ends, if that is known (RFC 3339).
    pub ends: Option<String>,
    /// What `problems` made.
    pub problems: Arc<str>,
    /// What `plan` made of the last revision that changed something; `None` if that is not known, and then what the comment says stays.
    pub plan: Option<Arc<str>>,
}

impl Comment {
    /// The line that the comment begins with, and by which it is found again. No reader sees it, on any forge: unlike HTML comments, which
    /// both Bitbuckets show ("Markdown syntax guide").
    pub fn marker(&self) -> String {
        format!("[//]: # (osier/{})", self.environment)
    }

    /// All of it; the plan is folded where the forge can do so. `before` is what the comment says now.
    pub fn text(&self, folds: bool, before: Option<&str>) -> String {
        let mut text =
            format!("{}\n\n**osier** · {} · **{}**", self.marker(), code(&self.environment, NAME), self.reason);
        if let Some(commit) = &self.commit {
            add(&mut text, format_args!(" at {}", code(commit, NAME)));
        }
        if let Some(address) = self.address.as_deref() {
            let shown = link(address).map_or_else(|| code(address, NAME), |address| format!("<{address}>"));
            add(&mut text, format_args!(" · {shown}"));
        }
        let meaning = self.reason.meaning().trim_end_matches('.');
        let waits = if self.waits { ", and its workloads are not ready yet" } else { "" };
        add(&mut text, format_args!("\n\n{meaning}{waits}."));
        if let Some(equals) = &self.equals {
            add(&mut text, format_args!(" It is as of {}.", code(equals, NAME)));
        }
        if let Some(ends) = &self.ends {
            add(&mut text, format_args!(" It ends at {}, unless somebody pushes or extends it.", code(ends, NAME)));
        }
        if !self.problems.is_empty() {
            add(&mut text, format_args!("\n\n{}", self.problems));
        }
        let plan = self.plan.as_ref().map(|plan| format!("{PLAN}\n\n{}", folded(plan, folds)));
        if let Some(plan) = plan.or_else(|| before.and_then(kept)) {
            add(&mut text, format_args!("\n\n{plan}"));
        }
        text.push('\n');
        text
    }
}

/// The plan that a comment has. It begins with a line of its own, which no name can be: names have no line breaks.
fn kept(before: &str) -> Option<String> {
    let before = before.replace("\r\n", "\n");
    let (_, plan) = before.split_once(&format!("\n{PLAN}\n"))?;
    Some(format!("{PLAN}\n{}", plan.trim_end()))
}

/// An address that people may be sent to: `http` or `https`, of nothing but what a URL is made of.
pub fn link(address: &str) -> Option<&str> {
    let (_, rest) = address.split_once("://").filter(|(scheme, _)| ["http", "https"].contains(scheme))?;
    let is_of_urls = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c);
    let is_plain = !rest.contains('@') && rest.chars().all(is_of_urls);
    (!rest.is_empty() && address.len() <= ADDRESS && is_plain).then_some(address)
}

/// The steps of a revision, with the names of what they change; `None` if it changes nothing.
///
/// A workload that is updated for nothing but what it refers to is left out: that a Secret has another value would show in it.
pub fn plan(plan: &Plan, commit: &str) -> Option<Arc<str>> {
    let is_shown = |step: &&Step| !step.repair && (step.verb != Verb::Update || entries(step).next().is_some());
    let steps: Vec<&Step> = plan.steps.iter().filter(is_shown).collect();
    let verbs = [Verb::Create, Verb::Update, Verb::Adopt, Verb::Recreate, Verb::Delete];
    let counts = verbs.map(|verb| (verb, steps.iter().filter(|step| step.verb == verb).count()));
    let counts: Vec<String> = counts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(verb, count)| format!("{count} to {}", verb.as_str()))
        .collect();
    if counts.is_empty() {
        return None;
    }
    let mut text = format!("Plan of {commit}: {}.\n\n", counts.join(", "));
    for (index, step) in steps.iter().enumerate() {
        if text.len() > STEPS {
            add(&mut text, format_args!("- and {} more\n", steps.len() - index));
            break;
        }
        step_text(&mut text, step);
    }
    Some(text.into())
}

/// The mistakes of a revision: where, and what is wrong.
pub fn problems(problems: &[Problem]) -> Arc<str> {
    let mut text = String::new();
    if !problems.is_empty() {
        add(&mut text, format_args!("{}:\n\n", count(problems.len(), "problem")));
    }
    for problem in problems.iter().take(PROBLEMS) {
        let sentence = problem.to_string();
        let (place, message) = sentence.split_at(sentence.len() - problem.message.len());
        let place = place.trim_end_matches(": ");
        add(&mut text, format_args!("- {} {}\n", code(place, SENTENCE), code(message, SENTENCE)));
    }
    if problems.len() > PROBLEMS {
        add(&mut text, format_args!("- and {} more\n", problems.len() - PROBLEMS));
    }
    text.trim_end().into()
}

fn step_text(text: &mut String, step: &Step) {
    add(text, format_args!("- {} {}\n", step.verb.as_str(), code(&step.object.short(), NAME)));
    if !plans::shows_leaves(step, Detail::Changes) {
        return;
    }
    for entry in entries(step).take(ENTRIES) {
        add(text, format_args!("  - {} {}\n", word(entry), code(&entry.path, NAME)));
    }
    let more = entries(step).count().saturating_sub(ENTRIES);
    if more > 0 {
        add(text, format_args!("  - and {more} more\n"));
    }
}

fn entries(step: &Step) -> impl Iterator<Item = &LeafChange> {
    step.leaves.iter().filter(|leaf| leaf.word != Word::Unchanged)
}

/// Of what was and is encrypted nobody is told whether it is the same: who can encrypt could try values until one is.
fn word(leaf: &LeafChange) -> &'static str {
    match leaf.word {
        Word::Added | Word::Removed => style::word(leaf.word).2,
        Word::Changed if !leaf.redacted => style::word(leaf.word).2,
        _ => style::word(Word::Unknown).2,
    }
}

/// The first line, and below it the rest.
fn folded(plan: &str, folds: bool) -> String {
    let (first, rest) = plan.split_once("\n\n").unwrap_or((plan, ""));
    let rest = rest.trim_end();
    if folds {
        format!("<details><summary>{first}</summary>\n\n{rest}\n\n</details>")
    } else {
        format!("{first}\n\n{rest}")
    }
}

/// As code of at most so many characters. What would end it, cannot be seen or, to some forge, is a mention, is written otherwise.
fn code(text: &str, longest: usize) -> String {
    let mut shown = String::from("`");
    let mut letters = text.chars();
    for letter in letters.by_ref().take(longest) {
        match letter {
            '`' => shown.push('\''),
            '@' => shown.push('＠'),
            '\'' | '"' | '\\' => shown.push(letter),
            _ if letter.escape_debug().len() > 1 => shown.push('\u{fffd}'),
            _ => shown.push(letter),
        }
    }
    if letters.next().is_some() || text.trim().is_empty() {
        shown.push('…');
    }
    shown.push('`');
    shown
}

fn add(text: &mut String, more: std::fmt::Arguments<'_>) {
    text.write_fmt(more).expect("a String takes everything");
}

#[cfg(test)]
mod tests;
