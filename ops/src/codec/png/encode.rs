//! Pictures to PNG: as narrow as they allow, and compressed as it suits what they show.

use std::io::Write as _;

use png::{BitDepth, ColorType, DeflateCompression, EncodingError, Filter};

use crate::codec::CodecError;
use crate::codec::colors::{Colors, Numbers};
use crate::codec::rows::{BAND, Rows};
use crate::{Cancel, Image, OpError};

/// Most colours of a palette.
const PALETTE: usize = 256;

/// Bytes that the encoder collects before it compresses them.
const BUFFER: usize = 1 << 18;

/// Storage of pixels in a PNG.
enum Narrow {
    Gray,
    GrayAlpha,
    Rgb,
    Rgba,
    /// By their place in a palette, of so many bits each; places are by number.
    Palette {
        colors: Vec<[u8; 4]>,
        numbers: Numbers,
        places: Vec<u8>,
        bits: usize,
    },
}

impl Narrow {
    /// The fewest bytes that hold each pixel as it is.
    fn of(colors: Colors) -> Narrow {
        let Colors { gray, opaque, numbers, .. } = colors;
        match numbers {
            // What is gray takes one byte in any case.
            Some(numbers) if !(gray && opaque) || numbers.colors().len() <= 16 => Narrow::palette(numbers),
            _ => match (gray, opaque) {
                (true, true) => Narrow::Gray,
                (true, false) => Narrow::GrayAlpha,
                (false, true) => Narrow::Rgb,
                (false, false) => Narrow::Rgba,
            },
        }
    }

    fn palette(numbers: Numbers) -> Narrow {
        let mut order: Vec<(usize, [u8; 4])> = numbers.colors().iter().copied().enumerate().collect();
        // What is not opaque comes first: only that is in the table of alphas.
        order.sort_by_key(|&(number, [.., a])| (a == 255, number));
        let mut places = vec![0; order.len()];
        order.iter().enumerate().for_each(|(place, (number, _))| places[*number] = place as u8);
        let colors: Vec<[u8; 4]> = order.into_iter().map(|(_, color)| color).collect();
        let bits = match colors.len() {
            0..=2 => 1,
            3..=4 => 2,
            5..=16 => 4,
            _ => 8,
        };
        Narrow::Palette { colors, numbers, places, bits }
    }

    fn color_type(&self) -> ColorType {
        match self {
            Narrow::Gray => ColorType::Grayscale,
            Narrow::GrayAlpha => ColorType::GrayscaleAlpha,
            Narrow::Rgb => ColorType::Rgb,
            Narrow::Rgba => ColorType::Rgba,
            Narrow::Palette { .. } => ColorType::Indexed,
        }
    }

    fn depth(&self) -> BitDepth {
        match self {
            Narrow::Palette { bits: 1, .. } => BitDepth::One,
            Narrow::Palette { bits: 2, .. } => BitDepth::Two,
            Narrow::Palette { bits: 4, .. } => BitDepth::Four,
            _ => BitDepth::Eight,
        }
    }

    /// Puts the rows of a band, `width` pixels each, behind what is in `bytes`.
    fn rows(&mut self, rows: &mut Rows<'_>, band: usize, width: usize, bytes: &mut Vec<u8>) {
        match self {
            Narrow::Gray => bytes.extend(rows.rgb(band).iter().map(|&[g, ..]| g)),
            Narrow::GrayAlpha => bytes.extend(rows.rgba(band).iter().flat_map(|&[g, _, _, a]| [g, a])),
            Narrow::Rgb => bytes.extend_from_slice(rows.rgb(band).as_flattened()),
            Narrow::Rgba => bytes.extend_from_slice(rows.rgba(band).as_flattened()),
            Narrow::Palette { numbers, places, bits, .. } => {
                let bits = *bits;
                let mut last = ([0; 4], numbers.number([0; 4]));
                let mut place = |color: [u8; 4]| {
                    if color != last.0 {
                        last = (color, numbers.number(color));
                    }
                    last.1.and_then(|number| places.get(number)).copied().unwrap_or(0)
                };
                for row in rows.rgba(band).chunks_exact(width) {
                    for pixels in row.chunks(8 / bits) {
                        let packed = pixels.iter().fold(0, |packed, color| packed << bits | u16::from(place(*color)));
                        bytes.push((packed << (bits * (8 / bits - pixels.len()))) as u8);
                    }
                }
            }
        }
    }
}

/// How rows are made shorter.
#[derive(Clone, Copy)]
struct Way {
    filter: Filter,
    deflate: DeflateCompression,
}

// Chosen by the bytes and the time of drawings, screens, text, gradients and photos: docs/PERFORMANCE.md has the table.

/// For photos: each row as differences, coded by how often each comes.
const TEXTURE: Way = Way { filter: Filter::Adaptive, deflate: DeflateCompression::FdeflateUltraFast };
/// For drawings and text: what has been there before is referred to.
const DRAWN: Way = Way { filter: Filter::NoFilter, deflate: DeflateCompression::Level(4) };
/// For screens with smooth parts: the same, of differences.
const SHADED: Way = Way { filter: Filter::Adaptive, deflate: DeflateCompression::Level(2) };
/// For numbers of a palette, whose differences say nothing.
const NUMBERED: Way = Way { filter: Filter::NoFilter, deflate: DeflateCompression::Level(2) };
/// To compare ways, and with `small`.
const QUICK: DeflateCompression = DeflateCompression::Level(1);
const SMALL: DeflateCompression = DeflateCompression::Level(6);

/// Strips of a picture, of 16 rows each, by which a way is chosen.
const STRIPS: usize = 3;
/// Share of pixels that are as the one to the left from which on a picture may be drawn.
const FLAT_SHARE: f64 = 0.5;
/// Pixels to a colour from which on it may be, too.
const PIXELS_OF_COLOR: usize = 32;
/// How much smaller differences have to be than the pixels themselves when both are compressed quickly: more time does
/// more for the latter.
const GAIN: f64 = 0.95;

/// 8 bits or less, as narrow as the picture allows, compressed for speed; with `small`, for size.
pub(in crate::codec) fn encode(image: &Image, small: bool, cancel: &Cancel) -> Result<Vec<u8>, CodecError> {
    let mut narrow = Narrow::of(Colors::of(image, PALETTE, cancel)?);
    let way = choose(image, &mut narrow, cancel)?;
    let way = if small { Way { deflate: SMALL, ..way } } else { way };
    let bands: Vec<usize> = (0..Rows::new(image).bands()).collect();
    write(image, &mut narrow, way, &bands, cancel)
}

/// The way that suits what a picture shows.
fn choose(image: &Image, narrow: &mut Narrow, cancel: &Cancel) -> Result<Way, CodecError> {
    if let Narrow::Palette { .. } = narrow {
        return Ok(NUMBERED);
    }
    let bands = Rows::new(image).bands();
    let strips: Vec<usize> = (0..bands).step_by(bands.div_ceil(STRIPS)).collect();
    if !may_be_drawn(image, matches!(narrow, Narrow::Gray | Narrow::GrayAlpha), &strips) {
        return Ok(TEXTURE);
    }
    let mut length = |way: Way| {
        let way = Way { deflate: QUICK, ..way };
        write(image, narrow, way, &strips, cancel).map(|file| file.len() as f64)
    };
    Ok(if length(SHADED)? < length(DRAWN)? * GAIN { SHADED } else { DRAWN })
}

/// True if there are flat parts, or few colours, in some bands. That a gray picture has few says nothing.
fn may_be_drawn(image: &Image, gray: bool, bands: &[usize]) -> bool {
    let width = image.rect().width as usize;
    let (mut flat, mut all) = (0_usize, 0_usize);
    let mut colors = Some(Numbers::new(bands.len() * BAND * width / PIXELS_OF_COLOR)).filter(|_| !gray);
    let mut rows = Rows::new(image);
    for band in bands {
        for row in rows.rgba(*band).chunks_exact(width) {
            for pair in row.windows(2) {
                all += 1;
                if pair[0] == pair[1] {
                    flat += 1;
                } else if colors.as_mut().is_some_and(|colors| colors.number(pair[1]).is_none()) {
                    colors = None;
                }
            }
        }
    }
    colors.is_some() || flat as f64 >= all as f64 * FLAT_SHARE
}

/// Writes some bands as a picture.
fn write(
    image: &Image,
    narrow: &mut Narrow,
    way: Way,
    bands: &[usize],
    cancel: &Cancel,
) -> Result<Vec<u8>, CodecError> {
    let failed = |error: EncodingError| CodecError::from(OpError::Invalid(format!("writing PNG: {error}")));
    let rect = image.rect();
    let rows_of = |band: &usize| (rect.height as usize - band * BAND).min(BAND);
    let height: usize = bands.iter().map(rows_of).sum();
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, rect.width, height as u32);
    encoder.set_color(narrow.color_type());
    encoder.set_depth(narrow.depth());
    encoder.set_filter(way.filter);
    encoder.set_deflate_compression(way.deflate);
    if let Narrow::Palette { colors, .. } = narrow {
        encoder.set_palette(colors.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect::<Vec<u8>>());
        let alphas: Vec<u8> = colors.iter().map(|&[.., a]| a).take_while(|a| *a < 255).collect();
        if !alphas.is_empty() {
            encoder.set_trns(alphas);
        }
    }
    let mut writer = encoder.write_header().map_err(failed)?;
    let mut stream = writer.stream_writer_with_size(BUFFER).map_err(failed)?;
    let mut rows = Rows::new(image);
    let mut bytes: Vec<u8> = Vec::new();
    for band in bands {
        cancel.check()?;
        bytes.clear();
        narrow.rows(&mut rows, *band, rect.width as usize, &mut bytes);
        stream.write_all(&bytes).map_err(|error| failed(error.into()))?;
    }
    stream.finish().map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(file)
}
