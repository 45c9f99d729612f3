//! What the engine answers, event by event: tests compare whole command lists, or what a list leases to whom.
//!
//! They must never look inside the engine.

mod audits;
mod batches;
mod bench;
mod checkpoints;
mod elastic;
mod gang;
mod keep;
mod map;
mod marks;
mod opinions;
mod reduce;
mod restore;
mod setbacks;
mod share;
mod slots;
mod speculation;
mod steer;
mod view;
