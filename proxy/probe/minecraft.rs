//! The check that asks a Minecraft server (Java edition, 1.7 or later) for its status, as the game's list of servers does.
//!
//! Wire format: "Server List Ping" of minecraft.wiki (Java Edition protocol). The client sends a handshake and a status
//! request; the server answers with one packet that holds JSON.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};

use super::line::Line;
use super::{Failure, Finding, Step};

mod wire;

/// Asks for the status, and reads the number of players from it.
pub(super) async fn run<S>(mut line: Line<S>, address: SocketAddr) -> Result<Finding, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    line.send(Step::Handshake, &wire::status_request(address)).await?;
    loop {
        let reply = wire::status_reply(line.answer()).map_err(|error| Failure::new(Step::Reply, error.to_string()))?;
        if let Some(json) = reply {
            return Ok(Finding { players: players(json)? });
        }
        if !line.hear(Step::Reply, wire::READ_MAX).await? {
            return Err(Failure::closed(Step::Reply, line.answer().len()));
        }
    }
}

/// Players online. A server may keep that to itself.
fn players(json: &[u8]) -> Result<Option<u32>, Failure> {
    let status: Value =
        serde_json::from_slice(json).map_err(|error| Failure::new(Step::Reply, format!("not JSON: {error}")))?;
    if !status.is_object() {
        return Err(Failure::new(Step::Reply, "the JSON is no object"));
    }
    Ok(status["players"]["online"].as_u64().and_then(|online| u32::try_from(online).ok()))
}

#[cfg(test)]
mod tests;
