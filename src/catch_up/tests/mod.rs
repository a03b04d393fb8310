//! A gate on a disk in memory, set back or lost, and a world that remembers more.

mod contradicts;
mod kills;
mod returns;
mod topic;
mod whole;

use std::path::Path;
use std::sync::{Arc, RwLockReadGuard};
use std::time::Duration;

use super::*;
use crate::core::{Command, Core, Decision, Event, Outcome, Reply, Terms, Users, View};
use crate::grant::{Grant, GrantUser};
use crate::ids::{Db, Lsn, Millis, Seat, User};
use crate::journal::memory::MemoryDisk;
use crate::journal::{Appendfsync, Hooks, Journal, Open, Options, Room};
use crate::settings::CampaignTerms;
use crate::watermark::Watermarks;

const LOG: LogId = LogId([7; 16]);
const NOW: Millis = Millis(1_732_250_000_000);

/// Segments small enough that a few dozen grants fill several.
const OPTIONS: Options = Options {
    segment_bytes: 4096,
    block_bytes: 128,
    batch_bytes_max: 2048,
    appendfsync: Appendfsync::Always,
    known_durable: Lsn::ZERO,
};

fn data() -> &'static Path {
    Path::new("/data")
}

fn calm() -> RwLockReadGuard<'static, ()> {
    crate::sabotage::peace::keep()
}

/// A gate as far as its core and its journal go.
struct Gate {
    core: Core,
    journal: Journal<Open>,
    watermarks: Arc<Watermarks>,
    /// What it granted since it was opened, as the world hears of it.
    granted: Vec<Grant>,
}

impl Gate {
    fn open(disk: &MemoryDisk) -> Gate {
        let watermarks = Arc::<Watermarks>::default();
        let hooks = Hooks {
            watermarks: Arc::clone(&watermarks),
            figures: Arc::default(),
            on_progress: Arc::new(|| ()),
            on_failure: Arc::new(|error| panic!("{error}")),
        };
        let mut core = Core::new(1);
        let journal = Journal::open_as(Arc::new(disk.clone()), data(), OPTIONS, LOG).expect("it is this journal");
        let (journal, _) = journal.replay(&mut core, hooks, &mut |_| ()).expect("sound");
        Gate { core, journal, watermarks, granted: Vec::new() }
    }

    /// Decides, and writes what was decided; what it came to, and where.
    fn run(&mut self, command: Command<'_>) -> (String, Lsn) {
        let view = View { now: NOW, ..View::default() };
        let (group, reply) = match self.core.decide(command, &view) {
            Decision::Answer { reply, .. } => return (format!("{reply:?}"), Lsn::ZERO),
            Decision::Record { group, reply } => (
                group,
                if let Reply::Claim(claim) = &reply {
                    match claim.outcome {
                        Outcome::Granted(seat) => format!("GRANTED {seat}"),
                        Outcome::Held(seat, _) => format!("HELD {seat}"),
                        other @ (Outcome::Already(_) | Outcome::SoldOut | Outcome::NotOpen(_) | Outcome::Closed) => {
                            format!("{other:?}")
                        }
                    }
                } else {
                    format!("{reply:?}")
                },
            ),
        };
        let mut lsn = Lsn::ZERO;
        for event in group.events() {
            lsn = self.put(event);
        }
        (reply, lsn)
    }

    fn put(&mut self, event: &Event<'_>) -> Lsn {
        while self.journal.room(200) != Room::Ready {
            let durable = self.watermarks.durable.get();
            self.journal.seal(NOW);
            if self.journal.room(200) != Room::Ready {
                self.watermarks.durable.wait_past(durable, Duration::from_millis(1));
            }
        }
        let lsn = self.journal.append(event, false);
        self.core.evolve(lsn, event);
        lsn
    }

    /// A claim of a campaign with HOLD; its seat.
    fn hold(&mut self, campaign: &str, user: i64) -> u32 {
        self.hold_as(campaign, user, "")
    }

    fn hold_as(&mut self, campaign: &str, user: i64, request: &str) -> u32 {
        let user = user.to_string();
        let (campaign, user, request) = (campaign.as_bytes(), user.as_bytes(), request.as_bytes());
        let (reply, _) = self.run(Command::Claim { campaign, user, request, flat: false });
        reply.strip_prefix("HELD ").and_then(|seat| seat.parse().ok()).unwrap_or_else(|| panic!("{reply}"))
    }

    fn confirm(&mut self, campaign: &str, seat: u32, user: i64) {
        self.confirm_nth(campaign, seat, user, 1);
    }

    fn confirm_nth(&mut self, campaign: &str, seat: u32, user: i64, nth: u16) {
        let text = user.to_string();
        let (name, user_text, at) = (campaign.as_bytes(), text.as_bytes(), Some(Seat::new(seat)));
        let (_, seq) = self.run(Command::Confirm { campaign: name, user: user_text, seat: at, flat: false });
        assert!(seq > Lsn::ZERO, "it is held");
        self.granted.push(Grant { nth, ..grant(campaign, seat, user, seq.get()) });
    }

    fn end_hold(&mut self, campaign: &str, seat: u32, user: i64) {
        let campaign = self.core.campaign_id(campaign.as_bytes()).expect("it is there");
        let (seat, user) = (Seat::new(seat), User::Int(user));
        self.put(&Event::HoldEnded { campaign, seat, user, at: NOW, expired: true });
    }

    fn create(&mut self, campaign: &str, limit: u32, users: Users) {
        let terms = Terms { limit, users, ..Terms::DEFAULT };
        let (reply, _) = self.run(Command::Create { campaign: campaign.as_bytes(), terms });
        assert!(reply.contains("CREATED"), "{reply}");
    }

    /// The seat that a claim gets.
    fn claim(&mut self, campaign: &str, user: i64) -> u32 {
        let text = user.to_string();
        let (reply, seq) = self.run(Command::Claim {
            campaign: campaign.as_bytes(),
            user: text.as_bytes(),
            request: b"",
            flat: false,
        });
        let seat = reply.strip_prefix("GRANTED ").unwrap_or_else(|| panic!("{campaign} {user}: {reply}"));
        let seat = seat.parse().expect("a seat");
        self.granted.push(grant(campaign, seat, user, seq.get()));
        seat
    }

    fn claims(&mut self, campaign: &str, users: std::ops::RangeInclusive<i64>) {
        for user in users {
            self.claim(campaign, user);
        }
    }

    fn count(&mut self) {
        self.run(Command::Add { db: Db(0), key: b"n", step: 1 });
    }

    fn stop(self) -> Vec<Grant> {
        self.journal.finish(NOW).expect("a clean stop");
        self.granted
    }
}

fn grant(campaign: &str, seat: u32, user: i64, seq: u64) -> Grant {
    let (seq, user) = (Lsn::new(seq), GrantUser::Int(user));
    Grant { log: LOG, seq, campaign: campaign.into(), seat, user, nth: 1, at: NOW }
}

/// A gate's disk in the middle, and all that the world knows of it in the end: `spring` with seats 1 to 10 on the disk
/// and up to 40 in the world; `summer` with 20 seats, known to the world alone.
fn set_back() -> (MemoryDisk, Vec<Grant>) {
    let disk = MemoryDisk::default();
    let mut gate = Gate::open(&disk);
    gate.create("spring", 100, Users::Int);
    gate.claims("spring", 101..=110);
    gate.count();
    let mut world = gate.stop();
    let copy = disk.after_kill();
    let mut gate = Gate::open(&disk);
    gate.create("summer", 50, Users::Any);
    for user in 1..=20 {
        gate.claim("spring", 110 + user);
        gate.claim("summer", 500 + user);
        gate.count();
    }
    gate.claims("spring", 131..=140);
    world.extend(gate.stop());
    (copy, world)
}

/// What is to be done over `disk` when the world holds `world`; nothing is done.
fn plan(disk: &MemoryDisk, world: &[Grant], terms: &[CampaignTerms]) -> Result<Plan, CatchUpError> {
    let mut intake = Intake::new(Known::read(&disk.disk(), data(), &OPTIONS)?, None);
    world.iter().rev().for_each(|grant| intake.take(grant.clone().into()));
    Plan::make(intake.close()?, Hints { terms, ..Hints::default() }, NOW)
}

fn catch_up(disk: &MemoryDisk, world: &[Grant], terms: &[CampaignTerms]) -> Result<Plan, CatchUpError> {
    let plan = plan(disk, world, terms)?;
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    apply::apply(&shared, data(), OPTIONS, &plan)?;
    Ok(plan)
}

/// All seats of a campaign, as `GATE.SEATS` tells them.
fn seats(core: &Core, campaign: &str) -> String {
    let all = Command::Seats { campaign: campaign.as_bytes(), first: 1, count: 1000 };
    let Decision::Answer { reply, .. } = core.decide(all, &View::default()) else { panic!("it only reads") };
    format!("{reply:?}")
}
