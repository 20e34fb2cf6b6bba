// The page where graphs are tried out. Everything on it comes from /graphs, /files and /version; the
// state is in the address (#graph.format?parameters), so that a link reproduces it. The controls come
// from fields.js, the type of a picture that has none from transparency.js.
'use strict';

const KEY_ITEM = 'imgflo-server-api-key';
const SECRET_ITEM = 'imgflo-server-api-secret';
const FIRST_GRAPHS = ['sunset', 'desaturate'];
const THUMB_WIDTH = 150;
const WAIT_MS = 250;

let graphs = {};
let formats = [];
let signing = false;
let samples = [];
/** What is asked for. Parameters hold changed values only, as text. */
const state = { graph: '', format: '', input: '', parameters: {} };
/** What the stage shows. */
const shown = { after: '', before: false };

// ---------------------------------------------------------------- addresses

/** Query as the client libraries build it: sorted by name, each value escaped. */
function queryOf(parameters) {
  const names = Object.keys(parameters).filter((name) => parameters[name] !== '').sort();
  return names.length === 0 ? '' : '?' + names.map((name) => `${encodeURIComponent(name)}=${encodeURIComponent(parameters[name])}`).join('&');
}

async function tokenOf(secret, text) {
  if (!crypto.subtle) throw new Error('Signing in the browser needs https or localhost.');
  const encoder = new TextEncoder();
  const key = await crypto.subtle.importKey('raw', encoder.encode(secret), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  const digest = new Uint8Array(await crypto.subtle.sign('HMAC', key, encoder.encode(text)));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Path of a picture; with key and token where the server wants them. */
async function pathOf(graph, format, parameters) {
  const graphspec = format ? `${graph}.${format}` : graph;
  const query = queryOf(parameters);
  const key = $('key').value.trim();
  const secret = $('secret').value;
  if (!signing || key === '') return `/graph/${graphspec}${query}`;
  const prefix = `/graph/${encodeURIComponent(key)}`;
  if (secret === '') return `${prefix}/${graphspec}${query}`;
  return `${prefix}/${await tokenOf(secret, graphspec + query)}/${graphspec}${query}`;
}

/** True when the server wants a key and none is entered. */
const lacksKey = () => signing && $('key').value.trim() === '';

const inportsOf = (graph) => graphs[graph]?.inports ?? {};
const isNoop = (graph) => graphs[graph]?.properties?.environment?.type === 'noop';
const takesInput = (graph) => !(graph in graphs) || isNoop(graph) || 'input' in inportsOf(graph);

function requestParameters() {
  const parameters = { ...state.parameters };
  if (takesInput(state.graph) && state.input !== '') parameters.input = state.input;
  return parameters;
}

/** Where the browser finds the input itself. */
function inputAddress() {
  if (/^[a-z][a-z0-9+.-]*:/i.test(state.input)) return state.input;
  return state.input === '' ? '' : `/${state.input.replace(/^\/+/, '')}`;
}

function writeAddress() {
  const graphspec = state.format ? `${state.graph}.${state.format}` : state.graph;
  const place = `/#${graphspec}${queryOf(requestParameters())}`;
  history.replaceState(null, '', place);
}

/** Reads #graph.format?query, or the original's /debug/graph/KEY/TOKEN/graph.format/?query. */
function readAddress() {
  let graphspec = '';
  let query = '';
  if (location.hash.length > 1) {
    const text = location.hash.slice(1);
    const at = text.indexOf('?');
    graphspec = at < 0 ? text : text.slice(0, at);
    query = at < 0 ? '' : text.slice(at);
  } else if (location.pathname.startsWith('/debug')) {
    graphspec = location.pathname.split('/').slice(3).filter((part) => part !== '').pop() ?? '';
    query = location.search;
  }
  if (graphspec === '') return false;
  try {
    graphspec = decodeURIComponent(graphspec);
  } catch {
    // Taken as it is; the server will say what it thinks of it.
  }
  const dot = graphspec.lastIndexOf('.');
  state.graph = dot > 0 ? graphspec.slice(0, dot) : graphspec;
  state.format = dot > 0 ? graphspec.slice(dot + 1).replace(/^jpeg$/, 'jpg') : '';
  state.parameters = {};
  state.input = '';
  for (const [name, value] of new URLSearchParams(query)) {
    if (name === 'input') state.input = value;
    else if (name !== 'debug' && name !== '_nocache') state.parameters[name] = value;
  }
  return true;
}

// ---------------------------------------------------------------- the form

/** The field of a port, tied to the state. */
function field(name, info) {
  const [preset, start] = [presetOf(info), startOf(info)];
  const holder = make('div', { className: 'field' });
  holder.dataset.name = name;
  const update = () => {
    const value = made.read();
    if (value !== '' && !same(info, value, preset)) state.parameters[name] = value;
    else delete state.parameters[name];
    holder.classList.toggle('changed', !same(info, value, start));
  };
  const made = control(name, info, () => { update(); ask(); });
  const undo = make('button', { type: 'button', className: 'undo', title: `Back to ${start || 'nothing'}` }, 'reset');
  undo.setAttribute('aria-label', `Reset ${name}`);
  undo.onclick = () => { made.write(start); update(); ask(); };
  const label = make('label', { htmlFor: made.id }, name);
  const hint = make('p', { className: 'hint', id: `${made.id}-hint` }, [info.description, rangeText(info)].filter(Boolean).join(' · '));
  const fault = make('p', { className: 'fault', id: `${made.id}-fault`, hidden: true });
  made.parts.find((part) => part.id === made.id).setAttribute('aria-describedby', `${hint.id} ${fault.id}`);
  holder.append(make('div', { className: 'top' }, label, undo), make('div', { className: 'controls' }, ...made.parts), hint, fault);
  made.write(state.parameters[name] ?? preset);
  update();
  return holder;
}

/** Width and height: a plain number, empty for the input's own. */
function sizeField(name, info) {
  const id = `p-${name}`;
  const holder = make('div', { className: 'field narrow' });
  holder.dataset.name = name;
  const number = make('input', { id, type: 'number', step: '1', placeholder: 'auto', value: state.parameters[name] ?? '', title: info.description ?? '' });
  if (finite(info.minimum)) number.min = info.minimum;
  if (finite(info.maximum)) number.max = info.maximum;
  const fault = make('p', { className: 'fault', id: `${id}-fault`, hidden: true });
  number.setAttribute('aria-describedby', fault.id);
  number.oninput = () => {
    const value = number.value.trim();
    if (value === '') delete state.parameters[name];
    else state.parameters[name] = value;
    if (value !== '' && $('aspect').checked) leaveOther(name);
    ask();
  };
  holder.append(make('label', { htmlFor: id }, name === 'width' ? 'Width' : 'Height'), number, fault);
  return holder;
}

/** Empties the other one of width and height: with one alone the picture keeps its aspect. */
function leaveOther(name) {
  const other = name === 'width' ? 'height' : 'width';
  delete state.parameters[other];
  const field = $(`p-${other}`);
  if (field) field.value = '';
}

/** Width and height together set the aspect. */
const isStretched = () => 'width' in state.parameters && 'height' in state.parameters;

/** Parameters that a graph begins with, where those are not its defaults. */
function startParameters(graph) {
  const ports = Object.entries(inportsOf(graph)).map(([name, port]) => [name, port.metadata ?? {}]);
  return Object.fromEntries(ports.filter(([, info]) => info.ui?.value !== undefined).map(([name, info]) => [name, startOf(info)]));
}

function buildForm() {
  const definition = graphs[state.graph];
  $('graph-name').textContent = state.graph;
  $('graph-about').textContent = definition?.properties?.description ?? '';
  $('input-group').hidden = definition !== undefined && !takesInput(state.graph);
  $('input').value = state.input;
  markSample();

  const plain = isNoop(state.graph);
  const choices = [['', plain ? 'as the input' : 'auto'], ...formats.map((format) => [format, format])];
  if (state.format !== '' && !formats.includes(state.format)) choices.push([state.format, state.format]);
  $('format').replaceChildren(...choices.map(([value, text]) => make('option', { value }, text)));
  $('format').value = state.format;
  showFormat();

  const inports = inportsOf(state.graph);
  const metadata = (name) => inports[name]?.metadata ?? {};
  const sizes = ['width', 'height'].filter((name) => name in inports);
  // The format stays: it is the one element of the row that no graph brings.
  $('size').replaceChildren(...sizes.map((name) => sizeField(name, metadata(name))), $('format').closest('.field'));
  $('aspect').closest('.field').hidden = sizes.length < 2;
  if (isStretched()) $('aspect').checked = false;

  const names = Object.keys(inports).filter((name) => !['input', 'width', 'height'].includes(name) && metadata(name).type !== 'buffer');
  $('fields').replaceChildren(...names.map((name) => field(name, metadata(name))));
  $('fields-group').hidden = names.length === 0;
}

function markSample() {
  for (const button of $('samples').children) button.setAttribute('aria-pressed', String(button.dataset.url === state.input.replace(/^\/+/, '')));
}

// ---------------------------------------------------------------- asking

let timer = 0;
let running = null;

/** Asks for the picture after a moment without changes. */
function ask(wait = WAIT_MS) {
  markSample();
  writeAddress();
  $('reset').disabled = queryOf(state.parameters) === queryOf(startParameters(state.graph)) && state.format === '';
  clearTimeout(timer);
  timer = setTimeout(() => {
    timer = 0;
    run();
  }, wait);
}

async function run() {
  // Leaving also tells the server that nobody waits for the last one any more.
  running?.abort();
  const mine = new AbortController();
  running = mine;
  clearFaults();
  if (lacksKey()) {
    $('url').value = '';
    failed('A key is needed', 'This server answers known applications only. Enter your key and secret above; they stay in this browser.');
    return;
  }
  $('stage').setAttribute('aria-busy', 'true');
  const began = performance.now();
  try {
    const format = await formatFor(state.input);
    if (running !== mine) return;
    showFormat();
    const path = await pathOf(state.graph, format, requestParameters());
    const address = new URL(path, location.href).href;
    $('url').value = address;
    $('open').href = address;
    const response = await fetch(path, { signal: mine.signal });
    if (!response.ok) {
      await showProblem(response);
      return;
    }
    const blob = await response.blob();
    await showPicture(blob, performance.now() - began);
  } catch (error) {
    if (error.name === 'AbortError') return;
    failed('No answer', error instanceof TypeError ? 'The server could not be reached.' : error.message);
  } finally {
    if (running === mine) $('stage').setAttribute('aria-busy', 'false');
  }
}

const bytesText = (bytes) => (bytes < 1000 ? `${bytes} bytes` : bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(2)} MB`);

async function showPicture(blob, took) {
  const url = URL.createObjectURL(blob);
  const probe = new Image();
  probe.src = url;
  await probe.decode().catch(() => {});
  if (shown.after !== '') URL.revokeObjectURL(shown.after);
  shown.after = url;
  $('stage').classList.remove('failed');
  const type = blob.type.replace('image/', '').toUpperCase() || 'unknown type';
  const time = took < 1000 ? `${Math.round(took)} ms` : `${(took / 1000).toFixed(2)} s`;
  $('facts').textContent = `${probe.naturalWidth} × ${probe.naturalHeight} pixels · ${bytesText(blob.size)} · ${type} · ${time}`;
  showStage();
}

function showStage() {
  const picture = $('picture');
  const source = shown.before ? inputAddress() : shown.after;
  $('show-before').setAttribute('aria-pressed', String(shown.before));
  $('show-after').setAttribute('aria-pressed', String(!shown.before));
  picture.hidden = source === '';
  if (source === '') return;
  picture.alt = shown.before ? 'The input' : `The input through ${state.graph}`;
  if (picture.getAttribute('src') !== source) picture.src = source;
}

// ---------------------------------------------------------------- failures

function clearFaults() {
  $('problem').hidden = true;
  for (const fault of document.querySelectorAll('.fault')) fault.hidden = true;
  for (const control of document.querySelectorAll('[aria-invalid]')) control.removeAttribute('aria-invalid');
}

function failed(title, detail, more = '') {
  $('stage').classList.add('failed');
  $('facts').textContent = '';
  $('problem-title').textContent = title;
  $('problem-detail').textContent = detail;
  $('problem-more').textContent = more;
  $('problem').hidden = false;
}

/** What is wrong with which field. Failures to get the input come from afar, without a field. */
function faultsOf(problem) {
  const detail = problem.detail ?? '';
  if (problem.faults) return problem.faults;
  const concernsInput = /^(the )?input\b/.test(detail) || ['origin-failed', 'origin-timeout', 'broken-input'].includes(problem.category);
  return concernsInput ? [{ parameter: 'input', message: detail.replace(/^input: /, '') }] : [];
}

/** Shows a fault at its field, if that is on the page. */
function showFault({ parameter, message }) {
  const holder = [...document.querySelectorAll('.field:not([hidden])')].find((field) => field.dataset.name === parameter);
  const place = holder?.querySelector('.fault');
  if (!place) return false;
  place.textContent = message;
  place.hidden = false;
  holder.querySelector('input:not([type=range]), select')?.setAttribute('aria-invalid', 'true');
  return true;
}

async function showProblem(response) {
  const problem = await response.json().catch(() => ({}));
  // Each fault stands once: at its field, or else in the box.
  const faults = faultsOf(problem).filter((fault) => !showFault(fault));
  const marked = [...document.querySelectorAll('.fault:not([hidden])')].map((fault) => fault.closest('.field').dataset.name);
  if (faults.length === 0 && marked.length > 0) {
    $('stage').classList.add('failed');
    $('facts').textContent = `No picture: see ${marked.join(', ')}.`;
    return;
  }
  const detail = faults.map(({ parameter, message }) => `${parameter}: ${message}`).join('\n') || problem.detail || response.statusText;
  const more = [];
  if (problem.node) more.push(`In the process “${problem.node}”.`);
  if (problem.overrun) more.push(`Limit: ${problem.overrun.limit} (setting ${problem.overrun.setting}).`);
  const id = response.headers.get('x-request-id');
  if (response.status >= 500 && id) more.push(`Request id: ${id}`);
  failed(`${problem.title ?? 'Failed'} (${response.status})`, detail, more.join(' '));
}

// ---------------------------------------------------------------- graphs, samples, signing

function choose(graph) {
  if (graph !== state.graph) {
    // Size and format stay; the other parameters are those of one graph.
    const { width, height } = state.parameters;
    const inports = inportsOf(graph);
    state.parameters = startParameters(graph);
    if (width !== undefined && 'width' in inports) state.parameters.width = width;
    if (height !== undefined && 'height' in inports) state.parameters.height = height;
    state.graph = graph;
  }
  markGraph();
  buildForm();
  ask(0);
}

function markGraph() {
  for (const button of $('graphs').querySelectorAll('button')) {
    const current = button.dataset.graph === state.graph;
    button.setAttribute('aria-current', String(current));
    if (current) button.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }
}

function buildGraphs() {
  const rows = Object.keys(graphs).map((name) => {
    const thumb = make('span', { className: 'thumb' });
    const button = make('button', { type: 'button', title: graphs[name].properties?.description ?? '' }, thumb, make('span', { className: 'name' }, name));
    button.dataset.graph = name;
    button.onclick = () => choose(name);
    return make('li', {}, button);
  });
  $('graphs').replaceChildren(...rows);
  $('graphs').onkeydown = (event) => {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    const buttons = [...$('graphs').querySelectorAll('button')];
    const next = buttons[buttons.indexOf(document.activeElement) + (step ?? 0)];
    if (step === undefined || !next) return;
    event.preventDefault();
    next.focus();
  };
}

/** A photo to begin with, if there is one. */
const firstSample = () => (samples.find((file) => file.type === 'image/jpeg') ?? samples[0])?.url ?? '';

/** Small pictures of what each graph does, made by the server like any other. */
async function buildThumbs() {
  if (lacksKey()) return;
  const sample = firstSample() || state.input;
  for (const button of $('graphs').querySelectorAll('button')) {
    const name = button.dataset.graph;
    const parameters = {};
    if (takesInput(name)) parameters.input = sample;
    if ('width' in inportsOf(name)) parameters.width = String(THUMB_WIDTH);
    try {
      const picture = make('img', { alt: '', loading: 'lazy', decoding: 'async', width: 64, height: 46 });
      picture.onerror = () => picture.remove();
      picture.src = await pathOf(name, isNoop(name) ? '' : 'jpg', parameters);
      button.querySelector('.thumb').replaceChildren(picture);
    } catch {
      return;
    }
  }
}

/** A picture of the server in the size it is shown at. */
async function sampleThumb(file) {
  if (lacksKey() || !('passthrough' in graphs)) return `/${file.url}`;
  const format = file.type === 'image/jpeg' ? 'jpg' : 'png';
  return pathOf('passthrough', format, { input: file.url, width: String(THUMB_WIDTH) });
}

async function buildSamples() {
  const buttons = [];
  for (const file of samples) {
    const button = make('button', { type: 'button', title: `${file.name}, ${bytesText(file.bytes)}` });
    button.dataset.url = file.url;
    const picture = make('img', { alt: file.name, loading: 'lazy', decoding: 'async' });
    picture.onerror = () => { picture.onerror = null; picture.src = `/${file.url}`; };
    picture.src = await sampleThumb(file).catch(() => `/${file.url}`);
    button.append(picture);
    button.onclick = () => { state.input = file.url; $('input').value = file.url; ask(0); showStage(); };
    buttons.push(button);
  }
  $('samples').replaceChildren(...buttons);
  $('samples').hidden = buttons.length === 0;
  markSample();
}

function remember(item, value) {
  try {
    if (value === '') localStorage.removeItem(item);
    else localStorage.setItem(item, value);
  } catch {
    // Private windows may have no storage; then the fields hold for this visit only.
  }
}

function startSigning() {
  $('signing').hidden = !signing;
  if (!signing) return;
  try {
    $('key').value = localStorage.getItem(KEY_ITEM) ?? '';
    $('secret').value = localStorage.getItem(SECRET_ITEM) ?? '';
  } catch {
    // As above.
  }
  let settled = 0;
  const changed = () => {
    remember(KEY_ITEM, $('key').value.trim());
    remember(SECRET_ITEM, $('secret').value);
    ask();
    clearTimeout(settled);
    settled = setTimeout(() => { buildSamples(); buildThumbs(); }, 800);
  };
  $('key').oninput = changed;
  $('secret').oninput = changed;
  $('signing').onsubmit = (event) => event.preventDefault();
  $('clear-signing').onclick = () => { $('key').value = ''; $('secret').value = ''; changed(); };
}

async function load(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path} answered ${response.status}`);
  return response.json();
}

function complain(content) {
  $('notice').replaceChildren(content);
  $('notice').hidden = false;
}

async function copyAddress() {
  const button = $('copy');
  try {
    await navigator.clipboard.writeText($('url').value);
  } catch {
    // Without https there is no clipboard access, but the old way still works.
    $('url').select();
    document.execCommand('copy');
  }
  button.textContent = 'Copied';
  setTimeout(() => { button.textContent = 'Copy'; }, 1500);
}

function listen() {
  $('parameters').onsubmit = (event) => { event.preventDefault(); ask(0); };
  $('input').oninput = () => { state.input = $('input').value.trim(); ask(600); };
  $('input').onchange = () => ask(0);
  $('format').onchange = () => { state.format = $('format').value; showFormat(); ask(0); };
  $('aspect').onchange = () => {
    if (!$('aspect').checked || !isStretched()) return;
    leaveOther('width');
    ask(0);
  };
  $('reset').onclick = () => { state.parameters = startParameters(state.graph); state.format = ''; buildForm(); ask(0); };
  $('show-before').onclick = () => { shown.before = true; showStage(); };
  $('show-after').onclick = () => { shown.before = false; showStage(); };
  $('copy').onclick = copyAddress;
  $('url').onfocus = () => $('url').select();
  window.onhashchange = () => { if (readAddress()) { markGraph(); buildForm(); ask(0); } };
}

async function start() {
  listen();
  try {
    const [listing, files, version] = await Promise.all([load('/graphs'), load('/files'), load('/version')]);
    graphs = listing.graphs;
    formats = listing.formats ?? [];
    signing = listing.signing === 'required';
    samples = files.files;
    $('version').textContent = `version ${version.server}`;
    const faults = listing.faults ?? [];
    if (faults.length > 0) {
      const lines = faults.map((fault) => make('li', {}, `${fault.file}: ${fault.message}`));
      const count = faults.length === 1 ? 'One fault in the graph files' : `${faults.length} faults in the graph files`;
      complain(make('details', {}, make('summary', {}, `${count}: what could not be read is left out.`), make('ul', {}, ...lines)));
    }
  } catch (error) {
    complain(`The list of graphs could not be loaded: ${error.message}`);
    return;
  }
  startSigning();
  buildGraphs();
  if (!readAddress()) {
    state.graph = FIRST_GRAPHS.find((name) => name in graphs) ?? Object.keys(graphs)[0] ?? '';
    state.parameters = startParameters(state.graph);
    state.input = firstSample();
  }
  if (state.graph === '') return;
  buildForm();
  markGraph();
  ask(0);
  buildSamples();
  buildThumbs();
}

start();
