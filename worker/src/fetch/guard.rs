//! Which addresses inputs may be fetched from: the public ones, and the ranges that a setting opens.
//!
//! The rules follow the IANA special-purpose address registries (RFC 6890 and its successors). What is checked is the
//! address that is connected to, never a name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The setting that opens ranges.
pub const SETTING: &str = "IMGFLO_ALLOW_ADDRESSES";

/// An address that is not fetched from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {rule}; inputs are fetched from public addresses and from the ranges in {SETTING}")]
pub struct Refusal {
    /// The address.
    pub address: IpAddr,
    /// Why: "a private address (10.0.0.0/8)".
    pub rule: &'static str,
}

/// Says which addresses may be connected to.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    allow: Vec<IpNet>,
}

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6(first: u16, second: u16, third: u16, length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(first, second, third, 0, 0, 0, 0, 0), length)
}

/// The first range that holds an address names its rule.
const RULES_V4: [(Ipv4Net, &str); 17] = [
    (v4(0, 0, 0, 0, 8), "an address of this host or network (0.0.0.0/8)"),
    (v4(10, 0, 0, 0, 8), "a private address (10.0.0.0/8)"),
    (v4(100, 64, 0, 0, 10), "a carrier-grade NAT address (100.64.0.0/10)"),
    (v4(127, 0, 0, 0, 8), "a loopback address (127.0.0.0/8)"),
    (v4(169, 254, 0, 0, 16), "a link-local address (169.254.0.0/16)"),
    (v4(172, 16, 0, 0, 12), "a private address (172.16.0.0/12)"),
    (v4(192, 0, 0, 0, 24), "an address of protocols (192.0.0.0/24)"),
    (v4(192, 0, 2, 0, 24), "a documentation address (192.0.2.0/24)"),
    (v4(192, 88, 99, 0, 24), "a 6to4 relay address (192.88.99.0/24)"),
    (v4(192, 168, 0, 0, 16), "a private address (192.168.0.0/16)"),
    (v4(198, 18, 0, 0, 15), "a benchmark address (198.18.0.0/15)"),
    (v4(198, 51, 100, 0, 24), "a documentation address (198.51.100.0/24)"),
    (v4(203, 0, 113, 0, 24), "a documentation address (203.0.113.0/24)"),
    (v4(224, 0, 0, 0, 4), "a multicast address (224.0.0.0/4)"),
    (v4(255, 255, 255, 255, 32), "the broadcast address (255.255.255.255)"),
    (v4(240, 0, 0, 0, 4), "a reserved address (240.0.0.0/4)"),
    // Metadata services of clouds that do not use the link-local range.
    (v4(168, 63, 129, 16, 32), "the address of a cloud's metadata service (168.63.129.16)"),
];

const RULES_V6: [(Ipv6Net, &str); 17] = [
    (v6(0, 0, 0, 128), "the unspecified address (::)"),
    (Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128), "the loopback address (::1)"),
    (v6(0x64, 0xff9b, 1, 48), "a local NAT64 address (64:ff9b:1::/48)"),
    (v6(0x100, 0, 0, 64), "a discard-only address (100::/64)"),
    (v6(0x2001, 0, 0, 32), "a Teredo address (2001::/32)"),
    (v6(0x2001, 2, 0, 48), "a benchmark address (2001:2::/48)"),
    (v6(0x2001, 0x10, 0, 28), "an ORCHID address (2001:10::/28)"),
    (v6(0x2001, 0x20, 0, 28), "an ORCHID address (2001:20::/28)"),
    (v6(0x2001, 0, 0, 23), "an address of protocols (2001::/23)"),
    (v6(0x2001, 0xdb8, 0, 32), "a documentation address (2001:db8::/32)"),
    (v6(0x3fff, 0, 0, 20), "a documentation address (3fff::/20)"),
    (v6(0x5f00, 0, 0, 16), "a segment routing address (5f00::/16)"),
    (v6(0xfc00, 0, 0, 7), "a unique local address (fc00::/7)"),
    (v6(0xfe80, 0, 0, 10), "a link-local address (fe80::/10)"),
    (v6(0xfec0, 0, 0, 10), "a site-local address (fec0::/10)"),
    (v6(0xff00, 0, 0, 8), "a multicast address (ff00::/8)"),
    (v6(0, 0, 0, 8), "a reserved address (::/8)"),
];

/// All that is routed publicly.
const GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 0, 3);

impl Guard {
    /// A guard that also lets the ranges of `allow` through. A range of IPv4 addresses opens the IPv6 forms that embed
    /// them, too.
    pub fn new(allow: Vec<IpNet>) -> Self {
        Guard { allow }
    }

    /// Checks an address that is about to be connected to.
    ///
    /// # Errors
    /// [`Refusal`] with the rule.
    pub fn check(&self, address: IpAddr) -> Result<(), Refusal> {
        let refusal = match address {
            IpAddr::V4(v4) => self.rule_v4(v4),
            IpAddr::V6(v6) => self.rule_v6(v6),
        };
        match refusal {
            Some(rule) => Err(Refusal { address, rule }),
            None => Ok(()),
        }
    }

    fn allows(&self, address: IpAddr) -> bool {
        self.allow.iter().any(|net| net.contains(&address))
    }

    fn rule_v4(&self, address: Ipv4Addr) -> Option<&'static str> {
        if self.allows(address.into()) {
            return None;
        }
        RULES_V4.iter().find(|(net, _)| net.contains(&address)).map(|(_, rule)| *rule)
    }

    fn rule_v6(&self, address: Ipv6Addr) -> Option<&'static str> {
        if self.allows(address.into()) {
            return None;
        }
        match embedded(address) {
            // The packets go to an IPv4 address, so its rules hold and no others.
            Some((inner, Embedding::Translated)) => self.rule_v4(inner),
            // The IPv6 address is a real one as well.
            Some((inner, Embedding::Tunnelled)) => self.rule_v4(inner).or_else(|| plain_v6(address)),
            None => plain_v6(address),
        }
    }
}

fn plain_v6(address: Ipv6Addr) -> Option<&'static str> {
    match RULES_V6.iter().find(|(net, _)| net.contains(&address)) {
        Some((_, rule)) => Some(*rule),
        None if GLOBAL_V6.contains(&address) => None,
        None => Some("not a public address (outside 2000::/3)"),
    }
}

enum Embedding {
    Translated,
    Tunnelled,
}

/// The IPv4 address inside an IPv6 address: IPv4-mapped and -compatible (RFC 4291), IPv4-translated (RFC 2765), NAT64
/// (RFC 6052), 6to4 (RFC 3056), ISATAP (RFC 5214).
fn embedded(address: Ipv6Addr) -> Option<(Ipv4Addr, Embedding)> {
    let s = address.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    let last = join(s[6], s[7]);
    match s {
        // `::` and `::1` have rules of their own.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => {
            Some((last, Embedding::Translated))
        }
        [0x2002, high, low, ..] => Some((join(high, low), Embedding::Tunnelled)),
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] => Some((last, Embedding::Tunnelled)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Address, and the word its rule must contain; none for addresses that are public.
    const TABLE: &[(&str, &str)] = &[
        ("0.0.0.0", "this host"),
        ("0.255.255.255", "this host"),
        ("1.0.0.0", ""),
        ("1.1.1.1", ""),
        ("8.8.8.8", ""),
        ("9.255.255.255", ""),
        ("10.0.0.0", "private"),
        ("10.255.255.255", "private"),
        ("11.0.0.0", ""),
        ("100.63.255.255", ""),
        ("100.64.0.0", "carrier-grade"),
        ("100.127.255.255", "carrier-grade"),
        ("100.128.0.0", ""),
        ("126.255.255.255", ""),
        ("127.0.0.1", "loopback"),
        ("127.255.255.255", "loopback"),
        ("128.0.0.0", ""),
        ("168.63.129.16", "metadata"),
        ("169.253.255.255", ""),
        ("169.254.169.254", "link-local"),
        ("169.255.0.0", ""),
        ("172.15.255.255", ""),
        ("172.16.0.0", "private"),
        ("172.31.255.255", "private"),
        ("172.32.0.0", ""),
        ("192.0.0.8", "protocols"),
        ("192.0.1.0", ""),
        ("192.0.2.1", "documentation"),
        ("192.88.99.1", "6to4 relay"),
        ("192.167.255.255", ""),
        ("192.168.0.0", "private"),
        ("192.168.255.255", "private"),
        ("192.169.0.0", ""),
        ("198.17.255.255", ""),
        ("198.18.0.0", "benchmark"),
        ("198.19.255.255", "benchmark"),
        ("198.20.0.0", ""),
        ("198.51.100.7", "documentation"),
        ("203.0.113.7", "documentation"),
        ("223.255.255.255", ""),
        ("224.0.0.1", "multicast"),
        ("239.255.255.255", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.254", "reserved"),
        ("255.255.255.255", "broadcast"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("::127.0.0.1", "loopback"),
        ("::10.0.0.1", "private"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:169.254.169.254", "link-local"),
        ("::ffff:8.8.8.8", ""),
        ("::ffff:0:192.168.0.1", "private"),
        ("64:ff9b::10.1.2.3", "private"),
        ("64:ff9b::127.0.0.1", "loopback"),
        ("64:ff9b::8.8.8.8", ""),
        ("64:ff9b:1::8.8.8.8", "local NAT64"),
        ("64:ff9b:1:a00:1::", "local NAT64"),
        ("64:ff9b:2::1", "reserved"),
        ("100::1", "discard"),
        ("2001::1", "Teredo"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "Teredo"),
        ("2001:2::1", "benchmark"),
        ("2001:10::1", "ORCHID"),
        ("2001:20::1", "ORCHID"),
        ("2001:1ff::1", "protocols"),
        ("2001:200::1", ""),
        ("2001:db8::1", "documentation"),
        ("2001:4860:4860::8888", ""),
        ("2002:7f00:1::", "loopback"),
        ("2002:0a00:0001::1", "private"),
        ("2002:0808:0808::1", ""),
        ("2606:4700:4700::1111", ""),
        ("2606:4700::5efe:10.0.0.1", "private"),
        ("2606:4700::200:5efe:192.168.1.1", "private"),
        ("2606:4700::5efe:8.8.8.8", ""),
        ("fe80::5efe:8.8.8.8", "link-local"),
        ("3fff::1", "documentation"),
        ("3fff:1000::1", ""),
        ("4000::1", "outside"),
        ("5f00::1", "segment"),
        ("fc00::1", "unique local"),
        ("fdff:ffff::1", "unique local"),
        ("fe80::1", "link-local"),
        ("febf::1", "link-local"),
        ("fec0::1", "site-local"),
        ("ff02::1", "multicast"),
    ];

    #[test]
    fn the_table_of_addresses() {
        assert!(TABLE.len() >= 80);
        for (text, word) in TABLE {
            let address: IpAddr = text.parse().unwrap();
            match (Guard::default().check(address), *word) {
                (Ok(()), "") => {}
                (Err(refusal), word) if !word.is_empty() => {
                    assert!(refusal.rule.contains(word), "{text}: {}", refusal.rule);
                    let shown = refusal.to_string();
                    assert!(shown.contains(SETTING) && shown.contains(refusal.rule), "{shown}");
                }
                (answer, _) => panic!("{text}: {answer:?}"),
            }
        }
    }

    #[test]
    fn the_setting_opens_exactly_its_ranges() {
        let guard = Guard::new(vec!["10.1.0.0/16".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        let table = [
            ("10.1.2.3", true),
            ("10.2.2.3", false),
            ("::ffff:10.1.2.3", true),
            ("::ffff:10.2.2.3", false),
            ("64:ff9b::10.1.2.3", true),
            ("2002:0a01:0203::1", true),
            ("fd12::1", true),
            ("fc12::1", false),
            ("127.0.0.1", false),
            ("::1", false),
        ];
        for (text, open) in table {
            assert_eq!(guard.check(text.parse().unwrap()).is_ok(), open, "{text}");
        }
    }

    #[test]
    fn opening_a_network_does_not_open_what_a_tunnel_leads_through() {
        let guard = Guard::new(vec!["10.0.0.0/8".parse().unwrap()]);
        assert!(guard.check("fe80::5efe:10.0.0.1".parse().unwrap()).is_err());
    }
}
