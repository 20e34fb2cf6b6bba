// Loads JSON graphs with npm fbp-graph.
// In: a JSON array of texts. Out: a JSON array of outcomes: {graph}, the graph as it is written again, or {error}.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const { loadJSON } = createRequire(import.meta.url)('fbp-graph').graph;

async function outcome(text) {
  try {
    return { graph: (await loadJSON(text)).toJSON() };
  } catch (error) {
    return { error: error.message };
  }
}

const texts = JSON.parse(readFileSync(0, 'utf8'));
process.stdout.write(JSON.stringify(await Promise.all(texts.map(outcome))));
