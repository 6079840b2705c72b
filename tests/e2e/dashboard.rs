//! The dashboard in a real browser, before a real proxy. A test program of its own, with few tests at a time: browsers would
//! take the time from those that measure it. Pictures of what was seen are left in `target/screenshots`.
//!
//! Needs Debian's `chromium` and `chromium-driver`; without them all tests are skipped, and counted so.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]
#![allow(clippy::print_stderr, reason = "why tests are skipped is for people to read")]

use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};
use tokio::runtime::Builder;

mod browser;
#[path = "dashboard/done.rs"]
mod done;
#[path = "dashboard/seen.rs"]
mod seen;
#[allow(dead_code, unused_imports, reason = "it is there for all tests")]
mod support;

use self::browser::{Driver, Page};
use self::support::Proxy;

/// Browsers at a time.
const AT_ONCE: usize = 2;

type Case = fn(&Driver) -> Pin<Box<dyn Future<Output = ()> + '_>>;

macro_rules! cases {
    ($($module:ident::$name:ident),* $(,)?) => {
        &[$((stringify!($name), |driver| Box::pin($module::$name(driver)))),*]
    };
}

const CASES: &[(&str, Case)] = cases![
    seen::a_backend_that_goes_down_is_shown_within_seconds,
    seen::newcomers_and_those_refused_are_told_by_reason,
    seen::a_failed_reload_is_told_with_its_text,
    seen::it_fits_a_phone_and_can_be_read_in_light_and_dark,
    seen::what_is_old_is_called_old_until_the_proxy_is_back,
    seen::thousands_of_backends_do_not_freeze_it,
    done::a_backend_is_drained_and_put_back_by_its_buttons,
    done::a_session_is_found_and_closed,
    done::an_address_is_banned_by_the_form_and_let_in_again,
    done::the_keyboard_is_enough,
    done::an_edit_is_previewed_and_not_applied,
    done::the_token_is_asked_for_and_kept,
    done::nothing_is_loaded_from_elsewhere_and_nothing_inline_runs,
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    let driver = if arguments.list { None } else { Driver::start() }.map(Arc::new);
    if driver.is_none() && !arguments.list {
        eprintln!("skipped: there is no browser (Debian: chromium and chromium-driver)");
    }
    let trials = CASES.iter().map(|&(name, case)| trial(name, case, driver.clone())).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    // The driver's last owner: it ends with its browsers before this does.
    drop(driver);
    conclusion.exit_code()
}

fn trial(name: &str, case: Case, driver: Option<Arc<Driver>>) -> Trial {
    let skipped = driver.is_none();
    let run = move || {
        let driver = driver.ok_or("there is no browser")?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(case(&driver));
        Ok(())
    };
    Trial::test(name, run).with_ignored_flag(skipped)
}

/// The page of a proxy, once it is fed.
async fn open(driver: &Driver, proxy: &Proxy) -> Page {
    let page = driver.open(&format!("http://{}/", proxy.admin())).await;
    page.shows("#link", "live").await;
    page
}
