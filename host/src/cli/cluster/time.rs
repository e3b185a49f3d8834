//! What time the API server has.

use http::header::DATE;
use jiff::{SignedDuration, Timestamp};
use kube::client::Body;

use super::{Ask, Cluster, Scope, Trouble};

/// How far apart the clocks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// The API server's time when it answered, in whole seconds.
    pub server: Timestamp,
    /// How far this machine's clock is ahead of it, as far as that can be told from whole seconds and the time that the answer took.
    pub ahead: SignedDuration,
}

impl Clocks {
    /// From the times around a request and the date of its answer. An answer that took long, or the fraction of a second that its date leaves out, is no skew.
    pub fn of(asked: Timestamp, date: Timestamp, answered: Timestamp) -> Self {
        let second = SignedDuration::from_secs(1);
        let (least, most) = (asked.duration_since(date) - second, answered.duration_since(date));
        let zero = SignedDuration::ZERO;
        let ahead = if least > zero { least } else { most.min(zero) };
        Self { server: date, ahead }
    }
}

impl Cluster {
    /// Asks the API server for anything, and looks at the date of its answer.
    pub async fn clocks(&self) -> Result<Clocks, Trouble> {
        let ask = Ask::of::<k8s_openapi::api::core::v1::Namespace>("get", &Scope::All);
        let silent = |why: &str| Trouble::Unreachable(self.url.clone(), why.to_owned());
        let request = http::Request::get("/version").body(Body::empty()).map_err(|error| silent(&error.to_string()))?;
        let asked = Timestamp::now();
        let response = self.ask(&ask, self.client.send(request)).await?;
        let answered = Timestamp::now();
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()).ok_or_else(|| silent("its answer has no date"))?;
        Ok(Clocks::of(asked, date.timestamp(), answered))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).unwrap()
    }

    #[test]
    fn neither_a_slow_answer_nor_a_fraction_of_a_second_is_a_skew() {
        let ahead = |asked, date, answered| Clocks::of(at(asked), at(date), at(answered)).ahead.as_millis();
        assert_eq!(ahead(10_100, 10_000, 10_200), 0);
        assert_eq!(ahead(10_900, 10_000, 11_800), 0);
        assert_eq!(ahead(5_000, 10_000, 12_000), 0, "it may have answered at any time in between");
        assert_eq!(ahead(70_500, 10_000, 70_600), 59_500);
        assert_eq!(ahead(10_000, 70_000, 10_100), -59_900);
    }
}
