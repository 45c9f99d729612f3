//! Aligned columns, with notes below a row that are wrapped to the terminal.
//!
//! It must never cut a text: what does not fit goes on in the next line.

/// Between two columns.
const GAP: usize = 2;
/// Notes are set in from the row they belong to.
const INDENT: usize = 4;
/// Narrower than this, wrapping makes it worse.
const MIN_WRAP: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

#[derive(Debug)]
pub struct Table {
    heads: Vec<(&'static str, Align)>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    cells: Vec<String>,
    notes: Vec<String>,
}

impl Table {
    pub fn new(heads: impl IntoIterator<Item = (&'static str, Align)>) -> Self {
        Self { heads: heads.into_iter().collect(), rows: Vec::new() }
    }

    /// A row, and the notes below it.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>, notes: Vec<String>) {
        self.rows.push(Row { cells: cells.into_iter().collect(), notes });
    }

    /// A column that is empty in every row is left out.
    pub fn text(&self, columns: Option<usize>) -> String {
        let widths = self.widths();
        let heads: Vec<String> = self.heads.iter().map(|(head, _)| (*head).to_owned()).collect();
        let mut text = self.line(&heads, &widths);
        for row in &self.rows {
            text += &self.line(&row.cells, &widths);
            for note in &row.notes {
                text += &wrapped(note, INDENT, columns);
            }
        }
        text
    }

    fn widths(&self) -> Vec<usize> {
        let of_column = |(index, (head, _)): (usize, &(&'static str, Align))| {
            let widest = self.rows.iter().map(|row| width(&row.cells[index])).max().unwrap_or(0);
            if widest == 0 { 0 } else { widest.max(width(head)) }
        };
        self.heads.iter().enumerate().map(of_column).collect()
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, space), (_, align)) in cells.iter().zip(widths).zip(&self.heads).filter(|((_, w), _)| **w > 0) {
            if !line.is_empty() {
                line += &" ".repeat(GAP);
            }
            let padding = " ".repeat(space - width(cell));
            match align {
                Align::Left => line += &format!("{cell}{padding}"),
                Align::Right => line += &format!("{padding}{cell}"),
            }
        }
        format!("{}\n", line.trim_end())
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// One paragraph, set in, broken at spaces where a terminal ends.
pub fn wrapped(text: &str, indent: usize, columns: Option<usize>) -> String {
    let margin = " ".repeat(indent);
    let room = columns.map_or(usize::MAX, |columns| columns.saturating_sub(indent).max(MIN_WRAP));
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("it began with one");
        if !line.is_empty() && width(line) + 1 + width(word) > room {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            *line += word;
        }
    }
    lines.iter().map(|line| format!("{margin}{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_empty_ones_left_out() {
        let mut table = Table::new([("NAME", Align::Left), ("QUEUE", Align::Left), ("DONE", Align::Right)]);
        table.row(["märz", "", "7"].map(str::to_owned), vec!["waits for two workers".to_owned()]);
        table.row(["a-long-name", "", "1,000"].map(str::to_owned), Vec::new());
        let text = "NAME          DONE\nmärz             7\n    waits for two workers\na-long-name  1,000\n";
        assert_eq!(table.text(None), text);
        assert!(table.text(Some(24)).contains("    waits for two\n    workers\n"));
    }

    #[test]
    fn a_word_longer_than_the_terminal_stays_whole() {
        let path = "x".repeat(50);
        assert_eq!(wrapped(&format!("in {path} there"), 2, Some(30)), format!("  in\n  {path}\n  there\n"));
    }
}
