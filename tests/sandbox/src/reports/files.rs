//! Report files: the rows as CSV, the CSV in a zip, in all the ways in which they come.

use std::io::{Cursor, Seek, Write};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::events::Event;
use super::rows::Cell;
use crate::clock;
use crate::quirks::{BooleanStyle, Container, EmptyStyle, HeaderStyle, ReportQuirks, TimeStyle};

/// The bytes behind a link, for the rows of one part of a job. `name` is that of the file, without
/// an ending. `open`: the first member has a quote that never closes.
pub fn render(
    event: &Event,
    rows: &[Vec<Cell>],
    name: &str,
    quirks: &ReportQuirks,
    open: bool,
) -> Vec<u8> {
    if rows.is_empty() && quirks.empty == EmptyStyle::EmptyZip {
        return pack(Vec::new(), quirks);
    }
    let zipped = quirks.container != Container::Csv;
    let members = if zipped { quirks.zip_members.max(1) } else { 1 };
    let share = rows.len().div_ceil(members).max(1);
    let mut chunks: Vec<&[Vec<Cell>]> = rows.chunks(share).collect();
    if chunks.is_empty() {
        chunks.push(&[]);
    }
    let files = chunks.iter().enumerate().map(|(number, rows)| {
        let suffix = if number > 0 {
            format!("-{number}")
        } else {
            String::new()
        };
        let mut bytes = csv(event, rows, quirks);
        if open && number == 0 {
            open_quote(&mut bytes);
        }
        (format!("{name}{suffix}.csv"), bytes)
    });
    pack(files.collect(), quirks)
}

fn csv(event: &Event, rows: &[Vec<Cell>], quirks: &ReportQuirks) -> Vec<u8> {
    if rows.is_empty() && quirks.empty == EmptyStyle::ZeroByte {
        return Vec::new();
    }
    let missing = quirks
        .missing_column
        .then(|| missing_column(event))
        .flatten();
    let kept = |place: usize| Some(place) != missing;
    let terminator = match quirks.crlf {
        true => csv::Terminator::CRLF,
        false => csv::Terminator::Any(b'\n'),
    };
    let bom = if quirks.bom {
        "\u{feff}".as_bytes()
    } else {
        b""
    };
    let mut writer = csv::WriterBuilder::new()
        .flexible(true)
        .terminator(terminator)
        .from_writer(bom.to_vec());
    let header = event.columns.iter().enumerate();
    let mut header: Vec<String> = header
        .filter(|(place, _)| kept(*place))
        .map(|(_, column)| title(event, column, quirks))
        .collect();
    if quirks.extra_columns {
        header.extend(["Custom Column".to_owned(), "x_internal".to_owned()]);
    }
    writer.write_record(&header).expect("memory takes it");
    for (number, row) in rows.iter().enumerate() {
        let cells = row.iter().enumerate();
        let mut cells: Vec<String> = cells
            .filter(|(place, _)| kept(*place))
            .map(|(_, cell)| styled(cell, quirks))
            .collect();
        if quirks.extra_columns {
            cells.extend([format!("extra, {number}"), "1".to_owned()]);
        }
        if quirks.short_row && number == 0 {
            cells.truncate(cells.len() - 2);
        }
        writer.write_record(&cells).expect("memory takes it");
    }
    writer.into_inner().expect("memory takes it")
}

/// Puts a quote before the cell behind the middle of a file.
fn open_quote(bytes: &mut Vec<u8>) {
    let middle = bytes.len() / 2;
    let comma = bytes[middle..].iter().position(|byte| *byte == b',');
    bytes.insert(comma.map_or(0, |comma| middle + comma + 1), b'"');
}

fn missing_column(event: &Event) -> Option<usize> {
    let place = |name| event.columns.iter().position(|column| *column == name);
    place("channel_name")
        .or_else(|| place("agent_name"))
        .or_else(|| place("channel"))
}

/// A column's name in the header.
fn title(event: &Event, column: &str, quirks: &ReportQuirks) -> String {
    let misspelt = match column {
        "label_sub_category_name" => "abel_sub_category_name",
        "agent_status" => "Agent_Status",
        "agent_status_in_seconds" => "agent_status in seconds",
        "conv_url" => "conversation_url",
        "last_response_timestamp_millis" => "lastresponse_timestamp_millis",
        _ => column,
    };
    // The document knows the Classic column under its misspelt name alone.
    let documented = event.name == "Classic";
    let column = match quirks.misspelt_columns || documented {
        true => misspelt,
        false => column,
    };
    match quirks.header_style {
        HeaderStyle::Documented => column.to_owned(),
        HeaderStyle::Dashes => column.replace('_', "-"),
        HeaderStyle::Upper => column.to_uppercase(),
        HeaderStyle::Spaces => {
            let words = column.split('_').map(|word| {
                let (first, rest) = word.split_at(word.len().min(1));
                first.to_uppercase() + rest
            });
            words.collect::<Vec<_>>().join(" ")
        }
    }
}

fn styled(cell: &Cell, quirks: &ReportQuirks) -> String {
    match (cell, quirks.times, quirks.booleans) {
        (Cell::Time(time), TimeStyle::Bare, _) => clock::bare_text(*time),
        (Cell::Bool(value), _, BooleanStyle::Upper) => value.to_string().to_uppercase(),
        (Cell::Bool(value), _, BooleanStyle::Digits) => u8::from(*value).to_string(),
        _ => cell.text(),
    }
}

/// Puts files into the account's container.
fn pack(files: Vec<(String, Vec<u8>)>, quirks: &ReportQuirks) -> Vec<u8> {
    match quirks.container {
        Container::Csv => files.into_iter().flat_map(|(_, bytes)| bytes).collect(),
        Container::Zip => {
            let writer = ZipWriter::new(Cursor::new(Vec::new()));
            zip(writer, &files, quirks).into_inner()
        }
        Container::ZipDescriptors => {
            let writer = ZipWriter::new_stream(Vec::new());
            zip(writer, &files, quirks).into_inner()
        }
    }
}

fn zip<W: Write + Seek>(
    mut writer: ZipWriter<W>,
    files: &[(String, Vec<u8>)],
    quirks: &ReportQuirks,
) -> W {
    let options = SimpleFileOptions::default();
    let mut add = |name: &str, bytes: &[u8]| {
        writer.start_file(name, options).expect("memory takes it");
        writer.write_all(bytes).expect("memory takes it");
    };
    for (name, bytes) in files {
        add(name, bytes);
        if quirks.mac_notes {
            add(&format!("__MACOSX/._{name}"), b"\0\x05\x16\x07\"");
            add(&format!("._{name}"), b"\0\x05\x16\x07\"");
        }
    }
    if quirks.junk_member {
        add("manifest.json", b"{\"files\": 1}\n");
        writer
            .add_directory("extraction/", options)
            .expect("memory takes it");
    }
    writer.finish().expect("memory takes it")
}

/// Changes the CRC of a zip's first member, in the central directory and before the data.
pub fn break_crc(zip: &mut [u8]) {
    let central = zip.windows(4).rposition(|bytes| bytes == b"PK\x05\x06");
    let Some(end) = central.and_then(|at| zip.get(at + 16..at + 20)) else {
        return;
    };
    let directory = u32::from_le_bytes([end[0], end[1], end[2], end[3]]) as usize;
    let described = zip[6] & 8 != 0;
    for place in [Some(directory + 16), (!described).then_some(14)] {
        if let Some(byte) = place.and_then(|at| zip.get_mut(at)) {
            *byte ^= 0xff;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn event() -> &'static Event {
        Event::named("Agent-Activity").unwrap()
    }

    fn rows() -> Vec<Vec<Cell>> {
        let text = |text: &str| Cell::Text(text.to_owned());
        vec![
            vec![
                text("a,\n\"b\""),
                text("1"),
                text("online"),
                Cell::Time(800),
            ],
            vec![text(""), text("2"), text("offline"), Cell::Time(1000)],
        ]
    }

    fn read(bytes: Vec<u8>, member: usize) -> zip::result::ZipResult<String> {
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes))?;
        let mut text = String::new();
        archive.by_index(member)?.read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn both_zips_are_read_and_a_wrong_crc_is_found() {
        let mut quirks = ReportQuirks::default();
        for container in [Container::Zip, Container::ZipDescriptors] {
            quirks.container = container;
            let mut bytes = render(event(), &rows(), "x", &quirks, false);
            let text = read(bytes.clone(), 0).unwrap();
            assert_eq!(
                text,
                "agent_name,agent_id,activity_type,created_at\n\
                 \"a,\n\"\"b\"\"\",1,online,1970-01-01T00:00:00.800Z\n\
                 ,2,offline,1970-01-01T00:00:01.000Z\n"
            );
            break_crc(&mut bytes);
            assert!(read(bytes, 0).is_err());
        }
    }

    #[test]
    fn members_share_the_rows_and_repeat_the_header() {
        let quirks = ReportQuirks {
            zip_members: 2,
            junk_member: true,
            times: TimeStyle::Bare,
            header_style: HeaderStyle::Spaces,
            ..ReportQuirks::default()
        };
        let bytes = render(event(), &rows(), "x", &quirks, false);
        let second = read(bytes.clone(), 1).unwrap();
        assert_eq!(
            second,
            "Agent Name,Agent Id,Activity Type,Created At\n,2,offline,1970-01-01 00:00:01.0\n"
        );
        assert_eq!(read(bytes, 2).unwrap(), "{\"files\": 1}\n");
    }

    #[test]
    fn empty_reports_take_four_forms() {
        let quirks = |empty, container| ReportQuirks {
            container,
            empty,
            ..ReportQuirks::default()
        };
        let csv = |empty| render(event(), &[], "x", &quirks(empty, Container::Csv), false);
        assert!(csv(EmptyStyle::HeaderOnly).starts_with(b"agent_name"));
        assert!(csv(EmptyStyle::ZeroByte).is_empty());
        let zip = render(
            event(),
            &[],
            "x",
            &quirks(EmptyStyle::EmptyZip, Container::Zip),
            false,
        );
        assert_eq!(zip::ZipArchive::new(Cursor::new(zip)).unwrap().len(), 0);
    }
}
