//! Peptides built from sequences.

mod molecules;

use sampler::targets::molecule::features::distances;
use sampler::targets::molecule::peptide;

#[test]
fn dump() {
    for s in ["AA", "ARIP", "PG", "HYGW"] {
        let t = peptide::topology(s).unwrap();
        let d = distances(&t.flat_positions(), &t.bonds);
        println!("{s} {} {} {}", t.atoms.len(), d.min().double_value(&[]), d.max().double_value(&[]));
    }
}
