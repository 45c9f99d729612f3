//! The model against open_clip's and PyTorch's stored answers, formulas in f64, and bad input.
//!
//! It must never compare with numbers that this crate made.
#![allow(clippy::unwrap_used)]

mod adamw;
mod checkpoint;
mod config;
mod conformance;
mod density;
mod gradients;
mod init;
mod losses;
mod pixels;
mod reference;
mod training;
mod vocabulary;
