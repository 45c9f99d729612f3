//! Metrics as the text that Prometheus reads.

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

/// What a scrape gets.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Every metric of a registry, in OpenMetrics' text format.
pub fn text(registry: &Registry) -> String {
    let mut text = String::new();
    encode(&mut text, registry).expect("a string takes all that is written, and collectors do nothing else");
    text
}
