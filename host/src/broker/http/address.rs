//! Which addresses an endpoint may have.
//!
//! An address is judged by what it reaches, however it is written: an IPv4 address inside of an IPv6 one (mapped, compatible, NAT64, 6to4) is judged as itself.
//! What is not known to be public is not public.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// What an address reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Everybody's network.
    Public,
    /// This machine.
    Loopback,
    /// The site's own network: RFC 1918, carrier-grade NAT, unique local. Services and pods of a cluster live here.
    Private,
    /// The metadata services of clouds, and whatever else is on the same wire.
    LinkLocal,
    /// No single host: unspecified, multicast, broadcast, documentation, reserved.
    Special,
}

impl Kind {
    /// The kind of this address.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => v4(address),
            IpAddr::V6(address) => v6(address),
        }
    }

    /// Whether an endpoint may have such an address. Link-local and special ones never; private ones and loopback only where the environment says `internal: true`.
    pub fn is_admitted(self, internal: bool) -> bool {
        match self {
            Self::Public => true,
            Self::Loopback | Self::Private => internal,
            Self::LinkLocal | Self::Special => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::LinkLocal => "link-local",
            Self::Special => "special",
        })
    }
}

/// Metadata services of clouds that are not at a link-local address: Alibaba, Azure, Oracle.
const METADATA_V4: [Ipv4Addr; 3] = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];

/// The metadata service of AWS, in a range that is otherwise private.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

fn v4(address: Ipv4Addr) -> Kind {
    if METADATA_V4.contains(&address) {
        return Kind::LinkLocal;
    }
    match address.octets() {
        [127, ..] => Kind::Loopback,
        [169, 254, ..] => Kind::LinkLocal,
        [10, ..] | [192, 168, ..] => Kind::Private,
        [172, second, ..] if (16..32).contains(&second) => Kind::Private,
        [100, second, ..] if (64..128).contains(&second) => Kind::Private,
        // This network, protocol assignments, documentation, the old 6to4 relay, benchmarking, multicast and reserved.
        [0 | 224..=255, ..] | [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [192, 88, 99, _] | [198, 18 | 19, ..] => {
            Kind::Special
        }
        _ => Kind::Public,
    }
}

fn v6(address: Ipv6Addr) -> Kind {
    if address == METADATA_V6 {
        return Kind::LinkLocal;
    }
    let embedded = |high: u16, low: u16| v4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Kind::Loopback,
        [0, 0, 0, 0, 0, 0, 0, 0] => Kind::Special,
        // Compatible, mapped, translated (SIIT), NAT64, 6to4.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => embedded(high, low),
        // Teredo, ORCHID, documentation: no hosts that anybody serves from.
        [0x2001, second, ..] if second < 0x200 || second == 0xdb8 => Kind::Special,
        [0x3fff, second, ..] if second < 0x1000 => Kind::Special,
        [first, ..] if first & 0xffc0 == 0xfe80 => Kind::LinkLocal,
        // Unique local, and the site-local addresses that were before.
        [first, ..] if first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfec0 => Kind::Private,
        // Only 2000::/3 is handed out. The rest, local NAT64 prefixes included, reaches who knows what.
        [first, ..] if first & 0xe000 == 0x2000 => Kind::Public,
        _ => Kind::Special,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(expected: Kind, addresses: &[&str]) {
        for address in addresses {
            assert_eq!(Kind::of(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn addresses_are_judged_by_what_they_reach() {
        kinds(
            Kind::Public,
            &["1.1.1.1", "140.82.121.6", "172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1", "192.0.1.1", "223.255.255.254"],
        );
        kinds(Kind::Public, &["2606:4700:4700::1111", "2a00:1450::1", "2001:4860:4860::8888", "2620:fe::fe"]);
        kinds(Kind::Loopback, &["127.0.0.1", "127.255.255.254", "::1"]);
        kinds(
            Kind::Private,
            &["10.0.0.1", "10.96.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "fd12:3456::1", "fc00::1", "fec0::1"],
        );
        kinds(Kind::LinkLocal, &["169.254.0.1", "169.254.169.254", "fe80::1", "febf::1"]);
        kinds(
            Kind::Special,
            &["0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.51.100.1", "203.0.113.9", "198.18.0.1"],
        );
        kinds(Kind::Special, &["::", "ff02::1", "2001:db8::1", "2001::1", "3fff::1", "100::1", "64:ff9b:1::a00:1", "4000::1"]);
    }

    #[test]
    fn an_address_inside_of_another_is_judged_as_itself() {
        kinds(Kind::Loopback, &["::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::127.0.0.1", "2002:7f00:1::", "::ffff:0:127.0.0.1"]);
        kinds(Kind::Private, &["::ffff:10.0.0.1", "::10.96.0.1", "64:ff9b::192.168.0.1", "2002:a00:1::1"]);
        kinds(Kind::LinkLocal, &["::ffff:169.254.169.254", "::169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::"]);
        kinds(Kind::Public, &["::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2002:101:101::"]);
        kinds(Kind::Special, &["::ffff:0.0.0.0", "::ffff:255.255.255.255"]);
    }

    #[test]
    fn metadata_services_are_never_reached_wherever_they_are() {
        kinds(Kind::LinkLocal, &["100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "::ffff:100.100.100.200"]);
        kinds(Kind::Private, &["100.100.100.201", "fd00:ec2::253"]);
    }

    #[test]
    fn internal_admits_what_is_local_but_never_link_local() {
        let admitted = |internal: bool| {
            [Kind::Public, Kind::Loopback, Kind::Private, Kind::LinkLocal, Kind::Special].map(|kind| kind.is_admitted(internal))
        };
        assert_eq!(admitted(false), [true, false, false, false, false]);
        assert_eq!(admitted(true), [true, true, true, false, false]);
    }
}
