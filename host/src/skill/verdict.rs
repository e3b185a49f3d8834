//! Would this host admit the component? The sandbox's own decision, the same that is made before a skill is run, as a document.

use infraagent_sandbox::{
    admission::{self, Admitted, Refusal},
    manifest::Sheet,
};
use serde::Serialize;

use super::source::{Component, Unit, Unusable};
use crate::cel::Evaluator;

/// The decision on a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// Whether it is admitted.
    pub admitted: bool,
    /// The skill's name and version, if the manifest can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skill: Option<String>,
    /// `sha256:` and the digest of the whole file, or of what a skill without code is made of.
    pub digest: String,
    /// The size of the whole file, or of all components, in bytes.
    pub size: usize,
    /// Whether it needs the compat profile: clocks, random, stdio, an empty environment and file system.
    pub compat: bool,
    /// Every reason against it.
    pub reasons: Vec<Reason>,
    /// What is odd, but harmless.
    pub warnings: Vec<String>,
}

/// One reason against a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// A stable word.
    pub code: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

impl Verdict {
    /// Decides on a component. Expressions of its sheet that do not parse count against it: they could only ever deny.
    pub async fn on(component: &[u8], evaluator: &Evaluator) -> Self {
        let mut verdict = match admission::admit(component) {
            Ok(admitted) => {
                let mut verdict = Self::of(&admitted);
                verdict.reasons = expressions(&admitted.manifest().sheet, evaluator).await;
                verdict
            }
            Err(refusals) => Self { reasons: refusals.into_iter().map(Reason::from).collect(), ..Self::unread(component) },
        };
        verdict.admitted = verdict.reasons.is_empty();
        verdict
    }

    /// Decides on a skill that was found: each of its components must be admitted.
    pub async fn on_skill(skill: &Component, evaluator: &Evaluator) -> Result<Self, Unusable> {
        let Component { shown: _, digest, manifest, code: _ } = skill;
        let (mut compat, mut size, mut warnings) = (false, 0_usize, Vec::new());
        let mut reasons = expressions(&manifest.sheet, evaluator).await;
        for Unit { component, code: _ } in skill.units()? {
            size = size.saturating_add(component.len());
            match admission::admit(&component) {
                Ok(admitted) => {
                    compat |= admitted.is_compat();
                    warnings.extend_from_slice(admitted.warnings());
                }
                Err(refusals) => reasons.extend(refusals.into_iter().map(Reason::from)),
            }
        }
        let skill = Some(format!("{} {}", manifest.name, manifest.version));
        Ok(Self { admitted: reasons.is_empty(), skill, digest: digest.clone(), size, compat, reasons, warnings })
    }

    fn of(admitted: &Admitted) -> Self {
        let manifest = admitted.manifest();
        Self {
            admitted: true,
            skill: Some(format!("{} {}", manifest.name, manifest.version)),
            digest: admitted.digest().to_owned(),
            size: admitted.size(),
            compat: admitted.is_compat(),
            reasons: Vec::new(),
            warnings: admitted.warnings().to_vec(),
        }
    }

    fn unread(component: &[u8]) -> Self {
        let skill = infraagent_sandbox::manifest::read(component).ok().map(|manifest| format!("{} {}", manifest.name, manifest.version));
        let (digest, size) = (admission::digest(component), component.len());
        Self { admitted: false, skill, digest, size, compat: false, reasons: Vec::new(), warnings: Vec::new() }
    }
}

impl From<Refusal> for Reason {
    fn from(Refusal { code, message }: Refusal) -> Self {
        Self { code, message }
    }
}

async fn expressions(sheet: &Sheet, evaluator: &Evaluator) -> Vec<Reason> {
    let mut reasons = Vec::new();
    for action in &sheet.actions {
        for condition in &action.pre_conditions {
            if let Err(error) = evaluator.check(&condition.cel).await {
                let message = format!("pre-condition `{}` of action `{}`: {error}", condition.cel, action.id);
                reasons.push(Reason { code: "pre-condition-invalid", message });
            }
        }
    }
    reasons
}

#[cfg(test)]
mod tests;
