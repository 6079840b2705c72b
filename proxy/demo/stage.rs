//! Everything that the story needs to run: the file, the game servers, the proxy.

use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::failure::Failure;
use super::folder::{EXAMPLE, Folder};
use super::game::GameServer;
use super::places::{self, Move};
use super::status::POOL;
use super::teller::{Teller, spell};
use crate::app::{self, Running, Start, StartError};
use crate::config;
use crate::config::model::Config;
use crate::signal::Signals;
use crate::telemetry;

/// How long the slow game server thinks.
const SLOW: Duration = Duration::from_secs(3);

/// How often the proxy is started at other addresses, if others take them from under it.
const TRIES: u32 = 3;

/// What runs, and where.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) folder: Folder,
    pub(super) running: Running,
    /// Where players connect.
    pub(super) gate: SocketAddr,
    /// Where the admin server answers.
    pub(super) admin: SocketAddr,
}

impl Stage {
    /// Starts everything. Comes with the game server that is down.
    pub(super) fn set(teller: &Teller) -> Result<(Self, GameServer), Failure> {
        let folder = Folder::new()?;
        let config = config::check(&folder.file(), EXAMPLE.as_bytes()).map_err(Failure::new)?.config;
        let (servers, of_servers) = game_servers(&config)?;
        let [echo, slow, down] = servers;
        for (server, manner) in [(echo, "at once".to_owned()), (slow, format!("after {}", spell(SLOW)))] {
            let address = server.address;
            server.start().map_err(|error| cannot_listen(address, &error))?;
            teller.event("server", format_args!("{address} is up, and answers {manner}"));
        }
        teller.event("server", format_args!("{} is down: whoever connects is refused", down.address));

        let (running, of_listeners) = start(&folder, &config, &of_servers)?;
        let gate =
            running.address(POOL).map(reachable).ok_or_else(|| Failure::new("the example has no listener game"))?;
        let admin = running.admin.map(reachable).ok_or_else(|| Failure::new("the example has no admin address"))?;
        teller.event("file", format_args!("{} is a copy of config.example.toml", folder.file().display()));
        for (taken, free) in of_servers.iter().chain(&of_listeners) {
            teller.event("file", format_args!("but for {taken}, which is taken here: it has {free} instead"));
        }
        teller.event("portti", format_args!("listens on {gate} for players of all three"));
        Ok((Self { folder, running, gate, admin }, down))
    }
}

/// Starts the proxy, and says which addresses it has instead of those of the example that are taken.
fn start(folder: &Folder, example: &Config, of_servers: &[Move]) -> Result<(Running, Vec<Move>), Failure> {
    let mut tries = 1..=TRIES;
    loop {
        let moves = places::find(example)?;
        let text = places::moved(EXAMPLE, &[of_servers, &moves].concat());
        folder.write(&text)?;
        let path = folder.file();
        let config = config::check(&path, text.as_bytes()).map_err(Failure::new)?.config;
        let (content, telemetry) = (text.into_bytes(), telemetry::start_feed());
        match app::start(Start { path, content, config, telemetry, signals: Some(Signals::new()?) }) {
            Ok(running) => return Ok((running, moves)),
            // Somebody has taken an address since it was found to be free.
            Err(StartError::Bind(_)) if tries.next().is_some() => {}
            Err(error) => return Err(Failure::new(error)),
        }
    }
}

/// One for each backend of the story's pool, none of them up: the one that answers at once, the slow one, and the one
/// that is to stay down. And where they are instead of where the example has them.
fn game_servers(config: &Config) -> Result<([GameServer; 3], Vec<Move>), Failure> {
    let pool = config.pools.iter().find(|pool| pool.name.as_str() == POOL);
    let addresses: Vec<SocketAddr> = pool
        .iter()
        .flat_map(|pool| &pool.backends)
        .filter_map(|backend| backend.address.to_string().parse().ok())
        .collect();
    let [echo, slow, down] = addresses[..] else {
        return Err(Failure::new("the example's pool game has not three backends"));
    };
    let take = |address, answers_after| {
        let taken = places::take(address, |address| GameServer::new(address, answers_after));
        taken.map_err(|error| cannot_listen(address, &error))
    };
    let servers = [take(echo, Duration::ZERO)?, take(slow, SLOW)?, take(down, Duration::ZERO)?];
    let moves = [echo, slow, down].into_iter().zip(servers.iter().map(|server| server.address));
    let moves = moves.filter(|(address, taken)| address != taken).collect();
    Ok((servers, moves))
}

fn cannot_listen(address: SocketAddr, error: &dyn Display) -> Failure {
    Failure::new(format_args!("a game server can listen neither on {address} nor elsewhere: {error}"))
}

/// A client on this machine cannot connect to "every address", but to its own.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_has_what_the_story_needs() {
        let config = config::parse(EXAMPLE).unwrap().config;
        assert!(config.admin.bind.is_some());
        assert!(config.listeners.iter().any(|listener| listener.name.as_str() == POOL));
        let pool = config.pools.iter().find(|pool| pool.name.as_str() == POOL).unwrap();
        assert_eq!(pool.backends.len(), 3);
        assert!(pool.backends.iter().all(|backend| backend.address.to_string().parse::<SocketAddr>().is_ok()));
        assert!(pool.retries > 0);
    }

    #[test]
    fn every_address_is_reached_on_this_machine() {
        assert_eq!(reachable("0.0.0.0:1".parse().unwrap()), "127.0.0.1:1".parse().unwrap());
        assert_eq!(reachable("127.0.0.2:1".parse().unwrap()), "127.0.0.2:1".parse().unwrap());
    }
}
