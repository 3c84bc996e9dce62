//! What all metrics of osier have in common: their prefix, their labels, their text.
//!
//! Label values are lanes, names of objects that exist, and closed lists: their number is bounded, and none is a value of a Secret.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

/// The labels of a series, in the order in which they are shown.
pub type Labels = Vec<(&'static str, String)>;

/// A registry that says which program this is.
pub fn registry() -> Registry {
    let mut registry = Registry::with_prefix("osier");
    let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "The program", build);
    registry
}

/// A new metric.
pub fn add<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

/// One more label.
pub fn with(mut labels: Labels, name: &'static str, value: &str) -> Labels {
    labels.push((name, value.to_owned()));
    labels
}

/// Everything as OpenMetrics text.
pub fn page(registry: &Registry) -> String {
    let mut text = String::new();
    encode(&mut text, registry).expect("a String takes everything");
    text
}
