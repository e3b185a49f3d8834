//! Label and field selectors, as `kubectl` takes them.

use serde_json::Value;

use crate::{Error, Result};

/// Whether the object's labels match.
pub(super) fn labels_match(object: &Value, selector: &str) -> Result<bool> {
    let label = |key: &str| object.pointer("/metadata/labels").and_then(|labels| labels.get(key)).and_then(Value::as_str);
    for requirement in split(selector) {
        let holds = if let Some((key, values)) = set(requirement, " notin ") {
            label(key).is_none_or(|value| !values.contains(&value))
        } else if let Some((key, values)) = set(requirement, " in ") {
            label(key).is_some_and(|value| values.contains(&value))
        } else if let Some((key, value)) = requirement.split_once("!=") {
            label(key.trim()) != Some(value.trim())
        } else if let Some((key, value)) = requirement.split_once("==").or_else(|| requirement.split_once('=')) {
            label(key.trim()) == Some(value.trim())
        } else if let Some(key) = requirement.strip_prefix('!') {
            label(key.trim()).is_none()
        } else {
            label(requirement).is_some()
        };
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether the object's fields match.
pub(super) fn fields_match(object: &Value, selector: &str) -> Result<bool> {
    for requirement in split(selector) {
        let (path, value, equal) = if let Some((path, value)) = requirement.split_once("!=") {
            (path, value, false)
        } else if let Some((path, value)) = requirement.split_once("==").or_else(|| requirement.split_once('=')) {
            (path, value, true)
        } else {
            return Err(Error::Invalid(format!("`{requirement}` is not a field selector; write `status.phase=Running`")));
        };
        let path = path.trim();
        if path == "metadata.namespace" {
            return Err(Error::Invalid("`metadata.namespace` is not a field selector: the namespace is a field of the query".to_owned()));
        }
        let found = path.split('.').try_fold(object, |value, key| value.get(key));
        let text = match found {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        if (text == value.trim()) != equal {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Splits at commas outside of parentheses.
fn split(selector: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_u32;
    selector
        .split(move |c| {
            match c {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            c == ',' && depth == 0
        })
        .map(str::trim)
        .filter(|requirement| !requirement.is_empty())
}

fn set<'a>(requirement: &'a str, operator: &str) -> Option<(&'a str, Vec<&'a str>)> {
    let (key, values) = requirement.split_once(operator)?;
    let values = values.trim().strip_prefix('(')?.strip_suffix(')')?;
    Some((key.trim(), values.split(',').map(str::trim).collect()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{fields_match, labels_match};

    #[test]
    fn labels_match_as_in_kubectl() {
        let pod = json!({ "metadata": { "labels": { "app": "web", "tier": "front" } } });
        for (selector, expected) in [
            ("", true),
            ("app=web", true),
            ("app==web,tier=front", true),
            ("app=db", false),
            ("app!=db", true),
            ("app in (web, db),tier", true),
            ("app notin (web,db)", false),
            ("!app", false),
            ("!zone", true),
            ("zone", false),
        ] {
            assert_eq!(labels_match(&pod, selector), Ok(expected), "{selector}");
        }
    }

    #[test]
    fn fields_match_by_path() {
        let pod = json!({ "metadata": { "name": "web" }, "status": { "phase": "Running" }, "spec": {} });
        for (selector, expected) in
            [("status.phase=Running", true), ("metadata.name==db", false), ("status.phase!=Running", false), ("spec.nodeName=", true)]
        {
            assert_eq!(fields_match(&pod, selector), Ok(expected), "{selector}");
        }
        assert!(fields_match(&pod, "metadata.namespace=other").is_err());
        assert!(fields_match(&pod, "status.phase").is_err());
    }
}
