//! PROSE against the authors' network at toy size: values, inverses and every gradient.

mod flows_common;

use flows_common::{F32, F64, conditioning, difference, figures, fixture, published, published_config};
use sampler::flows::{Flow, Inversion, NetworkConfig, layout, log_prior};
use sampler::flows::{FlowConfig, Prepared};
use tch::{Device, Kind, Tensor};

/// Coordinates, and log-densities relative to their size (about 300), in f32 and f64.
const TOLERANCES: [(&str, (Kind, Device), f64); 2] = [("f32", F32, 1e-5), ("f64", F64, 1e-10)];

/// Difference of log-densities relative to the larger of 1 and their size.
fn relative(a: &Tensor, b: &Tensor) -> f64 {
    difference(a, b) / b.abs().max().double_value(&[]).max(1.0)
}

#[test]
fn single_molecules_are_the_authors_forward_and_back() {
    for (precision, options, tolerance) in TOLERANCES {
        let flow = published(options);
        for molecule in ["AA", "ARIP"] {
            let expected = figures(&format!("{molecule}_{precision}"));
            // One row of conditioning serves all samples, and a row for each gives the same.
            for rows in [Some(1), None] {
                let molecules = flow.prepare(&conditioning(&expected, flow.config(), rows));
                let (z, log_det) = flow.forward(&expected["x"], &molecules);
                let errors = [
                    difference(&z, &expected["z"]),
                    relative(&log_det, &expected["logdet"]),
                    relative(&log_prior(&z, &molecules), &expected["prior_logp"]),
                    relative(&-flow.log_q(&expected["x"], &molecules), &expected["E_source"]),
                    difference(&molecules.embedded().expand_as(&expected["cond"]), &expected["cond"]),
                ];
                println!("{molecule} {precision}: z, log_det, prior, log_q, embedding {errors:?}");
                assert!(errors.iter().all(|error| *error < tolerance), "{molecule} {precision}: {errors:?}");
            }
            let molecules = flow.prepare(&conditioning(&expected, flow.config(), Some(1)));
            let (log_q, score) = flow.log_q_and_score(&expected["x"], &molecules);
            let scale = expected["dE_source_dx"].abs().max().double_value(&[]);
            let score = difference(&-score, &expected["dE_source_dx"]) / scale;
            assert!(score < tolerance, "{molecule} {precision}: score {score:e}");
            assert!(relative(&-log_q, &expected["E_source"]) < tolerance);
        }
    }
}

#[test]
fn inverses_are_the_authors_by_every_method() {
    let jacobi = |segment| Inversion::Jacobi { segment, tolerance: 0.0 };
    for (precision, options, tolerance) in TOLERANCES {
        let flow = published(options);
        for molecule in ["AA", "ARIP"] {
            let expected = figures(&format!("{molecule}_{precision}"));
            let molecules = flow.prepare(&conditioning(&expected, flow.config(), Some(1)));
            for method in [Inversion::Sequential, jacobi(7), jacobi(100)] {
                let (x, log_det) = flow.inverse(&expected["rev.z_in"], &molecules, method);
                let (z, _) = flow.forward(&x, &molecules);
                let (_, log_q) = flow.sample(&expected["rev.z_in"], &molecules, method);
                let errors = [
                    difference(&x, &expected["rev.x_out"]),
                    relative(&log_det, &expected["rev.logdet"]),
                    relative(&-log_q, &expected["rev.E_source"]),
                    difference(&z, &expected["rev.z_in"]),
                ];
                println!("{molecule} {precision} {method:?}: x, log_det, log_q, z again {errors:?}");
                assert!(errors.iter().all(|error| *error < tolerance), "{molecule} {method:?}: {errors:?}");
            }
        }
    }
}

#[test]
fn a_padded_batch_is_the_authors_block_by_block() {
    for (precision, options, tolerance) in TOLERANCES {
        let (flow, expected) = (published(options), figures(&format!("padded_{precision}")));
        let molecules = flow.prepare(&conditioning(&expected, flow.config(), None));
        let steps = flow.trace(&expected["x"], &molecules);
        assert_eq!(steps.len(), 3);
        for (b, (x, log_det)) in steps.iter().enumerate() {
            let errors = [
                difference(x, &expected[&format!("block{b}.x_out")]),
                relative(log_det, &expected[&format!("block{b}.logdet")]),
            ];
            assert!(errors.iter().all(|error| *error < tolerance), "{precision} block {b}: {errors:?}");
        }
        let log_q = flow.log_q(&expected["x"], &molecules);
        assert!(relative(&log_q, &expected["logq"]) < tolerance);
        assert!(difference(&molecules.dims(), &expected["system_dim"]) == 0.0);
        let x = flow.inverse(&steps[2].0, &molecules, Inversion::Sequential).0;
        let back = difference(&x, &expected["x"]);
        assert!(back < tolerance, "{precision}: comes back off by {back:e}");
    }
}

/// Mean over the batch of the negative log-likelihood per coordinate.
fn loss(flow: &dyn Flow, x: &Tensor, molecules: &Prepared) -> Tensor {
    (-flow.log_q(x, molecules) / molecules.dims()).mean(Kind::Double)
}

#[test]
fn every_gradient_of_the_loss_is_the_authors() {
    let expected = figures("gradients_f64");
    for (precision, options, tolerance) in TOLERANCES {
        let (flow, batch) = (published(options), figures(&format!("padded_{precision}")));
        let loss = loss(&flow, &batch["x"], &flow.prepare(&conditioning(&batch, flow.config(), None)));
        assert!(difference(&loss.view([1]), &batch["loss"]) < tolerance);
        loss.backward();
        let named = flow.params().named();
        assert_eq!(named.len(), expected.len());
        let largest = expected.values().map(|g| g.abs().max().double_value(&[])).fold(0.0, f64::max);
        let mut worst = 0.0f64;
        for (name, parameter) in named {
            let reference = &expected[&format!("net.{name}")];
            let error = difference(&parameter.grad(), reference);
            assert!(error < tolerance * largest, "{precision} {name}: {error:e} of {largest:e}");
            worst = worst.max(error);
        }
        println!("{precision}: gradients off by {worst:.1e}, the largest is {largest:.1e}");
    }
}

#[test]
fn the_published_network_has_the_published_names_and_shapes() {
    let config = FlowConfig::Prose(NetworkConfig::default());
    let text = std::fs::read_to_string(fixture("full_shapes.txt")).unwrap();
    let ours: Vec<String> = layout(&config)
        .iter()
        .map(|entry| {
            let shape: Vec<String> = entry.shape.iter().map(i64::to_string).collect();
            let kind = if entry.is_buffer() { "buffer" } else { "param" };
            format!("net.{} {} {kind}", entry.name, shape.join("x"))
        })
        .collect();
    assert_eq!(ours.len(), 2134);
    for (ours, theirs) in ours.iter().zip(text.lines()) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(text.lines().count(), 2134);
    let parameters = layout(&config).into_iter().filter(|entry| !entry.is_buffer());
    assert_eq!(parameters.map(|entry| entry.shape.iter().product::<i64>()).sum::<i64>(), 288_117_560);
    // At toy size the state file has exactly the names of the layout.
    let mut names: Vec<String> = layout(&published_config()).into_iter().map(|e| format!("net.{}", e.name)).collect();
    names.sort();
    assert_eq!(names, figures("state_dict").into_keys().collect::<Vec<_>>());
}
