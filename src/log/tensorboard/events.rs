//! The protocol-buffer messages of an event file (TensorFlow's event.proto and summary.proto).

use protobuf::{Message, RepeatedField};
use tensorboard_proto::event::{Event, SessionLog, SessionLog_SessionStatus};
use tensorboard_proto::plugin_text::TextPluginData;
use tensorboard_proto::summary::{
    HistogramProto, Summary, Summary_Image, Summary_Value, SummaryMetadata, SummaryMetadata_PluginData,
};
use tensorboard_proto::tensor::TensorProto;
use tensorboard_proto::tensor_shape::{TensorShapeProto, TensorShapeProto_Dim};
use tensorboard_proto::types::DataType;

use super::file::now;
use super::histogram::Buckets;

/// The record every event file begins with.
pub fn file_version() -> Event {
    let mut event = at(0);
    event.set_file_version("brain.Event:2".to_string());
    event
}

/// A session begins (or restarts) whose first own event has this step.
pub fn session_start(first_step: u64) -> Event {
    let mut log = SessionLog::new();
    log.set_status(SessionLog_SessionStatus::START);
    let mut event = at(first_step);
    event.set_session_log(log);
    event
}

/// Values of one step.
pub fn summary(step: u64, values: Vec<Summary_Value>) -> Event {
    let mut summary = Summary::new();
    summary.set_value(RepeatedField::from_vec(values));
    let mut event = at(step);
    event.set_summary(summary);
    event
}

pub fn scalar(tag: &str, number: f64) -> Summary_Value {
    let mut value = tagged(tag);
    value.set_simple_value(number as f32);
    value
}

pub fn histogram(tag: &str, buckets: Buckets) -> Summary_Value {
    let mut proto = HistogramProto::new();
    proto.set_min(buckets.min);
    proto.set_max(buckets.max);
    proto.set_num(buckets.num);
    proto.set_sum(buckets.sum);
    proto.set_sum_squares(buckets.sum_squares);
    proto.set_bucket_limit(buckets.limits);
    proto.set_bucket(buckets.counts);

    let mut value = tagged(tag);
    value.set_histo(proto);
    value
}

pub fn image(tag: &str, width: u32, height: u32, png: Vec<u8>) -> Summary_Value {
    let mut image = Summary_Image::new();
    image.set_width(width as i32);
    image.set_height(height as i32);
    image.set_colorspace(3); // RGB
    image.set_encoded_image_string(png);

    let mut value = tagged(tag);
    value.set_image(image);
    value
}

/// A one-element string tensor, marked for the text plugin.
pub fn text(tag: &str, markdown: &str) -> Summary_Value {
    let mut tensor = TensorProto::new();
    tensor.set_dtype(DataType::DT_STRING);
    tensor.set_tensor_shape(vector_shape(1));
    tensor.set_string_val(RepeatedField::from_vec(vec![markdown.as_bytes().to_vec()]));
    for_plugin(tag, "text", &TextPluginData::new(), tensor)
}

/// A value whose content is all in its metadata; the tensor is empty because TensorBoard wants one.
pub fn metadata_only(tag: &str, plugin: &str, content: &impl Message) -> Summary_Value {
    let mut tensor = TensorProto::new();
    tensor.set_dtype(DataType::DT_FLOAT);
    tensor.set_tensor_shape(vector_shape(0));
    for_plugin(tag, plugin, content, tensor)
}

fn for_plugin(tag: &str, plugin: &str, content: &impl Message, tensor: TensorProto) -> Summary_Value {
    let mut data = SummaryMetadata_PluginData::new();
    data.set_plugin_name(plugin.to_string());
    // Serialising to memory cannot fail: these messages have no required fields.
    data.set_content(content.write_to_bytes().unwrap_or_default());
    let mut metadata = SummaryMetadata::new();
    metadata.set_plugin_data(data);

    let mut value = tagged(tag);
    value.set_metadata(metadata);
    value.set_tensor(tensor);
    value
}

fn vector_shape(length: i64) -> TensorShapeProto {
    let mut dim = TensorShapeProto_Dim::new();
    dim.set_size(length);
    let mut shape = TensorShapeProto::new();
    shape.set_dim(RepeatedField::from_vec(vec![dim]));
    shape
}

fn tagged(tag: &str) -> Summary_Value {
    let mut value = Summary_Value::new();
    value.set_tag(tag.to_string());
    value
}

fn at(step: u64) -> Event {
    let mut event = Event::new();
    event.set_wall_time(now().as_secs_f64());
    event.set_step(step as i64);
    event
}
