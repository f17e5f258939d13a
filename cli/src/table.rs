//! Tables for terminals: columns in step, numbers to the right, nothing of others that moves the cursor.

use crate::outcome::clean;

/// A table with a head and rows.
#[derive(Debug)]
pub(crate) struct Table {
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
    bold_head: bool,
}

const GAP: &str = "  ";
const BOLD: &str = "\u{1b}[1m";
const PLAIN: &str = "\u{1b}[0m";

impl Table {
    /// A table with these heads; a head that starts with `>` is of a column of numbers.
    pub(crate) fn new(heads: &[&str], colour: bool) -> Self {
        let right = heads.iter().map(|head| head.starts_with('>')).collect();
        let head = heads.iter().map(|head| head.trim_start_matches('>').to_owned()).collect();
        Self { right, rows: vec![head], bold_head: colour }
    }

    /// Adds a row with as many cells as there are heads.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().map(|cell| clean(&cell).replace('\n', " ")).collect();
        debug_assert_eq!(cells.len(), self.right.len());
        self.rows.push(cells);
    }

    /// The table as lines, without blanks at their ends.
    pub(crate) fn render(&self) -> String {
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.right.len()).map(width).collect();
        let mut out = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            let cells = row.iter().zip(&widths).zip(&self.right).map(|((cell, width), right)| {
                if *right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            });
            let line = cells.collect::<Vec<_>>().join(GAP);
            let line = line.trim_end();
            if number == 0 && self.bold_head {
                out.push_str(&format!("{BOLD}{line}{PLAIN}\n"));
            } else {
                out.push_str(&format!("{line}\n"));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(colour: bool) -> String {
        let mut table = Table::new(&["Name", ">Amount", "Memo"], colour);
        table.row(["Ada".into(), "1.00".into(), "soup".into()]);
        table.row(["Zoë\u{1b}[2J".into(), "-1234.50".into(), "two\nlines".into()]);
        table.row(["Bo".into(), "7".into(), String::new()]);
        table.render()
    }

    #[test]
    fn columns_stand_in_step_and_nothing_moves_the_cursor() {
        assert_eq!(
            table(false),
            "Name       Amount  Memo\n\
             Ada          1.00  soup\n\
             Zoë\u{fffd}[2J  -1234.50  two lines\n\
             Bo              7\n"
        );
    }

    #[test]
    fn colour_is_only_in_the_head() {
        assert!(table(true).starts_with("\u{1b}[1mName       Amount  Memo\u{1b}[0m\nAda"));
    }
}
