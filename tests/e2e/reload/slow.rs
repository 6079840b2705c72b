//! A config file that takes its time to be read: a named pipe, which hands out nothing until somebody writes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{spawn, spawn_blocking};

use crate::support::proxy::{complete, pool};
use crate::support::{Backend, Process, Proxy, always_for, eventually, soon};

/// Puts a named pipe in the place of a file.
fn replace_by_pipe(file: &Path) {
    let pipe = file.with_extension("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::fs::rename(pipe, file).unwrap();
}

/// Waits for a reader of the pipe, and gives it this.
async fn write(pipe: PathBuf, text: String) {
    soon("a reader", spawn_blocking(move || std::fs::write(pipe, text))).await.unwrap().unwrap();
}

async fn generation(proxy: &Proxy) -> u64 {
    proxy.status().await["config"]["generation"].as_u64().unwrap()
}

#[tokio::test]
async fn nothing_waits_for_a_file_that_is_slow_to_read_and_later_requests_read_it_anew() {
    let (old, new) = (Backend::echo(), Backend::echo());
    let proxy = Arc::new(Proxy::before(&[&old]));
    let file = proxy.folder().join("portti.toml");
    replace_by_pipe(&file);
    let reload = |proxy: &Arc<Proxy>| {
        let proxy = Arc::clone(proxy);
        spawn(async move { proxy.reload().await })
    };
    let first = reload(&proxy);
    always_for(Duration::from_millis(500), "answers", async || proxy.get("/readyz").await.status == 200).await;
    let second = reload(&proxy);
    proxy.connect().await.echo(b"hello").await;
    assert_eq!(generation(&proxy).await, 1);

    write(file.clone(), complete(&pool(&[&old], "retries = 0"))).await;
    eventually("the first reload", async || generation(&proxy).await == 2).await;
    // Whether the edit was noticed before the first request or not, the second one was made while the file was read.
    assert!(!second.is_finished());
    write(file.clone(), complete(&pool(&[&new], ""))).await;
    soon("both reloads", async { first.await.unwrap().and(second.await.unwrap()) }).await.unwrap();
    assert_eq!(generation(&proxy).await, 3);
    proxy.connect().await.echo(b"hello").await;
    assert_eq!((old.accepted(), new.accepted()), (1, 1));
}

#[tokio::test]
async fn a_file_that_cannot_be_read_through_does_not_keep_the_process() {
    let backend = Backend::echo();
    let mut process = Process::with(&pool(&[&backend], "")).await;
    replace_by_pipe(&process.file());
    process.signal(rustix::process::Signal::HUP);
    always_for(Duration::from_millis(300), "runs", async || process.is_running()).await;
    process.signal(rustix::process::Signal::TERM);
    assert_eq!(process.ended().await.code(), Some(0));
}
