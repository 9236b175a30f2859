// Draws one chart into an SVG element.

import { svg } from "./dom.js";

const HEIGHT = 110;
const LEFT = 52;
const BOTTOM = 18;
const TOP = 6;
const STATES = { ready: "good", stopped: "other", reading_back: "kept", connecting: "kept2", failing: "lost" };
const SPANS = { 15: 5, 60: 15, 360: 90, 1440: 360 };

/** The smallest round number that is not below the value: 1, 2 or 5 times a power of ten. */
function ceiling(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((factor) => factor * power).find((round) => round >= value * 0.999) ?? value;
}

export function draw(target, plot, series, history, minutes, onPoint) {
  const width = Math.max(220, target.clientWidth || 600);
  const height = plot.kind === "band" ? 44 : HEIGHT;
  target.setAttribute("viewBox", `0 0 ${width} ${height}`);
  target.setAttribute("height", height);
  const end = history.now_ms / 1000;
  const start = end - minutes * 60;
  const x = (seconds) => LEFT + ((seconds - start) / (end - start)) * (width - LEFT - 4);
  const drawn = axis(x, start, end, minutes, height);
  if (plot.kind === "band") drawn.push(...band(series[0], history, x));
  else drawn.push(...chart(plot, series, history, x, width, height));
  target.replaceChildren(...drawn);
  describe(target, plot, series, history);
  listen(target, history, x, width, height, onPoint);
}

function axis(x, start, end, minutes, height) {
  const step = (SPANS[minutes] ?? 60) * 60;
  const drawn = [];
  for (let time = Math.ceil(start / step) * step; time <= end; time += step) {
    if (x(time) < LEFT + 12) continue;
    drawn.push(svg("line", { class: "grid", x1: x(time), x2: x(time), y1: TOP, y2: height - BOTTOM }));
    const label = svg("text", { class: "tick", x: x(time), y: height - 4, "text-anchor": x(time) > x(end) - 20 ? "end" : "middle" });
    label.textContent = new Date(time * 1000).toISOString().slice(11, 16);
    drawn.push(label);
  }
  return drawn;
}

function chart(plot, series, history, x, width, height) {
  const stacked = plot.kind === "bars";
  const totals = history.at.map((_, place) =>
    series.reduce((sum, { values }) => (stacked ? sum + (values[place] ?? 0) : Math.max(sum, values[place] ?? 0)), 0));
  const most = ceiling(totals.reduce((one, other) => Math.max(one, other), 0));
  const y = (value) => height - BOTTOM - (value / most) * (height - BOTTOM - TOP);
  const drawn = [0, most / 2, most].flatMap((value) => {
    const label = svg("text", { class: "tick", x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" });
    label.textContent = plot.show(value);
    return [svg("line", { class: "grid", x1: LEFT, x2: width - 4, y1: y(value), y2: y(value) }), label];
  });
  if (plot.limit && most >= plot.limit.value) {
    drawn.push(svg("line", { class: "limit", x1: LEFT, x2: width - 4, y1: y(plot.limit.value), y2: y(plot.limit.value) }));
  }
  if (stacked) drawn.push(...bars(series, history, x, y));
  else for (const one of series) drawn.push(...line(one, history, x, y, plot.kind === "area"));
  return drawn;
}

function bars(series, history, x, y) {
  const step = history.step_seconds;
  const below = history.at.map(() => 0);
  return series.map(({ colour, values }) => {
    const parts = values.map((value, place) => {
      if (!value) return "";
      const [left, right] = [x(history.at[place] - step), x(history.at[place])];
      const [bottom, top] = [y(below[place]), y(below[place] + value)];
      below[place] += value;
      const gap = Math.min(1, (right - left) / 4);
      return `M${left.toFixed(1)} ${bottom.toFixed(1)}V${top.toFixed(1)}H${(right - gap).toFixed(1)}V${bottom.toFixed(1)}Z`;
    });
    return svg("path", { class: `bar c-${colour}`, d: parts.join("") });
  });
}

function line({ colour, values }, history, x, y, filled) {
  let path = "";
  let area = "";
  let first = null;
  values.forEach((value, place) => {
    const gap = place > 0 && history.at[place] - history.at[place - 1] > history.step_seconds * 3;
    if (value === null || gap) {
      if (first !== null) area += `L${x(history.at[place - 1]).toFixed(1)} ${y(0)}L${first} ${y(0)}Z`;
      first = null;
      if (value === null) return;
    }
    const point = `${x(history.at[place]).toFixed(1)} ${y(value).toFixed(1)}`;
    path += (first === null ? "M" : "L") + point;
    area += (first === null ? "M" : "L") + point;
    first ??= x(history.at[place]).toFixed(1);
    // A point without neighbours would be invisible.
    if (values[place + 1] === null || values[place + 1] === undefined) path += "h1";
  });
  if (first !== null) area += `L${x(history.at[history.at.length - 1]).toFixed(1)} ${y(0)}L${first} ${y(0)}Z`;
  const drawn = [svg("path", { class: `line c-${colour}`, d: path })];
  if (filled) drawn.unshift(svg("path", { class: `area c-${colour}`, d: area }));
  return drawn;
}

/** The state of Kafka as a band, and a mark at each start of the process. */
function band({ values, starts }, history, x) {
  const drawn = [];
  values.forEach((state, place) => {
    const left = Math.max(LEFT, x(history.at[place] - history.step_seconds));
    const width = Math.max(0.5, x(history.at[place]) - left + 0.3);
    const before = drawn.at(-1);
    if (before?.getAttribute("data-state") === state) {
      before.setAttribute("width", x(history.at[place]) - Number(before.getAttribute("x")) + 0.3);
    } else {
      drawn.push(svg("rect", { class: `bar c-${STATES[state] ?? "other"}`, x: left, y: TOP, width, height: 16, "data-state": state }));
    }
  });
  starts.forEach((started, place) => {
    if (started) drawn.push(svg("path", { class: "start", d: `M${x(history.at[place])} ${TOP - 4}v22` }));
  });
  return drawn;
}

/** The chart in one sentence, for a screen reader. */
function describe(target, plot, series, history) {
  const last = history.at.length - 1;
  const parts = series.map(({ name, values }) => {
    if (plot.kind === "band") return `${values[last] ?? "unknown"} now`;
    const known = values.filter((value) => value !== null);
    if (known.length === 0) return `${name}: no values`;
    const most = known.reduce((one, other) => Math.max(one, other));
    const now = values[last] === null ? "none" : plot.show(values[last]);
    return `${name}: ${now} now, ${plot.show(most)} at most`;
  });
  target.setAttribute("aria-label", `${plot.title}. ${parts.join("; ")}. Arrow keys read single values.`);
}

/** Pointer and arrow keys choose a point. */
function listen(target, history, x, width, height, onPoint) {
  const count = history.at.length;
  const cursor = svg("line", { class: "cursor", y1: TOP, y2: height - BOTTOM, x1: -9, x2: -9 });
  target.append(cursor);
  let chosen = count - 1;
  const choose = (place) => {
    chosen = Math.min(count - 1, Math.max(0, place));
    if (count === 0) return;
    cursor.setAttribute("x1", x(history.at[chosen]));
    cursor.setAttribute("x2", x(history.at[chosen]));
    onPoint(chosen);
  };
  target.onpointermove = (event) => {
    const box = target.getBoundingClientRect();
    const wanted = ((event.clientX - box.left) / box.width) * width;
    const nearest = history.at.reduce((best, time, place) => (Math.abs(x(time) - wanted) < Math.abs(x(history.at[best]) - wanted) ? place : best), 0);
    choose(nearest);
  };
  target.onpointerleave = () => {
    cursor.setAttribute("x1", -9);
    cursor.setAttribute("x2", -9);
    onPoint(count - 1);
  };
  target.onkeydown = (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1, Home: -count, End: count }[event.key];
    if (move === undefined) return;
    event.preventDefault();
    choose(chosen + move);
  };
}
