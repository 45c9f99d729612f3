//! Trainings whose ranks are real processes: 200 steps in f64 end in the same weights, whatever the number of ranks and
//! whatever happens to one of them on the way.
//!
//! A fault must be proved to have fired in the step it was meant for: the training's own report says which steps each
//! generation took.

#[allow(dead_code, reason = "shared with end_to_end, which uses all of it")]
#[path = "../end_to_end/audit.rs"]
mod audit;
#[allow(dead_code, reason = "shared with end_to_end, which uses all of it")]
#[path = "../end_to_end/children.rs"]
mod children;
mod cluster;
#[allow(dead_code, reason = "shared with end_to_end, which uses all of it")]
#[path = "../end_to_end/drill.rs"]
mod drill;
#[allow(dead_code, reason = "shared with chaos, which uses all of it")]
#[path = "../chaos/operator.rs"]
mod operator;
#[allow(dead_code, reason = "shared with chaos, which uses all of it")]
#[path = "../chaos/part.rs"]
mod part;
mod recipe;
mod run;
mod tail;
mod trained;
mod weights;
