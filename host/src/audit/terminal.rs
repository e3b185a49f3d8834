//! Text of the world on a terminal: what could move the cursor, change colours, reorder or hide text is shown as its code point.

use std::borrow::Cow;

/// One line: line breaks and tabs are shown as `\n`, `\r` and `\t` too.
pub fn escape_terminal(text: &str) -> Cow<'_, str> {
    escape(text, false)
}

/// Several lines: line feeds and tabs stay.
pub fn escape_terminal_lines(text: &str) -> Cow<'_, str> {
    escape(text, true)
}

fn escape(text: &str, lines: bool) -> Cow<'_, str> {
    let keep = |character: char| !is_active(character) || (lines && matches!(character, '\n' | '\t'));
    if text.chars().all(keep) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            _ if keep(character) => out.push(character),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            other => out.push_str(&format!("\\u{{{:x}}}", u32::from(other))),
        }
    }
    Cow::Owned(out)
}

/// Controls (C0, C1, delete), line and paragraph separators, marks and overrides of direction, invisible spaces and joiners, tags, noncharacters of the
/// interlinear kind.
fn is_active(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{115f}'
                | '\u{1160}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ansi_bidi_and_invisible_characters_are_shown() {
        assert_eq!(escape_terminal("\u{1b}[2J\u{9b}31m"), "\\u{1b}[2J\\u{9b}31m");
        assert_eq!(escape_terminal("a\u{202e}b\u{2066}\u{200b}"), "a\\u{202e}b\\u{2066}\\u{200b}");
        assert_eq!(escape_terminal("one\r\ntwo\t\u{8}"), "one\\r\\ntwo\\t\\u{8}");
        assert_eq!(escape_terminal_lines("one\n\ttwo\r"), "one\n\ttwo\\r");
    }

    #[test]
    fn ordinary_text_is_not_copied() {
        assert!(matches!(escape_terminal("größe — 東京 ✔"), Cow::Borrowed(_)));
    }
}
