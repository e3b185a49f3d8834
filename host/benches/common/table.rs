//! Rows, the table that people read, and the list that programs read.

use comfy_table::{CellAlignment, Table, presets::UTF8_HORIZONTAL_ONLY};
use serde_json::{Value, json};

use super::sample::Sample;

/// One comparison.
#[derive(Debug)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) name: String,
    ours: Sample,
    baseline: Option<Sample>,
    unit: &'static str,
    goal: Goal,
    note: String,
}

/// What was promised.
#[expect(dead_code, reason = "each benchmark makes some of these promises")]
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    /// At most so many times the baseline.
    Times(f64),
    /// At least so many times cheaper than the baseline.
    Cheaper(f64),
    /// At least so many times the baseline.
    AtLeast(f64),
    /// At most so much, in the row's unit.
    AtMost(f64),
    /// At most so much more than the baseline, in the row's unit.
    More(f64),
    /// Nothing: the row explains another one.
    Told,
}

impl Row {
    /// A row. A goal that compares needs a baseline.
    pub(crate) fn new(
        name: impl Into<String>,
        ours: Sample,
        baseline: Option<Sample>,
        unit: &'static str,
        goal: Goal,
        note: impl Into<String>,
    ) -> Self {
        Self { name: name.into(), ours, baseline, unit, goal, note: note.into() }
    }

    /// False if the goal is missed.
    pub(crate) fn is_ok(&self) -> bool {
        let ours = self.ours.p50;
        let baseline = self.baseline.map_or(f64::NAN, |baseline| baseline.p50);
        match self.goal {
            Goal::Times(most) => ours <= baseline * most,
            Goal::Cheaper(least) => baseline >= ours * least,
            Goal::AtLeast(least) => ours >= baseline * least,
            Goal::AtMost(most) => ours <= most,
            Goal::More(most) => ours - baseline <= most,
            Goal::Told => true,
        }
    }

    /// How many times the baseline; for goals that ask how much cheaper, how many times cheaper.
    fn ratio(&self) -> Option<f64> {
        let (ours, baseline) = (self.ours.p50, self.baseline?.p50);
        Some(match self.goal {
            Goal::Cheaper(_) => baseline / ours,
            Goal::Times(_) | Goal::AtLeast(_) | Goal::AtMost(_) | Goal::More(_) | Goal::Told => ours / baseline,
        })
    }

    fn goal(&self) -> String {
        match self.goal {
            Goal::Times(most) => format!("<= {most}x"),
            Goal::Cheaper(least) => format!(">= {least}x cheaper"),
            Goal::AtLeast(least) => format!(">= {least}x"),
            Goal::AtMost(most) => format!("<= {most} {}", self.unit),
            Goal::More(most) => format!("<= +{most} {}", self.unit),
            Goal::Told => String::new(),
        }
    }
}

/// The table.
pub(crate) fn render(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY);
    table.set_header(["bench", "ours p50", "p99", "baseline p50", "p99", "unit", "ratio", "goal", "ok", ""]);
    for row in rows {
        let (base, base_tail) = row.baseline.map_or_else(Default::default, |base| (number(base.p50), number(base.p99)));
        let ok = match (row.goal, row.is_ok()) {
            (Goal::Told, _) => "",
            (_, true) => "yes",
            (_, false) => "NO",
        };
        table.add_row([
            row.name.clone(),
            number(row.ours.p50),
            number(row.ours.p99),
            base,
            base_tail,
            row.unit.to_owned(),
            row.ratio().map_or_else(String::new, |ratio| format!("{}x", number(ratio))),
            row.goal(),
            ok.to_owned(),
            row.note.clone(),
        ]);
    }
    for column in [1, 2, 3, 4, 6] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

/// The list. Numbers are medians; an `ok` of `null` has no goal.
pub(crate) fn json(rows: &[Row]) -> Value {
    let rows = rows.iter().map(|row| {
        let Row { name, ours, baseline, unit, goal, note } = row;
        let ok = match goal {
            Goal::Told => None,
            Goal::Times(_) | Goal::Cheaper(_) | Goal::AtLeast(_) | Goal::AtMost(_) | Goal::More(_) => Some(row.is_ok()),
        };
        json!({
            "name": name,
            "ours": rounded(ours.p50),
            "baseline": baseline.map(|baseline| rounded(baseline.p50)),
            "unit": unit,
            "ratio": row.ratio().map(rounded),
            "goal": row.goal(),
            "ok": ok,
            "p99": { "ours": rounded(ours.p99), "baseline": baseline.map(|baseline| rounded(baseline.p99)) },
            "note": note,
        })
    });
    Value::Array(rows.collect())
}

fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

/// Three or four digits that matter.
fn number(number: f64) -> String {
    match number.abs() {
        size if size > 0.0 && size < 0.1 => format!("{number:.4}"),
        size if size < 10.0 => format!("{number:.2}"),
        size if size < 100.0 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}
