//! What an author is told. Each text names actions.yaml or the tool's list, and says what to write there.

#[test]
fn what_a_skill_does_not_declare_does_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/undeclared_verb.rs");
    cases.compile_fail("tests/ui/action_of_another_tool.rs");
    cases.compile_fail("tests/ui/unknown_action.rs");
    cases.compile_fail("tests/ui/no_state.rs");
}
