//! What stands in a message behind its stamp: text that compresses like what people say.

/// Frequent words of English.
const WORDS: [&str; 64] = [
    "the", "of", "and", "to", "in", "is", "you", "that", "it", "he", "was", "for", "on", "are", "as", "with",
    "his", "they", "I", "at", "be", "this", "have", "from", "or", "one", "had", "by", "word", "but", "not",
    "what", "all", "were", "we", "when", "your", "can", "said", "there", "use", "an", "each", "which", "she",
    "do", "how", "their", "if", "will", "up", "other", "about", "out", "many", "then", "them", "these", "so",
    "some", "her", "would", "make", "like",
];

/// Returns so many bytes of words in an order of chance, which is the same every time.
pub(crate) fn prose(bytes: usize) -> String {
    let (mut text, mut state) = (String::with_capacity(bytes + 8), 1_u64);
    while text.len() < bytes {
        // Knuth's linear congruential generator; its upper bits are the good ones.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(WORDS[(state >> 58) as usize]);
        text.push(' ');
    }
    text.truncate(bytes);
    text
}

#[cfg(test)]
mod tests {
    use parlour_websocket::Deflater;

    use super::*;

    #[test]
    fn prose_has_its_length_and_compresses_like_prose() {
        assert_eq!((prose(0).len(), prose(100).len()), (0, 100));
        let text = prose(4_096);
        let compressed = Deflater::new(6, 15).deflate(text.as_bytes()).expect("smaller").len();
        assert!((1_000..2_400).contains(&compressed), "{compressed}");
    }
}
