use super::*;
use crate::arguments::{Arguments, Command};
use clap::Parser;

fn asked(words: &str) -> Plan {
    match Arguments::try_parse_from(["lethe", "plan"].into_iter().chain(words.split(' '))).expect("parses").command {
        Command::Plan(plan) => *plan,
        _ => panic!("is another command"),
    }
}

fn of(words: &str) -> Planned {
    let plan = asked(words);
    let shape = Shape::find(plan.model.as_deref().expect("is given")).expect("is known");
    planned(plan.samples.expect("is given"), &shape, &plan.figures, plan.gpus.expect("is given"))
}

fn seconds(planned: &Planned, phase: &str) -> f64 {
    planned.phases.iter().find(|found| found.name == phase).expect("is a phase").seconds
}

/// By hand: 2e9 pairs over 64 GPUs, 337.36 GFLOP a pair (docs/scale.md has 337) at 33.5 TFLOP/s.
#[test]
fn scoring_is_operations_over_speed() {
    let found = seconds(&of("--samples 2e9 --model ViT-L-14 --gpus 64"), "score");
    let by_hand = 2e9 / 64.0 * 337.36e9 / 33.5e12;
    assert!((found / by_hand - 1.0).abs() < 2e-3, "{found} s, by hand {by_hand} s");
}

#[test]
fn what_is_slowest_bounds_scoring() {
    let at = |more: &str| of(&format!("--samples 1e8 --model ViT-B-32 --gpus 8{more}"));
    let bound = |planned: &Planned| planned.phases[2].bound.clone();
    assert!(bound(&at("")).starts_with("GPUs compute"));
    assert!(bound(&at(" --decoders 1")).starts_with("threads decode: 240 pairs/s"));
    assert!(bound(&at(" --read-gb-s 0.001")).starts_with("shards are read: 40 pairs/s"));
    assert!((seconds(&at(" --rate 100"), "score") / (1e8 / 800.0) - 1.0).abs() < 1e-2);
}

#[test]
fn every_phase_of_the_stored_plan_is_counted_and_no_other() {
    let spec = serde_json::json!({"audit": {"id": "a"}, "model": {"config": "c"}, "data": {"shards": ["s"]}});
    let stored = lethe_coordinator::plans::build(&serde_json::from_value(spec).expect("is a spec"));
    let stored: Vec<String> = stored.phases.iter().map(|phase| phase.name.to_string()).collect();
    let ours: Vec<&str> = of("--samples 1e6 --model ViT-B-32 --gpus 1").phases.iter().map(|phase| phase.name).collect();
    assert_eq!(ours, stored);
}

#[test]
fn the_fewest_gpus_end_in_time_and_one_fewer_does_not() {
    let shape = Shape::find("ViT-L-14").expect("is known");
    let figures = asked("--samples 4e8 --model ViT-L-14 --within 24h").figures;
    let found = fewest(400_000_000, &shape, &figures, 86_400.0).expect("there are enough");
    assert!(total(&found.phases) <= 86_400.0);
    assert!(total(&planned(400_000_000, &shape, &figures, found.work.workers as u32 - 1).phases) > 86_400.0);
    let never = fewest(400_000_000, &shape, &figures, 60.0).err().expect("is refused");
    assert!(never.is::<crate::exit::BadInput>() && never.to_string().contains("no GPU makes shorter"), "{never}");
}

#[test]
fn more_of_anything_takes_no_less() {
    let total_of = |words: &str| total(&of(words).phases);
    for (less, more) in [("1e8", "2e8"), ("1e5", "1e8"), ("1", "10")] {
        let [less, more] = [less, more].map(|n| total_of(&format!("--samples {n} --model ViT-B-32 --gpus 16")));
        assert!(less <= more, "{less} s and {more} s");
    }
    assert!(
        total_of("--samples 1e9 --model ViT-B-32 --gpus 16") > total_of("--samples 1e9 --model ViT-B-32 --gpus 64")
    );
}
