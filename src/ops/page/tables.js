// The tables: refused, quarantine, published, accounts.

import { offers } from "./actions.js";
import { ask, button, byId, command, dialog, element } from "./dom.js";
import { age, bytes, clock, duration, number, plain, plainLines, quoted } from "./text.js";

const LIMIT = 100;
let enabled = false;

export function setUpTables() {
  filter("refused-filter", [["outcome", "Outcome"], ["account", "Account"]], refused);
  filter("quarantine-filter", [["reason", "Reason"], ["account", "Account"]], quarantine);
}

export async function loadTables(actions) {
  enabled = actions;
  await Promise.allSettled([refused(), quarantine(), published(), accounts()]);
}

/** A form whose fields are the parameters of a request. */
function filter(id, fields, load) {
  const inputs = fields.map(([name, text]) =>
    element("label", {}, `${text} `, element("input", { name, type: "search", size: "16", autocomplete: "off", spellcheck: "false" })));
  const form = byId(id);
  form.replaceChildren(...inputs, element("button", { type: "submit", text: "Filter", class: "small" }));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void load();
  });
}

/** The set fields of a filter, as a query and as arguments of a command. */
function chosen(id) {
  const given = [...new FormData(byId(id))].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value !== "");
  return {
    query: given.map(([name, value]) => `&${name}=${encodeURIComponent(value)}`).join(""),
    line: given.map(([name, value]) => ` --${name} ${quoted(value)}`).join(""),
  };
}

/** Fills the table in `id`; a failed request says so above the old rows. */
async function fill(id, request, columns, rows, empty) {
  const place = byId(id);
  try {
    const answer = await request();
    const listed = rows(answer);
    const head = element("tr", {}, ...columns.map(([name]) => element("th", { scope: "col", text: name })));
    const body = listed.map((row) => element("tr", {}, ...columns.map(([, cell]) => element("td", {}, cell(row)))));
    const made = listed.length === 0 ? element("p", { class: "quiet", text: empty })
      : element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
    place.replaceChildren(made);
    return answer;
  } catch (failed) {
    place.replaceChildren(element("p", { class: "error", text: `Not available: ${failed.message}` }));
    return null;
  }
}

const text = (value, name = "cell") => element("span", { class: name, text: value ?? "–" });
const when = (iso) => element("time", { datetime: plain(iso), title: iso, text: `${clock(iso, Date.now())}` });
const hostile = (value) => element("bdi", { class: "cell", text: plain(value ?? "–", 80), title: plain(value ?? "") });
const badge = (value, kind) => element("span", { class: `badge b-${kind}`, text: value });

async function refused() {
  const { query, line } = chosen("refused-filter");
  const answer = await fill("refused-table", () => ask(`refused?limit=${LIMIT}${query}`), [
    ["Id", (row) => text(row.id, "num")],
    ["Time", (row) => when(row.at)],
    ["Outcome", (row) => badge(row.outcome, row.authentic ? "lost" : "other")],
    ["App", (row) => text(row.app)],
    ["Account", (row) => hostile(row.account)],
    ["MsgKeys", (row) => hostile(row.msg_keys.length === 0 ? null : row.msg_keys.slice(0, 3).join(" ") + (row.msg_keys_total > 3 ? ` +${row.msg_keys_total - 3}` : ""))],
    ["Replay", (row) => text(row.replayed ? `done: bridge_seq ${row.replayed.bridge_seq}` : row.replayable ? "possible" : row.authentic ? "no body" : "unsigned")],
    ["Reason", (row) => hostile(row.reason)],
  ], (table) => table.entries, "No webhook was refused.");
  if (answer === null) return;
  byId("refused-actions").hidden = answer.entries.length === 0;
  const ids = answer.entries.filter((row) => row.replayable).map((row) => row.id).reverse();
  const through = answer.entries[0]?.id;
  byId("refused-actions").replaceChildren(
    element("span", { class: "quiet", text: `${answer.entries.length} of ${number(answer.summary.entries)} listed, newest first.` }),
    ...offers(enabled, ["replay"], ids, () => `recall-bridge refused replay${line} --yes --through ${through}`, refused));
}

async function quarantine() {
  const { query, line } = chosen("quarantine-filter");
  const answer = await fill("quarantine-table", () => ask(`quarantine?limit=${LIMIT}${query}`), [
    ["Id", (row) => text(row.id, "num")],
    ["Time", (row) => when(row.at)],
    ["Reason", (row) => badge(row.reason, "kept")],
    ["Account", (row) => hostile(row.account)],
    ["Size", (row) => text(bytes(row.bytes), "num")],
    ["Detail", (row) => hostile(row.detail)],
    ["Entry", (row) => button("Inspect", () => inspect(row.id), { class: "small", "aria-label": `Inspect entry ${row.id}` })],
  ], (table) => table.entries, "The quarantine is empty.");
  if (answer === null) return;
  byId("quarantine-actions").hidden = answer.total === 0;
  const ids = answer.entries.map((row) => row.id).reverse();
  const listed = answer.complete ? `${ids.length} of ${number(answer.total)} listed, newest first.` : `${ids.length} listed; not all entries were read.`;
  const through = ids.at(-1);
  byId("quarantine-actions").replaceChildren(
    element("span", { class: "quiet", text: listed }),
    ...offers(enabled, ["requeue", "drop"], ids, (name) => `recall-bridge quarantine ${name}${line} --yes --through ${through}`, quarantine));
}

async function inspect(id) {
  const shown = element("pre", { class: "wrap", tabindex: "0" });
  let buttons = [];
  try {
    const entry = await ask(`quarantine?id=${id}`);
    shown.textContent = plainLines(JSON.stringify(entry, null, 2));
    if (enabled) buttons = offers(true, ["requeue", "drop"], [id], (name) => `recall-bridge quarantine ${name} ${id}`, quarantine);
  } catch (failed) {
    shown.textContent = plain(failed.message);
  }
  const more = element("div", {}, shown, command(`recall-bridge quarantine show ${id}`));
  dialog(`Quarantine entry ${id}`, more, buttons);
}

async function published() {
  await fill("published-table", () => ask("published?limit=50"), [
    ["Time", (row) => when(row.published_at)],
    ["Age", (row) => text(age(row.published_at, Date.now()))],
    ["Partition@offset", (row) => button(`${row.partition}@${row.offset}`, () => dialog(`${row.partition}@${row.offset}`, command(row.command)), { class: "link" })],
    ["Account", (row) => hostile(row.account)],
    ["MsgKey", (row) => hostile(row.msg_key)],
    ["Lag", (row) => text(duration(row.lag_ms / 1000), "num")],
    ["bridge_seq", (row) => text(row.bridge_seq, "num")],
  ], (table) => table.records, "No record has been published since the start.");
}

async function accounts() {
  let most = 1;
  await fill("accounts-table", () => ask("accounts"), [
    ["Account", (row) => hostile(row.account)],
    ["Records", (row) => text(number(row.records) + (row.error > 0 ? ` (at most ${number(row.error)} too many)` : ""), "num")],
    ["Share", (row) => element("meter", { min: "0", max: String(most), value: String(row.records), "aria-label": "records, compared with the busiest account" })],
  ], (table) => {
    most = table.accounts[0]?.records ?? 1;
    return table.accounts.slice(0, 20);
  }, "No record has been published since the start.");
}
