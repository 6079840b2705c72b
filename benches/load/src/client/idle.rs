//! Sessions that do one round trip and then nothing, while somebody measures what they cost.

use std::io::{self, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::time::Duration;

use serde_json::json;

use crate::net;

/// Who has no answer by then gets none.
const PATIENCE: Duration = Duration::from_secs(10);

/// Holds each of `counts` sessions in turn. Prints a line when a count is reached, then waits for a line to go on.
pub(super) fn run(target: SocketAddrV4, counts: &[u32]) -> io::Result<()> {
    let mut held = Vec::new();
    let mut begun = 0;
    for &count in counts {
        while begun < count {
            begun += 1;
            // One after the other: how fast they come is the burst's subject.
            held.extend(round_trip(target, begun, &[b'i'; 64]).ok());
        }
        writeln!(io::stdout(), "{}", json!({ "held": held.len(), "errors": begun as usize - held.len() }))?;
        if io::stdin().read_line(&mut String::new())? == 0 {
            break;
        }
    }
    Ok(())
}

/// Connects and sees `message` come back.
pub(super) fn round_trip(target: SocketAddrV4, number: u32, message: &[u8]) -> io::Result<TcpStream> {
    let mut stream = net::connect(target, number)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(message)?;
    stream.read_exact(&mut vec![0; message.len()])?;
    Ok(stream)
}
