//! `#[tool]`: a function becomes a tool, and a type of the same name says which actions it may use.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::visit_mut::VisitMut;
use syn::{Expr, ExprLit, FnArg, Ident, ItemFn, Lit, Meta, Token, Type, bracketed, parse2};

use crate::locate;

struct Attribute {
    actions: Vec<Ident>,
}

impl Parse for Attribute {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.is_empty() {
            return Ok(Self { actions: Vec::new() });
        }
        let key: Ident = input.parse()?;
        if key != "actions" {
            return Err(syn::Error::new(key.span(), "expected `actions = [...]`"));
        }
        input.parse::<Token![=]>()?;
        let list;
        bracketed!(list in input);
        let actions = Punctuated::<Ident, Token![,]>::parse_terminated(&list)?;
        if !input.is_empty() {
            return Err(input.error("nothing else is expected here"));
        }
        Ok(Self { actions: actions.into_iter().collect() })
    }
}

/// Expands `#[tool]`.
pub(crate) fn expand(attribute: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let Attribute { actions } = parse2(attribute)?;
    let mut function: ItemFn = parse2(item)?;
    check_shape(&function)?;
    check_actions(&actions)?;

    let name = function.sig.ident.clone();
    let tool_name = name.to_string();
    if tool_name.len() > 64 {
        return Err(syn::Error::new(name.span(), "a tool's name has at most 64 characters: models refuse more"));
    }
    let description = description(&function)?;
    SelfIs(name.clone()).visit_signature_mut(&mut function.sig);

    let parameters: Vec<&Type> = function.sig.inputs.iter().filter_map(parameter).collect();
    let (context, arguments) = match parameters.as_slice() {
        [] => (false, None),
        [context @ Type::Reference(_)] => (is_context(context)?, None),
        [arguments] => (false, Some(*arguments)),
        [context, arguments] => (is_context(context)?, Some(*arguments)),
        _ => return Err(syn::Error::new_spanned(&function.sig.inputs, "a tool takes `cx: &Cx<Self>` and one struct of arguments")),
    };
    let no_arguments: Type = syn::parse_quote!(::skills_sdk::tool::NoArguments);
    let type_of_arguments = arguments.unwrap_or(&no_arguments);
    let pass_context = context.then(|| quote!(&::skills_sdk::Cx::new(),));
    let pass_arguments = arguments.map(|_| quote!(arguments));
    let bind = if arguments.is_some() { format_ident!("arguments") } else { format_ident!("_arguments") };
    let visibility = &function.vis;
    let documentation = format!("The tool `{tool_name}`, as a type.");
    Ok(quote! {
        #function

        #[doc = #documentation]
        #[expect(non_camel_case_types, reason = "a tool's type is named as its function")]
        #visibility struct #name {}

        #(impl ::skills_sdk::Uses<crate::actions::#actions> for #name {})*

        impl ::skills_sdk::tool::Tool for #name {
            const NAME: &'static str = #tool_name;
            const DESCRIPTION: &'static str = #description;
            const ACTIONS: &'static [&'static str] = &[#(<crate::actions::#actions as ::skills_sdk::Action>::ID),*];
            type Arguments = #type_of_arguments;

            fn call(#bind: Self::Arguments) -> ::skills_sdk::Result<::skills_sdk::Output> {
                #name(#pass_context #pass_arguments)
            }
        }
    })
}

fn check_shape(function: &ItemFn) -> syn::Result<()> {
    let signature = &function.sig;
    if let Some(asyncness) = &signature.asyncness {
        return Err(syn::Error::new_spanned(asyncness, "a tool is not async: every call of the host waits for its answer"));
    }
    if !signature.generics.params.is_empty() {
        return Err(syn::Error::new_spanned(&signature.generics, "a tool is not generic"));
    }
    Ok(())
}

fn check_actions(actions: &[Ident]) -> syn::Result<()> {
    let located = locate::sheet(Span::call_site())?;
    let mut seen: Vec<&Ident> = Vec::new();
    for action in actions {
        if !located.sheet.actions.iter().any(|declared| *action == declared.type_name) {
            let declared = located.sheet.declared();
            return Err(syn::Error::new(action.span(), format!("`{action}` is not an action of actions.yaml; {declared}")));
        }
        if seen.contains(&action) {
            return Err(syn::Error::new(action.span(), format!("`{action}` is listed twice")));
        }
        seen.push(action);
    }
    Ok(())
}

/// The doc comment, one line per paragraph: it is the description that the model reads.
fn description(function: &ItemFn) -> syn::Result<String> {
    let mut text = String::new();
    for attribute in &function.attrs {
        if let Meta::NameValue(pair) = &attribute.meta
            && pair.path.is_ident("doc")
            && let Expr::Lit(ExprLit { lit: Lit::Str(line), .. }) = &pair.value
        {
            let line = line.value();
            let line = line.trim();
            if line.is_empty() {
                if !text.is_empty() {
                    text.push('\n');
                }
            } else {
                if !text.is_empty() && !text.ends_with('\n') {
                    text.push(' ');
                }
                text.push_str(line);
            }
        }
    }
    let text = text.trim_end();
    if text.is_empty() {
        return Err(syn::Error::new(function.sig.ident.span(), "write a doc comment: it is what the model knows about the tool"));
    }
    Ok(text.to_owned())
}

fn parameter(input: &FnArg) -> Option<&Type> {
    match input {
        FnArg::Typed(typed) => Some(&typed.ty),
        FnArg::Receiver(_) => None,
    }
}

fn is_context(parameter: &Type) -> syn::Result<bool> {
    match parameter {
        Type::Reference(_) => Ok(true),
        other => Err(syn::Error::new_spanned(other, "the first of two parameters is the context, `cx: &Cx<Self>`")),
    }
}

/// Replaces `Self` in the signature by the tool's type.
struct SelfIs(Ident);

impl VisitMut for SelfIs {
    fn visit_ident_mut(&mut self, ident: &mut Ident) {
        if *ident == "Self" {
            *ident = Ident::new(&self.0.to_string(), ident.span());
        }
    }
}
