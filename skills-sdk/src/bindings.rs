//! Generated from `wit/`, which is a copy of the contract so that this crate can be published on its own.
//!
//! The largest world is generated; wit-component drops every imported function that the linked skill never calls, so a component imports what it uses.
//! The describer is a world of its own, in a build of its own: the two type sections must not meet in one module.

#[cfg(not(feature = "describe"))]
wit_bindgen::generate!({
    path: "wit",
    world: "destroyer",
    pub_export_macro: true,
    export_macro_name: "export_skill",
    generate_all,
});

#[cfg(feature = "describe")]
wit_bindgen::generate!({
    path: "wit",
    world: "describer",
    pub_export_macro: true,
    export_macro_name: "export_description",
    generate_all,
});
