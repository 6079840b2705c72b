//! An admin server for tests: it says what a test wants said, and remembers what it was asked.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::spawn_local;

use super::ask::Client;

/// A request: its line, what the server is called in it, what kind of body it says it has, the token, and the body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Asked {
    pub(super) line: String,
    pub(super) host: String,
    pub(super) content_type: String,
    pub(super) authorization: String,
    pub(super) body: String,
}

/// What was asked so far, oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Journal(Rc<RefCell<Vec<Asked>>>);

impl Journal {
    pub(super) fn all(&self) -> Vec<Asked> {
        self.0.borrow().clone()
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.0.borrow().iter().map(|asked| asked.line.clone()).collect()
    }

    pub(super) fn last(&self) -> Asked {
        self.0.borrow().last().cloned().unwrap_or_default()
    }
}

/// Runs a test against a server that answers like this, with a code and a body.
pub(super) fn with(answer: impl Fn(&Asked) -> (u16, String) + 'static, test: impl AsyncFnOnce(Client, Journal)) {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (admin, journal) = (socket.local_addr().unwrap(), Journal::default());
        spawn_local(serve(socket, Rc::new(answer), journal.clone()));
        test(Client::new(admin.to_string()), journal).await;
    });
}

/// The same, for one that answers everything with 200 and this.
pub(super) fn with_answer(answer: Value, test: impl AsyncFnOnce(Client, Journal)) {
    with(move |_asked| (200, answer.to_string()), test);
}

async fn serve(socket: TcpListener, answer: Rc<impl Fn(&Asked) -> (u16, String) + 'static>, journal: Journal) {
    while let Ok((stream, _)) = socket.accept().await {
        let (answer, journal) = (Rc::clone(&answer), journal.clone());
        spawn_local(async move {
            let service = service_fn(async |request| {
                let asked = read(request).await;
                journal.0.borrow_mut().push(asked.clone());
                let (code, body) = answer(&asked);
                let response = Response::builder().status(code).body(Full::new(Bytes::from(body)));
                Ok::<_, Infallible>(response.unwrap())
            });
            http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.unwrap();
        });
    }
}

async fn read(request: Request<Incoming>) -> Asked {
    let header = |name| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    let line = format!("{} {}", request.method(), request.uri());
    let (host, content_type, authorization) = (header(HOST), header(CONTENT_TYPE), header(AUTHORIZATION));
    let body = request.into_body().collect().await.unwrap().to_bytes();
    Asked { line, host, content_type, authorization, body: String::from_utf8(body.into()).unwrap() }
}
