//! A search in bytes, many at once.

/// Where the first byte is that `is_it` holds for; `is_it` should have no branches.
#[inline]
pub(crate) fn position(text: &[u8], is_it: impl Fn(u8) -> bool) -> Option<usize> {
    let (blocks, rest) = text.as_chunks::<16>();
    for (index, block) in blocks.iter().enumerate() {
        // The compiler makes a few instructions on 16 bytes of each of these.
        let marks = block.map(|byte| if is_it(byte) { 0xFF } else { 0 });
        if marks.iter().fold(0, |any, mark| any | *mark) != 0 {
            let marks = u128::from_le_bytes(marks);
            return Some(index * 16 + marks.trailing_zeros() as usize / 8);
        }
    }
    let place = rest.iter().position(|byte| is_it(*byte))?;
    Some(text.len() - rest.len() + place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_first_of_several(
            text in prop::collection::vec(0_u8..64, 0..80),
            wanted in any::<u8>(),
        ) {
            let is_it = |byte: u8| byte == wanted;
            let expected = text.iter().position(|byte| is_it(*byte));
            prop_assert_eq!(position(&text, is_it), expected);
            let never = text.iter().position(|byte| *byte > 60);
            prop_assert_eq!(position(&text, |byte| byte > 60), never);
        }
    }
}
