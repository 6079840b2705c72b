//! What must be seen.

use std::net::SocketAddr;

use crate::browser::Driver;
use crate::open;
use crate::support::proxy::{pool, pool_of};
use crate::support::{Backend, Proxy, eventually, free_address};

const CHECKED: &str = "health = { type = \"tcp\", interval = \"200ms\", fall = 2, rise = 1 }";

pub(crate) async fn a_backend_that_goes_down_is_shown_within_seconds(driver: &Driver) {
    let (well, sick) = (Backend::echo(), Backend::echo());
    let proxy = Proxy::with(&pool(&[&well, &sick], CHECKED));
    let page = open(driver, &proxy).await;
    page.shows("#verdict", "All is well").await;
    page.shows("#pool-list", "2 of 2 take players").await;
    let mut player = proxy.connect().await;
    player.echo(b"hello").await;
    page.shows("#n-sessions", "1 of").await;

    sick.close().await;
    page.shows("#verdict", "Something is wrong").await;
    page.shows("#problems", &format!("1 of 2 backends takes no players: {} down for", sick.address)).await;
    page.shows("tr.is-bad", &sick.address.to_string()).await;
    page.shows("#announce", "1 of 2 backends takes no players").await;
    page.shows("#events", &sick.address.to_string()).await;
    page.shows("tr.is-bad .event", "ago").await;
    page.picture("sick-backend").await;

    sick.open_again();
    page.shows("#verdict", "All is well").await;
    page.close().await;
}

pub(crate) async fn a_failed_reload_is_told_with_its_text(driver: &Driver) {
    let backend = Backend::echo();
    let proxy = Proxy::before(&[&backend]);
    let page = open(driver, &proxy).await;
    // What stands in the file is anybody's text, too.
    let hostile = "\"<img src=x onerror=alert(1)>\" = 1\n";
    proxy.write(&format!("{}{hostile}", pool(&[&backend], "")));
    page.press("#config", "", "Reload the file").await;
    page.shows("#notice", "<img src=x onerror=alert(1)>").await;
    page.shows("#c-error", "<img src=x onerror=alert(1)>").await;
    page.shows("#c-error", "-->").await;
    // The feed is the process's: what other tests' proxies say stands there, too.
    page.shows("#events", "\"<img src=x onerror=alert(1)>\" = 1\n").await;
    page.shows("#problems", "The last reload failed").await;
    assert_eq!(page.js("return document.querySelectorAll('img').length").await, 0);
    page.picture("failed-reload").await;

    page.press("#notice", "", "×").await;
    proxy.write(&pool(&[&backend], "balance = \"round_robin\""));
    page.press("#config", "", "Reload the file").await;
    // The proxy may have noticed the new file by itself, before.
    eventually("an answer", async || {
        let said = page.text("#notice").await;
        said.contains("Applied: generation") || said.contains("what runs already")
    })
    .await;
    page.shows("#c-reload", "applied").await;
    page.shows("#verdict", "All is well").await;
    assert_eq!(page.text("#c-error").await, "");
    // The browser itself says of the refusal that it was one.
    let complaints = page.complaints().await;
    assert!(complaints.iter().all(|complaint| complaint.contains("422")), "{complaints:?}");
    page.close().await;
}

pub(crate) async fn newcomers_and_those_refused_are_told_by_reason(driver: &Driver) {
    let backend = Backend::echo();
    let listener = "[listeners.game]\nbind = \"127.0.0.1:0\"\npool = \"game\"\ndeny = [\"127.0.0.99\"]\n";
    let proxy = Proxy::with(&format!("{}{listener}", pool(&[&backend], "")));
    let page = open(driver, &proxy).await;
    assert_eq!(page.text("#refused").await, "");
    for _ in 0..20 {
        proxy.connect_from([127, 0, 0, 99]).await.ending().await;
    }
    page.shows("#refused", "denied (20 in all)").await;
    page.shows("#problems", "Newcomers are refused").await;
    page.shows("#problems", "most as denied").await;
    let curve = "return document.querySelector('[data-of=refused] path').getAttribute('d')";
    eventually("a curve", async || page.js(curve).await.as_str().unwrap().contains('L')).await;
    page.picture("refused").await;
    page.close().await;
}

/// The worst contrast of a text with what is behind it (WCAG 2, 1.4.3), and that text.
const WORST_CONTRAST: &str = "
    const rgb = color => color.match(/[\\d.]+/g).map(Number);
    const luminance = ([r, g, b]) => [r, g, b].map(c => c / 255)
        .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = node => {
        for (; node; node = node.parentElement) {
            const [r, g, b, a = 1] = rgb(getComputedStyle(node).backgroundColor);
            if (a === 1) return [r, g, b];
        }
        return [255, 255, 255];
    };
    const hasText = node => [...node.childNodes].some(child => child.nodeType === 3 && child.data.trim());
    let worst = [99, ''];
    for (const node of document.querySelectorAll('body *')) {
        if (!hasText(node) || !node.checkVisibility() || node.disabled) continue;
        const [a, b] = [rgb(getComputedStyle(node).color), behind(node)].map(luminance);
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (contrast < worst[0]) worst = [contrast, node.outerHTML.slice(0, 200)];
    }
    return worst";

pub(crate) async fn it_fits_a_phone_and_can_be_read_in_light_and_dark(driver: &Driver) {
    let (well, sick) = (Backend::echo(), Backend::echo());
    let proxy = Proxy::with(&pool(&[&well, &sick], CHECKED));
    let page = open(driver, &proxy).await;
    sick.close().await;
    page.shows("#verdict", "Something is wrong").await;
    let mut backgrounds = Vec::new();
    for scheme in ["light", "dark"] {
        page.prefer(scheme).await;
        for width in [360, 800, 1440] {
            page.resize(width, 900).await;
            let fits = page.js("return document.documentElement.scrollWidth <= innerWidth").await;
            assert_eq!(fits, true, "at a width of {width}");
            page.picture(&format!("{scheme}-{width}")).await;
        }
        let worst = page.js(WORST_CONTRAST).await;
        assert!(worst[0].as_f64().unwrap() >= 4.5, "{scheme}: {worst}");
        backgrounds.push(page.js("return getComputedStyle(document.body).backgroundColor").await);
    }
    assert_ne!(backgrounds[0], backgrounds[1]);
    page.close().await;
}

pub(crate) async fn what_is_old_is_called_old_until_the_proxy_is_back(driver: &Driver) {
    let backend = Backend::echo();
    let config = |admin: SocketAddr| format!("[admin]\nbind = \"{admin}\"\n{}", pool(&[&backend], ""));
    let admin = free_address();
    let proxy = Proxy::with(&config(admin));
    let page = open(driver, &proxy).await;
    drop(proxy);
    page.shows("#stale", "Disconnected since").await;
    page.shows("#stale", "what stands here is old").await;
    page.shows("#link", "disconnected").await;
    page.picture("disconnected").await;

    let _proxy = Proxy::with(&config(admin));
    page.press("#stale", "", "Try now").await;
    page.shows("#link", "live").await;
    eventually("no word of it", async || page.text("#stale").await.is_empty()).await;
    let complaints = page.complaints().await;
    assert!(complaints.iter().all(|complaint| complaint.contains("net::ERR_")), "{complaints:?}");
    page.close().await;
}

/// For how long, in ms, the page did nothing else than draw, at most, in a few seconds.
const LONGEST_STANDSTILL: &str = "
    return new Promise(done => {
        const started = performance.now();
        let before = started, longest = 0;
        const look = () => {
            const now = performance.now();
            longest = Math.max(longest, now - before);
            before = now;
            if (now - started < 3000) setTimeout(look, 1); else done(longest);
        };
        look();
    })";

pub(crate) async fn thousands_of_backends_do_not_freeze_it(driver: &Driver) {
    // Nobody listens there, and nobody asks.
    let addresses: Vec<_> = (1..=3000).map(|port| SocketAddr::from(([127, 9, 9, 9], port))).collect();
    let proxy = Proxy::with(&pool_of(&addresses, ""));
    let page = open(driver, &proxy).await;
    page.shows("#pool-list", "and 2,975 more backends").await;
    page.press("#pool-list", "", "Show more").await;
    page.shows("#pool-list", "and 2,875 more backends").await;
    page.fill("#find", "127.9.9.9:2999").await;
    eventually("one row", async || {
        page.js("return document.querySelectorAll('#pool-list tbody tr').length").await == 1
    })
    .await;
    let longest = page.js(LONGEST_STANDSTILL).await;
    assert!(longest.as_f64().unwrap() < 1000.0, "stands still for {longest} ms");
    page.close().await;
}
