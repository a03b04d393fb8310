//! The arguments of one request, as ranges of the client's bytes.

/// Where an argument stands in its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub start: u32,
    pub len: u32,
}

impl Span {
    /// `start..start + len` of a request. Requests are bounded far below 4 GiB.
    pub fn new(start: usize, len: usize) -> Span {
        Span { start: start as u32, len: len as u32 }
    }
}

/// The arguments of one request; the first is the command's name. Borrows; costs nothing to copy.
#[derive(Clone, Copy, Debug)]
pub struct Args<'a> {
    bytes: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Args<'a> {
    pub(super) fn new(bytes: &'a [u8], spans: &'a [Span]) -> Args<'a> {
        Args { bytes, spans }
    }

    /// How many, the name included: at least 1.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are none, which no scanned request is.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Argument `index`; 0 is the name. Panics beyond the end: look at `len` first.
    #[inline]
    pub fn get(&self, index: usize) -> &'a [u8] {
        self.at(self.spans[index])
    }

    /// The command's name as typed.
    #[inline]
    pub fn name(&self) -> &'a [u8] {
        self.get(0)
    }

    /// All arguments, the name first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + DoubleEndedIterator + use<'a> {
        let args = *self;
        args.spans.iter().map(move |&span| args.at(span))
    }

    #[inline]
    fn at(&self, span: Span) -> &'a [u8] {
        &self.bytes[span.start as usize..][..span.len as usize]
    }
}
