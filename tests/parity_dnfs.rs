//! Residual, loss, gradients and Euler probabilities against the authors' code (tests/fixtures/discrete/README.md).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sampler::io::assign::assign;
use sampler::io::tensors::read_tensors;
use sampler::io::weights::read_weights;
use sampler::losses::kolmogorov::{residual, squares, variances};
use sampler::nets::free_energy::FreeEnergy;
use sampler::nets::letf::{Letf, LetfConfig};
use sampler::processes::ctmc::{AnnealedPath, forward_rates};
use sampler::samplers::discrete::kernel::{Step, probabilities};
use sampler::targets::lattice::LatticeConfig;
use sampler::torch::params::Params;
use tch::{Device, Kind, Tensor};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/discrete").join(format!("{name}.safetensors"))
}

fn far(a: &Tensor, b: &Tensor) -> f64 {
    (a.to_kind(Kind::Double) - b.to_kind(Kind::Double)).abs().max().double_value(&[])
}

struct Authors {
    net: Letf,
    params: Params,
    tensors: BTreeMap<String, Tensor>,
}

fn authors() -> Authors {
    let file = read_weights(&fixture("letf_ising4x4")).unwrap();
    let size = |key: &str| file.metadata[key].parse::<i64>().unwrap();
    let [hidden_dim, head_dim] = ["hidden_dim", "head_dim"].map(size);
    let [num_blocks, layers_per_block] = ["num_blocks", "layers_per_block"].map(size);
    let params = Params::new(Kind::Float, Device::Cpu);
    let config = LetfConfig { hidden_dim, head_dim, num_blocks, layers_per_block };
    let net = Letf::new(params.root(), &config, 16, 2);
    let own = |key: &str| key.strip_prefix("w.").filter(|key| !key.ends_with("attn_mask")).map(String::from);
    assign(&params.named(), &file, own).unwrap();
    Authors { net, params, tensors: read_tensors(&fixture("dnfs_residual_ising4x4")).unwrap() }
}

#[test]
fn residual_loss_and_gradients_are_the_authors() {
    let Authors { net, params, tensors } = authors();
    // Both orders of a pair and a bias in nats: sigma 0.15 is beta 0.3.
    let yaml = serde_json::json!({"type": "ising", "size": 4, "beta": 0.3, "field": 0.1});
    let config: LatticeConfig = serde_json::from_value(yaml).unwrap();
    let target = config.build((Kind::Double, Device::Cpu)).unwrap();
    let path = AnnealedPath { sites: 16, states: 2 };
    let (x, t) = (&tensors["x"], &tensors["t"]);
    let slope = path.slope(&target.log_prob(x));
    assert!(far(&slope, &tensors["dt_log_unnorm"]) < 1e-5);

    let log_ratios = target.log_ratios(x) * t.view([-1, 1, 1]);
    let g = net.forward(x, t);
    assert!(far(&g, &tensors["G"]) < 1e-5);
    let xi = residual(&g, &slope, &log_ratios, None);
    assert!(far(&xi, &tensors["xi"]) < 2e-5, "{}", far(&xi, &tensors["xi"]));

    let clamped = residual(&g, &slope, &log_ratios, Some(5.0));
    let loss = squares(&clamped, &tensors["c"]).mean(Kind::Float);
    let expected = tensors["loss"].double_value(&[0]);
    assert!((loss.double_value(&[]) / expected - 1.0).abs() < 1e-5);
    loss.backward();
    let gradients: Vec<&String> = tensors.keys().filter(|key| key.starts_with("grad.")).collect();
    assert_eq!(gradients.len(), 5);
    for key in gradients {
        let name = key.trim_start_matches("grad.");
        let (_, parameter) = params.named().into_iter().find(|(own, _)| own == name).unwrap();
        let scale = tensors[key].abs().max().double_value(&[]);
        assert!(far(&parameter.grad(), &tensors[key]) < 1e-4 * scale.max(1e-3), "{key}");
    }
}

#[test]
fn euler_probabilities_are_the_authors() {
    let Authors { net, tensors, .. } = authors();
    let _guard = tch::no_grad_guard();
    let x = &tensors["x"];
    let t = Tensor::full([x.size()[0]], 0.37, (Kind::Float, Device::Cpu));
    let g = net.forward(x, &t);
    let found = probabilities(Step::Euler, &forward_rates(&g, &g.zeros_like(), 0.0), x, 1.0 / 63.0);
    assert!(far(&found, &tensors["euler_step_probs_t0.37_dt1over63"]) < 1e-6);
}

#[test]
fn absurd_residuals_are_bounded_and_variances_unbiased() {
    let xi = Tensor::from_slice(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 3.0]);
    let found = Vec::<f32>::try_from(squares(&xi, &Tensor::from_slice(&[1.0f32; 4]))).unwrap();
    assert_eq!(found, [0.0, 1.0, 1.0, 4.0]);
    let found = variances(&Tensor::from_slice(&[1.0, 3.0, 10.0, 10.0]), 2);
    assert_eq!(found.mean(Kind::Double).double_value(&[]), 1.0); // sample variances 2 and 0
}

#[test]
fn the_free_energy_and_its_slope_are_the_leaps_codes() {
    let file = read_weights(&fixture("leaps_Fnet_tiny")).unwrap();
    let params = Params::new(Kind::Float, Device::Cpu);
    let net = FreeEnergy::new(params.root(), &[8, 8]);
    assign(&params.named(), &file, |key| key.strip_prefix("w.").map(String::from)).unwrap();
    let (value, slope) = net.value_and_slope(file.get("t").unwrap());
    assert!(far(&value, file.get("F").unwrap()) < 1e-5 && far(&slope, file.get("dF_dt").unwrap()) < 1e-5);
    slope.sum(Kind::Float).backward();
    assert!(params.named()[0].1.grad().abs().max().double_value(&[]) > 0.0, "the slope has its own gradient");
}
