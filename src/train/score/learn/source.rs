//! Where the points that a network learns from come from.

use anyhow::{Context, Result};
use tch::{Kind, Tensor};

use crate::samplers::score::ScoreModel;
use crate::train::score::images::ImageData;

pub enum Source {
    /// An exact sampler, which also knows the score that is to be learned.
    Exact(Box<dyn ScoreModel>),
    Images(ImageData),
}

/// Points `[N, D]` f32 and their classes `[N]`, where they have any.
pub type Points = (Tensor, Option<Tensor>);

impl Source {
    /// `[D]`, or `[H, W]` of images.
    pub fn shape(&self) -> Vec<i64> {
        match self {
            Self::Exact(model) => vec![model.dim()],
            Self::Images(images) => vec![images.size().0, images.size().1],
        }
    }

    pub fn classes(&self) -> Option<i64> {
        match self {
            Self::Exact(_) => None,
            Self::Images(images) => images.classes(),
        }
    }

    /// `n` points to learn from, from libtorch's generator.
    pub fn draw(&self, n: i64) -> Result<Points> {
        match self {
            Self::Exact(model) => exact(model.as_ref(), n),
            Self::Images(images) => Ok(images.draw(n)),
        }
    }

    /// At most `n` points that are never learned from: fresh draws, or images held out.
    pub fn held_out(&self, n: i64) -> Result<Points> {
        match self {
            Self::Exact(model) => exact(model.as_ref(), n),
            Self::Images(images) => Ok(images.held_out(n)),
        }
    }
}

fn exact(model: &dyn ScoreModel, n: i64) -> Result<Points> {
    let x = model.sample(n).context("the target has no exact samples to learn from")?;
    Ok((x.to_kind(Kind::Float), None))
}
