//! What must be possible, and what must not.

use serde_json::Value;

use crate::browser::Driver;
use crate::open;
use crate::support::proxy::{complete, pool};
use crate::support::{Backend, Proxy, eventually};

pub(crate) async fn a_backend_is_drained_and_put_back_by_its_buttons(driver: &Driver) {
    let (one, other) = (Backend::echo(), Backend::echo());
    let proxy = Proxy::before(&[&one, &other]);
    let page = open(driver, &proxy).await;
    let mut player = proxy.connect().await;
    player.echo(b"hello").await;
    let his = if one.accepted() == 1 { one.address } else { other.address };
    let (address, row) = (his.to_string(), "#pool-list tbody tr");
    page.shows("#n-sessions", "1 of").await;

    page.press(row, &address, "Drain").await;
    page.shows("#ask", "Its 1 session plays on.").await;
    page.picture("ask").await;
    page.press("#ask", "", "Cancel").await;
    assert_eq!(proxy.backend(his).await["admin"], "ready", "nothing is done before it is confirmed");
    page.press(row, &address, "Drain").await;
    page.press("#ask", "", "Drain").await;
    page.shows("#notice", &format!("{address} drains: 1 session left")).await;
    page.shows("#pool-list", "draining").await;
    page.shows("#pool-list", "drain by hand").await;
    let status = proxy.backend(his).await;
    assert_eq!((&status["admin"], &status["admin_by"]), (&"drain".into(), &"hand".into()));
    page.picture("draining").await;

    player.echo(b"he plays on").await;
    drop(player);
    page.shows("#pool-list", "drained, empty").await;
    page.press(row, &address, "Put back").await;
    page.shows("#verdict", "All is well").await;
    assert_eq!(proxy.backend(his).await["admin"], "ready");

    page.press(row, &address, "Weight").await;
    page.fill("#ask input[type=number]", "7").await;
    page.press("#ask", "", "Set").await;
    page.shows("#pool-list", "weight 7 by hand").await;
    page.press("#listeners tr", "game", "Maintenance").await;
    page.press("#ask", "", "Maintenance").await;
    page.shows("#problems", "in maintenance by hand").await;
    page.press("#listeners tr", "game", "As in the file").await;
    page.shows("#verdict", "All is well").await;
    page.close().await;
}

pub(crate) async fn a_session_is_found_and_closed(driver: &Driver) {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    let page = open(driver, &proxy).await;
    let (mut stays, mut goes) = (proxy.connect_from([127, 0, 0, 41]).await, proxy.connect_from([127, 0, 0, 42]).await);
    stays.echo(b"hello").await;
    goes.echo(b"a longer hello").await;
    let address = goes.0.local_addr().unwrap().to_string();

    page.press("#session-form", "", "Show").await;
    page.shows("#s-sum", "1 to 2 of 2 sessions").await;
    page.fill("#s-client", "127.0.0.42").await;
    page.press("#session-form", "", "Show").await;
    page.shows("#s-sum", "1 to 1 of 1 session,").await;
    page.shows("#session-rows", &address).await;
    page.shows("#session-rows", "14 B").await;
    page.fill("#s-client", "nonsense").await;
    page.press("#session-form", "", "Show").await;
    page.shows("#s-error", "nonsense").await;
    page.picture("sessions").await;

    page.press("#session-rows tr", &address, "Close").await;
    page.shows("#ask", &format!("Close the session of {address}?")).await;
    page.press("#ask", "", "Close it").await;
    page.shows("#notice", "is closed").await;
    goes.ending().await;
    stays.echo(b"he plays on").await;
    proxy.expect_ended("killed", 1).await;
    let complaints = page.complaints().await;
    assert!(complaints.iter().all(|complaint| complaint.contains("400")), "{complaints:?}");
    page.close().await;
}

pub(crate) async fn an_address_is_banned_by_the_form_and_let_in_again(driver: &Driver) {
    const CHEAT: [u8; 4] = [127, 0, 0, 66];
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    let page = open(driver, &proxy).await;
    page.shows("#b-sum", "Nobody is banned").await;
    let mut cheat = proxy.connect_from(CHEAT).await;
    cheat.echo(b"hello").await;

    page.fill("#b-network", "127.0.0.66").await;
    page.fill("#b-why", "<b>aimbot</b>").await;
    page.press("#ban-form", "", "Ban").await;
    page.shows("#ask", "It has 1 live session, closed at once.").await;
    page.press("#ask", "", "Ban").await;
    page.shows("#notice", "1 session closed").await;
    page.shows("#ban-rows", "<b>aimbot</b>").await;
    cheat.ending().await;
    proxy.connect_from(CHEAT).await.ending().await;
    proxy.expect_ended("denied", 1).await;
    page.picture("banned").await;

    page.press("#ban-rows tr", "127.0.0.66", "Lift").await;
    page.shows("#b-sum", "Nobody is banned").await;
    proxy.connect_from(CHEAT).await.echo(b"hello again").await;
    page.close().await;
}

pub(crate) async fn the_keyboard_is_enough(driver: &Driver) {
    const ENTER: &str = "\u{e007}";
    const ESCAPE: &str = "\u{e00c}";
    const TAB: &str = "\u{e004}";
    let (one, other) = (Backend::echo(), Backend::echo());
    let proxy = Proxy::before(&[&one, &other]);
    let page = open(driver, &proxy).await;
    page.shows("#pool-list", &other.address.to_string()).await;
    let focus = async || {
        let words = page
            .js("const at = document.activeElement; return at === document.body ? '' : at.innerText || at.id")
            .await;
        words.as_str().unwrap().to_owned()
    };
    let mut passed = Vec::new();
    while passed.last().is_none_or(|at| at != "Drain") {
        page.keys(TAB).await;
        passed.push(focus().await);
        assert!(passed.len() < 30, "{passed:?}");
    }
    let outline = "return getComputedStyle(document.activeElement).outlineStyle";
    assert_eq!(page.js(outline).await, "solid", "the focus can be seen");

    page.keys(ENTER).await;
    assert_eq!(focus().await, "Cancel", "a hasty Enter does no harm");
    let mut passed = Vec::new();
    for _ in 0..8 {
        page.keys(TAB).await;
        passed.push(focus().await);
    }
    // Beyond the last button comes the browser's own, and of the page nothing.
    assert!(passed.iter().all(|at| ["Drain", "Cancel", ""].contains(&&**at)), "{passed:?}");
    assert!(passed.iter().any(|at| at == "Cancel"), "{passed:?}");
    page.keys(ESCAPE).await;
    assert_eq!((focus().await, proxy.backend(one.address).await["admin"].clone()), ("Drain".into(), "ready".into()));
    page.keys(ENTER).await;
    page.keys(TAB).await;
    page.keys(ENTER).await;
    page.shows("#pool-list", "drained, empty").await;
    assert_eq!(focus().await, "Put back");
    page.keys(ENTER).await;
    page.shows("#verdict", "All is well").await;
    eventually("the focus in the row", async || focus().await == "Drain").await;
    page.close().await;
}

pub(crate) async fn an_edit_is_previewed_and_not_applied(driver: &Driver) {
    let (stays, goes) = (Backend::echo(), Backend::echo());
    let proxy = Proxy::before(&[&stays, &goes]);
    let page = open(driver, &proxy).await;
    // One on each.
    let (mut one, mut other) = (proxy.connect().await, proxy.connect().await);
    one.echo(b"hello").await;
    other.echo(b"hello").await;
    let preview = async |text: &str| {
        page.js("document.querySelector('#config details').open = true").await;
        page.fill("#preview-text", text).await;
        page.press("#preview", "", "What would it do?").await;
    };
    preview(&complete(&pool(&[&stays], ""))).await;
    page.shows("#preview-result", "1 live session would be touched.").await;
    page.shows("#preview-result", &format!("backend drained: game {}", goes.address)).await;
    page.picture("preview").await;
    preview(&complete(&pool(&[&stays, &goes], ""))).await;
    page.shows("#preview-result", "No live session would be touched.").await;
    preview("blance = 1").await;
    page.shows("#preview-result", "unknown key \"blance\"").await;
    assert_eq!(proxy.status().await["config"]["generation"], 1);
    let complaints = page.complaints().await;
    assert!(complaints.iter().all(|complaint| complaint.contains("422")), "{complaints:?}");
    page.close().await;
}

pub(crate) async fn the_token_is_asked_for_and_kept(driver: &Driver) {
    const TOKEN: &str = "correct-horse-battery-staple";
    let (backend, folder) = (Backend::echo(), tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("admin.token"), TOKEN).unwrap();
    let admin = "[admin]\nbind = \"127.0.0.1:0\"\ntoken_file = \"admin.token\"\n";
    let proxy = Proxy::in_folder(folder, &format!("{admin}{}", pool(&[&backend], ""))).unwrap();
    let page = driver.open(&format!("http://{}/", proxy.admin())).await;
    page.shows("#token-dialog", "wants its token").await;
    assert_eq!(page.text("#pool-list").await, "", "nothing is told before");
    page.fill("#token", "wrong-horse-battery-staple\n").await;
    page.shows("#token-error", "not taken").await;
    page.picture("token").await;
    page.fill("#token", &format!("{TOKEN}\n")).await;
    page.shows("#pool-list", &backend.address.to_string()).await;

    page.client.refresh().await.unwrap();
    page.shows("#pool-list", &backend.address.to_string()).await;
    assert_eq!(page.js("return document.querySelector('dialog[open]')").await, Value::Null);
    let complaints = page.complaints().await;
    assert!(complaints.iter().all(|complaint| complaint.contains("401")), "{complaints:?}");
    page.close().await;
}

pub(crate) async fn nothing_is_loaded_from_elsewhere_and_nothing_inline_runs(driver: &Driver) {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    let answer = proxy.get("/").await;
    assert_eq!((answer.status, &*answer.headers["cache-control"]), (200, "no-store"));
    assert_eq!(&*answer.headers["x-content-type-options"], "nosniff");
    assert_eq!(&*answer.headers["referrer-policy"], "no-referrer");
    assert!(answer.headers["content-security-policy"].starts_with("default-src 'none'; "));

    let page = open(driver, &proxy).await;
    page.shows("#pool-list", &backend.address.to_string()).await;
    assert_eq!(page.complaints().await, Vec::<String>::new());
    let (own, inline) = (format!("http://{}/", proxy.admin()), "data:image/svg+xml,");
    let requests = page.requests().await;
    assert!(!requests.is_empty());
    for asked in requests {
        assert!(asked.starts_with(&own) || asked.starts_with(inline), "{asked}");
    }

    // What a hole would be used for is stopped by the policy.
    let breaches = [
        "document.body.innerHTML = '<b>text</b>'",
        "const made = document.createElement('script'); made.textContent = 'window.ran = 1'; document.body.append(made)",
        "document.body.setAttribute('onclick', 'window.ran = 1'); document.body.click()",
        "return fetch('http://127.0.0.2:1/')",
    ];
    for breach in breaches {
        let tried = page.client.execute(&format!("window.ran = 0; {breach}"), vec![]).await;
        let complaints = page.complaints().await.concat();
        assert!(tried.is_err() || complaints.contains("Content Security Policy"), "{breach}: {complaints}");
        assert_eq!(page.js("return window.ran").await, 0, "{breach}");
    }
    page.close().await;
}
