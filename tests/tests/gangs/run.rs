//! One training under way: followed step by step through what its ranks say, disturbed, and read when it ends.

use lethe_proto::v1::{AuditView, PhaseView, RunState};
use serde_json::Value;

use crate::children::Process;
use crate::cluster::{Cluster, GLANCE, LOOK, seen};
use crate::trained::Trained;

pub struct Run<'a> {
    cluster: &'a mut Cluster,
    audit: String,
    /// Of each worker, as it began.
    executors: Vec<Process>,
}

/// A rank that has just begun a step.
pub struct Rank {
    pub worker: usize,
    pub executor: Process,
}

impl<'a> Run<'a> {
    pub fn submit(cluster: &'a mut Cluster, spec: &Value) -> Self {
        let audit = spec["audit"]["id"].as_str().expect("has an id").to_owned();
        let executors = cluster.executors();
        // What they said of trainings before.
        cluster.workers().iter_mut().for_each(|worker| while worker.log.next().is_some() {});
        let json = serde_json::to_vec(spec).expect("is JSON");
        assert!(cluster.operator.submit(&audit, json), "{audit} is not taken");
        Self { cluster, audit, executors }
    }

    /// Waits until a rank says that it begins a step; steps count from 0, so that as many are applied.
    pub fn wait_for_step(&mut self, rank: u32, step: usize) -> Rank {
        let said = format!("a step begins rank={rank} step={step}");
        let workers = self.cluster.workers();
        let worker = seen(&said, GLANCE, || {
            let says =
                |log: &mut crate::tail::Tail| std::iter::from_fn(|| log.next()).any(|line| line.ends_with(&said));
            workers.iter_mut().position(|worker| says(&mut worker.log))
        });
        Rank { worker, executor: self.executors[worker].clone() }
    }

    /// Waits for what a view of the training shows while it runs.
    pub fn wait_for<T>(&self, what: &str, shown: impl Fn(&PhaseView) -> Option<T>) -> T {
        seen(&format!("{} {what}", self.audit), LOOK, || {
            let view = self.view()?;
            assert_eq!(view.state(), RunState::Running, "{} ended before it was {what}: {}", self.audit, view.reason);
            shown(view.phases.iter().find(|phase| phase.name == "train")?)
        })
    }

    /// Kills a worker's agent, with which its executor ends, for good.
    pub fn kill_agent(&mut self, rank: &Rank) {
        self.cluster.workers()[rank.worker].agent.kill();
    }

    /// What its worker and that one's executors logged so far.
    pub fn log_of(&mut self, rank: &Rank) -> String {
        self.cluster.workers()[rank.worker].agent.log()
    }

    /// Waits for its end and wants it accepted.
    pub fn finish(&self) -> Trained {
        let ended = self.end();
        assert_eq!(ended.state(), RunState::Succeeded, "{}: {}", self.audit, ended.reason);
        Trained::of(&self.cluster.results(&self.audit))
    }

    fn end(&self) -> AuditView {
        let ends = [RunState::Succeeded, RunState::Failed, RunState::Cancelled];
        seen(&format!("the end of {}", self.audit), LOOK, || self.view().filter(|view| ends.contains(&view.state())))
    }

    fn view(&self) -> Option<AuditView> {
        self.cluster.operator.view(&self.audit)
    }
}
