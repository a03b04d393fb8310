//! Why a rehearsal could not be held. What the gate answered wrongly is no error but a difference in the report.

use std::fmt;
use std::io;

use crate::remote::BadTarget;

/// Why a rehearsal could not be held: what, where, what to do next.
#[derive(Debug)]
pub enum RehearseError {
    /// An option that cannot be: exit code 2.
    Usage {
        /// The option and what is wrong with it.
        what: String,
        /// What would be right.
        right: String,
    },
    /// A URL that is none: exit code 2.
    Target(BadTarget),
    /// Nobody answers there.
    Unreachable {
        /// Where.
        target: String,
        /// Why.
        why: io::Error,
    },
    /// The gate wants a password, another one, or none.
    Password {
        /// Where.
        target: String,
        /// What the gate said.
        reply: String,
    },
    /// Somebody answers, but knows no `GATE.` commands.
    NotAGate {
        /// Where.
        target: String,
        /// What was said.
        reply: String,
    },
    /// The gate refused a command that the rehearsal needs.
    Refused {
        /// Where.
        target: String,
        /// The command.
        command: String,
        /// The gate's own words.
        reply: String,
    },
    /// A connection ended or fell silent.
    Lost {
        /// Where.
        target: String,
        /// Why.
        why: io::Error,
    },
    /// Bytes that are no reply, or no reply to what was asked.
    Garbled {
        /// Where.
        target: String,
        /// What is wrong with them.
        what: String,
    },
    /// This process cannot get what it needs from its own machine.
    Machine {
        /// What for.
        what: &'static str,
        /// Why.
        why: io::Error,
    },
    /// Somebody pressed Ctrl-C.
    Interrupted {
        /// The campaign, which was dropped if the gate still answered.
        campaign: String,
    },
}

impl RehearseError {
    /// Whether the operator asked for something that cannot be (exit code 2); otherwise the surroundings are at fault (4).
    pub fn is_usage(&self) -> bool {
        matches!(self, RehearseError::Usage { .. } | RehearseError::Target(_))
    }
}

impl From<BadTarget> for RehearseError {
    fn from(bad: BadTarget) -> RehearseError {
        RehearseError::Target(bad)
    }
}

impl fmt::Display for RehearseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RehearseError::Usage { what, right } => write!(f, "rehearse: {what}; must be {right}"),
            RehearseError::Target(bad) => write!(f, "rehearse: {bad}"),
            RehearseError::Unreachable { target, why } => write!(
                f,
                "rehearse: cannot reach {target}: {why}; start the gate there (`coupon-gate`), name another with \
                 `--target redis://host:port`, or ask for fewer `--connections`"
            ),
            RehearseError::Password { target, reply } if reply.starts_with("ERR") => write!(
                f,
                "rehearse: {target} takes no password as given ({reply}); leave it out: `--target redis://host:port`"
            ),
            RehearseError::Password { target, reply } => write!(
                f,
                "rehearse: {target} wants the right password ({reply}); give it: `--target redis://:PASSWORD@host:port`"
            ),
            RehearseError::NotAGate { target, reply } => write!(
                f,
                "rehearse: {target} answers, but is no coupon-gate ({reply}); name the gate's own port with `--target`"
            ),
            RehearseError::Refused { target, command, reply } => write!(
                f,
                "rehearse: {target} refused {command}: {reply}; put that right at the gate (its own log says more), then \
                 rehearse again"
            ),
            RehearseError::Lost { target, why } => write!(
                f,
                "rehearse: lost the connection to {target}: {why}; see in the gate's log why it went, then rehearse again"
            ),
            RehearseError::Garbled { target, what } => write!(
                f,
                "rehearse: {target} sent what is no answer: {what}; is something between here and the gate, or another \
                 program on its port?"
            ),
            RehearseError::Machine { what, why } => {
                write!(f, "rehearse: {what}: {why}; free what is short on this machine, then rehearse again")
            }
            RehearseError::Interrupted { campaign } => {
                write!(
                    f,
                    "rehearse: interrupted; campaign {campaign} is dropped if it was a shadow and the gate answered"
                )
            }
        }
    }
}

impl std::error::Error for RehearseError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RehearseError::Unreachable { why, .. }
            | RehearseError::Lost { why, .. }
            | RehearseError::Machine { why, .. } => Some(why),
            RehearseError::Usage { .. }
            | RehearseError::Target(_)
            | RehearseError::Password { .. }
            | RehearseError::NotAGate { .. }
            | RehearseError::Refused { .. }
            | RehearseError::Garbled { .. }
            | RehearseError::Interrupted { .. } => None,
        }
    }
}
