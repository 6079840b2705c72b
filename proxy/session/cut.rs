//! How the end of a connection that broke is passed on to the other side of its session.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::relay::{End, Side, Socket, Stop};

/// How long a side may take to fetch what the other one had said before its connection was cut off.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is looked whether it has. Nothing tells of that.
const LOOK: Duration = Duration::from_millis(20);

/// Resets the side whose peer's connection broke, so that it does not take that for an end in order. A reset overtakes what is still
/// on its way: that of a connection that was cut off waits for it, unless the session is asked to `stop`.
pub(super) async fn pass_on<D: Socket, U: Socket>(end: End, (downstream, upstream): (&D, &U), stop: &Stop) {
    match end {
        End::Reset(Side::Downstream) => upstream.break_off(),
        End::Reset(Side::Upstream) => downstream.break_off(),
        End::CutOff(Side::Downstream) => {
            delivered(upstream, stop).await;
            upstream.break_off();
        }
        End::CutOff(Side::Upstream) => {
            delivered(downstream, stop).await;
            downstream.break_off();
        }
        _ => {}
    }
}

async fn delivered(socket: &impl Socket, stop: &Stop) {
    let patient_until = Instant::now() + PATIENCE;
    while !socket.is_delivered() && Instant::now() < patient_until {
        tokio::select! {
            biased;
            () = stop.asked() => return,
            () = sleep(LOOK) => {}
        }
    }
}
