//! Normalizing flows: invertible networks between data and noise.
