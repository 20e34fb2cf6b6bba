//! Likeness of names: which of those that there are was meant by one that there is not.

/// Least likeness of a misspelling: 1 minus the share of characters that differ.
const MISSPELT: f64 = 0.65;
/// Longest name that is compared, bytes. Comparing costs the product of the lengths.
const LONGEST: usize = 200;

/// Returns the candidates that `name` can be a misspelling of, the most likely one first.
pub fn near<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    if name.len() > LONGEST {
        return Vec::new();
    }
    let name = name.to_lowercase();
    let likeness = |candidate: &str| strsim::normalized_damerau_levenshtein(&name, &candidate.to_lowercase());
    let candidates = candidates.into_iter().map(|candidate| (likeness(candidate), candidate));
    let mut near = candidates.filter(|(likeness, _)| *likeness > MISSPELT).collect::<Vec<_>>();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    near.into_iter().map(|(_, candidate)| candidate).collect()
}

/// Returns the candidate that `name` most likely is a misspelling of; `None` where none is near.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    near(name, candidates).into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_only() {
        let names = ["crop", "croprotate", "gaussianblur", "gradientmap", "motionblur"];
        for (given, meant) in [
            ("corp", &["crop"][..]),
            ("CropRotat", &["croprotate"]),
            ("gausianblur", &["gaussianblur"]),
            ("crops", &["crop"]),
            ("zzz", &[]),
            ("gegl", &[]),
            ("", &[]),
            (&"crop".repeat(100), &[]),
        ] {
            assert_eq!(near(given, names), meant, "{given}");
        }
        assert_eq!(near("grey2", ["grey1", "grey22", "green"]), ["grey22", "grey1"]);
        assert_eq!(nearest("grey2", ["grey1", "grey22"]), Some("grey22"));
    }
}
