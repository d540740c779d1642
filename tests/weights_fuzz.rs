//! Damaged and hostile weight files: every one gives tensors or one line, never a panic, and never takes memory out of
//! proportion to the file.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Write;
use std::path::{Path, PathBuf};

use sampler::io::weights::{Weights, read_weights};
use sampler::torch::error::is_bad_input;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// Counts what each thread holds, so that tests running side by side do not disturb each other.
struct Counting;

fn count(bytes: isize) {
    LIVE.set(LIVE.get() + bytes);
    PEAK.set(PEAK.get().max(LIVE.get()));
}

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Reads `bytes` as a file and checks what must hold of any answer.
struct Probe {
    _folder: tempfile::TempDir,
    path: PathBuf,
    /// Most memory for a byte of the file.
    ratio: usize,
}

impl Probe {
    fn new(ratio: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        Self { _folder: folder, path, ratio }
    }

    fn read(&self, bytes: &[u8]) -> anyhow::Result<Weights> {
        // A new file each time: some file systems bring a file that is cut and rewritten to disk at once.
        let _ = std::fs::remove_file(&self.path);
        std::fs::write(&self.path, bytes).unwrap();
        let before = LIVE.get();
        PEAK.set(before);
        let result = read_weights(&self.path);
        let taken = (PEAK.get() - before) as usize;
        assert!(taken <= self.ratio * bytes.len() + (1 << 19), "{taken} bytes taken for a file of {}", bytes.len());

        match &result {
            Ok(weights) => self.check_tensors(weights, bytes.len()),
            Err(error) => {
                let text = error.to_string();
                assert!(is_bad_input(error), "{text}");
                assert!(!text.contains('\n') && text.starts_with(&self.path.display().to_string()), "{text:?}");
            }
        }
        result
    }

    fn check_tensors(&self, weights: &Weights, len: usize) {
        let own = weights.tensors.iter().filter(|(_, tensor)| tensor.is_contiguous());
        let held: usize = own.map(|(_, tensor)| tensor.numel() * tensor.kind().elt_size_in_bytes()).sum();
        assert!(held <= self.ratio * len + (1 << 18), "{held} bytes of tensors from a file of {len}");
        // Looking at the elements must stay inside their memory.
        for (_, tensor) in weights.tensors.iter().filter(|(_, tensor)| tensor.numel() < 100_000) {
            let _ = tensor.isnan().any().double_value(&[]);
        }
    }
}

/// Most memory for a byte of the file: pickles say much in a byte (a node each), deflate inflates 1032-fold.
const RATIO: usize = 160;
const RATIO_DEFLATED: usize = 1200;

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/weights").join(name)).unwrap()
}

/// SplitMix64 (Steele, Lea and Flood 2014): the same flips on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    /// One to four small changes: a bit, a byte, a run of extremes, an insertion, a deletion.
    fn damage(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..1 + self.below(4) {
            let at = self.below(bytes.len());
            match self.below(6) {
                0 | 1 => bytes[at] ^= 1 << self.below(8),
                2 => bytes[at] = self.below(256) as u8,
                3 => bytes[at..].iter_mut().take(4).for_each(|byte| *byte = 0xff),
                4 => bytes.insert(at, self.below(256) as u8),
                _ if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => {}
            }
        }
        bytes
    }
}

/// An archive's entries, from its local headers' directory.
fn unzip(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let number =
        |at: usize, width: usize| bytes[at..at + width].iter().rev().fold(0, |n, byte| n << 8 | *byte as usize);
    let end = bytes.windows(4).rposition(|window| window == b"PK\x05\x06").unwrap();
    let (mut at, mut entries) = (number(end + 16, 4), Vec::new());
    while bytes[at..].starts_with(b"PK\x01\x02") {
        let (size, name_len, local) = (number(at + 24, 4), number(at + 28, 2), number(at + 42, 4));
        let name = String::from_utf8(bytes[at + 46..at + 46 + name_len].to_vec()).unwrap();
        let start = local + 30 + number(local + 26, 2) + number(local + 28, 2);
        entries.push((name, bytes[start..start + size].to_vec()));
        at += 46 + name_len + number(at + 30, 2) + number(at + 32, 2);
    }
    entries
}

/// A stored archive whose checksums fit, so that damage reaches the reader behind them.
fn zip(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in entries {
        let local = out.len() as u32;
        let mut common = vec![0; 10];
        common.extend(crc32fast::hash(content).to_le_bytes());
        common.extend((content.len() as u32).to_le_bytes());
        common.extend((content.len() as u32).to_le_bytes());
        common.extend((name.len() as u32).to_le_bytes());
        out.extend(b"PK\x03\x04");
        out.extend(&common);
        out.extend(name.as_bytes());
        out.extend(content);
        directory.extend(b"PK\x01\x02\0\0");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend(local.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let start = out.len() as u32;
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend((entries.len() as u16).to_le_bytes());
    out.extend((entries.len() as u16).to_le_bytes());
    out.extend((directory.len() as u32).to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0; 2]);
    out
}

const FILES: [(&str, usize); 9] = [
    ("state_dict.pth", RATIO),
    ("lightning.ckpt", RATIO),
    ("kinds.pt", RATIO),
    ("views.pt", RATIO),
    ("zip64.pt", RATIO),
    ("arrays.npz", RATIO),
    ("compressed.npz", RATIO_DEFLATED),
    ("single.npy", RATIO),
    ("expected/lightning.ckpt.safetensors", RATIO),
];

#[test]
fn cut_short_anywhere() {
    for (name, ratio) in FILES {
        let (probe, bytes) = (Probe::new(ratio), fixture(name));
        for len in 0..bytes.len() {
            assert!(probe.read(&bytes[..len]).is_err(), "{name} read although cut to {len} bytes");
        }
        assert!(probe.read(&bytes).is_ok());
    }
}

#[test]
fn bits_flipped_anywhere() {
    let mut random = Random(1);
    for (name, ratio) in FILES {
        let (probe, bytes) = (Probe::new(ratio), fixture(name));
        let refused = (0..5000).filter(|_| probe.read(&random.damage(&bytes)).is_err()).count();
        assert!(refused > 1000, "{name}: damage was noticed only {refused} times of 5000");
    }
}

#[test]
fn damage_behind_the_checksums() {
    let mut random = Random(2);
    for (name, part) in [
        ("state_dict.pth", "data.pkl"),
        ("lightning.ckpt", "data.pkl"),
        ("kinds.pt", "data.pkl"),
        ("views.pt", "data.pkl"),
        ("nested.pt", "data.pkl"),
        ("protocol4.pt", "data.pkl"),
        ("arrays.npz", "x.npy"),
        ("arrays.npz", "transposed.npy"),
    ] {
        let (probe, entries) = (Probe::new(RATIO), unzip(&fixture(name)));
        let at = entries.iter().position(|(name, _)| name.ends_with(part)).unwrap();
        assert!(probe.read(&zip(&entries)).is_ok(), "{name}: repacking is at fault");
        let mut accepted = 0;
        for _ in 0..10_000 {
            let mut damaged = entries.clone();
            damaged[at].1 = random.damage(&entries[at].1);
            accepted += usize::from(probe.read(&zip(&damaged)).is_ok());
        }
        // Some damage is harmless (a letter in a name), so the reader proper was reached.
        assert!((100..9900).contains(&accepted), "{name}: {accepted} of 10000 accepted");
    }
}

/// An archive with this pickle and one storage of four floats.
fn archive(pickle: &[u8]) -> Vec<u8> {
    zip(&[("a/data.pkl".into(), pickle.to_vec()), ("a/data/0".into(), vec![0; 16])])
}

/// A pickled dict `{'x': tensor}` whose tensor has this place in storage "0".
fn pickled_view(offset: i64, size: &[i64], stride: &[i64]) -> Vec<u8> {
    let text = |text: &str| [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
    let long = |n: i64| [&b"\x8a\x08"[..], &n.to_le_bytes()].concat();
    let tuple = |items: &[i64]| [b"(".to_vec(), items.iter().flat_map(|n| long(*n)).collect(), b"t".to_vec()].concat();
    let storage = [
        b"(".to_vec(),
        text("storage"),
        b"ctorch\nFloatStorage\n".to_vec(),
        text("0"),
        text("cpu"),
        long(4),
        b"tQ".to_vec(),
    ]
    .concat();
    [
        b"\x80\x02}".to_vec(),
        text("x"),
        b"ctorch._utils\n_rebuild_tensor_v2\n(".to_vec(),
        storage,
        long(offset),
        tuple(size),
        tuple(stride),
        b"\x89}tRs.".to_vec(),
    ]
    .concat()
}

#[test]
fn views_stay_inside_their_storage() {
    let probe = Probe::new(RATIO);
    let sound = probe.read(&archive(&pickled_view(1, &[3], &[1]))).unwrap();
    assert_eq!(sound.tensors[0].1.size(), [3]);
    let huge = i64::MAX;
    for (offset, size, stride) in [
        (0, vec![5], vec![1]),
        (2, vec![3], vec![1]),
        (-1, vec![2], vec![1]),
        (0, vec![2, 2], vec![4, 1]),
        (0, vec![-1], vec![1]),
        (0, vec![2], vec![-1]),
        (0, vec![huge], vec![1]),
        (0, vec![huge, huge], vec![0, 0]),
        (0, vec![2], vec![huge]),
        (huge, vec![2], vec![huge]),
        (0, vec![2, 2], vec![1]),
        (5, vec![0], vec![1]),
    ] {
        let result = probe.read(&archive(&pickled_view(offset, &size, &stride)));
        assert!(result.is_err(), "offset {offset}, size {size:?}, stride {stride:?} accepted");
    }
    // Repeating one element costs nothing as long as nobody asks for it to be written out.
    let expanded = probe.read(&archive(&pickled_view(0, &[1 << 20, 1 << 20], &[0, 0]))).unwrap();
    assert_eq!(expanded.tensors[0].1.numel(), 1 << 40);
    for size in [vec![0, huge], vec![0, huge, huge], vec![huge, huge, 0]] {
        let stride = vec![1; size.len()];
        let _ = probe.read(&archive(&pickled_view(0, &size, &stride)));
    }
}

#[test]
fn pickles_made_to_exhaust() {
    let probe = Probe::new(RATIO);
    let refuse = |what: &str, pickle: &[u8]| assert!(probe.read(&archive(pickle)).is_err(), "{what} accepted");

    refuse("a deep nest", &[b"\x80\x02N".to_vec(), vec![0x85; 1_000_000], b".".to_vec()].concat());
    // Each list holds the one before twice: 2^60 visits.
    let mut doubling = b"\x80\x02]".to_vec();
    (0..60).for_each(|_| doubling.extend(b"q\x00]h\x00h\x00\x86"));
    doubling.push(b'.');
    refuse("a doubling list", &doubling);
    let mut doubling = b"\x80\x02)q\x00".to_vec();
    (0..60).for_each(|_| doubling.extend(b"h\x00h\x00\x86q\x00"));
    doubling.push(b'.');
    refuse("a doubling tuple", &doubling);
    refuse("a list that holds itself", b"\x80\x02]q\x00h\x00a.");
    // A long key, named once and used by many.
    let mut keys =
        [b"\x80\x02}X".to_vec(), 100_000u32.to_le_bytes().to_vec(), vec![b'k'; 100_000], b"q\x00}q\x010(".to_vec()]
            .concat();
    keys = [keys, b"h\x00K\x01".repeat(50_000), b"u.".to_vec()].concat();
    let _ = probe.read(&archive(&keys));
    refuse("a claim of 4 GiB of text", b"\x80\x02X\xff\xff\xff\xff.");
    refuse("a claim of endless text", b"\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\xff.");
    refuse("marks without end", &[vec![b'('; 100_000], b"t.".to_vec()].concat());
    refuse("a system call", b"cos\nsystem\n(X\x04\0\0\0echotR.");
    refuse("nothing", b"");
}

#[test]
fn archives_made_to_exhaust() {
    // A megabyte of zeros deflates to a kilobyte; the directory claims a terabyte.
    let mut deflated = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    deflated.write_all(&vec![0; 1 << 20]).unwrap();
    let mut bytes = zip(&[("x.npy".into(), deflated.finish().unwrap())]);
    let at = bytes.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
    bytes[at + 10] = 8;
    for claim in [1u32 << 20, 2 << 20, u32::MAX - 1] {
        bytes[at + 24..at + 28].copy_from_slice(&claim.to_le_bytes());
        assert!(Probe::new(RATIO_DEFLATED).read(&bytes).is_err());
    }

    // Two hundred entries, all of them the same megabyte.
    let mut bytes = zip(&[("0.npy".into(), vec![1; 1 << 20])]);
    let (entry, end) = (1 << 20 | 35, bytes.len() - 22);
    let directory: Vec<u8> = bytes[entry..end].repeat(200);
    bytes.truncate(entry);
    bytes.extend(&directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0\xc8\0\xc8\0");
    bytes.extend((directory.len() as u32).to_le_bytes());
    bytes.extend((entry as u32).to_le_bytes());
    bytes.extend([0; 2]);
    assert!(Probe::new(4).read(&bytes).is_err());
}

#[test]
fn headers_made_to_exhaust() {
    let probe = Probe::new(RATIO);
    let headed =
        |header: &str, data: &[u8]| [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat();
    let sound = headed(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, &[0; 4]);
    assert!(probe.read(&sound).is_ok());
    for header in [
        "[".repeat(50_000),
        "{\"a\":".repeat(50_000),
        r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#.into(),
        r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#.into(),
        r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,4]}}"#.into(),
        r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#.into(),
        r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551615]}}"#.into(),
        r#"{"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}}"#.into(),
        r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#.into(),
        r#"{"__metadata__":3}"#.into(),
    ] {
        assert!(probe.read(&headed(&header, &[0; 4])).is_err(), "{}", &header[..header.len().min(80)]);
    }
    let mut endless = u64::MAX.to_le_bytes().to_vec();
    endless.extend(b"{}");
    assert!(probe.read(&endless).is_err());
    // An axis past 63 bits, in a tensor without elements.
    let _ = probe.read(&headed(r#"{"a":{"dtype":"F32","shape":[0,18446744073709551615],"data_offsets":[0,0]}}"#, &[]));
    let _ = probe.read(&headed(r#"{"a":{"dtype":"F32","shape":[0,4611686018427387904,9],"data_offsets":[0,0]}}"#, &[]));

    let array = |header: &str| {
        [b"\x93NUMPY\x01\0", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), &[0; 8]].concat()
    };
    assert!(probe.read(&array("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }")).is_ok());
    for shape in ["(2,)", "(-1,)", "(9999999999999999999999,)", "(4611686018427387904, 4)", "1", "(1", "(1.0,)"] {
        let header = format!("{{'descr': '<f8', 'fortran_order': True, 'shape': {shape}, }}");
        assert!(probe.read(&array(&header)).is_err(), "{shape}");
    }
}
