//! Where the demo's listeners are: at the addresses of the example, or at free ones where those are taken.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};

use crate::config::model::Config;

/// An address of the example, and the one that is used instead.
pub(super) type Move = (SocketAddr, SocketAddr);

/// What stands instead of the addresses of the config's listeners and admin server that are taken. Each is free now; nobody holds it
/// until the proxy has it.
pub(super) fn find(config: &Config) -> io::Result<Vec<Move>> {
    let listeners = config.listeners.iter().flat_map(|listener| listener.bind.iter().copied());
    // Held until the last one is known, so that no address comes twice.
    let held = listeners.chain(config.admin.bind).map(|address| {
        let socket = take(address, TcpListener::bind)?;
        Ok((address, socket.local_addr()?, socket))
    });
    let held: Vec<_> = held.collect::<io::Result<_>>()?;
    Ok(held.into_iter().map(|(address, free, _)| (address, free)).filter(|(address, free)| address != free).collect())
}

/// What binds to the address, or to another port there if that one is taken.
pub(super) fn take<T>(address: SocketAddr, bind: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    match bind(address) {
        // Some systems keep ports for themselves.
        Err(error) if matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::PermissionDenied) => {
            bind(SocketAddr::new(address.ip(), 0))
        }
        bound => bound,
    }
}

/// The text of a config with these addresses, wherever it names them.
pub(super) fn moved(text: &str, moves: &[Move]) -> String {
    // First to what stands nowhere else, so that none is moved twice.
    let mark = |index: usize| format!("\"\u{0}{index}\"");
    let marked = moves
        .iter()
        .enumerate()
        .fold(text.to_owned(), |text, (index, (from, _))| text.replace(&format!("\"{from}\""), &mark(index)));
    moves.iter().enumerate().fold(marked, |text, (index, (_, to))| text.replace(&mark(index), &format!("\"{to}\"")))
}

#[cfg(test)]
mod tests {
    use super::super::folder::EXAMPLE;
    use super::*;
    use crate::config;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_taken_address_has_another_port_and_a_free_one_stays() {
        let held = ["127.0.0.1:0", "127.0.0.1:0"].map(|address| TcpListener::bind(address).unwrap());
        let [one, two] = held.each_ref().map(|socket| socket.local_addr().unwrap());
        let text = format!(
            "[admin]\nbind = \"{one}\"\n[listeners.a]\nbind = \"{two}\"\npool = \"a\"\n\
             [pools.a]\nbackends = [\"127.0.0.1:1\"]\n"
        );
        let config = config::parse(&text).unwrap().config;
        let moves = find(&config).unwrap();
        assert_eq!(moves.iter().map(|(from, _)| *from).collect::<Vec<_>>(), [two, one]);
        assert!(moves.iter().all(|(_, to)| ![one, two].contains(to) && to.ip() == one.ip()));
        assert_ne!(moves[0].1, moves[1].1);
        drop(held);
        assert_eq!(find(&config).unwrap(), []);
    }

    #[test]
    fn the_file_has_the_new_addresses_wherever_it_named_the_old_ones() {
        let moves = [
            ("127.0.0.1:25571", "127.0.0.1:25572"),
            ("127.0.0.1:25572", "127.0.0.1:7"),
            ("0.0.0.0:25565", "0.0.0.0:8"),
        ];
        let moves = moves.map(|(from, to)| (address(from), address(to)));
        let text = moved(EXAMPLE, &moves);
        let count = |text: &str, what: &str| text.matches(what).count();
        assert_eq!(count(&text, "\"127.0.0.1:25572\""), count(EXAMPLE, "\"127.0.0.1:25571\""));
        assert_eq!(count(&text, "\"127.0.0.1:7\""), count(EXAMPLE, "\"127.0.0.1:25572\""));
        let config = config::parse(&text).unwrap().config;
        assert_eq!(
            config.listeners.iter().find(|listener| listener.name.as_str() == "game").unwrap().bind,
            [moves[2].1]
        );
        assert_eq!(moved(EXAMPLE, &[]), EXAMPLE);
    }
}
