//! Tensors of a PyTorch archive: which part of which storage each one is.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use tch::{Kind, Tensor};

use super::pickle::{Node, Pickle, Value};
use super::weights::{countable, refused, tensor};
use super::zip::Archive;
use crate::bad_input;

/// Wrappers around a tensor (a parameter of a subclass of ...).
const MAX_WRAPPERS: usize = 8;
/// Views repeat their storage; copies of them may add up to this many times the file.
const MAX_REPEATS: u64 = 8;

/// What Python calls a storage's class, its dtype, and the kind here.
const KINDS: [(&str, &str, Kind); 14] = [
    ("FloatStorage", "float32", Kind::Float),
    ("DoubleStorage", "float64", Kind::Double),
    ("HalfStorage", "float16", Kind::Half),
    ("BFloat16Storage", "bfloat16", Kind::BFloat16),
    ("LongStorage", "int64", Kind::Int64),
    ("IntStorage", "int32", Kind::Int),
    ("ShortStorage", "int16", Kind::Int16),
    ("CharStorage", "int8", Kind::Int8),
    ("ByteStorage", "uint8", Kind::Uint8),
    ("BoolStorage", "bool", Kind::Bool),
    ("ComplexFloatStorage", "complex64", Kind::ComplexFloat),
    ("ComplexDoubleStorage", "complex128", Kind::ComplexDouble),
    ("Float8_e4m3fnStorage", "float8_e4m3fn", Kind::Float8e4m3fn),
    ("Float8_e5m2Storage", "float8_e5m2", Kind::Float8e5m2),
];

type KindRow = (&'static str, &'static str, Kind);

pub enum Rebuilt {
    Tensor(Tensor),
    /// By what it was made of instead.
    Unsupported(String),
}

/// The storages of one archive, loaded as tensors ask for them.
pub struct Storages<'a> {
    pickle: &'a Pickle<'a>,
    archive: &'a Archive<'a>,
    prefix: &'a str,
    /// Flat tensors, by storage key and kind.
    flat: HashMap<(String, &'static str), Tensor>,
    /// Those given out whole, without a copy.
    taken: HashSet<(String, &'static str)>,
    copies_left: u64,
}

impl<'a> Storages<'a> {
    pub fn new(pickle: &'a Pickle<'a>, archive: &'a Archive<'a>, prefix: &'a str, file_len: u64) -> Self {
        let copies_left = MAX_REPEATS * file_len + 65536;
        Self { pickle, archive, prefix, flat: HashMap::new(), taken: HashSet::new(), copies_left }
    }

    /// Follows wrappers to the call that makes the tensor.
    pub fn rebuild(&mut self, mut class: String, mut args: Value) -> Result<Rebuilt> {
        for _ in 0..MAX_WRAPPERS {
            let items = self.pickle.items(args).unwrap_or_default();
            (class, args) = match (class.as_str(), items) {
                ("torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state", [inner, ..]) => {
                    match self.pickle.node(*inner) {
                        Some(Node::Call { callable, args, .. }) => {
                            (self.pickle.global(*callable).unwrap_or_default(), *args)
                        }
                        _ => return Err(bad_input!("a parameter without a tensor")),
                    }
                }
                ("torch._tensor._rebuild_from_type_v2", [function, _, args, ..]) => {
                    (self.pickle.global(*function).unwrap_or_default(), *args)
                }
                ("torch._utils._rebuild_tensor", [storage, offset, size, stride]) => {
                    return self.view(*storage, [*offset, *size, *stride], None);
                }
                ("torch._utils._rebuild_tensor_v2", [storage, offset, size, stride, _, _, metadata @ ..]) => {
                    let marked = metadata.first().and_then(|metadata| self.pickle.node(*metadata));
                    if matches!(marked, Some(Node::Dict(entries)) if !entries.is_empty()) {
                        return Ok(Rebuilt::Unsupported("a conjugated or negated view".to_string()));
                    }
                    return self.view(*storage, [*offset, *size, *stride], None);
                }
                ("torch._utils._rebuild_tensor_v3", [storage, offset, size, stride, _, _, dtype, ..]) => {
                    let dtype = self.pickle.global(*dtype).unwrap_or_default();
                    return self.view(*storage, [*offset, *size, *stride], Some(&dtype));
                }
                _ => return Ok(Rebuilt::Unsupported(class)),
            };
        }
        Err(bad_input!("is wrapped more than {MAX_WRAPPERS} times"))
    }

    /// The part of a storage that offset, size and stride (in elements) select.
    fn view(&mut self, storage: Value, place: [Value; 3], dtype: Option<&str>) -> Result<Rebuilt> {
        let (key, found) = self.identify(storage, dtype)?;
        let kind = match found {
            Ok(kind) => kind,
            Err(name) => return Ok(Rebuilt::Unsupported(name)),
        };
        let Value::Int(offset) = place[0] else { return Err(bad_input!("its offset is not a number")) };
        let (size, stride) = (self.extents(place[1])?, self.extents(place[2])?);

        let id = (key, kind.1);
        self.load(&id, kind.2)?;
        let flat = &self.flat[&id];
        check_bounds(offset, &size, &stride, flat.size()[0])?;
        let view = flat.f_as_strided(&size, &stride, offset).map_err(refused)?;

        // The first to use all of a storage may have it; others get copies, while those stay in proportion.
        let bytes = (view.numel() * kind.2.elt_size_in_bytes()) as u64;
        if view.is_contiguous() && view.numel() == flat.numel() && self.taken.insert(id) {
            return Ok(Rebuilt::Tensor(view));
        }
        match self.copies_left.checked_sub(bytes) {
            Some(left) => {
                self.copies_left = left;
                let own = if view.is_contiguous() { view.copy() } else { view.f_contiguous().map_err(refused)? };
                Ok(Rebuilt::Tensor(own))
            }
            None => Ok(Rebuilt::Tensor(view)),
        }
    }

    /// Key and kind of a storage; the kind's name where libtorch's binding has none such.
    fn identify(&self, storage: Value, dtype: Option<&str>) -> Result<(String, Result<&'static KindRow, String>)> {
        let pickle = self.pickle;
        let id = match pickle.node(storage) {
            Some(Node::Persistent(id)) => pickle.items(*id).unwrap_or_default(),
            _ => &[],
        };
        let [tag, class, key, ..] = id else { return Err(bad_input!("its storage has no identifier")) };
        if pickle.text(*tag) != Some("storage") {
            return Err(bad_input!("its storage has an identifier of another kind"));
        }
        let key = pickle.text(*key).ok_or_else(|| bad_input!("its storage has no key"))?.to_string();
        let class = pickle.global(*class).unwrap_or_default();
        let name = dtype.unwrap_or(&class);
        let short = name.rsplit('.').next().unwrap_or_default();
        let row = KINDS.iter().find(|row| if dtype.is_some() { row.1 == short } else { row.0 == short });
        Ok((key, row.ok_or_else(|| name.to_string())))
    }

    fn extents(&self, value: Value) -> Result<Vec<i64>> {
        let mut items = self.pickle.items(value);
        // `torch.Size([...])` is a call around them.
        if let Some(Node::Call { args, .. }) = self.pickle.node(value) {
            items = self.pickle.items(*args).and_then(|args| args.first()).and_then(|inner| self.pickle.items(*inner));
        }
        let extents = items.unwrap_or_default().iter().map(|item| match *item {
            Value::Int(extent) if extent >= 0 => Ok(extent),
            _ => Err(bad_input!("its size or stride is not a list of whole numbers")),
        });
        extents.collect()
    }

    /// Makes sure that the storage is in memory, flat.
    fn load(&mut self, id: &(String, &'static str), kind: Kind) -> Result<()> {
        if self.flat.contains_key(id) {
            return Ok(());
        }
        let name = format!("{}data/{}", self.prefix, id.0);
        let entry =
            self.archive.entry(&name).ok_or_else(|| bad_input!("its storage '{name}' is not in the archive"))?;
        let bytes = self.archive.read(entry)?;
        let width = kind.elt_size_in_bytes();
        if bytes.len() % width != 0 {
            return Err(bad_input!("its storage '{name}' has {} bytes, not a multiple of {width}", bytes.len()));
        }
        let flat = tensor(&bytes, &[(bytes.len() / width) as i64], kind)?;
        self.flat.insert(id.clone(), flat);
        Ok(())
    }
}

/// Whether every element of the view lies in a storage of `len` elements.
fn check_bounds(offset: i64, size: &[i64], stride: &[i64], len: i64) -> Result<()> {
    if size.len() != stride.len() {
        return Err(bad_input!("has {} sizes but {} strides", size.len(), stride.len()));
    }
    if countable(size) && size.contains(&0) && (0..=len).contains(&offset) {
        return Ok(());
    }
    let last = size.iter().zip(stride).try_fold(offset, |last, (size, stride)| {
        (size - 1).checked_mul(*stride).and_then(|step| last.checked_add(step))
    });
    match last {
        Some(last) if countable(size) && offset >= 0 && last < len => Ok(()),
        _ => Err(bad_input!("of shape {size:?} reaches past its storage of {len} elements")),
    }
}
