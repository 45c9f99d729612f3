//! Spans that have ended, on their way to a collector over OTLP; to nowhere, where none was named.
//!
//! It must never make a caller wait: a collector that is away costs the spans, and nothing else. Spans carry ids, numbers and
//! times; a caption, a path or a fault's own words never.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{SpanKind, Status};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor,
};

use crate::Trace;

/// The variable that OpenTelemetry has for it.
pub const ENDPOINT_VARIABLE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Ended spans that may wait for the collector; more are dropped.
const MAX_QUEUED: usize = 8_192;
/// What one call carries.
const MAX_BATCH: usize = 512;
/// Spans are told at least so often.
const EVERY: Duration = Duration::from_secs(1);
/// What the last spans get at a process's end.
const FAREWELL: Duration = Duration::from_secs(3);

/// Of this process. A clone is the same.
#[derive(Clone, Default)]
pub struct Spans {
    /// Absent where nobody collects.
    processor: Option<Arc<BatchSpanProcessor>>,
}

#[derive(Debug, thiserror::Error)]
pub enum SpansError {
    #[error("{0:?} is no collector's address; expected such as http://127.0.0.1:4317, OTLP over gRPC")]
    Endpoint(String),
    #[error("cannot tell spans to {endpoint}: {source}")]
    Exporter { endpoint: String, source: ExporterBuildError },
}

/// One that has ended.
#[derive(Debug)]
pub struct Ended {
    /// Its own place in the trace.
    pub at: Trace,
    /// The span it is a part of, of the same trace.
    pub within: Option<Trace>,
    pub name: Cow<'static, str>,
    pub began: SystemTime,
    pub ended: SystemTime,
    pub facts: Vec<(&'static str, Fact)>,
    /// A word for how it failed, where it did.
    pub failed: Option<&'static str>,
    pub is_call: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    Number(u64),
    Text(String),
}

impl From<u64> for Fact {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for Fact {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<String> for Fact {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Fact {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl Spans {
    /// To nowhere.
    pub fn off() -> Self {
        Self::default()
    }

    /// To the collector at an address, such as `http://127.0.0.1:4317`; to nowhere without one. `service` and `instance` say whose
    /// they are. Within a runtime.
    ///
    /// # Errors
    /// An address that is none.
    pub fn to(endpoint: Option<&str>, service: &'static str, instance: &str) -> Result<Self, SpansError> {
        let Some(endpoint) = endpoint.filter(|endpoint| !endpoint.is_empty()) else { return Ok(Self::off()) };
        let wrong = || SpansError::Endpoint(endpoint.to_owned());
        let url = url::Url::parse(endpoint).map_err(|_| wrong())?;
        // https needs roots that we do not ship: a collector beside the process takes spans in the clear and sends them on.
        if url.scheme() != "http" || !url.has_host() {
            return Err(wrong());
        }
        let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build();
        let exporter = exporter.map_err(|source| SpansError::Exporter { endpoint: endpoint.to_owned(), source })?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(MAX_QUEUED)
            .with_max_export_batch_size(MAX_BATCH)
            .with_scheduled_delay(EVERY)
            .build();
        let mut processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        let of = [
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", instance.to_owned()),
        ];
        processor.set_resource(&Resource::builder().with_service_name(service).with_attributes(of).build());
        Ok(Self { processor: Some(Arc::new(processor)) })
    }

    /// Whether anybody collects: what is only for a span need not be found out otherwise.
    pub fn are_told(&self) -> bool {
        self.processor.is_some()
    }

    pub fn tell(&self, span: Ended) {
        if let Some(processor) = &self.processor {
            processor.on_end(data(span));
        }
    }

    /// Waits for the last ones to be told, a few seconds at most.
    pub async fn finish(self) {
        let Some(processor) = self.processor else { return };
        // It blocks, while the runtime carries what it waits for.
        let finished = tokio::task::spawn_blocking(move || processor.shutdown_with_timeout(FAREWELL));
        if let Ok(Err(error)) = finished.await {
            tracing::warn!(%error, "the last spans were not told");
        }
    }
}

impl fmt::Debug for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.are_told() { "Spans(told)" } else { "Spans(off)" })
    }
}

fn data(span: Ended) -> SpanData {
    let Ended { at, within, name, began, ended, facts, failed, is_call } = span;
    let attributes = facts.into_iter().map(|(key, fact)| match fact {
        Fact::Number(number) => KeyValue::new(key, i64::try_from(number).unwrap_or(i64::MAX)),
        Fact::Text(text) => KeyValue::new(key, text),
    });
    SpanData {
        span_context: at.context(),
        parent_span_id: within.map_or(opentelemetry::trace::SpanId::INVALID, Trace::span),
        parent_span_is_remote: false,
        span_kind: if is_call { SpanKind::Client } else { SpanKind::Internal },
        name,
        start_time: began,
        end_time: ended.max(began),
        attributes: attributes.collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: failed.map_or(Status::Ok, Status::error),
        instrumentation_scope: InstrumentationScope::builder("lethe").build(),
    }
}
