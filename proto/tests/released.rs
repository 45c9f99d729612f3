//! The wire extends the last release's: whatever that one says, this one still says in the same way, so that workers and
//! coordinators of neighbouring releases understand each other.

use std::collections::BTreeSet;
use std::path::Path;

const RELEASED: &str = "released/v1.proto";
const PRESENT: &str = "lethe/v1/lethe.proto";

/// All that a peer relies on, a line each.
fn facts(file: &Path) -> BTreeSet<String> {
    let folder = file.parent().expect("lies in a folder");
    let set = protox::compile([file], [folder]).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let mut facts = BTreeSet::new();
    for file in set.file {
        facts.insert(format!("package {}, {}", file.package(), file.syntax()));
        for message in &file.message_type {
            assert!(message.nested_type.is_empty() && message.enum_type.is_empty(), "nested types are not compared");
            facts.insert(format!("message {}", message.name()));
            for field in &message.field {
                let oneof = field.oneof_index.map(|i| message.oneof_decl[i as usize].name());
                let (label, kind) = (field.label(), field.r#type());
                let what = format!("{label:?} {kind:?} {} in {oneof:?}", field.type_name());
                facts.insert(format!("field {}.{} = {}: {what}", message.name(), field.name(), field.number()));
            }
        }
        for values in &file.enum_type {
            facts.extend(values.value.iter().map(|v| format!("value {}.{} = {}", values.name(), v.name(), v.number())));
        }
        for service in &file.service {
            facts.extend(service.method.iter().map(|m| {
                let streams = (m.client_streaming(), m.server_streaming());
                format!(
                    "method {}.{}: {} -> {}, {streams:?}",
                    service.name(),
                    m.name(),
                    m.input_type(),
                    m.output_type()
                )
            }));
        }
    }
    facts
}

fn own(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What the released file says and another does not.
fn lost(in_file: &Path) -> Vec<String> {
    facts(&own(RELEASED)).difference(&facts(in_file)).cloned().collect()
}

#[test]
fn nothing_of_the_last_release_is_lost() {
    assert_eq!(lost(&own(PRESENT)), [""; 0]);
}

#[test]
fn what_would_break_a_neighbour_is_seen() {
    let breaks = [
        ("uint64 counter = 2;", "uint64 counter = 3;", "field Attempt.counter"),
        ("uint64 counter = 2;", "int64 counter = 2;", "field Attempt.counter"),
        ("uint64 counter = 2;", "uint64 count = 2;", "field Attempt.counter"),
        ("repeated Input inputs = 4;", "Input inputs = 4;", ".inputs = 4"),
        ("    Heartbeat heartbeat = 2;\n", "", "field WorkerMessage.heartbeat"),
        ("FAULT_KIND_FATAL = 2;", "FAULT_KIND_FATAL = 9;", "value FaultKind.FAULT_KIND_FATAL"),
        ("  rpc Commit(CommitRequest) returns (CommitReply);\n", "", "method Workers.Commit"),
        ("returns (stream CoordinatorMessage)", "returns (CoordinatorMessage)", "method Workers.Session"),
        ("package lethe.v1;", "package lethe.v2;", "package lethe.v1"),
    ];
    let present = std::fs::read_to_string(own(PRESENT)).expect("is there");
    let folder = tempfile::tempdir().expect("makes a folder");
    for (says, would_say, what) in breaks {
        assert!(present.contains(says), "{says:?} is not there to be broken");
        let broken = folder.path().join("broken.proto");
        std::fs::write(&broken, present.replace(says, would_say)).expect("is ours");
        assert!(lost(&broken).iter().any(|fact| fact.contains(what)), "{says:?} became {would_say:?} unseen");
    }
}
