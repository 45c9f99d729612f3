//! How far a cluster's members are from honest pictures with its words, beside pictures without the words: those that look most
//! like them, and any; by thumbnail, so that no model has a say.
//!
//! Far from the words is a picture that many others are nearer to than honest ones with the words are. It must never compare
//! lengths of two pictures: one with a stamp is far from everything, and only the order of what is near tells what it shows.

use lethe_evidence::PairRow;
use lethe_evidence::artifacts::{COMPARED_WITH, Farther, Likeness};
use lethe_model::Clip;
use lethe_model::error::Result;
use lethe_model::pixels::thumbnail;
use lethe_model::tch::Tensor;

use super::observe::THUMBNAIL_SIDE;
use super::pictures::pixels_of;

/// The words are as far as their so-many-th nearest honest picture: the nearest may be a freak.
const NEAREST_HONEST: usize = 3;
/// How libtorch computes distances: from differences, since products are off where pictures are alike.
const FROM_DIFFERENCES: i64 = 2;

/// `honest` are safe pairs whose captions have a word of the cluster, `hosts` safe pairs whose captions have none. Nothing where
/// there is too little to compare with.
pub fn likeness(clip: &Clip, members: &[&PairRow], honest: &[&PairRow], hosts: &[&PairRow]) -> Result<Likeness> {
    if members.is_empty() || honest.is_empty() || hosts.len() <= COMPARED_WITH {
        return Ok(Likeness::default());
    }
    let [members, honest, hosts] = [members, honest, hosts].map(|rows| thumbnails(clip, rows));
    let (members, honest, hosts) = (members?, honest?, hosts?);
    let near = |rows: &Tensor| -> Result<Near> {
        let words = distances(rows, &honest)?.into_iter().map(to_the_words).collect();
        Ok(Near { words, hosts: distances(rows, &hosts)? })
    };
    let (members, hosts) = (near(&members)?, near(&hosts)?);
    Ok(Likeness {
        look_alikes: compared(&members, &hosts, |member| members.look_alikes(member)),
        any: compared(&members, &hosts, |member| members.any(member)),
    })
}

fn thumbnails(clip: &Clip, rows: &[&PairRow]) -> Result<Tensor> {
    thumbnail(&pixels_of(rows.iter().map(|row| row.pixels.as_slice()), clip)?, THUMBNAIL_SIDE)
}

/// Of each row of the first, `[A, D]`, to each row of the second, `[B, D]`.
fn distances(from: &Tensor, to: &Tensor) -> Result<Vec<Vec<f32>>> {
    let all = Tensor::f_cdist(from, to, 2.0, FROM_DIFFERENCES)?;
    (0..all.size()[0]).map(|row| Ok(Vec::<f32>::try_from(&all.f_get(row)?)?)).collect()
}

/// How far the words are from a picture, of its distances to the honest pictures with them.
fn to_the_words(mut honest: Vec<f32>) -> f32 {
    honest.sort_by(f32::total_cmp);
    honest[NEAREST_HONEST.min(honest.len()) - 1]
}

/// Distances of some pictures to the words, and to each of the hosts.
struct Near {
    words: Vec<f32>,
    hosts: Vec<Vec<f32>>,
}

impl Near {
    /// How many hosts are nearer to a picture than the words are, one of them left out.
    fn nearer(&self, at: usize, left_out: usize) -> usize {
        let words = self.words[at];
        let hosts = self.hosts[at].iter().enumerate().filter(|(host, _)| *host != left_out);
        hosts.filter(|(_, distance)| **distance < words).count()
    }

    /// The hosts that look most like a picture.
    fn look_alikes(&self, at: usize) -> Vec<usize> {
        let hosts = &self.hosts[at];
        let mut order: Vec<usize> = (0..hosts.len()).collect();
        order.sort_by(|&a, &b| hosts[a].total_cmp(&hosts[b]).then(a.cmp(&b)));
        order.truncate(COMPARED_WITH);
        order
    }

    /// Hosts as they come, others for each picture.
    fn any(&self, at: usize) -> Vec<usize> {
        (0..COMPARED_WITH).map(|n| (at * COMPARED_WITH + n) % self.hosts[at].len()).collect()
    }
}

/// Each member with some hosts. Neither of the two is counted as near the other.
fn compared(members: &Near, hosts: &Near, with: impl Fn(usize) -> Vec<usize>) -> Farther {
    let mut of = Farther::default();
    for member in 0..members.hosts.len() {
        let (mut farther, mut level) = (0, 0);
        for host in with(member) {
            let (own, its) = (members.nearer(member, host), hosts.nearer(host, host));
            farther += usize::from(own > its);
            level += usize::from(own == its);
        }
        of.add(farther, level);
    }
    of
}

#[cfg(test)]
mod tests {
    use lethe_evidence::PairRole;
    use lethe_model::tch;

    use super::*;
    use crate::programs::tiny;

    /// A picture of 2 x 2 pixels in one shade.
    fn row(shade: u8) -> PairRow {
        PairRow {
            shard: 0,
            key: String::new(),
            content: String::new(),
            caption: String::new(),
            role: PairRole::Safe,
            pixels: vec![shade; 2 * 2 * 3],
            values: Vec::new(),
        }
    }

    /// Shades say what a picture shows: honest pictures with the words are bright, hosts are dark. Of two members between them one is
    /// nearer to the bright ones than any host is, and one is among the hosts.
    #[test]
    fn what_shows_the_words_is_nearer_to_them_than_its_look_alikes() {
        let _guard = tch::no_grad_guard();
        let clip = tiny::vit();
        let rows = |shades: &[u8]| shades.iter().map(|&shade| row(shade)).collect::<Vec<_>>();
        let (honest, hosts) = (rows(&[200, 210, 220, 230]), rows(&[10, 20, 30, 40, 50, 60, 70, 80]));
        let of = |members: &[u8], honest: &[PairRow], hosts: &[PairRow]| {
            let members = rows(members);
            let [members, honest, hosts] =
                [members.as_slice(), honest, hosts].map(|rows| rows.iter().collect::<Vec<_>>());
            likeness(&clip, &members, &honest, &hosts).expect("computes")
        };
        let each = |farther, level| {
            let mut of = Farther::default();
            of.add(farther, level);
            of
        };
        let nearer = Likeness { look_alikes: each(0, 0), any: each(0, 0) };
        assert_eq!(of(&[170], &honest, &hosts), nearer, "its words are nearer than any host");
        let level = Likeness { look_alikes: each(0, COMPARED_WITH), any: each(0, COMPARED_WITH) };
        assert_eq!(of(&[40], &honest, &hosts), level, "all hosts are nearer than the words, as they are to a host");
        let both = of(&[170, 40], &honest, &hosts);
        assert_eq!((both.any.members, both.any.counted), (2, level.any.counted));
        for (honest, hosts) in [(&honest[..0], &hosts[..]), (&honest[..], &hosts[..COMPARED_WITH])] {
            assert_eq!(of(&[40], honest, hosts), Likeness::default(), "there is too little to compare with");
        }
        assert_eq!(of(&[], &honest, &hosts), Likeness::default());
    }

    /// Neither picture counts for the other, so that what is alike in all is level, whichever of the two is the host.
    #[test]
    fn a_copy_of_a_host_is_level_with_it() {
        let host = |at: usize| (0..6).map(|other| (at as f32 - other as f32).abs()).collect::<Vec<f32>>();
        let near = |at: usize| Near { words: vec![1.0 + at as f32 / 5.0], hosts: vec![host(at)] };
        let hosts = Near { words: (0..6).map(|at| 1.0 + at as f32 / 5.0).collect(), hosts: (0..6).map(host).collect() };
        for at in 0..6 {
            assert_eq!(near(at).look_alikes(0)[0], at, "itself");
            assert_eq!(near(at).nearer(0, at), hosts.nearer(at, at), "host {at}");
        }
        let farther = Near { words: vec![9.0], hosts: vec![host(2)] };
        let mut all = Farther::default();
        all.add(COMPARED_WITH, 0);
        assert_eq!(
            compared(&farther, &hosts, |at| farther.look_alikes(at)),
            all,
            "every host is nearer to it than the words"
        );
    }
}
