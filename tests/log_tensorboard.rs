//! What `log::tensorboard` writes, read back with a reader of our own: record framing, checksums, messages.

use std::collections::BTreeMap;
use std::path::Path;

use protobuf::Message;
use sampler::log::plot::Picture;
use sampler::log::tensorboard::{Outcome, TensorBoard};
use tensorboard_proto::api::{DataType, Status};
use tensorboard_proto::event::{Event, SessionLog_SessionStatus};
use tensorboard_proto::plugin_hparams::HParamsPluginData;
use tensorboard_proto::summary::Summary_Value;

/// CRC-32C (Castagnoli) bit by bit, then masked as TFRecord does.
fn masked_crc(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    (!crc).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// All events of one file: length (u64), its checksum, message, its checksum; little endian.
fn read_events(path: &Path) -> Vec<Event> {
    let bytes = std::fs::read(path).unwrap();
    let mut events = Vec::new();
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let (length, tail) = rest.split_at(8);
        let (length_crc, tail) = tail.split_at(4);
        assert_eq!(masked_crc(length), u32::from_le_bytes(length_crc.try_into().unwrap()));
        let (message, tail) = tail.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
        let (message_crc, tail) = tail.split_at(4);
        assert_eq!(masked_crc(message), u32::from_le_bytes(message_crc.try_into().unwrap()));
        events.push(Event::parse_from_bytes(message).unwrap());
        rest = tail;
    }
    events
}

/// Event files of a folder in the order TensorBoard reads them.
fn event_files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

/// `(step, value)` of every summary value under a tag.
fn under_tag<'a>(events: &'a [Event], tag: &str) -> Vec<(i64, &'a Summary_Value)> {
    let values = events.iter().flat_map(|e| e.get_summary().get_value().iter().map(move |v| (e.get_step(), v)));
    values.filter(|(_, v)| v.get_tag() == tag).collect()
}

#[test]
fn scalars_histograms_and_text_decode_to_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut board = TensorBoard::create(folder.path()).unwrap();
    board.scalar("train/loss", 3, 0.125);
    board.scalars(4, [("train/loss", f64::NAN), ("eval/elbo", -1.5)]);
    board.histogram_of("weights", 4, &tch::Tensor::from_slice(&[0f32, 1.0, 1.0, 3.0]).view([2, 2]));
    board.histogram("broken", 4, &[1.0, f64::NAN, f64::INFINITY, 2.0]);
    board.histogram("all_nan", 4, &[f64::NAN]);
    board.config("dim: 10\n");
    board.flush();

    let events = read_events(board.path());
    assert_eq!(events[0].get_file_version(), "brain.Event:2");
    assert!(events.iter().all(|e| e.get_wall_time() > 1.6e9));

    let loss = under_tag(&events, "train/loss");
    assert_eq!((loss[0].0, loss[0].1.get_simple_value()), (3, 0.125));
    assert_eq!(loss[1].0, 4);
    assert!(loss[1].1.get_simple_value().is_nan());
    assert_eq!(under_tag(&events, "eval/elbo")[0].1.get_simple_value(), -1.5);

    let weights = under_tag(&events, "weights")[0].1.get_histo();
    assert_eq!((weights.min, weights.max, weights.num, weights.sum, weights.sum_squares), (0.0, 3.0, 4.0, 5.0, 11.0));
    let filled: Vec<f64> = weights.bucket.iter().copied().filter(|c| *c > 0.0).collect();
    assert_eq!(filled, [1.0, 2.0, 1.0]);
    assert_eq!(weights.bucket_limit.last(), Some(&3.0));

    assert_eq!(under_tag(&events, "broken")[0].1.get_histo().num, 2.0);
    assert_eq!(under_tag(&events, "broken/non_finite")[0].1.get_simple_value(), 0.5);
    assert!(under_tag(&events, "all_nan").is_empty());
    assert_eq!(under_tag(&events, "all_nan/non_finite")[0].1.get_simple_value(), 1.0);

    let text = under_tag(&events, "config")[0].1;
    assert_eq!(text.get_metadata().get_plugin_data().get_plugin_name(), "text");
    assert_eq!(text.get_tensor().get_string_val()[0], b"```yaml\ndim: 10\n```");
}

/// Two rows of three pixels, every one different, so that any transposition shows.
fn small_picture() -> Picture {
    Picture { width: 3, height: 2, rgb: (0..18).map(|i| i * 13).collect() }
}

fn decode_png(bytes: &[u8]) -> Picture {
    let mut reader = png::Decoder::new(bytes).read_info().unwrap();
    let mut rgb = vec![0; reader.output_buffer_size()];
    let info = reader.next_frame(&mut rgb).unwrap();
    assert_eq!((info.color_type, info.bit_depth), (png::ColorType::Rgb, png::BitDepth::Eight));
    Picture { width: info.width, height: info.height, rgb }
}

#[test]
fn pictures_keep_their_orientation() {
    let folder = tempfile::tempdir().unwrap();
    let picture = small_picture();
    let file = folder.path().join("plots/small.png");
    picture.save(&file).unwrap();

    let mut board = TensorBoard::create(&folder.path().join("run")).unwrap();
    board.picture("drawn", 7, &picture).unwrap();
    board.png("file", 8, &file).unwrap();
    board.flush();

    let events = read_events(board.path());
    for (tag, step) in [("drawn", 7), ("file", 8)] {
        let (at, value) = under_tag(&events, tag)[0];
        let image = value.get_image();
        assert_eq!((at, image.width, image.height, image.colorspace), (step, 3, 2, 3));
        assert_eq!(decode_png(image.get_encoded_image_string()), picture);
    }

    std::fs::write(&file, "no picture").unwrap();
    let error = board.png("file", 9, &file).unwrap_err();
    assert!(error.to_string().contains("small.png: not a PNG file"), "{error}");
}

#[test]
fn hparams_name_settings_metrics_and_the_session() {
    let folder = tempfile::tempdir().unwrap();
    let mut board = TensorBoard::create(folder.path()).unwrap();
    let config = serde_json::json!({"loss": {"type": "lv", "clip": 2.5}, "ema": false, "hidden": [64, 64]});
    board.hparams(&config, &["eval/elbo", "eval/ess"]);
    board.finish(Outcome::Success);

    let events = read_events(board.path());
    let content = |tag: &str| {
        let value = under_tag(&events, tag)[0].1;
        let data = value.get_metadata().get_plugin_data();
        assert_eq!(data.get_plugin_name(), "hparams");
        assert!(value.has_tensor());
        HParamsPluginData::parse_from_bytes(data.get_content()).unwrap()
    };

    let plugin = content("_hparams_/experiment");
    let experiment = plugin.get_experiment();
    let columns: Vec<_> = experiment.get_hparam_infos().iter().map(|i| (i.get_name(), i.get_field_type())).collect();
    let expected = [
        ("loss.type", DataType::DATA_TYPE_STRING),
        ("loss.clip", DataType::DATA_TYPE_FLOAT64),
        ("ema", DataType::DATA_TYPE_BOOL),
        ("hidden", DataType::DATA_TYPE_STRING),
    ];
    assert_eq!(columns, expected);
    let metrics: Vec<_> = experiment.get_metric_infos().iter().map(|m| m.get_name().get_tag()).collect();
    assert_eq!(metrics, ["eval/elbo", "eval/ess"]);

    let plugin = content("_hparams_/session_start_info");
    let hparams = plugin.get_session_start_info().get_hparams();
    assert_eq!(hparams["loss.type"].get_string_value(), "lv");
    assert_eq!(hparams["loss.clip"].get_number_value(), 2.5);
    assert!(!hparams["ema"].get_bool_value() && hparams["ema"].has_bool_value());
    assert_eq!(hparams["hidden"].get_string_value(), "[64,64]");

    let plugin = content("_hparams_/session_end_info");
    assert_eq!(plugin.get_session_end_info().get_status(), Status::STATUS_SUCCESS);
}

/// What TensorBoard shows of a scalar: a session start hides earlier events from its step on, except the first.
fn shown(folder: &Path, tag: &str) -> BTreeMap<i64, Vec<f32>> {
    let mut shown: BTreeMap<i64, Vec<f32>> = BTreeMap::new();
    let mut started = false;
    for event in event_files(folder).iter().flat_map(|file| read_events(file)) {
        if event.get_session_log().get_status() == SessionLog_SessionStatus::START {
            if started {
                shown.retain(|step, _| *step < event.get_step());
            }
            started = true;
        }
        for (step, value) in under_tag(std::slice::from_ref(&event), tag) {
            shown.entry(step).or_default().push(value.get_simple_value());
        }
    }
    shown
}

#[test]
fn resumed_sessions_neither_clash_nor_repeat_steps() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = TensorBoard::create(folder.path()).unwrap();
    (0..=12).for_each(|step| first.scalar("train/loss", step, 1.0));
    first.flush();

    // The checkpoint was at step 10, and the first session is still open, as after a crash of its machine.
    let mut second = TensorBoard::resume(folder.path(), 10).unwrap();
    (11..=20).for_each(|step| second.scalar("train/loss", step, 2.0));
    second.flush();
    let mut third = TensorBoard::resume(folder.path(), 15).unwrap();
    (16..=18).for_each(|step| third.scalar("train/loss", step, 3.0));
    drop((second, third, first));

    assert_eq!(event_files(folder.path()).len(), 3);
    let expected: BTreeMap<i64, Vec<f32>> = (0..=18)
        .map(|step| {
            (
                step,
                vec![if step <= 10 {
                    1.0
                } else if step <= 15 {
                    2.0
                } else {
                    3.0
                }],
            )
        })
        .collect();
    assert_eq!(shown(folder.path(), "train/loss"), expected);
}

#[test]
fn names_sort_last_even_after_a_clock_was_set_back() {
    let folder = tempfile::tempdir().unwrap();
    let future = folder.path().join("events.out.tfevents.4000000000.zebra.1");
    std::fs::write(&future, []).unwrap();
    let first = TensorBoard::create(folder.path()).unwrap();
    let second = TensorBoard::create(folder.path()).unwrap();
    assert!(*first.path() > *future);
    assert!(second.path() > first.path());
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("occupied");
    std::fs::write(&file, []).unwrap();
    let error = TensorBoard::create(&file).err().expect("a file is no folder");
    assert!(error.to_string().contains("occupied"), "{error}");
}
