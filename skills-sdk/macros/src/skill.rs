//! `skill!`: the action types, the tool table and the export.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Ident, Path, Token, bracketed, parse2};

use crate::locate;
use crate::sheet::{Action, Sheet};

struct Input {
    tools: Vec<Path>,
}

impl Parse for Input {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let key: Ident = input.parse()?;
        if key != "tools" {
            return Err(syn::Error::new(key.span(), "expected `tools: [...]`"));
        }
        input.parse::<Token![:]>()?;
        let list;
        bracketed!(list in input);
        let tools = Punctuated::<Path, Token![,]>::parse_terminated(&list)?;
        input.parse::<Option<Token![,]>>()?;
        if !input.is_empty() {
            return Err(input.error("nothing else is expected here"));
        }
        Ok(Self { tools: tools.into_iter().collect() })
    }
}

/// Expands `skill!`.
pub(crate) fn expand(input: TokenStream) -> syn::Result<TokenStream> {
    let Input { tools } = parse2(input)?;
    if tools.is_empty() {
        return Err(syn::Error::new(Span::call_site(), "a skill has at least one tool"));
    }
    let located = locate::sheet(Span::call_site())?;
    let tracked = located.files.iter().map(|file| file.to_string_lossy().into_owned());
    let Sheet { state, actions } = &located.sheet;
    let types = actions.iter().map(action_type);
    let data = actions.iter().map(action_data);
    let remembers = state.then(|| quote!(#(impl ::skills_sdk::Remembers for #tools {})*));
    Ok(quote! {
        /// The actions that `actions.yaml` declares, one type each.
        pub mod actions {
            #(#types)*
        }
        #remembers
        #(const _: &[u8] = ::core::include_bytes!(#tracked);)*
        ::skills_sdk::__skill! { tools: [#(#tools),*], state: #state, actions: [#(#data),*] }
    })
}

fn action_type(action: &Action) -> TokenStream {
    let Action { id, type_name, description, verbs, scope } = action;
    let name = format_ident!("{type_name}");
    let documentation = if description.is_empty() { format!("The action `{id}`.") } else { format!("`{id}`: {description}") };
    let verbs = verbs.iter().map(|verb| format_ident!("{}", verb.type_name()));
    let server =
        scope.server.as_ref().map(|server| quote!(impl ::skills_sdk::mcp::OnServer for #name { const SERVER: &'static str = #server; }));
    quote! {
        #[doc = #documentation]
        #[derive(::core::fmt::Debug, ::core::clone::Clone, ::core::marker::Copy)]
        pub struct #name;
        impl ::skills_sdk::Action for #name { const ID: &'static str = #id; }
        #(impl ::skills_sdk::Declares<::skills_sdk::verb::#verbs> for #name {})*
        #server
    }
}

/// The action as data, for the fake host of native tests.
fn action_data(action: &Action) -> TokenStream {
    let Action { id, type_name: _, description: _, verbs, scope } = action;
    let verbs = verbs.iter().map(|verb| format_ident!("{}", verb.type_name()));
    let crate::sheet::Scope { resources, namespaces, replicas, endpoints, methods, server, tools } = scope;
    let replicas = match replicas {
        Some((min, max)) => quote!(::core::option::Option::Some((#min, #max))),
        None => quote!(::core::option::Option::None),
    };
    let server = match server {
        Some(server) => quote!(::core::option::Option::Some(#server)),
        None => quote!(::core::option::Option::None),
    };
    quote! {
        ::skills_sdk::sheet::ActionSpec {
            id: #id,
            verbs: &[#(::skills_sdk::sheet::Verb::#verbs),*],
            resources: &[#(#resources),*],
            namespaces: &[#(#namespaces),*],
            replicas: #replicas,
            endpoints: &[#(#endpoints),*],
            methods: &[#(#methods),*],
            server: #server,
            tools: &[#(#tools),*],
        }
    }
}
