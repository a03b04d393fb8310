//! What happened, step by step: as a number that two runs can be compared by, and as text for who looks.

use std::fmt::Write;

/// The story of one run.
#[derive(Debug, Default)]
pub struct Trace {
    hash: u64,
    /// Steps so far.
    pub steps: u64,
    text: Option<String>,
}

impl Trace {
    /// One that keeps the text.
    pub fn told() -> Trace {
        Trace { text: Some(String::new()), ..Trace::default() }
    }

    /// Something happened; the numbers say what came of it.
    pub fn note(&mut self, what: &str, numbers: &[u64]) {
        let mut hash = self.hash;
        let mut mix = |value: u64| hash = (hash.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95);
        what.bytes().for_each(|byte| mix(u64::from(byte)));
        numbers.iter().for_each(|number| mix(*number));
        self.hash = hash;
        if let Some(text) = &mut self.text {
            let _infallible = writeln!(text, "{:>5} {what} {numbers:?}", self.steps);
        }
    }

    /// More for the reader; the caller's closure runs only where there is one.
    pub fn remark(&mut self, remark: impl FnOnce() -> String) {
        if let Some(text) = &mut self.text {
            let _infallible = writeln!(text, "      {}", remark());
        }
    }

    /// The same for the same story.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The text, where it was kept.
    pub fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }
}
