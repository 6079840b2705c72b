//! Words in the language of Minecraft (Java edition, 1.7 or later): under a server's name in the list of servers, and on the
//! screen of who tries to join.
//!
//! Wire format: "Server List Ping" and "Login/Disconnect" of minecraft.wiki (Java Edition protocol). A client begins with a
//! handshake, which tells the protocol's version and what it wants: the status, or to log in.

use std::io;

use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::net::minecraft::{Overlong, framed, number, put_number, put_text};

/// Bytes of a client's packet, at most: host names in handshakes have up to 1,020 bytes, and mods add theirs.
const PACKET_MAX: usize = 8 * 1024;

/// Kinds of packets. From the client: a handshake, and in its status phase a request and a ping.
const HANDSHAKE: i32 = 0;
const REQUEST: i32 = 0;
const PING: i32 = 1;
/// To the client: its status, the answer to its ping, and in its login phase that it may not.
const STATUS: i32 = 0;
const PONG: i32 = 1;
const DISCONNECT: i32 = 0;

/// What follows a handshake.
const WANTS_STATUS: i32 = 1;
const WANTS_LOGIN: i32 = 2;
/// As login, coming from another server (1.20.5).
const WANTS_TRANSFER: i32 = 3;

/// Hears what the client wants, and answers it with the text.
pub(super) async fn answer<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, text: &str) -> io::Result<()> {
    let mut client = Client { stream, heard: Vec::new() };
    let (version, wants) = handshake(&client.packet().await?).ok_or(io::ErrorKind::InvalidData)?;
    match wants {
        WANTS_STATUS => client.tell_status(version, text).await,
        WANTS_LOGIN | WANTS_TRANSFER => {
            client.send(DISCONNECT, |packet| put_json(packet, &json!({ "text": text }))).await
        }
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// The version of the protocol, and what the client wants. The host and the port between them are for others.
fn handshake(packet: &[u8]) -> Option<(i32, i32)> {
    let (HANDSHAKE, rest) = number(packet).ok()?? else { return None };
    let (version, rest) = number(rest).ok()??;
    let (host, rest) = number(rest).ok()??;
    let rest = rest.get(usize::try_from(host).ok()?..)?;
    let (wants, []) = number(rest.get(2..)?).ok()?? else { return None };
    Some((version, wants))
}

/// A client, packet by packet.
struct Client<'a, S> {
    stream: &'a mut S,
    /// What has come and was not read yet.
    heard: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<'_, S> {
    /// Answers requests until the ping, which comes last; some send only that, some only the request.
    async fn tell_status(&mut self, version: i32, text: &str) -> io::Result<()> {
        // The version that the client has told, so that its list of servers shows the text and not "outdated".
        let status = json!({
            "version": { "name": "portti", "protocol": version },
            "players": { "max": 0, "online": 0 },
            "description": { "text": text },
        });
        loop {
            let packet = self.packet().await?;
            match number(&packet) {
                Ok(Some((REQUEST, []))) => self.send(STATUS, |packet| put_json(packet, &status)).await?,
                Ok(Some((PING, payload))) if payload.len() == 8 => {
                    return self.send(PONG, |packet| packet.extend(payload)).await;
                }
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
    }

    async fn send(&mut self, kind: i32, put: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let mut packet = Vec::new();
        put_number(&mut packet, kind);
        put(&mut packet);
        self.stream.write_all(&framed(&packet)).await
    }

    /// The content of the next packet, its kind included.
    async fn packet(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some((length, rest)) = number(&self.heard)? {
                let length = usize::try_from(length).ok().filter(|length| (1..=PACKET_MAX).contains(length));
                let length = length.ok_or(io::ErrorKind::InvalidData)?;
                if let Some(packet) = rest.get(..length).map(<[u8]>::to_vec) {
                    let taken = self.heard.len() - rest.len() + length;
                    self.heard.drain(..taken);
                    return Ok(packet);
                }
            }
            if self.stream.read_buf(&mut self.heard).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

fn put_json(packet: &mut Vec<u8>, json: &serde_json::Value) {
    put_text(packet, json.to_string().as_bytes());
}

impl From<Overlong> for io::Error {
    fn from(_overlong: Overlong) -> Self {
        io::ErrorKind::InvalidData.into()
    }
}
