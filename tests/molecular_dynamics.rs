//! Integrators and exchanges of temperature against what is known exactly.

use sampler::samplers::mcmc::exchange::{Ladder, energies};
use sampler::samplers::mcmc::langevin::LangevinMiddle;
use sampler::samplers::mcmc::verlet::VelocityVerlet;
use sampler::samplers::mcmc::{Dynamics, Mechanics, State};
use sampler::targets::Target;
use sampler::targets::molecule::{Molecule, MoleculeConfig};
use sampler::torch::seed::{Stream, reseed};
use tch::{Device, Kind, Tensor};

const F64: (Kind, Device) = (Kind::Double, Device::Cpu);

/// Independent springs: the energy `k x² / 2` in units of `kt`.
struct Springs {
    stiffness: Tensor, // [D] kJ/mol/nm²
    kt: f64,
}

impl Target for Springs {
    fn dim(&self) -> i64 {
        self.stiffness.size()[0]
    }

    fn log_prob(&self, x: &Tensor) -> Tensor {
        (x.square() * &self.stiffness).sum_dim_intlist(-1, false, None) * (-0.5 / self.kt)
    }
}

/// Two wells, coupled: the energy `((a² - 1)² + (b - a/2)²) kt`.
struct TwoWells;

impl Target for TwoWells {
    fn dim(&self) -> i64 {
        2
    }

    fn log_prob(&self, x: &Tensor) -> Tensor {
        let (a, b) = (x.select(1, 0), x.select(1, 1));
        -(a.square() - 1.0).square() - (&b - &a * 0.5).square()
    }
}

fn mechanics(kt: f64, masses: &[f64]) -> Mechanics {
    Mechanics { kt, masses: Tensor::from_slice(masses) }
}

/// The stationary covariance of position and velocity of one oscillator, from the integrator's own (linear) map:
/// its columns are the images of unit states, its noise the image of a unit normal.
fn stationary(step: f64, friction: f64, stiffness: f64, mass: f64, kt: f64) -> [[f64; 2]; 2] {
    let target = Springs { stiffness: Tensor::from_slice(&[stiffness]), kt: 2.0 };
    let kts = Tensor::from_slice(&[kt; 3]);
    let dynamics = LangevinMiddle::new(step, friction, &mechanics(2.0, &[mass]), &kts);
    let start = |x: [f64; 3]| Tensor::from_slice(&x).view([3, 1]);
    let state = State { x: start([1.0, 0.0, 0.0]), v: start([0.0, 1.0, 0.0]) };
    let (end, _) = dynamics.advance(&target, state, &start([0.0, 0.0, 1.0]).unsqueeze(0));
    let at = |row: i64| [end.x.double_value(&[row, 0]), end.v.double_value(&[row, 0])];
    let (dx, dv, noise) = (at(0), at(1), at(2));

    // Doubling: S(2n) = S(n) + M^n S(n) M^n^T.
    let transposed = |m: [[f64; 2]; 2]| [[m[0][0], m[1][0]], [m[0][1], m[1][1]]];
    let mut map = [[dx[0], dv[0]], [dx[1], dv[1]]];
    let mut covariance = [[noise[0] * noise[0], noise[0] * noise[1]], [noise[1] * noise[0], noise[1] * noise[1]]];
    for _ in 0..40 {
        let carried = product(product(map, covariance), transposed(map));
        (0..4).for_each(|k| covariance[k / 2][k % 2] += carried[k / 2][k % 2]);
        map = product(map, map);
    }
    covariance
}

fn product(a: [[f64; 2]; 2], b: [[f64; 2]; 2]) -> [[f64; 2]; 2] {
    let entry = |i: usize, j: usize| a[i][0] * b[0][j] + a[i][1] * b[1][j];
    [[entry(0, 0), entry(0, 1)], [entry(1, 0), entry(1, 1)]]
}

#[test]
fn langevin_middle_is_exact_in_a_harmonic_well_at_any_stable_step() {
    let (stiffness, mass) = (3.0e5, 12.0); // a carbon on a stiff bond: period 40 fs
    let omega = f64::sqrt(stiffness / mass);
    for phase in [0.01, 0.5, 1.0, 1.9] {
        for (friction, kt) in [(1.0, 2.5), (200.0, 2.5), (20.0, 5.0)] {
            let [[xx, _], [_, vv]] = stationary(phase / omega, friction, stiffness, mass, kt);
            // Configurational temperature: mean squared force over mean curvature, k <x²>.
            assert!((stiffness * xx / kt - 1.0).abs() < 1e-9, "step {phase}/omega: {}", stiffness * xx / kt);
            assert!((mass * vv / kt - 1.0).abs() < 1e-9, "step {phase}/omega: {}", mass * vv / kt);
        }
    }
    // Beyond step * omega = 2 there is nothing stationary.
    let [[xx, _], _] = stationary(2.1 / omega, 1.0, stiffness, mass, 2.5);
    assert!(!xx.is_finite());
}

/// Largest error of the total energy over a stretch of time.
fn energy_error(step: f64) -> f64 {
    let mechanics = mechanics(2.0, &[1.5, 4.0]);
    let dynamics = VelocityVerlet::new(step, &mechanics);
    let mut state = State { x: Tensor::from_slice2(&[[1.3, 0.2]]), v: Tensor::from_slice2(&[[0.4, -0.7]]) };
    let total = |state: &State| energies(&TwoWells, &state.x, 2.0)[0] + mechanics.kinetic(&state.v).double_value(&[0]);
    let before = total(&state);
    let mut worst: f64 = 0.0;
    for _ in 0..(20.0 / step) as i64 {
        state = dynamics.advance(&TwoWells, state, &Tensor::zeros([1, 1, 2], F64)).0;
        worst = worst.max((total(&state) - before).abs());
    }
    worst
}

#[test]
fn the_energy_of_velocity_verlet_drifts_with_the_square_of_the_step() {
    let errors = [0.04, 0.02, 0.01, 0.005].map(energy_error);
    assert!(errors[3] > 1e-7, "{errors:?}");
    for pair in errors.windows(2) {
        let order = (pair[0] / pair[1]).log2();
        assert!((order - 2.0).abs() < 0.1, "order {order} from {errors:?}");
    }
}

/// Largest error of the total energy of alanine dipeptide over 100 fs from its PDB file's structure, kJ/mol.
fn molecular_energy_error(step: f64) -> f64 {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/molecules/aldp_ff96_obc1");
    let (system, topology) = (folder.join("system.xml"), folder.join("topology.pdb"));
    let config = MoleculeConfig { system, topology, temperature: 300.0, regularisation: None, first_order: false };
    let molecule = Molecule::new(&config, F64).unwrap();
    let masses: Vec<f64> = molecule.force_field().masses().iter().flat_map(|mass| [*mass; 3]).collect();
    let mechanics = mechanics(molecule.kt(), &masses);
    let dynamics = VelocityVerlet::new(step, &mechanics);
    reseed(1, Stream::Init, 0);
    let kts = Tensor::from_slice(&[molecule.kt()]);
    let v = mechanics.maxwell(&kts, &Tensor::randn([1, molecule.dim()], F64));
    let mut state = State { x: molecule.topology().flat_positions(), v };
    let total =
        |state: &State| energies(&molecule, &state.x, mechanics.kt)[0] + mechanics.kinetic(&state.v).double_value(&[0]);
    let before = total(&state);
    let mut worst: f64 = 0.0;
    for _ in 0..(0.1 / step).round() as i64 {
        state = dynamics.advance(&molecule, state, &Tensor::zeros([1, 1, molecule.dim()], F64)).0;
        worst = worst.max((total(&state) - before).abs());
    }
    worst
}

#[test]
fn a_molecule_keeps_its_energy_to_second_order_in_the_step() {
    let errors = [5e-4, 2.5e-4, 1.25e-4].map(molecular_energy_error);
    assert!(errors[0] < 1.0 && errors[2] > 1e-4, "{errors:?}");
    for pair in errors.windows(2) {
        let order = (pair[0] / pair[1]).log2();
        assert!((order - 2.0).abs() < 0.15, "order {order} from {errors:?}");
    }
}

#[test]
fn velocity_verlet_runs_backwards_and_in_stretches() {
    let dynamics = VelocityVerlet::new(0.02, &mechanics(2.0, &[1.5, 4.0]));
    let start = || State { x: Tensor::from_slice2(&[[1.3, 0.2]]), v: Tensor::from_slice2(&[[0.4, -0.7]]) };
    let noise = |steps: i64| Tensor::zeros([steps, 1, 2], F64);
    let (end, info) = dynamics.advance(&TwoWells, start(), &noise(100));
    assert_eq!(info.target_calls, 101);

    let half = dynamics.advance(&TwoWells, start(), &noise(37)).0;
    let rest = dynamics.advance(&TwoWells, half, &noise(63)).0;
    assert!((&rest.x - &end.x).abs().max().double_value(&[]) < 1e-12);

    let back = dynamics.advance(&TwoWells, State { x: end.x, v: -end.v }, &noise(100)).0;
    assert!((back.x - start().x).abs().max().double_value(&[]) < 1e-11);
    assert!((back.v + start().v).abs().max().double_value(&[]) < 1e-11);
}

/// Mean square and its standard error of each of `rungs` blocks of rows, of `[N, D]`.
fn mean_squares(x: &Tensor, rungs: i64) -> Vec<(f64, f64)> {
    let rows = x.size()[0] / rungs;
    let block = |rung: i64| {
        let squares = x.narrow(0, rung * rows, rows).square().view([-1]);
        let n = squares.numel() as f64;
        (squares.mean(None).double_value(&[]), squares.std(true).double_value(&[]) / n.sqrt())
    };
    (0..rungs).map(block).collect()
}

/// At a step near the limit of stability, with exchanges after every other step: LFMiddle is exact there, so any
/// error is the exchanges'.
#[test]
fn exchanges_leave_every_rung_canonical() {
    let (kt, mass) = (2.0, 3.0);
    let target = Springs { stiffness: Tensor::from_slice(&[mass, 2.0 * mass, 0.5 * mass]), kt }; // omega 1, 1.4, 0.7
    let ladder = Ladder { kts: vec![2.0, 3.0, 4.5], chains: 4000 };
    let mechanics = mechanics(kt, &[mass; 3]);
    let row_kts = Tensor::from_slice(&ladder.row_kts());
    let dynamics = LangevinMiddle::new(1.3, 0.8, &mechanics, &row_kts);

    reseed(3, Stream::Train, 0);
    let normals = || Tensor::randn([ladder.replicas(), 3], F64);
    // All rungs start at the coldest temperature: it is the dynamics that must find the others.
    let mut state = State { x: normals() * (2.0f64 / 3.0).sqrt(), v: normals() };
    let mut accepted = [(0, 0); 2];
    for sweep in 0..150 {
        state = dynamics.advance(&target, state, &Tensor::randn([2, ladder.replicas(), 3], F64)).0;
        let uniforms = Vec::<f64>::try_from(Tensor::rand([ladder.replicas()], F64)).unwrap();
        let swaps = ladder.sweep(&energies(&target, &state.x, kt), &uniforms, sweep % 2 == 1);
        state = ladder.apply(&swaps, &state, &target, &mechanics, dynamics.velocity_lag());
        accepted.iter_mut().zip(&swaps.counts).for_each(|(sum, new)| sum.1 += new.1);
    }
    assert!(accepted.iter().all(|(_, n)| *n > 100_000), "{accepted:?}");

    let scaled = &state.x * target.stiffness.sqrt();
    for (rung, (mean, error)) in mean_squares(&scaled, 3).into_iter().enumerate() {
        let expected = ladder.kts[rung];
        assert!((mean - expected).abs() < 4.0 * error, "rung {rung}: k <x²> = {mean} ± {error}, kT = {expected}");
        assert!(error < 0.015 * expected);
    }
    for (rung, (mean, error)) in mean_squares(&(state.v * mass.sqrt()), 3).into_iter().enumerate() {
        let expected = ladder.kts[rung];
        assert!((mean - expected).abs() < 4.0 * error, "rung {rung}: m <v²> = {mean} ± {error}, kT = {expected}");
    }
}

#[test]
fn the_centre_of_mass_comes_to_rest_at_the_origin() {
    let mechanics = mechanics(2.0, &[1.0, 1.0, 5.0, 5.0]); // two particles in the plane
    let state =
        State { x: Tensor::from_slice2(&[[6.0, 0.0, 0.0, 12.0]]), v: Tensor::from_slice2(&[[1.0, 2.0, 1.0, 2.0]]) };
    let centered = mechanics.centered(&state, 2);
    let expected = Tensor::from_slice2(&[[5.0, -10.0, -1.0, 2.0]]);
    assert!((centered.x - expected).abs().max().double_value(&[]) < 1e-14);
    assert!(centered.v.abs().max().double_value(&[]) < 1e-15);
}
