//! Figures of proposals: weights, energies, torsions, slow components, chirality; against a reference where there is one.

use anyhow::Result;
use tch::{Kind, Tensor};

use super::comparison::Comparison;
use super::proposals::Proposals;
use super::reference::Reference;
use super::report_pictures;
use super::subject::Subject;
use crate::log::plot::Picture;
use crate::samplers::importance::{ReweightConfig, Reweighter, WeightSummary, Weights};
use crate::targets::molecule::chirality::Chirality;
use crate::torch::seed::{Stream, step_seed};

/// What proposals show.
#[derive(Default)]
pub struct Report {
    pub figures: Vec<(String, f64)>,
    pub pictures: Vec<(String, Picture)>,
    /// Log-weights of all proposals, `[N]` in f64; `-inf` where an energy was not finite.
    pub log_weight: Option<Tensor>,
    /// As many proposals as were kept, drawn by their weights.
    pub resampled: Option<Tensor>,
}

/// How a report is made.
#[derive(Debug, Clone)]
pub struct Settings {
    pub reweight: ReweightConfig,
    /// Points a side in comparisons of distributions, at most.
    pub compared: i64,
    pub pictures: bool,
    pub seed: u64,
}

/// Proposals after mirroring those of the wrong hand, with their weights.
pub struct Weighted {
    /// `[N, A, 3]` in units of the flow's scale.
    pub x: Tensor,
    pub weights: Option<Weights>,
    /// Rows of the resampled set.
    pub resampled: Vec<i64>,
}

/// Measures proposals of a molecule; `scale` in nm.
pub fn report(
    subject: &Subject,
    proposals: &Proposals,
    reference: Option<&Reference>,
    scale: f64,
    settings: &Settings,
) -> Result<Report> {
    let mut report = Report::default();
    let x = repaired(subject, proposals, &mut report);
    let weights = weigh(proposals, settings, &mut report)?;
    let resampled = match &weights {
        None => Vec::new(),
        Some(weights) => {
            let how = settings.reweight.resampling;
            let uniforms = uniforms(how.uniforms(weights.kept.len()), settings.seed);
            let rows = weights.resample(how, &uniforms).unwrap_or_default();
            rows.into_iter().map(|row| row as i64).collect()
        }
    };
    let weighted = Weighted { x, weights, resampled };
    if let Some(reference) = reference {
        let sets = [("proposal", Some(finite(proposals))), ("", weighted.rows())];
        let comparison = Comparison { subject, reference, scale, compared: settings.compared, seed: settings.seed };
        for (name, rows) in sets.into_iter().filter_map(|(name, rows)| Some((name, rows?))) {
            let figures = comparison.figures(&weighted.x, proposals.energy.as_ref(), &rows, name)?;
            report.figures.extend(figures);
        }
    }
    if settings.pictures {
        report.pictures = report_pictures::all(subject, proposals, &weighted, reference, scale)?;
    }
    report.resampled = weighted.rows();
    Ok(report)
}

impl Weighted {
    /// Rows of the resampled set; `None` where there are no weights or none is positive.
    pub fn rows(&self) -> Option<Tensor> {
        (!self.resampled.is_empty()).then(|| Tensor::from_slice(&self.resampled))
    }
}

/// Mirrors conformations of the wrong hand, as PROSE does; energies and densities are not those of the mirror images, so
/// this is for looking and comparing only.
fn repaired(subject: &Subject, proposals: &Proposals, report: &mut Report) -> Tensor {
    let chirality = Chirality::of(&subject.topology);
    if chirality.centres().is_empty() {
        return proposals.x.shallow_clone();
    }
    let repaired = chirality.repair(&proposals.x);
    let share = |rows: &Tensor| rows.to_kind(Kind::Double).mean(Kind::Double).double_value(&[]);
    report.figures.push(("chirality_correct".into(), 1.0 - share(&repaired.changed)));
    report.figures.push(("chirality_uncorrectable".into(), share(&repaired.uncorrectable)));
    repaired.x
}

fn weigh(proposals: &Proposals, settings: &Settings, report: &mut Report) -> Result<Option<Weights>> {
    let Some(energy) = &proposals.energy else { return Ok(None) };
    let mut reweighter = Reweighter::new(&settings.reweight)?;
    let source = settings.reweight.center.energy(&proposals.x.to_kind(Kind::Double)) - &proposals.log_q;
    let log_weights = reweighter.push(&source, energy)?;
    report.log_weight = Some(Tensor::from_slice(&log_weights));
    let weights = reweighter.finish();
    let finite = energy.masked_select(&energy.isfinite());
    report.figures.extend(weight_figures(&weights.summary));
    report.figures.push(("energy_median".to_string(), finite.median().double_value(&[])));
    Ok(Some(weights))
}

/// What importance weights came to, by the names of the figures.
pub fn weight_figures(summary: &WeightSummary) -> [(String, f64); 5] {
    [
        ("ess", summary.ess),
        ("log_z", summary.log_z),
        ("largest_share", summary.largest_share),
        ("non_finite", summary.non_finite as f64),
        ("filtered", summary.filtered as f64),
    ]
    .map(|(name, value)| (name.to_string(), value))
}

/// Rows of the proposals whose coordinates and energies are finite numbers; the others have no distance from anything.
fn finite(proposals: &Proposals) -> Tensor {
    let mut rows = proposals.x.isfinite().flatten(1, -1).all_dim(1, false);
    if let Some(energy) = &proposals.energy {
        rows = rows.logical_and(&energy.isfinite());
    }
    rows.nonzero().squeeze_dim(1)
}

/// Uniform numbers for resampling, from a generator of their own.
fn uniforms(count: usize, seed: u64) -> Vec<f64> {
    use rand::{RngExt, SeedableRng};
    let mut generator = rand::rngs::ChaCha8Rng::seed_from_u64(step_seed(seed, Stream::Eval, 0));
    (0..count).map(|_| generator.random::<f64>()).collect()
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use tch::Device;

    use super::*;
    use crate::flows::{FlowConfig, NetworkConfig};
    use crate::io::tensors::read_tensors;
    use crate::metrics::tica::Tica;
    use crate::samplers::importance::{CenterAdjustment, WeightFilter};
    use crate::targets::molecule::descriptors::Descriptors;
    use crate::targets::molecule::topology::Topology;
    use crate::train::flow::reference::Slow;

    const SCALE: f64 = 0.35;

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/prose/energy").join(name)
    }

    fn subject() -> Subject {
        let subject = Subject::new(
            "AA",
            Topology::read(&fixture("AA.pdb")).unwrap(),
            &FlowConfig::Prose(NetworkConfig::default()),
        );
        subject.unwrap().with_energy(&fixture("AA_system.xml"), SCALE, 310.0).unwrap()
    }

    /// Frames of a simulation, `[16, 23, 3]`.
    fn frames() -> Tensor {
        read_tensors(&fixture("AA.safetensors")).unwrap().remove("x_nm").unwrap() / SCALE
    }

    fn reference(subject: &Subject) -> Reference {
        let features = Descriptors::of(&subject.topology).dim() as i64;
        let (mean, map) = (Tensor::zeros([features], tch::kind::DOUBLE_CPU), tch::kind::DOUBLE_CPU);
        let tica = Tica::given(&mean, &Tensor::eye(features, map).narrow(1, 0, 2)).unwrap();
        Reference::new(subject, frames(), Slow::Given(tica), SCALE)
    }

    /// Every proposal weighs what its energy and density say.
    fn settings() -> Settings {
        let reweight = ReweightConfig {
            filter: WeightFilter::None {},
            center: CenterAdjustment::None,
            ..ReweightConfig::default()
        };
        Settings { reweight, compared: 10_000, pictures: true, seed: 0 }
    }

    fn figure(report: &Report, name: &str) -> f64 {
        report.figures.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no {name}")).1
    }

    #[test]
    fn exact_samples_have_full_weight_and_no_distance() {
        let subject = subject();
        let reference = reference(&subject);
        let energy = reference.energy.as_ref().unwrap().shallow_clone();
        // Up to its normaliser, and in another order than the reference.
        let order = Tensor::arange(16, (Kind::Int64, Device::Cpu)).flip([0]);
        let energy = energy.index_select(0, &order);
        let proposals = Proposals { x: frames().index_select(0, &order), log_q: -&energy - 7.0, energy: Some(energy) };
        let report = report(&subject, &proposals, Some(&reference), SCALE, &settings()).unwrap();
        assert!((figure(&report, "ess") - 1.0).abs() < 1e-12 && (figure(&report, "log_z") - 7.0).abs() < 1e-9);
        assert_eq!((figure(&report, "chirality_correct"), figure(&report, "non_finite")), (1.0, 0.0));
        for name in ["energy_w1", "energy_w2", "torus_w2", "torus_jsd", "tica_w2", "tica_jsd"] {
            for name in [name.to_string(), format!("{name}_proposal")] {
                assert!(figure(&report, &name).abs() < 1e-6, "{name}: {}", figure(&report, &name));
            }
        }
        assert!(report.pictures.iter().any(|(stem, _)| stem == "tica") && report.pictures.len() >= 7);
    }

    #[test]
    fn mirror_images_are_for_distances_and_pictures_only() {
        let subject = subject();
        let reference = reference(&subject);
        let hand = Tensor::from_slice(&[1.0f32, -1.0]).repeat([8]).view([16, 1, 1]);
        let x = frames() * hand + 1.0;
        let log_q = Tensor::arange(16, tch::kind::DOUBLE_CPU);
        let energy = Tensor::arange(16, tch::kind::DOUBLE_CPU) * -0.5;
        let proposals = Proposals { x, log_q: log_q.shallow_clone(), energy: Some(energy.shallow_clone()) };
        let report = report(&subject, &proposals, Some(&reference), SCALE, &settings()).unwrap();
        assert_eq!((figure(&report, "chirality_correct"), figure(&report, "chirality_uncorrectable")), (0.5, 0.0));
        assert!(figure(&report, "torus_w2_proposal") < 1e-5, "mirrored back, torsions are the reference's");
        let off = report.log_weight.unwrap() + energy + log_q;
        assert!(off.abs().max().double_value(&[]) < 1e-12);
    }

    #[test]
    fn what_is_not_finite_weighs_nothing_and_is_counted() {
        let subject = subject();
        let reference = reference(&subject);
        let energy = reference.energy.as_ref().unwrap().copy();
        let x = frames();
        let _ = (x.get(2).fill_(f64::NAN), energy.get(2).fill_(f64::NAN), energy.get(5).fill_(f64::INFINITY));
        let log_q = energy.nan_to_num(0.0, 0.0, 0.0) * -1.0;
        let some = Proposals { x, log_q, energy: Some(energy) };
        let found = report(&subject, &some, Some(&reference), SCALE, &settings()).unwrap();
        assert_eq!(figure(&found, "non_finite"), 2.0);
        assert!((figure(&found, "ess") - 14.0 / 16.0).abs() < 1e-12);
        let log_weight = Vec::<f64>::try_from(found.log_weight.as_ref().unwrap()).unwrap();
        let zero: Vec<usize> = (0..16).filter(|i| log_weight[*i] == f64::NEG_INFINITY).collect();
        assert_eq!(zero, [2, 5]);
        let rows = Vec::<i64>::try_from(found.resampled.as_ref().unwrap()).unwrap();
        assert!(rows.len() == 16 && !rows.contains(&2) && !rows.contains(&5));
        for name in
            ["energy_w2_proposal", "torus_w2_proposal", "torus_jsd_proposal", "energy_w2", "torus_w2", "tica_w2"]
        {
            assert!(figure(&found, name).is_finite(), "{name}");
        }

        // None at all: there is nothing to resample, and nothing to compare.
        let none = Proposals {
            x: frames().full_like(f64::NAN),
            log_q: Tensor::zeros([16], tch::kind::DOUBLE_CPU),
            energy: Some(Tensor::full([16], f64::NAN, tch::kind::DOUBLE_CPU)),
        };
        let found = report(&subject, &none, Some(&reference), SCALE, &settings()).unwrap();
        assert_eq!((figure(&found, "non_finite"), figure(&found, "ess")), (16.0, 0.0));
        assert!(found.resampled.is_none() && found.figures.iter().all(|(name, _)| !name.starts_with("torus")));
    }
}
