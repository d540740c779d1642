//! A flow and its replicas, one to a CPU thread, which share parameters and divide the work among themselves.

use anyhow::Result;
use tch::Device;

use crate::flows::{AutoregressiveFlow, Flow};
use crate::torch::params::Params;
use crate::torch::threads;

/// Equal flows; the first one's parameters are *the* parameters.
pub struct FlowTeam {
    members: Vec<AutoregressiveFlow>,
}

impl FlowTeam {
    /// A member for every worker on the CPU, one on a GPU.
    pub fn new(flow: AutoregressiveFlow) -> Result<Self> {
        let (kind, device) = (flow.params().kind(), flow.params().device());
        let workers = if device == Device::Cpu { threads::workers() } else { 1 };
        let mut members = vec![flow];
        for _ in 1..workers {
            let replica = members[0].config().build(kind, device)?;
            members[0].params().share_with(replica.params());
            members.push(replica);
        }
        Ok(Self { members })
    }

    pub fn first(&self) -> &AutoregressiveFlow {
        &self.members[0]
    }

    pub fn params(&self) -> &Params {
        self.first().params()
    }

    pub fn device(&self) -> Device {
        self.params().device()
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Runs `job` for each member with its item; at most as many items as members. Results in the items' order.
    pub fn each<I: Send, T: Send>(
        &mut self,
        items: Vec<I>,
        job: impl Fn(&AutoregressiveFlow, I) -> T + Sync,
    ) -> Vec<T> {
        let work: Vec<_> = self.members.iter_mut().zip(items).collect();
        threads::each(work, |(flow, item)| job(flow, item), || ())
    }

    /// Adds the replicas' gradients to the first member's, in order.
    pub fn gather(&self) {
        self.members[1..].iter().for_each(|replica| self.params().take_gradients(replica.params()));
    }
}
