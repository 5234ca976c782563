//! How much one input may cost before it is refused.

/// Bounds on one image, checked before anything of its size is allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest file or archive entry, in bytes.
    pub max_file_bytes: u64,
    /// Smallest width and height of a face, in pixels.
    pub min_side: u32,
    /// Largest width and height, in pixels.
    pub max_side: u32,
    /// Largest decoded image, in bytes. Work in parallel holds as many of these as it has threads.
    pub max_decoded_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_file_bytes: 32 << 20, min_side: 8, max_side: 8192, max_decoded_bytes: 256 << 20 }
    }
}
