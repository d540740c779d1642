//! The locally equivariant transformer against its authors' code (tests/fixtures/discrete/README.md).

use std::path::{Path, PathBuf};

use sampler::io::assign::assign;
use sampler::io::weights::read_weights;
use sampler::nets::letf::{Letf, LetfConfig};
use sampler::torch::params::Params;
use sampler::torch::seed::{Stream, reseed};
use tch::{Device, Kind, Tensor};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/discrete").join(format!("{name}.safetensors"))
}

/// Largest `|G(tau, i | x) + G(x_i, i | x^{i->tau})|` over all sites and states.
fn violation(net: &Letf, x: &Tensor, t: &Tensor, states: i64) -> f64 {
    let rates = net.forward(x, t); // [B, D, S]
    let mut worst: f64 = 0.0;
    for (site, state) in (0..x.size()[1]).flat_map(|site| (0..states).map(move |state| (site, state))) {
        let changed = x.copy();
        let _ = changed.select(1, site).fill_(state);
        let back = net.forward(&changed, t).select(1, site).gather(1, &x.narrow(1, site, 1), false).squeeze_dim(1);
        worst = worst.max((rates.select(1, site).select(1, state) + back).abs().max().double_value(&[]));
    }
    worst
}

#[test]
fn released_weights_give_the_released_rates() {
    let _no_grad = tch::no_grad_guard();
    for name in ["letf_ising4x4", "letf_tiny_S2_2layers"] {
        let file = read_weights(&fixture(name)).unwrap();
        let size = |key: &str| file.metadata[key].parse::<i64>().unwrap();
        let config = LetfConfig {
            hidden_dim: size("hidden_dim"),
            head_dim: size("head_dim"),
            num_blocks: size("num_blocks"),
            layers_per_block: size("layers_per_block"),
        };
        let params = Params::new(Kind::Float, Device::Cpu);
        let net = Letf::new(params.root(), &config, size("data_dim"), size("vocab_size"));
        let own = |key: &str| key.strip_prefix("w.").filter(|key| !key.ends_with("attn_mask")).map(String::from);
        assign(&params.named(), &file, own).unwrap();

        let (x, t, expected) = (file.get("x").unwrap(), file.get("t").unwrap(), file.get("G").unwrap());
        let error = (net.forward(x, t) - expected).abs().max().double_value(&[]);
        assert!(error < 1e-5, "{name}: {error}");
        assert_eq!(violation(&net, x, t, 2), 0.0, "{name}");
    }
}

#[test]
fn fresh_networks_are_locally_equivariant_to_the_bit() {
    let _no_grad = tch::no_grad_guard();
    for (sites, states, config) in
        [(9, 3, LetfConfig::default()), (1, 4, LetfConfig { num_blocks: 1, ..LetfConfig::default() })]
    {
        config.validate().unwrap();
        reseed(4, Stream::Init, 0);
        let params = Params::new(Kind::Float, Device::Cpu);
        let net = Letf::new(params.root(), &config, sites, states);
        let x = Tensor::randint(states, [5, sites], (Kind::Int64, Device::Cpu));
        let t = Tensor::linspace(0, 1, 5, (Kind::Float, Device::Cpu));
        let rates = net.forward(&x, &t);
        assert_eq!(rates.size(), [5, sites, states]);
        assert!(rates.abs().max().double_value(&[]) > 1e-3, "nothing to compare");
        assert_eq!(rates.gather(2, &x.unsqueeze(2), false).abs().max().double_value(&[]), 0.0);
        assert_eq!(violation(&net, &x, &t, states), 0.0);
    }
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    let message = LetfConfig { head_dim: 7, ..LetfConfig::default() }.validate().unwrap_err().to_string();
    assert!(message.contains("'net.hidden_dim' must be a multiple of 7, found 64"), "{message}");
}
