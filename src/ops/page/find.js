// The search for a recall.

import { ask, byId, command, element, say } from "./dom.js";
import { age, clock } from "./text.js";

const PLACES = {
  published: "Published",
  spool: "In the spool: accepted, not published yet",
  quarantine: "In quarantine: kept, not published",
  refused: "Refused",
};

export function setUpFind() {
  byId("find-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const result = byId("find-result");
    say(result, "Searching …");
    try {
      show(result, await ask(`find?key=${encodeURIComponent(byId("find-key").value.trim())}`));
    } catch (failed) {
      say(result, `Search failed: ${failed.message}`);
    }
  });
}

function show(result, report) {
  const parts = [];
  if (report.found.length === 0) {
    parts.push(element("p", { text: "This node does not have it: not in its spool, quarantine, refused journal, nor among the records that it published last." }));
    parts.push(element("p", { class: "quiet", text: "It may be older in the topic, or on another node." }));
  }
  for (const note of report.notes) parts.push(element("p", { class: "quiet", text: note }));
  if (report.found.length > 0) {
    const items = report.found.map(sighting);
    parts.push(element("ol", { class: "sightings" }, ...items));
  }
  result.replaceChildren(...parts);
}

function sighting(found) {
  const now = Date.now();
  const where = found.partition === null ? "" : `: ${found.partition}@${found.offset}`;
  const facts = [
    ["at", `${clock(found.at, now)} (${age(found.at, now)})`],
    ["account", found.account],
    ["MsgKey", found.msg_key],
    ["event id", found.event_id],
    ["entry", found.id],
    ["reason", found.reason],
    ["bridge_seq", found.bridge_seq],
  ].filter(([, value]) => value !== null);
  const list = element("dl", {}, ...facts.flatMap(([name, value]) => [element("dt", { text: name }), element("dd", { text: value })]));
  return element("li", { "data-place": found.place }, element("strong", { text: (PLACES[found.place] ?? found.place) + where }), list,
    found.command === null ? null : command(found.command));
}
