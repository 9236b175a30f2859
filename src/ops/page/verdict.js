// The verdict and the key figures, from /status.

import { byId, element, rich, say } from "./dom.js";
import { age, bytes, clock, duration, number } from "./text.js";
import { hasSection, openRunbook } from "./runbook.js";

const LABELS = {
  accepting: "OK",
  starting: "STARTING",
  waiting: "WAITING FOR KAFKA",
  stopping: "STOPPING",
  losing: "ACT NOW",
};
const KAFKA = {
  connecting: "connecting",
  reading_back: "reconciling",
  ready: "ready",
  failing: "failing",
  stopped: "stopped",
};

let shownStep = "";

export function showVerdict(verdict) {
  const section = byId("verdict");
  section.dataset.state = verdict.state in LABELS ? verdict.state : "unknown";
  say(byId("state"), LABELS[verdict.state] ?? verdict.state);
  say(byId("headline"), verdict.headline);
  document.title = `${LABELS[verdict.state] ?? "?"} – recall-bridge`;
  byId("step").hidden = verdict.next_step === null;
  const step = verdict.next_step ?? "";
  if (step !== shownStep) byId("step-text").replaceChildren(...rich(step));
  shownStep = step;
  const runbook = byId("open-runbook");
  runbook.hidden = !hasSection(verdict.runbook);
  runbook.onclick = () => openRunbook(verdict.runbook);
  const since = verdict.since === null ? [] : [`Since ${clock(verdict.since, Date.now())} (${age(verdict.since, Date.now())}).`];
  const details = [...since, ...verdict.details];
  const list = byId("details");
  if (list.children.length !== details.length) list.replaceChildren(...details.map(() => element("li")));
  details.forEach((detail, place) => say(list.children[place], detail));
}

export function showFigures(status) {
  say(byId("node"), `${location.host}, version ${status.version}, spool ${status.spool_uuid}`);
  const share = status.capacity_bytes > 0 ? (100 * status.bytes) / status.capacity_bytes : 0;
  const kafka = status.kafka;
  const figures = [
    ["Backlog", number(status.depth), status.depth > 0 ? `oldest ${duration(status.oldest_age_seconds)}` : "nothing waits"],
    ["Spool", `${share.toFixed(share < 10 ? 1 : 0)} %`, `${bytes(status.bytes)} of ${bytes(status.capacity_bytes)}`],
    ["Kafka", KAFKA[kafka.state] ?? kafka.state, kafka.failing_since ? `failing for ${age(kafka.failing_since, Date.parse(status.now)).replace(" ago", "")}` : kafka.connected ? "connected" : "never connected yet"],
    ["Accepted", number(status.accepted_seq), "events in this spool"],
    ["Published", number(status.published_seq), "last sequence number"],
    ["Quarantine", number(status.quarantine_events), bytes(status.quarantine_bytes)],
    ["Refused", number(status.refused.entries), `${number(status.refused.replayable)} can be replayed`],
  ];
  const list = byId("figures");
  if (list.children.length !== figures.length) {
    list.replaceChildren(...figures.map(([name]) => element("div", {}, element("dt", { text: name }), element("dd"), element("dd", { class: "quiet" }))));
  }
  figures.forEach(([, value, more], place) => {
    const [, first, second] = list.children[place].children;
    say(first, value);
    say(second, more);
  });
}
