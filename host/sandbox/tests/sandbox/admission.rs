//! Every reason against a component, and the honest neighbour of each.

use infraagent_sandbox::{
    admission::{self, Refusal},
    compiled,
    engine::Engine,
    instance::Skill,
    manifest::{self, MAX_COMPONENT, SECTION},
};
use serde_json::json;

use crate::support::{ENGINE, GET, LOG, RESTART, SITE, STATE_PUT, every_action, guest, manifest, packed};

fn codes(component: &[u8]) -> Vec<&'static str> {
    admission::admit(component).err().unwrap_or_default().iter().map(|refusal| refusal.code).collect()
}

/// A component in text, with a manifest whose sheet declares everything.
fn text(fields: &str) -> Vec<u8> {
    let component = wat::parse_str(format!("(component {fields})")).unwrap_or_else(|error| panic!("{error}\n{fields}"));
    packed(&component)
}

#[test]
fn what_a_component_may_not_import_is_refused() {
    let instance = |name: &str| format!(r#"(import "{name}" (instance))"#);
    let table = [
        ("import-not-allowed", instance("wasi:sockets/tcp@0.2.6")),
        ("import-not-allowed", instance("wasi:http/outgoing-handler@0.2.6")),
        ("import-not-allowed", instance("infraagent:skill/log@0.1.999")),
        ("import-not-allowed", instance("infraagent:skill/log@0.2.0")),
        ("import-not-allowed", instance("infraagent:skill/log")),
        ("import-not-allowed", instance("evil:skill/log@0.1.0")),
        ("import-not-allowed", r#"(import "evil:types/only@0.1.0" (instance (export "t" (type (sub resource)))))"#.to_owned()),
        ("import-not-allowed", r#"(import "free" (func))"#.to_owned()),
        ("import-not-allowed", r#"(import "free" (core module))"#.to_owned()),
        ("import-not-allowed", r#"(import "free" (component))"#.to_owned()),
        ("import-not-allowed", r#"(import "free" (type (sub resource)))"#.to_owned()),
        ("import-not-allowed", r#"(import "url=<https://evil.example/x.wasm>" (component))"#.to_owned()),
        ("unknown-interface", instance("infraagent:skill/data-mutation@0.1.0")),
        ("unknown-interface", instance("infraagent:skill/skill@0.1.0")),
        ("unknown-function", r#"(import "infraagent:skill/log@0.1.0" (instance (export "erase" (func))))"#.to_owned()),
        ("unknown-function", r#"(import "infraagent:skill/types@0.1.0" (instance (export "get" (func))))"#.to_owned()),
        ("export-missing", String::new()),
        ("export-not-allowed", r#"(instance $i) (export "wasi:cli/run@0.2.6" (instance $i))"#.to_owned()),
    ];
    for (code, fields) in table {
        let found = codes(&text(&fields));
        assert!(found.contains(&code), "{fields}: {found:?}");
    }
    // A function under an interface's name, whether validation or admission sees it first.
    assert!(!codes(&text(r#"(import "infraagent:skill/log@0.1.0" (func))"#)).is_empty());
}

#[test]
fn imported_functions_stay_within_the_sheet() {
    let look = json!({ "id": "look", "kubernetes": { "verb": "list", "resources": ["pods"], "namespaces": ["*"] } });
    let pack = |imports: &str, actions: &[serde_json::Value], state| {
        manifest::append(&guest(imports, "", ""), &manifest(actions, state)).expect("a manifest")
    };
    assert_eq!(codes(&pack(RESTART, &[], false)), ["import-not-declared"]);
    assert_eq!(codes(&pack(GET, std::slice::from_ref(&look), false)), ["import-not-declared"], "list is declared, get is imported");
    assert_eq!(codes(&pack(STATE_PUT, &[], false)), ["state-not-declared"]);
    assert_eq!(codes(&pack(&[RESTART, STATE_PUT].concat(), &[look], false)), ["import-not-declared", "state-not-declared"]);

    let honest = admission::admit(&pack(&[RESTART, STATE_PUT, GET, LOG, SITE].concat(), &every_action(), true)).expect("admitted");
    let imports: Vec<String> = honest.imports().iter().map(|(interface, function)| format!("{interface}.{function}")).collect();
    assert_eq!(imports, ["kubernetes-read.get", "kubernetes-service-mutation.restart", "log.emit", "site.describe", "state.put"]);
    assert_eq!((honest.warnings(), honest.is_compat()), (&[][..], false));
    assert!(honest.digest().starts_with("sha256:") && honest.digest().len() == 71);
}

#[test]
fn what_is_declared_and_never_used_is_only_a_warning() {
    let component = manifest::append(&guest("", "", ""), &manifest(&every_action(), true)).expect("a manifest");
    let warnings = admission::admit(&component).expect("admitted").warnings().to_vec();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(
        warnings.iter().any(|warning| warning.contains("`restart-it`")) && warnings.iter().any(|warning| warning.contains("state: true"))
    );
}

#[test]
fn an_export_that_nobody_calls_is_only_a_warning() {
    // What componentize-py leaves in each component, beside the export of the contract.
    let skill = r#"(instance $i) (export "infraagent:skill/skill@0.1.0" (instance $i)) (export "exports" (instance $i))"#;
    let warnings = admission::admit(&text(skill)).expect("admitted").warnings().to_vec();
    assert!(warnings.iter().any(|warning| warning.contains("`exports` is not part of the contract")), "{warnings:?}");
    assert_eq!(codes(&text(r#"(instance $i) (export "exports" (instance $i))"#)), ["export-missing"]);
}

#[test]
fn all_reasons_are_named_at_once() {
    let component = wat::parse_str(
        r#"(component
            (import "wasi:sockets/tcp@0.2.6" (instance))
            (import "infraagent:skill/data-mutation@0.1.0" (instance))
            (import "infraagent:skill/log@0.1.0" (instance (export "erase" (func)))))"#,
    )
    .expect("text");
    assert_eq!(codes(&component), ["manifest-missing", "import-not-allowed", "unknown-interface", "unknown-function", "export-missing"]);
}

#[test]
fn bytes_that_are_no_component_or_a_bomb_are_refused_before_anything_else() {
    let sections = |count: usize| [&b"\0asm\x0d\0\x01\0"[..], &[0, 2, 1, b'x'].repeat(count)].concat();
    let nested = (0..6).fold(String::new(), |inner, _| format!("(component {inner})"));
    let table: Vec<(&str, Vec<u8>)> = vec![
        ("not-a-component", b"#!/bin/sh\n".to_vec()),
        ("not-a-component", b"\0asm\x01\0\0\0".to_vec()),
        ("not-a-component", [&b"\0asm\x0d\0\x01\0"[..], &[7, 200, 1]].concat()),
        ("not-a-component", vec![]),
        ("component-too-large", [&b"\0asm\x0d\0\x01\0"[..], &vec![0; MAX_COMPONENT]].concat()),
        ("too-complex", sections(5000)),
        ("too-complex", wat::parse_str(format!("(component {})", "(core module)".repeat(65))).expect("text")),
        ("too-complex", wat::parse_str(format!("(component {nested})")).expect("text")),
    ];
    for (code, bytes) in table {
        assert_eq!(codes(&bytes).first(), Some(&code), "{} bytes", bytes.len());
    }
    assert_eq!(
        codes(&wat::parse_str(format!("(component {})", "(core module)".repeat(60))).expect("text")),
        ["manifest-missing", "export-missing"]
    );
}

/// A number as binaries have it.
fn number(mut n: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while n >= 128 {
        bytes.push((n % 128) as u8 | 128);
        n /= 128;
    }
    bytes.push(n as u8);
    bytes
}

/// A section with a list: how many items it says that it has, and their bytes.
fn section(id: u8, count: usize, items: &[u8]) -> Vec<u8> {
    let count = number(count);
    [vec![id], number(count.len() + items.len()), count, items.to_vec()].concat()
}

/// A component of core modules, then of further sections.
fn of_modules(modules: &[Vec<u8>], more: &[u8]) -> Vec<u8> {
    let modules = modules.iter().flat_map(|sections| {
        let module = [&b"\0asm\x01\0\0\0"[..], sections].concat();
        [vec![1], number(module.len()), module].concat()
    });
    b"\0asm\x0d\0\x01\0".iter().copied().chain(modules).chain(more.iter().copied()).collect()
}

#[test]
fn declarations_are_counted_over_all_levels_before_they_are_read() {
    let types = |count: usize| section(1, count, &[0x60, 0, 0].repeat(count));
    let group = [vec![0x4e], number(600_000), [0x5f, 0].repeat(600_000)].concat();
    let exports = |each: &[u8]| [vec![1], number(60_000), each.repeat(60_000)].concat().repeat(2);
    let declarations = [vec![0x42], number(300_000), [1, 0x40, 0, 1, 0].repeat(300_000)].concat();
    let table: Vec<(&str, Vec<u8>)> = vec![
        ("other items", of_modules(&[types(60_000), types(60_000)], &[])),
        ("other items", of_modules(&[section(1, 4_000_000_000, &[0x60, 0, 0])], &[])),
        ("other items", of_modules(&[section(2, 100_001, &[0])], &[])),
        ("other items", of_modules(&[], &section(2, 2, &exports(&[0, 0, 0])))),
        ("other items", of_modules(&[], &section(5, 2, &exports(&[0, 0, 1, 0])))),
        ("functions", of_modules(&[[types(1), section(3, 200_001, &[0].repeat(200_001))].concat()], &[])),
        ("bytes of types", of_modules(&[section(1, 1, &group)], &[])),
        ("bytes of types", of_modules(&[], &section(7, 1, &declarations))),
    ];
    for (what, bytes) in table {
        let refusals = admission::admit(&bytes).expect_err("a bomb");
        assert!(refusals[0].code == "too-complex" && refusals[0].message.contains(what), "{what}: {refusals:?}");
    }
    assert_eq!(codes(&of_modules(&[types(45_000), types(45_000)], &[])), ["manifest-missing", "export-missing"]);
}

#[test]
fn a_manifest_counts_only_at_the_top_and_only_once() {
    let inner = packed(&guest("", "", ""));
    let hidden: String = inner.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let nested = wat::parse_str(format!("(component (component binary \"{hidden}\"))"));
    if let Ok(nested) = nested {
        assert!(codes(&nested).contains(&"manifest-missing"));
    }
    let twice = [inner.clone(), inner[guest("", "", "").len()..].to_vec()].concat();
    assert_eq!(codes(&twice), ["manifest-duplicate"]);
    assert!(SECTION.starts_with("infraagent:"));
}

#[test]
fn a_component_that_lies_about_a_function_is_stopped_by_the_linker() {
    // The name is right, the signature is not: admission knows names, the linker knows types.
    let lie = text(
        r#"(import "infraagent:skill/log@0.1.0" (instance (export "emit" (func (param "x" u32)))))
           (instance $i) (export "infraagent:skill/skill@0.1.0" (instance $i))"#,
    );
    let admitted = admission::admit(&lie).expect("by name it is honest");
    let code = ENGINE.compile_trusted(&lie).expect("it compiles");
    assert!(Skill::load(&ENGINE, admitted, &code).is_err());
}

#[test]
fn sealed_code_opens_only_unchanged_and_only_for_what_it_was_made_of() {
    struct Key(u8);
    impl compiled::Seal for Key {
        fn seal(&self, parts: &[&[u8]]) -> [u8; 32] {
            let mut sum = [self.0; 32];
            for (at, byte) in parts.iter().flat_map(|part| part.iter().chain(&[255])).enumerate() {
                sum[at % 32] = sum[at % 32].wrapping_mul(31).wrapping_add(*byte);
            }
            sum
        }
        fn verify(&self, parts: &[&[u8]], seal: &[u8; 32]) -> bool {
            self.seal(parts) == *seal
        }
    }
    let component = packed(&guest("", "", ""));
    let digest = admission::digest(&component);
    let code = ENGINE.compile_trusted(&component).expect("it compiles");
    let entry = compiled::seal(&code, &digest, &ENGINE, &Key(1));
    let opened = compiled::open(&entry, &digest, &ENGINE, &Key(1)).expect("its own entry");
    assert!(Skill::load(&ENGINE, admission::admit(&component).expect("admitted"), &opened).is_ok());

    let mut flipped = entry.clone();
    flipped[100] ^= 1;
    for (entry, digest, key) in
        [(&flipped, &digest, 1), (&entry, &"sha256:0".to_owned(), 1), (&entry, &digest, 2), (&entry[..20].to_vec(), &digest, 1)]
    {
        assert!(compiled::open(entry, digest, &ENGINE, &Key(key)).is_none());
    }
}

#[test]
fn the_compiling_process_and_the_running_one_agree_on_settings() {
    let compiler = Engine::compiler().expect("an engine");
    assert_eq!(compiler.fingerprint(), ENGINE.fingerprint());
    let component = packed(&guest("", "", ""));
    let code = compiled::Authentic::from_compiler(compiler.precompile(&component).expect("it compiles"));
    assert!(Skill::load(&ENGINE, admission::admit(&component).expect("admitted"), &code).is_ok());
}

#[test]
fn refusals_say_what_to_do() {
    let refusals: Vec<Refusal> = admission::admit(b"\0asm\x01\0\0\0").expect_err("a core module");
    assert!(refusals.first().is_some_and(|refusal| refusal.to_string().contains("infraagent skill build")), "{refusals:?}");
}
