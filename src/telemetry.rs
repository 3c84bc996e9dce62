//! L3: logs on stderr, and what metrics have in common.
//!
//! Fields have one name everywhere: `repository`, `environment`, `revision`, `record`, `reason`, `lease`, `duration_ms`.

pub mod series;

use std::io::IsTerminal;
use std::panic;

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt, registry};

use crate::settings::LogFormat;

/// Targets whose events print requests, answers or URLs. Kube logs whole answers, and answers hold Secrets.
const TALKATIVE: [&str; 7] = ["git2", "h2", "hyper", "kube", "notify", "rustls", "tower"];

/// Starts logging; `verbose` counts `-v`, `filter` is `OSIER_LOG`. A panic logs its place.
///
/// # Guarantees
/// What begins with the name of a talkative library never logs below error, whatever `filter` says.
/// What a panic says is not logged: it may quote a value.
pub fn start(verbose: u8, filter: Option<&str>, format: LogFormat) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let ansi = std::io::stderr().is_terminal();
    if subscriber(filter.unwrap_or(level), format, ansi, std::io::stderr).try_init().is_err() {
        tracing::debug!("logging was started before");
    }
    panic::set_hook(Box::new(|panicked| {
        let place = panicked.location().map(ToString::to_string);
        tracing::error!(place, "a mistake in osier: please report it");
    }));
}

fn subscriber<W>(filter: &str, format: LogFormat, ansi: bool, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_writer(writer);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(ansi).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    // a layer of its own: directives of the user can be more specific than any cap in the same filter
    registry().with(EnvFilter::new(filter)).with(filter_fn(is_harmless)).with(lines)
}

fn is_harmless(metadata: &Metadata<'_>) -> bool {
    *metadata.level() == Level::ERROR || !TALKATIVE.iter().any(|name| metadata.target().starts_with(name))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use serde_json::Value;
    use tracing::subscriber::with_default;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(filter: &str, format: LogFormat, log: impl FnOnce()) -> String {
        let written = Written::default();
        let writer = written.clone();
        with_default(subscriber(filter, format, false, move || writer.clone()), log);
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn talkative_libraries_stay_at_error_whatever_the_user_sets() {
        let hostile =
            ["trace", "kube_client=trace", "kube_client::client=trace,h2=debug", "[reconcile]=trace", "[{x}]=trace"];
        for (filter, format) in
            hostile.into_iter().flat_map(|filter| [(filter, LogFormat::Text), (filter, LogFormat::Json)])
        {
            let text = logged(filter, format, || {
                let _span = tracing::error_span!("reconcile", x = 1).entered();
                tracing::warn!(target: "kube_client::client", "hunter2");
                tracing::debug!(target: "h2::codec", "hunter2");
                tracing::info!(target: "hyper_util::client", "hunter2");
                tracing::trace!(target: "rustls::conn", "hunter2");
                tracing::warn!(target: "git2", "hunter2");
                tracing::error!(target: "kube_client::client", "broken");
            });
            assert!(!text.contains("hunter2"), "{filter}: {text}");
        }
        assert!(logged("trace", LogFormat::Text, || tracing::error!(target: "kube", "broken")).contains("broken"));
    }

    #[test]
    fn json_has_the_fields_beside_the_message() {
        let text = logged("info", LogFormat::Json, || tracing::info!(environment = "staging", record = 7, "applied"));
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&line["message"], &line["environment"], &line["record"]),
            (&"applied".into(), &"staging".into(), &7.into())
        );
        assert_eq!(line["level"], "INFO");
    }
}
