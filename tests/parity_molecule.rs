//! Force fields against OpenMM's Reference platform (tests/fixtures/molecular/README.md).

mod molecules;

use molecules::{F32, F64, MOLECULES, energy_error, force_error, force_field, reference, system};
use sampler::targets::molecule::force_field::ForceField;
use sampler::targets::molecule::system::{CustomGb, Force};
use sampler::torch::autograd;
use tch::{Kind, Tensor};

/// Kinds of force in the order of the printed table.
const KINDS: [&str; 6] = ["Bond", "Angle", "PeriodicTorsion", "CMAP", "Nonbonded", "GB"];

/// Largest error by kind of force; a dash where the molecule has none.
fn by_kind(names: &[&str], found: &Tensor, expected: &Tensor) -> String {
    let cell = |kind: &str| {
        let column = names.iter().position(|name| name.contains(kind)).map(|k| k as i64);
        let error = |k| energy_error(&found.select(1, k), &expected.select(1, k));
        column.map_or("–".to_string(), |k| format!("{:.1e}", error(k)))
    };
    KINDS.map(cell).join(" | ")
}

#[test]
fn every_force_equals_openmm_in_f64() {
    println!("\n| molecule | {} | total | forces |", KINDS.join(" | "));
    for (name, atoms) in MOLECULES {
        let (field, expected) = (force_field(name, F64), reference(name));
        assert_eq!(field.atoms(), atoms, "{name}");
        let terms = field.energy_terms(&expected.x);
        assert_eq!(terms.size()[1], field.names().len() as i64, "{name}");
        let per_force = energy_error(&terms, &expected.terms);
        let total = energy_error(&field.energy(&expected.x), &expected.energy);
        let (energy, forces) = field.energy_and_forces(&expected.x);
        let (both, forces) = (energy_error(&energy, &expected.energy), force_error(&forces, &expected.forces));
        let kinds = by_kind(&field.names(), &terms, &expected.terms);
        println!("| {name} | {kinds} | {:.1e} | {forces:.1e} |", total.max(both));
        assert!(per_force < 1e-9 && total < 1e-9 && both < 1e-9, "{name}: {per_force:.1e} {total:.1e} {both:.1e}");
        assert!(forces < 1e-9, "{name}: forces {forces:.1e}");
        let by_tensors = autograd::value_and_grad(&expected.x, |x| field.energy_by_tensors(x));
        let tensors = energy_error(&by_tensors.0, &expected.energy);
        let slopes = force_error(&by_tensors.1.neg(), &expected.forces);
        assert!(tensors < 1e-9 && slopes < 1e-9, "{name} by tensors: {tensors:.1e} {slopes:.1e}");
    }
}

#[test]
fn totals_and_forces_follow_in_f32() {
    println!("\n| molecule, f32 | total | forces |");
    for (name, _) in MOLECULES {
        let (field, expected) = (force_field(name, F32), reference(name));
        let (energy, forces) = field.energy_and_forces(&expected.x.to_kind(Kind::Float));
        assert_eq!((energy.kind(), forces.kind()), (Kind::Float, Kind::Float), "{name}");
        let (energy, forces) = (energy_error(&energy, &expected.energy), force_error(&forces, &expected.forces));
        println!("| {name} | {energy:.1e} | {forces:.1e} |");
        assert!(energy < 1e-4 && forces < 2e-5, "{name}: {energy:.1e} {forces:.1e}");
    }
}

/// The expressions of a recognised model, evaluated as they stand, give what the model gives: renaming one parameter
/// hides it from recognition and changes nothing else.
#[test]
fn the_evaluator_of_expressions_gives_what_the_known_models_give() {
    for name in ["aldp_ff96_obc1", "aldp_amber14_hct", "aldp_amber14_gbn", "aldp_amber14_gbn2", "AAAA_ff19SB_obc2"] {
        let mut system = system(name);
        let x = reference(name).x.narrow(0, 0, 4);
        let known = ForceField::new(&system, F64).unwrap();
        let custom = system.forces.iter_mut().find_map(|named| match &mut named.force {
            Force::CustomGb(force) => Some(force),
            _ => None,
        });
        disguise(custom.unwrap());
        let general = ForceField::new(&system, F64).unwrap();
        let (a, b) = (known.energy_and_forces(&x), general.energy_and_forces(&x));
        let (energy, forces) = (energy_error(&b.0, &a.0), force_error(&b.1, &a.1));
        assert!(energy < 1e-12 && forces < 1e-12, "{name}: {energy:.1e} {forces:.1e}");
        assert!(!known.energy(&x).equal(&general.energy(&x)), "{name}: the same path twice");
    }
}

fn disguise(force: &mut CustomGb) {
    for text in force.values.iter_mut().map(|value| &mut value.2).chain(force.terms.iter_mut().map(|term| &mut term.1))
    {
        *text = text.replace("charge", "amount");
    }
    force.parameters.iter_mut().filter(|name| *name == "charge").for_each(|name| *name = "amount".to_string());
}

/// Atoms thrown together at random, down to all in one place: large finite numbers in both precisions.
#[test]
fn collapsed_coordinates_give_finite_numbers() {
    for name in ["aldp_ff99sbildn_obc", "aldp_amber14_gbn2", "AAAA_ff19SB_obc2", "CAVQ_amber14_obc1"] {
        for options in [F64, F32] {
            let field = force_field(name, options);
            let dim = 3 * field.atoms() as i64;
            let waves = (Tensor::arange(4 * dim, F64) * 7.13 + 1.0).sin().view([4, dim]);
            let spread = Tensor::from_slice(&[0.3, 0.03, 1e-4, 0.0]).unsqueeze(1);
            let x = (waves * spread).to_kind(options.0);
            let by_tensors = autograd::value_and_grad(&x, |x| field.energy_by_tensors(x));
            for (energy, forces) in [field.energy_and_forces(&x), by_tensors] {
                let finite = |t: &Tensor| t.isfinite().all().int64_value(&[]) == 1;
                let bad = forces.isfinite().logical_not().any_dim(1, false);
                assert!(finite(&energy) && finite(&forces), "{name} {:?}: {energy} {bad}", options.0);
                assert!(energy.double_value(&[1]) > 1e6, "{name}: {}", energy.double_value(&[1]));
            }
        }
    }
}

/// Second derivatives of the energy are those of its slopes.
#[test]
fn hessians_match_differences_of_forces() {
    for name in ["aldp_ff99sbildn_obc", "AAAA_ff19SB_obc2"] {
        let field = force_field(name, F64);
        let x = reference(name).x.narrow(0, 0, 2);
        let v = (Tensor::arange(x.numel() as i64, F64) * 3.7).cos().view_as(&x);
        let product = autograd::hvp(&x, &v, |x| field.energy(x));
        let h = 1e-6;
        let slope = (field.energy_and_forces(&(&x - &v * h)).1 - field.energy_and_forces(&(&x + &v * h)).1) / (2.0 * h);
        let error = force_error(&product, &slope);
        assert!(error < 1e-7, "{name}: {error:.1e}");
    }
}
