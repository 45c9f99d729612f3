//! A CLIP by its shape: parameters, and operations of a pass, follow from it.
//!
//! It must never know a machine. Counts are held to OpenCLIP's own (docs/model_profile.csv there).

use std::path::Path;

use lethe_model::config::{ModelConfig, Tower};

use crate::exit::bad_input;

/// A transformer: its width, layers, and the width within its MLP.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stack {
    width: f64,
    layers: f64,
    mlp: f64,
    tokens: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    pub name: String,
    /// Of a picture, in pixels.
    pub side: f64,
    embed: f64,
    patch: f64,
    words: f64,
    image: Stack,
    text: Stack,
}

/// Name, embedding; side, patch, width, layers, MLP of the image tower; width, layers of the text tower.
type Named = (&'static str, u32, [u32; 5], [u32; 2]);

const KNOWN: [Named; 8] = [
    ("ViT-B-32", 512, [224, 32, 768, 12, 3_072], [512, 12]),
    ("ViT-B-16", 512, [224, 16, 768, 12, 3_072], [512, 12]),
    ("ViT-L-14", 768, [224, 14, 1_024, 24, 4_096], [768, 12]),
    ("ViT-L-14-336", 768, [336, 14, 1_024, 24, 4_096], [768, 12]),
    ("ViT-H-14", 1_024, [224, 14, 1_280, 32, 5_120], [1_024, 24]),
    ("ViT-H-16", 1_024, [224, 16, 1_280, 32, 5_120], [1_024, 24]),
    ("ViT-g-14", 1_024, [224, 14, 1_408, 40, 6_144], [1_024, 24]),
    ("ViT-bigG-14", 1_280, [224, 14, 1_664, 48, 8_192], [1_280, 32]),
];

impl Shape {
    /// A name that OpenCLIP knows, or the path of a config.
    ///
    /// # Errors
    /// Bad input: neither of the two, or a tower whose operations nobody counted.
    pub fn find(model: &str) -> anyhow::Result<Self> {
        let name = model.trim_end_matches("-quickgelu");
        if let Some(known) = KNOWN.iter().find(|known| known.0 == name) {
            return Ok(Self::known(known));
        }
        if !Path::new(model).is_file() {
            let names: Vec<&str> = KNOWN.iter().map(|known| known.0).collect();
            return Err(bad_input(format!(
                "--model {model} is no file, and none of {}; give one of these, or the model's OpenCLIP config",
                names.join(", ")
            )));
        }
        Self::read(Path::new(model))
    }

    /// The shape that a config file tells.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| bad_input(format!("{}: {e}", path.display())))?;
        let config = ModelConfig::from_json(&text).map_err(|e| bad_input(format!("{}: {e}", path.display())))?;
        Self::of(&config, path)
    }

    fn of(config: &ModelConfig, path: &Path) -> anyhow::Result<Self> {
        let (vision, text) = (&config.vision, &config.text);
        let vit = match vision.tower {
            Tower::Vit(vit) => vit,
            Tower::ResNet(_) => {
                return Err(bad_input(format!(
                    "{} is a ResNet, whose operations lethe plan does not count; plan with the ViT that scores as fast (--rate says how fast)",
                    path.display()
                )));
            }
        };
        Ok(Self {
            name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            side: vision.image_size as f64,
            embed: config.embed_dim as f64,
            patch: vit.patch_size as f64,
            words: text.vocab_size as f64,
            image: Stack {
                width: vision.width as f64,
                layers: vit.layers as f64,
                mlp: vit.mlp_width as f64,
                tokens: (vision.patches() + 1) as f64,
            },
            text: Stack {
                width: text.width as f64,
                layers: text.layers as f64,
                mlp: text.mlp_width as f64,
                tokens: text.context_length as f64,
            },
        })
    }

    fn known(&(name, embed, [side, patch, width, layers, mlp], [text, text_layers]): &Named) -> Self {
        let grid = f64::from(side / patch);
        Self {
            name: name.to_owned(),
            side: side.into(),
            embed: embed.into(),
            patch: patch.into(),
            words: 49_408.0,
            image: Stack { width: width.into(), layers: layers.into(), mlp: mlp.into(), tokens: grid * grid + 1.0 },
            text: Stack { width: text.into(), layers: text_layers.into(), mlp: 4.0 * f64::from(text), tokens: 77.0 },
        }
    }

    pub fn parameters(&self) -> f64 {
        let (image, text) = (&self.image, &self.text);
        let (w, v) = (image.width, text.width);
        let of_image =
            3.0 * self.patch.powi(2) * w + w + image.tokens * w + image.parameters() + 4.0 * w + w * self.embed;
        let of_text = (self.words + text.tokens) * v + text.parameters() + 2.0 * v + v * self.embed;
        of_image + of_text + 1.0
    }

    /// Operations of one forward of one image.
    pub fn image(&self) -> f64 {
        let patches = 2.0 * 3.0 * self.patch.powi(2) * self.image.width * (self.image.tokens - 1.0);
        self.image.forward() + patches
    }

    /// Operations of one forward of one caption at its full length.
    pub fn text(&self) -> f64 {
        self.text.forward()
    }

    /// A forward, and a backward to the tokens alone, which takes no gradient of a weight; one caption.
    pub fn score(&self) -> f64 {
        2.0 * self.image() + self.text()
    }

    /// Patches, and words, of which localizing takes one away at a time.
    pub fn occlusions(&self) -> f64 {
        self.image.tokens * self.image() + self.text.tokens * self.text()
    }

    /// Bytes of a picture as it is gathered.
    pub fn picture_bytes(&self) -> f64 {
        3.0 * self.side * self.side
    }

    /// Bytes that a backward needs of one image, f32.
    pub fn image_activations(&self) -> f64 {
        self.image.held()
    }

    /// Bytes that a training's backward needs of one pair of its batch, f32: three quarters have a trained text tower.
    pub fn activations(&self) -> f64 {
        self.image.held() + 0.75 * self.text.held()
    }
}

impl Stack {
    /// Two matrices of attention, two of the MLP, biases, two norms.
    fn parameters(&self) -> f64 {
        let (w, m) = (self.width, self.mlp);
        self.layers * (4.0 * w * w + 2.0 * w * m + 9.0 * w + m)
    }

    fn forward(&self) -> f64 {
        let (w, t) = (self.width, self.tokens);
        self.layers * (2.0 * (4.0 * w * w + 2.0 * w * self.mlp) * t + 4.0 * t * t * w)
    }

    /// 9 widths a token and layer, and the MLP's twice (docs/scale.md).
    fn held(&self) -> f64 {
        4.0 * (9.0 * self.width + 2.0 * self.mlp) * self.tokens * self.layers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// OpenCLIP's docs/model_profile.csv: millions of parameters, GFLOP of an image and of a text.
    const PROFILE: [(&str, f64, f64, f64); 8] = [
        ("ViT-B-32", 151.28, 8.82, 5.96),
        ("ViT-B-16", 149.62, 35.13, 5.96),
        ("ViT-L-14", 427.62, 162.03, 13.3),
        ("ViT-L-14-336", 427.94, 381.92, 13.3),
        ("ViT-H-14", 986.11, 334.59, 47.09),
        ("ViT-H-16", 986.26, 254.63, 47.09),
        ("ViT-g-14", 1_366.68, 534.06, 47.09),
        ("ViT-bigG-14", 2_539.57, 967.5, 97.86),
    ];

    #[test]
    fn counts_are_those_of_openclip() {
        assert_eq!(PROFILE.map(|row| row.0), KNOWN.map(|known| known.0));
        for (name, parameters, image, text) in PROFILE {
            let shape = Shape::find(name).expect("is known");
            let near = |found: f64, wanted: f64, share: f64| (found / wanted - 1.0).abs() < share;
            assert!(near(shape.parameters() / 1e6, parameters, 1e-4), "{name}: {} M", shape.parameters() / 1e6);
            assert!(near(shape.image() / 1e9, image, 2e-3), "{name}: {} GFLOP an image", shape.image() / 1e9);
            assert!(near(shape.text() / 1e9, text, 2e-3), "{name}: {} GFLOP a text", shape.text() / 1e9);
        }
    }

    #[test]
    fn a_config_is_the_shape_that_its_name_is() {
        let config = r#"{"embed_dim": 768, "vision_cfg": {"image_size": 224, "layers": 24, "width": 1024, "patch_size": 14},
            "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 768, "heads": 12, "layers": 12}}"#;
        let folder = tempfile::tempdir().expect("makes a folder");
        let path = folder.path().join("ViT-L-14");
        std::fs::write(&path, config).expect("writes");
        let found = Shape::find(&path.to_string_lossy()).expect("reads");
        assert_eq!(found, Shape::find("ViT-L-14").expect("is known"));
    }

    #[test]
    fn what_nobody_counted_is_bad_input() {
        let folder = tempfile::tempdir().expect("makes a folder");
        let path = folder.path().join("RN50.json");
        let config = r#"{"embed_dim": 1024, "vision_cfg": {"image_size": 224, "layers": [3, 4, 6, 3], "width": 64, "patch_size": null},
            "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12}}"#;
        std::fs::write(&path, config).expect("writes");
        for (model, told) in [("ViT-Z-1", "none of ViT-B-32"), (&*path.to_string_lossy(), "is a ResNet")] {
            let error = Shape::find(model).expect_err("is refused");
            assert!(error.is::<crate::exit::BadInput>() && error.to_string().contains(told), "{error}");
        }
    }
}
