//! A disk that fills while a checkpoint is written. Alone in its binary: the limit holds for the whole process.

use sampler::io::checkpoint::{CheckpointWriter, latest};
use sampler::io::weights::write_weights;
use serde_json::json;
use tch::{Device, Kind, Tensor};

/// From here on this process cannot make a file longer than `bytes`; writing past that fails as a full disk does.
fn limit_files(bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: both calls take plain values; without the handler, passing the limit would end the process.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limit), 0);
    }
}

#[test]
fn the_checkpoint_before_survives_a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    let writer = CheckpointWriter::new(folder.path(), 1).unwrap();
    let files = |n: i64| vec![("weights", vec![("w".to_string(), Tensor::ones([n], (Kind::Float, Device::Cpu)))])];
    writer.save(5, &files(10), &json!({"step": 5})).unwrap();
    let exported = folder.path().join("final.safetensors");
    write_weights(&exported, &files(10)[0].1, &Default::default()).unwrap();

    limit_files(100_000);
    for step in [5, 10] {
        let error = writer.save(step, &files(1_000_000), &json!({})).unwrap_err().to_string();
        assert!(error.contains(&format!("step_{step:08}.partial/weights.safetensors: cannot be written")), "{error}");
        assert!(error.contains("File too large") && !error.contains('\n'), "{error}");
    }
    assert!(write_weights(&exported, &files(1_000_000)[0].1, &Default::default()).is_err());

    // Nothing half-written stays, and what was there reads as before.
    let mut left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["final.safetensors", "step_00000005"]);
    let found = latest(folder.path()).unwrap().unwrap();
    assert_eq!(found.state().unwrap(), json!({"step": 5}));
    assert_eq!(found.tensors("weights").unwrap().get("w").unwrap().size(), [10]);
}
