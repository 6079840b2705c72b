//! Balancers in front of a listener, which tell who their clients are.

use std::net::IpAddr;

use crate::admission::acl::Networks;
use crate::config::model::AcceptProxy;

/// Where a listener's connections come from.
#[derive(Debug)]
pub struct Balancers {
    from: Networks,
    required: bool,
}

/// What a connection has to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// Whatever the client sends.
    Data,
    /// A PROXY header.
    Header,
    /// Nothing: it is not to be there.
    Refused,
}

impl Balancers {
    /// What a listener's config says.
    pub fn new(config: &AcceptProxy) -> Self {
        Self { from: Networks::new(&config.from), required: config.required }
    }

    /// What a connection from this address has to begin with.
    pub fn beginning(&self, peer: IpAddr) -> Beginning {
        match (self.from.contain(peer), self.required) {
            (true, _) => Beginning::Header,
            (false, true) => Beginning::Refused,
            (false, false) => Beginning::Data,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balancers_begin_with_a_header_and_others_as_the_file_says() {
        for (required, others) in [(true, Beginning::Refused), (false, Beginning::Data)] {
            let balancers = Balancers::new(&AcceptProxy { from: vec!["10.0.0.0/8".parse().unwrap()], required });
            assert_eq!(balancers.beginning("10.1.2.3".parse().unwrap()), Beginning::Header);
            assert_eq!(balancers.beginning("::ffff:10.1.2.3".parse().unwrap()), Beginning::Header);
            assert_eq!(balancers.beginning("11.0.0.1".parse().unwrap()), others);
        }
    }
}
