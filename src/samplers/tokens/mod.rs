//! Token samplers: laws over a vocabulary made from a model's logits, exactly renormalised.
//!
//! Each is a temperature and then a truncation, in this order: `softmax(logits / temperature)`, what the truncation
//! keeps, divided by its sum. The most likely token is always kept.

mod truncate;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::config::check;

/// A law over tokens given logits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSampler {
    #[serde(default = "one")]
    pub temperature: f64,
    #[serde(default)]
    pub truncation: Truncation,
}

/// What is left of the vocabulary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Truncation {
    /// Everything: basic sampling.
    #[default]
    None,
    /// The `k` most likely tokens, and those as likely as the k-th (Fan et al., ACL 2018).
    TopK { k: i64 },
    /// The fewest most likely tokens with at least the mass `p` (Holtzman et al., ICLR 2020).
    TopP { p: f64 },
    /// Tokens at least `p` times as likely as the most likely one (Nguyen et al., ICLR 2025).
    MinP { p: f64 },
    /// Tokens at least as likely as `min(epsilon, √epsilon e^{-H})`, H the entropy (Hewitt et al., EMNLP 2022, eq. 6).
    Eta { epsilon: f64 },
    /// The fewest tokens with at least `mass` whose surprisal is nearest the entropy (Meister et al., TACL 2023).
    Typical { mass: f64 },
}

fn one() -> f64 {
    1.0
}

impl TokenSampler {
    /// Fails for values outside their range.
    pub fn validate(&self) -> Result<()> {
        check::positive("temperature", self.temperature)?;
        match self.truncation {
            Truncation::None => Ok(()),
            Truncation::TopK { k } => check::at_least("truncation.k", k, 1),
            Truncation::TopP { p } | Truncation::MinP { p } => check::probability("truncation.p", p),
            Truncation::Eta { epsilon } => check::probability("truncation.epsilon", epsilon),
            Truncation::Typical { mass } => check::probability("truncation.mass", mass),
        }
    }

    /// Probabilities of all tokens; `logits` are `[..., V]`, of which -inf rules a token out.
    pub fn probabilities(&self, logits: &Tensor) -> Tensor {
        let p = (logits.to_kind(Kind::Double) / self.temperature).softmax(-1, Kind::Double); // [..., V]
        let kept = truncate::keep(self.truncation, &p) * &p;
        &kept / kept.sum_dim_intlist(-1, true, Kind::Double)
    }

    /// One token for each row of `logits` `[N, V]`, from libtorch's generator: `[N]`.
    pub fn draw(&self, logits: &Tensor) -> Tensor {
        self.probabilities(logits).multinomial(1, true).squeeze_dim(-1)
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    fn law(truncation: Truncation, temperature: f64, p: &[f64]) -> Vec<f64> {
        let sampler = TokenSampler { temperature, truncation };
        sampler.validate().unwrap();
        Vec::try_from(sampler.probabilities(&Tensor::from_slice(p).log())).unwrap()
    }

    #[track_caller]
    fn close(found: &[f64], expected: &[f64]) {
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?} is not {expected:?}");
    }

    /// Probabilities by hand; the last token is impossible.
    const P: [f64; 5] = [0.5, 0.25, 0.15, 0.1, 0.0];

    #[test]
    fn by_hand() {
        close(&law(Truncation::None, 1.0, &P), &P);
        close(&law(Truncation::None, 0.5, &[0.6, 0.3, 0.1]), &[0.36 / 0.46, 0.09 / 0.46, 0.01 / 0.46]);
        close(&law(Truncation::TopK { k: 2 }, 1.0, &P), &[2.0 / 3.0, 1.0 / 3.0, 0.0, 0.0, 0.0]);
        // 0.5 + 0.25 reaches 0.75 exactly; a little more needs the third token.
        close(&law(Truncation::TopP { p: 0.74 }, 1.0, &P), &[2.0 / 3.0, 1.0 / 3.0, 0.0, 0.0, 0.0]);
        close(&law(Truncation::TopP { p: 0.76 }, 1.0, &P), &[0.5 / 0.9, 0.25 / 0.9, 0.15 / 0.9, 0.0, 0.0]);
        close(&law(Truncation::MinP { p: 0.4 }, 1.0, &P), &[2.0 / 3.0, 1.0 / 3.0, 0.0, 0.0, 0.0]);
        close(&law(Truncation::MinP { p: 0.25 }, 1.0, &P), &[0.5 / 0.9, 0.25 / 0.9, 0.15 / 0.9, 0.0, 0.0]);
    }

    #[test]
    fn eta_and_typical_by_hand() {
        // H = 1.208 nats: √0.2 e^{-H} = 0.1336 < 0.2 keeps three tokens; epsilon = 0.01 keeps all above 0.01.
        close(&law(Truncation::Eta { epsilon: 0.2 }, 1.0, &P), &[0.5 / 0.9, 0.25 / 0.9, 0.15 / 0.9, 0.0, 0.0]);
        close(&law(Truncation::Eta { epsilon: 0.01 }, 1.0, &P), &P);
        // Surprisals 0.693, 1.386, 1.897, 2.303 lie 0.515, 0.178, 0.689, 1.095 from H: 0.25 comes first, then 0.5.
        close(&law(Truncation::Typical { mass: 0.2 }, 1.0, &P), &[0.0, 1.0, 0.0, 0.0, 0.0]);
        close(&law(Truncation::Typical { mass: 0.7 }, 1.0, &P), &[2.0 / 3.0, 1.0 / 3.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn random_logits_keep_what_every_truncation_promises() {
        crate::torch::seed::reseed(5, crate::torch::seed::Stream::Eval, 0);
        let logits = Tensor::randn([64, 50], (Kind::Double, Device::Cpu)) * 3.0;
        let p = logits.softmax(-1, Kind::Double);
        let top = p.amax([-1], true);
        for truncation in [
            Truncation::None,
            Truncation::TopK { k: 7 },
            Truncation::TopP { p: 0.9 },
            Truncation::MinP { p: 0.1 },
            Truncation::Eta { epsilon: 0.02 },
            Truncation::Typical { mass: 0.9 },
        ] {
            let q = TokenSampler { temperature: 1.0, truncation }.probabilities(&logits);
            let sums: Vec<f64> = Vec::try_from(q.sum_dim_intlist(-1, false, Kind::Double)).unwrap();
            assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-12), "{truncation:?}");
            // Ratios among kept tokens are those of the model.
            let kept = q.gt(0.0);
            let mass = (&p * &kept).sum_dim_intlist(-1, true, Kind::Double);
            let off = ((&p / &mass) * &kept - &q).abs().max().double_value(&[]);
            assert!(off < 1e-12, "{truncation:?}: {off}");
            let count: Vec<f64> = Vec::try_from(kept.sum_dim_intlist(-1, false, Kind::Double)).unwrap();
            match truncation {
                Truncation::TopK { k } => assert!(count.iter().all(|c| *c == k as f64)),
                Truncation::TopP { p: least } | Truncation::Typical { mass: least } => {
                    // The mass is reached, and was not before the last token, which has at least the least kept p.
                    assert!(mass.min().double_value(&[]) >= least);
                }
                Truncation::MinP { p: ratio } => {
                    let wanted = p.ge_tensor(&(&top * ratio));
                    assert!(wanted.eq_tensor(&kept).all().int64_value(&[]) == 1);
                }
                _ => assert!(count.iter().all(|c| *c >= 1.0)),
            }
        }
    }

    #[test]
    fn extremes_keep_the_most_likely_token() {
        for truncation in [
            Truncation::TopK { k: 1 },
            Truncation::TopP { p: 0.0 },
            Truncation::MinP { p: 1.0 },
            Truncation::Eta { epsilon: 1.0 },
        ] {
            close(&law(truncation, 1.0, &P), &[1.0, 0.0, 0.0, 0.0, 0.0]);
        }
        close(&law(Truncation::TopK { k: 99 }, 1.0, &P), &P);
        let wrong = TokenSampler { temperature: 1.0, truncation: Truncation::MinP { p: 1.5 } };
        assert!(wrong.validate().unwrap_err().to_string().contains("'truncation.p'"));
    }

    #[test]
    fn draws_follow_the_law() {
        crate::torch::seed::reseed(5, crate::torch::seed::Stream::Eval, 1);
        let sampler = TokenSampler { temperature: 1.0, truncation: Truncation::TopK { k: 2 } };
        let drawn = sampler.draw(&Tensor::from_slice(&P).log().expand([30_000, 5], false));
        let share = drawn.eq(0).to_kind(Kind::Double).mean(Kind::Double).double_value(&[]);
        // Five standard errors of 2/3.
        assert!((share - 2.0 / 3.0).abs() < 5.0 * (2.0f64 / 9.0 / 30_000.0).sqrt(), "{share}");
        assert!(drawn.max().int64_value(&[]) <= 1);
    }
}
