//! The proof of the engine: a world that fails in every way we know, around the real decisions (`tests/simulation`).
//!
//! It must never see more than the engine's public face and the ids: what it needs of the rest, it models.
