//! A folder of shards, and beside it the result folder of an audit of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use lethe_common::blob::Digest;
use lethe_common::pin::Pin;
use lethe_data::{Limits, Sample, ShardWriter, content_hash, open_shard};
use lethe_evidence::artifacts::{
    BadSamples, Found, HandedBack, Interval, Report, SampleCounts, ShardEntry, Shards, Verdict, encode, names,
};
use lethe_evidence::{Suspect, SuspectTable};
use tempfile::TempDir;

pub struct Audited {
    folder: TempDir,
    shards: Vec<ShardEntry>,
    suspects: Vec<Suspect>,
}

/// How a command ended, and what it said.
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Audited {
    /// An audit of these shards, which are written, that says to drop these keys of the shards by their numbers.
    pub fn of(shards: &[(&str, Vec<u8>)], dropped: &[(u32, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("makes a folder");
        let root = folder.path().join("shards");
        let entry = |(id, (name, bytes)): (u32, &(&str, Vec<u8>))| {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().expect("lies in a folder")).expect("makes a folder");
            std::fs::write(&path, bytes).expect("writes a shard");
            ShardEntry {
                id,
                name: (*name).to_owned(),
                path: path.display().to_string(),
                size_bytes: bytes.len() as u64,
                pin: Pin::Digest(Digest::of(bytes)),
            }
        };
        let shards: Vec<ShardEntry> = (0..).zip(shards).map(entry).collect();
        let suspect = |(rank, (shard, key)): (u32, &(u32, &str))| {
            let sample = sample(Path::new(&shards[*shard as usize].path), key);
            suspect(rank, (*shard, key), content_hash(&sample.image, &sample.caption))
        };
        let suspects = (1..).zip(dropped).map(suspect).collect();
        let audited = Self { folder, shards, suspects };
        audited.write_result();
        audited
    }

    /// As deliver and plan do.
    fn write_result(&self) {
        let plan = self.path("march/.lethe/blobs/march/000/0000000");
        for (attempt, listing) in [("1.9", Vec::new()), ("1.10", self.listing())] {
            std::fs::create_dir_all(plan.join(attempt)).expect("makes a folder");
            std::fs::write(plan.join(attempt).join(names::SHARDS), listing).expect("writes the listing");
        }
        std::fs::create_dir_all(plan.join("2.1")).expect("makes a folder");
        let report = encode(names::REPORT, &report()).expect("is JSON");
        std::fs::write(self.path("march/report.json"), report).expect("writes the report");
        let table = SuspectTable { names: Vec::new(), rows: self.suspects.clone() };
        std::fs::write(self.path("march/suspects.parquet"), table.to_parquet().expect("is a table")).expect("writes");
        let lines = self.suspects.iter().map(|suspect| {
            format!("{}\n", self.shards[suspect.shard as usize].full_key(&suspect.key).replace(['\n', '\r'], "?"))
        });
        std::fs::write(self.path("march/drop-list.txt"), lines.collect::<String>()).expect("writes the list");
    }

    pub fn listing(&self) -> Vec<u8> {
        let total_bytes = self.shards.iter().map(|shard| shard.size_bytes).sum();
        let shards = Shards { dataset: "march".to_owned(), shards: self.shards.clone(), total_bytes };
        encode(names::SHARDS, &shards).expect("is JSON")
    }

    /// What the audit planned with, to be changed before the next [`Self::plan_again`].
    pub fn shards(&mut self) -> &mut Vec<ShardEntry> {
        &mut self.shards
    }

    pub fn plan_again(&self) {
        self.write_result();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        let path = self.path(name);
        std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    pub fn samples(&self, name: &str) -> Vec<Sample> {
        open_shard(&self.path(name), Limits::default()).expect("opens").filter_map(Result::ok).collect()
    }

    /// `lethe scrub march ARGUMENTS`, in the folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lethe"));
        command.current_dir(self.folder.path()).args(["scrub", "march"]).args(arguments).stdin(Stdio::null());
        command
    }

    pub fn scrub(&self, arguments: &[&str]) -> Said {
        said(self.command(arguments).output().expect("runs"))
    }

    pub fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts")
    }

    /// Every file of a folder by its name below it, hidden ones apart.
    pub fn files(&self, folder: &str) -> BTreeMap<String, Vec<u8>> {
        let (root, mut found) = (self.path(folder), BTreeMap::new());
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("lists") {
                let path = entry.expect("lists").path();
                let name = path.strip_prefix(&root).expect("lies below").display().to_string();
                match path.is_dir() {
                    true => folders.push(path),
                    false if name == ".scrub.lock" => {}
                    false => drop(found.insert(name, std::fs::read(&path).expect("reads"))),
                }
            }
        }
        found
    }
}

pub fn said(output: Output) -> Said {
    let text = |bytes| String::from_utf8(bytes).expect("is UTF-8");
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

impl Said {
    /// Its summary, where it ended well.
    pub fn json(self) -> serde_json::Value {
        assert_eq!(self.code, Some(0), "{}", self.err);
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}", self.out))
    }

    /// Its error, where it ended with `code`.
    pub fn error(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}{}", self.out, self.err);
        self.err
    }
}

/// A tar of pairs `shard-number`.
pub fn tar(shard: usize, pairs: usize) -> Vec<u8> {
    let mut writer = ShardWriter::new(Vec::new());
    for n in 0..pairs {
        let image = format!("picture {n} of {shard}").repeat(n % 7 + 1);
        writer.append(&format!("{shard}-{n:03}"), image.as_bytes(), "jpg", &format!("caption {n}")).expect("writes");
    }
    writer.finish().expect("ends")
}

fn sample(shard: &Path, key: &str) -> Sample {
    let mut samples = open_shard(shard, Limits::default()).expect("opens").filter_map(Result::ok);
    samples.find(|sample| sample.key == key).unwrap_or_else(|| panic!("{} has no {key}", shard.display()))
}

fn suspect(rank: u32, (shard, key): (u32, &str), content: String) -> Suspect {
    Suspect {
        rank,
        key: key.to_owned(),
        shard,
        url: String::new(),
        content,
        caption: "a caption".to_owned(),
        suspicion: 1.0,
        in_forget_set: true,
        held_out: false,
        drop: true,
        values: Vec::new(),
    }
}

fn report() -> Report {
    Report {
        audit: "march".to_owned(),
        verdict: Verdict::Removed,
        found: Found::Shortcut,
        handed_back: HandedBack::Trained,
        headline: String::new(),
        reasons: Vec::new(),
        shards: 0,
        data_bytes: 0,
        samples: SampleCounts::default(),
        suspects: 0,
        forget: 0,
        held_out: 0,
        attraction_before: Interval::of(0, 0),
        attraction_after: Interval::of(0, 0),
        clusters: Vec::new(),
        retrieval_before: Interval::of(0, 0),
        retrieval_after: Interval::of(0, 0),
        retrieval_loss: 0.0,
        mean_drift: 0.0,
        words: Vec::new(),
        other_words: Vec::new(),
        histograms: Vec::new(),
        phases: Vec::new(),
        compared_with: String::new(),
        bad: BadSamples::default(),
        marks: None,
        since: None,
    }
}
