//! Mixtures of Gaussians with any covariances.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::{Linearization, ScoreModel};
use crate::bad_input;
use crate::config::check;
use crate::targets::Options;
use crate::targets::support::{LN_2PI, constant};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixtureConfig {
    /// Share of each component; scaled to a sum of 1.
    pub weights: Vec<f64>,
    /// One list a component, of one length.
    pub means: Vec<Vec<f64>>,
    /// One symmetric, positive definite matrix a component; in one dimension `[[variance]]`.
    pub covariances: Vec<Vec<Vec<f64>>>,
}

impl MixtureConfig {
    fn validate(&self) -> Result<()> {
        check::not_empty("target.weights", &self.weights)?;
        for (i, weight) in self.weights.iter().enumerate() {
            check::positive(&format!("target.weights.{i}"), *weight)?;
        }
        check::length("target.means", self.means.len(), self.weights.len())?;
        check::length("target.covariances", self.covariances.len(), self.weights.len())?;
        let dim = self.means[0].len();
        check::not_empty("target.means.0", &self.means[0])?;
        for (i, (mean, covariance)) in self.means.iter().zip(&self.covariances).enumerate() {
            let key = format!("target.means.{i}");
            check::length(&key, mean.len(), dim)?;
            check::all_finite(&key, mean)?;
            let key = format!("target.covariances.{i}");
            check::length(&key, covariance.len(), dim)?;
            for (j, row) in covariance.iter().enumerate() {
                check::length(&format!("{key}.{j}"), row.len(), dim)?;
                check::all_finite(&format!("{key}.{j}"), row)?;
            }
        }
        Ok(())
    }
}

/// `Σ_k w_k N(m_k, C_k)`, noised component by component in the eigenvectors of `C_k`.
pub struct MixtureScore {
    log_weights: Tensor, // [K]
    means: Tensor,       // [K, D]
    variances: Tensor,   // [K, D], eigenvalues of the covariances
    vectors: Tensor,     // [K, D, D], eigenvectors in columns
}

/// What all derivatives at given points are made of.
struct Parts {
    log_terms: Tensor, // [N, K], log of weight times density
    shares: Tensor,    // [N, K], responsibilities
    scores: Tensor,    // [N, K, D], of the components
    variances: Tensor, // [N or 1, K, D], in the eigenvectors
}

impl MixtureScore {
    pub fn new(config: &MixtureConfig, options: Options) -> Result<Self> {
        config.validate()?;
        let (components, dim) = (config.weights.len() as i64, config.means[0].len() as i64);
        let exact = (Kind::Double, options.1);
        let covariances = constant(&config.covariances.concat().concat(), &[components, dim, dim], exact);
        let asymmetry = (&covariances - covariances.transpose(1, 2)).abs().max().double_value(&[]);
        let (variances, vectors) = covariances.linalg_eigh("L");
        if asymmetry > 1e-12 * covariances.abs().max().double_value(&[]) || variances.min().double_value(&[]) <= 0.0 {
            return Err(bad_input!(
                "'target.covariances' must be symmetric, positive definite matrices, found an eigenvalue of {} and an \
                 asymmetry of {asymmetry}",
                variances.min().double_value(&[])
            ));
        }
        let weights = constant(&config.weights, &[components], exact);
        Ok(Self {
            log_weights: weights.log().log_softmax(0, Kind::Double).to_kind(options.0),
            means: constant(&config.means.concat(), &[components, dim], options),
            variances: variances.to_kind(options.0),
            vectors: vectors.to_kind(options.0),
        })
    }

    fn parts(&self, t: &Tensor, x: &Tensor) -> Parts {
        let kept = (-t).exp().unsqueeze(-1); // [N, 1, 1]
        let variances = &kept * &self.variances - (-t).expm1().unsqueeze(-1); // [N, K, D]
        let centred = x.unsqueeze(1) - kept.sqrt() * &self.means; // [N, K, D]
        let turned = self.turned(&centred); // [N, K, D]
        let pulls = &turned / &variances;

        let exponents = (turned * &pulls + variances.log() + LN_2PI).sum_dim_intlist(-1, false, None) * -0.5;
        let log_terms = exponents + &self.log_weights; // [N, K]
        let shares = log_terms.softmax(-1, x.kind());
        Parts { scores: -self.turned_back(&pulls), log_terms, shares, variances }
    }

    /// Coordinates along the eigenvectors, `[N, K, D]`.
    fn turned(&self, v: &Tensor) -> Tensor {
        v.unsqueeze(-2).matmul(&self.vectors).squeeze_dim(-2)
    }

    fn turned_back(&self, v: &Tensor) -> Tensor {
        v.unsqueeze(-2).matmul(&self.vectors.transpose(1, 2)).squeeze_dim(-2)
    }
}

/// Mean over the components, `[N, K, D]` -> `[N, D]`.
fn averaged(shares: &Tensor, values: &Tensor) -> Tensor {
    (shares.unsqueeze(-1) * values).sum_dim_intlist(1, false, None)
}

impl ScoreModel for MixtureScore {
    fn dim(&self) -> i64 {
        self.means.size()[1]
    }

    fn score(&self, t: &Tensor, x: &Tensor) -> Tensor {
        let parts = self.parts(t, x);
        averaged(&parts.shares, &parts.scores)
    }

    /// With the components' scores `s_k` and precisions `P_k`: `H = E[s_k s_k^T - P_k] - s s^T`.
    fn linearize<'a>(&'a self, t: &Tensor, x: &Tensor) -> Linearization<'a> {
        let parts = self.parts(t, x);
        let score = averaged(&parts.shares, &parts.scores);
        let outer = score.shallow_clone();
        let product = move |v: &Tensor| {
            let along = (&parts.scores * v.unsqueeze(1)).sum_dim_intlist(-1, true, None); // [N, K, 1]
            let pulled = self.turned_back(&(self.turned(&v.unsqueeze(1)) / &parts.variances));
            averaged(&parts.shares, &(&parts.scores * along - pulled))
                - &outer * (&outer * v).sum_dim_intlist(-1, true, None)
        };
        Linearization { score, product: Box::new(product) }
    }

    fn log_prob(&self, t: &Tensor, x: &Tensor) -> Option<Tensor> {
        Some(self.parts(t, x).log_terms.logsumexp(-1, false))
    }

    fn sample(&self, n: i64) -> Option<Tensor> {
        let component = self.log_weights.exp().multinomial(n, true); // [n]
        let normal = Tensor::randn([n, self.dim()], (self.means.kind(), self.means.device()));
        let scaled = normal * self.variances.index_select(0, &component).sqrt();
        let turned = self.vectors.index_select(0, &component).matmul(&scaled.unsqueeze(-1)).squeeze_dim(-1);
        Some(turned + self.means.index_select(0, &component))
    }
}
