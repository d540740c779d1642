//! What is measured: figures of samples and log-weights, from plain tensors.
//!
//! | file | figures |
//! |---|---|
//! | [`weights`] | ELBO, EUBO, log Z (reverse and forward), ESS, with standard errors |
//! | [`sinkhorn`] | Sinkhorn divergences by the name of their convention, exact W2 |
//! | [`mmd`] | maximum mean discrepancy, two kernels |
//! | [`hamming`] | maximum mean discrepancy of discrete states |
//! | [`modes`] | mode weights, entropic mode coverage (EMC) |
//! | [`energy`] | Wasserstein distances of energies, moments of coordinates |
//! | [`torus`] | Kullback-Leibler divergences and exact W2 of pairs of angles |
//! | [`transport`] | exact optimal transport in the plane and on the torus, up to 10,000 points a set |
//! | [`tica`] | slow coordinates of trajectories, and W2 in their plane |
//! | [`jensen_shannon`] | divergences of point sets by clusters or histograms |
//! | [`autocorrelation`] | means of correlated series: inefficiency, effective sample size, blocked errors |
//! | [`bures`] | W2 of Gaussians |
//! | [`sliced`] | W2 of densities on a line, and of points seen along many directions |
//! | [`assignment`], [`pairwise`] | the optimal matching and the distances they stand on |
//!
//! Points are `[N, D]` of any float kind and device; results are `f64`. Nothing here tracks gradients or draws from
//! libtorch's generator. Degenerate input (NaN, infinities, empty sets) gives NaN figures that a table can show, not an error.

pub mod assignment;
pub mod autocorrelation;
pub mod bures;
pub mod energy;
pub mod hamming;
pub mod jensen_shannon;
pub mod mmd;
pub mod modes;
pub mod pairwise;
pub mod sinkhorn;
pub mod sliced;
pub mod tica;
pub mod torus;
pub mod transport;
pub mod weights;
