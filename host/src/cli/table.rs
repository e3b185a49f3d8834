//! Tables without lines, as kubectl prints them.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use super::paint::clean;

/// A table with these columns. Its cells are text of the world: each is one line, and harmless.
#[derive(Debug)]
pub struct Columns {
    table: Table,
}

impl Columns {
    /// Every line is as wide as it must be: for lists that are also cut, sorted and searched.
    pub fn new(header: &[&str]) -> Self {
        Self::arranged(header, ContentArrangement::Disabled)
    }

    /// Cells are broken so that the table fits the terminal: for pages.
    pub fn fitting(header: &[&str]) -> Self {
        Self::arranged(header, ContentArrangement::Dynamic)
    }

    fn arranged(header: &[&str], arrangement: ContentArrangement) -> Self {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_content_arrangement(arrangement).set_header(header);
        // The first column begins where the line does.
        if let Some(first) = table.column_mut(0) {
            first.set_padding((0, 1));
        }
        Self { table }
    }

    /// Adds a line.
    pub fn row<S: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.table.add_row(cells.into_iter().map(|cell| Cell::new(clean(cell.as_ref())).set_alignment(CellAlignment::Left)));
    }

    /// The table, without spaces at the ends of its lines.
    pub fn text(&self) -> String {
        self.table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_one_harmless_line() {
        let mut table = Columns::new(&["NAME", "WHY"]);
        table.row(["a", "one\ntwo\u{1b}[31m"]);
        table.row(["longer", "x"]);
        assert_eq!(table.text(), "NAME    WHY\na       one\\ntwo\\u{1b}[31m\nlonger  x\n");
    }
}
