// The charts of /history, as SVG.

import { ask, byId, element, say, svg } from "./dom.js";
import { draw } from "./plot.js";
import { duration, number } from "./text.js";

const RANGES = [[15, "15 min"], [60, "1 h"], [360, "6 h"], [1440, "24 h"]];
// The colours of the alerts: red is lost, orange is kept, grey is not the vendor's.
const COLOURS = {
  spool_full: "lost", unavailable: "lost2", timeout: "lost3", draining: "lost3", bad_sign: "other",
  stale: "kept", malformed: "kept2", unknown_app: "other2", bad_query: "other3",
};
let minutes = 60;
let history = null;

const PLOTS = [
  {
    id: "webhooks", title: "Webhooks of recalls", show: number,
    series: (data) => [
      { name: "accepted", colour: "good", values: data.accepted },
      ...Object.entries(data.refused).map(([name, values]) => ({ name, colour: COLOURS[name] ?? "other", values })),
    ],
    kind: "bars", unit: (data) => `per ${duration(data.step_seconds)}`,
  },
  {
    id: "ack", title: "Response time", show: duration, kind: "lines",
    series: (data) => [{ name: "p50", colour: "line", values: data.ack_p50_seconds }, { name: "p99", colour: "line2", values: data.ack_p99_seconds }],
    limit: { value: 2, text: "the sender gives up after 2 s" },
  },
  {
    id: "backlog", title: "Backlog", show: number, kind: "area", unit: () => "unpublished events",
    series: (data) => [{ name: "events", colour: "line", values: data.backlog }],
  },
  {
    id: "age", title: "Age of the oldest unpublished event", show: duration, kind: "area",
    series: (data) => [{ name: "age", colour: "line2", values: data.oldest_age_seconds }],
  },
  {
    id: "lag", title: "Publish lag: receipt to Kafka", show: duration, kind: "lines",
    series: (data) => [{ name: "p50", colour: "line", values: data.publish_lag_p50_seconds }, { name: "p99", colour: "line2", values: data.publish_lag_p99_seconds }],
  },
  {
    id: "kafka", title: "Kafka state", unit: () => "with a line at each start of the process", show: (state) => state, kind: "band",
    series: (data) => [{ name: "state", colour: "good", values: data.kafka, starts: data.started }],
  },
];

export function setUpCharts() {
  byId("ranges").replaceChildren(...RANGES.map(([value, text]) =>
    element("button", {
      type: "button", text, class: "small", "aria-pressed": String(value === minutes),
      on: { click: (event) => choose(value, event.currentTarget) },
    })));
  byId("plots").replaceChildren(...PLOTS.map(frame));
  new ResizeObserver(redraw).observe(byId("plots"));
}

function choose(value, pressed) {
  minutes = value;
  for (const other of byId("ranges").children) other.setAttribute("aria-pressed", String(other === pressed));
  void loadCharts();
}

/** The frame of a chart: title, legend, drawing, and the values at the pointer or at the last point. */
function frame(plot) {
  return element("figure", { id: `plot-${plot.id}` },
    element("figcaption", {}, element("strong", { text: plot.title }), " ", element("span", { class: "quiet unit" })),
    svg("svg", { role: "img", tabindex: "0", class: "plot" }),
    element("p", { class: "legend" }));
}

export async function loadCharts() {
  history = await ask(`history?minutes=${minutes}`);
  redraw();
}

function redraw() {
  if (history === null) return;
  for (const plot of PLOTS) {
    const figure = byId(`plot-${plot.id}`);
    const series = plot.series(history);
    say(figure.querySelector(".unit"), plot.unit ? plot.unit(history) : "");
    const at = (place) => legend(figure, plot, series, place);
    draw(figure.querySelector("svg"), plot, series, history, minutes, at);
    at(history.at.length - 1);
  }
}

/** The values at one point. */
function legend(figure, plot, series, place) {
  if (place < 0) return;
  const time = new Date(history.at[place] * 1000).toISOString().slice(11, 19) + "Z";
  const items = series.map(({ name, colour, values }) => {
    const value = values[place];
    const key = plot.kind === "band" ? null : element("span", { class: `key c-${colour}`, "aria-hidden": "true" });
    return element("span", {}, key, ` ${name} `, element("b", { text: value === null ? "–" : plot.show(value) }));
  });
  figure.querySelector(".legend").replaceChildren(element("span", { class: "quiet", text: time }), ...items);
}

