//! Importance sampling and metrics against the code of PROSE (tests/fixtures/prose/README.md).

use std::collections::BTreeMap;
use std::path::PathBuf;

use sampler::io::tensors::read_tensors;
use sampler::metrics::energy::wasserstein_1d;
use sampler::metrics::transport::{Geometry, wasserstein2};
use sampler::samplers::importance::energy::{Batched, Energy, TargetEnergy};
use sampler::samplers::importance::filter::below;
use sampler::samplers::importance::smc::{Bridge, Kernel, Time};
use sampler::samplers::importance::sums::WeightSums;
use sampler::samplers::importance::{CenterAdjustment, Resampling, ReweightConfig, Reweighter, WeightFilter};
use sampler::targets::molecule::{Molecule, MoleculeConfig};
use sampler::torch::autograd;
use tch::{Device, Kind, Tensor};

type Tensors = BTreeMap<String, Tensor>;

fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/prose").join(file)
}

fn fixture(file: &str) -> Tensors {
    read_tensors(&path(file)).expect("the fixture is valid")
}

fn numbers(t: &Tensor) -> Vec<f64> {
    Vec::try_from(t.to_kind(Kind::Double).flatten(0, -1)).expect("numbers")
}

fn indices(t: &Tensor) -> Vec<usize> {
    Vec::<i64>::try_from(t).expect("indices").into_iter().map(|i| i as usize).collect()
}

/// Largest `|found - expected| / max(1, |expected|)`.
fn error(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.size(), expected.size());
    let (found, expected) = (found.to_kind(Kind::Double), expected.to_kind(Kind::Double));
    let worst = ((found - &expected).abs() / expected.abs().clamp_min(1.0)).max().double_value(&[]);
    if worst.is_nan() { f64::INFINITY } else { worst }
}

#[test]
fn filters_weights_and_resampling() {
    let file = fixture("sampling/sampling.safetensors");
    let (source, target) = (&file["E_source"], &file["E_target"]);
    let mut reweighter = Reweighter::new(&ReweightConfig::default()).unwrap();
    for (source, target) in source.split(300, 0).iter().zip(target.split(300, 0)) {
        reweighter.push(source, &target).unwrap();
    }
    let weights = reweighter.finish();
    assert_eq!(weights.kept, indices(&file["kept_after_logw_quantile_0002"]));
    let worst = error(&Tensor::from_slice(&weights.log_weights), &file["logw_kept"]);
    assert!(worst < 1e-6, "log-weights {worst:.1e}");

    let expected = |key: &str| numbers(&file[key])[0];
    let ess = WeightSums::of(&weights.log_weights).ess();
    assert!((ess / expected("ess") - 1.0).abs() < 1e-5, "{ess}");
    assert!((weights.summary.ess / expected("normalized_ess") - 1.0).abs() < 1e-5);
    let config = ReweightConfig { filter: WeightFilter::None {}, ..ReweightConfig::default() };
    let mut unfiltered = Reweighter::new(&config).unwrap();
    unfiltered.push(source, target).unwrap();
    let ess = unfiltered.finish().summary.ess;
    assert!((ess / expected("normalized_ess_unfiltered") - 1.0).abs() < 1e-5, "{ess}");

    assert_eq!(below(&numbers(target), -45.0), indices(&file["kept_after_energy_cutoff_m45"]));
    let config = ReweightConfig { energy_cutoff: Some(-45.0), filter: WeightFilter::None {}, ..config };
    let mut cut = Reweighter::new(&config).unwrap();
    cut.push(source, target).unwrap();
    let cut = cut.finish();
    assert_eq!(cut.kept, indices(&file["kept_after_energy_cutoff_m45"]));
    assert_eq!((cut.summary.above_cutoff, cut.summary.kept), (258, 742));

    // The reference adds up its weights in f32: an index on the edge of two may go either way.
    let drawn = Resampling::Systematic.draw(&weights.log_weights, 998, &numbers(&file["systematic_u"])).unwrap();
    let expected = Vec::<i64>::try_from(&file["systematic_idx"]).unwrap();
    let different = drawn.iter().zip(&expected).filter(|(a, b)| a != b).count();
    assert!(drawn.len() == 998 && different <= 1, "{different} indices differ");
}

#[test]
fn the_first_weights_alone_count_where_asked_for() {
    let file = fixture("sampling/sampling.safetensors");
    let mut config = ReweightConfig::default();
    config.ess.first = Some(100);
    let mut reweighter = Reweighter::new(&config).unwrap();
    reweighter.push(&file["E_source"], &file["E_target"]).unwrap();
    let weights = reweighter.finish();
    let expected = WeightSums::of(&numbers(&file["logw_kept"])[..100]).normalised_ess();
    assert!((weights.summary.ess / expected - 1.0).abs() < 1e-5);
}

#[test]
fn the_centre_of_mass_as_upstream_and_as_it_should_be() {
    let file = fixture("sampling/sampling.safetensors");
    let x = &file["com.x"];
    let chi3 = error(&CenterAdjustment::Chi3.energy(x), &file["com.adjust"]);
    assert!(chi3 < 2e-6, "{chi3:.1e}");

    // The length r has the density 4 π r² times that of the vector.
    let x = x.to_kind(Kind::Double);
    let center = x.mean_dim([1i64].as_slice(), false, None);
    let square = center.square().sum_dim_intlist(-1, false, None);
    let shell = (square * (4.0 * std::f64::consts::PI)).log();
    let gaussian = CenterAdjustment::Gaussian.energy(&x);
    assert!(error(&(CenterAdjustment::Chi3.energy(&x) - shell), &gaussian) < 1e-12);
    // Gradients by hand: -N c / N for each atom, and 2 c / (N r²) more.
    let (value, gradient) = autograd::value_and_grad(&x, |x| CenterAdjustment::Gaussian.energy(x));
    assert!(error(&value, &gaussian) == 0.0);
    assert!(error(&gradient, &center.neg().unsqueeze(1).expand_as(&x)) < 1e-12);
    let (none, flat) =
        autograd::value_and_grad(&x.flatten(1, 2), |x| CenterAdjustment::None.energy(x) + x.sum(None) * 0.0);
    assert!(none.abs().max().double_value(&[]) == 0.0 && flat.abs().max().double_value(&[]) == 0.0);
}

#[test]
fn one_step_of_each_kernel() {
    let file = fixture("sampling/sampling.safetensors");
    let flat = |key: &str| file[key].to_kind(Kind::Double).flatten(1, -1);
    let (x, noise) = (flat("smc.x"), flat("smc.noise"));
    let rows = |t: Tensor| t.sum_dim_intlist(-1, false, None);
    let normal = |x: &Tensor| (rows(x.square() * 0.5), x.shallow_clone());
    let quartic = |x: &Tensor| (rows(x.pow_tensor_scalar(4) * 0.25 - x.square()), x.pow_tensor_scalar(3) - x * 2.0);
    let bridge = Bridge { source: Batched::new(&normal, 4), target: Batched::new(&quartic, 4) };
    let old = bridge.particles(&x, &file["smc.logw"]);

    let numbers = numbers(&file["smc.t_dt_eps"]);
    let at = Time { t: numbers[0], dt: numbers[1], step_size: numbers[2] };
    let uniforms = file["smc.u"].to_kind(Kind::Double);
    let (moved, info) = bridge.step(&old, Kernel::Ula, at, &noise, &uniforms);
    for (found, key) in [(&moved.log_weight, "logw"), (&moved.source, "E_source"), (&moved.target, "E_target")] {
        let worst = error(found, &file[&format!("smc.ula.{key}")]);
        assert!(worst < 5e-6, "ula {key}: {worst:.1e}");
    }
    assert!(error(&moved.x, &flat("smc.ula.x")) < 2e-6 && info.acceptance == 1.0 && info.non_finite == 0);

    let (moved, info) = bridge.step(&old, Kernel::Mala, at, &noise, &uniforms);
    assert!(error(&moved.x, &flat("smc.mala.x")) < 2e-6 && error(&moved.log_weight, &file["smc.mala.logw"]) < 2e-6);
    assert!((info.acceptance - file["smc.mala.rate"].double_value(&[0])).abs() < 1e-6);
    // Particles, then two steps; every point once.
    assert_eq!((bridge.source.calls(), bridge.target.calls()), (18, 18));
}

#[test]
fn molecular_energies_as_smc_sees_them() {
    for name in ["AA", "ARIP"] {
        let file = fixture(&format!("energy/{name}.safetensors"));
        let config = MoleculeConfig {
            system: path(&format!("energy/{name}_system.xml")),
            topology: path(&format!("energy/{name}.pdb")),
            temperature: 310.0,
            regularisation: None,
            first_order: true,
        };
        let molecule = Molecule::new(&config, (Kind::Double, Device::Cpu)).unwrap();
        let x = file["x_nm"].to_kind(Kind::Double).flatten(1, 2);
        let (energy, gradient) = TargetEnergy::new(&molecule, 1.0).value_and_gradient(&x);
        let per_kt = error(&energy, &file["E_kT_Reference"]);
        let slope = error(&gradient, &file["dE_dx_kT_per_nm_Reference"].flatten(1, 2));
        println!("{name}: energies {per_kt:.1e}, gradients {slope:.1e}");
        assert!(per_kt < 1e-6 && slope < 1e-5, "{name}: {per_kt:.1e} {slope:.1e}");

        let x = file["x_std"].to_kind(Kind::Double).flatten(1, 2);
        let standard = TargetEnergy::new(&molecule, 0.35);
        let (energy, gradient) = standard.value_and_gradient(&x);
        let (value, slope) =
            (error(&energy, &file["target_energy"]), error(&gradient, &file["target_grad_std"].flatten(1, 2)));
        println!("{name}, standardised: energies {value:.1e}, gradients {slope:.1e}");
        // x_std carries f32 rounding, which stiff bonds magnify.
        assert!(value < 2e-5 && slope < 2e-3, "{name}: {value:.1e} {slope:.1e}");
        assert!(standard.value(&x).equal(&energy));
    }
}

#[test]
fn distances_of_energies_torsions_and_planes() {
    let file = fixture("metrics/metrics.safetensors");
    let text = std::fs::read_to_string(path("metrics/metrics.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
    let close = |found: f64, key: &str| {
        let expected = expected[key].as_f64().unwrap();
        println!("{key}: {found} against {expected}");
        assert!((found / expected - 1.0).abs() < 1e-6, "{key}: {found} {expected}");
    };
    let (a, b) = (numbers(&file["energy_pred"]), numbers(&file["energy_true"]));
    close(wasserstein_1d(&a, &b, 1), "energy_w1");
    close(wasserstein_1d(&a, &b, 2), "energy_w2");
    close(wasserstein2(&file["torus_pred"], &file["torus_true"], Geometry::Torus).unwrap(), "torus_w2");
    close(wasserstein2(&file["tica_pred"], &file["tica_true"], Geometry::Flat).unwrap(), "plane_w2");
    for name in ["AA", "ARIP"] {
        let torsions = Tensor::cat(&[&file[&format!("{name}.phi")], &file[&format!("{name}.psi")]], 1);
        let halves = wasserstein2(&torsions.narrow(0, 0, 8), &torsions.narrow(0, 8, 8), Geometry::Torus);
        close(halves.unwrap(), &format!("{name}_torus_w2_first8_vs_last8"));
    }
}
