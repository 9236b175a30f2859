// Shows a section of docs/operations.md, which the node serves itself: it works without the Internet.

import { dialog, element, rich } from "./dom.js";
import { plainLines } from "./text.js";

const FILE = "docs/operations.md";
let sections = null;

const slug = (heading) =>
  heading.toLowerCase().replace(/[^\p{L}\p{N} \-_]/gu, "").trim().replaceAll(" ", "-");

export const hasSection = (link) => typeof link === "string" && link.startsWith(`${FILE}#`);

async function load() {
  const response = await fetch(FILE, { signal: AbortSignal.timeout(5000) });
  const found = new Map();
  let lines = null;
  for (const line of (await response.text()).split("\n")) {
    const heading = /^(#{1,4}) (.*)$/.exec(line);
    if (heading) {
      lines = [];
      found.set(slug(heading[2]), { title: heading[2].replaceAll("`", ""), lines });
    } else if (lines) {
      lines.push(line);
    }
  }
  return found;
}

/** Paragraphs, list items, and code or tables as they are. The links of the document lead to other sections: only their text is shown. */
function blocks(lines) {
  const made = [];
  for (const block of lines.join("\n").trim().split(/\n{2,}/)) {
    const isVerbatim = /^(```|\|)/.test(block);
    if (isVerbatim) {
      const text = element("pre", { class: "wrap" });
      text.textContent = plainLines(block.replace(/^```.*\n?/gm, ""));
      made.push(text);
      continue;
    }
    const joined = block.replace(/\n(?!\s*(-|\d+\.) )\s*/g, " ").replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").replaceAll("**", "");
    for (const line of joined.split("\n")) made.push(element("p", {}, ...rich(line)));
  }
  return made;
}

export async function openRunbook(link) {
  const anchor = link.slice(link.indexOf("#") + 1);
  let section;
  try {
    sections ??= await load();
    section = sections.get(anchor);
  } catch {
    section = { title: "The node does not answer", lines: [`Read ${link} of the project's documents.`] };
  }
  const lines = section?.lines ?? [`No section ${anchor}.`];
  dialog(section?.title ?? anchor, element("div", { class: "runbook", tabindex: "0" }, ...blocks(lines)));
}
