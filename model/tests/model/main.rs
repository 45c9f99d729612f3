//! The model against open_clip's and PyTorch's stored answers, formulas in f64, and bad input.
//!
//! It must never compare with numbers that this crate made.
#![allow(clippy::unwrap_used)]

mod adamw;
mod augment;
mod checkpoint;
mod config;
mod conformance;
mod damaged;
mod density;
mod families;
mod full;
mod gradients;
mod hugging_face;
mod indexes;
mod init;
mod losses;
mod pixels;
mod reference;
mod training;
mod vocabulary;
