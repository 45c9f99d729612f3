//! `lethe bench score`: what scoring costs beside what a good user would write in Python.
//!
//! It must never compare other results: scores are checked row by row.

mod density;
mod memory;

use serde_json::json;

use super::control_plane::setting;
use crate::arguments::{Score, ScorePart};
use crate::exit::Ending;

pub fn run(options: &Score) -> anyhow::Result<Ending> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let wants = |part: ScorePart| options.only.is_none_or(|only| only == part);
    let dao = match wants(ScorePart::Dao) {
        true => Some(runtime.block_on(density::measure(&options.dao, options.embeddings, options.rounds))?),
        false => None,
    };
    let memory = match wants(ScorePart::Memory) {
        true => Some(runtime.block_on(memory::measure(options.samples))?),
        false => None,
    };
    let found = json!({
        "ratio_dao": dao.as_ref().map(density::Dao::ratio),
        "memory_growth": memory.as_ref().map(memory::Memory::growth),
        "dao": dao,
        "memory": memory,
        "setting": setting(),
    });
    println!("{found:#}");
    Ok(Ending::Accepted)
}
