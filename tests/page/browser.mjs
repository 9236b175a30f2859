// A headless Chromium that executes the commands of the tests: one JSON object per line on stdin, one per line on
// stdout. The variable CHROMIUM names the program. It collects every error of the console, of a request and of the
// policy.

import { createInterface } from "node:readline";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import puppeteer from "puppeteer-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const WIDE = { width: 1280, height: 900 };
// `isMobile` is not set, because it would load the page again.
const PHONE = { width: 390, height: 844 };

// The tests may run as root, which Chromium's sandbox refuses. It opens pages of this machine only.
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM,
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
});
const page = await browser.newPage();
const errors = [];
page.on("console", (message) => {
  if (["error", "warn"].includes(message.type())) errors.push(`${message.text()} ${message.location()?.url ?? ""}`);
});
page.on("pageerror", (error) => errors.push(String(error)));
page.on("dialog", (shown) => {
  errors.push(`a dialog of a script: ${shown.message()}`);
  void shown.dismiss();
});

const scheme = (value) => page.emulateMediaFeatures([{ name: "prefers-color-scheme", value }]);

/** Returns the violations of WCAG in both colour schemes and at both widths. */
async function audit() {
  const found = [];
  for (const [width, viewport] of [["wide", WIDE], ["phone", PHONE]]) {
    for (const colours of ["light", "dark"]) {
      await page.setViewport(viewport);
      await scheme(colours);
      await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
      // In an isolated world of DevTools, the policy of the page stays in force.
      const world = page.mainFrame().isolatedRealm();
      await world.evaluate(AXE);
      const { violations } = await world.evaluate(() => globalThis.axe.run(document, {
        runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
      }));
      for (const { id, nodes } of violations) {
        for (const node of nodes) found.push(`${width} ${colours} ${id}: ${node.html.slice(0, 200)} ${node.failureSummary}`);
      }
      const excess = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (excess > 0) found.push(`${width} ${colours}: the page is ${excess} px wider than the window`);
    }
  }
  await page.setViewport(WIDE);
  await scheme("light");
  return found;
}

async function shot({ file, phone = false, dark = false, full = true, height }) {
  await page.setViewport(phone ? PHONE : { ...WIDE, height: height ?? WIDE.height });
  await scheme(dark ? "dark" : "light");
  await page.evaluate(() => scrollTo(0, 0));
  await page.evaluate(() => new Promise((done) => setTimeout(done, 300)));
  await page.screenshot({ path: file, fullPage: full });
  await page.setViewport(WIDE);
  await scheme("light");
  return file;
}

const COMMANDS = {
  open: async ({ url }) => void (await page.setViewport(WIDE), await page.goto(url, { waitUntil: "load" })),
  wait: ({ selector, text = "" }) => page.waitForFunction(
    (wanted, part) => [...document.querySelectorAll(wanted)].some((one) => one.textContent.includes(part) && one.getClientRects().length > 0),
    { timeout: 30000 }, selector, text).then(() => true),
  text: ({ selector }) => page.$eval(selector, (one) => one.innerText),
  texts: ({ selector }) => page.$$eval(selector, (all) => all.map((one) => one.textContent)),
  count: ({ selector }) => page.$$eval(selector, (all) => all.length),
  click: async ({ selector }) => {
    await page.$eval(selector, (one) => one.scrollIntoView({ block: "center" }));
    await page.click(selector);
  },
  type: async ({ selector, text }) => {
    await page.$eval(selector, (one) => { one.value = ""; });
    await page.type(selector, text);
  },
  press: ({ key }) => page.keyboard.press(key),
  focused: () => page.evaluate(() => document.activeElement?.textContent.trim().slice(0, 80) || document.activeElement?.id),
  fetch: ({ url, options }) => page.evaluate((to, how) => fetch(to, how).then((got) => got.status, (failed) => String(failed)), url, options),
  cookies: async () => (await page.cookies()).length,
  errors: () => errors.splice(0),
  audit,
  shot,
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  try {
    console.log(JSON.stringify({ value: (await COMMANDS[command.do](command)) ?? null }));
  } catch (failed) {
    console.log(JSON.stringify({ error: String(failed?.stack ?? failed) }));
  }
}
await browser.close();
