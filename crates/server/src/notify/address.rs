//! Which addresses a webhook may be at: never this machine or its network, unless somebody said so.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where an address leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Anywhere on the Internet.
    Public,
    /// This machine or a private network: only if that was allowed.
    Private,
    /// Where no webhook can be: a cloud's metadata service, a group, nothing at all.
    Never,
}

/// Says where an address leads. An IPv6 address that stands for an IPv4 address leads where that does.
pub(super) fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach4(address),
        IpAddr::V6(address) => reach6(address),
    }
}

/// Special blocks: <https://www.iana.org/assignments/iana-ipv4-special-registry>. Azure's metadata service has an address of its own.
fn reach4(address: Ipv4Addr) -> Reach {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        (10, ..) | (127, ..) | (172, 16..=31, _) | (192, 168, _) | (100, 64..=127, _) if address != Ipv4Addr::new(100, 100, 100, 200) => {
            Reach::Private
        }
        // Link-local, where clouds put their metadata; and Alibaba's and Azure's, elsewhere.
        (169, 254, _) | (100, 100, 100) => Reach::Never,
        (168, 63, 129) if address == Ipv4Addr::new(168, 63, 129, 16) => Reach::Never,
        (0, ..) | (192, 0, 0 | 2) | (192, 88, 99) | (198, 18 | 19, _) | (198, 51, 100) | (203, 0, 113) | (224.., ..) => Reach::Never,
        _ => Reach::Public,
    }
}

/// Special blocks: <https://www.iana.org/assignments/iana-ipv6-special-registry>.
fn reach6(address: Ipv6Addr) -> Reach {
    let s = address.segments();
    let v4 = |high: u16, low: u16| reach4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    if let Some(mapped) = address.to_ipv4_mapped() {
        return reach4(mapped);
    }
    match s {
        [0, 0, 0, 0, 0, 0, 0, 1] => Reach::Private,
        [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254] => Reach::Never,
        [0xfc00..=0xfdff, ..] => Reach::Private,
        // NAT64 (RFC 6052, section 2.1) and 6to4 (RFC 3056, section 2) carry the IPv4 address that they lead to.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        // A site's own NAT64 (RFC 8215) may put it anywhere.
        [0x64, 0xff9b, ..] => Reach::Never,
        // Teredo, benchmarks, documentation and the like.
        [0x2001, 0..=0x01ff, ..] | [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => Reach::Never,
        [0x2000..=0x3fff, ..] => Reach::Public,
        // Only 2000::/3 is handed out: all else is link-local, a group, an IPv4 address in an old form, or nothing.
        _ => Reach::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_leads_where_the_table_says() {
        let table = [
            (Reach::Public, "8.8.8.8 1.1.1.1 100.63.255.255 100.128.0.1 172.15.0.1 172.32.0.1 192.167.1.1 169.253.1.1 168.63.129.15"),
            (Reach::Public, "11.0.0.1 126.255.255.255 128.0.0.1 223.255.255.255 198.17.0.1 198.20.0.1 203.0.114.1"),
            (Reach::Private, "10.0.0.1 10.255.255.255 127.0.0.1 127.255.255.254 172.16.0.1 172.31.255.255 192.168.0.1 192.168.255.255"),
            (Reach::Private, "100.64.0.1 100.127.255.255 ::1 fc00::1 fdff::1 fd12:3456::1"),
            (Reach::Never, "0.0.0.0 0.1.2.3 169.254.0.1 169.254.169.254 169.254.170.2 100.100.100.200 168.63.129.16 192.0.0.192"),
            (Reach::Never, "192.0.2.1 192.88.99.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.1.1.1 240.0.0.1"),
            (Reach::Never, "255.255.255.255 :: fe80::1 febf::1 fec0::1 ff02::1 fd00:ec2::254 100::1 2001:db8::1 2001::1 2001:10::1"),
            (Reach::Never, "3fff::1 5f00::1 ::127.0.0.1 ::8.8.8.8 64:ff9b:1::1 64:ff9b:1::8.8.8.8 4000::1"),
            (Reach::Public, "2606:4700:4700::1111 2001:4860:4860::8888 2400:cb00::1 ::ffff:8.8.8.8 64:ff9b::8.8.8.8 2002:808:808::1"),
            (Reach::Private, "::ffff:127.0.0.1 ::ffff:10.0.0.1 64:ff9b::10.0.0.1 64:ff9b::127.0.0.1 2002:7f00:1::1 2002:c0a8:1::1"),
            (Reach::Private, "::ffff:100.64.0.1 ::ffff:192.168.1.1"),
            (Reach::Never, "::ffff:169.254.169.254 64:ff9b::169.254.169.254 2002:a9fe:a9fe::1 ::ffff:0.0.0.0 64:ff9b::e000:1"),
        ];
        for (expected, addresses) in table {
            for address in addresses.split(' ') {
                assert_eq!(reach(address.parse().unwrap()), expected, "{address}");
            }
        }
    }
}
