//! The body of an answer on its way from a backend.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Bytes, Frame, SizeHint};

use super::body::BodyError;
use super::client::Connection;
use super::http2::client::Answer;
use crate::session::Upstream;

/// The body of an answer, and the connection that it comes on.
#[derive(Debug)]
pub enum Download<B> {
    /// By HTTP/1.1: it is the connection that is read. `None` if it is over, and the connection has been given back.
    Http1(Option<Box<Connection<Upstream, B>>>),
    /// By HTTP/2.
    Http2(Box<Answer>),
}

impl<B> Download<B>
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    /// Gives back the connection at the body's end, if another request can be sent on it; or the place on one that many share.
    pub fn release(&mut self) -> Option<Box<Connection<Upstream, B>>> {
        match self {
            Self::Http1(connection) => connection.take_if(|connection| connection.is_free()),
            Self::Http2(answer) => {
                answer.release();
                None
            }
        }
    }

    /// The stream that the backend goes on with in another protocol, and what it has said there already; `None` if there is none.
    pub fn into_upstream(self) -> Option<(Upstream, Bytes)> {
        match self {
            Self::Http1(connection) => connection.and_then(|connection| connection.into_parts()),
            Self::Http2(_) => None,
        }
    }
}

impl<B> Body for Download<B>
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Ready(match self.get_mut() {
            Self::Http1(None) => None,
            Self::Http1(Some(connection)) => ready!(Pin::new(&mut **connection).poll_frame(cx)?).map(Ok),
            Self::Http2(body) => ready!(Pin::new(&mut **body).poll_frame(cx)?).map(Ok),
        })
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(connection) => connection.as_ref().is_none_or(|connection| connection.is_end_stream()),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(None) => SizeHint::with_exact(0),
            Self::Http1(Some(connection)) => connection.size_hint(),
            Self::Http2(body) => body.size_hint(),
        }
    }
}
