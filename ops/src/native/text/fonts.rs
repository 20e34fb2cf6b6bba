//! Which font a text is set in.
//!
//! DejaVu Sans is in the program, so that most texts look the same wherever they are drawn. Others
//! are the system's, found by the names of their families: a name is never a path. They are looked
//! for when a text first asks for another family or style, or has letters that DejaVu Sans lacks.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use cosmic_text::fontdb::{Database, Query, Source};
use cosmic_text::skrifa::{FontRef, MetadataProvider};
use cosmic_text::{Attrs, Family, FontSystem, Style, Weight};

static DEJAVU_SANS: &[u8] = include_bytes!("../../../fonts/DejaVuSans.ttf");
const SANS: &str = "DejaVu Sans";
/// What a language would decide is not left to the machine.
const LOCALE: &str = "en-US";

static OWN: LazyLock<Mutex<FontSystem>> = LazyLock::new(|| Mutex::new(fonts(false)));
static ALL: LazyLock<Mutex<FontSystem>> = LazyLock::new(|| Mutex::new(fonts(true)));

fn fonts(with_the_systems: bool) -> FontSystem {
    let mut database = Database::new();
    database.load_font_source(Source::Binary(Arc::new(DEJAVU_SANS)));
    if with_the_systems {
        database.load_system_fonts();
    }
    FontSystem::new_with_locale_and_db(LOCALE.into(), database)
}

/// Calls `set` with fonts that have the letters of `text` where any have, and what to ask of them for
/// the font of that name. One text at a time.
pub(super) fn with<T>(font: &str, text: &str, set: impl FnOnce(&mut FontSystem, &Attrs<'_>) -> T) -> T {
    let wanted = Wanted::parse(font);
    let own = wanted.is_plain() && has_letters(text);
    let mut fonts = if own { &OWN } else { &ALL }.lock().unwrap_or_else(PoisonError::into_inner);
    let face = wanted.find(fonts.db());
    let attributes = Attrs::new().family(Family::Name(&face.family)).weight(face.weight).style(face.style);
    set(&mut fonts, &attributes)
}

/// True when DejaVu Sans has all that is to be seen.
fn has_letters(text: &str) -> bool {
    let Ok(font) = FontRef::new(DEJAVU_SANS) else { return false };
    let letters = font.charmap();
    text.chars().all(|letter| letter.is_whitespace() || letter.is_control() || letters.map(letter).is_some())
}

/// A font as a graph names it.
#[derive(Debug, PartialEq)]
struct Wanted<'a> {
    families: Vec<&'a str>,
    weight: Weight,
    style: Style,
}

/// A font that there is.
struct Face {
    family: String,
    weight: Weight,
    style: Style,
}

impl<'a> Wanted<'a> {
    /// Reads `FAMILY,FAMILY STYLE SIZE`, as Pango does; the size is another property's.
    fn parse(font: &'a str) -> Self {
        let mut wanted = Wanted { families: Vec::new(), weight: Weight::NORMAL, style: Style::Normal };
        let mut rest = font.trim();
        while let Some(word) = rest.rsplit([' ', ',']).next().filter(|word| !word.is_empty()) {
            match (word.to_ascii_lowercase().replace('-', "").as_str(), weight(word)) {
                ("italic", _) => wanted.style = Style::Italic,
                ("oblique", _) => wanted.style = Style::Oblique,
                (_, Some(weight)) => wanted.weight = weight,
                (size, None) if size.trim_end_matches("px").parse::<f32>().is_ok() => {}
                _ => break,
            }
            rest = rest[..rest.len() - word.len()].trim_end();
        }
        wanted.families = rest.split(',').map(str::trim).filter(|family| !family.is_empty()).collect();
        wanted
    }

    /// True when DejaVu Sans is what is meant.
    fn is_plain(&self) -> bool {
        let ours = self.families.first().is_none_or(|family| named(family).eq_ignore_ascii_case(SANS));
        ours && self.weight == Weight::NORMAL && self.style == Style::Normal
    }

    /// The nearest that there is: of the first family that there is, or of ours.
    fn find(&self, fonts: &Database) -> Face {
        let families = self.families.iter().map(|family| named(family)).chain([SANS]);
        let known = |name: &str| {
            let mut all = fonts.faces().flat_map(|face| &face.families).map(|(family, _)| family);
            all.find(|family| family.eq_ignore_ascii_case(name)).cloned()
        };
        let family = families.into_iter().find_map(known).unwrap_or_else(|| SANS.into());
        let query =
            Query { families: &[Family::Name(&family)], weight: self.weight, style: self.style, ..Query::default() };
        let found = fonts.query(&query).and_then(|id| fonts.face(id));
        let (weight, style) = found.map_or((Weight::NORMAL, Style::Normal), |face| (face.weight, face.style));
        Face { family, weight, style }
    }
}

/// Names that stand for a kind of letters are those of DejaVu's families.
fn named(family: &str) -> &str {
    match family.to_ascii_lowercase().as_str() {
        "sans" | "sans-serif" | "sans serif" | "system-ui" => SANS,
        "serif" => "DejaVu Serif",
        "mono" | "monospace" => "DejaVu Sans Mono",
        _ => family,
    }
}

fn weight(word: &str) -> Option<Weight> {
    Some(match word.to_ascii_lowercase().replace('-', "").as_str() {
        "thin" => Weight::THIN,
        "ultralight" | "extralight" => Weight::EXTRA_LIGHT,
        "light" => Weight::LIGHT,
        "normal" | "regular" | "book" | "roman" => Weight::NORMAL,
        "medium" => Weight::MEDIUM,
        "semibold" | "demibold" => Weight::SEMIBOLD,
        "bold" => Weight::BOLD,
        "ultrabold" | "extrabold" => Weight::EXTRA_BOLD,
        "black" | "heavy" => Weight::BLACK,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_pango_reads_them() {
        for (font, families, weight, style) in [
            ("Sans", &["Sans"][..], Weight::NORMAL, Style::Normal),
            ("Liberation Serif Bold Italic 12", &["Liberation Serif"], Weight::BOLD, Style::Italic),
            ("Nimbus Sans, DejaVu Serif, Semi-Bold", &["Nimbus Sans", "DejaVu Serif"], Weight::SEMIBOLD, Style::Normal),
            ("Bold Oblique 20px", &[], Weight::BOLD, Style::Oblique),
            ("Bold Sans", &["Bold Sans"], Weight::NORMAL, Style::Normal),
            (" , ,", &[], Weight::NORMAL, Style::Normal),
            ("é ü", &["é ü"], Weight::NORMAL, Style::Normal),
        ] {
            assert_eq!(Wanted::parse(font), Wanted { families: families.into(), weight, style }, "{font}");
        }
    }

    #[test]
    fn what_is_in_the_program_needs_no_other_font() {
        for (font, plain) in [("Sans", true), ("", true), ("dejavu sans", true), ("Sans Bold", false), ("Serif", false)]
        {
            assert_eq!(Wanted::parse(font).is_plain(), plain, "{font}");
        }
        assert!(has_letters("Grüße,\n\tмир שלום سلام → ∞"));
        assert!(!has_letters("世界"));
        let face = Wanted::parse("No Such Font Bold").find(OWN.lock().unwrap().db());
        assert_eq!((face.family.as_str(), face.weight), (SANS, Weight::NORMAL));
    }
}
