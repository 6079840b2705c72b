//! The check that asks a Minecraft server (Java edition, 1.7 or later) for its status, as the game's list of servers does.
//!
//! Wire format: "Server List Ping" of minecraft.wiki (Java Edition protocol). The client sends a handshake and a status
//! request; the server answers with one packet that holds JSON.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};

use super::line::Line;
use super::{Failure, Finding, Step};

mod status;
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
            let players = status::players(json).map_err(|why| Failure::new(Step::Reply, why))?;
            return Ok(Finding { players });
        }
        if !line.hear(Step::Reply, wire::READ_MAX).await? {
            return Err(Failure::closed(Step::Reply, line.answer().len()));
        }
    }
}

#[cfg(test)]
mod tests;
