//! `imgflo deadletters`: jobs that could not be done, looked at, tried again or dropped.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::{Arg, ArgAction, ArgMatches, Command};
use imgflo_cache::{Claims as _, RedisClaims, RedisLink};
use imgflo_job::{Urgency, key, network};
use imgflo_msgflo::discovery::queue_name;
use imgflo_msgflo::{Death, Delivery, Outcome, QueueOptions, Transport};
use serde_json::{Value, json};

use crate::network::{block_on, broker_arg, reach};
use crate::{Failure, parts};

/// Most letters that are looked at in one go.
const MOST: usize = 10_000;
/// How long the next one may take to come, of those that the broker counted.
const PATIENCE: Duration = Duration::from_secs(3);

pub fn command() -> Command {
    let redis = Arg::new("redis").long("redis").value_name("URL").env("IMGFLO_REDIS_URL").hide_env_values(true);
    let redis = redis.global(true).help("Redis, where it is noted which jobs are not to be tried; else REDIS_URL");
    let json = Arg::new("json").long("json").global(true).action(ArgAction::SetTrue).help("Prints JSON");
    let id = || Arg::new("id").value_name("ID").help("Id of the job, or how it begins");
    let all = Arg::new("all").long("all").action(ArgAction::SetTrue).conflicts_with("id").help("All of them");
    Command::new("deadletters")
        .about("Shows jobs that could not be done, tries them again, or drops them")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(broker_arg().global(true))
        .arg(redis)
        .arg(json)
        .subcommand(Command::new("list").about("Lists them, oldest first"))
        .subcommand(Command::new("show").about("Shows one whole").arg(id().required(true)))
        .subcommand(
            Command::new("replay")
                .about("Puts them back into the queues they came from")
                .arg(id().required_unless_present("all"))
                .arg(all.clone()),
        )
        .subcommand(Command::new("drop").about("Forgets them").arg(id().required_unless_present("all")).arg(all))
}

pub fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let (action, matches) = matches.subcommand().expect("clap requires a sub-command");
    block_on(async {
        let transport = reach(matches, "imgflo deadletters").await?;
        let done = act(action, matches, &*transport).await;
        // What was not touched is put back first.
        transport.close().await;
        done
    })
}

/// A dead letter. It goes back to where it was unless it is settled.
struct Letter {
    id: String,
    job: Value,
    death: Option<Death>,
    delivery: Option<Delivery>,
}

impl Drop for Letter {
    fn drop(&mut self) {
        if let Some(delivery) = self.delivery.take() {
            delivery.settle(Outcome::Returned);
        }
    }
}

impl Letter {
    fn read(number: usize, delivery: Delivery) -> Letter {
        let job: Value = serde_json::from_slice(&delivery.message)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&delivery.message).into_owned()));
        let id = job["id"].as_str().map_or_else(|| format!("message-{number}"), str::to_owned);
        Letter { id, job, death: delivery.death.clone(), delivery: Some(delivery) }
    }

    fn to_json(&self) -> Value {
        let death = self.death.as_ref();
        json!({
            "id": self.id,
            "queue": death.map(|death| &death.queue),
            "reason": death.map(|death| &death.reason),
            "died_at": death.and_then(|death| death.at.duration_since(SystemTime::UNIX_EPOCH).ok()).map(|at| at.as_millis() as u64),
            "job": self.job,
        })
    }

    fn line(&self) -> String {
        let (queue, reason, age) = match &self.death {
            Some(Death { queue, reason, at }) => (queue.as_str(), reason.as_str(), age(*at)),
            None => ("?", "?", "?".to_owned()),
        };
        let data = &self.job["data"];
        let text = |name: &str| data[name].as_str().unwrap_or("?");
        let input = data["files"]["input"]["src"].as_str().unwrap_or("-");
        format!("{}  {age:>4}  {queue}  {}  {}  {input}  {reason}", self.id, text("graph"), text("cachekey"))
    }
}

/// `5s`, `3m`, `2h`, `9d`.
fn age(at: SystemTime) -> String {
    let seconds = at.elapsed().unwrap_or_default().as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86400),
    }
}

async fn act(action: &str, matches: &ArgMatches, transport: &dyn Transport) -> Result<(), Failure> {
    let letters = take(transport).await?;
    let chosen = match matches.try_get_one::<String>("id").ok().flatten() {
        Some(id) => Some(choose(&letters, id)?),
        None => None,
    };
    let as_json = matches.get_flag("json");
    match action {
        "list" if as_json => {
            let all: Vec<Value> = letters.iter().map(Letter::to_json).collect();
            outln!("{}", pretty(&Value::Array(all)));
        }
        "list" => {
            letters.iter().for_each(|letter| outln!("{}", letter.line()));
            if letters.is_empty() {
                // Not where scripts read the list.
                errln!("there are no dead letters");
            }
        }
        "show" => {
            let letter = &letters[chosen.expect("clap requires an id")];
            outln!("{}", pretty(&letter.to_json()));
        }
        _ => {
            let claims = claims(matches)?;
            let mut count = 0;
            for (number, mut letter) in letters.into_iter().enumerate() {
                if chosen.is_some_and(|chosen| chosen != number) {
                    continue;
                }
                if action == "replay" {
                    replay(&letter, transport, claims.as_ref()).await?;
                }
                if let Some(delivery) = letter.delivery.take() {
                    delivery.settle(Outcome::Done);
                }
                count += 1;
            }
            let done = if action == "replay" { "put back into their queues" } else { "dropped" };
            if as_json {
                outln!("{}", json!({ "count": count }));
            } else {
                outln!("{count} {done}");
            }
        }
    }
    Ok(())
}

/// All dead letters there are. They are the broker's until they are settled.
async fn take(transport: &dyn Transport) -> Result<Vec<Letter>, Failure> {
    let failed = |error: imgflo_msgflo::TransportError| vec![error.to_string()];
    let queue = queue_name(network::DEAD_LETTERS, "job");
    transport.declare_inport(&queue, QueueOptions::default()).await.map_err(failed)?;
    let waiting = transport.backlog(&queue).await.map_err(failed)?.waiting;
    let consumer = transport.consume(&queue).await.map_err(failed)?;
    let mut letters = Vec::new();
    while letters.len() < waiting.min(MOST) {
        match tokio::time::timeout(PATIENCE, consumer.next()).await {
            Ok(Some(delivery)) => letters.push(Letter::read(letters.len() + 1, delivery)),
            // Another takes them, too.
            _ => break,
        }
    }
    if waiting > MOST {
        errln!("imgflo: there are {waiting} dead letters; these are the oldest {MOST}");
    }
    Ok(letters)
}

fn choose(letters: &[Letter], id: &str) -> Result<usize, Failure> {
    let mut found = letters.iter().enumerate().filter(|(_, letter)| letter.id.starts_with(id));
    match (found.next(), found.next()) {
        (Some((number, _)), None) => Ok(number),
        (None, _) => Err(vec![format!("no dead letter has the id '{id}'; `imgflo deadletters list` shows them")]),
        (Some((number, one)), Some(_)) if one.id == id => Ok(number),
        _ => Err(vec![format!("several dead letters have an id that begins with '{id}'; write more of it")]),
    }
}

/// Puts a job back into its queue. Nobody waits for it any more, so it has no deadline; and nobody
/// is told any more that it cannot be done.
async fn replay(letter: &Letter, transport: &dyn Transport, claims: Option<&RedisClaims>) -> Result<(), Failure> {
    let Some(death) = &letter.death else {
        return Err(vec![format!("{}: it does not say which queue it came from", letter.id)]);
    };
    let mut job = letter.job.clone();
    if let Some(job) = job.as_object_mut() {
        job.remove("deadline_at");
    }
    if let (Some(claims), Some(cache_key)) = (claims, job["data"]["cachekey"].as_str()) {
        for urgency in [Urgency::Urgent, Urgency::Background] {
            let allowed = claims.allow(&key::claim(urgency, cache_key)).await;
            allowed.map_err(|error| vec![format!("{}: {error}", letter.id)])?;
        }
    }
    let message = match &job {
        Value::String(text) => text.clone(),
        job => job.to_string(),
    };
    let sent = transport.send_to_queue(&death.queue, message.into()).await;
    sent.map_err(|error| vec![format!("{}: {error}", letter.id)])
}

fn claims(matches: &ArgMatches) -> Result<Option<RedisClaims>, Failure> {
    let url = matches.get_one::<String>("redis").cloned().or_else(|| std::env::var("REDIS_URL").ok());
    let Some(url) = url.filter(|url| !url.is_empty()) else { return Ok(None) };
    let link: Arc<RedisLink> = RedisLink::open(&url).map_err(|error| vec![error.to_string()])?;
    Ok(Some(RedisClaims::new(link, parts::REDIS_PREFIX)))
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("JSON values can be written")
}
