// Requeue, drop and replay: as a request where the node allows it, else as a command line to copy.

import { ask, button, command, dialog, element } from "./dom.js";

const BATCH = 256;
const TEXTS = {
  requeue: { verb: "Requeue", what: "Publishes them: their recalls are appended to the spool." },
  drop: { verb: "Drop", what: "Deletes them. They cannot be restored." },
  replay: { verb: "Replay", what: "Publishes them as newly accepted recalls, except duplicates." },
};

/** Buttons for the listed entries, or the command lines that do the same. */
export function offers(enabled, names, ids, line, done) {
  if (ids.length === 0) return [];
  return names.map((name) => {
    if (!enabled) return command(line(name));
    const text = `${TEXTS[name].verb} ${ids.length === 1 ? "this entry" : `these ${ids.length} entries`}`;
    return button(text, () => confirm(name, ids, line(name), done), { class: name === "drop" ? "danger" : "" });
  });
}

/** Asks for confirmation, then sends the request. */
function confirm(name, ids, line, done) {
  const { verb, what } = TEXTS[name];
  const count = ids.length === 1 ? "1 entry" : `${ids.length} entries`;
  const body = element("div", {},
    element("p", { text: `${verb} ${count}: ${shortened(ids)}. ${what}` }),
    element("p", { class: "quiet", text: "The same on the command line:" }), command(line));
  const go = button(`${verb} ${count}`, async () => {
    go.disabled = true;
    const results = element("div", {}, element("p", { text: "Working …" }));
    dialog(verb, results);
    results.replaceChildren(...(await send(name, ids)));
    done();
  }, { class: name === "drop" ? "danger" : "primary" });
  dialog(`${verb} ${count}?`, body, [go]);
}

function shortened(ids) {
  return ids.length <= 12 ? ids.join(", ") : `${ids.slice(0, 5).join(", ")} … ${ids.slice(-5).join(", ")}`;
}

async function send(action, ids) {
  const counts = new Map();
  const kept = [];
  try {
    for (let from = 0; from < ids.length; from += BATCH) {
      const answer = await ask("actions", {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-Recall-Bridge": "page" },
        body: JSON.stringify({ action, ids: ids.slice(from, from + BATCH) }),
      });
      for (const one of answer.results) {
        counts.set(one.result, (counts.get(one.result) ?? 0) + 1);
        if (one.why) kept.push(`${one.id}: ${one.why}`);
      }
    }
  } catch (failed) {
    return [element("p", { class: "error", text: `Failed: ${failed.message}. Look at the list before you repeat it; repeating is safe.` })];
  }
  const total = [...counts].map(([result, count]) => `${count} ${result}`).join(", ");
  return [element("p", { text: `Done: ${total}.` }), ...kept.map((why) => element("p", { class: "quiet", text: why }))];
}
