//! Files as `torch.save` writes them: a stored zip archive of one pickle (protocol 2) and the storages.

use tch::{Kind, Tensor};

/// A value in a pickle.
pub enum Saved<'a> {
    Int(u8),
    /// A `state_dict()`: an OrderedDict of f32 tensors.
    State(&'a [(String, Tensor)]),
}

/// The bytes of `torch.save(state)`.
pub fn saved_state(state: &[(String, Tensor)]) -> Vec<u8> {
    let mut storages = Vec::new();
    let mut pickle = vec![0x80, 2];
    push(&mut pickle, &Saved::State(state), &mut storages);
    archive(pickle, storages)
}

/// The bytes of `torch.save({key: value, …})`.
pub fn saved_dict(entries: &[(&str, Saved)]) -> Vec<u8> {
    let mut storages = Vec::new();
    let mut pickle = vec![0x80, 2, b'}', b'('];
    for (key, value) in entries {
        push_text(&mut pickle, key);
        push(&mut pickle, value, &mut storages);
    }
    pickle.push(b'u');
    archive(pickle, storages)
}

fn push(pickle: &mut Vec<u8>, value: &Saved, storages: &mut Vec<Vec<u8>>) {
    match value {
        Saved::Int(n) => pickle.extend([b'K', *n]),
        Saved::State(state) => {
            pickle.extend(b"ccollections\nOrderedDict\n)R(");
            for (name, tensor) in *state {
                push_text(pickle, name);
                push_tensor(pickle, tensor, storages);
            }
            pickle.push(b'u');
        }
    }
}

fn push_tensor(pickle: &mut Vec<u8>, tensor: &Tensor, storages: &mut Vec<Vec<u8>>) {
    let values = Vec::<f32>::try_from(tensor.to_kind(Kind::Float).contiguous().view(-1)).unwrap();
    let int = |pickle: &mut Vec<u8>, n: i64| {
        pickle.push(b'J');
        pickle.extend((n as i32).to_le_bytes());
    };
    pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
    push_text(pickle, "storage");
    pickle.extend(b"ctorch\nFloatStorage\n");
    push_text(pickle, &storages.len().to_string());
    push_text(pickle, "cpu");
    int(pickle, values.len() as i64);
    pickle.extend(b"tQK\0(");
    tensor.size().into_iter().for_each(|n| int(pickle, n));
    pickle.extend(b"t(");
    tensor.contiguous().stride().into_iter().for_each(|n| int(pickle, n));
    pickle.extend(b"t\x89ccollections\nOrderedDict\n)RtR");
    storages.push(values.iter().flat_map(|v| v.to_le_bytes()).collect());
}

fn push_text(pickle: &mut Vec<u8>, text: &str) {
    pickle.push(b'X');
    pickle.extend((text.len() as u32).to_le_bytes());
    pickle.extend(text.bytes());
}

fn archive(mut pickle: Vec<u8>, storages: Vec<Vec<u8>>) -> Vec<u8> {
    pickle.push(b'.');
    let mut entries = vec![("archive/data.pkl".to_string(), pickle)];
    entries.extend(storages.into_iter().enumerate().map(|(i, bytes)| (format!("archive/data/{i}"), bytes)));
    entries.push(("archive/version".to_string(), b"3\n".to_vec()));
    zip(&entries)
}

/// A zip archive of stored entries.
fn zip(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in entries {
        let mut common = vec![10, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        common.extend(crc32fast::hash(content).to_le_bytes());
        common.extend([(content.len() as u32).to_le_bytes(); 2].concat());
        common.extend((name.len() as u16).to_le_bytes());
        let at = out.len() as u32;

        out.extend(b"PK\x03\x04");
        out.extend(&common);
        out.extend([0, 0]);
        out.extend(name.bytes());
        out.extend(content);

        directory.extend(b"PK\x01\x02\x0a\0");
        directory.extend(&common);
        directory.extend([0; 12]);
        directory.extend(at.to_le_bytes());
        directory.extend(name.bytes());
    }
    let at = out.len() as u32;
    let count = (entries.len() as u16).to_le_bytes();
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend([count, count].concat());
    out.extend((directory.len() as u32).to_le_bytes());
    out.extend(at.to_le_bytes());
    out.extend([0, 0]);
    out
}
