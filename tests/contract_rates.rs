//! What every network of rates promises, and the networks of LEAPS against their authors' code.

use std::path::{Path, PathBuf};

use sampler::io::assign::assign;
use sampler::io::weights::{Weights, read_weights};
use sampler::nets::free_energy::FreeEnergy;
use sampler::nets::leconv::{Leconv, LeconvConfig, Padding};
use sampler::nets::legf::{Legf, LegfConfig};
use sampler::nets::{Geometry, RateNet, RateNetConfig};
use sampler::torch::params::Params;
use sampler::torch::seed::{Stream, reseed};
use serde_json::json;
use tch::{Device, Kind, Tensor};

/// One of every kind, and states enough to tell spins from tokens.
fn networks() -> Vec<(RateNetConfig, Geometry)> {
    let parse = |config| serde_json::from_value::<RateNetConfig>(config).unwrap();
    let lattice = |side: i64, states| Geometry { sites: side * side, states, side: Some(side), distances: None };
    // Two paths of three vertices each, not joined.
    let path = Tensor::from_slice(&[0i64, 1, 2, 1, 0, 1, 2, 1, 0]).view([3, 3]);
    let apart = Tensor::full([3, 3], -1, (Kind::Int64, Device::Cpu));
    let rows = [Tensor::cat(&[&path, &apart], 1), Tensor::cat(&[&apart, &path], 1)];
    let graph = |states| Geometry { sites: 6, states, side: None, distances: Some(Tensor::cat(&rows, 0)) };
    vec![
        (parse(json!({"type": "letf", "hidden_dim": 16, "head_dim": 8, "num_blocks": 2})), lattice(3, 2)),
        (parse(json!({"type": "lemlp", "hidden_dim": 8, "terms": 3})), lattice(3, 2)),
        (parse(json!({"type": "lemlp", "hidden_dim": 8, "terms": 1})), graph(4)),
        (parse(json!({"type": "leattn", "hidden_dim": 16, "head_dim": 8})), lattice(3, 3)),
        (parse(json!({"type": "leconv", "channels": 4, "kernels": [3, 5, 5]})), lattice(4, 2)),
        (parse(json!({"type": "leconv", "channels": 4, "kernels": [3, 3, 5]})), lattice(4, 3)),
        (parse(json!({"type": "leconv", "channels": 3, "kernels": [5]})), lattice(3, 2)),
        (
            parse(
                json!({"type": "leconv", "channels": 4, "kernels": [3, 5, 3], "symmetry": "spin_flip", "global": true}),
            ),
            lattice(4, 2),
        ),
        (parse(json!({"type": "legf", "hidden_dim": 16, "head_dim": 8, "num_blocks": 2})), graph(2)),
        (parse(json!({"type": "legf", "hidden_dim": 16, "head_dim": 8, "num_blocks": 1})), graph(3)),
    ]
}

fn largest(x: &Tensor) -> f64 {
    x.abs().max().to_kind(Kind::Double).double_value(&[])
}

/// Largest `|G(tau, i | x) + G(x_i, i | x^{i->tau})|` over all sites and states.
fn violation(net: &dyn RateNet, x: &Tensor, t: &Tensor, states: i64) -> f64 {
    let rates = net.forward(x, t); // [B, D, S]
    let mut worst: f64 = 0.0;
    for (site, state) in (0..x.size()[1]).flat_map(|site| (0..states).map(move |state| (site, state))) {
        let changed = x.copy();
        let _ = changed.select(1, site).fill_(state);
        let back = net.forward(&changed, t).select(1, site).gather(1, &x.narrow(1, site, 1), false).squeeze_dim(1);
        worst = worst.max(largest(&(rates.select(1, site).select(1, state) + back)));
    }
    worst
}

/// Rates of all flips, `[B, D]`, of convolutions with noisy weights, at random states and at those with all spins turned.
fn rates_and_turned(config: serde_json::Value) -> [Tensor; 2] {
    reseed(4, Stream::Init, 0);
    let params = Params::new(Kind::Double, Device::Cpu);
    let geometry = Geometry { sites: 16, states: 2, side: Some(4), distances: None };
    let net = serde_json::from_value::<RateNetConfig>(config).unwrap().build(params.root(), &geometry).unwrap();
    for (_, parameter) in params.named() {
        let _guard = tch::no_grad_guard();
        let _ = parameter.shallow_clone().g_add_(&(parameter.randn_like() * 0.2));
    }
    let x = Tensor::randint(2, [6, 16], (Kind::Int64, Device::Cpu));
    let t = Tensor::linspace(0, 1, 6, (Kind::Float, Device::Cpu));
    // A site's own state has 0, so the sum is the other's.
    [x.shallow_clone(), 1 - x].map(|x| net.forward(&x, &t).sum_dim_intlist(2, false, None::<Kind>))
}

#[test]
fn spin_flip_convolutions_do_not_tell_up_from_down() {
    let config =
        |symmetry| json!({"type": "leconv", "channels": 4, "kernels": [3, 5, 3], "symmetry": symmetry, "global": true});
    let [rates, turned] = rates_and_turned(config("spin_flip"));
    assert!(largest(&rates) > 1e-2 && largest(&(&rates - turned)) < 1e-12 * largest(&rates));
    // The plain ones do, so the comparison can fail.
    let [rates, turned] = rates_and_turned(config("none"));
    assert!(largest(&(&rates - turned)) > 1e-3 * largest(&rates));
}

#[test]
fn every_network_is_locally_equivariant_to_the_bit() {
    for (config, geometry) in networks() {
        for kind in [Kind::Float, Kind::Double] {
            reseed(4, Stream::Init, 0);
            config.validate().unwrap();
            let params = Params::new(kind, Device::Cpu);
            let net = config.build(params.root(), &geometry).unwrap();
            let (d, s) = (geometry.sites, geometry.states);
            // Weights of the convolutions begin so near to 0 that all sites look alike.
            for (_, parameter) in params.named() {
                let _guard = tch::no_grad_guard();
                let _ = parameter.shallow_clone().g_add_(&(parameter.randn_like() * 0.2));
            }

            let x = Tensor::randint(s, [5, d], (Kind::Int64, Device::Cpu));
            let t = Tensor::linspace(0, 1, 5, (Kind::Float, Device::Cpu));
            let rates = net.forward(&x, &t);
            assert_eq!((rates.size(), rates.kind()), (vec![5, d, s], kind), "{config:?}");
            assert!(largest(&rates) > 1e-3, "{config:?}: nothing to compare");
            assert_eq!(largest(&rates.gather(2, &x.unsqueeze(2), false)), 0.0, "{config:?}");
            assert_eq!(violation(&*net, &x, &t, s), 0.0, "{config:?} {kind:?}");
        }
    }
}

#[test]
fn every_network_sees_the_other_sites_and_the_time() {
    for (config, geometry) in networks() {
        reseed(5, Stream::Init, 0);
        let params = Params::new(Kind::Double, Device::Cpu);
        let net = config.build(params.root(), &geometry).unwrap();
        for (_, parameter) in params.named() {
            let _guard = tch::no_grad_guard();
            let _ = parameter.shallow_clone().g_add_(&(parameter.randn_like() * 0.2));
        }
        let x = Tensor::zeros([1, geometry.sites], (Kind::Int64, Device::Cpu));
        let other = x.copy();
        let _ = other.select(1, 1).fill_(1);
        let at = |x: &Tensor, t: f64| net.forward(x, &Tensor::from_slice(&[t]));
        let rates = at(&x, 0.3);
        // Site 1 changed: site 0 must know, and so must it know the time.
        assert!(largest(&(at(&other, 0.3).select(1, 0) - rates.select(1, 0))) > 1e-6, "{config:?}");
        assert!(largest(&(at(&x, 0.8).select(1, 0) - rates.select(1, 0))) > 1e-6, "{config:?}");
        // A batch holds nothing but its rows.
        let both = net.forward(&Tensor::cat(&[&x, &other], 0), &Tensor::from_slice(&[0.3, 0.8]));
        assert!(largest(&(both.narrow(0, 0, 1) - &rates)) < 1e-12, "{config:?}");
        assert!(largest(&(both.narrow(0, 1, 1) - at(&other, 0.8))) < 1e-12, "{config:?}");
    }
}

#[test]
fn every_parameter_learns() {
    for (config, geometry) in networks() {
        reseed(6, Stream::Init, 0);
        let params = Params::new(Kind::Float, Device::Cpu);
        let net = config.build(params.root(), &geometry).unwrap();
        let x = Tensor::randint(geometry.states, [16, geometry.sites], (Kind::Int64, Device::Cpu));
        let t = Tensor::rand([16], (Kind::Float, Device::Cpu));
        net.forward(&x, &t).square().sum(Kind::Float).backward();
        for (name, parameter) in params.named() {
            let gradient = parameter.grad();
            assert!(gradient.defined() && largest(&gradient) > 0.0, "{config:?}: {name} has no gradient");
            assert!(largest(&gradient).is_finite(), "{config:?}: {name}");
        }
    }
}

#[test]
fn networks_refuse_sites_that_they_cannot_serve() {
    let refusal = |config, geometry: Geometry| {
        let params = Params::new(Kind::Float, Device::Cpu);
        let config: RateNetConfig = serde_json::from_value(config).unwrap();
        config.build(params.root(), &geometry).err().map(|error| error.to_string()).unwrap_or_default()
    };
    let torus = |side: i64| Geometry { sites: side * side, states: 2, side: Some(side), distances: None };
    let line = || Geometry { sites: 5, states: 2, ..Geometry::default() };
    for (config, geometry, part) in [
        (json!({"type": "leconv"}), line(), "periodic square lattice"),
        (json!({"type": "leconv"}), torus(3), "'net.kernels.2' must be at most 5"),
        (json!({"type": "legf"}), line(), "graph"),
        (json!({"type": "leattn"}), Geometry { sites: 1, states: 2, ..Geometry::default() }, "at least 2 sites"),
    ] {
        let message = refusal(config, geometry);
        assert!(message.contains(part), "'{part}' is not in: {message}");
    }
    let message = LeconvConfig { kernels: vec![3, 4], ..LeconvConfig::default() }.validate().unwrap_err().to_string();
    assert!(message.contains("'net.kernels.1' must be odd"), "{message}");
}

fn fixture(name: &str) -> Weights {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/discrete");
    read_weights(&folder.join(format!("{name}.safetensors"))).unwrap()
}

/// The parameters of a fixture; masks are the code's own.
fn parameter(key: &str) -> Option<String> {
    key.strip_prefix("w.").filter(|key| !key.ends_with("mask")).map(String::from)
}

#[test]
fn convolutions_give_the_released_rates() {
    let _no_grad = tch::no_grad_guard();
    for (name, states) in [("leaps_conv_ising_tiny", 2), ("leaps_conv_potts_tiny", 3)] {
        let file = fixture(name);
        let number = |key: &str| file.metadata[key].parse::<i64>().unwrap();
        let config = LeconvConfig {
            channels: number("num_channels"),
            kernels: serde_json::from_str(&file.metadata["kernel_sizes"]).unwrap(),
            padding: Padding::Zeros,
            ..LeconvConfig::default()
        };
        let side = number("L");
        let geometry = Geometry { sites: side * side, states, side: Some(side), distances: None };
        let params = Params::new(Kind::Float, Device::Cpu);
        let net = Leconv::new(params.root(), &config, &geometry).unwrap();
        assign(&params.named(), &file, parameter).unwrap();

        let (x, t, expected) = (file.get("x").unwrap(), file.get("t").unwrap(), file.get("F").unwrap());
        let spins = states == 2;
        let x = if spins { x.gt(0.0).to_kind(Kind::Int64) } else { x.shallow_clone() }.flatten(1, 2);
        let rates = net.forward(&x, t); // [B, D, S]
        let found = if spins { rates.sum_dim_intlist(2, false, None::<Kind>) } else { rates.transpose(1, 2) };
        let error = largest(&(found.reshape(expected.size()) - expected));
        assert!(error < 1e-5, "{name}: {error}");
        assert_eq!(violation(&net, &x, t, states), 0.0, "{name}");

        // What stays and what comes in, with the density's ratios, as the authors sum it.
        let energy = file.get(if spins { "delta_U_flip" } else { "delta_U" }).unwrap().reshape(found.size());
        let sum = (-found.relu() + (-&found).relu() * (-energy).exp()).sum_dim_intlist(
            if spins { vec![1] } else { vec![1, 2] },
            false,
            None::<Kind>,
        );
        let expected = file.get("stay_plus_weighted_in_rates").unwrap();
        let error = largest(&(sum - expected)) / largest(expected);
        assert!(error < 1e-5, "{name}: {error}");
    }
}

#[test]
fn the_free_energy_and_its_slope_are_the_released_ones() {
    let file = fixture("leaps_Fnet_tiny");
    let params = Params::new(Kind::Float, Device::Cpu);
    let net = FreeEnergy::new(params.root(), &[8, 8]);
    assign(&params.named(), &file, parameter).unwrap();
    let (value, slope) = net.value_and_slope(file.get("t").unwrap());
    for (found, key) in [(&value, "F"), (&slope, "dF_dt")] {
        let error = largest(&(found - file.get(key).unwrap()));
        assert!(error < 1e-6, "{key}: {error}");
    }
    slope.square().sum(Kind::Float).backward();
    // The last bias moves the value only.
    let moved = params.named().iter().filter(|(_, p)| p.grad().defined() && largest(&p.grad()) > 0.0).count();
    assert_eq!(moved, params.named().len() - 1);
}

#[test]
fn places_without_a_vertex_change_nothing() {
    let _no_grad = tch::no_grad_guard();
    reseed(7, Stream::Init, 0);
    let config = LegfConfig { hidden_dim: 16, head_dim: 8, num_blocks: 2 };
    let params = Params::new(Kind::Double, Device::Cpu);
    let net = Legf::without_graph(params.root(), &config).unwrap();
    for (_, parameter) in params.named() {
        let _ = parameter.shallow_clone().g_add_(&(parameter.randn_like() * 0.2));
    }
    let path = Tensor::from_slice(&[0i64, 1, 2, 1, 0, 1, 2, 1, 0]).view([1, 3, 3]);
    let wide = Tensor::full([1, 5, 5], -2, (Kind::Int64, Device::Cpu));
    wide.narrow(1, 0, 3).narrow(2, 0, 3).copy_(&path);

    let x = Tensor::from_slice(&[1i64, 0, 1, 1, 0]).view([1, 5]);
    let t = Tensor::from_slice(&[0.4]);
    let alone = net.forward_on(&x.narrow(1, 0, 3), &t, &path);
    let among = net.forward_on(&x, &t, &wide);
    assert!(largest(&(among.narrow(1, 0, 3) - &alone)) < 1e-12);
    assert_eq!(largest(&among.narrow(1, 3, 2)), 0.0, "nobody has no rates");
    assert!(largest(&alone) > 1e-3 && bool::try_from(among.isfinite().all()).unwrap());
}
