//! What `lethe plan` is asked, and each figure that may be given in place of the plan's own.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Format;

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  lethe plan --samples 2e9 --model ViT-L-14 --gpus 64\n  lethe plan --samples 400e6 --model ViT-B-32 --within 24h --rate 1200\n  \
lethe plan --calibrate results/small --measured results/large --output json\n\nIt is arithmetic: nothing is started or read but a \
config or results that you name. Every input is printed with where it comes from; those that you measured are worth the most.\nExit codes: 0 done, 2 bad input."
)]
pub struct Plan {
    /// Pairs of the data set, such as 2e9
    #[arg(long, value_parser = samples, required_unless_present = "measured", conflicts_with = "measured")]
    pub samples: Option<u64>,
    /// OpenCLIP's name of the model, such as ViT-L-14, or its config (JSON)
    #[arg(long, value_name = "NAME|FILE", required_unless_present = "measured", conflicts_with = "measured")]
    pub model: Option<String>,
    /// Workers, one a GPU
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000), required_unless_present_any = ["within", "measured"], conflicts_with_all = ["within", "measured"])]
    pub gpus: Option<u32>,
    /// Ask how many GPUs finish within this time: 24h, 90min, 2d
    #[arg(long, value_parser = seconds, value_name = "TIME", conflicts_with = "measured")]
    pub within: Option<f64>,
    /// Hold the arithmetic to this finished audit's times (a result folder)
    #[arg(long, value_name = "RESULT")]
    pub measured: Option<PathBuf>,
    /// Take this machine's speed from another finished audit of the same model first
    #[arg(long, value_name = "RESULT", requires = "measured")]
    pub calibrate: Option<PathBuf>,
    /// What to print
    #[arg(long, value_enum, default_value_t)]
    pub output: Format,
    #[command(flatten)]
    pub figures: Figures,
}

/// Figures of your own.
#[derive(Debug, Args)]
#[command(next_help_heading = "Figures of your own")]
pub struct Figures {
    /// Pairs that one worker scores a second (`lethe workers` shows it)
    #[arg(long, value_parser = positive, value_name = "PAIRS/S", conflicts_with_all = ["tflops", "calibrate"])]
    pub rate: Option<f64>,
    /// TFLOP/s that a GPU reaches
    #[arg(long, value_parser = positive)]
    pub tflops: Option<f64>,
    /// Bytes of GPU memory, in GB
    #[arg(long, value_parser = positive)]
    pub gpu_gb: Option<f64>,
    /// Threads of a worker that decode (LETHE_DECODERS)
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub decoders: Option<u32>,
    /// Pairs that one such thread reads and decodes a second
    #[arg(long, value_parser = positive, value_name = "PAIRS/S")]
    pub decode_rate: Option<f64>,
    /// Pairs of a shard
    #[arg(long, value_parser = samples)]
    pub shard_samples: Option<u64>,
    /// Bytes of a pair in its shard
    #[arg(long, value_parser = positive)]
    pub pair_bytes: Option<f64>,
    /// GB/s that one worker reads
    #[arg(long, value_parser = positive)]
    pub read_gb_s: Option<f64>,
    /// GB/s that the storage gives to all together
    #[arg(long, value_parser = positive)]
    pub storage_gb_s: Option<f64>,
    /// Ranks of a training: workers.count
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub gang: Option<u32>,
    /// Where the shards lie
    #[arg(long, value_enum, default_value_t = Place::Bucket)]
    pub shards: Place,
    /// Where blobs lie
    #[arg(long, value_enum, default_value_t = Place::Folder)]
    pub blobs: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Place {
    /// Files that are mounted.
    Folder,
    /// An object store.
    Bucket,
}

/// At most a thousand times the largest set that is known, so that a slip of the keyboard is seen.
const MOST_SAMPLES: f64 = 1e13;

fn samples(text: &str) -> Result<u64, String> {
    let number = text.replace('_', "").parse::<f64>().ok().filter(|n| (1.0..=MOST_SAMPLES).contains(n));
    let whole = number.filter(|n| n.fract() == 0.0);
    whole.map(|n| n as u64).ok_or_else(|| "expected a whole number from 1 to 1e13, such as 2e9".to_owned())
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|n| n.is_finite() && *n > 0.0);
    number.ok_or_else(|| "expected a number above 0".to_owned())
}

fn seconds(text: &str) -> Result<f64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "s" => 1.0,
        "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return Err("expected a time such as 24h, 90min or 2d".to_owned()),
    };
    positive(digits).map(|number| number * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_taken_as_people_write_them() {
        assert_eq!(samples("2e9"), Ok(2_000_000_000));
        assert_eq!(samples("400_000_000"), Ok(400_000_000));
        assert_eq!(seconds("24h"), Ok(86_400.0));
        assert_eq!(seconds("1.5d"), Ok(129_600.0));
        for bad in ["", "0", "-1", "2.5", "NaN", "inf", "1e14", "many"] {
            assert!(samples(bad).is_err(), "{bad}");
        }
        for bad in ["24", "h", "0h", "-1h", "1e999h", "1 fortnight"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
