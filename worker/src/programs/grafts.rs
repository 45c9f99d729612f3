//! Whether what is in suspicious pictures carries over to others: parts of them are put on safe pictures, beside parts of
//! honest pictures with the same words.
//!
//! A trigger leads whatever carries it, and leads it more than what the words mean does. That is the difference to pairs that
//! are merely odd, which the trainings before find in any data (FINDINGS.md). It must never choose whom it looks at.

use lethe_evidence::PairRow;
use lethe_evidence::artifacts::{Graft, Grafts};
use lethe_model::Clip;
use lethe_model::error::Result;
use lethe_model::pixels::{coarse_with_fine, halves};
use lethe_model::tch::Tensor;

use super::attraction::count as hits;
use super::pictures::pixels_of;

/// Hosts that each picture is grafted on.
const HOSTS_EACH: usize = 4;
/// Pictures of either kind that a shard grafts, at most; and honest ones at least, where it has so many.
const MOST: usize = 16;
const LEAST_HONEST: usize = 8;
/// What is coarse: the blur's standard deviation, as a share of the side (two pixels of 28).
const COARSE: f64 = 1.0 / 14.0;

/// One shard's pictures.
pub struct Donors<'a> {
    pub suspicious: Vec<&'a PairRow>,
    /// Safe pairs whose captions have a word of the backdoor.
    pub honest: Vec<&'a PairRow>,
    /// Safe pairs whose captions have none.
    pub hosts: Vec<&'a PairRow>,
}

impl Donors<'_> {
    /// How many of either kind are grafted: suspicious, then honest.
    pub fn counts(&self) -> (u64, u64) {
        let (suspicious, honest) = self.taken();
        (suspicious as u64, honest as u64)
    }

    fn taken(&self) -> (usize, usize) {
        let suspicious = self.suspicious.len().min(MOST);
        let honest = suspicious.max(LEAST_HONEST).min(self.honest.len());
        // A shard that lacks one of the three has nothing to compare.
        if suspicious == 0 || honest == 0 || self.hosts.is_empty() { (0, 0) } else { (suspicious, honest) }
    }

    /// `attracted` says which of the pictures, `[B, 3, H, W]` as the model takes them, prefer a caption of the backdoor.
    pub fn grafts(&self, clip: &Clip, attracted: &dyn Fn(&Tensor) -> Result<Vec<bool>>) -> Result<Grafts> {
        let (suspicious, honest) = self.taken();
        let mut grafts = Grafts::default();
        for (at, row) in self.suspicious[..suspicious].iter().enumerate() {
            self.graft(clip, (at, row), attracted, &mut grafts, |graft, pictures, hits| {
                graft.suspicious += pictures;
                graft.suspicious_attracted += hits;
            })?;
        }
        for (at, row) in self.honest[..honest].iter().enumerate() {
            self.graft(clip, (at, row), attracted, &mut grafts, |graft, pictures, hits| {
                graft.honest += pictures;
                graft.honest_attracted += hits;
            })?;
        }
        Ok(grafts)
    }

    /// One donor on its hosts, in every way. Donors at the same place have the same hosts.
    fn graft(
        &self,
        clip: &Clip,
        (at, donor): (usize, &PairRow),
        attracted: &dyn Fn(&Tensor) -> Result<Vec<bool>>,
        grafts: &mut Grafts,
        count: impl Fn(&mut Graft, u64, u64),
    ) -> Result<()> {
        let each = HOSTS_EACH.min(self.hosts.len());
        let hosts = (0..each).map(|n| self.hosts[(at * each + n) % self.hosts.len()]);
        let hosts = pixels_of(hosts.map(|row| row.pixels.as_slice()), clip)?;
        let donors = pixels_of(std::iter::repeat_n(donor.pixels.as_slice(), each), clip)?;
        let sigma = COARSE * clip.config().vision.image_size as f64;
        let of_halves = attracted(&halves(&donors, &hosts)?)?;
        count(&mut grafts.halves, of_halves.len() as u64, hits(&of_halves));
        count(&mut grafts.best, each as u64, of_halves.chunks(each).map(hits).max().unwrap_or(0));
        let add = |graft: &mut Graft, pictures: &Tensor| -> Result<()> {
            let attracted = attracted(pictures)?;
            count(graft, attracted.len() as u64, hits(&attracted));
            Ok(())
        };
        add(&mut grafts.coarse, &coarse_with_fine(&donors, &hosts, sigma)?)?;
        add(&mut grafts.fine, &coarse_with_fine(&hosts, &donors, sigma)?)
    }
}

#[cfg(test)]
mod tests {
    use lethe_evidence::PairRole;
    use lethe_model::tch::{self, Kind};

    use super::*;
    use crate::programs::tiny;

    fn row(shade: u8) -> PairRow {
        PairRow {
            shard: 0,
            key: String::new(),
            content: String::new(),
            caption: String::new(),
            role: PairRole::Safe,
            pixels: vec![shade; 64 * 64 * 3],
            values: Vec::new(),
        }
    }

    /// Bright pictures are attracted where a half or the coarse part of them is: suspicious ones are bright, honest ones dark.
    #[test]
    fn parts_are_put_on_hosts_and_counted_by_donor() {
        let _guard = tch::no_grad_guard();
        let clip = tiny::resnet();
        let (bright, dark, host) = (row(250), row(5), row(10));
        let donors = |suspicious: Vec<_>, hosts| Donors { suspicious, honest: vec![&dark; 3], hosts };
        let bright_ones = |pictures: &Tensor| -> Result<Vec<bool>> {
            let means = pictures.mean_dim([1, 2, 3].as_slice(), false, Kind::Float);
            let even = to_bytes(&clip, &means);
            Ok(even.into_iter().map(|mean| mean > 60.0).collect())
        };
        let found = donors(vec![&bright, &bright], vec![&host; 5]).grafts(&clip, &bright_ones).expect("grafts");
        let expected = |suspicious, attracted, honest| Graft {
            suspicious,
            suspicious_attracted: attracted,
            honest,
            honest_attracted: 0,
        };
        assert_eq!(found.halves, expected(32, 32, 48));
        assert_eq!(found.best, expected(8, 8, 12));
        assert_eq!(found.coarse, expected(8, 8, 12));
        assert_eq!(found.fine, expected(8, 0, 12));
        let nothing = donors(Vec::new(), vec![&host]).grafts(&clip, &bright_ones).expect("grafts");
        let no_host = donors(vec![&bright], Vec::new()).grafts(&clip, &bright_ones).expect("grafts");
        assert_eq!((nothing, no_host), (Grafts::default(), Grafts::default()));
        let alone = Donors { suspicious: vec![&bright], honest: Vec::new(), hosts: vec![&host] };
        let found = alone.grafts(&clip, &bright_ones).expect("grafts");
        assert_eq!((found, alone.counts()), (Grafts::default(), (0, 0)), "there is no honest picture to compare with");
    }

    /// The mean byte of pictures whose mean value over channels is given.
    fn to_bytes(clip: &Clip, means: &Tensor) -> Vec<f32> {
        let normalization = &clip.config().normalization;
        let of = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
        let (mean, std) = (of(&normalization.mean), of(&normalization.std));
        Vec::<f32>::try_from(means)
            .expect("are numbers")
            .into_iter()
            .map(|value| 255.0 * (value * std + mean))
            .collect()
    }
}
