//! What the gate itself tells of the campaign: asked before and after the crowd.

use std::time::{Duration, Instant};

use redis_protocol::resp2::types::BytesFrame;
use tokio::time::MissedTickBehavior;

use crate::rehearse::checks::Check;
use crate::rehearse::client::Client;
use crate::rehearse::fire::now;
use crate::rehearse::judge::{InfoRow, Judge, SeatRow};
use crate::rehearse::{RehearseError, RehearseOptions, Stored, Target};

/// Rows asked for in one `GATE.SEATS`.
const SEATS_PAGE: u32 = 1000;

/// Users whose `GATE.STATUS` is looked at.
const STATUS_SAMPLE: u32 = 1000;

/// How often `stored` is looked at, and how long it may stand still before the rehearsal stops waiting.
const STORED_EVERY: Duration = Duration::from_millis(5);
const STORED_STALL: Duration = Duration::from_secs(30);

/// Where the grants of a real campaign will go, in words.
pub async fn destination(
    control: &mut Client,
    campaign: &str,
    options: &RehearseOptions,
) -> Result<String, RehearseError> {
    let reply = control.call(&[b"INFO"]).await?;
    let info = text(&reply).ok_or_else(|| control.unexpected("INFO", &reply))?;
    let field = |name: &str| {
        let value = info.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'));
        value.filter(|value| !value.is_empty() && *value != "none")
    };
    let ledger =
        field("ledger").map_or("no ledger that the gate names".to_string(), |ledger| format!("ledger {ledger}"));
    let topic = field("kafka").map_or("no topic".to_string(), |topic| format!("topic {topic}"));
    Ok(format!(
        "This is no shadow: the grants of campaign {campaign} (users 1 to {}) reach {ledger} and {topic}, and stay there.",
        options.users
    ))
}

/// Makes the campaign: a shadow unless `through`.
pub async fn create(control: &mut Client, campaign: &str, options: &RehearseOptions) -> Result<(), RehearseError> {
    let seats = options.seats.to_string();
    let hold = options.hold.to_string();
    let mut args: Vec<&[u8]> = vec![b"GATE.CREATE", campaign.as_bytes(), b"LIMIT", seats.as_bytes()];
    if options.hold > 0 {
        args.extend([&b"HOLD"[..], hold.as_bytes()]);
    }
    if !options.through {
        args.push(b"SHADOW");
    }
    let reply = control.call(&args).await?;
    if text(&reply).as_deref() == Some("CREATED") { Ok(()) } else { Err(control.unexpected("GATE.CREATE", &reply)) }
}

/// Drops the campaign, over a connection of its own.
pub async fn drop_campaign(target: &Target, campaign: &str) -> Result<(), RehearseError> {
    let mut client = Client::connect(target).await?;
    client.call(&[b"GATE.DROP", campaign.as_bytes(), b"FORCE"]).await.map(|_| ())
}

/// The gate's own time, in Unix milliseconds.
pub async fn gate_time(control: &mut Client) -> Result<i64, RehearseError> {
    let reply = control.call(&[b"TIME"]).await?;
    let told = |frame: &BytesFrame| text(frame)?.parse::<i64>().ok();
    let parts = if let BytesFrame::Array(parts) = &reply { &parts[..] } else { &[] };
    let [seconds, micros] = parts else { return Err(control.unexpected("TIME", &reply)) };
    let millis = told(seconds)
        .zip(told(micros))
        .and_then(|(seconds, micros)| seconds.checked_mul(1000)?.checked_add(micros / 1000));
    millis.ok_or_else(|| control.unexpected("TIME", &reply))
}

/// The fields of `GATE.INFO`; what has not the right form is none.
async fn campaign_info(
    control: &mut Client,
    campaign: &str,
) -> Result<impl Fn(&str) -> Option<BytesFrame> + use<>, RehearseError> {
    let reply = control.call(&[b"GATE.INFO", campaign.as_bytes()]).await?;
    let BytesFrame::Array(fields) = reply else {
        return Err(control.unexpected("GATE.INFO", &reply));
    };
    Ok(move |name: &str| {
        let pairs = fields.chunks_exact(2);
        pairs.filter(|pair| text(&pair[0]).as_deref() == Some(name)).map(|pair| pair[1].clone()).next()
    })
}

/// Waits until the ledger has every grant or stands still; `None` where the gate fills no ledger.
pub async fn wait_until_stored(
    control: &mut Client,
    campaign: &str,
    truth: &mut dyn Judge,
    started: Instant,
) -> Result<Option<Stored>, RehearseError> {
    let granted = truth.granted();
    let mut looks = tokio::time::interval(STORED_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut best, mut moved) = (-1, now());
    loop {
        looks.tick().await;
        let Some(rows) = campaign_info(control, campaign).await?("stored").as_ref().and_then(number) else {
            return Ok(None);
        };
        if rows > best {
            (best, moved) = (rows, now());
        }
        if u64::try_from(rows).is_ok_and(|rows| rows >= granted) || moved.elapsed() > STORED_STALL {
            truth.judge_stored(rows);
            return Ok(Some(Stored { rows, seconds: moved.duration_since(started).as_secs_f64() }));
        }
    }
}

/// Holds `GATE.INFO` against the answers.
pub async fn judge_info(control: &mut Client, campaign: &str, truth: &mut dyn Judge) -> Result<(), RehearseError> {
    let field = campaign_info(control, campaign).await?;
    let figure = |name| field(name).as_ref().and_then(number);
    truth.judge_info(&InfoRow {
        granted: figure("granted"),
        held: figure("held"),
        remaining: figure("remaining"),
        state: field("state").as_ref().and_then(text),
    });
    Ok(())
}

/// Holds every page of `GATE.SEATS` against the answers.
pub async fn judge_seats(control: &mut Client, campaign: &str, truth: &mut dyn Judge) -> Result<(), RehearseError> {
    let page = SEATS_PAGE.to_string();
    // One page more than the seats fill: a list without an end must not keep us.
    let mut first: u64 = 1;
    while first <= u64::from(truth.seats_max()) + u64::from(SEATS_PAGE) {
        let from = first.to_string();
        let args: [&[u8]; 4] = [b"GATE.SEATS", campaign.as_bytes(), from.as_bytes(), page.as_bytes()];
        let BytesFrame::Array(rows) = control.call(&args).await? else {
            truth.judge_form(Check::SeatList, "GATE.SEATS answered no array");
            return Ok(());
        };
        let mut last = 0;
        for row in &rows {
            match seat_row(row) {
                Some(row) => {
                    last = u64::try_from(row.seat).unwrap_or_default();
                    truth.judge_seat_row(&row);
                }
                None => truth.judge_form(Check::SeatList, &format!("no row of GATE.SEATS: {row:?}")),
            }
        }
        // Seats that are free have no row.
        first = (first + rows.len() as u64).max(last.saturating_add(1));
        if rows.len() < SEATS_PAGE as usize {
            break;
        }
    }
    truth.judge_seats_end();
    Ok(())
}

/// Holds the `GATE.STATUS` of a sample of users against the answers.
pub async fn judge_status(
    control: &mut Client,
    campaign: &str,
    truth: &mut dyn Judge,
    users: u32,
) -> Result<(), RehearseError> {
    let sample = users.min(STATUS_SAMPLE);
    let user = |index: u32| {
        let place = u64::from(index) * u64::from(users) / u64::from(sample);
        u32::try_from(place).expect("a place is below the number of users") + 1
    };
    for index in 0..sample {
        control.push(&[b"GATE.STATUS", campaign.as_bytes(), user(index).to_string().as_bytes()]);
    }
    control.send().await?;
    for index in 0..sample {
        let reply = control.wait().await?;
        let reply = control.checked(&[b"GATE.STATUS", campaign.as_bytes()], reply)?;
        match status_rows(&reply) {
            Some(rows) => truth.judge_status(user(index), &rows),
            None => truth.judge_form(Check::Status, &format!("GATE.STATUS answered {reply:?}")),
        }
    }
    Ok(())
}

/// `[seat, user, at, status]`
fn seat_row(row: &BytesFrame) -> Option<SeatRow> {
    let BytesFrame::Array(parts) = row else { return None };
    let [seat, user, at, status] = &parts[..] else { return None };
    number(at)?;
    Some(SeatRow { seat: number(seat)?, user: number(user)?, status: text(status)? })
}

fn status_rows(reply: &BytesFrame) -> Option<Vec<(String, i64)>> {
    let BytesFrame::Array(rows) = reply else { return None };
    rows.iter().map(status_row).collect()
}

/// `[status, seat, at, stage]`
fn status_row(row: &BytesFrame) -> Option<(String, i64)> {
    let BytesFrame::Array(parts) = row else { return None };
    let [status, seat, at, _stage] = &parts[..] else { return None };
    number(at)?;
    Some((text(status)?, number(seat)?))
}

fn number(frame: &BytesFrame) -> Option<i64> {
    match frame {
        BytesFrame::Integer(number) => Some(*number),
        BytesFrame::SimpleString(_)
        | BytesFrame::Error(_)
        | BytesFrame::BulkString(_)
        | BytesFrame::Array(_)
        | BytesFrame::Null => None,
    }
}

fn text(frame: &BytesFrame) -> Option<String> {
    match frame {
        BytesFrame::SimpleString(bytes) | BytesFrame::BulkString(bytes) => String::from_utf8(bytes.to_vec()).ok(),
        BytesFrame::Error(_) | BytesFrame::Integer(_) | BytesFrame::Array(_) | BytesFrame::Null => None,
    }
}
