//! Safetensors: eight bytes of header length, a JSON header, and the tensors' bytes end to end.

use std::io::{self, Write};

use anyhow::Result;
use safetensors::Dtype;
use safetensors::tensor::Metadata;
use serde_json::{Map, Value, json};
use tch::{Device, Kind, Tensor};

use super::blob::{Blob, number};
use super::weights::{Content, Format, tensor};
use crate::bad_input;

const METADATA: &str = "__metadata__";

/// Whether the file begins as a safetensors file does.
pub fn is_one(head: &[u8], file_len: u64) -> bool {
    let header = number::<8>(head, 0).filter(|len| len.checked_add(8).is_some_and(|end| end <= file_len));
    header.is_some() && head.get(8) == Some(&b'{')
}

pub fn read(blob: &Blob) -> Result<Content> {
    let header_len = number::<8>(&blob.read(0, 8)?, 0).unwrap_or(u64::MAX);
    let header = blob.read(8, header_len)?;
    let header: Metadata = serde_json::from_slice(&header)
        .map_err(|error| bad_input!("its safetensors header is damaged: {}", first_sentence(&error.to_string())))?;
    let data = 8 + header_len;
    if header.data_len() as u64 != blob.len() - data {
        let (told, found) = (header.data_len(), blob.len() - data);
        return Err(bad_input!("its safetensors header tells of {told} bytes of tensors, {found} follow"));
    }

    // The crate has checked that tensors lie end to end and are as long as their shapes say. Empty ones share a place.
    let mut infos: Vec<_> = header.tensors().into_iter().collect();
    infos.sort_by(|a, b| (a.1.data_offsets, &a.0).cmp(&(b.1.data_offsets, &b.0)));
    let mut content = Content { format: Format::Safetensors, ..Content::default() };
    content.metadata.extend(header.metadata().clone().unwrap_or_default());
    for (name, info) in infos {
        let Some(kind) = kind(info.dtype) else {
            content.skipped.push((name, format!("{:?}", info.dtype)));
            continue;
        };
        let (start, end) = info.data_offsets;
        let bytes = blob.read(data + start as u64, (end - start) as u64)?;
        let shape = info.shape.iter().map(|extent| i64::try_from(*extent)).collect::<Result<Vec<_>, _>>();
        let shape = shape.map_err(|_| bad_input!("tensor '{name}' has an axis of more than 2^63 entries"))?;
        let tensor = tensor(&bytes, &shape, kind).map_err(|error| bad_input!("tensor '{name}': {error}"))?;
        content.tensors.push((name, tensor));
    }
    Ok(content)
}

fn first_sentence(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(160).collect()
}

fn kind(dtype: Dtype) -> Option<Kind> {
    KINDS.iter().find(|row| row.0 == dtype).map(|row| row.2)
}

/// Dtype, its name in a header, and its kind here.
const KINDS: [(Dtype, &str, Kind); 13] = [
    (Dtype::F32, "F32", Kind::Float),
    (Dtype::F64, "F64", Kind::Double),
    (Dtype::F16, "F16", Kind::Half),
    (Dtype::BF16, "BF16", Kind::BFloat16),
    (Dtype::I64, "I64", Kind::Int64),
    (Dtype::I32, "I32", Kind::Int),
    (Dtype::I16, "I16", Kind::Int16),
    (Dtype::I8, "I8", Kind::Int8),
    (Dtype::U8, "U8", Kind::Uint8),
    (Dtype::BOOL, "BOOL", Kind::Bool),
    (Dtype::C64, "C64", Kind::ComplexFloat),
    (Dtype::F8_E4M3, "F8_E4M3", Kind::Float8e4m3fn),
    (Dtype::F8_E5M2, "F8_E5M2", Kind::Float8e5m2),
];

/// Writes tensors, wide elements first (so that all lie aligned) and otherwise in the order given.
pub fn write(out: &mut dyn Write, tensors: &[(String, Tensor)], metadata: &[(String, String)]) -> io::Result<()> {
    let mut order: Vec<&(String, Tensor)> = tensors.iter().collect();
    order.sort_by_key(|(_, tensor)| std::cmp::Reverse(tensor.kind().elt_size_in_bytes()));

    let mut header = Map::new();
    if !metadata.is_empty() {
        let entries = metadata.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str())));
        header.insert(METADATA.to_string(), Value::Object(entries.collect()));
    }
    let mut end = 0;
    for (name, tensor) in &order {
        let dtype = KINDS.iter().find(|row| row.2 == tensor.kind()).map(|row| row.1);
        let dtype = dtype.ok_or_else(|| invalid(format!("tensor '{name}' has the kind {:?}", tensor.kind())))?;
        let start = end;
        end += tensor.numel() * tensor.kind().elt_size_in_bytes();
        let entry = json!({"dtype": dtype, "shape": tensor.size(), "data_offsets": [start, end]});
        if name == METADATA || header.insert(name.clone(), entry).is_some() {
            return Err(invalid(format!("two tensors are named '{name}'")));
        }
    }

    // The data begin at a multiple of eight, for readers that map the file.
    let mut header = serde_json::to_vec(&header)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;
    for (name, tensor) in &order {
        out.write_all(&bytes(tensor).map_err(|error| invalid(format!("tensor '{name}': {error}")))?)?;
    }
    Ok(())
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn bytes(tensor: &Tensor) -> Result<Vec<u8>, tch::TchError> {
    let tensor = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?;
    let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
    tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
    Ok(bytes)
}
