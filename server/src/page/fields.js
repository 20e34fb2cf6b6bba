// Controls for the ports of a graph: by type, how a value is shown, read and compared as text.
'use strict';

const $ = (id) => document.getElementById(id);
const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

const finite = (number) => typeof number === 'number' && Math.abs(number) < 1e9;

/** A step of 1, 2 or 5 times a power of ten, about 1/200 of the range. */
function stepOf(span) {
  const rough = span / 200;
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10);
}

/**
 * Where a slider goes: as the graph says (`ui` of the port), else over the whole range. Of a wide or open range it is the
 * part around the default.
 */
function sliderRange(info) {
  const preset = finite(info.default) ? info.default : 0;
  let low = finite(info.minimum) ? info.minimum : Math.min(preset * 2, -100);
  let high = finite(info.maximum) ? info.maximum : Math.max(preset * 2, low + 200);
  if (preset > 0 && high > preset * 10) high = Math.max(preset * 2, Math.min(high, 10));
  if (preset === 0 && low >= 0 && high > 1000) high = low + 100;
  if (preset === 0 && low === -high && high > 100) [low, high] = [-100, 100];
  // A graph around this one may take less.
  const within = (value) => Math.min(Math.max(value, finite(info.minimum) ? info.minimum : value), finite(info.maximum) ? info.maximum : value);
  const [least, most] = [info.ui?.minimum, info.ui?.maximum].map((end) => (finite(end) ? within(end) : undefined));
  const [from, to] = [least ?? low, most ?? high];
  return from < to ? [from, to] : [low, high];
}

/** One field: a control, and how its value is read and set as text. */
function control(name, info, changed) {
  const id = `p-${name}`;
  const element = (tag, properties) => make(tag, { oninput: changed, ...properties });
  switch (info.type) {
    case 'int':
    case 'number': {
      const number = element('input', { id, type: 'number' });
      if (finite(info.minimum)) number.min = info.minimum;
      if (finite(info.maximum)) number.max = info.maximum;
      const [low, high] = sliderRange(info);
      const slider = element('input', { type: 'range', min: low, max: high });
      slider.step = info.type === 'int' ? Math.max(1, Math.round(stepOf(high - low))) : stepOf(high - low);
      slider.setAttribute('aria-label', `${name}, slider`);
      // Keys move both by the same steps. Other values can be typed.
      number.step = info.type === 'int' ? 1 : slider.step;
      slider.addEventListener('input', () => { number.value = String(Number(Number(slider.value).toPrecision(6))); }, { capture: true });
      number.addEventListener('input', () => { slider.value = number.value; });
      return { id, parts: [slider, number], read: () => number.value.trim(), write: (text) => { number.value = text; slider.value = text; } };
    }
    case 'boolean': {
      const box = element('input', { id, type: 'checkbox' });
      return { id, parts: [box], read: () => String(box.checked), write: (text) => { box.checked = text === 'true' || text === '1'; } };
    }
    case 'color': {
      const colour = element('input', { id, type: 'color' });
      const alpha = element('input', { type: 'range', min: 0, max: 255, step: 1 });
      alpha.setAttribute('aria-label', `${name}: opacity`);
      const percent = make('output');
      const show = () => { percent.value = `${Math.round(alpha.value / 2.55)} %`; };
      alpha.addEventListener('input', show);
      const write = (text) => {
        const [rgb, opacity] = splitColour(text);
        colour.value = rgb;
        alpha.value = opacity;
        show();
      };
      const read = () => colour.value + Number(alpha.value).toString(16).padStart(2, '0');
      return { id, parts: [colour, make('span', { className: 'side' }, 'opacity'), alpha, percent], read, write };
    }
    default: {
      if (Array.isArray(info.values) && info.values.length > 0) {
        const select = element('select', { id });
        select.append(...info.values.map((value) => make('option', { value: String(value) }, String(value))));
        const write = (text) => {
          // A value that a link brought and the graph does not know is kept, for the server to judge.
          if (![...select.options].some((option) => option.value === text)) select.append(make('option', { value: text }, text));
          select.value = text;
        };
        return { id, parts: [select], read: () => select.value, write };
      }
      const text = element('input', { id, type: 'text', spellcheck: false });
      return { id, parts: [text], read: () => text.value, write: (value) => { text.value = value; } };
    }
  }
}

/** '#rgb', '#rrggbb' or '#rrggbbaa' as '#rrggbb' and opacity 0 to 255. */
function splitColour(text) {
  let digits = /^#[0-9a-f]+$/i.test(text) ? text.slice(1).toLowerCase() : '000000';
  if (digits.length <= 4) digits = [...digits].map((digit) => digit + digit).join('');
  return [`#${digits.slice(0, 6).padEnd(6, '0')}`, digits.length >= 8 ? parseInt(digits.slice(6, 8), 16) : 255];
}

/** True when two texts mean the same value of a port. */
function same(info, a, b) {
  if (info.type === 'int' || info.type === 'number') return a === b || (a !== '' && b !== '' && Number(a) === Number(b));
  if (info.type === 'color') return splitColour(a).join() === splitColour(b).join();
  return a === b;
}

function presetOf(info) {
  if (info.default !== undefined && info.default !== null) return String(info.default);
  if (info.type === 'boolean') return 'false';
  if (info.type === 'color') return '#000000ff';
  return Array.isArray(info.values) && info.values.length > 0 ? String(info.values[0]) : '';
}

/** The value that a port has when its graph is chosen: as the graph says (`ui` of the port), else the default. */
function startOf(info) {
  return info.ui?.value === undefined ? presetOf(info) : String(info.ui.value);
}

function rangeText(info) {
  const low = finite(info.minimum) ? info.minimum : null;
  const high = finite(info.maximum) ? info.maximum : null;
  if (low !== null && high !== null) return `${low} to ${high}`;
  if (low !== null) return `from ${low}`;
  return high !== null ? `up to ${high}` : '';
}
