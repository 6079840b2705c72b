//! What a session leaves in a trace.

use std::sync::Arc;
use std::time::Duration;

use super::{CloseReason, Last, Micros, Record};
use crate::relay::Side;
use crate::trace::{Context, Span};

impl Record {
    /// Hands on the span of a session that has ended. Nobody else knows of its trace, so that it is asked only now whether it is
    /// kept. Who was not let in has none: a flood of them says nothing that counts do not say.
    pub(super) fn leave_span(&self, reason: CloseReason, duration: Duration, last: &Last) {
        let Some(tracer) = self
            .tally()
            .tracer()
            .filter(|_| !CloseReason::REFUSALS.contains(&reason))
            .filter(|tracer| tracer.samples())
        else {
            return;
        };
        let mut span = Span::ended(Context::new(true), None, "session", duration);
        span.tell("portti.session", self.id().to_string());
        span.tell("portti.listener", self.tally().listener().clone());
        span.tell("client.address", self.handle.client.0);
        span.tell("client.port", self.handle.client.1);
        span.tell_if("network.peer.address", self.via().map(|via| via.peer.ip()));
        span.tell_if("server.address", self.known().and_then(|known| known.server_name.clone()));
        span.tell_if("portti.pool", self.pool.as_ref().map(|pool| pool.name().clone()));
        span.tell_if("portti.backend", self.backend.as_ref().map(Arc::clone));
        span.tell("portti.attempts", u64::from(self.attempts));
        span.tell_if("portti.connect_ms", self.connect.map(Micros::millis));
        span.tell_if("portti.first_byte_ms", self.first_byte.get().map(Micros::millis));
        span.tell("portti.bytes_up", last.bytes.0);
        span.tell("portti.bytes_down", last.bytes.1);
        span.tell("portti.reason", reason.as_str());
        span.tell_if("portti.truncated", self.truncated.get().map(Side::as_str));
        if is_fault(reason) {
            span.is_error = true;
            span.tell("error.type", reason.as_str());
        }
        tracer.send(span);
    }
}

/// What went wrong was on this side of the client.
fn is_fault(reason: CloseReason) -> bool {
    use CloseReason::{BackendReset, ConnectFailed, Killed, NoBackend, NoSourcePort, QueueTimeout, RequestTimeout};
    matches!(reason, BackendReset | ConnectFailed | Killed | NoBackend | NoSourcePort | QueueTimeout | RequestTimeout)
}
