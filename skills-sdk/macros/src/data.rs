//! `#[args]` and `#[output]`: the derives of serde and schemars with the paths that a skill without those dependencies needs.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Item, parse2};

/// Expands `#[args]`.
pub(crate) fn args(attribute: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let open = match attribute.to_string().as_str() {
        "" => false,
        "open" => true,
        other => return Err(syn::Error::new_spanned(&attribute, format!("`#[args({other})]` is not known; there is `#[args(open)]`"))),
    };
    let item = data(item, "args")?;
    let closed = (!open).then(|| quote!(, deny_unknown_fields));
    Ok(quote! {
        #[derive(::core::fmt::Debug, ::core::clone::Clone, ::skills_sdk::serde::Deserialize, ::skills_sdk::schemars::JsonSchema)]
        #[serde(crate = "::skills_sdk::serde" #closed)]
        #[schemars(crate = "::skills_sdk::schemars")]
        #item
    })
}

/// Expands `#[output]`.
pub(crate) fn output(attribute: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    if !attribute.is_empty() {
        return Err(syn::Error::new_spanned(&attribute, "`#[output]` takes nothing"));
    }
    let item = data(item, "output")?;
    Ok(quote! {
        #[derive(::core::fmt::Debug, ::core::clone::Clone, ::skills_sdk::serde::Serialize)]
        #[serde(crate = "::skills_sdk::serde")]
        #item
    })
}

fn data(item: TokenStream, attribute: &str) -> syn::Result<Item> {
    match parse2(item)? {
        item @ (Item::Struct(_) | Item::Enum(_)) => Ok(item),
        other => Err(syn::Error::new_spanned(other, format!("`#[{attribute}]` belongs on a struct or an enum"))),
    }
}
