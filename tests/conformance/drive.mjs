// One process for many scenarios. Lines in: {tables: {name: tables}} or {run: fields, tables: name, most?}.
// Lines out, for each run: the trace, or {thrown: text}.

import readline from "node:readline";

import { simulate } from "../../livemig/draw/static/model.js";

const known = {};
for await (const line of readline.createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  if (!asked.run) {
    Object.assign(known, asked.tables);
    continue;
  }
  process.stdout.write(`${JSON.stringify(answer(asked))}\n`);
}

function answer({ run, tables, most_pages }) {
  try {
    const { meta, events } = simulate(run, { ...known[tables], ...(most_pages ? { most_pages } : {}) });
    return { meta: { ...meta, functions: undefined }, events };
  } catch (error) {
    return { thrown: String(error.stack) };
  }
}
