// Text as people read it. Everything that a peer can choose passes through plain().

const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/gu;
const LONGEST = 300;

/** Control, bidirectional and invisible characters become \u{…}; a long text is cut. */
export function plain(value, longest = LONGEST) {
  const text = String(value);
  const letters = Array.from(text.slice(0, longest * 2));
  const cut = letters.length > longest || text.length > longest * 2 ? letters.slice(0, longest).join("") + "…" : text;
  return cut.replace(UNSAFE, (letter) => `\\u{${letter.codePointAt(0).toString(16)}}`);
}

/** Text of several lines that may hold texts of peers: line ends stay. */
export function plainLines(text) {
  return text.split("\n").map((line) => plain(line, 100000)).join("\n");
}

export const number = (value) => Number(value).toLocaleString("en-US");

export function bytes(value) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return unit === 0 ? `${value} bytes` : `${value.toFixed(1)} ${units[unit]}`;
}

/** A length of time in the unit that fits. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 0.0995) return `${Number((seconds * 1000).toPrecision(2))} ms`;
  if (seconds < 90) return `${Number(seconds.toPrecision(3))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${(seconds / 3600).toFixed(1)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

export function age(iso, now) {
  const seconds = Math.max(0, (now - Date.parse(iso)) / 1000);
  return Number.isFinite(seconds) ? `${duration(seconds < 1 ? 1 : Math.round(seconds))} ago` : "";
}

/** An ISO 8601 time in UTC; without the date if that is today. */
export function clock(iso, now) {
  const today = new Date(now).toISOString().slice(0, 10);
  const text = plain(iso);
  return text.startsWith(`${today}T`) ? text.slice(11, 19) + "Z" : text.replace(/\.\d+Z$/, "Z");
}

/** One word of a POSIX shell, as find::shell_quoted makes it. */
export function quoted(text) {
  return /^[A-Za-z0-9._\-:,/=@%+]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
