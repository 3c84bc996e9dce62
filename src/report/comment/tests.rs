use expect_test::expect;

use super::*;
use crate::model::object::{Kind, ObjectId};
use crate::planning::plan::Phase;

fn leaf(path: &str, word: Word, redacted: bool) -> LeafChange {
    let value = Some("canary-c0-value".to_owned());
    let (old, new, lines) = (value.clone(), value, vec!["+canary-c0-line".to_owned()]);
    LeafChange { path: path.to_owned(), word, old, new, lines, redacted, origin: None }
}

fn step(verb: Verb, kind: (&str, &str), name: &str, leaves: Vec<LeafChange>) -> Step {
    Step {
        phase: Phase::Config,
        verb,
        object: ObjectId::new(Kind::new(kind.0, kind.1), "shop-b-x", name),
        inputs: "v1".to_owned(),
        fingerprint: None,
        precondition: None,
        needs: std::collections::BTreeSet::new(),
        repair: false,
        stamps_only: false,
        leave_replicas: false,
        config: None,
        leaves: leaves.into(),
        why: "canary-c0-why".to_owned(),
    }
}

fn plan_of(steps: Vec<Step>) -> Plan {
    Plan { steps, kept: Vec::new(), restarts: Vec::new(), unchanged: 3, digest: String::new(), consent: Vec::new() }
}

fn of(reason: Reason) -> Comment {
    Comment {
        environment: "shop-b-x-abc".to_owned(),
        reason,
        waits: false,
        commit: Some("a90c3d1".to_owned()),
        equals: None,
        address: Some("https://x.preview.example.com".to_owned()),
        ends: None,
        problems: Arc::default(),
        plan: None,
    }
}

#[test]
fn a_plan_has_names_and_no_value() {
    let (config, secret, workload) = (("", "ConfigMap"), ("", "Secret"), ("apps", "Deployment"));
    let plan = plan_of(vec![
        step(Verb::Create, config, "flags", vec![leaf("data.A", Word::Added, false)]),
        step(
            Verb::Update,
            config,
            "app",
            vec![
                leaf("data.LOG_LEVEL", Word::Changed, false),
                leaf("data.OLD", Word::Removed, false),
                leaf("data.SAME", Word::Unchanged, false),
            ],
        ),
        step(
            Verb::Update,
            secret,
            "db",
            vec![
                leaf("data.NEW", Word::Added, true),
                leaf("data.OTHER", Word::Changed, true),
                leaf("data.SAME", Word::Reencrypted, true),
                leaf("data.NOBODY_KNOWS", Word::Unknown, true),
            ],
        ),
        step(Verb::Create, workload, "web", vec![leaf("spec.replicas", Word::Added, false)]),
        // it restarts because of the Secret: that would tell that one of its values is another
        step(Verb::Update, workload, "api", vec![leaf("spec.replicas", Word::Unchanged, false)]),
        step(Verb::Delete, config, "old", vec![leaf("data.A", Word::Removed, false)]),
        Step { repair: true, ..step(Verb::Update, config, "drifted", vec![leaf("data.A", Word::Changed, false)]) },
    ]);
    expect![[r"
        Plan of a90c3d1: 2 to create, 2 to update, 1 to delete.

        - create `ConfigMap/flags`
          - added `data.A`
        - update `ConfigMap/app`
          - changed `data.LOG_LEVEL`
          - removed `data.OLD`
        - update `Secret/db`
          - added `data.NEW`
          - changed or re-encrypted `data.OTHER`
          - changed or re-encrypted `data.SAME`
          - changed or re-encrypted `data.NOBODY_KNOWS`
        - create `Deployment/web`
        - delete `ConfigMap/old`
    "]]
    .assert_eq(&super::plan(&plan, "a90c3d1").unwrap());
    assert_eq!(super::plan(&plan_of(Vec::new()), "a90c3d1"), None);
}

#[test]
fn what_is_said_keeps_its_plan_until_there_is_another() {
    let steps = vec![step(Verb::Create, ("", "ConfigMap"), "flags", vec![leaf("data.A", Word::Added, false)])];
    let first = Comment { plan: plan(&plan_of(steps), "a90c3d1"), waits: true, ..of(Reason::Applied) };
    let shown = first.text(true, None);
    expect![[r"
        [//]: # (osier/shop-b-x-abc)

        **osier** · `shop-b-x-abc` · **Applied** at `a90c3d1` · <https://x.preview.example.com>

        The environment equals the revision, and its workloads are not ready yet.

        [//]: # (osier plan)

        <details><summary>Plan of a90c3d1: 1 to create.</summary>

        - create `ConfigMap/flags`
          - added `data.A`

        </details>
    "]]
    .assert_eq(&shown);
    let problem = Problem::new("branches/app.yaml", "unknown field `dta`").at(3, 1).hint("canary-c0-hint");
    let later = Comment {
        commit: Some("b1".to_owned()),
        equals: Some("a90c3d1".to_owned()),
        ends: Some("2026-11-25T10:02:00Z".to_owned()),
        problems: problems(&[problem]),
        ..of(Reason::ProblemsFound)
    };
    let text = later.text(true, Some(&shown.replace('\n', "\r\n")));
    expect![[r"
        [//]: # (osier/shop-b-x-abc)

        **osier** · `shop-b-x-abc` · **ProblemsFound** at `b1` · <https://x.preview.example.com>

        Files of the revision have mistakes; nothing was applied. It is as of `a90c3d1`. It ends at `2026-11-25T10:02:00Z`, unless somebody pushes or extends it.

        1 problem:

        - `branches/app.yaml:3:1` `unknown field 'dta'`

        [//]: # (osier plan)

        <details><summary>Plan of a90c3d1: 1 to create.</summary>

        - create `ConfigMap/flags`
          - added `data.A`

        </details>
    "]]
    .assert_eq(&text);
    assert_eq!(later.text(true, Some(&text)), text, "what is the same stays the same");
    let hostile = problems(&[Problem::new(PLAN, format!("\n{PLAN}\n[click](https://evil.example)"))]);
    let hostile = Comment { problems: hostile, ..of(Reason::ProblemsFound) }.text(true, None);
    assert!(hostile.contains("evil.example"));
    assert!(!of(Reason::Applied).text(true, Some(&hostile)).contains("evil.example"), "that is no plan");
    let gone = Comment { commit: None, address: None, ..of(Reason::Gone) };
    expect![[r"
        [//]: # (osier/shop-b-x-abc)

        **osier** · `shop-b-x-abc` · **Gone**

        The branch environment was removed; its Records stay.
    "]]
    .assert_eq(&gone.text(false, None));
    let plain = Comment { address: None, ..first };
    assert!(!plain.text(false, None).contains('<'), "there is no HTML where none is wanted");
}

#[test]
fn names_say_nothing_but_themselves() {
    for (name, shown) in [
        ("data.A", "`data.A`"),
        ("", "`…`"),
        (" ", "` …`"),
        ("a`b``c", "`a'b''c`"),
        ("@everyone look", "`＠everyone look`"),
        ("x</details><img src=x>", "`x</details><img src=x>`"),
        ("<!-- osier -->", "`<!-- osier -->`"),
        ("[a](https://evil.example)|b", "`[a](https://evil.example)|b`"),
        ("a\n\n# b\r\n/close", "`a\u{fffd}\u{fffd}# b\u{fffd}\u{fffd}/close`"),
        ("a\u{202e}b\u{200b}c", "`a\u{fffd}b\u{fffd}c`"),
        ("\\`", "`\\'`"),
        ("naïve-größe", "`naïve-größe`"),
        ("so-much-and-some-more-than-forty-characters", "`so-much-and-some-more-than-forty-charact…`"),
    ] {
        assert_eq!(code(name, 40), shown, "{name}");
    }
    let marker = of(Reason::Applied).marker();
    assert_ne!(marker, Comment { environment: "shop-b-x-ab".to_owned(), ..of(Reason::Applied) }.marker());
}

#[test]
fn however_much_there_is_it_has_an_end() {
    let long = "`@<".repeat(200);
    let leaves = |n: usize| (0..n).map(|i| leaf(&format!("data.{i}{long}"), Word::Added, true)).collect::<Vec<_>>();
    let steps =
        |n: usize| (0..n).map(|i| step(Verb::Create, ("", "Secret"), &format!("s{i}{long}"), leaves(60))).collect();
    let mistakes: Vec<Problem> = (0..500).map(|i| Problem::new(&format!("{i}{long}"), long.clone())).collect();
    let comment = Comment {
        plan: plan(&plan_of(steps(400)), "a90c3d1"),
        problems: problems(&mistakes),
        address: Some(format!("https://{long}")),
        ..of(Reason::ProblemsFound)
    };
    let text = comment.text(true, None);
    assert!(text.chars().count() < 32_768, "{}", text.chars().count());
    for more in ["500 problems:", "- and 480 more\n", "  - and 40 more\n"] {
        assert!(text.contains(more), "{more}: {text}");
    }
    assert!(text.ends_with("</details>\n") && !text.contains('@'), "{text}");
}
