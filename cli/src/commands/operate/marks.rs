//! `lethe mark` and `lethe marks`: what people say of an audit's suspects, as a table in and out.
//!
//! They must never change a mark that the file does not name.

use anyhow::Context;
use lethe_proto::v1::{Judgement, ListMarksRequest, Mark, MarkSuspectsReply, MarkSuspectsRequest};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{block_on, print, refusal};
use crate::arguments;
use crate::exit::{Ending, bad_input};
use crate::reach::Patience;

/// A line of the file: as `lethe marks` prints it, of which the first four count.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    shard: u32,
    key: String,
    #[serde(default)]
    content: String,
    mark: String,
    #[serde(skip_deserializing)]
    by: String,
    #[serde(skip_deserializing)]
    at_ms: u64,
}

pub fn mark(arguments: &arguments::Mark) -> anyhow::Result<Ending> {
    let arguments::Mark { audit, by, file, .. } = arguments;
    let text = std::fs::read(file).map_err(|error| bad_input(format!("cannot read {}: {error}", file.display())))?;
    let marks = read(&text).map_err(|error| bad_input(format!("{}: {error}", file.display())))?;
    let reply = block_on(&arguments.remote, async |mut coordinators| {
        let request = MarkSuspectsRequest { audit: audit.clone(), marks, by: by.clone() };
        let ask = coordinators.call(Patience::CALL, async |mut client| client.mark_suspects(request.clone()).await);
        match ask.await {
            Ok(reply) => Ok(reply),
            Err(error) => Err(refusal::of_audit(&mut coordinators, audit, error).await),
        }
    })?;
    let MarkSuspectsReply { poison, clean, .. } = reply;
    let text = || {
        format!(
            "{audit}: {poison} marked as poison, {clean} as clean; lethe rerun {audit} --from select forgets and drops by them\n"
        )
    };
    print(arguments.remote.output, text, || json!({ "audit": audit, "poison": poison, "clean": clean }));
    Ok(Ending::Accepted)
}

pub fn marks(arguments: &arguments::OneAudit) -> anyhow::Result<Ending> {
    let marks = block_on(&arguments.remote, async |mut coordinators| {
        let request = || ListMarksRequest { audit: arguments.audit.clone() };
        match coordinators.call(Patience::CALL, async |mut client| client.list_marks(request()).await).await {
            Ok(reply) => Ok(reply.marks),
            Err(error) => Err(refusal::of_audit(&mut coordinators, &arguments.audit, error).await),
        }
    })?;
    let lines: Vec<Line> = marks.into_iter().map(line).collect();
    let table = write(&lines)?;
    print(arguments.remote.output, || table, || json!(lines));
    Ok(Ending::Accepted)
}

/// # Errors
/// The line that is none, with its number.
fn read(text: &[u8]) -> Result<Vec<Mark>, String> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::Headers).from_reader(text);
    let mut marks = Vec::new();
    for (at, line) in reader.deserialize::<Line>().enumerate() {
        let number = at + 2; // below the header
        let Line { shard, key, content, mark, .. } = line
            .map_err(|e| format!("line {number}: {e}; expected the columns shard, key, mark, and perhaps content"))?;
        let judgement = judgement(&mark)
            .ok_or_else(|| format!("line {number}: the mark of {key:?} is {mark:?}; expected poison, clean or none"))?;
        marks.push(Mark { shard, key, content, judgement: judgement.into(), ..Mark::default() });
    }
    Ok(marks)
}

fn judgement(mark: &str) -> Option<Judgement> {
    match mark.trim() {
        "poison" => Some(Judgement::Poison),
        "clean" => Some(Judgement::Clean),
        "none" => Some(Judgement::Unspecified),
        _ => None,
    }
}

fn line(mark: Mark) -> Line {
    let word = match mark.judgement() {
        Judgement::Poison => "poison",
        Judgement::Clean => "clean",
        Judgement::Unspecified => "none",
    };
    let Mark { shard, key, content, by, at_ms, .. } = mark;
    Line { shard, key, content, mark: word.to_owned(), by, at_ms }
}

/// With a header, whether or not there are lines.
fn write(lines: &[Line]) -> anyhow::Result<String> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    writer.write_record(["shard", "key", "content", "mark", "by", "at_ms"])?;
    lines.iter().try_for_each(|line| writer.serialize(line))?;
    let bytes = writer.into_inner().context("cannot write the table")?;
    String::from_utf8(bytes).context("the table is no text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_again_whatever_the_keys_hold() {
        let mark = |key: &str, judgement: Judgement| Mark {
            shard: 3,
            key: key.to_owned(),
            content: "00ff".to_owned(),
            judgement: judgement.into(),
            by: "ann".to_owned(),
            at_ms: 7,
        };
        let marks = [mark("a,\"b\"\n", Judgement::Poison), mark("=1+1", Judgement::Clean)];
        let table = write(&marks.clone().map(line)).expect("writes");
        let read = read(table.as_bytes()).expect("is read");
        assert_eq!(read, marks.map(|mark| Mark { by: String::new(), at_ms: 0, ..mark }));
        assert_eq!(write(&[]).expect("writes"), "shard,key,content,mark,by,at_ms\n");
    }

    #[test]
    fn a_few_columns_in_any_order_are_enough() {
        let read = read(b"mark, key,shard,rank\nclean,0007,0,1\nnone,0008,0,2\n").expect("is read");
        let told: Vec<_> = read.iter().map(|mark| (mark.key.as_str(), mark.judgement())).collect();
        assert_eq!(told, [("0007", Judgement::Clean), ("0008", Judgement::Unspecified)]);
    }

    #[test]
    fn what_is_no_mark_is_told_with_its_line() {
        let error = read(b"shard,key,mark\n0,a,clean\n0,b,posion\n").expect_err("is none");
        assert!(error.contains("line 3") && error.contains("\"posion\""), "{error}");
        assert!(read(b"key,mark\na,clean\n").expect_err("lacks the shard").contains("line 2"));
        assert!(read(b"shard,key,mark\nfirst,a,clean\n").expect_err("is no number").contains("line 2"));
    }
}
