//! `lethe open`: an address for a browser.
//!
//! It must never start one: it may run where none is.

use lethe_proto::v1::OpenPagesRequest;
use serde_json::json;

use super::{block_on, print};
use crate::arguments::Open;
use crate::exit::Ending;
use crate::reach::{Client, Patience};

pub fn open(arguments: &Open) -> anyhow::Result<Ending> {
    let reply = block_on(&arguments.remote, async |mut coordinators| {
        let by = &arguments.by;
        let ask = async |mut client: Client| client.open_pages(OpenPagesRequest { by: by.clone() }).await;
        Ok(coordinators.call(Patience::CALL, ask).await?)
    })?;
    print(arguments.remote.output, || format!("{}\n", reply.url), || json!({ "url": reply.url }));
    Ok(Ending::Accepted)
}
