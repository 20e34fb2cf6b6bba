//! `imgflo apps`: applications, their keys, and how much they may have made.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use imgflo_apps::{Application, Applications, AppsError, DEFAULT_GRACE, NewApplication, Place, Quota, Rights, Tally};
use serde_json::{Value, json};

use crate::Failure;
use crate::network::block_on;

/// Name of SQLite's file in the data folder.
const FILE: &str = "imgflo.db";
/// Most hours that a secret may stay good after its rotation: a year.
const MAX_GRACE: u64 = 366 * 24;
const HOUR: u64 = 3600;

/// The database of applications: the one that is named, or a file in the data folder.
pub fn place(database: Option<&str>, data_dir: &Path) -> Result<Place, AppsError> {
    match database.filter(|text| !text.is_empty()) {
        Some(database) => Place::parse(database),
        None => Ok(Place::Sqlite(data_dir.join(FILE))),
    }
}

pub fn command() -> Command {
    let database = Arg::new("database").long("database").value_name("URL").env("DATABASE_URL").hide_env_values(true);
    let database = database.help("postgres://..., or sqlite:///path of a file [default: imgflo.db in the data folder]");
    let data_dir = Arg::new("data-dir").long("data-dir").value_name("FOLDER").env("IMGFLO_DATA_DIR");
    let data_dir = data_dir.default_value("imgflo-data").help("The data folder of `imgflo serve`");
    let json = Arg::new("json").long("json").action(ArgAction::SetTrue).help("Prints JSON");
    let key = || Arg::new("key").required(true).value_name("KEY").help("Key of the application");
    let text = |name: &'static str, value| Arg::new(name).long(name).required(true).value_name(value);
    let flag = |name: &'static str, help| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    let choice = |name: &'static str, help| {
        Arg::new(name).long(name).value_name("yes|no").value_parser(["yes", "no"]).help(help)
    };
    let quota = || value_parser!(Quota);
    let (admin, unsigned, md5) = (
        "It may ask for images to be made anew (_nocache)",
        "Its requests need no token",
        "Accept the original's MD5 tokens, too; they can be forged",
    );
    Command::new("apps")
        .about("Adds and changes applications: who may ask for images, and for how many pixels a day")
        .after_help("Servers that run see a change within about a second.")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .args([database.global(true), data_dir.global(true), json.global(true)])
        .subcommand(
            Command::new("add")
                .about("Adds an application; prints its key and its secret")
                .arg(text("email", "EMAIL").help("Whom to ask about it"))
                .arg(text("label", "TEXT").help("What it is"))
                .arg(
                    Arg::new("quota")
                        .long("quota")
                        .value_name("MP|unlimited")
                        .value_parser(quota())
                        .default_value("unlimited")
                        .help("Megapixels that it may have made a day (UTC); 0: stored images only"),
                )
                .arg(flag("admin", admin))
                .arg(flag("allow-unsigned", unsigned))
                .arg(flag("allow-md5", md5)),
        )
        .subcommand(Command::new("list").about("Lists all, with what they had made today; no secrets"))
        .subcommand(Command::new("disable").about("Refuses all its requests").arg(key()))
        .subcommand(Command::new("enable").about("Serves it again").arg(key()))
        .subcommand(
            Command::new("rotate").about("Gives it a new secret, and prints that").arg(key()).arg(
                Arg::new("grace")
                    .long("grace")
                    .value_name("HOURS")
                    .value_parser(value_parser!(u64).range(0..=MAX_GRACE))
                    .default_value((DEFAULT_GRACE.as_secs() / HOUR).to_string())
                    .help(
                        "How long the old secret stays good, so that pages signed with it go on working; 0: not at all",
                    ),
            ),
        )
        .subcommand(
            Command::new("quota").about("Sets how much it may have made a day").arg(key()).arg(
                Arg::new("quota")
                    .required(true)
                    .value_name("MP|unlimited")
                    .value_parser(quota())
                    .help("Megapixels a day (UTC); 0: stored images only"),
            ),
        )
        .subcommand(
            Command::new("allow")
                .about("Sets what else it may; what is not named stays")
                .arg(key())
                .arg(choice("admin", admin))
                .arg(choice("unsigned", unsigned))
                .arg(choice("md5", md5)),
        )
}

pub fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let (action, matches) = matches.subcommand().expect("clap requires a sub-command");
    block_on(async { act(action, matches).await.map_err(|error| vec![error.to_string()]) })
}

async fn act(action: &str, matches: &ArgMatches) -> Result<(), AppsError> {
    let text = |name: &str| matches.get_one::<String>(name).map_or("", String::as_str);
    let place = place(Some(text("database")), Path::new(text("data-dir")))?;
    let applications = match action {
        "add" => Applications::create(place).await?,
        _ => Applications::open(place).await?,
    };
    let done = change(action, matches, &applications).await;
    applications.close().await;
    done
}

async fn change(action: &str, matches: &ArgMatches, applications: &Applications) -> Result<(), AppsError> {
    let text = |name: &str| matches.get_one::<String>(name).map_or("", String::as_str);
    let as_json = matches.get_flag("json");
    match action {
        "add" => {
            let quota = *matches.get_one::<Quota>("quota").expect("it has a default");
            let [admin, allow_unsigned, allow_md5] =
                ["admin", "allow-unsigned", "allow-md5"].map(|name| matches.get_flag(name));
            let rights = Rights { admin, allow_unsigned, allow_md5 };
            let (label, email) = (text("label").to_owned(), text("email").to_owned());
            let added = applications.add(&NewApplication { label, email, quota, rights }).await?;
            tell_secret(&added, as_json);
        }
        "list" => {
            let usage: HashMap<String, Tally> = applications.usage_today().await?.into_iter().collect();
            list(&applications.list().await?, &usage, as_json);
        }
        "rotate" => {
            let grace = matches.get_one::<u64>("grace").copied().expect("it has a default");
            let rotated = applications.rotate(text("key"), Duration::from_secs(grace * HOUR)).await?;
            tell_secret(&rotated, as_json);
            if !as_json && grace > 0 {
                outln!("the old secret stays good for {grace} h");
            }
        }
        "quota" => {
            let quota = *matches.get_one::<Quota>("quota").expect("clap requires it");
            tell(&applications.set_quota(text("key"), quota).await?, as_json);
        }
        "allow" => {
            let before = applications.get(text("key")).await?.rights;
            let choose = |name, before| matches.get_one::<String>(name).map_or(before, |choice| choice == "yes");
            let rights = Rights {
                admin: choose("admin", before.admin),
                allow_unsigned: choose("unsigned", before.allow_unsigned),
                allow_md5: choose("md5", before.allow_md5),
            };
            tell(&applications.set_rights(text("key"), rights).await?, as_json);
        }
        _ => tell(&applications.set_enabled(text("key"), action == "enable").await?, as_json),
    }
    Ok(())
}

/// The only place that prints a secret.
fn tell_secret(application: &Application, as_json: bool) {
    let previous_until = application.previous.as_ref().map(|previous| previous.until);
    if as_json {
        let mut value = json!(application);
        value["secret"] = json!(application.secret);
        value["previous_secret_until"] = json!(previous_until);
        outln!("{value:#}");
    } else {
        outln!("key     {}\nsecret  {}", application.key, application.secret);
    }
}

fn tell(application: &Application, as_json: bool) {
    if as_json {
        outln!("{:#}", json!(application));
    } else {
        let Application { key, label, quota, .. } = application;
        let quota = match quota {
            Quota::Unlimited => "no limit".to_owned(),
            Quota::Megapixels(0) => "stored images only".to_owned(),
            Quota::Megapixels(megapixels) => format!("{megapixels} megapixels a day"),
        };
        let mut facts = vec![state(application), quota.as_str()];
        facts.extend(rights(application));
        outln!("{key}  {label}: {}", facts.join(", "));
    }
}

fn list(applications: &[Application], usage: &HashMap<String, Tally>, as_json: bool) {
    let used = |application: &Application| usage.get(&application.key).copied().unwrap_or_default();
    if as_json {
        let with_usage = |application: &Application| {
            let mut value = json!(application);
            value["used_today"] = json!(used(application));
            value
        };
        outln!("{:#}", applications.iter().map(with_usage).collect::<Value>());
        return;
    }
    let widest = |text: fn(&Application) -> &str, least| {
        applications.iter().map(|application| text(application).chars().count()).chain([least]).max().unwrap_or(least)
    };
    let (key, label, email) = (widest(|a| &a.key, 3), widest(|a| &a.label, 5), widest(|a| &a.email, 5));
    outln!(
        "{:key$}  {:label$}  {:email$}  {:8}  {:>10}  {:>10}  RIGHTS",
        "KEY",
        "LABEL",
        "EMAIL",
        "STATE",
        "MP A DAY",
        "MP TODAY"
    );
    for application in applications {
        outln!(
            "{:key$}  {:label$}  {:email$}  {:8}  {:>10}  {:>10.2}  {}",
            application.key,
            application.label,
            application.email,
            state(application),
            application.quota,
            used(application).pixels as f64 / 1e6,
            rights(application).join(" "),
        );
    }
}

fn state(application: &Application) -> &'static str {
    if application.enabled { "enabled" } else { "disabled" }
}

fn rights(application: &Application) -> Vec<&'static str> {
    let Rights { admin, allow_unsigned, allow_md5 } = application.rights;
    let all = [(admin, "admin"), (allow_unsigned, "unsigned"), (allow_md5, "md5")];
    all.into_iter().filter(|(has, _)| *has).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_is_the_one_that_is_named_or_in_the_data_folder() {
        let shown = |database| place(database, Path::new("data")).unwrap().to_string();
        assert_eq!(shown(None), "data/imgflo.db");
        assert_eq!(shown(Some("")), "data/imgflo.db");
        assert_eq!(shown(Some("sqlite:///var/a.db")), "/var/a.db");
        assert_eq!(shown(Some("postgres://ann:hush@db/apps")), "postgres://db:5432/apps");
    }

    #[test]
    fn quotas_are_checked_and_email_and_label_are_required() {
        let parse = |arguments: &str| command().try_get_matches_from(arguments.split(' '));
        assert!(parse("apps add --email a@b --label shop --quota 12 --admin").is_ok());
        for wrong in [
            "apps add --label shop",
            "apps add --email a@b",
            "apps add --email a@b --label shop --quota some",
            "apps quota",
            "apps quota k -1",
            "apps rotate k --grace 100000",
            "apps allow k --md5 maybe",
            "apps disable",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
