//! What the kernel knows of a TCP connection's quality (`TCP_INFO`, tcp(7)).
//!
//! The one place with `unsafe`: neither rustix nor socket2 has this option.
#![allow(unsafe_code, reason = "getsockopt(TCP_INFO) has no safe wrapper in the crates used here")]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use crate::relay::Quality;

/// The connection's quality. One system call.
///
/// # Errors
/// Whatever getsockopt(2) says, for a socket that is not TCP for example.
pub fn read(socket: &impl AsFd) -> io::Result<Quality> {
    let info = ask(socket)?;
    Ok(Quality { rtt_us: info.tcpi_rtt, retransmits: info.tcpi_total_retrans })
}

/// Whether the peer's machine has acknowledged all that was sent. One system call.
///
/// # Errors
/// As of [`read`].
pub fn is_delivered(socket: &impl AsFd) -> io::Result<bool> {
    let info = ask(socket)?;
    Ok(info.tcpi_unacked == 0 && info.tcpi_notsent_bytes == 0)
}

/// How long the peer's machine has acknowledged nothing, while bytes wait for that; `None` where none do. One system call.
///
/// # Errors
/// As of [`read`].
pub fn unacknowledged(socket: &impl AsFd) -> io::Result<Option<Duration>> {
    let info = ask(socket)?;
    let silence = Duration::from_millis(info.tcpi_last_ack_recv.into());
    Ok((info.tcpi_unacked > 0).then_some(silence))
}

fn ask(socket: &impl AsFd) -> io::Result<libc::tcp_info> {
    // Zeroed, because an older kernel fills in only the part that it knows.
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).expect("a struct of some hundred bytes");
    // SAFETY: the descriptor is open while it is borrowed, `info` is writable for `length` bytes, and the kernel writes at
    // most `length` bytes there and the written length to `length`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `tcp_info` is plain integers, for which every bit pattern is a value, and all its bytes were initialised.
    Ok(unsafe { info.assume_init() })
}
