//! The crate carries a copy of the contract, so that it can be published on its own. The copy must not drift.

#[test]
fn the_copy_of_the_contract_is_the_contract() {
    let contract = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit/skill.wit");
    // Outside of the repository there is nothing to compare with.
    if let Ok(contract) = std::fs::read_to_string(contract) {
        assert_eq!(contract, include_str!("../wit/skill.wit"), "run `cp wit/skill.wit skills-sdk/wit/`");
    }
}
