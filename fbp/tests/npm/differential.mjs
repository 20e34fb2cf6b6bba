// Reads texts with the original parser.
// In: a JSON array of {text, caseSensitive}. Out: a JSON array of {checked, unchecked}, the outcomes
// with and without the original's look at the content. An outcome is {graph}, {syntax} or {error}.
import { readFileSync } from 'node:fs';
import fbp from 'fbp';

function outcome(text, options) {
  try {
    return { graph: fbp.parse(text, options) };
  } catch (error) {
    if (!error.location) {
      return { error: error.message };
    }
    const { line, column } = error.location.start;
    const expected = error.expected.map((item) => item.description);
    return { syntax: { line, column, expected, found: error.found, message: error.message } };
  }
}

const texts = JSON.parse(readFileSync(0, 'utf8'));
const outcomes = texts.map(({ text, caseSensitive }) => ({
  checked: outcome(text, caseSensitive ? { caseSensitive } : {}),
  unchecked: outcome(text, { caseSensitive, validateContents: false }),
}));
// Half of a surrogate pair is no text that the other side could read.
const wellFormed = (_key, value) => (typeof value === 'string' ? value.replace(/\p{Cs}/gu, '\ufffd') : value);
process.stdout.write(JSON.stringify(outcomes, wellFormed));
