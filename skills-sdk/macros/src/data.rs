//! `#[args]` and `#[output]`: the derives of serde and schemars with the paths that a skill without those dependencies needs.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;
use syn::{Attribute, Fields, Item, ItemStruct, parse2};

/// Expands `#[args]`.
pub(crate) fn args(attribute: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let open = match attribute.to_string().as_str() {
        "" => false,
        "open" => true,
        other => return Err(syn::Error::new_spanned(&attribute, format!("`#[args({other})]` is not known; there is `#[args(open)]`"))),
    };
    let item = data(item, "args")?;
    let closed = (!open).then(|| quote!(, deny_unknown_fields));
    if let Some(read) = reading(&item, open) {
        return Ok(quote! {
            #[derive(::core::fmt::Debug, ::core::clone::Clone, ::skills_sdk::schemars::JsonSchema)]
            #[schemars(crate = "::skills_sdk::schemars" #closed)]
            #item
            #read
        });
    }
    Ok(quote! {
        #[derive(::core::fmt::Debug, ::core::clone::Clone, ::skills_sdk::serde::Deserialize, ::skills_sdk::schemars::JsonSchema)]
        #[serde(crate = "::skills_sdk::serde" #closed)]
        #[schemars(crate = "::skills_sdk::schemars")]
        #item
    })
}

/// Reads a plain struct field by field, which is a fifth of the WebAssembly that serde derives. None for what needs serde.
fn reading(item: &Item, open: bool) -> Option<TokenStream> {
    let Item::Struct(ItemStruct { attrs, ident, generics, fields: Fields::Named(fields), .. }) = item else { return None };
    let asks_serde = |attributes: &[Attribute]| attributes.iter().any(|attribute| attribute.path().is_ident("serde"));
    if !generics.params.is_empty() || asks_serde(attrs) || fields.named.iter().any(|field| asks_serde(&field.attrs)) {
        return None;
    }
    let idents: Vec<_> = fields.named.iter().filter_map(|field| field.ident.as_ref()).collect();
    let names: Vec<String> = idents.iter().map(|ident| ident.unraw().to_string()).collect();
    Some(quote! {
        impl<'de> ::skills_sdk::serde::Deserialize<'de> for #ident {
            fn deserialize<D: ::skills_sdk::serde::Deserializer<'de>>(deserializer: D) -> ::core::result::Result<Self, D::Error> {
                let fields = ::skills_sdk::tool::Fields::read(deserializer, &[#(#names),*], #open)?;
                ::core::result::Result::Ok(Self { #(#idents: fields.field(#names)?),* })
            }
        }
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
