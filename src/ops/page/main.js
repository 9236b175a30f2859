// Asks the node and shows what it says. Says so when it does not answer.

import { ask, byId, say } from "./dom.js";
import { setUpFind } from "./find.js";
import { loadCharts, setUpCharts } from "./charts.js";
import { loadTables, setUpTables } from "./tables.js";
import { showFigures, showVerdict } from "./verdict.js";

const STATUS_MS = 2000;
const SLOW_MS = 10000;
const STALE_MS = 8000;
let heardAt = Date.now();
let actions = false;

async function status() {
  try {
    const answer = await ask("status");
    heardAt = Date.now();
    actions = answer.actions;
    showVerdict(answer.verdict);
    showFigures(answer);
  } catch (failed) {
    if (failed.answer?.verdict) {
      heardAt = Date.now();
      showVerdict(failed.answer.verdict);
    }
  }
  stale();
}

/** The verdict on the screen is old as soon as the node does not answer. */
function stale() {
  const silent = Date.now() - heardAt;
  const is = silent > STALE_MS;
  byId("stale").hidden = !is;
  document.body.classList.toggle("is-stale", is);
  if (!is) return;
  document.title = "STALE – recall-bridge";
  say(byId("stale"), `STALE: the node has not answered since ${new Date(heardAt).toISOString().slice(11, 19)}Z. What you see below is old. ` +
    "Check the process and the network; a node that is down loses webhooks.");
}

async function slow() {
  await Promise.allSettled([loadCharts(), loadTables(actions)]);
}

/** Repeats a task, never twice at a time, and not while the page is hidden. */
function every(pause, task) {
  const again = async () => {
    if (!document.hidden) await task();
    setTimeout(again, pause);
  };
  return again();
}

setUpFind();
setUpCharts();
setUpTables();
await every(STATUS_MS, status);
every(SLOW_MS, slow);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) void status();
});
setInterval(stale, 1000);
