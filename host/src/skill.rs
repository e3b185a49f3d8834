//! Skills as packages: a folder becomes one component with its manifest, and a component is looked at and judged.
//!
//! In the order of a build: [`folder`] reads `SKILL.md` and `actions.yaml`, [`build`] drives cargo, [`component`] makes components of core modules,
//! [`pack`] joins component and manifest and asks for the admission verdict. [`inspect`] and [`verdict`] look at a finished component without running or
//! compiling it, [`world`] writes the contract that exactly fits a sheet, [`scaffold`] begins a new skill. [`declarative`] makes skills of
//! folders without code. [`source`] finds the skills that an agent names, and [`load`] makes them ready to run, through the child that compiles and the [`cache`] of its results.

pub mod actions;
pub mod build;
pub mod cache;
pub mod component;
pub mod declarative;
pub mod folder;
pub mod frontmatter;
mod generic;
pub mod inspect;
pub mod load;
pub mod pack;
mod problem;
pub mod scaffold;
pub mod source;
pub mod surface;
pub mod verdict;
pub mod world;

pub use problem::Problem;
