// The type of a picture where none is chosen: one that keeps what is transparent in the input.
'use strict';

/** Types that keep transparency, the best first. */
const CLEAR_FORMATS = ['webp', 'png'];
/** Size that an input is looked at in, pixels. */
const LOOK_WIDTH = 100;
/** Inputs that are or were looked at: promises of whether anything in them is transparent. */
const looks = new Map();
/** Inputs that were found to be transparent. */
const transparent = new Set();

/** Looks at a small picture of an input. */
async function look(input) {
  const response = await fetch(await pathOf('passthrough', 'png', { input, width: String(LOOK_WIDTH) }));
  if (!response.ok) throw new Error(`${input} answered ${response.status}`);
  const picture = await createImageBitmap(await response.blob());
  const canvas = make('canvas', { width: picture.width, height: picture.height });
  const draw = canvas.getContext('2d');
  draw.drawImage(picture, 0, 0);
  const { data } = draw.getImageData(0, 0, canvas.width, canvas.height);
  const found = data.some((value, index) => index % 4 === 3 && value < 255);
  if (found) transparent.add(input);
  return found;
}

/** True if a picture has transparent pixels. What cannot be looked at counts as opaque, and is looked at anew the next time. */
async function isTransparent(input) {
  if (input === '' || !('passthrough' in graphs) || /\.jpe?g$/i.test(input)) return false;
  if (!looks.has(input)) {
    looks.set(input, look(input).catch(() => {
      looks.delete(input);
      return false;
    }));
  }
  return looks.get(input);
}

/** The type to ask for: the one that is chosen, else one that keeps what is transparent in the input. */
async function formatFor(input) {
  if (state.format !== '' || isNoop(state.graph) || !takesInput(state.graph) || !(await isTransparent(input))) return state.format;
  return CLEAR_FORMATS.find((format) => formats.includes(format)) ?? '';
}

/** Says what is chosen where nothing is, and that JPEG has no transparency. */
function showFormat() {
  const clear = transparent.has(state.input);
  const plain = isNoop(state.graph);
  const automatic = clear ? (CLEAR_FORMATS.find((format) => formats.includes(format)) ?? 'jpg') : 'jpg';
  $('format').options[0].textContent = plain ? 'as the input' : `auto: ${automatic}`;
  $('format-hint').hidden = plain || !clear || state.format !== 'jpg';
}
