//! Logs on stderr.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Directive;

/// Starts logging; `verbose` counts `-v`, `filter` is `OSIER_LOG`.
///
/// # Guarantees
/// `kube_client`, `hyper` and `rustls` never log below error, whatever `filter` says: kube logs whole answers, and answers hold Secrets.
pub fn start(verbose: u8, filter: Option<&str>) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .with_env_filter(filtered(filter.unwrap_or(level)));
    if subscriber.try_init().is_err() {
        tracing::debug!("logging was started before");
    }
}

/// Targets that print requests or answers.
const TALKATIVE: [&str; 6] = ["kube_client", "kube", "hyper", "hyper_util", "rustls", "tower"];

fn filtered(filter: &str) -> EnvFilter {
    // a directive of the user for a submodule would be more specific than the caps: such directives are dropped
    let harmless =
        filter.split(',').map(str::trim).filter(|directive| !TALKATIVE.iter().any(|target| directive.contains(target)));
    let mut env_filter = EnvFilter::new(harmless.collect::<Vec<_>>().join(","));
    for target in TALKATIVE {
        env_filter = env_filter.add_directive(cap(target));
    }
    env_filter
}

fn cap(target: &str) -> Directive {
    format!("{target}=error").parse().expect("a target and a level are a directive")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn talkative_libraries_stay_at_error_whatever_the_user_sets() {
        for filter in ["trace", "kube_client=trace", "kube_client::client=trace,debug", "trace,kube_client[{x}]=trace"]
        {
            let shown = filtered(filter).to_string();
            assert!(shown.contains("kube_client=error"), "{shown}");
            assert!(
                !shown.contains("kube_client=trace")
                    && !shown.contains("client=trace")
                    && !shown.contains("kube_client["),
                "{shown}"
            );
        }
    }
}
