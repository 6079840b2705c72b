//! A proxy as a process of its own, as operators run it.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::admin::{self, Metrics};
use super::{eventually, free_address, patience};

/// `portti run` on a config file of its own. Killed when dropped, if it still runs.
pub(crate) struct Process {
    folder: Arc<TempDir>,
    child: Child,
    lines: Arc<Mutex<Vec<Value>>>,
    /// Where the listener `game` is.
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// The binary with these arguments and a clean environment.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portti"));
    command.args(arguments).env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// What a command that ends by itself says. One that does not is killed when patience ends.
pub(crate) fn run(arguments: &[&str]) -> Output {
    let child = command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (pid, (ended, end)) = (Pid::from_child(&child), mpsc::channel::<()>());
    std::thread::spawn(move || {
        if end.recv_timeout(patience()) == Err(RecvTimeoutError::Timeout) {
            let _just_ended = kill_process(pid, Signal::KILL);
        }
    });
    let output = child.wait_with_output().unwrap();
    drop(ended);
    output
}

impl Process {
    /// Starts with this config and a listener `game`, and waits until it is up.
    pub(crate) async fn with(snippet: &str) -> Self {
        let process = Self::start(snippet, "");
        process.is_up().await;
        process
    }

    /// The same with a listening socket of the test's, as a service manager would give it (sd_listen_fds(3)).
    pub(crate) async fn inheriting(snippet: &str, socket: &std::net::TcpListener) -> Self {
        // It is to be descriptor 3, and the process has to be told its own number, which only a shell knows before it becomes it.
        let script = r#"exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@""#;
        let mut shell = Command::new("sh");
        shell.args(["-c", script, env!("CARGO_BIN_EXE_portti")]).env_remove("RUST_LOG");
        shell.stdin(OwnedFd::from(socket.try_clone().unwrap()));
        let process = Self::configured(snippet, "", socket.local_addr().unwrap(), shell);
        process.is_up().await;
        process
    }

    /// The same, with further keys of the listener.
    pub(crate) async fn with_listener(snippet: &str, keys: &str) -> Self {
        let process = Self::start(snippet, keys);
        process.is_up().await;
        process
    }

    /// Starts with this config, and waits for nothing.
    pub(crate) fn start(snippet: &str, keys: &str) -> Self {
        Self::configured(snippet, keys, free_address(), command(&[]))
    }

    fn configured(snippet: &str, keys: &str, address: SocketAddr, command: Command) -> Self {
        let admin = free_address();
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let text = complete(snippet, address, admin).replace("[listeners.game]", &format!("[listeners.game]\n{keys}"));
        std::fs::write(folder.path().join("portti.toml"), text).unwrap();
        Self::launch(folder, (address, admin), command)
    }

    /// Starts another one with the same file, and waits for nothing.
    pub(crate) fn beside(&self) -> Self {
        Self::launch(Arc::clone(&self.folder), (self.address, self.admin), command(&[]))
    }

    /// Starts one whose config file is a named pipe.
    pub(crate) fn with_pipe() -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let pipe = folder.path().join("portti.toml");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        Self::launch(folder, (free_address(), free_address()), command(&[]))
    }

    /// Waits until it reads the named pipe that its config file is. What is written there it reads, up to the end of the writer.
    pub(crate) async fn reads(&self) -> File {
        let mut writer = None;
        eventually("a reader of the config", async || {
            // Without a reader, it cannot be opened.
            writer = File::options().write(true).custom_flags(libc::O_NONBLOCK).open(self.file()).ok();
            writer.is_some()
        })
        .await;
        writer.expect("just opened")
    }

    /// The whole text of a config file, with what every test needs.
    pub(crate) fn complete(&self, snippet: &str) -> String {
        complete(snippet, self.address, self.admin)
    }

    fn launch(folder: Arc<TempDir>, (address, admin): (SocketAddr, SocketAddr), mut command: Command) -> Self {
        let path = folder.path().join("portti.toml");
        command.args(["run", "--config", path.to_str().unwrap()]).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = read_lines(&mut child);
        Self { folder, child, lines, address, admin }
    }

    /// Waits until it is up.
    pub(crate) async fn is_up(&self) {
        self.line("that it is up", |line| line["message"] == "portti is up").await;
    }

    /// The config file.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("portti.toml")
    }

    /// Writes the config file anew.
    pub(crate) fn write(&self, snippet: &str) {
        let text = complete(snippet, self.address, self.admin);
        std::fs::write(self.file(), text).unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits for it to end by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the end of the process", async || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.expect("just seen")
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// The first log line that fits, waited for.
    pub(crate) async fn line(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let mut found = None;
        eventually(&format!("a log line that says {what}"), async || {
            found = self.lines.lock().unwrap().iter().find(|line| fits(line)).cloned();
            found.is_some()
        })
        .await;
        found.expect("just seen")
    }

    /// The access log so far.
    pub(crate) fn access_log(&self) -> Vec<Value> {
        self.lines.lock().unwrap().iter().filter(|line| line["target"] == "access").cloned().collect()
    }

    pub(crate) async fn metrics(&self) -> Metrics {
        Metrics::parse(&admin::get(self.admin, "/metrics").await.body)
    }

    /// Open descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        self.entries("fd")
    }

    pub(crate) fn threads(&self) -> usize {
        self.entries("task")
    }

    fn entries(&self, of: &str) -> usize {
        std::fs::read_dir(format!("/proc/{}/{of}", self.child.id())).unwrap().count()
    }

    /// Memory in use, in KiB.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Collects the log, which must be JSON, one object a line.
fn read_lines(child: &mut Child) -> Arc<Mutex<Vec<Value>>> {
    let lines: Arc<Mutex<Vec<Value>>> = Arc::default();
    let (collected, stderr) = (Arc::clone(&lines), BufReader::new(child.stderr.take().expect("piped")));
    std::thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            let value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("log line: {error}: {line}"));
            collected.lock().unwrap().push(value);
        }
    });
    lines
}

fn complete(snippet: &str, address: SocketAddr, admin: SocketAddr) -> String {
    let listener = format!("[listeners.game]\nbind = \"{address}\"\npool = \"game\"\n");
    super::proxy::complete(&format!("{snippet}\n{listener}\n[admin]\nbind = \"{admin}\"\n"))
}
