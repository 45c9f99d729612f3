//! The coordinator's service for workers, with this worker's token on every call.

use lethe_proto::v1::workers_client::WorkersClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};

/// The largest message, in bytes: a task may list the outputs of every shard.
const MAX_MESSAGE_BYTES: usize = 256 << 20;

pub(super) type Client = WorkersClient<InterceptedService<Channel, Credentials>>;

/// Sends `authorization: Bearer TOKEN`, or nothing.
#[derive(Clone)]
pub(super) struct Credentials {
    header: Option<MetadataValue<Ascii>>,
}

impl Credentials {
    /// # Errors
    /// Where the token has bytes that no header may have.
    pub(super) fn new(token: Option<&str>) -> Result<Self, String> {
        let header = token.map(|token| format!("Bearer {token}").parse()).transpose();
        Ok(Self { header: header.map_err(|_| "the token is not visible ASCII; set LETHE_TOKEN to one that is")? })
    }

    pub(super) fn client(self, channel: Channel) -> Client {
        WorkersClient::with_interceptor(channel, self)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
    }
}

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(header) = &self.header {
            request.metadata_mut().insert("authorization", header.clone());
        }
        Ok(request)
    }
}

impl std::fmt::Debug for Credentials {
    /// Never the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.header.is_some() { "Credentials(set)" } else { "Credentials(none)" })
    }
}
