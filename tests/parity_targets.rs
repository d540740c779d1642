//! Densities against reference values (tests/fixtures/targets/README.md).

mod all_targets;

use all_targets::{F32, F64, build, fixture, fixture_path, names, numbers, relative_error};
use sampler::targets::gmm::{Gmm, GmmConfig, GmmVariant};
use sampler::targets::mos::{Mos, MosConfig};
use sampler::targets::prng::JaxStream;
use tch::{Kind, Tensor};

/// Relative tolerance in f32, where a sum over many terms or a steep repulsion costs digits.
fn f32_tolerance(name: &str) -> f64 {
    let steep = ["lgcp", "phi4", "lj13", "molecule", "aldp", "AAA", "CAVQ"].iter().any(|start| name.starts_with(start));
    if steep { 5e-5 } else { 1e-5 }
}

/// Names that have reference points.
fn with_points() -> Vec<&'static str> {
    let names: Vec<_> = names().into_iter().filter(|name| fixture_path(name).exists()).collect();
    assert_eq!(names.len(), 28, "fixtures with points: {names:?}");
    names
}

#[test]
fn log_prob_and_score_equal_the_reference_in_f64() {
    for name in with_points() {
        let file = fixture(name);
        let target = build(name, F64);
        let x = &file["x"];
        let log_prob = relative_error(&target.log_prob(x), &file["log_prob"]);
        let score = relative_error(&target.score(x), &file["grad"]);
        assert!(log_prob < 1e-6 && score < 1e-6, "{name}: log_prob {log_prob:.1e}, score {score:.1e}");
    }
}

#[test]
fn log_prob_and_score_equal_the_reference_in_f32() {
    for name in with_points() {
        let file = fixture(name);
        let target = build(name, F32);
        let x = file["x"].to_kind(Kind::Float);
        let (log_prob, score) = (target.log_prob(&x), target.score(&x));
        assert_eq!((log_prob.kind(), score.kind()), (Kind::Float, Kind::Float), "{name}");

        // The reference was evaluated at the unrounded points; only the arithmetic is judged here.
        let exact = build(name, F64);
        let rounded = x.to_kind(Kind::Double);
        let (log_prob, score) =
            (relative_error(&log_prob, &exact.log_prob(&rounded)), relative_error(&score, &exact.score(&rounded)));
        let tolerance = f32_tolerance(name);
        assert!(log_prob < tolerance && score < tolerance, "{name}: log_prob {log_prob:.1e}, score {score:.1e}");
    }
}

#[test]
fn log_z_equals_the_reference() {
    let mut checked = 0;
    for name in with_points() {
        let file = fixture(name);
        let found = build(name, F64).log_z();
        assert_eq!(found.is_some(), file.contains_key("log_z"), "{name}: {found:?}");
        if let Some(found) = found {
            let expected = numbers(&file["log_z"])[0];
            assert!((found - expected).abs() < 1e-9, "{name}: {found} against {expected}");
            checked += 1;
        }
    }
    assert_eq!(checked, 9);
}

fn equal_bits(found: &Tensor, expected: &Tensor) -> bool {
    expected.kind() == Kind::Float && found.to_kind(Kind::Float).equal(expected)
}

#[test]
fn mixture_means_are_the_published_ones_bit_for_bit() {
    let gmm = |dim, variant| Gmm::new(&GmmConfig { dim, variant, seed: 0, components: 40 }, F64).unwrap();
    for (name, dim) in [("gmm40_d2", 2), ("gmm40_d50", 50)] {
        let file = fixture(name);
        assert!(equal_bits(gmm(dim, GmmVariant::JaxLegacy).means(), &file["means"]), "{name}");
        let new_stream = gmm(dim, GmmVariant::JaxPartitionable);
        assert!(equal_bits(new_stream.means(), &file["means_jax_partitionable"]), "{name}, new stream");
    }
    assert!(equal_bits(gmm(2, GmmVariant::Fab).means(), &fixture("gmm40_fab_d2")["means"]));

    let mos = |dim, variant| Mos::new(&MosConfig { dim, variant, seed: 0, components: 10 }, F64).unwrap();
    for (name, dim) in [("mos10_d2", 2), ("mos10_d50_params", 50)] {
        let file = fixture(name);
        assert!(equal_bits(mos(dim, JaxStream::Legacy).means(), &file["means"]), "{name}");
        let new_stream = mos(dim, JaxStream::Partitionable);
        assert!(equal_bits(new_stream.means(), &file["means_jax_partitionable"]), "{name}, new stream");
    }
}

/// FAB's code states the integral of one well as 11784.50927; here it comes from the quadrature.
#[test]
fn fab_many_well_has_the_quoted_normaliser() {
    let per_pair = build("manywell32_fab", F64).log_z().unwrap() / 16.0 - 0.5 * (2.0 * std::f64::consts::PI).ln();
    assert!((per_pair.exp() - 11784.50927).abs() < 1e-4, "{}", per_pair.exp());
}
