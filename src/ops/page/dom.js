// Builds elements. Text gets into the page as text only: nothing here parses HTML.

import { plain } from "./text.js";

export const byId = (id) => document.getElementById(id);

/** An element: properties of `options` (class, text, attributes), then children. */
export function element(name, options = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(options)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "class") made.className = value;
    else if (key === "text") made.textContent = plain(value);
    else if (key === "on") for (const [event, listener] of Object.entries(value)) made.addEventListener(event, listener);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

export function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** Text with `code` between backticks. */
export function rich(text) {
  return text.split("`").map((part, place) => (place % 2 === 1 ? element("code", { text: part }) : document.createTextNode(plain(part, 4000))));
}

/** Replaces the content of an element, unless it is the same text already. */
export function say(target, text) {
  const shown = plain(text, 4000);
  if (target.textContent !== shown) target.textContent = shown;
}

export function button(text, listener, options = {}) {
  return element("button", { type: "button", text, on: { click: listener }, ...options });
}

/** A command line with a button that copies it. The clipboard needs HTTPS in most browsers: then the text is selected. */
export function command(line) {
  const code = element("code");
  code.textContent = line;
  const copy = button("Copy", async () => {
    try {
      await navigator.clipboard.writeText(line);
    } catch {
      getSelection().selectAllChildren(code);
      document.execCommand("copy");
    }
    copy.textContent = "Copied";
    setTimeout(() => { copy.textContent = "Copy"; }, 2000);
  }, { class: "small", "aria-label": "Copy the command line" });
  return element("span", { class: "command" }, code, copy);
}

/** Shows a dialog. Returns a function that closes it. */
export function dialog(title, body, buttons = []) {
  const box = byId("dialog");
  byId("dialog-title").textContent = title;
  byId("dialog-body").replaceChildren(body);
  const close = () => box.close();
  byId("dialog-buttons").replaceChildren(...buttons, button("Close", close));
  if (!box.open) box.showModal();
  return close;
}

/** A request to the node; the error of a response that is not OK has its text. */
export async function ask(path, options = {}) {
  const response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(5000), ...options });
  const answer = await response.json();
  if (!response.ok) {
    const failed = new Error(answer.error ?? `status ${response.status}`);
    failed.answer = answer;
    throw failed;
  }
  return answer;
}
