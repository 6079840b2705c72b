//! The `portti` command.

fn main() {}
