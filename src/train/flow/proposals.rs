//! Independent samples of a flow for one molecule.

use tch::{Device, Kind, Tensor};

use super::subject::Subject;
use super::team::FlowTeam;
use crate::flows::{Flow, Inversion};

/// Samples with their log-densities, and energies where the molecule has them. On the CPU.
pub struct Proposals {
    /// `[N, A, 3]` in units of the flow's scale, not centred.
    pub x: Tensor,
    /// `log q`, `[N]` in f64.
    pub log_q: Tensor,
    /// `E / kT`, `[N]` in f64.
    pub energy: Option<Tensor>,
}

impl Proposals {
    /// Draws `n` samples, `chunk` at a time. Draws from libtorch's generator.
    pub fn draw(team: &mut FlowTeam, subject: &Subject, n: i64, chunk: i64) -> Self {
        let pieces =
            (0..n).step_by(chunk.max(1) as usize).map(|from| Self::at_once(team, subject, chunk.min(n - from)));
        Self::joined(&pieces.collect::<Vec<_>>())
    }

    fn at_once(team: &mut FlowTeam, subject: &Subject, n: i64) -> Self {
        let z = Self::noise(team, subject, n);
        Self::of_noise(team, subject, &z)
    }

    /// Standard normal `[N, A, 3]` of the flow's kind, on its device. Draws from libtorch's generator.
    pub fn noise(team: &FlowTeam, subject: &Subject, n: i64) -> Tensor {
        Tensor::randn([n, subject.atoms(), 3], (team.params().kind(), team.device()))
    }

    /// The samples that noise `[N, A, 3]` becomes, all at once.
    pub fn of_noise(team: &mut FlowTeam, subject: &Subject, z: &Tensor) -> Self {
        let _guard = tch::no_grad_guard();
        let device = team.device();
        let conditioning = || subject.conditioning.to_device(device);
        let shares = shares(z, team.len()).into_iter().map(|z| (z, conditioning())).collect();
        let drawn = team.each(shares, |flow, (z, conditioning)| {
            let _guard = tch::no_grad_guard();
            flow.sample(&z, &flow.prepare(&conditioning), Inversion::Sequential)
        });
        let (x, log_q): (Vec<_>, Vec<_>) = drawn.into_iter().unzip();
        let x = Tensor::cat(&x, 0).to_device(Device::Cpu);
        let energy = subject.energy.as_ref().map(|energy| energy.reduced(&x));
        Self { x, log_q: Tensor::cat(&log_q, 0).to_device(Device::Cpu), energy }
    }

    /// What files hold of them: `x` in nm as f32, `log_q`, and `energy` in kJ/mol where `kt` (kJ/mol) is known.
    pub fn tensors(&self, scale: f64, kt: Option<f64>) -> Vec<(String, Tensor)> {
        let x = (self.x.to_kind(Kind::Double) * scale).to_kind(Kind::Float);
        let mut tensors = vec![("x".to_string(), x), ("log_q".to_string(), self.log_q.shallow_clone())];
        if let (Some(energy), Some(kt)) = (&self.energy, kt) {
            tensors.push(("energy".to_string(), energy * kt));
        }
        tensors
    }

    /// The first `n` samples, or all.
    pub fn first(&self, n: i64) -> Self {
        let cut = |t: &Tensor| t.narrow(0, 0, n.min(t.size()[0]));
        Self { x: cut(&self.x), log_q: cut(&self.log_q), energy: self.energy.as_ref().map(cut) }
    }

    /// All samples of several draws.
    pub fn joined(parts: &[Self]) -> Self {
        let join = |of: &dyn Fn(&Self) -> Tensor| Tensor::cat(&parts.iter().map(of).collect::<Vec<_>>(), 0);
        let with_energy = parts.iter().all(|part| part.energy.is_some());
        let energy = |part: &Self| part.energy.as_ref().map_or_else(|| part.log_q.empty_like(), Tensor::shallow_clone);
        Self {
            x: join(&|part| part.x.shallow_clone()),
            log_q: join(&|part| part.log_q.shallow_clone()),
            energy: with_energy.then(|| join(&energy)),
        }
    }
}

/// `log q` of conformations `[N, A, 3]`, `[N]` in f64 on the CPU; `chunk` at a time.
pub fn log_q(team: &mut FlowTeam, subject: &Subject, x: &Tensor, chunk: i64) -> Tensor {
    let _guard = tch::no_grad_guard();
    let (kind, device) = (team.params().kind(), team.device());
    let one = |part: Tensor| {
        let shares: Vec<_> =
            shares(&part, team.len()).into_iter().map(|x| (x, subject.conditioning.to_device(device))).collect();
        let found = team.each(shares, |flow, (x, conditioning)| {
            let _guard = tch::no_grad_guard();
            flow.log_q(&x.to_kind(kind).to_device(device), &flow.prepare(&conditioning))
        });
        Tensor::cat(&found, 0).to_device(Device::Cpu)
    };
    let parts: Vec<Tensor> = x.split(chunk.max(1), 0).into_iter().map(one).collect();
    if parts.is_empty() { Tensor::zeros([0], (Kind::Double, Device::Cpu)) } else { Tensor::cat(&parts, 0) }
}

/// Contiguous shares of the rows, none of them empty.
pub fn shares(x: &Tensor, count: usize) -> Vec<Tensor> {
    let (n, count) = (x.size()[0], count as i64);
    let start = |i: i64| i * n / count;
    (0..count).map(|i| x.narrow(0, start(i), start(i + 1) - start(i))).filter(|share| share.size()[0] > 0).collect()
}
