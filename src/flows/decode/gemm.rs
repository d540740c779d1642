//! Products of a few rows with a matrix that is used at every step.
//!
//! libtorch's product repacks the matrix on each call, which for a dozen rows costs as much as the product. Here it is
//! packed once: 16 columns of the result side by side, so that one pass over memory serves all rows, and memory is read
//! from front to back.

use std::cell::RefCell;

use tch::Tensor;

/// Columns of one panel: the floats of one AVX-512 register.
pub const LANES: usize = 16;

/// A linear layer `y = x W^T + b` in panels of 16 outputs; outputs are padded with zeros to whole panels.
pub struct Packed {
    panels: Vec<[f32; LANES]>,
    bias: Vec<[f32; LANES]>,
    depth: usize,
}

impl Packed {
    /// Packs `weight` `[out, in]` and `bias` `[out]`, f32 on the CPU; `in` is a multiple of 16.
    pub fn new(weight: &Tensor, bias: Option<&Tensor>) -> Self {
        let (out, depth) = (weight.size()[0] as usize, weight.size()[1] as usize);
        let weight = weight.detach().contiguous();
        // SAFETY: a contiguous f32 tensor of `out * depth` numbers on the CPU, which outlives the slice.
        let numbers = unsafe { std::slice::from_raw_parts(weight.data_ptr() as *const f32, out * depth) };
        let mut panels = spare(out.div_ceil(LANES) * depth);
        for (panel, rows) in panels.chunks_exact_mut(depth).zip(numbers.chunks(LANES * depth)) {
            if rows.len() < LANES * depth {
                panel.fill([0.0; LANES]);
            }
            // Squares of 16 by 16: every line of memory is fetched once and used whole.
            for (k, square) in panel.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
                for (l, row) in rows.chunks_exact(depth).enumerate() {
                    let row = &row.as_chunks::<LANES>().0[k];
                    for j in 0..LANES {
                        square[j][l] = row[j];
                    }
                }
            }
        }
        let mut padded = vec![[0f32; LANES]; out.div_ceil(LANES)];
        if let Some(bias) = bias {
            bias.detach().copy_data(padded.as_flattened_mut(), out);
        }
        Self { panels, bias: padded, depth }
    }

    /// Outputs, padded.
    pub fn width(&self) -> usize {
        self.bias.len() * LANES
    }
}

thread_local! {
    /// Panels of the block before, which the next block fills anew: fresh memory would cost more than the packing.
    static SPARE: RefCell<Vec<Vec<[f32; LANES]>>> = const { RefCell::new(Vec::new()) };
}

/// Memory for `count` rows of panels, with anything in it. What another network left is given back to the system.
fn spare(count: usize) -> Vec<[f32; LANES]> {
    SPARE.with_borrow_mut(|spare| match spare.iter().position(|panels| panels.len() == count) {
        Some(found) => spare.swap_remove(found),
        None => {
            spare.clear();
            vec![[0.0; LANES]; count]
        }
    })
}

impl Drop for Packed {
    fn drop(&mut self) {
        let panels = std::mem::take(&mut self.panels);
        // At the end of a thread there is nothing to keep them in.
        let _ = SPARE.try_with(|spare| spare.borrow_mut().push(panels));
    }
}

/// `out = x W^T + b` for `rows` rows of `x`, both row-major without gaps.
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma")]
pub fn multiply(x: &[f32], rows: usize, layer: &Packed, out: &mut [f32]) {
    // As few bands of rows as the registers allow, and as even.
    let bands = rows.div_ceil(12);
    let mut row = 0;
    for band in 0..bands {
        let count = (rows - row).div_ceil(bands - band);
        let x = &x[row * layer.depth..][..count * layer.depth];
        let out = &mut out[row * layer.width()..][..count * layer.width()];
        match count {
            1 => columns::<1, 4>(x, layer, out),
            2 => columns::<2, 4>(x, layer, out),
            3 => columns::<3, 6>(x, layer, out),
            4 => columns::<4, 6>(x, layer, out),
            5 => columns::<5, 4>(x, layer, out),
            6 => columns::<6, 4>(x, layer, out),
            7 => columns::<7, 3>(x, layer, out),
            8 => columns::<8, 3>(x, layer, out),
            9 => columns::<9, 2>(x, layer, out),
            10 => columns::<10, 2>(x, layer, out),
            11 => columns::<11, 2>(x, layer, out),
            _ => columns::<12, 2>(x, layer, out),
        }
        row += count;
    }
}

/// All columns of `M` rows, `V` panels at a time.
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma")]
fn columns<const M: usize, const V: usize>(x: &[f32], layer: &Packed, out: &mut [f32]) {
    let count = layer.bias.len();
    let mut first = 0;
    while first + V <= count {
        tile::<M, V>(x, layer, first, out);
        first += V;
    }
    while first < count {
        tile::<M, 1>(x, layer, first, out);
        first += 1;
    }
}

/// `M` rows by `V` panels, all sums in registers.
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma")]
#[inline]
fn tile<const M: usize, const V: usize>(x: &[f32], layer: &Packed, first: usize, out: &mut [f32]) {
    let depth = layer.depth;
    let rows: [&[f32]; M] = std::array::from_fn(|m| &x[m * depth..][..depth]);
    let panels: [&[[f32; LANES]]; V] = std::array::from_fn(|v| &layer.panels[(first + v) * depth..][..depth]);
    let mut sums: [[[f32; LANES]; V]; M] = [std::array::from_fn(|v| layer.bias[first + v]); M];
    for k in 0..depth {
        let w: [[f32; LANES]; V] = std::array::from_fn(|v| panels[v][k]);
        for m in 0..M {
            let a = rows[m][k];
            for v in 0..V {
                for l in 0..LANES {
                    sums[m][v][l] = a.mul_add(w[v][l], sums[m][v][l]);
                }
            }
        }
    }
    for m in 0..M {
        out[m * layer.width() + first * LANES..][..V * LANES].copy_from_slice(sums[m].as_flattened());
    }
}
