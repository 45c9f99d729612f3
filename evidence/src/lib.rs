//! See ARCHITECTURE.md.

pub mod artifacts;
