//! One trace from the client's command to each step of a training, and logs whose ids are fields.

use std::collections::BTreeSet;

use crate::collector::{Collector, Span};
use crate::drill::{Drill, Size};
use crate::service::Service;

const SHARDS: usize = 3;
const STEPS: usize = 4;

fn named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

fn one<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found = named(spans, name);
    assert_eq!(found.len(), 1, "spans called {name}: {found:?}");
    found[0]
}

fn within(child: &Span, parent: &Span) {
    assert_eq!(child.parent, parent.id, "{child:?} is not within {parent:?}");
}

#[test]
fn one_trace_leads_from_the_clients_command_to_each_step_of_a_worker() {
    let drill = Drill::plant(Size { shards: SHARDS, pairs_per_shard: 100 });
    let collector = Collector::start();
    let service = Service::start(&drill, Some(&collector.url));
    service.audit(&drill.spec(|spec| spec["unlearn"]["gang"]["steps"] = (STEPS as i64).into()));
    let lines = service.log_lines();
    service.stop(); // which tells the last spans
    let spans = collector.spans();

    let traces: BTreeSet<&Vec<u8>> = spans.iter().map(|span| &span.trace).collect();
    assert_eq!(traces.len(), 1, "one audit is one trace: {spans:?}");
    let ids: BTreeSet<&Vec<u8>> = spans.iter().map(|span| &span.id).collect();
    assert_eq!(ids.len(), spans.len(), "a span was told twice");

    let command = one(&spans, "lethe submit");
    assert_eq!((command.service.as_str(), command.parent.as_slice()), ("lethe", [].as_slice()));
    let audit = one(&spans, "audit");
    within(audit, command);
    assert_eq!((audit.service.as_str(), audit.facts["lethe.audit"].as_str()), ("lethe-coordinator", "drill"));
    for name in ["plan", "score", "suspect", "unlearn", "evaluate", "report", "deliver"] {
        let phase = one(&spans, name);
        within(phase, audit);
        assert!(audit.began_ns <= phase.began_ns && phase.ended_ns <= audit.ended_ns, "{phase:?} leaves {audit:?}");
    }
    let score = one(&spans, "score");
    let scored: Vec<&Span> = named(&spans, "shard").into_iter().filter(|span| span.parent == score.id).collect();
    let shards: BTreeSet<&str> = scored.iter().map(|span| span.facts["lethe.shard"].as_str()).collect();
    assert_eq!(shards, BTreeSet::from(["0", "1", "2"]));
    for shard in scored {
        assert_eq!((shard.service.as_str(), shard.facts["lethe.program"].as_str()), ("lethe-worker", "score"));
        assert!(["w0", "w1"].contains(&shard.facts["lethe.worker"].as_str()), "{shard:?}");
    }
    let unlearn = one(&spans, "unlearn");
    let ranks: Vec<&Span> = named(&spans, "rank").into_iter().filter(|span| span.parent == unlearn.id).collect();
    assert_eq!(ranks.len(), 2, "{ranks:?}");
    for rank in ranks {
        let steps: Vec<&Span> = named(&spans, "step").into_iter().filter(|span| span.parent == rank.id).collect();
        let numbers: Vec<&str> = steps.iter().map(|step| step.facts["lethe.step"].as_str()).collect();
        assert_eq!(numbers, ["1", "2", "3", "4"], "in order, and each once");
        assert!(steps.iter().all(|step| rank.began_ns <= step.began_ns && step.began_ns < step.ended_ns));
    }

    let trace: String = audit.trace.iter().map(|byte| format!("{byte:02x}")).collect();
    let of_steps: Vec<_> = lines.iter().filter(|line| line["fields"]["message"] == "a step begins").collect();
    assert!(!of_steps.is_empty(), "the executors said nothing: {}", lines.len());
    for line in of_steps {
        let ids = &line["span"];
        assert_eq!((ids["audit"].as_str(), ids["trace"].as_str()), (Some("drill"), Some(trace.as_str())), "{line}");
        for id in ["phase", "shard", "attempt", "worker"] {
            assert!(ids[id].as_str().is_some_and(|id| !id.is_empty()), "{id} is not in {line}");
        }
    }
}
