//! Topologies, torsions and chirality of the molecules in `assets/molecules/`, and what the energy does under moves.

mod molecules;

use molecules::{F32, F64, MOLECULES, energy_error, force_error, force_field, reference, system, topology};
use sampler::targets::molecule::features::{distances, l_fraction, torsions};
use sampler::targets::molecule::geometry::{centred, mirrored, random_rotations, rotated};
use sampler::torch::autograd;
use sampler::torch::seed::{Stream, reseed};
use tch::Tensor;

#[test]
fn topologies_have_the_bonds_of_the_force_field() {
    for (name, atoms) in MOLECULES {
        let topology = topology(name);
        assert_eq!((topology.atoms.len(), topology.positions.len()), (atoms, atoms), "{name}");
        assert_eq!(topology.bonds, system(name).bonds(), "{name}");
        // Covalent bonds are 0.09 to 0.2 nm long.
        let lengths = distances(&reference(name).x.narrow(0, 0, 12), &topology.bonds);
        let (least, most) = (lengths.min().double_value(&[]), lengths.max().double_value(&[]));
        assert!(least > 0.08 && most < 0.21, "{name}: {least} {most}");
    }
}

/// The torsions of the 22 atoms as z-matrices of the literature index them.
#[test]
fn backbone_torsions_are_the_customary_ones() {
    let dipeptide = topology("aldp_ff96_obc1");
    let pair = dipeptide.ramachandran();
    assert_eq!(pair.len(), 1);
    assert_eq!((pair[0].0.atoms, pair[0].1.atoms), ([4, 6, 8, 14], [6, 8, 14, 16]));

    // A free peptide of n residues has n - 1 of each and n - 2 pairs; caps add one residue's worth.
    for (name, phi, psi, pairs, centres) in [
        ("AAAAAA_amber14_obc1", 5, 5, 4, 6),
        ("ace_AAA_nme_ff99sbildn_obc", 3, 3, 3, 3),
        ("AHKILWHG_amber14_obc1", 7, 7, 6, 7),
    ] {
        let topology = topology(name);
        let counts = (topology.phi().len(), topology.psi().len(), topology.ramachandran().len());
        assert_eq!(counts, (phi, psi, pairs), "{name}");
        assert_eq!(topology.chiral_centres().len(), centres, "{name}");
    }
}

#[test]
fn all_residues_are_l_and_their_mirror_images_d() {
    for (name, _) in MOLECULES {
        let (centres, x) = (topology(name).chiral_centres(), reference(name).x.narrow(0, 0, 12));
        assert_eq!(l_fraction(&x, &centres).min().double_value(&[]), 1.0, "{name}");
        assert_eq!(l_fraction(&mirrored(&x), &centres).max().double_value(&[]), 0.0, "{name}");
    }
}

#[test]
fn energies_see_only_the_shape_and_torsions_change_sign_in_the_mirror() {
    reseed(11, Stream::Data, 0);
    for (name, _) in MOLECULES {
        let (field, topology, x) = (force_field(name, F64), topology(name), reference(name).x);
        let rotations = random_rotations(x.size()[0], F64);
        let moved = rotated(&centred(&x, field.masses()), &rotations) + 0.7;
        let error = energy_error(&field.energy(&moved), &field.energy(&x));
        assert!(error < 1e-9, "{name}: {error:.1e}");

        let phi = |x: &Tensor| torsions(x, &topology.phi());
        let wrapped = (phi(&mirrored(&x)) + phi(&x)).sin().abs().max().double_value(&[]);
        assert!(wrapped < 1e-9, "{name}: {wrapped:.1e}");
        // The force field has no hand either, maps of two torsions apart, and phases of 3.141594 that stand for pi.
        if name != "AAAA_ff19SB_obc2" {
            let error = energy_error(&field.energy(&mirrored(&x)), &field.energy(&x));
            assert!(error < 1e-4, "{name}, mirrored: {error:.1e}");
        }
    }
}

/// The kernel of the CPU and the tensors give the same, whatever the number of conformations, also far from any
/// sensible one.
#[test]
fn kernel_and_tensors_agree() {
    for (name, _) in MOLECULES {
        for (options, energies, slopes) in [(F64, 1e-11, 1e-11), (F32, 1e-4, 1e-4)] {
            let field = force_field(name, options);
            let x = reference(name).x;
            let noise = (Tensor::arange(x.numel() as i64, F64) * 3.3).sin().view_as(&x);
            let x = Tensor::cat(&[x.narrow(0, 24, 8), &x.narrow(0, 0, 9) + noise.narrow(0, 0, 9) * 0.1], 0)
                .to_kind(options.0);
            for n in [1, 7, 17] {
                let x = x.narrow(0, 17 - n, n);
                let (energy, forces) = field.energy_and_forces(&x);
                let (expected, slope) = autograd::value_and_grad(&x, |x| field.energy_by_tensors(x));
                let errors = (energy_error(&energy, &expected), force_error(&forces, &slope.neg()));
                assert!(errors.0 < energies && errors.1 < slopes, "{name}, {n} in {:?}: {errors:?}", options.0);
            }
            assert_eq!(field.energy_and_forces(&x.narrow(0, 0, 0)).0.size(), [0], "{name}");
        }
    }
}

#[test]
fn the_first_order_energy_has_the_gradient_and_no_silent_hessian() {
    let field = force_field("aldp_ff96_obc1", F64);
    let x = reference("aldp_ff96_obc1").x;
    let (energy, slope) = autograd::value_and_grad(&x, |x| field.energy_first_order(x));
    let (expected, forces) = field.energy_and_forces(&x);
    assert!(energy.equal(&expected) && slope.neg().equal(&forces));
    let product = autograd::hvp(&x, &x.ones_like(), |x| field.energy_first_order(x));
    assert_eq!(product.isnan().all().int64_value(&[]), 1);
}
