//! Pushes faster than anybody needs to see them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::cases::Size;
use crate::cases::seen::by_verb;
use crate::cases::service::observer::Observer;
use crate::cases::service::{PASSES, one_environment, rest};
use crate::process::short;
use crate::table::Row;
use crate::workload::Changed;

/// How long it lasts.
const STORM: Duration = Duration::from_secs(10);

pub async fn rows(objects: usize, pushes: usize, size: Size) -> Vec<Row> {
    let (mut place, controller) = one_environment(objects, size).await;
    let namespace = place.environment(0);
    let changes: Vec<Changed> =
        (1..=pushes).flat_map(|push| place.workload.changed(Some(0), push..push + 1, push)).collect();
    let commits = place.repository.stage(changes.iter().map(|changed| std::iter::once(changed.file.clone())));
    // looking at what was staged is no part of it
    rest(size).await;
    let mut observer = Observer::start(&place.server, Some(&namespace)).await;
    let (known, passes) = (place.seen().await, controller.metric(PASSES).await);
    let storm = if size == Size::Small { STORM / 10 } else { STORM };
    let mut beat = tokio::time::interval(storm / u32::try_from(pushes).expect("few pushes"));
    let begin = Instant::now();
    for commit in &commits {
        beat.tick().await;
        place.repository.push(commit);
    }
    let last = Instant::now();
    let wanted: HashMap<_, _> =
        changes.into_iter().map(|changed| ((namespace.clone(), changed.object.clone()), changed)).collect();
    let distinct = wanted.len();
    let newest = observer.all_applied(wanted).await;
    rest(size).await;
    let (seen, passes) = (place.seen().await, controller.metric(PASSES).await - passes);
    let new = seen.after(&known);
    let writes =
        new.iter().filter(|request| request.is_write() && matches!(&*request.resource, "configmaps" | "secrets"));
    vec![
        Row::new(
            "G15",
            format!("{pushes} pushes in {}", short(last - begin)),
            format!("{passes} reconciles (goal 10)"),
            "one object each, other objects",
        ),
        Row::new("G15", "  writes of objects", format!("{} of {distinct} changes", writes.count()), seen.source),
        Row::new("", "  all requests", by_verb(new), seen.source),
        Row::new("", "  from the last push to the newest state", short(newest - last), "all objects, seen by a watch"),
    ]
}
