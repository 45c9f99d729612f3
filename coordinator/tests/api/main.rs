//! The coordinator over real loopback, with the real engine and store; workers are played by hand.

mod audits;
mod authz;
mod finished;
mod gangs;
mod marks;
mod pages;
mod process;
mod rig;
mod sessions;
mod token;
