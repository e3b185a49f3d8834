//! Where the manifest lives: a top-level custom section of the component, exactly once.

use wasmparser::{BinaryReader, Parser};

use super::{MAX_COMPONENT, MAX_MANIFEST, Manifest, ManifestError};

/// The section's name.
pub const SECTION: &str = "infraagent:skill-manifest";

/// The id of custom sections.
const CUSTOM: u8 = 0;
/// Magic, version and layer.
const PREAMBLE: usize = 8;

/// Reads the manifest of a component without looking at its code, and checks all that can be checked without it.
pub fn read(component: &[u8]) -> Result<Manifest, ManifestError> {
    let json = find(component)?.ok_or(ManifestError::Missing)?;
    if json.len() > MAX_MANIFEST {
        return Err(ManifestError::TooLarge(json.len()));
    }
    let manifest: Manifest = serde_json::from_slice(json).map_err(|error| ManifestError::Malformed(error.to_string()))?;
    if manifest.to_canonical_json().as_bytes() != json {
        return Err(ManifestError::NotCanonical);
    }
    match manifest.problems() {
        problems if problems.is_empty() => Ok(manifest),
        problems => Err(ManifestError::Invalid(problems.join("; "))),
    }
}

/// The component with the manifest at its end. Refuses a component that has one, and a manifest that [`read`] would refuse.
pub fn append(component: &[u8], manifest: &Manifest) -> Result<Vec<u8>, ManifestError> {
    if find(component)?.is_some() {
        return Err(ManifestError::Duplicate);
    }
    let json = manifest.to_canonical_json();
    let mut body = Vec::with_capacity(json.len().saturating_add(SECTION.len()).saturating_add(5));
    leb128(SECTION.len(), &mut body);
    body.extend_from_slice(SECTION.as_bytes());
    body.extend_from_slice(json.as_bytes());
    let mut whole = component.to_vec();
    whole.push(CUSTOM);
    leb128(body.len(), &mut whole);
    whole.append(&mut body);
    read(&whole)?;
    Ok(whole)
}

/// The content of the section.
fn find(component: &[u8]) -> Result<Option<&[u8]>, ManifestError> {
    let broken = |error: wasmparser::BinaryReaderError| ManifestError::NotAComponent(error.to_string());
    if component.len() > MAX_COMPONENT {
        return Err(ManifestError::ComponentTooLarge(component.len()));
    }
    if !Parser::is_component(component) {
        let what = if Parser::is_core_wasm(component) {
            "it is a core module; make a component of it with `infraagent skill build`"
        } else {
            "it does not begin as one"
        };
        return Err(ManifestError::NotAComponent(what.to_owned()));
    }
    let mut reader = BinaryReader::new(component, 0);
    reader.read_bytes(PREAMBLE).map_err(broken)?;
    let mut found = None;
    while !reader.eof() {
        let id = reader.read_u8().map_err(broken)?;
        let size = reader.read_var_u32().map_err(broken)?;
        let mut section = BinaryReader::new(reader.read_bytes(size as usize).map_err(broken)?, 0);
        if id != CUSTOM || section.read_string().map_err(broken)? != SECTION {
            continue;
        }
        if found.is_some() {
            return Err(ManifestError::Duplicate);
        }
        let rest = section.bytes_remaining();
        found = Some(section.read_bytes(rest).map_err(broken)?);
    }
    Ok(found)
}

fn leb128(value: usize, out: &mut Vec<u8>) {
    let mut rest = value;
    loop {
        // Seven bits always fit.
        let byte = (rest & 0x7f) as u8;
        rest >>= 7;
        if rest == 0 {
            return out.push(byte);
        }
        out.push(byte | 0x80);
    }
}
