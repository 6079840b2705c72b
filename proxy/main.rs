//! The `portti` command.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// An idle session is a few blocks aligned to cache lines, which the C library pads: 1.8 KB there, 1.4 KB here.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    portti::cli::main()
}
