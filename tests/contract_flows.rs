//! What every flow keeps: it inverts, its log-determinant is its Jacobian's, padding and order do not leak.

mod flows_common;

use flows_common::{F32, F64, difference, made_up, row, scrambled};
use sampler::flows::{EmbedderConfig, Flow, FlowConfig, Inversion, NetworkConfig, layout};
use sampler::torch::autograd::grad;
use sampler::torch::seed::{Stream, reseed};
use sampler::torch::threads;
use tch::{Device, Kind, Tensor};

/// Small networks of both types, of odd sizes and with every switch off in one of them.
fn configs() -> Vec<FlowConfig> {
    let small = NetworkConfig {
        channels: 24,
        head_dim: 6,
        num_blocks: 2,
        layers_per_block: 2,
        expansion: 3,
        max_num_tokens: 12,
        cond_embed: EmbedderConfig { hidden_dim: Some(10), num_atom_emb: 12, num_residue_emb: 5, ..Default::default() },
        pos_embed_div_value: 50.0,
        layer_norm_eps: 1e-3,
        ..NetworkConfig::default()
    };
    let bare = NetworkConfig {
        num_blocks: 3,
        layers_per_block: 1,
        use_qkln: false,
        lookahead_conditioning: Some(false),
        use_transition: Some(false),
        ..small.clone()
    };
    vec![FlowConfig::Prose(small.clone()), FlowConfig::Prose(bare), FlowConfig::Tarflow(small)]
}

fn blocks(config: &FlowConfig) -> usize {
    config.orders().len()
}

fn normal(size: &[i64]) -> Tensor {
    Tensor::randn(size, F64)
}

#[test]
fn inverse_undoes_forward_and_log_determinants_cancel() {
    for config in configs() {
        reseed(1, Stream::Init, 0);
        let flow = scrambled(&config, F64);
        let molecules = made_up(blocks(&config), 11);
        molecules.check(&config).unwrap();
        let molecules = flow.prepare(&molecules);
        let mask = made_up(1, 11).mask.unwrap().to_kind(Kind::Double).unsqueeze(-1);
        let x = normal(&[2, 11, 3]) * &mask;
        let (z, log_det) = flow.forward(&x, &molecules);
        assert!(difference(&z, &x) > 0.1, "the network does nothing");
        assert_eq!(difference(&(&z * (1.0 - &mask)), &z.zeros_like()), 0.0, "padding is not zero");
        for method in [Inversion::Sequential, Inversion::Jacobi { segment: 4, tolerance: 1e-13 }] {
            let (back, inverse_log_det) = flow.inverse(&z, &molecules, method);
            assert!(difference(&back, &x) < 1e-10 && difference(&-inverse_log_det, &log_det) < 1e-10, "{method:?}");
        }
    }
}

#[test]
fn the_log_determinant_is_that_of_the_jacobian() {
    for config in configs() {
        reseed(2, Stream::Init, 0);
        let flow = scrambled(&config, F64);
        let molecules = flow.prepare(&row(&made_up(blocks(&config), 11), 0));
        let x = normal(&[1, 5, 3]).set_requires_grad(true);
        let (z, log_det) = flow.forward(&x, &molecules);
        let z = z.flatten(0, -1);
        let rows: Vec<Tensor> = (0..15).map(|i| grad(&z.get(i), &[&x], true).remove(0).flatten(0, -1)).collect();
        let (_, expected) = Tensor::stack(&rows, 0).slogdet();
        assert!(difference(&log_det.squeeze(), &expected) < 1e-10);
    }
}

#[test]
fn padding_changes_nothing() {
    for config in configs() {
        reseed(3, Stream::Init, 0);
        let flow = scrambled(&config, F64);
        let x = normal(&[2, 9, 3]);
        // What stands at padding does not matter either.
        let results: Vec<(Tensor, Tensor, Tensor)> = [9, 12]
            .map(|tokens| {
                let x = Tensor::cat(&[x.shallow_clone(), normal(&[2, tokens - 9, 3])], 1);
                let molecules = flow.prepare(&made_up(blocks(&config), tokens));
                let (z, log_det) = flow.forward(&x, &molecules);
                (z.narrow(1, 0, 9), log_det, flow.log_q(&x, &molecules))
            })
            .into();
        for (b, atoms) in [(0, 5), (1, 9)] {
            let alone = flow.prepare(&row(&made_up(blocks(&config), 9), b));
            let x = x.narrow(0, b, 1).narrow(1, 0, atoms);
            let ((z, log_det), log_q) = (flow.forward(&x, &alone), flow.log_q(&x, &alone));
            for (z_padded, log_det_padded, log_q_padded) in &results {
                assert!(difference(&z_padded.narrow(0, b, 1).narrow(1, 0, atoms), &z) < 1e-12);
                assert!(difference(&log_det_padded.narrow(0, b, 1), &log_det) < 1e-11);
                assert!(difference(&log_q_padded.narrow(0, b, 1), &log_q) < 1e-11);
            }
        }
    }
}

/// In one block, an atom moves those after it in the block's order and no others, and the first passes as it is.
#[test]
fn a_block_is_causal_in_its_own_order() {
    for config in configs() {
        reseed(4, Stream::Init, 0);
        let flow = scrambled(&config, F64);
        let molecules = row(&made_up(blocks(&config), 9), 1);
        let order: Vec<i64> = Vec::try_from(molecules.orders[0].get(0)).unwrap();
        let molecules = flow.prepare(&molecules);
        let x = normal(&[1, 9, 3]);
        let image = |x: &Tensor| flow.trace(x, &molecules).remove(0).0;
        let y = image(&x);
        assert_eq!(difference(&y.select(1, order[0]), &x.select(1, order[0])), 0.0);
        for (place, atom) in order.iter().enumerate() {
            let moved = x.copy();
            moved.select(1, *atom).copy_(&(x.select(1, *atom) + 0.5));
            let change = (image(&moved) - &y).abs().sum_dim_intlist(-1, false, Kind::Double).get(0);
            for (other, seen) in order.iter().enumerate() {
                let change = change.double_value(&[*seen]);
                assert_eq!(change > 1e-9, other >= place, "atom at {place} moved the one at {other} by {change:e}");
            }
        }
    }
}

#[test]
fn the_score_is_the_gradient_of_log_q_and_leaves_parameters_trainable() {
    for config in configs() {
        reseed(5, Stream::Init, 0);
        let flow = scrambled(&config, F64);
        let molecules = flow.prepare(&made_up(blocks(&config), 9));
        let x = normal(&[2, 9, 3]).set_requires_grad(true);
        let expected = grad(&flow.log_q(&x, &molecules), &[&x], false).remove(0);
        let (log_q, score) = flow.log_q_and_score(&x.detach(), &molecules);
        assert!(difference(&score, &expected) < 1e-11 && difference(&log_q, &flow.log_q(&x, &molecules)) < 1e-11);
        assert!(flow.params().named().iter().all(|(_, parameter)| parameter.requires_grad()));
        assert!(!score.requires_grad() && !log_q.requires_grad());
    }
}

#[test]
fn a_new_flow_starts_as_published() {
    for config in configs() {
        reseed(6, Stream::Init, 0);
        let flow = config.build(Kind::Float, Device::Cpu).unwrap();
        let named = flow.params().named();
        let entries: Vec<_> = layout(&config).into_iter().filter(|entry| !entry.is_buffer()).collect();
        assert_eq!(named.len(), entries.len());
        for ((name, parameter), entry) in named.iter().zip(&entries) {
            assert_eq!((name, &parameter.size()), (&entry.name, &entry.shape));
            let (least, most) = (parameter.min().double_value(&[]), parameter.max().double_value(&[]));
            let constant = match name.rsplit('.').nth(1).unwrap_or_default() {
                _ if name.ends_with("proj_out.weight") || name.ends_with("to_adaln_zero_gamma.0.weight") => Some(0.0),
                _ if name.ends_with("to_adaln_zero_gamma.0.bias") => Some(-2.0),
                _ if name.ends_with("pos_embed_scale") => Some(f64::from(0.01f32)),
                norm if norm.contains("norm") => Some(if name.ends_with("weight") { 1.0 } else { 0.0 }),
                _ => None,
            };
            match constant {
                Some(value) => assert_eq!((least, most), (value, value), "{name}"),
                // Six biases may well have one sign.
                None if parameter.numel() < 10 => assert!(most > least, "{name} in [{least}, {most}]"),
                None => assert!(least < 0.0 && most > 0.0, "{name} in [{least}, {most}]"),
            }
        }
        // With the output weights at zero every atom but the first is shifted and scaled by the same constants.
        let molecules = flow.prepare(&row(&made_up(blocks(&config), 9), 1));
        let (z, _) = flow.forward(&Tensor::zeros([1, 9, 3], (Kind::Float, Device::Cpu)), &molecules);
        assert!(z.abs().max().double_value(&[]) < 5.0);
    }
}

#[test]
fn one_atom_alone_passes_as_it_is() {
    let config = configs().remove(0);
    let flow = scrambled(&config, F64);
    let whole = row(&made_up(2, 9), 0);
    let cut = |t: &Tensor| t.narrow(1, 0, 1);
    let lone = sampler::flows::Conditioning {
        atom_type: cut(&whole.atom_type),
        aa_type: cut(&whole.aa_type),
        aa_pos: cut(&whole.aa_pos),
        seq_len: whole.seq_len,
        orders: (0..2).map(|_| Tensor::zeros([1, 1], (Kind::Int64, Device::Cpu))).collect(),
        mask: None,
    };
    lone.check(&config).unwrap();
    let molecules = flow.prepare(&lone);
    let x = normal(&[4, 1, 3]);
    let (z, log_det) = flow.forward(&x, &molecules);
    assert!(difference(&z, &x) == 0.0 && log_det.abs().max().double_value(&[]) == 0.0);
    assert!(difference(&flow.inverse(&x, &molecules, Inversion::Sequential).0, &x) == 0.0);
}

#[test]
fn conditioning_that_does_not_fit_is_refused_in_one_line() {
    let config = configs().remove(0);
    let int = (Kind::Int64, Device::Cpu);
    type Spoil = fn(&mut sampler::flows::Conditioning);
    let wrong: [(Spoil, &str); 8] = [
        (|c| c.atom_type = Tensor::full([2, 9], 12, (Kind::Int64, Device::Cpu)), "atom_type: found 12"),
        (|c| c.aa_type = c.aa_type.to_kind(Kind::Double), "aa_type: is Double"),
        (|c| c.seq_len = c.seq_len.view([1, 2]), "seq_len"),
        (|c| drop(c.orders.pop()), "1 orders of atoms, expected 2"),
        (|c| c.orders[1] = c.orders[1].zeros_like(), "order 1: is not a permutation"),
        (|c| c.mask = c.mask.as_ref().map(|m| m.flip([1])), "mask: expected ones"),
        (|c| c.orders[0] = c.orders[0].flip([1]), "padding must stay behind"),
        (|c| *c = made_up(2, 13), "13 atoms, expected between 1 and 12"),
    ];
    for (spoil, expected) in wrong {
        let mut molecules = made_up(2, 9);
        molecules.check(&config).unwrap();
        spoil(&mut molecules);
        let text = molecules.check(&config).unwrap_err().to_string();
        assert!(text.contains(expected) && !text.contains('\n'), "{text}");
    }
    assert_eq!(made_up(2, 9).orders[0].kind(), int.0);
}

/// Where the processor has AVX-512, the sequential inverse in f32 works without tensors; the segmented one never does.
#[test]
fn inverting_with_and_without_tensors_agrees_for_every_batch_size_and_number_of_workers() {
    for config in configs() {
        reseed(7, Stream::Init, 0);
        let (FlowConfig::Prose(network) | FlowConfig::Tarflow(network)) = &config;
        let network = NetworkConfig { channels: 32, head_dim: 8, ..network.clone() };
        let config = if matches!(config, FlowConfig::Prose(_)) {
            FlowConfig::Prose(network)
        } else {
            FlowConfig::Tarflow(network)
        };
        let flow = scrambled(&config, F32);
        let mixed = made_up(blocks(&config), 11);
        let mut cases = vec![(flow.prepare(&mixed), 2)];
        cases.extend((1..=14).map(|batch| (flow.prepare(&row(&mixed, 1)), batch)));
        for (molecules, batch) in &cases {
            let z = Tensor::randn([*batch, molecules.size().1, 3], F32);
            let by_tensors = flow.inverse(&z, molecules, Inversion::Jacobi { segment: 1, tolerance: 0.0 });
            for workers in [1, 2] {
                threads::configure(Some(workers));
                let without = flow.inverse(&z, molecules, Inversion::Sequential);
                let errors = (difference(&without.0, &by_tensors.0), difference(&without.1, &by_tensors.1));
                assert!(errors.0 < 1e-5 && errors.1 < 1e-5, "batch {batch}, {workers} workers: {errors:?}");
            }
        }
    }
    threads::configure(Some(1));
}

#[test]
fn a_sample_that_is_lost_leaves_the_others_alone() {
    reseed(8, Stream::Init, 0);
    let network =
        NetworkConfig { channels: 32, head_dim: 16, num_blocks: 2, layers_per_block: 1, ..Default::default() };
    let flow = scrambled(&FlowConfig::Prose(network), F32);
    let molecules = flow.prepare(&row(&made_up(2, 9), 1));
    let z = Tensor::randn([3, 9, 3], F32);
    let (whole, _) = flow.inverse(&z, &molecules, Inversion::Sequential);
    let spoilt = z.copy();
    let _ = spoilt.get(1).fill_(f64::NAN);
    let (x, log_det) = flow.inverse(&spoilt, &molecules, Inversion::Sequential);
    assert!(log_det.double_value(&[1]).is_nan() && bool::try_from(x.get(1).isnan().any()).unwrap());
    for b in [0, 2] {
        assert_eq!(difference(&x.get(b), &whole.get(b)), 0.0);
    }
}
