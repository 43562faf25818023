//! The rows of an earlier extraction, as a later one has them.

use super::events::Event;
use super::rows::Cell;

/// The time that late columns are filled in with, in milliseconds.
const FILLED_IN: i64 = 1_770_000_000_000;

/// Numbers that grow with time.
const GROWING: [&str; 6] = [
    "_secs",
    "_seconds",
    "_mins",
    "count_",
    "response_count",
    "reassigns",
];

/// Ids that are reassigned, moved or filled in.
const MOVING: [&str; 5] = ["group_id", "agent_id", "actor_id", "channel_id", "label_"];

/// A row with other names and ids of everything that may change, with its empty columns filled
/// in and its durations grown.
pub fn row(event: &Event, row: Vec<Cell>) -> Vec<Cell> {
    let cells = event.columns.iter().zip(row);
    cells
        .map(|(column, cell)| rewritten(event, column, cell))
        .collect()
}

fn rewritten(event: &Event, column: &str, cell: Cell) -> Cell {
    let of_agents = event
        .columns
        .iter()
        .all(|column| *column != "conversation_id");
    let is_identity = column == event.time_column
        || matches!(
            column,
            "interaction_id" | "interaction_raw_id" | "conversation_id" | "message_id"
        )
        || (of_agents && column == "agent_id");
    let Cell::Text(text) = &cell else {
        return cell;
    };
    if is_identity || column.ends_with("_millis") || column == "message_parts" {
        return cell;
    }
    if column.ends_with("_at") || column.ends_with("_timestamp") {
        return Cell::Time(FILLED_IN);
    }
    if GROWING.iter().any(|name| column.contains(name)) {
        return match text.parse::<f64>() {
            Ok(number) => Cell::Text((number + 1000.0).to_string()),
            Err(_) => cell,
        };
    }
    if column.ends_with("_name") || MOVING.iter().any(|name| column.contains(name)) {
        return Cell::Text(format!("{text} anew"));
    }
    cell
}
