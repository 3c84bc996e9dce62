//! "Did you mean": the candidate that a misspelt word is nearest to.

/// The candidate at most two typing mistakes away, if there is one; upper and lower case do not count.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let most = if word.chars().count() < 4 { 1 } else { 2 };
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_only() {
        assert_eq!(closest("layer", ["keys", "layers"]), Some("layers"));
        assert_eq!(closest("Lyaers", ["keys", "layers"]), Some("layers"));
        assert_eq!(closest("parts", ["keys", "layers"]), None);
        assert_eq!(closest("kex", ["key", "layers"]), Some("key"));
    }
}
