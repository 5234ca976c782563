//! BatchNorm's kernels over one image, a vector of channels at a time.

use crate::engine::simd::{LANES, by_vectors, lanes, load, store, vectorise};

/// Mean and sum of squared distances from it of every channel of one image.
pub struct ImageMoments {
    pub mean: Vec<f32>,
    pub squares: Vec<f32>,
}

impl ImageMoments {
    pub fn of(image: &[f32], channels: usize) -> Self {
        let area = (image.len() / channels) as f32;
        let mut moments = Self { mean: vec![0.0; channels], squares: vec![0.0; channels] };
        let Self { mean, squares } = &mut moments;
        vectorise(
            #[inline(always)]
            || {
                by_vectors!(channels, |first, width, FULL| {
                    let (mut sum, mut square) = ([0.0; LANES], [0.0; LANES]);
                    for place in image.chunks_exact(channels) {
                        let x = load::<FULL>(&place[first..], width);
                        sum = lanes(|lane| sum[lane] + x[lane]);
                    }
                    let here = lanes(|lane| sum[lane] / area);
                    for place in image.chunks_exact(channels) {
                        let x = load::<FULL>(&place[first..], width);
                        let off = lanes(|lane| x[lane] - here[lane]);
                        square = lanes(|lane| square[lane] + off[lane] * off[lane]);
                    }
                    store::<FULL>(&here, &mut mean[first..], width);
                    store::<FULL>(&square, &mut squares[first..], width);
                });
            },
        );
        moments
    }
}

/// What one image adds to the gradients, by channel: Σ dy and Σ dy · (x − mean).
pub struct ImageSums {
    pub total: Vec<f32>,
    pub along: Vec<f32>,
}

/// How one group turns dy into dx, by channel: dx = scale · (dy − total − (x − mean) · along).
pub struct Slopes {
    pub scale: Vec<f32>,
    pub total: Vec<f32>,
    pub along: Vec<f32>,
}

/// Normalises by mean, scale and bias of every channel, adds the shortcut where `ADD`, and cuts what is below `floor`.
pub fn normalise<const ADD: bool>(
    x: &[f32],
    [mean, scale, bias]: [&[f32]; 3],
    shortcut: &[f32],
    floor: f32,
    y: &mut [f32],
) {
    let channels = mean.len();
    vectorise(
        #[inline(always)]
        || {
            by_vectors!(channels, |first, width, FULL| {
                let [mean, scale, bias] = [mean, scale, bias].map(|values| load::<FULL>(&values[first..], width));
                let places = x.chunks_exact(channels).zip(shortcut.chunks_exact(channels));
                for (y, (x, shortcut)) in y.chunks_exact_mut(channels).zip(places) {
                    let x = load::<FULL>(&x[first..], width);
                    // The mean comes off first: folded into the bias, it would cost digits where it is large.
                    let mut result = lanes(|lane| (x[lane] - mean[lane]) * scale[lane] + bias[lane]);
                    if ADD {
                        let shortcut = load::<FULL>(&shortcut[first..], width);
                        result = lanes(|lane| result[lane] + shortcut[lane]);
                    }
                    let result = lanes(|lane| result[lane].max(floor));
                    store::<FULL>(&result, &mut y[first..], width);
                }
            });
        },
    );
}

/// Puts ReLU's zeros into `dy` where `CUT`, by the result `y`, and sums it up.
pub fn sums<const CUT: bool>(x: &[f32], y: &[f32], dy: &mut [f32], mean: &[f32]) -> ImageSums {
    let channels = mean.len();
    let mut sums = ImageSums { total: vec![0.0; channels], along: vec![0.0; channels] };
    vectorise(
        #[inline(always)]
        || {
            by_vectors!(channels, |first, width, FULL| {
                let mean = load::<FULL>(&mean[first..], width);
                let (mut total, mut along) = ([0.0; LANES], [0.0; LANES]);
                let places = x.chunks_exact(channels).zip(y.chunks_exact(channels));
                for (dy, (x, y)) in dy.chunks_exact_mut(channels).zip(places) {
                    let x = load::<FULL>(&x[first..], width);
                    let mut slope = load::<FULL>(&dy[first..], width);
                    if CUT {
                        let y = load::<FULL>(&y[first..], width);
                        slope = lanes(|lane| if y[lane] > 0.0 { slope[lane] } else { 0.0 });
                        store::<FULL>(&slope, &mut dy[first..], width);
                    }
                    total = lanes(|lane| total[lane] + slope[lane]);
                    along = lanes(|lane| along[lane] + slope[lane] * (x[lane] - mean[lane]));
                }
                store::<FULL>(&total, &mut sums.total[first..], width);
                store::<FULL>(&along, &mut sums.along[first..], width);
            });
        },
    );
    sums
}

/// From `dy` to the gradient of x, in place of x.
pub fn gradient(x: &mut [f32], dy: &[f32], mean: &[f32], slopes: &Slopes) {
    let channels = mean.len();
    vectorise(
        #[inline(always)]
        || {
            by_vectors!(channels, |first, width, FULL| {
                let constants = [mean, &slopes.scale, &slopes.total, &slopes.along];
                let [mean, scale, total, along] = constants.map(|values| load::<FULL>(&values[first..], width));
                for (x, dy) in x.chunks_exact_mut(channels).zip(dy.chunks_exact(channels)) {
                    let (here, dy) = (load::<FULL>(&x[first..], width), load::<FULL>(&dy[first..], width));
                    let dx =
                        lanes(|lane| scale[lane] * (dy[lane] - total[lane] - (here[lane] - mean[lane]) * along[lane]));
                    store::<FULL>(&dx, &mut x[first..], width);
                }
            });
        },
    );
}
