//! A browser without a window, told by its driver (WebDriver) what a person would do.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use fantoccini::elements::Element;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use url::Url;

use crate::support::{eventually, soon};

/// Chromium's driver, which starts a browser for each page. Both end when this is dropped.
#[derive(Debug)]
pub(crate) struct Driver {
    child: Child,
    address: SocketAddr,
}

impl Driver {
    /// `None` where there is no browser, or no driver for it.
    pub(crate) fn start() -> Option<Self> {
        Command::new("chromium").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
        let mut driver = Command::new("chromedriver");
        let mut child = driver.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let port = stdout.lines().map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse().ok()
        });
        let port: u16 = port.expect("the driver says its port");
        Some(Self { child, address: SocketAddr::from(([127, 0, 0, 1], port)) })
    }

    /// A page of its own, in a browser of its own.
    pub(crate) async fn open(&self, url: &str) -> Page {
        // The sandbox cannot be had by root, and in few containers.
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--window-size=1440,1000",
            // What is scrolled to stands where it is at once, and can be pressed.
            "--force-prefers-reduced-motion",
        ];
        let wanted = json!({
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        });
        let Value::Object(wanted) = wanted else { unreachable!("it is one") };
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let client = builder.capabilities(wanted).connect(&format!("http://{}", self.address)).await.unwrap();
        soon("the page", client.goto(url)).await.unwrap();
        Page { client }
    }
}

/// A command of Chromium's driver beyond WebDriver.
#[derive(Debug)]
struct OfChromium {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for OfChromium {
    fn endpoint(&self, driver: &Url, session: Option<&str>) -> Result<Url, url::ParseError> {
        driver.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _url: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Asked in order, it takes its browsers with it.
        let _just_ended = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _status = self.child.wait();
    }
}

/// What a person sees and does.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) client: Client,
}

impl Page {
    /// What a function body gives back.
    pub(crate) async fn js(&self, body: &str) -> Value {
        self.client.execute(body, vec![]).await.unwrap_or_else(|error| panic!("{error}: {body}"))
    }

    /// The text that can be seen of what a selector finds first; empty if there is no such thing.
    pub(crate) async fn text(&self, selector: &str) -> String {
        // Of what is hidden, innerText is everything.
        let body = format!(
            "const node = document.querySelector({selector:?}); return node?.checkVisibility() ? node.innerText : ''"
        );
        let text = self.js(&body).await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until that text has these words in it.
    pub(crate) async fn shows(&self, selector: &str, words: &str) {
        eventually(&format!("{words:?} in {selector}"), async || self.text(selector).await.contains(words)).await;
    }

    /// Presses the button of this label within what the selector finds first that has these words.
    pub(crate) async fn press(&self, within: &str, words: &str, label: &str) {
        let body = format!(
            "return [...document.querySelectorAll({within:?})].filter(node => node.innerText.includes({words:?}))
                .flatMap(node => [...node.querySelectorAll('button')])
                .find(button => button.innerText === {label:?} && button.checkVisibility())"
        );
        let mut found = Value::Null;
        eventually(&format!("a button {label:?} in {within} with {words:?}"), async || {
            found = self.js(&body).await;
            !found.is_null()
        })
        .await;
        // Scrolled to and pressed as by a pointer: what lies above it would be hit instead.
        let id = found.as_object().and_then(|found| found.values().next()?.as_str()).expect("a reference").to_owned();
        let element = Element::from_element_id(self.client.clone(), id.into());
        element.click().await.unwrap();
    }

    pub(crate) async fn fill(&self, selector: &str, text: &str) {
        let field = self.client.find(Locator::Css(selector)).await.unwrap();
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Presses keys, wherever the focus is.
    pub(crate) async fn keys(&self, keys: &str) {
        self.client.active_element().await.unwrap().send_keys(keys).await.unwrap();
    }

    /// A command of the DevTools, for what WebDriver has no word for.
    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.ask("goog/cdp/execute", json!({ "cmd": command, "params": parameters })).await
    }

    pub(crate) async fn resize(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
    }

    pub(crate) async fn prefer(&self, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// Keeps a picture among the build's artefacts.
    pub(crate) async fn picture(&self, name: &str) {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), self.client.screenshot().await.unwrap()).unwrap();
    }

    /// What the browser has found wrong since it was asked last: errors, warnings, breaches of the policy.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.ask("se/log", json!({ "type": "browser" })).await;
        let wrong = |entry: &&Value| matches!(entry["level"].as_str(), Some("SEVERE" | "WARNING"));
        log.as_array().unwrap().iter().filter(wrong).map(|entry| entry["message"].to_string()).collect()
    }

    /// The addresses of everything that it has asked for since it was asked last.
    pub(crate) async fn requests(&self) -> Vec<String> {
        let log = self.ask("se/log", json!({ "type": "performance" })).await;
        let messages = log.as_array().unwrap().iter().filter_map(|entry| entry["message"].as_str());
        let events =
            messages.filter_map(|message| Some(serde_json::from_str::<Value>(message).ok()?["message"].take()));
        let sent = events.filter(|event| event["method"] == "Network.requestWillBeSent");
        sent.filter_map(|event| event["params"]["request"]["url"].as_str().map(str::to_owned)).collect()
    }

    async fn ask(&self, path: &'static str, body: Value) -> Value {
        self.client.issue_cmd(OfChromium { path, body }).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Nothing was wrong, and the browser may go.
    pub(crate) async fn close(self) {
        assert_eq!(self.complaints().await, Vec::<String>::new());
        self.client.close().await.unwrap();
    }
}
