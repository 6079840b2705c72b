//! After the story: what to try, and an eye on what comes of it.

use std::cell::Cell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::spawn_local;
use tokio::time::sleep;

use super::failure::Failure;
use super::player::Player;
use super::stage::Stage;
use super::status::Status;
use super::teller::Teller;

/// How often a player drops in. The slowest answer takes 3 s, so there are never many at once.
const VISIT_EVERY: Duration = Duration::from_secs(2);
/// How often the status is looked at: a change is told while whoever made it still looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Looks in vain until the proxy counts as gone.
const PATIENCE: u32 = 3;

/// What to try from another terminal.
pub(super) fn invitation(stage: &Stage) -> String {
    let Stage { gate, admin, folder, .. } = stage;
    let (file, pid) = (folder.file(), std::process::id());
    let tries = [
        (format!("nc {} {}", gate.ip(), gate.port()), "plays: type a line, and see which server answers"),
        (format!("curl -s {admin}/api/v1/status"), "shows what runs, and how it does"),
        (format!("curl -s {admin}/health/deep"), "shows whether all is well, and what is not"),
        (format!("curl -s {admin}/metrics"), "shows counts and times, for Prometheus"),
        (format!("kill -HUP {pid}"), "reads the file again"),
        (format!("kill -TERM {pid}"), "drains and ends; Ctrl-C here does the same"),
    ];
    let tries: String = tries.iter().map(|(command, purpose)| format!("    {command:<40} {purpose}\n")).collect();
    let file = file.display();
    format!(
        "
5. Your turn, from another terminal:

{tries}
   Or edit the file, and watch here: it takes effect within a second. A mistake is explained, and changes nothing.

    {file}

   A player drops in now and then. From here on, only changes are told."
    )
}

/// Sends a player now and then, and tells what changes. Ends only when something fails.
pub(super) async fn watch(stage: &Stage, teller: &Rc<Teller>) -> Result<Infallible, Failure> {
    tokio::select! {
        never = visits(stage.gate, teller) => match never {},
        failed = changes(stage.admin, teller) => failed,
    }
}

async fn visits(gate: SocketAddr, teller: &Rc<Teller>) -> Infallible {
    let welcome = Rc::new(Cell::new(true));
    loop {
        spawn_local(visit(gate, Rc::clone(&welcome), Rc::clone(teller)));
        sleep(VISIT_EVERY).await;
    }
}

/// One player comes, talks and goes. `welcome` is how it went for the one before: only a change is told.
async fn visit(gate: SocketAddr, welcome: Rc<Cell<bool>>, teller: Rc<Teller>) {
    let served = async { Player::join("a player".to_owned(), gate).await?.talk().await };
    let outcome = served.await;
    let was_welcome = welcome.replace(outcome.is_ok());
    match outcome {
        Ok(answer) if !was_welcome => {
            teller.event("players", format_args!("are served again, by {}", answer.served_by));
        }
        Err(failure) if was_welcome => teller.event("players", format_args!("are turned away: {failure}")),
        Ok(_) | Err(_) => {}
    }
}

async fn changes(admin: SocketAddr, teller: &Teller) -> Result<Infallible, Failure> {
    let mut before = Status::read(admin).await?;
    let mut in_vain = 0;
    loop {
        sleep(LOOK_EVERY).await;
        match Status::read(admin).await {
            Ok(now) => {
                for (who, what) in differences(&before, &now) {
                    teller.event(who, what);
                }
                (before, in_vain) = (now, 0);
            }
            Err(failure) if in_vain == PATIENCE => return Err(failure),
            Err(_) => in_vain += 1,
        }
    }
}

/// What a person should hear of, between two looks at the status.
fn differences(before: &Status, now: &Status) -> Vec<(&'static str, String)> {
    let mut told = Vec::new();
    if now.generation > before.generation {
        told.push(("file", format!("applied: generation {} of the config", now.generation)));
    }
    if now.last_reload_at != before.last_reload_at {
        if let Some(error) = &now.last_reload_error {
            told.push(("file", format!("not applied, and what runs goes on unchanged:\n{error}")));
        }
        if !now.needs_restart.is_empty() {
            told.push(("file", format!("takes effect only after a restart: {}", now.needs_restart.join(", "))));
        }
    }
    for backend in &now.backends {
        let address = &backend.address;
        match before.backend(address) {
            None => told.push(("server", format!("{address} is now a backend"))),
            Some(earlier) if earlier.circuit != backend.circuit => {
                let (from, to) = (spell(&earlier.circuit), spell(&backend.circuit));
                told.push(("circuit", format!("of {address} was {from}, and is {to}")));
            }
            Some(_) => {}
        }
    }
    for earlier in before.backends.iter().filter(|earlier| now.backend(&earlier.address).is_none()) {
        told.push(("server", format!("{} is no backend any more", earlier.address)));
    }
    told
}

/// A circuit's state as a person would write it.
fn spell(circuit: &str) -> String {
    circuit.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::super::status::Backend;
    use super::*;

    fn status(generation: u64, error: Option<&str>, backends: &[(&str, &str)]) -> Status {
        let backend = |&(address, circuit): &(&str, &str)| Backend {
            address: address.to_owned(),
            circuit: circuit.to_owned(),
            ..Backend::default()
        };
        Status {
            generation,
            last_reload_at: format!("{generation}{error:?}"),
            last_reload_error: error.map(str::to_owned),
            backends: backends.iter().map(backend).collect(),
            ..Status::default()
        }
    }

    #[test]
    fn only_changes_are_told() {
        let before = status(1, None, &[("a", "closed"), ("b", "closed")]);
        assert!(differences(&before, &before).is_empty());
        let after = status(2, None, &[("a", "half_open"), ("c", "closed")]);
        let told: Vec<_> =
            differences(&before, &after).into_iter().map(|(who, what)| format!("{who} {what}")).collect();
        assert_eq!(
            told,
            [
                "file applied: generation 2 of the config",
                "circuit of a was closed, and is half open",
                "server c is now a backend",
                "server b is no backend any more",
            ]
        );
    }

    #[test]
    fn a_refused_file_is_told_once_with_its_reason() {
        let (before, after) = (status(1, None, &[]), status(1, Some("why"), &[]));
        let told = [("file", "not applied, and what runs goes on unchanged:\nwhy".to_owned())];
        assert_eq!(differences(&before, &after), told);
        assert!(differences(&after, &after).is_empty());
    }
}
