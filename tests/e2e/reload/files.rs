//! Every way in which a config file comes to hold something else, noticed without being told.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::support::proxy::{complete, pool};
use crate::support::{Backend, Proxy, always_for, assert_took, eventually};

/// The contract says a second; the rest is for a busy machine.
const SOON: Duration = Duration::from_millis(1_000 + 500);

fn with_limit(backend: &Backend, limit: u32) -> String {
    format!("[server]\nmax_connections = {limit}\n{}", pool(&[backend], ""))
}

/// Waits until the limit holds; an edit takes effect within a second.
async fn expect_limit(proxy: &Proxy, limit: u32) {
    let edited = Instant::now();
    eventually("the edit's effect", async || proxy.status().await["max_connections"] == limit).await;
    assert_took(edited.elapsed(), Duration::ZERO, SOON);
}

#[tokio::test]
async fn written_in_place() {
    let backend = Backend::echo();
    let proxy = Proxy::with(&with_limit(&backend, 10));
    for limit in [20, 30, 40] {
        fs::write(proxy.folder().join("portti.toml"), complete(&with_limit(&backend, limit))).unwrap();
        expect_limit(&proxy, limit).await;
    }
    assert_eq!(proxy.metric("portti_config_reloads_total", &[("result", "error")]).await, 0.0);
}

/// Whoever looks before the writer has finished finds nonsense, and would raise an alarm over nothing.
#[tokio::test]
async fn written_in_many_small_steps() {
    let backend = Backend::echo();
    let proxy = Proxy::with(&with_limit(&backend, 10));
    let mut limit = 10;
    // A machine that is too busy to write steadily proves nothing; then it is done again.
    let mut steady = false;
    while !steady {
        limit += 10;
        let whole = complete(&with_limit(&backend, limit));
        let pause = write_in_steps(&proxy.folder().join("portti.toml"), &whole).await;
        eventually("the edit's effect", async || proxy.status().await["max_connections"] == limit).await;
        steady = pause < Duration::from_millis(100);
        let refused = proxy.metric("portti_config_reloads_total", &[("result", "error")]).await;
        assert!(!steady || refused == 0.0, "read {refused} times before it was whole");
    }
}

/// Writes in twelve steps over a good quarter of a second. The longest pause that there was.
async fn write_in_steps(path: &Path, whole: &str) -> Duration {
    let mut file = fs::File::create(path).unwrap();
    let (mut longest, mut last) = (Duration::ZERO, Instant::now());
    for piece in whole.as_bytes().chunks(whole.len() / 12 + 1) {
        file.write_all(piece).unwrap();
        sleep(Duration::from_millis(25)).await;
        longest = longest.max(last.elapsed());
        last = Instant::now();
    }
    longest
}

#[tokio::test]
async fn renamed_into_place() {
    let backend = Backend::echo();
    let proxy = Proxy::with(&with_limit(&backend, 10));
    for limit in [20, 30, 40] {
        proxy.write(&with_limit(&backend, limit));
        expect_limit(&proxy, limit).await;
    }
    assert_eq!(proxy.metric("portti_config_reloads_total", &[("result", "error")]).await, 0.0);
}

/// As a mounted ConfigMap does it: the file is a link into `..data`, which is a link that is swapped.
#[tokio::test]
async fn swapped_by_symlink() {
    let backend = Backend::echo();
    let folder = tempfile::tempdir().unwrap();
    let version = |limit: u32| {
        let name = format!("..{limit}");
        fs::create_dir(folder.path().join(&name)).unwrap();
        let file = folder.path().join(&name).join("portti.toml");
        fs::write(file, complete(&with_limit(&backend, limit))).unwrap();
        name
    };
    let swap = |folder: &Path, to: &str| {
        symlink(to, folder.join("..data_tmp")).unwrap();
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    };
    swap(folder.path(), &version(10));
    symlink("..data/portti.toml", folder.path().join("portti.toml")).unwrap();
    let versions = [(20, version(20)), (30, version(30))];
    let path = folder.path().join("portti.toml");
    let proxy = Proxy::start(folder, path).unwrap();
    for (limit, name) in versions {
        swap(proxy.folder(), &name);
        expect_limit(&proxy, limit).await;
        fs::remove_dir_all(proxy.folder().join(format!("..{}", limit - 10))).unwrap();
    }
}

/// A folder on the way to the file is a link that is swapped.
#[tokio::test]
async fn swapped_by_a_folder_link() {
    let backend = Backend::echo();
    let folder = tempfile::tempdir().unwrap();
    let version = |limit: u32| {
        let name = format!("releases/{limit}/conf");
        fs::create_dir_all(folder.path().join(&name)).unwrap();
        fs::write(folder.path().join(&name).join("portti.toml"), complete(&with_limit(&backend, limit))).unwrap();
    };
    for limit in [10, 20, 30] {
        version(limit);
    }
    let swap = |folder: &Path, limit: u32| {
        symlink(format!("releases/{limit}"), folder.join("new")).unwrap();
        fs::rename(folder.join("new"), folder.join("current")).unwrap();
    };
    swap(folder.path(), 10);
    let path = folder.path().join("current/conf/portti.toml");
    let proxy = Proxy::start(folder, path).unwrap();
    for limit in [20, 30, 10] {
        swap(proxy.folder(), limit);
        expect_limit(&proxy, limit).await;
    }
    // What is written in the folder that it leads to now is noticed as well.
    fs::write(proxy.folder().join("releases/10/conf/portti.toml"), complete(&with_limit(&backend, 40))).unwrap();
    expect_limit(&proxy, 40).await;
}

/// The folder itself is moved away, and another one has its name.
#[tokio::test]
async fn in_a_folder_that_is_replaced() {
    let backend = Backend::echo();
    let folder = tempfile::tempdir().unwrap();
    let write = |folder: &Path, name: &str, limit: u32| {
        fs::create_dir(folder.join(name)).unwrap();
        fs::write(folder.join(name).join("portti.toml"), complete(&with_limit(&backend, limit))).unwrap();
    };
    write(folder.path(), "conf", 10);
    let path = folder.path().join("conf/portti.toml");
    let proxy = Proxy::start(folder, path).unwrap();
    for limit in [20, 30] {
        write(proxy.folder(), "new", limit);
        fs::rename(proxy.folder().join("conf"), proxy.folder().join(format!("old-{limit}"))).unwrap();
        fs::rename(proxy.folder().join("new"), proxy.folder().join("conf")).unwrap();
        expect_limit(&proxy, limit).await;
    }
}

/// The beginning of a file is often a valid file. Whoever writes it has it open until it is whole.
#[tokio::test]
async fn still_being_written() {
    let backend = Backend::echo();
    let config = |limit: u32| format!("{}deny_file = \"deny\"\n", listener_last(&backend, limit));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("deny"), "192.0.2.1\n").unwrap();
    let proxy = Proxy::in_folder(folder, &config(10)).unwrap();
    let whole = complete(&config(20));
    let cut = whole.find("deny_file").unwrap();
    let mut file = fs::File::create(proxy.folder().join("portti.toml")).unwrap();
    file.write_all(&whole.as_bytes()[..cut]).unwrap();
    let unchanged = async || proxy.status().await["config"]["generation"] == 1;
    // The regular look every 5 s finds it, too.
    always_for(Duration::from_secs(6), "half of it was applied", unchanged).await;
    file.write_all(&whole.as_bytes()[cut..]).unwrap();
    drop(file);
    expect_limit(&proxy, 20).await;

    let mut list = fs::File::create(proxy.folder().join("deny")).unwrap();
    list.write_all(b"192.0.2.1\n127.0.0.0/8").unwrap();
    let comes_in = async || proxy.connect().await.try_echo(b"hello").await.unwrap_or(false);
    always_for(Duration::from_secs(2), "half of a line is followed", comes_in).await;
    list.write_all(b"\n").unwrap();
    drop(list);
    eventually("the list's effect", async || !comes_in().await).await;
}

/// An order to reload is one to read what is there.
#[tokio::test]
async fn read_by_order_while_it_is_being_written() {
    let backend = Backend::echo();
    let proxy = Proxy::with(&with_limit(&backend, 10));
    let mut file = fs::File::create(proxy.folder().join("portti.toml")).unwrap();
    file.write_all(complete(&with_limit(&backend, 20)).as_bytes()).unwrap();
    proxy.reload().await.unwrap();
    assert_eq!(proxy.status().await["max_connections"], 20);
    file.write_all(b"# and more").unwrap();
}

/// The sections in an order in which the listener is the last.
fn listener_last(backend: &Backend, limit: u32) -> String {
    format!("{}\n[listeners.game]\nbind = \"127.0.0.1:0\"\npool = \"game\"\n", with_limit(backend, limit))
}

/// A slow writer leaves the file cut off in the middle for a while.
#[tokio::test]
async fn half_written_then_whole() {
    let backend = Backend::echo();
    let proxy = Proxy::with(&with_limit(&backend, 10));
    let mut lives = proxy.connect().await;
    lives.echo(b"before").await;
    let path = proxy.folder().join("portti.toml");
    let whole = complete(&with_limit(&backend, 20));
    // Within a section's header: no TOML at all.
    let cut = whole.find("[pools.ga").unwrap() + 5;
    fs::write(&path, &whole[..cut]).unwrap();
    eventually("the refusal", async || proxy.status().await["config"]["last_reload"]["ok"] == false).await;
    assert_eq!(proxy.status().await["max_connections"], 10);
    lives.echo(b"meanwhile").await;
    proxy.connect().await.echo(b"meanwhile").await;

    fs::write(&path, whole).unwrap();
    expect_limit(&proxy, 20).await;
    assert_eq!(proxy.status().await["config"]["last_reload"]["ok"], true);
    lives.echo(b"after").await;
}

#[tokio::test]
async fn removed_then_written_again() {
    let backend = Backend::echo();
    let proxy = Proxy::with(&with_limit(&backend, 10));
    fs::remove_file(proxy.folder().join("portti.toml")).unwrap();
    eventually("the refusal", async || proxy.status().await["config"]["last_reload"]["ok"] == false).await;
    let error = proxy.status().await["config"]["last_reload"]["error"].clone();
    assert!(error.as_str().unwrap().contains("cannot read"), "{error}");
    proxy.connect().await.echo(b"hello").await;
    proxy.write(&with_limit(&backend, 20));
    expect_limit(&proxy, 20).await;
}

#[tokio::test]
async fn touched_without_a_change_is_no_reload() {
    let backend = Backend::echo();
    let proxy = Proxy::with(&with_limit(&backend, 10));
    fs::write(proxy.folder().join("portti.toml"), complete(&with_limit(&backend, 10))).unwrap();
    fs::write(proxy.folder().join("another-file"), "not a config").unwrap();
    let generation = async || proxy.status().await["config"]["generation"] == 1;
    always_for(Duration::from_millis(800), "it was reloaded", generation).await;
}
