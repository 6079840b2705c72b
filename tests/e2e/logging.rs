//! Lines of the log that cannot be written.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::process::command;
use crate::support::proxy::{complete, pool};
use crate::support::{Backend, Metrics, Peer, admin, eventually, free_address, soon};

/// `portti run` with this standard error. Killed when dropped.
struct Logging {
    _folder: tempfile::TempDir,
    child: Child,
    address: std::net::SocketAddr,
    admin: std::net::SocketAddr,
}

impl Logging {
    async fn to(stderr: Stdio, backend: &Backend) -> Self {
        let (address, admin) = (free_address(), free_address());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("portti.toml");
        let text = format!(
            "{}[listeners.game]\nbind = \"{address}\"\npool = \"game\"\n[admin]\nbind = \"{admin}\"\n",
            pool(&[backend], "")
        );
        std::fs::write(&path, complete(&text)).unwrap();
        let child = command(&["run", "--config", path.to_str().unwrap()]).stderr(stderr).spawn().unwrap();
        eventually("the process to be up", async || {
            tokio::net::TcpStream::connect(admin).await.is_ok() && admin::get(admin, "/startupz").await.status == 200
        })
        .await;
        Self { _folder: folder, child, address, admin }
    }

    /// Sessions that leave a line each.
    async fn sessions(&self, count: usize) {
        for _ in 0..count {
            Peer::connect(self.address).await.echo(b"hello").await;
        }
    }

    async fn dropped(&self) -> f64 {
        let metrics = Metrics::parse(&admin::get(self.admin, "/metrics").await.body);
        metrics.sum("portti_log_lines_dropped_total", &[])
    }

    async fn expect_dropped(&self, at_least: f64) {
        eventually("lines that are counted as lost", async || self.dropped().await >= at_least).await;
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

#[tokio::test]
async fn lines_for_a_full_disk_are_counted() {
    let backend = Backend::echo();
    let process = Logging::to(File::options().write(true).open("/dev/full").unwrap().into(), &backend).await;
    process.sessions(5).await;
    process.expect_dropped(5.0).await;
}

/// A named pipe has a reader or has none; so has the log.
#[tokio::test]
async fn lines_without_a_reader_are_counted_and_told_of_once_there_is_one() {
    let backend = Backend::echo();
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("log");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = open(&pipe);
    let writer = File::options().write(true).open(&pipe).unwrap();
    let process = Logging::to(writer.into(), &backend).await;
    drop(reader);
    process.sessions(5).await;
    process.expect_dropped(5.0).await;

    let (said, lines) = std::sync::mpsc::channel::<Value>();
    let reader = open(&pipe);
    std::thread::spawn(move || {
        for line in BufReader::new(reader).lines().map_while(Result::ok) {
            let _test_over = said.send(serde_json::from_str(&line).expect("each line is whole"));
        }
    });
    process.sessions(1).await;
    let told = soon("that lines were lost", async {
        loop {
            match lines.try_recv() {
                Ok(line) if line["dropped"].is_number() => return line["dropped"].as_f64().unwrap(),
                Ok(_) => {}
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            }
        }
    })
    .await;
    assert_eq!(told, process.dropped().await);
}

/// Opens the end of a named pipe that reads, whether another one is open or not.
fn open(pipe: &Path) -> File {
    use std::os::unix::fs::OpenOptionsExt as _;
    let nonblocking = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(pipe).unwrap();
    let flags = rustix::io::ioctl_fionbio(&nonblocking, false);
    flags.unwrap();
    nonblocking
}
