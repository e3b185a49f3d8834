//! An error and everything behind it, as one line: the outermost alone says little, and some repeat what is behind them.

/// The texts of an error and of its causes, without those that were said already.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut behind = error.source();
    while let Some(cause) = behind {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        behind = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{says}")]
    struct Layer {
        says: &'static str,
        source: Option<Box<Layer>>,
    }

    #[test]
    fn every_cause_is_told_once() {
        let inner = Layer { says: "connection refused", source: None };
        let middle = Layer { says: "connect: connection refused", source: Some(Box::new(inner)) };
        let outer = Layer { says: "the request failed", source: Some(Box::new(middle)) };
        assert_eq!(causes(&outer), "the request failed: connect: connection refused");
    }
}
