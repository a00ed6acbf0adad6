//! The charts, as SVG without any font of this machine.

use crate::{
    contenders::Kind,
    figures::Figures,
    results::Results,
    rotation::Scenario,
    runner::{Flavor, Place},
    target::{Outcome, text},
    workload::Workload,
};
use plotters::prelude::*;
use std::{error::Error, path::Path};

const SIZE: (u32, u32) = (880, 520);
const FONT: &str = "sans-serif";
const OURS: RGBColor = RGBColor(200, 30, 60);
const LIMIT: RGBColor = RGBColor(120, 120, 120);

/// In the order of the contenders; ours first.
const COLORS: [RGBColor; 7] = [
    OURS,
    RGBColor(31, 119, 180),
    RGBColor(90, 180, 220),
    RGBColor(44, 140, 60),
    RGBColor(230, 140, 20),
    RGBColor(130, 90, 180),
    RGBColor(150, 100, 80),
];

type Drawn = Result<(), Box<dyn Error>>;

/// A line of a chart: a client, and its points.
struct Line {
    client: &'static str,
    points: Vec<(f64, f64)>,
}

/// GETs per second against the number of tasks. Of a peer, the pool size that is best at each number; ours is the
/// default.
pub fn throughput(results: &Results, flavor: Flavor, nodes: Option<usize>, path: &Path) -> Outcome<()> {
    let lines = throughput_lines(results, flavor);
    if lines.is_empty() {
        return Ok(());
    }
    let highest = lines.iter().flat_map(|line| &line.points).map(|(_, y)| *y).chain(results.limit());
    let Some(highest) = highest.max_by(f64::total_cmp) else { return Ok(()) };
    let over = nodes.map_or_else(String::new, |nodes| format!(", a cluster of {nodes} nodes"));
    let title = format!("GET of 64 B over TLS{over}, {}", flavor.title());
    draw_throughput(&lines, results.limit(), highest, &title, path).map_err(text)
}

fn throughput_lines(results: &Results, flavor: Flavor) -> Vec<Line> {
    let here = |place: &Place| place.workload == Workload::Get && place.flavor == flavor;
    let mut lines: Vec<Line> = Vec::new();
    for place in results.places().into_iter().filter(here) {
        // Powers of two at equal distances.
        let x = (place.tasks as f64).log2();
        for (client, figures) in best_of_each(results.at(place)) {
            let point = (x, figures.per_second);
            match lines.iter_mut().find(|line| line.client == client) {
                Some(line) => line.points.push(point),
                None => lines.push(Line { client, points: vec![point] }),
            }
        }
    }
    lines
}

fn best_of_each(all: Vec<(Kind, Figures)>) -> Vec<(&'static str, Figures)> {
    let mut best: Vec<(&'static str, Figures)> = Vec::new();
    for (kind, figures) in all.into_iter().filter(|(kind, _)| kind.is_peer() || *kind == Kind::OURS) {
        match best.iter_mut().find(|(client, _)| *client == kind.family()) {
            Some((_, so_far)) if so_far.per_second >= figures.per_second => {}
            Some((_, so_far)) => *so_far = figures,
            None => best.push((kind.family(), figures)),
        }
    }
    best
}

fn draw_throughput(lines: &[Line], limit: Option<f64>, highest: f64, title: &str, path: &Path) -> Drawn {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let last = lines.iter().flat_map(|line| &line.points).map(|(x, _)| *x).fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(&root)
        .caption(title, (FONT, 20))
        .margin(14)
        .x_label_area_size(46)
        .y_label_area_size(76)
        .build_cartesian_2d(-0.3..last + 0.3, 0.0..highest * 1.08)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(BLACK.mix(0.1))
        .x_labels(12)
        .x_label_formatter(&|x: &f64| format!("{:.0}", x.exp2()))
        .y_label_formatter(&|y: &f64| rate(*y))
        .x_desc("tasks that share the client")
        .y_desc("GET/s")
        .label_style((FONT, 13))
        .draw()?;
    if let Some(limit) = limit {
        let style = LIMIT.stroke_width(1);
        chart
            .draw_series(LineSeries::new([(-0.3, limit), (last + 0.3, limit)], style))?
            .label("redis-benchmark -c 4 -P 64")
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 20, y)], style));
    }
    for (line, color) in lines.iter().zip(COLORS) {
        let style = color.stroke_width(if color == OURS { 3 } else { 2 });
        chart.draw_series(line.points.iter().map(|point| Circle::new(*point, 3, color.filled())))?;
        chart
            .draw_series(LineSeries::new(line.points.iter().copied(), style))?
            .label(line.client)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 20, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.2))
        .label_font((FONT, 13))
        .draw()?;
    root.present()?;
    Ok(())
}

/// p99 of every 100 ms, through the rotations.
pub fn latency(scenario: &Scenario, path: &Path) -> Outcome<()> {
    draw_latency(scenario, path).map_err(text)
}

fn draw_latency(scenario: &Scenario, path: &Path) -> Drawn {
    let p99s = scenario.traces.iter().flat_map(|trace| &trace.buckets).map(|bucket| bucket.p99_ms);
    let (lowest, highest) = p99s
        .filter(|p99| *p99 > 0.0)
        .fold((1.0, 1.0), |(lowest, highest): (f64, f64), p99| (lowest.min(p99), highest.max(p99)));
    let end = scenario.traces.iter().flat_map(|trace| &trace.buckets).map(|bucket| bucket.from_s).fold(1.0, f64::max);
    let (bottom, top) = (lowest / 2.0, highest * 4.0);
    let title = match scenario.auth_takes_ms {
        0 => "p99 through three rotations, 256 tasks".to_owned(),
        takes => format!("p99 through three rotations, 256 tasks, AUTH takes {takes} ms"),
    };
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, (FONT, 20))
        .margin(14)
        .x_label_area_size(46)
        .y_label_area_size(66)
        .build_cartesian_2d(0.0..end, (bottom..top).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(BLACK.mix(0.1))
        .x_desc("seconds")
        .y_desc("ms")
        .y_label_formatter(&|y: &f64| format!("{}", (y * 1e4).round() / 1e4))
        .label_style((FONT, 13))
        .draw()?;
    let grey = LIMIT.stroke_width(1);
    chart
        .draw_series(scenario.rotations_at_s.iter().map(|at| PathElement::new(vec![(*at, bottom), (*at, top)], grey)))?
        .label("a new token")
        .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 20, y)], grey));
    for (trace, color) in scenario.traces.iter().zip(COLORS) {
        let style = color.stroke_width(2);
        let points = trace.buckets.iter().filter(|bucket| bucket.p99_ms > 0.0);
        let points = points.map(|bucket| (bucket.from_s, bucket.p99_ms));
        chart
            .draw_series(LineSeries::new(points, style))?
            .label(trace.client)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 20, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.2))
        .label_font((FONT, 13))
        .draw()?;
    root.present()?;
    Ok(())
}

fn rate(per_second: f64) -> String {
    if per_second < 1e6 { format!("{:.0} k", per_second / 1e3) } else { format!("{:.1} M", per_second / 1e6) }
}
