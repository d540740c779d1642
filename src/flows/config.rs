//! Which flow, and how large. Keys are those of the published configurations.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tch::{Device, Kind};

use super::network::AutoregressiveFlow;
use crate::bad_input;
use crate::config::check;

/// The flows of "Amortized Sampling with Transferable Normalizing Flows" (Tan et al., 2025, arXiv 2508.18175).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum FlowConfig {
    /// PROSE: adaptive layer norms, gates, look-ahead conditioning and a second, SwiGLU, half to every layer.
    Prose(NetworkConfig),
    /// The transferable TarFlow baseline: plain pre-norm layers, conditioning added before each.
    Tarflow(NetworkConfig),
}

/// Sizes shared by both; the defaults are the paper's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkConfig {
    /// Width of every token.
    pub channels: i64,
    /// Width of one attention head; divides `channels`.
    pub head_dim: i64,
    pub num_blocks: i64,
    pub layers_per_block: i64,
    /// Hidden width of the feed-forward parts, in units of `channels`.
    pub expansion: i64,
    /// Atoms of the largest molecule that the network is meant for.
    pub max_num_tokens: i64,
    /// The order of atoms in each block, by name; empty: the published ones in turn.
    pub permutation_keys: Vec<String>,
    pub cond_embed: EmbedderConfig,
    /// Layer norms of queries and keys.
    pub use_qkln: bool,
    /// Whether a token's conditioning tells which atom comes next (`prose` only, where it is the default).
    pub lookahead_conditioning: Option<bool>,
    /// Whether layers have the SwiGLU half (`prose` only, where it is the default).
    pub use_transition: Option<bool>,
    /// Base of the sinusoidal position embedding, and how many positions it has.
    pub pos_embed_div_value: f64,
    pub max_seq_len_pos: i64,
    pub layer_norm_eps: f64,
}

/// The embedding of atom type, residue type, residue position and chain length.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmbedderConfig {
    /// Width of each of the four parts; `channels` if not given.
    pub hidden_dim: Option<i64>,
    /// Must equal `channels`.
    pub output_dim: Option<i64>,
    /// Rows of the tables; row 0 is padding.
    pub num_atom_emb: i64,
    pub num_residue_emb: i64,
    /// Base of the sinusoidal embedding of residue position and chain length.
    pub sinusoid_div_value: f64,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            channels: 384,
            head_dim: 64,
            num_blocks: 8,
            layers_per_block: 8,
            expansion: 4,
            max_num_tokens: 178,
            permutation_keys: Vec::new(),
            cond_embed: EmbedderConfig::default(),
            use_qkln: true,
            lookahead_conditioning: None,
            use_transition: None,
            pos_embed_div_value: 10_000.0,
            max_seq_len_pos: 512,
            layer_norm_eps: 1e-5,
        }
    }
}

impl Default for EmbedderConfig {
    fn default() -> Self {
        Self { hidden_dim: None, output_dim: None, num_atom_emb: 128, num_residue_emb: 64, sinusoid_div_value: 1000.0 }
    }
}

/// All names of atom orders: `{n2c|c2n}_{residue-by-residue|backbone-first}_{standard|variant}[_flip]`.
pub fn permutation_keys() -> Vec<String> {
    let mut keys = Vec::new();
    for direction in ["n2c", "c2n"] {
        for walk in ["residue-by-residue", "backbone-first"] {
            for sidechain in ["standard", "variant"] {
                for flip in ["", "_flip"] {
                    keys.push(format!("{direction}_{walk}_{sidechain}{flip}"));
                }
            }
        }
    }
    keys
}

const PROSE_ORDERS: [&str; 8] = [
    "n2c_backbone-first_standard",
    "n2c_residue-by-residue_standard_flip",
    "n2c_backbone-first_standard_flip",
    "n2c_residue-by-residue_standard",
    "n2c_backbone-first_variant",
    "n2c_residue-by-residue_variant_flip",
    "n2c_backbone-first_variant_flip",
    "n2c_residue-by-residue_variant",
];
const TARFLOW_ORDERS: [&str; 2] = ["n2c_residue-by-residue_standard", "n2c_residue-by-residue_standard_flip"];

impl FlowConfig {
    pub fn network(&self) -> &NetworkConfig {
        let (FlowConfig::Prose(network) | FlowConfig::Tarflow(network)) = self;
        network
    }

    /// Whether layers have adaptive norms and gates.
    pub(super) fn adaptive(&self) -> bool {
        matches!(self, FlowConfig::Prose(_))
    }

    pub(super) fn lookahead(&self) -> bool {
        self.network().lookahead_conditioning.unwrap_or(self.adaptive())
    }

    pub(super) fn transition(&self) -> bool {
        self.network().use_transition.unwrap_or(self.adaptive())
    }

    /// The order of atoms in each block, by name.
    pub fn orders(&self) -> Vec<String> {
        let network = self.network();
        if !network.permutation_keys.is_empty() {
            return network.permutation_keys.clone();
        }
        let published: &[&str] = if self.adaptive() { &PROSE_ORDERS } else { &TARFLOW_ORDERS };
        let cycle = published.iter().cycle().take(network.num_blocks.max(0) as usize);
        cycle.map(|key| key.to_string()).collect()
    }

    /// Refuses what cannot be built; keys are named under `flow`.
    pub fn validate(&self) -> Result<()> {
        let n = self.network();
        check::in_range("flow.channels", n.channels, 2, 8192)?;
        check::multiple_of("flow.channels", n.channels as u64, 2)?;
        check::in_range("flow.head_dim", n.head_dim, 1, n.channels)?;
        check::multiple_of("flow.channels", n.channels as u64, n.head_dim as u64)?;
        check::in_range("flow.num_blocks", n.num_blocks, 1, 64)?;
        check::in_range("flow.layers_per_block", n.layers_per_block, 1, 64)?;
        check::in_range("flow.expansion", n.expansion, 1, 64)?;
        check::in_range("flow.max_seq_len_pos", n.max_seq_len_pos, 1, 1 << 16)?;
        check::in_range("flow.max_num_tokens", n.max_num_tokens, 1, n.max_seq_len_pos)?;
        check::positive("flow.layer_norm_eps", n.layer_norm_eps)?;
        check::positive("flow.pos_embed_div_value", n.pos_embed_div_value)?;

        let e = &n.cond_embed;
        check::in_range("flow.cond_embed.hidden_dim", n.embedder_width(), 2, 8192)?;
        check::multiple_of("flow.cond_embed.hidden_dim", n.embedder_width() as u64, 2)?;
        let output = e.output_dim.unwrap_or(n.channels);
        check::in_range("flow.cond_embed.output_dim", output, n.channels, n.channels)?;
        check::in_range("flow.cond_embed.num_atom_emb", e.num_atom_emb, 2, 1 << 16)?;
        check::in_range("flow.cond_embed.num_residue_emb", e.num_residue_emb, 2, 1 << 16)?;
        check::positive("flow.cond_embed.sinusoid_div_value", e.sinusoid_div_value)?;

        if !self.adaptive() && self.transition() {
            return Err(bad_input!("'flow.use_transition' must be false for type tarflow, found true"));
        }
        let (keys, valid) = (self.orders(), permutation_keys());
        check::length("flow.permutation_keys", keys.len(), n.num_blocks as usize)?;
        let valid: Vec<&str> = valid.iter().map(String::as_str).collect();
        keys.iter().try_for_each(|key| check::one_of("flow.permutation_keys", key, &valid))
    }

    /// A new network whose parameters start as published; seed libtorch's generator first.
    pub fn build(&self, kind: Kind, device: Device) -> Result<AutoregressiveFlow> {
        self.validate()?;
        Ok(AutoregressiveFlow::new(self.clone(), kind, device))
    }

    /// Reads a configuration in these keys (`type: prose`), in those published with the weights (`arch:
    /// prose_tarflow`), or either under a `flow` key. `source` is named in errors.
    pub fn from_json(value: &Value, source: &str) -> Result<Self> {
        let value = value.get("flow").filter(|inner| inner.is_object()).unwrap_or(value);
        let Some(map) = value.as_object() else {
            return Err(bad_input!("{source}: a flow's configuration must be a mapping of keys, found {value}"));
        };
        let own = if map.contains_key("type") { map.clone() } else { translated(map, source)? };
        let config: Self = serde_json::from_value(Value::Object(own))
            .map_err(|error| bad_input!("{source}: not a flow's configuration: {error}"))?;
        config.validate().map_err(|error| bad_input!("{source}: {error}"))?;
        Ok(config)
    }
}

impl NetworkConfig {
    pub(super) fn embedder_width(&self) -> i64 {
        self.cond_embed.hidden_dim.unwrap_or(self.channels)
    }

    pub(super) fn heads(&self) -> i64 {
        self.channels / self.head_dim
    }
}

/// A published configuration in the keys above. Switches that have no other position here must stand as published.
fn translated(published: &Map<String, Value>, source: &str) -> Result<Map<String, Value>> {
    let mut map = published.clone();
    match map.remove("arch").as_ref().and_then(Value::as_str) {
        Some("prose_tarflow") => {}
        Some("tarflow") => drop(map.entry("use_adapt_ln").or_insert(Value::Bool(false))),
        other => {
            let found = other.map_or("none".to_string(), |arch| format!("'{arch}'"));
            return Err(bad_input!(
                "{source}: 'type' must be prose or tarflow (or 'arch' prose_tarflow), found {found}"
            ));
        }
    }
    let adaptive = map.remove("use_adapt_ln").is_none_or(|switch| switch == Value::Bool(true));
    map.insert("type".into(), Value::from(if adaptive { "prose" } else { "tarflow" }));

    let fixed = [
        ("input_dimension", Value::from(3)),
        ("use_attn_pair_bias", Value::Bool(false)),
        ("pos_embed_type", Value::from("sinusoidal")),
        ("nvp", Value::Bool(true)),
        ("gelu", Value::from("exact(erf)")),
    ];
    for (key, only) in fixed {
        if let Some(found) = map.remove(key).filter(|found| *found != only) {
            return Err(bad_input!("{source}: '{key}' must be {only}, found {found}"));
        }
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn published_keys_translate_and_survive_a_round_trip() {
        let published = json!({"arch": "prose_tarflow", "channels": 48, "head_dim": 16, "num_blocks": 3,
            "cond_embed": {"hidden_dim": 48, "output_dim": 48, "num_atom_emb": 99}, "use_adapt_ln": true,
            "lookahead_conditioning": true, "nvp": true, "gelu": "exact(erf)", "pos_embed_type": "sinusoidal"});
        let config = FlowConfig::from_json(&published, "c.yaml").unwrap();
        assert!(config.adaptive() && config.network().cond_embed.num_atom_emb == 99);
        let again = FlowConfig::from_json(&serde_json::to_value(&config).unwrap(), "again").unwrap();
        assert_eq!(config, again);
    }

    #[test]
    fn what_cannot_be_built_is_refused_in_one_line() {
        let wrong = [
            (json!({"type": "prose", "channels": 100}), "multiple of 64"),
            (json!({"type": "prose", "chanels": 64}), "chanels"),
            (json!({"type": "prose", "permutation_keys": ["n2c_backbone-first_standard"]}), "a list of 8"),
            (json!({"type": "prose", "num_blocks": 1, "permutation_keys": ["c2c"]}), "c2c"),
            (json!({"type": "tarflow", "use_transition": true}), "use_transition"),
            (json!({"arch": "egnn"}), "prose or tarflow"),
            (json!({"arch": "prose_tarflow", "nvp": false}), "'nvp' must be true"),
            (json!([1]), "mapping"),
        ];
        for (value, expected) in wrong {
            let text = FlowConfig::from_json(&value, "c.yaml").unwrap_err().to_string();
            assert!(text.starts_with("c.yaml: ") && text.contains(expected) && !text.contains('\n'), "{text}");
        }
    }

    #[test]
    fn there_are_sixteen_orders_and_the_published_ones_are_among_them() {
        let keys = permutation_keys();
        assert_eq!(keys.len(), 16);
        let network = NetworkConfig { num_blocks: 3, ..NetworkConfig::default() };
        assert!(PROSE_ORDERS.iter().chain(&TARFLOW_ORDERS).all(|order| keys.iter().any(|key| key == order)));
        assert_eq!(FlowConfig::Tarflow(network).orders()[2], TARFLOW_ORDERS[0]);
    }
}
