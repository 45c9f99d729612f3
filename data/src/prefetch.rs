//! Decodes a shard's samples on several threads, and gives them in the order of the shard.
//!
//! It must never run ahead by more than the bound, and never let threads decide an order: sample n is
//! decoded by thread n mod threads, and taken from there.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::decode::{Target, decode};
use crate::ending::Ending;
use crate::hash::content_hash;
use crate::sample::{BadSample, Sample};

/// A pair that is ready for a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    pub key: String,
    pub caption: String,
    pub url: Option<String>,
    /// See [`content_hash`].
    pub content: String,
    /// `[side, side, 3]`, RGB bytes.
    pub pixels: Vec<u8>,
}

type Read = Result<Sample, BadSample>;
type Ready = Result<Decoded, BadSample>;

/// Starts `threads` decoders and one reader (at least one of each). Each decoder has at most `bound`
/// samples waiting before it and `bound` pictures after it.
pub fn decode_shard<I>(samples: I, target: Target, threads: usize, bound: usize) -> Prefetch
where
    I: Iterator<Item = Read> + Send + 'static,
{
    let mut handles = Vec::new();
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    for _ in 0..threads.max(1) {
        let (to_decoder, from_reader) = sync_channel::<Read>(bound.max(1));
        let (to_caller, from_decoder) = sync_channel::<Ready>(bound.max(1));
        handles.push(std::thread::spawn(move || decode_all(&from_reader, &to_caller, target)));
        inputs.push(to_decoder);
        outputs.push(from_decoder);
    }
    handles.push(std::thread::spawn(move || deal(samples, &inputs)));
    Prefetch { outputs, next: 0, handles, ending: Ending::default() }
}

/// Decoded samples, in order. Dropping it ends its threads.
pub struct Prefetch {
    outputs: Vec<Receiver<Ready>>,
    next: usize,
    handles: Vec<JoinHandle<()>>,
    ending: Ending,
}

impl Prefetch {
    /// With the ending of the shard that its samples are from.
    pub fn with_ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }

    /// To be asked once the samples are through.
    pub fn ending(&self) -> &Ending {
        &self.ending
    }
}

impl Iterator for Prefetch {
    type Item = Ready;

    fn next(&mut self) -> Option<Ready> {
        let ready = self.outputs.get(self.next)?.recv();
        self.next = (self.next + 1) % self.outputs.len();
        match ready {
            Ok(sample) => Some(sample),
            Err(_) => {
                // The reader is through, and every sample before was taken: nothing is left anywhere.
                self.outputs.clear();
                None
            }
        }
    }
}

impl Drop for Prefetch {
    fn drop(&mut self) {
        self.outputs.clear();
        // A thread that panicked has closed its channel, which ended the iteration.
        self.handles.drain(..).for_each(|handle| drop(handle.join()));
    }
}

/// Deals samples round; ends when the caller is gone.
fn deal(samples: impl Iterator<Item = Read>, inputs: &[SyncSender<Read>]) {
    for (sample, input) in samples.zip(inputs.iter().cycle()) {
        if input.send(sample).is_err() {
            return;
        }
    }
}

fn decode_all(samples: &Receiver<Read>, ready: &SyncSender<Ready>, target: Target) {
    for sample in samples {
        if ready.send(sample.and_then(|sample| decode_one(sample, target))).is_err() {
            return;
        }
    }
}

fn decode_one(sample: Sample, target: Target) -> Ready {
    let Sample { key, image, caption, url } = sample;
    match decode(&image, target) {
        Ok(pixels) => Ok(Decoded { content: content_hash(&image, &caption), key, caption, url, pixels }),
        Err(error) => Err(BadSample { key, reason: error.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn png(value: u8) -> Bytes {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let size = 4 + u32::from(value % 5) * 40;
        image::GrayImage::from_pixel(size, size, image::Luma([value]))
            .write_to(&mut bytes, image::ImageFormat::Png)
            .expect("encodes");
        Bytes::from(bytes.into_inner())
    }

    fn samples() -> Vec<Read> {
        let sample = |n: u8| Sample { key: n.to_string(), image: png(n), caption: "c".into(), url: None };
        let mut all: Vec<Read> = (0..60).map(|n| Ok(sample(n))).collect();
        all[7] = Err(BadSample { key: "7".into(), reason: "no caption".into() });
        all[20] = Ok(Sample { image: Bytes::from_static(b"\xff\xd8\xff\xe0 broken"), ..sample(20) });
        all
    }

    #[test]
    fn order_and_results_do_not_depend_on_threads() {
        let alone: Vec<Ready> = decode_shard(samples().into_iter(), Target::exact(8), 1, 1).collect();
        assert_eq!(alone.len(), 60);
        for (n, ready) in alone.iter().enumerate() {
            match ready {
                Ok(decoded) => assert_eq!((decoded.key.as_str(), decoded.pixels[0]), (n.to_string().as_str(), n as u8)),
                Err(bad) => assert!((n == 7 || n == 20) && bad.key == n.to_string(), "{bad}"),
            }
        }
        for (threads, bound) in [(0, 0), (3, 2), (8, 1)] {
            assert_eq!(
                decode_shard(samples().into_iter(), Target::exact(8), threads, bound).collect::<Vec<_>>(),
                alone
            );
        }
    }

    #[test]
    fn leaving_early_ends_the_threads() {
        let endless = samples().into_iter().cycle();
        let mut prefetch = decode_shard(endless, Target::exact(8), 2, 1);
        assert!(prefetch.next().is_some());
        drop(prefetch); // joins: this test would hang if a thread stayed
    }
}
