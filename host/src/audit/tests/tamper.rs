//! Every kind of tampering is found, and the first bad entry is named.

use serde_json::{Value, json};

use super::support::{Desk, closed, judged};
use crate::audit::{
    AuditKey, Document, bound, chain,
    verify::{Answer, verify},
};

/// Every pointer to a member or item.
fn pointers(value: &Value, at: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                out.push(format!("{at}/{name}"));
                pointers(member, &format!("{at}/{name}"), out);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                out.push(format!("{at}/{index}"));
                pointers(item, &format!("{at}/{index}"), out);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Other values that could stand there.
fn variants(value: &Value) -> Vec<Value> {
    match value {
        Value::String(text) => {
            let mut variants = vec![json!(format!("{text}x")), json!("")];
            for at in [0, text.len() / 2, text.len().saturating_sub(1)] {
                if let Some(byte) = text.as_bytes().get(at).copied().filter(u8::is_ascii) {
                    let other = if byte == b'1' { '2' } else { '1' };
                    variants.push(json!(format!("{}{other}{}", &text[..at], &text[at + 1..])));
                }
            }
            variants
        }
        Value::Number(number) => vec![json!(number.as_i64().unwrap() + 1)],
        Value::Bool(flag) => vec![json!(!flag)],
        Value::Array(items) => {
            let mut shorter = items.clone();
            shorter.pop();
            let mut longer = items.clone();
            longer.extend(items.last().cloned());
            let mut turned = items.clone();
            turned.reverse();
            vec![json!(shorter), json!(longer), json!(turned)]
        }
        Value::Object(_) => {
            let mut more = value.clone();
            more["unheard"] = json!("of");
            vec![more]
        }
        Value::Null => vec![json!(1)],
    }
}

fn refuted(value: &Value, desk: &Desk, what: &str) -> Option<usize> {
    match judged(value, &desk.public()) {
        None => None,
        Some(report) => {
            assert!(report.refuted(), "{what} was not found: {report:?}");
            report.first_bad.map(|bad| bad.seq)
        }
    }
}

#[tokio::test]
async fn any_change_of_any_field_is_found_and_its_entry_named() {
    let desk = Desk::open(bound::ENTRIES).await;
    let honest = closed(&desk).await;
    assert!(!judged(&honest, &desk.public()).unwrap().refuted());
    let mut all = Vec::new();
    pointers(&honest, "", &mut all);
    assert!(all.len() > 120, "{}", all.len());
    for pointer in &all {
        let mut changed: Vec<Value> =
            variants(honest.pointer(pointer).unwrap()).into_iter().filter(|value| Some(value) != honest.pointer(pointer)).collect();
        changed.push(Value::Null);
        for variant in changed {
            // Other metadata is not covered, and says so.
            if pointer == "/metadata" && variant.get("unheard").is_some() {
                continue;
            }
            let mut value = honest.clone();
            *value.pointer_mut(pointer).unwrap() = variant.clone();
            let bad = refuted(&value, &desk, &format!("{pointer} = {variant}"));
            let mut parts = pointer.split('/').skip(1);
            if let (Some("status"), Some("actions"), Some(seq), Some(_)) = (parts.next(), parts.next(), parts.next(), parts.next())
                && let Some(bad) = bad
            {
                assert_eq!(bad.to_string(), seq, "{pointer} = {variant}");
            }
        }
        // Without the member at all.
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let mut value = honest.clone();
        if let Some(Value::Object(members)) = value.pointer_mut(parent) {
            members.remove(name);
            refuted(&value, &desk, &format!("{pointer} removed"));
        }
    }
}

#[tokio::test]
async fn entries_swapped_dropped_repeated_or_appended_are_found_at_their_place() {
    let desk = Desk::open(bound::ENTRIES).await;
    let honest = closed(&desk).await;
    let entries = honest["status"]["actions"].as_array().unwrap().clone();
    let with = |entries: Vec<Value>| {
        let mut value = honest.clone();
        value["status"]["actions"] = json!(entries);
        value
    };
    for first in 0..entries.len() {
        let mut dropped = entries.clone();
        dropped.remove(first);
        let last = first + 1 == entries.len();
        assert_eq!(refuted(&with(dropped), &desk, "dropped"), if last { None } else { Some(first) });
        assert_eq!(refuted(&with(entries[..first].to_vec()), &desk, "cut"), None);
        let mut repeated = entries.clone();
        repeated.insert(first, entries[first].clone());
        assert_eq!(refuted(&with(repeated), &desk, "repeated"), Some(first + 1));
        for second in first + 1..entries.len() {
            let mut swapped = entries.clone();
            swapped.swap(first, second);
            assert_eq!(refuted(&with(swapped.clone()), &desk, "swapped"), Some(first));
            // Numbers put right again.
            for (seq, entry) in swapped.iter_mut().enumerate() {
                entry["seq"] = json!(seq);
            }
            assert_eq!(refuted(&with(swapped), &desk, "swapped and renumbered"), Some(first));
        }
    }
    let mut forged = entries.last().unwrap().clone();
    forged["seq"] = json!(entries.len());
    let hash =
        chain::intent(entries.last().unwrap()["intentHash"].as_str().unwrap(), &chain::intent_text(forged.as_object().unwrap()).unwrap());
    forged["intentHash"] = json!(hash);
    forged["outcomeHash"] = json!(chain::outcome(&hash, &chain::outcome_text(forged.as_object().unwrap()).unwrap()));
    let appended = with(entries.iter().cloned().chain([forged]).collect());
    assert_eq!(refuted(&appended, &desk, "appended with right hashes"), None);
    assert!(judged(&appended, &desk.public()).unwrap().consistent.is_no());
}

#[tokio::test]
async fn a_reopened_record_is_found() {
    let desk = Desk::open(bound::ENTRIES).await;
    let honest = closed(&desk).await;
    let mut running = honest.clone();
    running["status"]["phase"] = json!("Running");
    assert!(judged(&running, &desk.public()).unwrap().consistent.is_no());
    running["status"].as_object_mut().unwrap().remove("head");
    let report = judged(&running, &desk.public()).unwrap();
    assert!(report.authentic.is_no() && report.complete.is_no(), "{report:?}");
    let mut headless = honest.clone();
    headless["status"].as_object_mut().unwrap().remove("head");
    assert!(judged(&headless, &desk.public()).unwrap().consistent.is_no());
    let mut intended = honest;
    let entry = intended["status"]["actions"][2].as_object_mut().unwrap();
    for name in ["outcomeHash", "result"] {
        entry.remove(name);
    }
    entry.insert("status".to_owned(), json!("intended"));
    assert!(judged(&intended, &desk.public()).unwrap().consistent.is_no());
}

/// Everything that can be recomputed without the key.
fn recompute(value: &mut Value) {
    let mut previous = chain::run(value).unwrap();
    for entry in value["status"]["actions"].as_array_mut().unwrap() {
        let hash = chain::intent(&previous, &chain::intent_text(entry.as_object().unwrap()).unwrap());
        entry["intentHash"] = json!(hash);
        entry["outcomeHash"] = json!(chain::outcome(&hash, &chain::outcome_text(entry.as_object().unwrap()).unwrap()));
        previous = hash;
    }
    value["status"]["head"]["hash"] = json!(chain::head(value).unwrap());
}

#[tokio::test]
async fn a_record_with_all_hashes_recomputed_is_consistent_but_not_authentic_and_not_the_expected_one() {
    let desk = Desk::open(bound::ENTRIES).await;
    let honest = closed(&desk).await;
    let mut forged = honest.clone();
    forged["status"]["actions"][3]["status"] = json!("executed");
    recompute(&mut forged);
    let document = Document::from_value(forged.clone()).unwrap();
    let report = verify(&document, Some(&desk.public()), honest["status"]["head"]["hash"].as_str());
    assert!(matches!(report.consistent, Answer::Yes(_)), "{report:?}");
    assert!(report.authentic.is_no() && report.complete.is_no(), "{report:?}");
    let blind = verify(&document, None, None);
    assert!(!blind.refuted() && matches!(blind.authentic, Answer::NotChecked(_)) && matches!(blind.complete, Answer::NotChecked(_)));

    // Signed anew with a key of the forger's own.
    let own = AuditKey::generate().unwrap();
    let hash = forged["status"]["head"]["hash"].as_str().unwrap().to_owned();
    forged["status"]["head"]["signature"] = json!(own.sign(&chain::signed_text(&hash)));
    forged["status"]["head"]["keyId"] = json!(own.id());
    let report = judged(&forged, &desk.public()).unwrap();
    assert!(matches!(&report.authentic, Answer::No(why) if why.contains(&own.id())), "{report:?}");
    forged["status"]["head"]["keyId"] = json!(desk.key.id());
    assert!(judged(&forged, &desk.public()).unwrap().authentic.is_no());
    forged["status"]["head"].as_object_mut().unwrap().remove("signature");
    assert_eq!(judged(&forged, &desk.public()).unwrap().authentic, Answer::No("it is not signed".to_owned()));
}

#[tokio::test]
async fn the_signature_or_the_entries_of_another_run_are_found() {
    let (one, two) = (Desk::open(bound::ENTRIES).await, Desk::open(bound::ENTRIES).await);
    let (first, mut second) = (closed(&one).await, closed(&two).await);
    second["status"]["head"] = first["status"]["head"].clone();
    assert!(judged(&second, &one.public()).unwrap().consistent.is_no());

    let mut elsewhere = first.clone();
    elsewhere["metadata"]["uid"] = json!("run-9");
    assert_eq!(judged(&elsewhere, &one.public()).unwrap().first_bad.unwrap().seq, 0);
    recompute(&mut elsewhere);
    let report = judged(&elsewhere, &one.public()).unwrap();
    assert!(matches!(report.consistent, Answer::Yes(_)) && report.authentic.is_no(), "{report:?}");
}
