// Validates docs/asyncapi.yaml with AsyncAPI's own parser, and its examples, headers and value,
// against the JSON Schemas that it names. `scripts/check-asyncapi` runs it; the document to check is
// the argument. Exit code 1 where anything is wrong.

import { Parser, fromFile } from "@asyncapi/parser";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

const file = process.argv[2];
const faults = [];
const { document, diagnostics } = await fromFile(new Parser(), file).parse();
for (const { severity, path, message } of diagnostics) {
  // 0 and 1: errors and warnings. Behind them come hints, such as one that there is a newer version.
  if (severity <= 1) faults.push(`${path.join(".")}: ${message}`);
}

// What the parser adds is none of ours, and a strict validator refuses it.
function own(value) {
  if (Array.isArray(value)) return value.map(own);
  if (value === null || typeof value !== "object") return value;
  const entries = Object.entries(value).filter(([name]) => !name.startsWith("x-parser-"));
  return Object.fromEntries(entries.map(([name, inner]) => [name, own(inner)]));
}

function validator(part) {
  const schema = own(part.json());
  const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, allErrors: true });
  addFormats(ajv);
  // Of the headers the parser gives the whole, with the format beside the schema.
  return ajv.compile(schema.schema ?? schema);
}

let examples = 0;
for (const message of document?.allMessages().all() ?? []) {
  const parts = { payload: validator(message.payload()), headers: validator(message.headers()) };
  for (const example of message.examples().all()) {
    examples += 1;
    for (const [part, validate] of Object.entries(parts)) {
      const value = own(example[part]());
      const where = `${message.id()}, example ${example.name()}, ${part}`;
      if (!validate(value)) faults.push(`${where}: ${JSON.stringify(validate.errors)}`);
      // A schema that takes anything would prove nothing.
      for (const field of validate.schema.required) {
        const { [field]: _, ...rest } = value;
        if (validate(rest)) faults.push(`${where}: still valid without ${field}`);
      }
    }
    if (example.headers()["ce_id"] !== example.payload()["event_id"]) faults.push("ce_id is not event_id");
  }
}
if (document && examples === 0) faults.push("there is no example");

for (const fault of faults) console.error(`${file}: ${fault}`);
if (faults.length > 0) process.exit(1);
console.log(`${file}: valid, ${examples} examples`);
