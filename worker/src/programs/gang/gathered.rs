//! What the gather phase packed, as trainings divide it: suspects with their first-pass score, and safe
//! pairs without those that evaluation keeps for itself.

use lethe_common::fault::Fault;
use lethe_evidence::artifacts::columns;
use lethe_evidence::{PairRole, PairRow};

use crate::programs::held_out::HeldOut;
use crate::programs::inputs;
use crate::task::TaskContext;

pub struct Gathered {
    /// The most suspicious first; ties in order of shard and key.
    pub suspects: Vec<PairRow>,
    /// In order of shard.
    pub safe: Vec<PairRow>,
}

impl Gathered {
    pub fn read(ctx: &TaskContext<'_>) -> Result<Self, Fault> {
        let held_out = HeldOut::of(&ctx.spec);
        let (mut ranked, mut safe) = (Vec::new(), Vec::new());
        for table in inputs::all_pairs(ctx, "gather")? {
            let column = inputs::position(&table.names, columns::SUSPICION)?;
            for row in table.rows {
                match row.role {
                    PairRole::Suspect => ranked.push((row.values[column], row)),
                    PairRole::Safe if !held_out.contains(&row.content) => safe.push(row),
                    PairRole::Safe => {}
                }
            }
        }
        ranked.sort_by(|(a, x), (b, y)| b.total_cmp(a).then_with(|| (x.shard, &x.key).cmp(&(y.shard, &y.key))));
        let gathered = Self { suspects: ranked.into_iter().map(|(_, row)| row).collect(), safe };
        gathered.require_enough()
    }

    fn require_enough(self) -> Result<Self, Fault> {
        if self.suspects.is_empty() || self.safe.len() < 2 {
            return Err(Fault::fatal(format!(
                "{} suspects and {} safe pairs are too few to train on; give more data or raise suspect.share",
                self.suspects.len(),
                self.safe.len()
            )));
        }
        Ok(self)
    }
}
