//! Every simulation of a jump process, on three coupled spins whose exact rates are known: marginals, weights, biases.

use sampler::nets::letf::{Letf, LetfConfig};
use sampler::nets::{Geometry, RateNet, RateNetConfig};
use sampler::processes::ctmc::{AnnealedPath, residual};
use sampler::samplers::discrete::correct::{heat_bath, metropolis};
use sampler::samplers::discrete::kernel::Step;
use sampler::samplers::discrete::noise::Noise;
use sampler::samplers::discrete::rollout::{Simulation, Times, rollout, rollout_on};
use sampler::samplers::discrete::uniformised::uniformised;
use sampler::samplers::discrete::{CtmcConfig, GridConfig, Keep, Member, Path, Team, UniformisedConfig, Weights};
use sampler::targets::lattice::exact::enumeration;
use sampler::targets::lattice::{DiscreteTarget, Interaction, PairModel, PairTarget};
use sampler::torch::params::Params;
use sampler::torch::seed::{Stream, reseed};
use tch::{Device, Kind, Tensor};

const SITES: usize = 3;
const STATES: usize = 1 << SITES;

/// Frustrated couplings and a field: no symmetry helps.
fn target() -> PairTarget {
    let bonds = vec![(0, 1, 0.9), (1, 2, -0.6), (0, 2, 0.7)];
    let bias = vec![-0.2, 0.2, 0.3, -0.3, -0.1, 0.1];
    let model = PairModel::new(2, Interaction::Product([-1.0, 1.0]), 1.0, bonds, bias).unwrap();
    PairTarget::new(model, vec![-1, 1], None, (Kind::Double, Device::Cpu))
}

/// `log rho` of all states, site 0 the most significant digit.
fn log_rho() -> Vec<f64> {
    Vec::try_from(target().log_prob(&enumeration::states(2, SITES as i64))).unwrap()
}

fn log_z(log_weights: &[f64]) -> f64 {
    log_weights.iter().map(|l| l.exp()).sum::<f64>().ln()
}

/// Rates that carry the path exactly: probability currents are differences of a potential on the cube, whose Laplacian
/// Walsh functions diagonalise.
struct ExactRates {
    log_rho: Vec<f64>,
}

impl ExactRates {
    /// `p_t` and the potential.
    fn at(&self, t: f64) -> (Vec<f64>, Vec<f64>) {
        let log_z = log_z(&self.log_rho.iter().map(|l| t * l).collect::<Vec<_>>());
        let p: Vec<f64> = self.log_rho.iter().map(|l| (t * l - log_z).exp()).collect();
        let mean: f64 = p.iter().zip(&self.log_rho).map(|(p, l)| p * l).sum();
        let change: Vec<f64> = p.iter().zip(&self.log_rho).map(|(p, l)| p * (l - mean)).collect();
        let sign = |a: usize, b: usize| if (a & b).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 };
        let mut potential = vec![0.0; STATES];
        for mode in 1..STATES {
            let amplitude: f64 = (0..STATES).map(|x| sign(mode, x) * change[x]).sum::<f64>() / STATES as f64;
            let eigenvalue = 2.0 * f64::from(mode.count_ones());
            (0..STATES).for_each(|x| potential[x] -= sign(mode, x) * amplitude / eigenvalue);
        }
        (p, potential)
    }
}

impl RateNet for ExactRates {
    fn forward(&self, x: &Tensor, t: &Tensor) -> Tensor {
        let (rows, times) = (x.size()[0], Vec::<f64>::try_from(t.to_kind(Kind::Double).contiguous()).unwrap());
        let states = Vec::<i64>::try_from(x.contiguous().view([-1])).unwrap();
        let mut g = vec![0.0; rows as usize * SITES * 2];
        for (row, (x, t)) in states.chunks(SITES).zip(times).enumerate() {
            let (p, potential) = self.at(t);
            let index = x.iter().fold(0, |index, state| 2 * index + *state as usize);
            for (site, state) in x.iter().enumerate() {
                let other = index ^ (1 << (SITES - 1 - site));
                let current = potential[index] - potential[other];
                let from = if current > 0.0 { p[index] } else { p[other] };
                g[(row * SITES + site) * 2 + 1 - *state as usize] = current / from;
            }
        }
        Tensor::from_slice(&g).view([rows, SITES as i64, 2])
    }
}

fn exact_rates() -> ExactRates {
    ExactRates { log_rho: log_rho() }
}

fn simulate(net: &dyn RateNet, config: &CtmcConfig, rows: i64, seed: u64) -> Path {
    let target = target();
    let sim = Simulation { net, target: &target, device: Device::Cpu };
    match config {
        CtmcConfig::Uniformised(config) => uniformised(&sim, config, rows, Noise::new(seed)),
        _ => {
            let (step, grid) = config.grid().unwrap();
            rollout(&sim, step, grid, rows, Keep::Ends, Noise::new(seed))
        }
    }
}

fn grid(num_steps: i64, weights: Weights, mixing: f64) -> GridConfig {
    GridConfig { num_steps, weights, mixing, ..GridConfig::default() }
}

/// Pearson's statistic of final states against the target: seven degrees of freedom.
fn chi_square(path: &Path) -> f64 {
    let digits = Tensor::from_slice(&[4i64, 2, 1]);
    let index = Vec::<i64>::try_from((&path.x * digits).sum_dim_intlist(1, false, Kind::Int64)).unwrap();
    let mut counts = [0.0; STATES];
    index.iter().for_each(|state| counts[*state as usize] += 1.0);
    let (log_rho, n) = (log_rho(), index.len() as f64);
    let total = log_z(&log_rho);
    let expected = |state: usize| n * (log_rho[state] - total).exp();
    (0..STATES).map(|state| (counts[state] - expected(state)).powi(2) / expected(state)).sum()
}

/// The same of given states.
fn chi_square_of(x: &Tensor) -> f64 {
    let (log_weight, states, residuals) = (Tensor::zeros([0], (Kind::Double, Device::Cpu)), None, None);
    chi_square(&Path { x: x.shallow_clone(), log_weight, states, residuals, network_calls: 0, target_calls: 0 })
}

/// Below this with probability 0.9999.
const CHI_SQUARE_7: f64 = 29.9;

/// `mean exp(w) / Z - 1` in standard errors.
fn sigma(log_weights: &[f64]) -> f64 {
    let total = log_z(&log_rho());
    let ratios: Vec<f64> = log_weights.iter().map(|w| (w - total).exp()).collect();
    let n = ratios.len() as f64;
    let mean = ratios.iter().sum::<f64>() / n;
    let variance = ratios.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean - 1.0) / (variance / n).sqrt()
}

fn weights(path: &Path) -> Vec<f64> {
    Vec::try_from(&path.log_weight).unwrap()
}

#[test]
fn exact_rates_leave_no_residual_but_the_slope_of_log_z() {
    let (target, path) = (target(), AnnealedPath { sites: 3, states: 2 });
    let x = enumeration::states(2, 3);
    for t in [0.0, 0.31, 1.0] {
        let g = exact_rates().forward(&x, &Tensor::full([8], t, (Kind::Double, Device::Cpu)));
        let xi = residual(&path.slope(&target.log_prob(&x)), &g, &(target.log_ratios(&x) * t), None);
        let log_rho = log_rho();
        let at = |t: f64| log_z(&log_rho.iter().map(|l| t * l).collect::<Vec<_>>());
        let slope = (at(t + 1e-5) - at(t - 1e-5)) / 2e-5 + 8f64.ln();
        assert!((xi - slope).abs().max().double_value(&[]) < 1e-8, "{t}");
    }
}

#[test]
fn fine_grids_and_uniformisation_give_the_exact_law() {
    let net = exact_rates();
    let fine = grid(300, Weights::Left, 0.0);
    let mixed = grid(300, Weights::Left, 2.0);
    let events = UniformisedConfig { events: 8.0, ..UniformisedConfig::default() };
    for config in [
        CtmcConfig::Euler(fine),
        CtmcConfig::TauLeap(fine),
        CtmcConfig::Euler(mixed),
        CtmcConfig::Uniformised(events),
        CtmcConfig::Uniformised(UniformisedConfig { mixing: 1.0, ..events }),
    ] {
        let found = chi_square(&simulate(&net, &config, 20_000, 5));
        assert!(found < CHI_SQUARE_7, "{config:?}: {found}");
    }
    // The statistic can tell: three steps are too few.
    let coarse = chi_square(&simulate(&net, &CtmcConfig::Euler(grid(3, Weights::Left, 0.0)), 20_000, 5));
    assert!(coarse > 2.0 * CHI_SQUARE_7, "{coarse}");
}

#[test]
fn exact_rates_have_equal_weights_and_left_sums_their_known_bias() {
    let (net, exact, steps) = (exact_rates(), log_z(&log_rho()), 60);
    let mean = |weights| {
        let path = simulate(&net, &CtmcConfig::Euler(grid(steps, weights, 0.0)), 256, 1);
        assert!(path.log_weight.std(true).double_value(&[]) < 1e-9, "exact rates leave no variance");
        path.log_weight.mean(Kind::Double).double_value(&[]) - exact
    };
    let (log_rho, h) = (log_rho(), 1.0 / steps as f64);
    let slope = |t: f64| -> f64 {
        let total = log_z(&log_rho.iter().map(|l| t * l).collect::<Vec<_>>());
        log_rho.iter().map(|l| (t * l - total).exp() * l).sum()
    };
    let predicted = -0.5 * h * (slope(1.0) - slope(0.0));
    assert!((mean(Weights::Left) / predicted - 1.0).abs() < 0.01 && predicted < -0.005, "{predicted}");
    assert!(mean(Weights::Midpoint).abs() < 0.01 * predicted.abs());
    assert!(mean(Weights::Trapezoid).abs() < 0.01 * predicted.abs());
    let path = simulate(&net, &CtmcConfig::Uniformised(UniformisedConfig::default()), 256, 1);
    let off = (path.log_weight - exact).abs().max().double_value(&[]);
    assert!(off < 0.05, "{off}");
}

/// Any locally equivariant network: rates that are far from right.
fn some_network() -> Letf {
    reseed(11, Stream::Init, 0);
    let config = LetfConfig { hidden_dim: 8, head_dim: 4, num_blocks: 1, layers_per_block: 1 };
    Letf::new(Params::new(Kind::Float, Device::Cpu).root(), &config, SITES as i64, 2)
}

#[test]
fn path_weights_average_to_z_for_any_network_and_any_step() {
    let net = some_network();
    for step in [CtmcConfig::Euler, CtmcConfig::TauLeap] {
        let found = sigma(&weights(&simulate(&net, &step(grid(6, Weights::Path, 0.5)), 20_000, 2)));
        assert!(found.abs() < 4.0, "{:?}: {found}", step(GridConfig::default()));
    }
    let events = UniformisedConfig { events: 4.0, weights: Weights::Path, mixing: 0.5, ..UniformisedConfig::default() };
    let found = sigma(&weights(&simulate(&net, &CtmcConfig::Uniformised(events), 20_000, 2)));
    assert!(found.abs() < 4.0, "uniformised: {found}");
    // Left sums on so coarse a grid do not.
    let left = sigma(&weights(&simulate(&net, &CtmcConfig::Euler(grid(6, Weights::Left, 0.5)), 20_000, 2)));
    assert!(left.abs() > 6.0, "{left}");
}

#[test]
fn corrections_keep_the_mean_weight_and_improve_the_law() {
    let net = some_network();
    let corrected = GridConfig { resample_below: 0.95, heat_bath_updates: 2, ..grid(6, Weights::Path, 0.5) };
    let means: Vec<f64> = (0..200)
        .map(|seed| {
            let all = weights(&simulate(&net, &CtmcConfig::Euler(corrected), 64, seed));
            (all.iter().map(|w| w.exp()).sum::<f64>() / all.len() as f64).ln()
        })
        .collect();
    let found = sigma(&means);
    assert!(found.abs() < 4.0, "{found}");

    let plain = chi_square(&simulate(&net, &CtmcConfig::Euler(grid(6, Weights::Path, 0.5)), 4000, 3));
    let bathed = GridConfig { heat_bath_updates: 12, ..grid(6, Weights::Path, 0.5) };
    let bathed = chi_square(&simulate(&net, &CtmcConfig::Euler(bathed), 4000, 3));
    assert!(bathed < CHI_SQUARE_7 && plain > 2.0 * CHI_SQUARE_7, "{plain} {bathed}");
}

#[test]
fn single_site_updates_leave_their_own_law_as_it_is_and_no_other() {
    // Numbers in proportion to the law, by systematic sampling.
    let (log_rho, n) = (log_rho(), 20_000);
    let total = log_z(&log_rho);
    let mut cumulated = 0.0;
    let ends: Vec<f64> = log_rho.iter().map(|l| (cumulated += (l - total).exp(), cumulated).1).collect();
    let state = |i: i64| ends.iter().filter(|end| **end < (i as f64 + 0.5) / n as f64).count() as i64;
    let x: Vec<i64> = (0..n).flat_map(|i| [state(i) / 4, state(i) / 2 % 2, state(i) % 2]).collect();
    let x = Tensor::from_slice(&x).view([n, SITES as i64]);
    for update in [heat_bath, metropolis] {
        let after = |t: f64| update(&target(), &x, t, 3, &mut Noise::new(8));
        assert!(chi_square_of(&after(1.0)) < CHI_SQUARE_7);
        assert!(!after(1.0).equal(&x), "nothing moved");
        let other = chi_square_of(&after(0.5));
        assert!(other > 2.0 * CHI_SQUARE_7, "{other}");
    }
}

#[test]
fn rollouts_on_given_times_end_where_these_end() {
    let (net, target) = (exact_rates(), target());
    let sim = Simulation { net: &net, target: &target, device: Device::Cpu };
    let config = grid(40, Weights::Left, 0.0);
    let on = |times: &Times| {
        rollout_on(&sim, Step::Leap, &config, times, 20_000, Keep::States { clamp: None }, Noise::new(4))
    };
    // Uneven times to 1 sample the target as even ones do; half the way does not.
    let uneven = Times::new((0..=60).map(|k| (k as f64 / 60.0).powf(1.5)).collect());
    assert!(chi_square(&on(&uneven)) < CHI_SQUARE_7);
    let half = on(&Times::new((0..=20).map(|k| k as f64 / 40.0).collect()));
    assert!(chi_square(&half) > 2.0 * CHI_SQUARE_7);
    assert_eq!(half.states.as_ref().unwrap().size(), [21, 20_000, SITES as i64]);
    // Exact rates leave d/dt log Z_t, which is the sum's integrand: log Z_t at 1/2, the uniform law's being 0.
    let fine = on(&Times::new((0..=400).map(|k| k as f64 / 800.0).collect()));
    let exact = log_z(&log_rho().iter().map(|l| 0.5 * l).collect::<Vec<_>>()) - 0.5 * (STATES as f64).ln();
    let found = fine.log_weight.mean(Kind::Double).double_value(&[]);
    assert!((found - exact).abs() < 2e-3, "{found} {exact}");
}

#[test]
fn samples_do_not_depend_on_the_number_of_members() {
    let member = || {
        reseed(11, Stream::Init, 0);
        let params = Params::new(Kind::Float, Device::Cpu);
        let geometry = Geometry { sites: SITES as i64, states: 2, ..Geometry::default() };
        let net = RateNetConfig::default().build(params.root(), &geometry).unwrap();
        Member { net, free_energy: None, target: Box::new(target()), params }
    };
    let draw = |members: usize| {
        let mut team = Team::new(member());
        (1..members).for_each(|_| team.add(member()));
        // The team's own seed is one number of libtorch's generator, which the other tests here use as well.
        let groups: Vec<u64> = (0..5).collect();
        let parts = team.shared(groups, |member, seed| {
            rollout(&member.simulation(), Step::Leap, &grid(5, Weights::Path, 0.1), 7, Keep::Ends, Noise::new(seed))
        });
        Tensor::cat(&parts.iter().map(|path| path.log_weight.shallow_clone()).collect::<Vec<_>>(), 0)
    };
    assert!(draw(1).equal(&draw(3)));
}
