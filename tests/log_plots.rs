//! The plots: files decode to what was drawn, data land where they belong, and no data are an error.

use sampler::log::plot::{
    Axis, BarChart, Field, HeatMap, HistogramPlot, ImageGrid, LinePlot, PairsPlot, Picture, Sample, ScatterPlot,
    Series, Shades,
};
use tch::{Device, Kind, Tensor};

type Rgb = [u8; 3];

const BLUE: Rgb = [0, 114, 178];
const VERMILION: Rgb = [213, 94, 0];

fn pixel(picture: &Picture, x: u32, y: u32) -> Rgb {
    let start = 3 * (y * picture.width + x) as usize;
    picture.rgb[start..start + 3].try_into().unwrap()
}

/// Columns of the picture that hold a pixel of a colour, below the title and legend.
fn columns_with(picture: &Picture, color: Rgb) -> Vec<u32> {
    let holds = |x: &u32| (130..picture.height).any(|y| pixel(picture, *x, y) == color);
    (0..picture.width).filter(holds).collect()
}

fn count(picture: &Picture, color: Rgb) -> usize {
    picture.rgb.chunks_exact(3).filter(|p| **p == color).count()
}

fn line(x: &[f64], y: &[f64]) -> LinePlot {
    LinePlot::new("Loss", Axis::linear("step"), Axis::linear("loss")).series(Series::new("lv", x, y))
}

#[test]
fn saved_files_decode_to_the_picture() {
    let picture = line(&[0.0, 1.0, 2.0], &[1.0, 0.5, 0.7]).draw().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plots/loss.png");
    picture.save(&path).unwrap();

    let bytes = std::fs::read(&path).unwrap();
    let mut reader = png::Decoder::new(bytes.as_slice()).read_info().unwrap();
    let mut rgb = vec![0; reader.output_buffer_size()];
    let info = reader.next_frame(&mut rgb).unwrap();
    assert_eq!(Picture { width: info.width, height: info.height, rgb }, picture);
    assert_eq!((picture.width, picture.height), (1200, 800));
    assert!(count(&picture, BLUE) > 2000);
    assert_eq!(std::fs::read_dir(folder.path().join("plots")).unwrap().count(), 1);
}

#[test]
fn curves_span_their_data_and_stop_at_gaps() {
    let x: Vec<f64> = (0..=100).map(f64::from).collect();
    let whole = columns_with(&line(&x, &x).draw().unwrap(), BLUE);
    let span = whole.last().unwrap() - whole[0];
    assert_eq!(whole.len() as u32, span + 1);

    // A fifth of the curve missing leaves a fifth of the columns empty; what is infinite is missing too.
    let mut y = x.clone();
    y[40..60].fill(f64::NAN);
    y[50] = f64::INFINITY;
    let broken = columns_with(&line(&x, &y).draw().unwrap(), BLUE);
    assert_eq!((broken[0], broken.last()), (whole[0], whole.last()));
    let missing = (span + 1 - broken.len() as u32) as f64 / f64::from(span);
    assert!((missing - 0.21).abs() < 0.01, "{missing}");

    // With fixed limits the curve is cut where it leaves them. (Labels of equal width keep the frames equal.)
    let columns_within = |limit: f64| {
        let mut plot = line(&x, &x.iter().map(|x| 0.8 * x).collect::<Vec<_>>());
        plot.y = Axis::linear("loss").within(0.0, limit);
        columns_with(&plot.draw().unwrap(), BLUE).len() as f64
    };
    let half = columns_within(40.0) / columns_within(80.0);
    assert!((half - 0.5).abs() < 0.01, "{half}");
}

#[test]
fn bands_lie_between_their_edges() {
    let plot = LinePlot::new("", Axis::linear("").within(0.0, 1.0), Axis::linear("").within(0.0, 1.0));
    let series = Series::new("", &[0.0, 1.0], &[0.5, 0.5]).plus_minus(&[0.25, 0.25]);
    let picture = plot.series(series).draw().unwrap();

    // A column between two grid lines: the frame is the first and last dark pixel, half of it is shaded.
    let column: Vec<Rgb> = (0..800).map(|y| pixel(&picture, 700, y)).collect();
    let frame: Vec<usize> = (0..800).filter(|y| column[*y] == [140; 3]).collect();
    let shaded: Vec<usize> = (0..800).filter(|y| column[*y][0] < 220 && column[*y][2] > 235).collect();
    let height = (frame[frame.len() - 1] - frame[0]) as f64;
    for (edge, part) in [(shaded[0], 0.25), (shaded[shaded.len() - 1], 0.75)] {
        assert!(((edge - frame[0]) as f64 / height - part).abs() < 0.005, "{edge} in {frame:?}");
    }
    let middle: Vec<usize> = (0..800).filter(|y| column[*y] == BLUE).collect();
    assert!((2..=3).contains(&middle.len()), "{middle:?}");
}

#[test]
fn logarithmic_axes_leave_out_what_is_not_positive() {
    let x: Vec<f64> = (0..=100).map(f64::from).collect();
    let y: Vec<f64> = x.iter().map(|x| 50.0 - x).collect();
    let mut plot = line(&x, &y);
    plot.y = Axis::log("loss");
    let columns = columns_with(&plot.draw().unwrap(), BLUE);
    let all = columns_with(&line(&x, &y).draw().unwrap(), BLUE);
    let share = columns.len() as f64 / all.len() as f64;
    assert!((share - 0.49).abs() < 0.02, "{share}");
}

#[test]
fn heat_maps_stand_upright() {
    let field = Field::new((0.0, 1.0), (0.0, 1.0), 2, 2, &[0.0, 0.0, 1.0, f64::NAN]);
    let map = HeatMap::new("", Axis::linear(""), Axis::linear(""), Axis::linear(""), field);
    let picture = map.draw().unwrap();
    // Quarter points of the frame, whichever its margins are.
    let (left, right, top, bottom) = (300, 700, 250, 650);
    let lowest = pixel(&picture, left, bottom);
    let highest = pixel(&picture, left, top);
    assert_eq!(pixel(&picture, right, bottom), lowest);
    assert!(highest.iter().map(|c| u32::from(*c)).sum::<u32>() < 200, "{highest:?}");
    assert!(lowest.iter().map(|c| u32::from(*c)).sum::<u32>() > 600, "{lowest:?}");
    assert_eq!(pixel(&picture, right, top), [255; 3]);
}

#[test]
fn images_are_drawn_value_by_value() {
    let values = Tensor::from_slice(&[0.0f32, 1.0, 0.5, f32::NAN, 0.0, 0.0]).view([1, 2, 3]);
    let picture = ImageGrid::new("").draw(&values).unwrap();
    // Squares of 32 pixels in a margin of 24.
    let value = |row: u32, column: u32| pixel(&picture, 24 + 32 * column + 16, 24 + 32 * row + 16);
    assert_eq!([value(0, 0), value(0, 1), value(0, 2)], [[0; 3], [255; 3], [128; 3]]);
    assert_eq!([value(1, 0), value(1, 1), value(1, 2)], [VERMILION, [0; 3], [0; 3]]);
    assert_eq!((picture.width, picture.height), (2 * 24 + 3 * 32, 2 * 24 + 2 * 32));

    let rgb = Tensor::from_slice(&[1i64, 0, 0]).view([1, 3, 1, 1]).expand([4, 3, 1, 1], false);
    let picture = ImageGrid::new("").columns(2).draw(&rgb).unwrap();
    assert_eq!(count(&picture, [255, 0, 0]), 4 * 32 * 32);

    let flat = Tensor::zeros([5, 9], (Kind::Float, Device::Cpu));
    let error = ImageGrid::new("").draw(&flat).unwrap_err().to_string();
    assert_eq!(error, "images have shape [5, 9]; expected [N, H, W] or [N, 1 or 3, H, W]");
}

#[test]
fn bars_are_as_high_as_their_values() {
    let chart = BarChart::new("", Axis::linear("").within(0.0, 1.0), ["a", "b", "c"]);
    let picture = chart.bars("", &[1.0, 0.5, f64::NAN], None).bars("", &[0.25, 0.0, 0.75], None).draw().unwrap();
    let ratio = count(&picture, VERMILION) as f64 / count(&picture, BLUE) as f64;
    assert!((ratio - 1.0 / 1.5).abs() < 0.01, "{ratio}");
}

#[test]
fn histograms_and_scatter_plots_show_every_set() {
    tch::manual_seed(1);
    let x = Tensor::randn([2000, 3], (Kind::Float, Device::Cpu));
    let y = &x + 2.0;
    let (first, second) = (sampler::log::column(&x, 0), sampler::log::column(&y, 0));
    let curve: Vec<f64> = (0..100).map(|i| -3.0 + 0.06 * f64::from(i)).collect();
    let density: Vec<f64> = curve.iter().map(|x| (-0.5 * x * x).exp() / 2.5066).collect();

    let histogram = HistogramPlot::new("Marginal", Axis::linear("x₁")).sample(Sample::new("sampler", &first));
    let histogram = histogram.sample(Sample::new("reference", &second)).curve("exact", &curve, &density);
    let gaussian = |points: &Tensor| (points * points).sum_dim_intlist(1i64, false, Kind::Float) * -0.5;
    let field = Field::evaluate((-4.0, 4.0), (-4.0, 4.0), 40, 40, (Kind::Float, Device::Cpu), gaussian);
    let scatter = ScatterPlot::new("Samples", Axis::linear("x₁"), Axis::linear("x₂"))
        .contours(field)
        .points("sampler", &sampler::log::plane(&x, 0, 1))
        .points("reference", &sampler::log::plane(&y, 0, 1));
    let pairs = PairsPlot::new("Pairs", ["x₁", "x₂", "x₃"]).points("sampler", &x).points("reference", &y);

    for picture in [histogram.draw(), scatter.draw(), pairs.draw()] {
        let picture = picture.unwrap();
        let tinted = |reference: Rgb| {
            // Markers and fills are transparent: look for the hue.
            let near = |p: &[u8]| {
                let strength = |c: Rgb| i32::from(c[0]) - i32::from(c[2]);
                let found = strength([p[0], p[1], p[2]]);
                found.signum() == strength(reference).signum() && found.abs() > 40
            };
            picture.rgb.chunks_exact(3).filter(|p| near(p)).count()
        };
        assert!(tinted(BLUE) > 3000 && tinted(VERMILION) > 3000, "{} {}", tinted(BLUE), tinted(VERMILION));
    }
}

#[test]
fn awkward_data_are_drawn_all_the_same() {
    let huge = [f64::MIN, f64::MAX, 0.0, f64::MIN_POSITIVE];
    let broken = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    let ramp: Vec<f64> = (0..50_000).map(f64::from).collect();
    let data: [&[f64]; 7] = [&[], &[3.0], &[2.0, 2.0, 2.0], &broken, &huge, &[-1.0, 0.0, 1e-320], &ramp];

    for values in data {
        for y in [Axis::linear("y"), Axis::log("y")] {
            let series = Series::new("s", values, values).plus_minus(values).with_dots();
            let plot = LinePlot::new("t", y.clone(), y.clone()).series(series.smoothed(3)).reference("r", 1.0);
            plot.draw().unwrap();
            let sample = Sample::new("s", values).weighted(values);
            HistogramPlot { y: y.clone(), ..HistogramPlot::new("t", y.clone()) }.sample(sample).draw().unwrap();
            let points: Vec<(f64, f64)> = values.iter().map(|v| (*v, -*v)).collect();
            ScatterPlot::new("t", y.clone(), y.clone()).points("s", &points).draw().unwrap();
            BarChart::new("t", y.clone(), ["a", "b"]).bars("s", values, Some(values)).draw().unwrap();
            let field = Field::new((0.0, 1.0), (0.0, 1.0), 3, 3, values);
            HeatMap::new("t", Axis::linear("x"), Axis::linear("y"), y, field).draw().unwrap();
        }
        let tensor = Tensor::from_slice(values).view([-1, 1]);
        PairsPlot::new("t", ["a", "b"]).points("s", &tensor).draw().unwrap();
        if !values.is_empty() && values.len() < 100 {
            ImageGrid::new("t").shades(Shades::Density).draw(&tensor.view([-1, 1, 1])).unwrap();
        }
    }
}

#[test]
fn no_data_are_said_to_be_none() {
    let empty = LinePlot::new("", Axis::linear("x").within(0.0, 1.0), Axis::linear("y").within(0.0, 1.0));
    let missing = empty.clone().series(Series::new("", &[0.5], &[f64::NAN]));
    let shown = empty.clone().series(Series::new("", &[0.5], &[0.5]));
    let [empty, missing, shown] = [empty, missing, shown].map(|plot| plot.draw().unwrap());
    assert_eq!(empty, missing);
    // The words stand where the single point would be.
    let grey = |p: &Picture| (560..660).filter(|x| (330..400).any(|y| pixel(p, *x, y)[0] < 150)).count();
    assert!(grey(&empty) > 20);
    assert!(count(&shown, BLUE) > 20 && count(&empty, BLUE) == 0);
}
