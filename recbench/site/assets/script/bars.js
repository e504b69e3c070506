// Bars: an interval, its mean and its seeds.

const BAR = { width: 120, height: 18, edge: 5 };

const median = (values) => quantile([...values].sort((a, b) => a - b), 0.5);

// the scale of a column of intervals: a row far from the others does not squeeze them
function scaleOf(intervals, among) {
  const middle = median(intervals.map(([low, high]) => (low + high) / 2));
  const reach = 1.3 * median(intervals.map(([low, high]) => high - low)) || Infinity;
  const ends = [...intervals.flat(), ...among];
  return [
    Math.max(Math.min(...ends), Math.min(middle - reach, ...among)),
    Math.min(Math.max(...ends), Math.max(middle + reach, ...among)),
  ];
}

function bar(scale, interval, middle, dots, zero) {
  const [low, high] = scale;
  const inside = (value) => Math.min(high, Math.max(low, value));
  const at = (value) =>
    (BAR.edge + ((inside(value) - low) / (high - low || 1)) * (BAR.width - 2 * BAR.edge)).toFixed(1);
  const parts = [];
  if (middle < low || middle > high) {
    const edge = middle < low ? `M8 4L2 9L8 14` : `M${BAR.width - 8} 4L${BAR.width - 2} 9L${BAR.width - 8} 14`;
    parts.push(svg("path", { d: edge, class: "beyond" }));
    return svg("svg", { viewBox: `0 0 ${BAR.width} ${BAR.height}`, class: "bar", "aria-hidden": "true" }, ...parts);
  }
  if (zero) parts.push(svg("line", { x1: at(0), x2: at(0), y1: 1, y2: 17, class: "zero" }));
  if (interval) {
    const [from, to] = interval.map(at);
    parts.push(svg("rect", { x: from, y: 5, width: Math.max(1, to - from), height: 8, rx: 4, class: "interval" }));
  }
  parts.push(svg("line", { x1: at(middle), x2: at(middle), y1: 3, y2: 15, class: "mean" }));
  for (const dot of dots) parts.push(svg("circle", { cx: at(dot), cy: 9, r: 1.9, class: "seed" }));
  return svg("svg", { viewBox: `0 0 ${BAR.width} ${BAR.height}`, class: "bar", "aria-hidden": "true" }, ...parts);
}
