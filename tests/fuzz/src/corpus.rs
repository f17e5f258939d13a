//! Saved inputs of a target: one file, each input behind its length in four bytes, most significant first.

/// Inputs in one file. One that is longer than four bytes can say is left out.
pub fn packed(inputs: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for input in inputs {
        if let Ok(len) = u32::try_from(input.len()) {
            out.extend_from_slice(&len.to_be_bytes());
            out.extend_from_slice(input);
        }
    }
    out
}

/// The inputs of a file; `None` when it is cut short.
pub fn unpacked(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut inputs = Vec::new();
    while !bytes.is_empty() {
        let (len, rest) = bytes.split_first_chunk::<4>()?;
        let (input, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
        inputs.push(input.to_vec());
        bytes = rest;
    }
    Some(inputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked_and_a_cut_is_noticed() {
        let inputs = vec![b"one".to_vec(), Vec::new(), vec![7; 300]];
        let bytes = packed(&inputs);
        assert_eq!(unpacked(&bytes), Some(inputs));
        assert_eq!(unpacked(&bytes[..bytes.len() - 1]), None);
    }
}
