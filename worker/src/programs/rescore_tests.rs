use lethe_common::ids::ShardId;
use lethe_evidence::PairTable;

use super::*;
use crate::programs::tiny;
use crate::task::{Rig, TaskInput, sample_id};

fn pair(key: &str, caption: &str, role: PairRole) -> PairRow {
    let pixels = key.bytes().cycle().take(12).enumerate().map(|(at, byte)| byte.wrapping_mul(at as u8 + 3)).collect();
    let (key, content, caption) = (key.to_owned(), key.to_owned(), caption.to_owned());
    PairRow { shard: 0, key, content, caption, role, pixels, values: vec![0.5, 0.25] }
}

/// Beside scores of suspects, what `select` weighs words by.
#[test]
fn suspects_hand_on_scores_and_what_their_words_weigh_and_safe_pairs_what_they_lose() {
    let folder = tempfile::tempdir().expect("makes a folder");
    let rig = Rig::new(folder.path());
    let rows = vec![pair("p", "a red boot", PairRole::Suspect), pair("s", "one blue bag", PairRole::Safe)];
    let names = [columns::SIMILARITY, columns::SUSPICION].map(str::to_owned).to_vec();
    let pairs = PairTable { side: 2, names, rows }.to_parquet().expect("writes");
    let blob = rig.blobs.put(&sample_id(1), names::PAIRS, pairs).expect("writes");
    let inputs = vec![TaskInput { phase: "gather".into(), shard: ShardId(0), blobs: vec![blob] }];
    let mut ctx = TaskContext { inputs, ..rig.context() };
    ctx.spec.overfit.gang.steps = 0;
    for name in ["suspect", names::STAND_IN] {
        ctx.kept.get(name, || Ok(tiny::vit())).expect("is there");
    }
    let output = run(&ctx).expect("scores");
    let read = |name: &str| {
        let blob = output.outputs.iter().find(|blob| blob.name == name).expect("was put");
        rig.blobs.get(&blob.blob).expect("is there")
    };
    let table = SignalTable::from_parquet(read(names::RESCORED)).expect("is a table");
    let scored: Vec<_> = table.rows.iter().map(|row| (row.key.as_str(), row.values[0], row.values[1])).collect();
    assert_eq!((scored, table.names), (vec![("p", 0.5, 0.25)], column_names()));
    let falls: WordFalls = artifacts::decode(names::FALLS, &read(names::FALLS)).expect("is read");
    let known = |word: &str| falls.weights.carries(word).is_some();
    assert_eq!(["a", "red", "boot", "one", "blue", "bag"].map(known), [true, true, true, false, false, false]);
    assert_eq!(falls.all.pairs, 1);
}
