//! How far an audit is, for who watches it on a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar on standard error, if that is a terminal.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar that shows where somebody can see it.
    pub fn shown() -> Progress {
        let style = ProgressStyle::with_template("{msg} {bar:40} {percent}%, {eta} left");
        Progress { bar: ProgressBar::new(0).with_style(style.expect("the template is well formed")) }
    }

    /// No bar.
    pub fn hidden() -> Progress {
        Progress { bar: ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()) }
    }

    /// What follows is `what`.
    pub fn begin(&mut self, what: &'static str) {
        self.bar.set_message(what);
        self.bar.set_position(0);
        self.bar.reset_eta();
    }

    /// So much of it is done.
    pub fn at(&mut self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
    }

    /// Nothing follows.
    pub fn end(&mut self) {
        self.bar.finish_and_clear();
    }
}
