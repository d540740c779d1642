//! Pictures of a flow's training.

use anyhow::Result;

use crate::log::plot::Picture;
use crate::train::curves::Curves;
use crate::train::objective::History;

/// Curves over training.
pub fn curves(history: &History) -> Result<Vec<(String, Picture)>> {
    let against = ("step", "updates");
    let curve = |stem: &str, title, y_name, tags: &[(&str, &str)]| {
        let picture = Curves { title, against, y_name, tags, reference: None }.draw(history)?;
        anyhow::Ok((stem.to_string(), picture))
    };
    Ok(vec![
        curve(
            "loss",
            "Negative log-likelihood",
            "nats a coordinate",
            &[("training", "train/loss"), ("held out", "eval/nll")],
        )?,
        curve("ess", "Effective sample size", "ESS / N", &[("reverse", "eval/ess")])?,
        curve(
            "distances",
            "Distance from the reference",
            "W2",
            &[("energy, kT", "eval/energy_w2"), ("torsions, rad", "eval/torus_w2")],
        )?,
    ])
}
