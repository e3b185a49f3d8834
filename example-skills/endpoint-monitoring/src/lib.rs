//! Tells whether the endpoints of a site are well.
//!
//! ```text
//! overview, single, certificate, content   the tools: what is asked, and what is told
//! probe                                    one request, and how it ended
//! health                                   what that means: problems with severities (pure)
//! site                                     which endpoints there are
//! ```

mod certificate;
mod content;
mod health;
mod overview;
mod probe;
mod single;
mod site;

skills_sdk::skill! {
    tools: [overview::check_endpoints, single::check_endpoint, certificate::check_certificate, content::check_content]
}

#[cfg(test)]
mod tests;
