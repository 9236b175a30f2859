// Shows a section of docs/operations.md, which the node serves itself: it works without the Internet.

import { dialog, element } from "./dom.js";
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

export async function openRunbook(link) {
  const anchor = link.slice(link.indexOf("#") + 1);
  let section;
  try {
    sections ??= await load();
    section = sections.get(anchor);
  } catch {
    section = { title: "The node does not answer", lines: [`Read ${link} of the project's documents.`] };
  }
  const text = element("pre", { class: "wrap", tabindex: "0" });
  text.textContent = plainLines(section ? section.lines.join("\n").trim() : `No section ${anchor}.`);
  dialog(section?.title ?? anchor, text);
}
