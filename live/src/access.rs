//! Who may do what.

use subtle::ConstantTimeEq;

/// What a client may do; each level includes those below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Ask what the runtime is.
    None,
    /// Look at graphs, components and pictures.
    Read,
    /// Change graphs, and run and save them.
    Edit,
    /// Write operations in C.
    Code,
}

/// The secrets, and what those may do who have none.
#[derive(Clone)]
pub struct Access {
    secrets: Vec<(Level, String)>,
    open: Level,
    /// What is good for pictures: in the addresses that clients are told.
    ticket: Option<String>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let levels = self.secrets.iter().map(|(level, _)| level).collect::<Vec<_>>();
        to.debug_struct("Access").field("secrets", &levels).field("open", &self.open).finish_non_exhaustive()
    }
}

impl Access {
    /// Clients without a secret have the level `open`; others that of their secret.
    pub fn new(secrets: Vec<(Level, String)>, open: Level) -> Access {
        let ticket = (open < Level::Read).then(|| {
            let mut bytes = [0; 16];
            getrandom::fill(&mut bytes).expect("the system has random numbers");
            hex::encode(bytes)
        });
        Access { secrets, open, ticket }
    }

    /// The level of a client that gives this secret. A wrong one is as good as none, and takes as long.
    pub fn level(&self, secret: Option<&str>) -> Level {
        let given = secret.unwrap_or_default().as_bytes();
        let known = self.secrets.iter().filter(|(_, secret)| bool::from(secret.as_bytes().ct_eq(given)));
        // All are compared, whichever it is.
        known.map(|(level, _)| *level).fold(self.open, Level::max)
    }

    /// What clients without a secret may do.
    pub fn open(&self) -> Level {
        self.open
    }

    /// What an address of a picture must hold, where not everybody may look.
    pub(crate) fn ticket(&self) -> Option<&str> {
        self.ticket.as_deref()
    }

    /// True when that ticket lets one look at pictures.
    pub(crate) fn may_look(&self, ticket: Option<&str>) -> bool {
        match &self.ticket {
            None => true,
            Some(known) => known.as_bytes().ct_eq(ticket.unwrap_or_default().as_bytes()).into(),
        }
    }
}

/// The protocol's names for what a client of that level may send and receive.
pub(crate) fn capabilities(level: Level) -> Vec<&'static str> {
    let mut names = Vec::new();
    if level >= Level::Read {
        names.extend(["protocol:component", "component:getsource", "graph:readonly", "network:status", "network:data"]);
    }
    if level >= Level::Edit {
        names.extend([
            "protocol:runtime",
            "protocol:graph",
            "protocol:network",
            "network:control",
            "network:persist",
            "component:setsource",
        ]);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_its_level_and_no_secret_the_open_one() {
        let secrets = vec![(Level::Read, "look".to_owned()), (Level::Edit, "edit".to_owned())];
        let closed = Access::new(secrets.clone(), Level::None);
        let level = |secret| closed.level(secret);
        assert_eq!([level(None), level(Some("")), level(Some("wrong"))], [Level::None; 3]);
        assert_eq!([level(Some("look")), level(Some("edit"))], [Level::Read, Level::Edit]);
        assert!(!closed.may_look(None) && !closed.may_look(Some("look")));
        assert!(closed.may_look(closed.ticket()));
        let open = Access::new(secrets, Level::Edit);
        assert_eq!([open.level(None), open.level(Some("look"))], [Level::Edit; 2]);
        assert!(open.may_look(None) && open.ticket().is_none());
        assert!(!format!("{closed:?}").contains("look"), "a secret in a log");
    }

    #[test]
    fn levels_are_told_as_capabilities() {
        assert!(capabilities(Level::None).is_empty());
        assert!(!capabilities(Level::Read).contains(&"protocol:graph"));
        for needed in ["protocol:graph", "protocol:network", "protocol:runtime", "protocol:component"] {
            assert!(capabilities(Level::Edit).contains(&needed));
        }
    }
}
