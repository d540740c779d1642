//! Plain loops over numbers, compiled for the widest vector unit at hand.

/// Compiles the same loop for three instruction sets and picks one at run time.
macro_rules! dispatched {
    ($name:ident, ($($arg:ident: $type:ty),*), $body:block) => {
        fn $name($($arg: $type),*) {
            #[inline(always)]
            fn portable($($arg: $type),*) $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
                fn avx512($($arg: $type),*) { portable($($arg),*) }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $type),*) { portable($($arg),*) }

                let has = |wide: bool| if wide {
                    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl")
                        && is_x86_feature_detected!("avx512dq") && is_x86_feature_detected!("avx512bw")
                } else {
                    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
                };
                // SAFETY: each is called only where its instructions were found.
                if has(true) {
                    return unsafe { avx512($($arg),*) };
                }
                if has(false) {
                    return unsafe { avx2($($arg),*) };
                }
            }
            portable($($arg),*)
        }
    };
}

pub(super) use dispatched;
