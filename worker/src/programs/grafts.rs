//! Whether what is in suspicious pictures carries over to others: parts of them are put on safe pictures, beside parts of
//! honest pictures with the same words.
//!
//! A trigger leads whatever carries it, and leads it more than what the words mean does. That is the difference to pairs that
//! are merely odd, which the trainings before find in any data (FINDINGS.md). It must never choose whom it looks at.

use lethe_evidence::PairRow;
use lethe_evidence::artifacts::{Graft, Grafts, HOSTS_EACH, Hits};
use lethe_model::Clip;
use lethe_model::error::Result;
use lethe_model::pixels::{coarse_with_fine, halves};
use lethe_model::tch::Tensor;

use super::attraction::count;
use super::pictures::pixels_of;

/// Honest pictures that a shard grafts, at most; and at least, where it has so many.
const MOST_HONEST: usize = 16;
const LEAST_HONEST: usize = 8;
/// What is coarse: the blur's standard deviation, as a share of the side (two pixels of 28).
const COARSE: f64 = 1.0 / 14.0;

/// One shard's pictures.
pub struct Donors<'a> {
    pub suspicious: Vec<&'a PairRow>,
    /// Less suspicious ones, which are told apart by how they lead, and tell nothing of the others.
    pub candidates: Vec<&'a PairRow>,
    /// Safe pairs whose captions have a word of the backdoor.
    pub honest: Vec<&'a PairRow>,
    /// Safe pairs whose captions have none.
    pub hosts: Vec<&'a PairRow>,
}

/// What the pictures' parts do on hosts: all but candidates' counted, and each picture's by itself, in their order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Grafted {
    pub all: Grafts,
    pub suspicious: Vec<Hits>,
    pub candidates: Vec<Hits>,
    pub honest: Vec<Hits>,
}

/// What one picture's parts do: of its hosts, how many each of its halves and quarters leads, and what is coarse and fine in it.
struct Parts {
    halves: Vec<u64>,
    quarters: Vec<u64>,
    coarse: u64,
    fine: u64,
}

impl Donors<'_> {
    /// `attracted` says which of the pictures, `[B, 3, H, W]` as the model takes them, prefer a caption of the backdoor.
    pub fn grafts(&self, clip: &Clip, attracted: &dyn Fn(&Tensor) -> Result<Vec<bool>>) -> Result<Grafted> {
        let mut grafted = Grafted::default();
        // A shard that lacks one of the three has nothing to compare.
        let has_any = !self.suspicious.is_empty() || !self.candidates.is_empty();
        if !has_any || self.honest.is_empty() || self.hosts.is_empty() {
            return Ok(grafted);
        }
        for (at, row) in self.suspicious.iter().enumerate() {
            let parts = self.graft(clip, (at, row), attracted)?;
            parts.counted(&mut grafted.all, |graft, pictures, hits| {
                graft.suspicious += pictures;
                graft.suspicious_attracted += hits;
            });
            grafted.suspicious.push(parts.hits());
        }
        let honest = self.suspicious.len().clamp(LEAST_HONEST, MOST_HONEST);
        for (at, row) in self.honest.iter().take(honest).enumerate() {
            let parts = self.graft(clip, (at, row), attracted)?;
            if !self.suspicious.is_empty() {
                parts.counted(&mut grafted.all, |graft, pictures, hits| {
                    graft.honest += pictures;
                    graft.honest_attracted += hits;
                });
            }
            grafted.honest.push(parts.hits());
        }
        for (at, row) in self.candidates.iter().enumerate() {
            grafted.candidates.push(self.graft(clip, (at, row), attracted)?.hits());
        }
        Ok(grafted)
    }

    /// One donor on its hosts, in every way. Donors at the same place have the same hosts.
    fn graft(
        &self,
        clip: &Clip,
        (at, donor): (usize, &PairRow),
        attracted: &dyn Fn(&Tensor) -> Result<Vec<bool>>,
    ) -> Result<Parts> {
        let hosts = (0..HOSTS_EACH).map(|n| self.hosts[(at * HOSTS_EACH + n) % self.hosts.len()]);
        let hosts = pixels_of(hosts.map(|row| row.pixels.as_slice()), clip)?;
        let donors = pixels_of(std::iter::repeat_n(donor.pixels.as_slice(), HOSTS_EACH), clip)?;
        let sigma = COARSE * clip.config().vision.image_size as f64;
        let by_part = |pictures: &Tensor| -> Result<Vec<u64>> {
            Ok(attracted(pictures)?.chunks(HOSTS_EACH).map(count).collect())
        };
        let halves = halves(&donors, &hosts)?;
        Ok(Parts {
            quarters: by_part(&quarters(&halves, &hosts)?)?,
            halves: by_part(&halves)?,
            coarse: count(&attracted(&coarse_with_fine(&donors, &hosts, sigma)?)?),
            fine: count(&attracted(&coarse_with_fine(&hosts, &donors, sigma)?)?),
        })
    }
}

/// Four pictures of each pair: one quarter of the donor in its place in the host, `[4 B, C, H, W]`. Of the donor's left and right
/// halves on the hosts, the upper and the lower part is taken.
fn quarters(halves: &Tensor, hosts: &Tensor) -> Result<Tensor> {
    let each = hosts.size()[0];
    let sides = halves.f_narrow(0, 0, 2 * each)?;
    let of_sides = lethe_model::pixels::halves(&sides, &hosts.f_repeat([2, 1, 1, 1])?)?;
    Ok(of_sides.f_narrow(0, 4 * each, 4 * each)?)
}

impl Parts {
    fn counted(&self, grafts: &mut Grafts, count: impl Fn(&mut Graft, u64, u64)) {
        let hosts = HOSTS_EACH as u64;
        count(&mut grafts.halves, hosts * self.halves.len() as u64, self.halves.iter().sum());
        count(&mut grafts.best, hosts, most(&self.halves));
        count(&mut grafts.quarter, hosts, most(&self.quarters));
        count(&mut grafts.coarse, hosts, self.coarse);
        count(&mut grafts.fine, hosts, self.fine);
    }

    fn hits(&self) -> Hits {
        let [half, quarter, coarse, fine] =
            [most(&self.halves), most(&self.quarters), self.coarse, self.fine].map(|hits| hits as u8);
        Hits { half, quarter, coarse, fine }
    }
}

/// Of the part that leads most.
fn most(parts: &[u64]) -> u64 {
    parts.iter().copied().max().unwrap_or(0)
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
        let donors = |suspicious: Vec<_>, hosts| Donors {
            suspicious,
            candidates: vec![&dark, &bright],
            honest: vec![&dark; 10],
            hosts,
        };
        let brighter = |than: f32| {
            let clip = &clip;
            move |pictures: &Tensor| -> Result<Vec<bool>> {
                let means = pictures.mean_dim([1, 2, 3].as_slice(), false, Kind::Float);
                Ok(to_bytes(clip, &means).into_iter().map(|mean| mean > than).collect())
            }
        };
        let expected = |suspicious, attracted, honest| Graft {
            suspicious,
            suspicious_attracted: attracted,
            honest,
            honest_attracted: 0,
        };
        // Half of a bright picture has a mean of 130, a quarter of one 70.
        for (than, quarter) in [(100.0, 0), (60.0, 8)] {
            let Grafted { all, suspicious, candidates, honest } =
                donors(vec![&bright, &bright], vec![&host; 5]).grafts(&clip, &brighter(than)).expect("grafts");
            assert_eq!(all.halves, expected(64, 64, 8 * 32));
            assert_eq!(all.best, expected(16, 16, 64));
            assert_eq!(all.quarter, expected(16, 2 * quarter, 64));
            assert_eq!(all.coarse, expected(16, 16, 64));
            assert_eq!(all.fine, expected(16, 0, 64));
            let leads = Hits { half: 8, quarter: quarter as u8, coarse: 8, fine: 0 };
            assert_eq!((suspicious, honest), (vec![leads; 2], vec![Hits::default(); 8]));
            assert_eq!(candidates, [Hits::default(), leads], "they are looked at, and counted nowhere");
        }
        let only_candidates = donors(Vec::new(), vec![&host]).grafts(&clip, &brighter(60.0)).expect("grafts");
        assert_eq!((only_candidates.all, only_candidates.candidates.len()), (Grafts::default(), 2));
        let many = donors(vec![&bright; 20], vec![&host; 5]).grafts(&clip, &brighter(60.0)).expect("grafts");
        assert_eq!(
            (many.suspicious.len(), many.honest.len()),
            (20, 10),
            "all suspicious ones, and as many honest as there are"
        );
        let nothing = Donors { candidates: Vec::new(), ..donors(Vec::new(), vec![&host]) };
        let nothing = nothing.grafts(&clip, &brighter(60.0)).expect("grafts");
        let no_host = donors(vec![&bright], Vec::new()).grafts(&clip, &brighter(60.0)).expect("grafts");
        assert_eq!((nothing, no_host), (Grafted::default(), Grafted::default()));
        let alone = Donors { honest: Vec::new(), ..donors(vec![&bright], vec![&host]) };
        let found = alone.grafts(&clip, &brighter(60.0)).expect("grafts");
        assert_eq!(found, Grafted::default(), "there is no honest picture to compare with");
    }

    /// Each quarter of the donor by itself, and in its place.
    #[test]
    fn every_quarter_is_put_in_its_place() {
        let (donor, host) = (
            Tensor::from_slice(&[1, 2, 3, 4]).view([1, 1, 2, 2]),
            Tensor::zeros([1, 1, 2, 2], (Kind::Int, tch::Device::Cpu)),
        );
        let donor = donor.to_kind(Kind::Int);
        let parts = quarters(&halves(&donor, &host).expect("halves"), &host).expect("quarters");
        let mut parts: Vec<Vec<i32>> =
            (0..4).map(|at| Vec::try_from(parts.get(at).view([4])).expect("are numbers")).collect();
        parts.sort();
        assert_eq!(parts, [[0, 0, 0, 4], [0, 0, 3, 0], [0, 2, 0, 0], [1, 0, 0, 0]]);
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
